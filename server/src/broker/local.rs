//! The broker of a single node.
