//! Locks that were taken on this thread: for the test of what a message costs, and in tests alone.

use std::cell::Cell;

thread_local! {
    static CHAT_LOCKS: Cell<u64> = const { Cell::new(0) };
    static USER_LOCKS: Cell<u64> = const { Cell::new(0) };
}

/// The state of a chat is locked.
pub fn count_chat_lock() {
    CHAT_LOCKS.set(CHAT_LOCKS.get() + 1);
}

/// The state of a user is locked.
pub fn count_user_lock() {
    USER_LOCKS.set(USER_LOCKS.get() + 1);
}

/// How often the state of a chat was locked.
pub fn chat_locks() -> u64 {
    CHAT_LOCKS.get()
}

/// How often the state of a user was locked.
pub fn user_locks() -> u64 {
    USER_LOCKS.get()
}
