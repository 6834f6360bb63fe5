//! Time as records keep it.

/// Milliseconds since the Unix epoch.
pub type UnixMs = u64;
