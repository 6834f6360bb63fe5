//! A day key outside of a process: sealed under the secret of the cluster. It is sealed once, by the
//! node that makes it, and handed on as it is.

use bytes::Bytes;
use nowrong_base::{
    random::NoRandomness,
    seal::{OVERHEAD, SealingKey},
};
use nowrong_core::day_keys::DayKey;

/// How long a sealed key is.
pub(super) const LENGTH: usize = DayKey::LENGTH + OVERHEAD;

/// What is authenticated with it: the kind and version of what is sealed.
const ABOUT: &[u8] = b"day key 1";

pub(super) fn seal(under: &SealingKey, key: &DayKey) -> Result<Bytes, NoRandomness> {
    let mut out = Vec::with_capacity(LENGTH);
    under.seal_into(ABOUT, &key.to_bytes(), &mut out)?;
    Ok(out.into())
}

/// The key; `None`: it was sealed under another secret, or is not a key.
pub(super) fn open(under: &SealingKey, sealed: &[u8]) -> Option<DayKey> {
    DayKey::from_bytes(&under.open(ABOUT, sealed)?)
}
