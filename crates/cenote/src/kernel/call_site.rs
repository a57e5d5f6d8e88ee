//! Where a lease was taken, and what its holder calls it: one word that the holder writes and any thread may read.

use std::cell::RefCell;
use std::collections::HashMap;
use std::panic::Location;
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::sync::lock_patiently;

/// An atomic, optional [`Site`]: a pointer to a `Location`, or, with its lowest bit set, to a [`Labelled`]. Relaxed: it is
/// a remark, it guards nothing; and what it points to was there before any thread could point to it.
pub(crate) struct CallSite(AtomicPtr<Location<'static>>);

/// Where a lease was taken, and what its holder calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Site {
    pub(crate) call_site: &'static Location<'static>,
    pub(crate) label: Option<&'static str>,
}

/// A call site and a label. Made once for each pair that a program uses, and kept for good.
struct Labelled {
    call_site: &'static Location<'static>,
    label: &'static str,
}

/// Marks a pointer to a [`Labelled`]; addresses of both kinds are multiples of more.
const LABELLED: usize = 1;
const _: () =
    assert!(align_of::<Location<'static>>() > LABELLED && align_of::<Labelled>() > LABELLED);

impl Default for CallSite {
    fn default() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }
}

impl CallSite {
    /// A lease begins; it has no label yet.
    #[inline(always)]
    pub(crate) fn set(&self, location: &'static Location<'static>) {
        self.0
            .store(ptr::from_ref(location).cast_mut(), Ordering::Relaxed);
    }

    /// Its holder calls the lease so.
    pub(crate) fn set_label(&self, label: &'static str) {
        let Some(Site { call_site, .. }) = self.get() else {
            return;
        };
        let Some(labelled) = labelled(call_site, label) else {
            return;
        };
        let pointer = ptr::from_ref(labelled).cast::<Location<'static>>();
        self.0.store(
            pointer.map_addr(|address| address | LABELLED).cast_mut(),
            Ordering::Relaxed,
        );
    }

    pub(crate) fn get(&self) -> Option<Site> {
        let pointer = self.0.load(Ordering::Relaxed);
        if pointer.addr() & LABELLED == 0 {
            // SAFETY: without the mark it is null or what `set` stored, a `&'static` reference, and nobody writes
            // through the pointer.
            let call_site = unsafe { pointer.as_ref() }?;
            return Some(Site {
                call_site,
                label: None,
            });
        }
        let pointer = pointer.map_addr(|address| address & !LABELLED);
        // SAFETY: with the mark it is what `set_label` stored, a `&'static` reference to a `Labelled`, marked.
        let labelled = unsafe { pointer.cast::<Labelled>().as_ref() }?;
        Some(Site {
            call_site: labelled.call_site,
            label: Some(labelled.label),
        })
    }
}

type Labels = HashMap<(&'static Location<'static>, &'static str), &'static Labelled>;

/// The one [`Labelled`] of this pair. `None` only in a forked child that finds the lock taken for good.
fn labelled(
    call_site: &'static Location<'static>,
    label: &'static str,
) -> Option<&'static Labelled> {
    static ALL: Mutex<Option<Labels>> = Mutex::new(None);
    thread_local! {
        /// Those that this thread has asked for, so that it takes the lock once for each.
        static KNOWN: RefCell<Labels> = RefCell::default();
    }
    let pair = (call_site, label);
    let make = || {
        let mut all = lock_patiently(&ALL)?;
        let all = all.get_or_insert_default();
        let new = || &*Box::leak(Box::new(Labelled { call_site, label }));
        Some(*all.entry(pair).or_insert_with(new))
    };
    let known = KNOWN.try_with(|known| {
        let mut known = known.try_borrow_mut().ok()?;
        if let Some(labelled) = known.get(&pair) {
            return Some(*labelled);
        }
        let labelled = make()?;
        known.insert(pair, labelled);
        Some(labelled)
    });
    // While the thread's locals are being destroyed it asks each time.
    known.unwrap_or_else(|_| make())
}

#[cfg(all(test, not(cenote_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_lease_has_a_label_until_the_next_begins() {
        let (site, here) = (CallSite::default(), Location::caller());
        site.set_label("of nothing");
        assert_eq!(site.get(), None);
        site.set(here);
        let plain = Site {
            call_site: here,
            label: None,
        };
        assert_eq!(site.get(), Some(plain));
        for label in ["one", "another"] {
            site.set_label(label);
            let label = Some(label);
            assert_eq!(site.get(), Some(Site { label, ..plain }));
        }
        site.set(here);
        assert_eq!(site.get(), Some(plain));
    }

    #[test]
    fn a_label_costs_memory_once_whatever_threads_use_it() {
        let here = Location::caller();
        let address = || ptr::from_ref(labelled(here, "same").unwrap()).addr();
        let others = [(); 3].map(|()| std::thread::spawn(address));
        let own = address();
        assert!(others.into_iter().all(|other| other.join().unwrap() == own));
    }

    #[test]
    fn a_call_site_and_its_label_take_one_word() {
        assert_eq!(size_of::<CallSite>(), size_of::<usize>());
    }
}
