//! The decisions of the NoWrong server, without IO.
//!
//! Nothing here reads a clock, draws a random number, awaits, or touches a socket or a file: time,
//! randomness and bytes come in as arguments, decisions go out as values. The server performs them.
//!
//! | module | decides | promises of the whole system that depend on it |
//! |---|---|---|
//! | [`matching`] | which tickets are proposed to each other, and which a ticket accepts when | G6, G7 |
//! | [`chat`] | a node's knowledge of a chat, and what a client does not know yet | G1, G2, G3, G4 |
//! | [`chat_log`] | where a message stands, whether it is a repetition, where a client continues | G2, G3, G4 |
//! | [`clock`] | the node's time, whose clock is wrong, and when a node leaves for it | G8 |
//! | [`day_keys`] | which day key wraps what is stored, and when it is made and destroyed | G8 |
//! | [`disk`] | when a disk is too full for new things | G10 |
//! | [`limiter`] | how often each key may do something | G10 |
//! | [`network`] | where a request comes from when proxies hand it on | |
//! | [`node`] | the name of a node, and what nodes know of each other | |
//! | [`pace`] | how fast one client may go | G10 |
//! | [`placement`] | which node a client is sent to | |
//! | [`record`] | the data of accounts, chats and messages | G8 |
//! | [`refresh`] | whether a refresh token that comes again is repeated or stolen | |
//! | [`text`] | what people may write, and which names look alike | G10, G11 |
//!
//! Each module is tested against a naive model of itself. Hash maps are used where their order does
//! not matter; nothing iterates one. Start reading at [`matching::Pool`].

#![forbid(unsafe_code)]

pub mod chat;
pub mod chat_log;
pub mod clock;
pub mod day_keys;
pub mod disk;
pub mod limiter;
pub mod matching;
pub mod network;
pub mod node;
pub mod pace;
pub mod placement;
pub mod proof;
pub mod record;
pub mod recovery;
pub mod refresh;
pub mod text;
