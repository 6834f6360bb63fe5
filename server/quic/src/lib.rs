//! The QUIC endpoint of the server: a socket, connections, streams and datagrams, and the queue of clients
//! that want to connect.
//!
//! This crate is the one place of the server that knows which implementation of QUIC it stands on (quinn).
//! Its types wrap quinn's one to one and have the methods that the transport needs, so that another
//! implementation can stand behind them: no type and no error of quinn is in a public signature.
//! It never decides what bytes mean; HTTP/3 and WebTransport are the transport's.
//!
//! | module | owns |
//! |---|---|
//! | [`endpoint`] | the socket, and the bounds of every connection |
//! | [`connection`] | a client, from its first packet to its close code |
//! | [`stream`] | the two directions of a stream |
//! | [`admission_queue`] | which handshake begins next, when many clients come at once |
//! | [`shares`] | which network makes room when there is none left |
//! | [`key`] | the secret with which a restarted server can end the connections of its last run |
//! | [`runtime`] | how often the endpoint's own task reads its socket |
//!
//! Start reading at [`Endpoint::bind`].

#![forbid(unsafe_code)]

mod admission_queue;
mod connection;
mod endpoint;
mod key;
mod runtime;
mod shares;
mod stream;
#[cfg(test)]
mod tests;
pub use self::{
    admission_queue::{AdmissionQueue, Place, Turn},
    connection::{ApplicationCode, Connecting, Connection, ConnectionError, Incoming, PathStats},
    endpoint::{BindError, Endpoint},
    key::QuicKey,
    stream::{ReadError, RecvStream, SendStream, WriteError},
};
