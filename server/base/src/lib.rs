//! Shared by every part of the server: the clock, randomness, locks, metrics, streams that sleep, the reading of
//! files, and types that keep secrets and addresses out of logs.
//!
//! Nothing here knows of chats, stores or transports.

#![forbid(unsafe_code)]

pub mod clock;
pub mod dormant;
pub mod files;
pub mod lock;
pub mod metrics;
pub mod privacy;
pub mod random;
pub mod seal;
pub mod secret;
