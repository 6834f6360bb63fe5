//! How fast NoWrong is, side by side with its alternatives and with the physical floor.
//!
//! One [`workload`] runs on pluggable [`target`]s: the measured server runs on one core, the
//! generator on the other. Messages are sent at the scheduled times, whether earlier ones have
//! arrived or not, and latency counts from the schedule, so a server cannot hide a stall
//! (<https://www.scylladb.com/2021/04/22/on-coordinated-omission/>). Rounds of the targets
//! alternate, and every message is accounted for.
//!
//! Pure, and tested here: [`arrivals`], [`ledger`], [`latencies`], [`saturation`], [`search`],
//! [`spread`], [`compare`], [`dialect`] and [`report`]. IO around them: [`wire`], [`drive`], [`joining`], [`process`],
//! [`counters`], [`target`], [`scenario`]. Start reading at [`scenario::Case`].
//!
//! It talks to processes that it started, over loopback, for a bounded time.

#![forbid(unsafe_code)]

pub mod arrivals;
pub mod compare;
pub mod counters;
pub mod dialect;
pub mod drive;
pub mod joining;
pub mod latencies;
pub mod ledger;
pub mod machine;
pub mod metric;
pub mod process;
pub mod relay;
pub mod report;
pub mod saturation;
pub mod scenario;
pub mod search;
pub mod spread;
pub mod target;
pub mod wire;
pub mod workload;
