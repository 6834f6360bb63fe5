//! The decisions of the NoWrong server, without IO.
//!
//! Nothing here reads a clock, draws a random number, awaits, or touches a socket or a file: time,
//! randomness and bytes come in as arguments, decisions go out as values. The server performs them.

#![forbid(unsafe_code)]

pub mod chat_log;
pub mod limiter;
pub mod matching;
pub mod text;
