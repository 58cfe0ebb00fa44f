//! Memory for intermediate results that is used again instead of being cleared by the operating system each time.

use std::sync::{Mutex, PoisonError};

/// Buffers that nobody uses at the moment.
static FREE: Mutex<Vec<Vec<f32>>> = Mutex::new(Vec::new());

/// Buffers that are kept; one more is given back to the system.
const KEPT: usize = 64;

/// A buffer with whatever its last user left in it; goes back when it is dropped.
pub(super) struct Scratch(Vec<f32>);

impl Scratch {
    /// A buffer of `length` elements: the smallest free one that is long enough, or a new one.
    pub(super) fn take(length: usize) -> Self {
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        let fitting = free.iter().enumerate().filter(|(_, buffer)| buffer.len() >= length);
        let best = fitting.min_by_key(|(_, buffer)| buffer.len()).map(|(at, _)| at);
        // nothing fits: the largest free one makes room
        let largest = || free.iter().enumerate().max_by_key(|(_, buffer)| buffer.len()).map(|(at, _)| at);
        match best {
            Some(at) => Self(free.swap_remove(at)),
            None => {
                if let Some(at) = largest() {
                    free.swap_remove(at);
                }
                drop(free);
                Self(vec![0.0; length])
            }
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < KEPT {
            free.push(std::mem::take(&mut self.0));
        }
    }
}

impl std::ops::Deref for Scratch {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.0
    }
}

impl std::ops::DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.0
    }
}
