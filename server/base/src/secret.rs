//! The secret that the nodes of a cluster share and that no store holds: with a copy of the store
//! alone nothing can be opened.

use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};

use crate::privacy::Redacted;

/// Salt of all derivations (RFC 5869): not secret, and never changed.
const SALT: &[u8] = b"nowrong cluster secret 1";

/// The secret of a cluster: at least [`ClusterSecret::CHARS_MIN`] characters that nobody can guess.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterSecret(Redacted<String>);

impl ClusterSecret {
    /// Fewest characters: those of 128 random bits in hexadecimal digits.
    pub const CHARS_MIN: usize = 32;

    /// The secret with this text; `None` when it is too short.
    pub fn new(text: String) -> Option<Self> {
        let is_long = text.chars().count() >= Self::CHARS_MIN;
        is_long.then_some(Self(Redacted::new(text)))
    }

    /// The key for `purpose`, by HKDF-SHA256. Keys for different purposes tell nothing of each other.
    ///
    /// # Panics
    /// Never: HKDF-SHA256 gives up to 8,160 bytes.
    pub fn derive(&self, purpose: &'static str) -> Redacted<[u8; 32]> {
        let mut key = [0; 32];
        let root = Salt::new(HKDF_SHA256, SALT).extract(self.0.expose().as_bytes());
        let info = [purpose.as_bytes()];
        let expanded = root.expand(&info, Length(key.len()));
        let filled = expanded.and_then(|bytes| bytes.fill(&mut key));
        filled.expect("32 bytes are fewer than 8,160");
        Redacted::new(key)
    }
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> ClusterSecret {
        ClusterSecret::new(text.repeat(32)).unwrap()
    }

    #[test]
    fn a_key_is_of_one_secret_and_one_purpose() {
        let key = secret("a").derive("names");
        assert_eq!(key, secret("a").derive("names"));
        assert_ne!(key, secret("a").derive("day keys"));
        assert_ne!(key, secret("b").derive("names"));
    }

    #[test]
    fn a_short_secret_is_none_and_a_long_one_does_not_print() {
        assert_eq!(ClusterSecret::new("x".repeat(31)), None);
        let secret = secret("hunter2");
        assert!(!format!("{secret:?}").contains("hunter2"), "{secret:?}");
    }
}
