//! The memory of large blocks, used again instead of being given back to the operating system and cleared by it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// The system's allocator, except that blocks of a mebibyte and more are kept when they are freed, and serve the next
/// time when one of about their size is wanted. Each step of a picture wants the same ones, and the operating system
/// would clear every page of every one of them. Linux is asked for huge pages, of which the processor finds more
/// without looking them up.
///
/// All of this begins when the first weights are opened: who packs or unpacks a bundle wants the memory back, and
/// calls [`Recycling::large_blocks_go_back`] first.
///
/// ```
/// #[global_allocator]
/// static MEMORY: engine::Recycling = engine::Recycling::new();
/// ```
pub struct Recycling(Mutex<Shelf>);

/// Smaller blocks are left to the system.
const LEAST: usize = 1 << 20;
/// Bytes that are kept at most; what was freed first leaves first.
const MOST: usize = 384 << 20;
/// Blocks that are kept at most.
const BLOCKS: usize = 96;
/// Where large blocks begin: at a page, and from two huge pages on at a huge page.
const PAGE: usize = 4096;
const HUGE_PAGE: usize = 2 << 20;

/// Are blocks kept?
static KEEPING: AtomicBool = AtomicBool::new(false);

/// From now on, blocks are kept.
pub(crate) fn keep_blocks() {
    KEEPING.store(true, Relaxed);
}

/// Freed blocks, the oldest first.
struct Shelf {
    blocks: [(usize, usize); BLOCKS],
    count: usize,
    bytes: usize,
}

impl Shelf {
    /// The address of a block of that size, the one that was freed last.
    fn take(&mut self, size: usize) -> Option<usize> {
        let at = self.blocks[..self.count].iter().rposition(|&(_, found)| found == size)?;
        Some(self.remove(at).0)
    }

    fn remove(&mut self, at: usize) -> (usize, usize) {
        let block = self.blocks[at];
        self.blocks.copy_within(at + 1..self.count, at);
        self.count -= 1;
        self.bytes -= block.1;
        block
    }
}

impl Recycling {
    /// An allocator that keeps nothing yet.
    pub const fn new() -> Self {
        Self(Mutex::new(Shelf { blocks: [(0, 0); BLOCKS], count: 0, bytes: 0 }))
    }

    /// From now on, large blocks that nobody keeps go back to the operating system when they are freed. The GNU
    /// allocator would raise the size from which it does so to that of the largest block it has seen, and hold on to
    /// the holes between those that live.
    #[cfg_attr(all(target_os = "linux", target_env = "gnu"), expect(unsafe_code, reason = "calls the C library"))]
    pub fn large_blocks_go_back() {
        // SAFETY: it sets a number of the allocator, behind its own lock.
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, LEAST as libc::c_int);
        }
    }

    fn take(&self, size: usize) -> Option<*mut u8> {
        let address = self.0.lock().unwrap_or_else(PoisonError::into_inner).take(size)?;
        Some(std::ptr::with_exposed_provenance_mut(address))
    }
}

impl Default for Recycling {
    fn default() -> Self {
        Self::new()
    }
}

/// What is really allocated for a large block: an eighth of a power of two more at most, so that blocks of about one
/// size can stand in for each other. `None` for a block that is left to the system.
fn rounded(layout: Layout) -> Option<Layout> {
    let size = layout.size();
    if size < LEAST || layout.align() > PAGE {
        return None;
    }
    let step = 1_usize << (size.ilog2() - 3);
    let size = size.checked_next_multiple_of(step)?;
    Layout::from_size_align(size, alignment(size)).ok()
}

fn alignment(size: usize) -> usize {
    if size < 2 * HUGE_PAGE { PAGE } else { HUGE_PAGE }
}

/// A new large block.
///
/// # Safety
/// As [`GlobalAlloc::alloc`]; the layout comes from [`rounded`].
#[expect(unsafe_code, reason = "allocates")]
unsafe fn new_block(large: Layout) -> *mut u8 {
    // SAFETY: the caller vouches for the layout.
    let block = unsafe { System.alloc(large) };
    #[cfg(target_os = "linux")]
    if large.align() == HUGE_PAGE && !block.is_null() && KEEPING.load(Relaxed) {
        // SAFETY: the block is this long and nobody's yet; the advice changes nothing of what is in it. A system
        // without huge pages refuses, which costs time and nothing else.
        unsafe { libc::madvise(block.cast(), large.size(), libc::MADV_HUGEPAGE) };
    }
    block
}

