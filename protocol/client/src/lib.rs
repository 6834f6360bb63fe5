//! A native NoWrong client, over WebTransport and over WebSocket.
//!
//! ```no_run
//! use nowrong_client::{Api, ChatEvent, Client, ConnectOptions, NewAccount};
//!
//! # async fn example() -> Result<(), nowrong_client::Error> {
//! let user = Api::new("http://127.0.0.1:8080")?.register(&NewAccount::named("Ana")).await?;
//! let client = Client::connect(&user, ConnectOptions::default()).await?;
//! let mut chat = client.join("music", &[]).await?.matched().await?;
//! chat.send("Hello!").await?; // returns when the message is durable
//! while let Some(event) = chat.next_event().await {
//!     if let ChatEvent::Message(message) = event {
//!         println!("{:?}", message.body);
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`Client`], [`Ticket`] and [`Chat`] are handles: they speak to one task, which owns the connection
//! and everything that outlives a connection. When the link is lost, the task connects again,
//! resumes, and sends every unacked message again. The task ends when the last handle is dropped.
//!
//! Decisions that need no IO are in pure modules of their own: the [`log`] of messages, the
//! [`outbox`], the [`backoff`]; the rules of the connection are in
//! [`nowrong_protocol::conversation`]. The feature `testing` adds what only tests of a server need:
//! `RawConnection`, which sends any frame and any bytes, right or wrong; `Client::cut`; a
//! record of everything that came over the wire; and the attempts to connect, with their outcomes.

#![forbid(unsafe_code)]

pub mod api;
pub mod backoff;
mod chat;
mod client;
mod error;
mod link;
pub mod log;
pub mod outbox;
#[cfg(feature = "testing")]
mod raw;
mod ticket;

pub use api::{
    Account, AccountChange, Api, ApiError, Category, Challenge, Connect, Endpoint, NewAccount, User,
};
#[cfg(any(test, feature = "testing"))]
pub use chat::Recorded;
pub use chat::{Chat, ChatEvent, ChatView, Outgoing, Sent};
#[cfg(feature = "testing")]
pub use client::attempts::Attempt;
pub use client::{Client, ConnectOptions, ConnectionState};
pub use error::Error;
pub use link::{LinkError, LinkOptions, Received, Transport};
#[cfg(feature = "testing")]
pub use raw::{RawConnection, RawError};
pub use ticket::Ticket;
