//! The NoWrong realtime protocol: what client and server say to each other, and in which order.
//!
//! This crate owns the wire: [`frame`]s and their table, the [`codec`] of their bodies, the
//! [`envelope`] around them, the [`conversation`] of two peers, [`copies`] for links that lose packets, the [`proof`] of work of a registration,
//! [`code`]s, [`limits`], [`id`]s and [`version`]s. It never does IO, reads no clock and draws no random number: bytes, time and
//! randomness come in as arguments.
//! `SPEC.md` beside this crate says the same in prose, and `vectors/` freezes the bytes.
//!
//! Start reading at [`frame`].

#![forbid(unsafe_code)]

pub mod code;
pub mod codec;
pub mod conversation;
pub mod copies;
pub mod envelope;
pub mod frame;
pub mod id;
pub mod limits;
pub mod position;
pub mod proof;
pub mod version;
mod wire;

pub use code::{CloseCode, ErrorCode};
pub use frame::{ClientFrame, ServerFrame};
pub use id::{ChatId, ClientMessageId, ConnectionId, TicketId, UserId};
pub use position::Position;
pub use wire::Framed;
