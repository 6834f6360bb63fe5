//! See `nowrong_fuzz::conversation`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nowrong_fuzz::conversation::run(data));
