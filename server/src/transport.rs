//! The transports: [`webtransport`] and [`websocket`] accept clients and make each of them a
//! [`Link`](crate::connection::Link).
//!
//! They check the `Origin` and hold each phase before the conversation to a deadline. A transport
//! never decides what bytes mean.

pub mod door;
pub mod websocket;
pub mod webtransport;
