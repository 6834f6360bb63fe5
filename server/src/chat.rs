//! Chats of this node.
