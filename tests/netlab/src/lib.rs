//! A link that behaves as badly as it is told to: an emulator over two TUN devices, one in the network
//! namespace of the caller, one in a namespace of its own.
//!
//! [`Lab`] is what users start; it runs the program `netlab`, which is [`Link`]. The fate of a
//! packet is decided in [`impairment`], which is pure and seeded. Linux only; it needs the right to
//! make network namespaces and TUN devices.

#![forbid(unsafe_code)]

pub mod conditions;
pub mod impairment;
mod lab;
mod link;

pub use conditions::{Conditions, Counts, Direction, Loss, Request};
pub use lab::{INSIDE, Lab, OUTSIDE};
pub use link::Link;
