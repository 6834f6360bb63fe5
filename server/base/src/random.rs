//! The one source of randomness of the server: the system's, through aws-lc.

/// `N` random bytes.
///
/// # Panics
/// When the system has no randomness to give: nothing secure can be done then.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system gives randomness");
    bytes
}

/// A random number below `bound`; 0 when `bound` is 0.
pub fn below(bound: u32) -> u32 {
    let wide = u64::from(u32::from_le_bytes(bytes()));
    ((wide * u64::from(bound)) >> 32) as u32
}
