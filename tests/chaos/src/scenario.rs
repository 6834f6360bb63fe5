//! What is done to the servers while people use them.

pub mod chaos;
