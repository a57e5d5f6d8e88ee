//! A waker that does something while it is being cloned.
//!
//! A future that is about to wait clones the waker it was polled with: after it looked for what it wants, and before
//! it is in the queue. What other threads may do in that moment, and seldom do, such a waker does every time.

use std::mem::ManuallyDrop;
use std::sync::{Arc, Mutex};
use std::task::{RawWaker, RawWakerVTable, Waker};

type Act = Box<dyn FnOnce() + Send>;

struct Interposed {
    at_clone: Mutex<Option<Act>>,
}

/// A waker that runs `act` the first time it is cloned, and wakes nobody.
pub fn at_clone(act: impl FnOnce() + Send + 'static) -> Waker {
    let interposed = Arc::new(Interposed {
        at_clone: Mutex::new(Some(Box::new(act))),
    });
    // SAFETY: the table's functions are for what `raw` makes, and keep count as `Arc` does.
    unsafe { Waker::from_raw(raw(interposed)) }
}

fn raw(interposed: Arc<Interposed>) -> RawWaker {
    RawWaker::new(Arc::into_raw(interposed).cast(), &TABLE)
}

static TABLE: RawWakerVTable = RawWakerVTable::new(clone, release, |_| {}, release);

fn clone(data: *const ()) -> RawWaker {
    // SAFETY: `data` came from `Arc::into_raw` in `raw`; the count it stands for is left alone.
    let own = ManuallyDrop::new(unsafe { Arc::from_raw(data.cast::<Interposed>()) });
    let act = own.at_clone.lock().unwrap().take();
    if let Some(act) = act {
        act();
    }
    raw(Arc::clone(&own))
}

fn release(data: *const ()) {
    // SAFETY: `data` came from `Arc::into_raw` in `raw`, and its owner gives its count up here.
    drop(unsafe { Arc::from_raw(data.cast::<Interposed>()) });
}
