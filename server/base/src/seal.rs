//! Sealing of small secrets for storage: AES-256-GCM (NIST SP 800-38D) with a random nonce in front.
//!
//! One key seals far fewer than 2^32 values here, the bound for random nonces of 96 bits.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use crate::random::{self, NoRandomness};

/// How many bytes longer something is when it is sealed.
pub const OVERHEAD: usize = NONCE_LEN + 16;

/// A key that seals.
pub struct SealingKey(LessSafeKey);

impl SealingKey {
    /// The key with these bytes.
    ///
    /// # Panics
    /// Never: every 32 bytes are an AES-256 key.
    pub fn new(key: &[u8; 32]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, key).expect("32 bytes are an AES-256 key");
        Self(LessSafeKey::new(key))
    }

    /// Appends `plain`, sealed, to `out`. It opens only together with the same `about`.
    ///
    /// # Errors
    /// [`NoRandomness`].
    ///
    /// # Panics
    /// Never: AES-GCM seals up to 64 GiB.
    pub fn seal_into(
        &self,
        about: &[u8],
        plain: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), NoRandomness> {
        let nonce: [u8; NONCE_LEN] = random::try_bytes()?;
        out.extend_from_slice(&nonce);
        let begin = out.len();
        out.extend_from_slice(plain);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let body = &mut out[begin..];
        let tag = self
            .0
            .seal_in_place_separate_tag(nonce, Aad::from(about), body);
        out.extend_from_slice(tag.expect("less than 64 GiB").as_ref());
        Ok(())
    }

    /// What was sealed; `None`: under another key, about something else, or changed since.
    pub fn open(&self, about: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut bytes = sealed.to_vec();
        let opened = self.0.open_in_place(nonce, Aad::from(about), &mut bytes);
        let length = opened.ok()?.len();
        bytes.truncate(length);
        Some(bytes)
    }
}

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealingKey(<redacted>)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_what_it_sealed_and_nothing_else() {
        let key = SealingKey::new(&[1; 32]);
        let mut sealed = vec![9];
        key.seal_into(b"here", b"plain", &mut sealed).unwrap();
        let sealed = &sealed[1..];
        assert_eq!(sealed.len(), 5 + OVERHEAD);
        assert_eq!(key.open(b"here", sealed).as_deref(), Some(&b"plain"[..]));
        assert_eq!(key.open(b"there", sealed), None);
        assert_eq!(SealingKey::new(&[2; 32]).open(b"here", sealed), None);
        for cut in 0..sealed.len() {
            assert_eq!(key.open(b"here", &sealed[..cut]), None, "{cut}");
        }
    }
}
