//! See `nowrong_fuzz::forwarding`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nowrong_fuzz::forwarding::run(data));
