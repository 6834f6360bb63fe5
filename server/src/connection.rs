//! Drives the conversation over a link.
