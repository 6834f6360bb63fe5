//! Access, refresh and connect tokens.
