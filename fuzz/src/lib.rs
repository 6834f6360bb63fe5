//! The fuzz targets as plain functions: the targets call them with new bytes, and `tests/replay.rs`
//! with the corpora, on any toolchain.
//!
//! Every target takes raw bytes in a form that its module describes, so that a corpus can be
//! written by hand; `UPDATE_CORPUS=1 cargo test` rewrites the seeds from `protocol/vectors`. Only
//! [`memory`] and [`mirror`] have unsafe code: an allocator and the traits of wincode require it.

#![warn(missing_docs, unreachable_pub)]

pub mod codec_diff;
pub mod conversation;
pub mod decode;
pub mod envelope;
pub mod forwarding;
pub mod http3;
pub mod memory;
pub mod mirror;
pub mod names;
pub mod proof;
pub mod roundtrip;

/// A fuzz target: panics when a promise is broken.
pub type Target = fn(&[u8]);

/// The targets, by name.
pub const TARGETS: [(&str, Target); 9] = [
    ("decode", decode::run),
    ("roundtrip", roundtrip::run),
    ("envelope", envelope::run),
    ("conversation", conversation::run),
    ("codec_diff", codec_diff::run),
    ("http3", http3::run),
    ("forwarding", forwarding::run),
    ("names", names::run),
    ("proof", proof::run),
];
