//! Databases on the server that all tests share, for tests of this crate and of the crates that use
//! it.

#![allow(clippy::unwrap_used, reason = "a test that cannot start has failed")]

use std::time::Duration;

use nowrong_base::{privacy::Redacted, random};
use services::shared::{Setting, find};

use super::MongoOptions;

/// A database of its own on the shared server.
pub fn shared() -> MongoOptions {
    options(&find(Setting::Mongodb).unwrap())
}

/// A new database on the server at `url`, as `services` names it.
pub(crate) fn options(url: &str) -> MongoOptions {
    let name = random::bytes::<8>().map(|byte| format!("{byte:02x}"));
    let url = url.replace("/?", &format!("/test_{}?", name.concat()));
    MongoOptions {
        url: Redacted::new(url),
        connections_max: 32,
        // Generous: machines that run tests are busy.
        timeout: Duration::from_secs(30),
    }
}
