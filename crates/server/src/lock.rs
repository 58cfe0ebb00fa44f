//! Locking that outlives a panicking thread.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes the lock; a thread that panicked while holding it does not stop the others.
///
/// Every critical section of this crate leaves its data usable at each step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
