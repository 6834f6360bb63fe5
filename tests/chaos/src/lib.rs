//! The test behind the promises: people chat through the real client with the real binary on real
//! MongoDB and Redis, while processes are killed, stopped and restarted.
//!
//! Each person keeps a [`diary`] of what they did, saw and were told. At the end the [`checker`],
//! which is pure and knows nothing of servers, checks the promises against the diaries. A
//! [`schedule`] made from a seed decides what breaks when. IO around them: [`cluster`], [`faults`],
//! [`door`], the people ([`guest`], [`pair`], [`wanderer`]), [`aftermath`]. Start reading at
//! [`scenario::chaos`]. Two scenarios measure instead, with the generator of the bench:
//! [`scenario::matching`] and [`scenario::cross`], whose people are a [`crowd`].
//!
//! It talks to processes that it started, over loopback, for a bounded time.

#![forbid(unsafe_code)]

pub mod aftermath;
pub mod checker;
pub mod cluster;
pub mod crew;
pub mod crowd;
pub mod diary;
pub mod door;
pub mod faults;
pub mod guest;
pub mod metrics;
pub mod pair;
pub mod report;
pub mod scenario;
pub mod schedule;
pub mod wanderer;
