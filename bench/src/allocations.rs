//! A global allocator that knows how many bytes are live while it is asked to count.
//!
//! Owns the process-wide tally. When nobody counts, an allocation costs one relaxed load more than the system's.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};

pub struct Counting;

static ARMED: AtomicBool = AtomicBool::new(false);
static LIVE_BYTES: AtomicIsize = AtomicIsize::new(0);

/// Counts from here on, until dropped. One at a time: the tally is the process's.
pub struct Count(());

impl Count {
    pub fn start() -> Self {
        LIVE_BYTES.store(0, Ordering::SeqCst);
        ARMED.store(true, Ordering::SeqCst);
        Self(())
    }

    /// Bytes allocated less bytes freed since the start.
    pub fn live_bytes(&self) -> isize {
        LIVE_BYTES.load(Ordering::SeqCst)
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        ARMED.store(false, Ordering::SeqCst);
    }
}

fn record(bytes: isize) {
    if ARMED.load(Ordering::Relaxed) {
        LIVE_BYTES.fetch_add(bytes, Ordering::Relaxed);
    }
}

// SAFETY: every call goes to `System` unchanged; counting neither touches the memory nor allocates.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        record(layout.size() as isize);
        // SAFETY: the caller's promises are `System`'s.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        record(-(layout.size() as isize));
        // SAFETY: `block` came from `System`, with this layout.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        record(layout.size() as isize);
        // SAFETY: the caller's promises are `System`'s.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        record(new_size as isize - layout.size() as isize);
        // SAFETY: `block` came from `System`, with this layout.
        unsafe { System.realloc(block, layout, new_size) }
    }
}
