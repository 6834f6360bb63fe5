//! Protocol versions and their negotiation. Pure: two ranges in, one version or none out.

use serde::{Deserialize, Serialize};

/// A protocol version. There is one so far.
pub type Version = u16;

/// The newest version that this crate speaks.
pub const VERSION_MAX: Version = 1;
/// The oldest version that this crate speaks.
pub const VERSION_MIN: Version = 1;

/// The versions a client speaks, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionRange {
    /// Oldest version.
    pub min: u16,
    /// Newest version.
    pub max: u16,
}

impl VersionRange {
    /// The versions that this crate speaks.
    pub const SUPPORTED: Self = Self {
        min: VERSION_MIN,
        max: VERSION_MAX,
    };

    /// The newest version in both ranges, or `None`.
    pub fn agree(self, other: Self) -> Option<Version> {
        let newest = self.max.min(other.max);
        let oldest = self.min.max(other.min);
        (oldest <= newest).then_some(newest)
    }
}
