//! Locks of short, pure steps. Never held over an await.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, also after a panic of another holder: the states behind these locks are valid between any
/// two statements.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