// SAFETY: blocks come from the system's allocator, with the layout that `rounded` makes of the caller's, and go back to
// it with the same, which depends on the caller's only. A block on the shelf belongs to nobody, and leaves the shelf
// before anybody gets it. Nothing in here allocates or panics: the shelf is an array, and indices stay below its count.
#[expect(unsafe_code, reason = "this is an allocator")]
unsafe impl GlobalAlloc for Recycling {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match rounded(layout) {
            Some(large) => self.take(large.size()).unwrap_or_else(|| unsafe { new_block(large) }),
            None => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if rounded(layout).is_none() {
            return unsafe { System.alloc_zeroed(layout) };
        }
        // SAFETY: a block is as long as the layout that it was allocated for.
        unsafe {
            let block = self.alloc(layout);
            if !block.is_null() {
                block.write_bytes(0, layout.size());
            }
            block
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(large) = rounded(layout) else { return unsafe { System.dealloc(block, layout) } };
        if large.size() > MOST || !KEEPING.load(Relaxed) {
            return unsafe { System.dealloc(block, large) };
        }
        let mut shelf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while shelf.count == BLOCKS || shelf.bytes + large.size() > MOST {
            let (address, size) = shelf.remove(0);
            unsafe {
                let layout = Layout::from_size_align_unchecked(size, alignment(size));
                System.dealloc(std::ptr::with_exposed_provenance_mut(address), layout);
            }
        }
        let at = shelf.count;
        shelf.blocks[at] = (block.expose_provenance(), large.size());
        shelf.count += 1;
        shelf.bytes += large.size();
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Ok(wanted) = Layout::from_size_align(size, layout.align()) else { return std::ptr::null_mut() };
        match (rounded(layout), rounded(wanted)) {
            (None, None) => unsafe { System.realloc(block, layout, size) },
            (Some(old), Some(new)) if old == new => block,
            _ => unsafe {
                let moved = self.alloc(wanted);
                if !moved.is_null() {
                    block.copy_to_nonoverlapping(moved, layout.size().min(size));
                    self.dealloc(block, layout);
                }
                moved
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, 4).expect("a layout")
    }

    /// Allocates, fills, and returns the address.
    #[expect(unsafe_code, reason = "calls an allocator")]
    fn filled(memory: &Recycling, size: usize) -> *mut u8 {
        // SAFETY: the size is not zero; the block has that size.
        unsafe {
            let block = memory.alloc(layout(size));
            assert!(!block.is_null());
            block.write_bytes(7, size);
            block
        }
    }

    #[expect(unsafe_code, reason = "calls an allocator")]
    fn free(memory: &Recycling, block: *mut u8, size: usize) {
        // SAFETY: the block is of this allocator and size, and nobody else has it.
        unsafe { memory.dealloc(block, layout(size)) };
    }

    #[test]
    #[expect(unsafe_code, reason = "calls an allocator")]
    fn a_freed_block_serves_again_and_is_cleared_if_asked_for() {
        keep_blocks();
        let memory = Recycling::new();
        let (size, similar) = (5 << 20, (5 << 20) - 1000);
        let block = filled(&memory, size);
        free(&memory, block, size);
        let again = filled(&memory, similar);
        assert_eq!(again, block);
        let another = filled(&memory, size);
        assert_ne!(another, block);
        free(&memory, again, similar);
        // SAFETY: the size is not zero; the block has that size.
        unsafe {
            let cleared = memory.alloc_zeroed(layout(size));
            assert_eq!(cleared, block);
            assert!(std::slice::from_raw_parts(cleared, size).iter().all(|&byte| byte == 0));
            free(&memory, cleared, size);
        }
        free(&memory, another, size);
    }

    #[test]
    #[expect(unsafe_code, reason = "calls an allocator")]
    fn blocks_keep_their_bytes_when_they_grow_and_shrink() {
        let memory = Recycling::new();
        let mut size = 1000;
        let mut block = filled(&memory, size);
        for next in [LEAST - 1, LEAST, LEAST + 1, 3 * LEAST, 3 * LEAST + 5, 20 * LEAST, LEAST, 10] {
            // SAFETY: the block is of this allocator and size, and the new size is not zero.
            unsafe {
                block = memory.realloc(block, layout(size), next);
                assert!(std::slice::from_raw_parts(block, size.min(next)).iter().all(|&byte| byte == 7));
                block.write_bytes(7, next);
            }
            size = next;
        }
        free(&memory, block, size);
    }

    #[test]
    fn what_is_kept_stays_within_its_bounds() {
        keep_blocks();
        let memory = Recycling::new();
        let sizes: Vec<usize> = (0..3 * BLOCKS).map(|i| LEAST << (i % 8)).collect();
        let blocks: Vec<*mut u8> = sizes.iter().map(|&size| filled(&memory, size)).collect();
        for (block, size) in blocks.into_iter().zip(sizes) {
            free(&memory, block, size);
            let shelf = memory.0.lock().expect("the shelf");
            assert!(shelf.count <= BLOCKS && shelf.bytes <= MOST);
            assert_eq!(shelf.bytes, shelf.blocks[..shelf.count].iter().map(|block| block.1).sum::<usize>());
        }
    }
}
