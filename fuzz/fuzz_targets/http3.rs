//! See `nowrong_fuzz::http3`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nowrong_fuzz::http3::run(data));
