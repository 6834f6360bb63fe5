//! See `nowrong_fuzz::proof`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nowrong_fuzz::proof::run(data));
