//! Placeholder until the native client lands.
fn main() {}
