//! The only source of randomness of the server: the system's, through aws-lc.

/// The system cannot provide randomness: nothing can be done securely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system cannot provide randomness")]
pub struct NoRandomness;

/// `N` random bytes.
///
/// # Errors
/// [`NoRandomness`].
pub fn try_bytes<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}

/// `N` random bytes, for ids and dice.
///
/// # Panics
/// When the system cannot provide randomness.
pub fn bytes<const N: usize>() -> [u8; N] {
    try_bytes().expect("the system provides randomness")
}

/// A random number below `bound`; 0 when `bound` is 0.
pub fn below(bound: u32) -> u32 {
    let wide = u64::from(u32::from_le_bytes(bytes()));
    ((wide * u64::from(bound)) >> 32) as u32
}
