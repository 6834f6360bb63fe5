//! The time in records.

/// Milliseconds since the Unix epoch.
pub type UnixMs = u64;
