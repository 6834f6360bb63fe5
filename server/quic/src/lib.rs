//! The QUIC endpoint of the server.
//!
//! | module | owns |
//! |---|---|
//! | [`key`] | the secret by which a restarted server is still known to its clients |
//! | [`admission_queue`] | whose handshake begins, when many clients come at once |
//! | [`runtime`] | how the endpoint's own task shares the processor with its connections |
//! | [`dormant`] | streams that are polled only when they have news |

#![forbid(unsafe_code)]

pub mod admission_queue;
pub mod dormant;
pub mod key;
pub mod runtime;
