//! A global allocator that counts while it is asked to: how many bytes are live, and how often memory was asked for.
//!
//! Owns the process-wide tallies. When nobody counts, an allocation costs one relaxed load more than the system's.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicUsize, Ordering};

pub struct Counting;

static ARMED: AtomicBool = AtomicBool::new(false);
static LIVE_BYTES: AtomicIsize = AtomicIsize::new(0);
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

/// Counts from here on, until dropped. One at a time: the tallies are the process's.
pub struct Count(());

impl Count {
    pub fn start() -> Self {
        LIVE_BYTES.store(0, Ordering::SeqCst);
        ALLOCATIONS.store(0, Ordering::SeqCst);
        ARMED.store(true, Ordering::SeqCst);
        Self(())
    }

    /// Bytes allocated less bytes freed since the start.
    pub fn live_bytes(&self) -> isize {
        LIVE_BYTES.load(Ordering::SeqCst)
    }

    /// Blocks allocated since the start, and blocks moved or grown.
    pub fn allocations(&self) -> usize {
        ALLOCATIONS.load(Ordering::SeqCst)
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        ARMED.store(false, Ordering::SeqCst);
    }
}

fn record(bytes: isize, allocations: usize) {
    if ARMED.load(Ordering::Relaxed) {
        LIVE_BYTES.fetch_add(bytes, Ordering::Relaxed);
        ALLOCATIONS.fetch_add(allocations, Ordering::Relaxed);
    }
}

// SAFETY: every call goes to `System` unchanged; counting neither touches the memory nor allocates.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        record(layout.size() as isize, 1);
        // SAFETY: the caller's promises are `System`'s.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        record(-(layout.size() as isize), 0);
        // SAFETY: `block` came from `System`, with this layout.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        record(layout.size() as isize, 1);
        // SAFETY: the caller's promises are `System`'s.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        record(new_size as isize - layout.size() as isize, 1);
        // SAFETY: `block` came from `System`, with this layout.
        unsafe { System.realloc(block, layout, new_size) }
    }
}
