//! See `nowrong_fuzz::names`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nowrong_fuzz::names::run(data));
