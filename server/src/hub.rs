//! Registry of connections.
