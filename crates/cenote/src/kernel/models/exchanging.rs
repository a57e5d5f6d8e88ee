//! A cell of one reference: threads that take it out and put it back, and one that clears it.

use super::super::arc_cell::ArcCell;
use super::*;
use crate::sync::UnsafeCell;

/// What only the thread may look at that has it: loom sees where two do.
struct Content(UnsafeCell<u32>);

// SAFETY: that is what the model is to show.
unsafe impl Sync for Content {}

impl Content {
    /// Counts one use more; how many there were.
    fn use_it(&self) -> u32 {
        // SAFETY: as above.
        self.0.with_mut(|uses| unsafe {
            *uses += 1;
            *uses - 1
        })
    }
}

/// What is in the cell belongs to one thread at a time: two that had it would write at the same time.
#[test]
fn what_is_taken_out_of_a_cell_is_one_threads_alone() {
    explore(|| {
        let cell = Arc::new(ArcCell::new());
        let content = Arc::new(Content(UnsafeCell::new(0)));
        cell.replace(Arc::clone(&content));
        let user = |cell: &Arc<ArcCell<Content>>| {
            let cell = Arc::clone(cell);
            party(move || {
                if let Some(content) = cell.take() {
                    content.use_it();
                    cell.replace(content);
                }
            })
        };
        race([user(&cell), user(&cell)]);
        let uses = content.use_it();
        assert!((1..=2).contains(&uses), "{uses}");
        drop(cell);
        assert_eq!(Arc::strong_count(&content), 1);
    });
}

#[test]
fn a_cell_is_cleared_of_what_is_asked_for_and_of_nothing_else() {
    explore(|| {
        let cell = Arc::new(ArcCell::new());
        let (one, other) = (Arc::new(1), Arc::new(2));
        cell.replace(Arc::clone(&one));
        let clears = {
            let (cell, one) = (Arc::clone(&cell), Arc::clone(&one));
            party(move || drop(cell.take_same(&one)))
        };
        let replaces = {
            let (cell, other) = (Arc::clone(&cell), Arc::clone(&other));
            party(move || drop(cell.replace(other)))
        };
        race([clears, replaces]);
        assert_eq!(cell.take().as_deref(), Some(&2));
        assert_eq!((Arc::strong_count(&one), Arc::strong_count(&other)), (1, 1));
    });
}
