//! What the user of a node must be able to run: found at the start, so that a node which says `ready` can do
//! all of its work. `rights.lua` is the list.
//!
//! `EVALSHA` and `CONFIG GET` are used at the start anyway; `HELLO` is sent with `?protocol=resp3` alone, before
//! anything else.

use redis::Cmd;

use super::{
    connection::{ConnectError, Connection, explain},
    url::RedisUrl,
};

/// The probe. It is sent as a text, because a node that finds its scripts in Redis would notice only later
/// that it may not run `EVAL`.
const PROBE: &str = include_str!("rights.lua");

/// Runs every command that a node uses once, in two keys in one slot that nothing else uses and of which
/// nothing stays.
///
/// # Errors
/// [`ConnectError::Forbidden`], with all commands that are missing.
pub(super) async fn check(
    connection: &Connection,
    url: &RedisUrl,
    keys: [String; 2],
) -> Result<(), ConnectError> {
    let probe = probe(&keys);
    let missing = connection.query::<Vec<String>>("rights", &probe).await;
    let missing = missing.map_err(|fault| explain(url, fault.error()))?;
    match missing.is_empty() {
        true => Ok(()),
        false => Err(ConnectError::Forbidden {
            url: url.to_string(),
            command: missing.join(", "),
        }),
    }
}

fn probe(keys: &[String; 2]) -> Cmd {
    let mut command = redis::cmd("EVAL");
    command.arg(PROBE).arg(keys.len()).arg(keys);
    command
}
