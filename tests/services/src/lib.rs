//! Real MongoDB and Redis on loopback, for tests and for development.
//!
//! [`mongodb::ReplicaSet`] and [`redis::Redis`] start processes of their own on free ports, each in
//! a folder of its own, return when they can be used, and end them when dropped. [`shared`] finds
//! the servers that `cargo xtask services up` started for everyone. Nothing here speaks more of a
//! protocol than is needed to see that a server is ready; a test brings its own client.

#![forbid(unsafe_code)]

pub mod bson;
pub mod mongodb;
pub mod process;
pub mod redis;
mod server;
pub mod shared;

use std::{net::TcpListener, time::Duration};

/// The secret of all clusters of tests and development, as `cluster_secret`.
pub const CLUSTER_SECRET: &str = "a secret for tests and development";

/// The variable that gives it to a node, and its value.
pub const CLUSTER_SECRET_ENV: (&str, &str) = ("NOWRONG_CLUSTER_SECRET", CLUSTER_SECRET);

/// How long a server may take to get ready. Generous: machines that run tests are busy.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A port of the loopback address that is free now.
///
/// # Errors
/// When the machine has none.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
