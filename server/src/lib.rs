//! The NoWrong server: one process that speaks WebTransport, WebSocket and REST.
//!
//! Layers, each of which knows only those below: `main → config → server`, then [`api`] and
//! [`transport`], then [`connection`], [`hub`], [`chat`], [`matching`], then the traits [`store`]
//! and [`broker`] with their adapters. No adapter knows another. What is decided without IO lives in
//! `nowrong-core` and `nowrong-protocol`; this crate performs it.

#![forbid(unsafe_code)]

pub mod api;
pub mod auth;
pub mod broker;
pub mod chat;
pub mod clock;
pub mod config;
pub mod connection;
pub mod environment;
pub mod hub;
pub mod inbox;
mod lock;
pub mod matching;
pub mod metrics;
pub mod node;
pub mod privacy;
pub mod random;
pub mod refusal;
pub mod server;
pub mod store;
pub mod transport;
