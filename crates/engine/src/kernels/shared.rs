//! A result that several threads write to, each its own places.

use std::marker::PhantomData;

/// Lends out parts of a slice to threads that have agreed on who writes where.
pub(super) struct Shared<'a> {
    start: *mut f32,
    length: usize,
    slice: PhantomData<&'a mut [f32]>,
}

// SAFETY: the pointer stands for a mutable slice of plain numbers; every access goes through `part`, whose caller
// promises that no two threads hold overlapping parts.
#[expect(unsafe_code, reason = "columns of one matrix, written by several threads, cannot be split into slices")]
unsafe impl Sync for Shared<'_> {}

impl<'a> Shared<'a> {
    pub(super) fn new(slice: &'a mut [f32]) -> Self {
        Self { start: slice.as_mut_ptr(), length: slice.len(), slice: PhantomData }
    }

    /// The elements `start..start + length`.
    ///
    /// # Safety
    /// As long as the part lives, nobody else may hold a part that overlaps it.
    ///
    /// # Panics
    /// When there are not so many elements.
    #[expect(unsafe_code, clippy::mut_from_ref, reason = "see the type")]
    #[inline(always)]
    pub(super) unsafe fn part(&self, start: usize, length: usize) -> &mut [f32] {
        assert!(start <= self.length && length <= self.length - start, "a part beyond the end of the result");
        // SAFETY: in bounds by the assertion; exclusive by the caller's promise; `'a` keeps the slice borrowed.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), length) }
    }
}
