//! The bench, small: that it measures everything, not how fast that is.

use std::path::Path;

use crate::{
    bench::{self, BenchArgs},
    part::Form,
};

/// Writing and coming back: what the other scenarios are made of.
const SCENARIOS: [&str; 2] = ["pairs", "storm"];

/// Both transports, and what has no code of ours.
const TARGETS: &str = "nowrong-webtransport,nowrong-websocket,socketio";

/// Runs two scenarios on three targets, in the long form every scenario on every target: with few people
/// and for short times.
///
/// # Errors
/// When something cannot be measured, or a message is lost, repeated or out of order.
pub fn bench(root: &Path, form: Form) -> anyhow::Result<()> {
    bench::bench(
        root,
        &form.of(
            BenchArgs::quick(&SCENARIOS, Some(TARGETS)),
            BenchArgs::quick(&[], None),
        ),
    )
}
