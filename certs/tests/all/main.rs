//! Identities and handshakes, from outside. One program: each would link TLS once more.

mod faults;
mod handshake;
mod identity;
