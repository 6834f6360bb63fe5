//! Scenarios: what is done to the servers while people use them.

pub mod chaos;
pub mod cross;
pub mod matching;

/// Prints a line of progress during a run.
pub type Say = fn(String);
