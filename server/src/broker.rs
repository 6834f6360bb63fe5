//! Coordination trait.
