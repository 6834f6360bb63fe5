//! The NoWrong server: one process that speaks WebTransport, WebSocket and REST.
//!
//! Layers, each of which knows only the layers below it: `program → config → server`, then `api`
//! and `transport`, then `connection`, then `node` with `hub`, `chat` and `matching`, then the
//! traits of store and broker, whose adapters are crates of their own. Decisions that need no IO
//! are in `nowrong-core` and `nowrong-protocol`; this crate performs them. Only the program uses
//! this crate, so everything but [`main`] is private and the compiler sees what nothing uses.

#![forbid(unsafe_code)]
#![allow(
    unreachable_pub,
    reason = "nothing depends on this crate but its program: `pub` means used by another module"
)]

mod alarm;
mod api;
mod auth;
mod chat;
mod config;
mod connection;
#[cfg(test)]
mod counted;
#[cfg_attr(
    not(feature = "mongodb"),
    expect(dead_code, reason = "only the store on MongoDB wraps")
)]
mod day_keys;
mod disk;
mod environment;
mod hub;
mod inbox;
mod matching;
mod node;
mod observe;
mod peer;
mod program;
mod refusal;
mod server;
mod timekeeper;
mod transport;

pub use program::main;
