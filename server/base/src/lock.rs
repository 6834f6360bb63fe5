//! Locks of short, pure steps. Never held over an await.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, taking over what a panicked holder left: the states behind these locks are valid between
/// statements.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
