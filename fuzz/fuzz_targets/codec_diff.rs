//! See `nowrong_fuzz::codec_diff`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nowrong_fuzz::codec_diff::run(data));
