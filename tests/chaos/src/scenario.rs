//! What is done to the servers while people use them.

pub mod chaos;
pub mod cross;
pub mod matching;

/// What a run says while it goes on.
pub type Say = fn(String);
