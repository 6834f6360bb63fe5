//! What a client tried in order to be connected, with its times: for tests that ask why somebody waited.

use std::time::Instant;

/// One step on the way to a connection.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// When it happened.
    pub at: Instant,
    /// What happened, in words for an engineer.
    pub step: String,
}

/// All steps of a client, in order. Grows without bound when it is on.
#[derive(Debug)]
pub(super) struct Attempts {
    steps: Vec<Attempt>,
    is_on: bool,
}

impl Attempts {
    pub(super) fn new(is_on: bool) -> Self {
        let steps = Vec::new();
        Self { steps, is_on }
    }

    pub(super) fn note(&mut self, step: impl FnOnce() -> String) {
        if self.is_on {
            let (at, step) = (Instant::now(), step());
            self.steps.push(Attempt { at, step });
        }
    }

    pub(super) fn all(&self) -> Vec<Attempt> {
        self.steps.clone()
    }
}
