//! What the models leave out, on one thread: hints, pools of many slots, and what is counted and told.

use std::panic::Location;
use std::pin::{Pin, pin};
use std::task::Waker;

use super::*;

/// A pool that does nothing of its own.
pub(super) struct Least;

impl Owner for Least {
    type Entry = ();
    type Notes = place::Place;
    type Refusal = u32;

    fn abort(held: &mut Held<Self>) {
        held.take();
    }
    fn is_wanted(_: &Core<Self>, _: &place::Place) -> bool {
        true
    }
    fn vacated(_: &Arc<Core<Self>>) {}
    fn returned(_: Held<Self>, _: Option<&Core<Self>>) {}
    fn unclaimed(_: Held<Self>) {}
}

fn open(core: &Arc<Core<Least>>) -> Held<Least> {
    core.open(usize::MAX).expect("there is room").fill(())
}

fn settle(core: &Core<Least>, held: Held<Least>, idling: Idling) {
    assert!(matches!(core.settle(held, idling), Settled::Done));
}

fn release(held: Held<Least>) {
    assert!(held.release().is_ok());
}

#[test]
fn each_slot_of_many_has_its_own_index_and_the_lowest_vacant_one_is_taken() {
    // Three segments of the table, and one slot of the fourth.
    const MANY: usize = 16 + 32 + 64 + 1;
    let core = Core::new(Least, MANY, Order::Local);
    let mut held: Vec<_> = (0..MANY).map(|_| open(&core)).collect();
    assert!(held.iter().map(|held| held.index() as usize).eq(0..MANY));
    for vacant in [70, 20] {
        drop(held.remove(vacant));
    }
    let again = [(); 2].map(|()| open(&core));
    assert_eq!(again.map(|held| held.index()), [20, 70]);
}

#[test]
fn what_a_holder_notes_can_be_read_by_all_and_outlives_the_connection() {
    let core = Core::new(Least, 2, Order::Local);
    let held = [(); 2].map(|()| open(&core));
    let here = Location::caller();
    held[1].notes().set(here);
    let noted: Vec<_> = core.slots().map(|(.., notes)| notes.get()).collect();
    assert_eq!(noted, [None, Some(here)]);
    drop(held);
    assert_eq!(core.slots().count(), 0);
    let noted: Vec<_> = core.all_notes().map(place::Place::get).take(2).collect();
    assert_eq!(noted, [None, Some(here)]);
}

/// Its caches have it still.
#[test]
fn a_thread_leases_the_connection_that_it_used_last() {
    let core = Core::new(Least, 3, Order::Local);
    for held in [(); 3].map(|()| open(&core)) {
        settle(&core, held, Idling::Begins);
    }
    let claim = || core.claim().expect("idle");
    let [zero, one, two] = {
        let mut all = [(); 3].map(|()| claim());
        all.sort_by_key(Held::index);
        all
    };
    // Given back with one compare-and-swap, and through the ledger.
    release(zero);
    release(one);
    assert_eq!(core.claim().map(|held| held.index()), Some(1));
    settle(&core, two, Idling::Begins);
    let two = claim();
    assert_eq!(two.index(), 2);
    release(two);
    // What upkeep had for a moment is nobody's last.
    let (index, seen, _) = core.slots().next().expect("three are open");
    let held = core.reserve(index, seen).expect("idle");
    settle(&core, held, Idling::Continues);
    assert_eq!(claim().index(), 2);
}

#[test]
fn idle_connections_are_taken_in_order_after_somebody_waited_too() {
    let oldest_first = Order::Listed {
        newest_first: false,
        max_idle: 2,
    };
    let core = Core::new(Least, 2, oldest_first);
    for held in [(); 2].map(|()| open(&core)) {
        settle(&core, held, Idling::Begins);
    }
    let [zero, one] = [(); 2].map(|()| core.claim().expect("idle"));
    let ticket = pin!(Ticket::new(&core));
    let joined = ticket.as_ref().join(Waker::noop(), u64::MAX, 1);
    assert!(matches!(joined, Joined::Queued { .. }));
    assert!(ticket.as_ref().leave().is_none());
    settle(&core, zero, Idling::Begins);
    settle(&core, one, Idling::Begins);
    let again = [(); 2].map(|()| core.claim().map(|held| held.index()));
    assert_eq!(again, [Some(0), Some(1)]);
}

#[test]
fn a_connection_on_its_way_out_is_not_one_too_many() {
    let core = Core::new(Least, 2, Order::Local);
    let [going, staying] = [(); 2].map(|()| open(&core));
    core.retire(&going);
    core.resize(1);
    let counts = || (core.demand().occupied, core.demand().closing);
    assert_eq!(counts(), (2, 1));
    settle(&core, staying, Idling::Begins);
    assert!(core.reserve_surplus().is_none());
    drop(going);
    assert_eq!(counts(), (1, 0));
}

/// Whether it came to queue at once or found a connection first that proved dead; who is sent away did not.
#[test]
fn each_time_that_somebody_queues_is_counted() {
    let core = Core::new(Least, 1, Order::Local);
    let (first, second) = (pin!(Ticket::new(&core)), pin!(Ticket::new(&core)));
    let join = |ticket: Pin<&Ticket<'_, Least>>| {
        let _ = ticket.join(Waker::noop(), u64::MAX, 1);
        core.demand().waited
    };
    first.arrive();
    assert_eq!(core.demand().waited, 0);
    assert_eq!(join(first.as_ref()), 1);
    assert_eq!(join(second.as_ref()), 1, "the queue is full");
    assert!(first.as_ref().leave().is_none());
    assert_eq!(join(first.as_ref()), 2);
}

#[test]
fn who_queues_is_told_whether_it_is_alone() {
    let core = Core::new(Least, 1, Order::Local);
    let (first, second) = (pin!(Ticket::new(&core)), pin!(Ticket::new(&core)));
    let join = |ticket: Pin<&Ticket<'_, Least>>| match ticket.join(Waker::noop(), 0, 2) {
        Joined::Queued { is_alone, .. } => is_alone,
        _ => panic!("nothing is open"),
    };
    assert!(join(first.as_ref()));
    assert!(!join(second.as_ref()));
}

/// Its owner ends the connection, and only then is its place free.
#[test]
fn a_token_dropped_with_its_entry_counts_until_the_entry_is_gone() {
    struct Counting(AtomicUsize);

    impl Owner for Counting {
        type Entry = ();
        type Notes = ();
        type Refusal = ();

        fn abort(held: &mut Held<Self>) {
            let core = Arc::clone(held.core());
            assert_eq!(core.demand().occupied, 1);
            assert_eq!(held.take(), Some(()));
            core.owner.0.fetch_add(1, Ordering::Relaxed);
        }
        fn is_wanted(_: &Core<Self>, (): &()) -> bool {
            true
        }
        fn vacated(core: &Arc<Core<Self>>) {
            assert_eq!(core.demand().occupied, 0);
        }
        fn returned(_: Held<Self>, _: Option<&Core<Self>>) {}
        fn unclaimed(_: Held<Self>) {}
    }

    let core = Core::new(Counting(AtomicUsize::new(0)), 1, Order::Local);
    let open = || core.open(1).expect("vacant").fill(());
    drop(open());
    assert_eq!(core.owner.0.load(Ordering::Relaxed), 1);
    // Taken out before, there is nothing to end.
    let mut held = open();
    assert_eq!(held.take(), Some(()));
    drop(held);
    assert_eq!(core.owner.0.load(Ordering::Relaxed), 1);
}
