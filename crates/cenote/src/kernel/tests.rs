//! What the models leave out, on one thread: hints, pools of many slots, and what is counted and told.

use std::panic::Location;
use std::pin::{Pin, pin};
use std::task::Waker;

use super::table::looks;
use super::*;
use crate::sync::lock;

/// A pool that does nothing of its own.
pub(super) struct Least;

impl Owner for Least {
    type Entry = ();
    type SlotMeta = call_site::CallSite;
    type Refusal = u32;

    fn abort(token: &mut SlotToken<Self>) {
        token.take();
    }
    fn is_wanted(_: &Core<Self>, _: &call_site::CallSite) -> bool {
        true
    }
    fn vacated(_: &Arc<Core<Self>>) {}
    fn returned(_: SlotToken<Self>, _: Option<&Core<Self>>) {}
    fn sent_away() -> u32 {
        0
    }
    fn return_unclaimed(_: SlotToken<Self>) {}
}

fn open(core: &Arc<Core<Least>>) -> SlotToken<Least> {
    core.open(usize::MAX).expect("there is room").fill(())
}

fn release_through_ledger(core: &Core<Least>, token: SlotToken<Least>, idling: IdleSince) {
    assert!(matches!(core.release(token, idling), Release::Kept));
}

fn release(token: SlotToken<Least>) {
    assert!(token.release().is_ok());
}

#[test]
fn each_slot_of_many_has_its_own_index_and_the_lowest_vacant_one_is_taken() {
    // Five segments of the table, and one slot of the sixth.
    const MANY: usize = 1 + 3 + 12 + 16 + 32 + 1;
    let core = Core::new(Least, MANY, Order::Local);
    let mut token: Vec<_> = (0..MANY).map(|_| open(&core)).collect();
    assert!(token.iter().map(|token| token.index() as usize).eq(0..MANY));
    for vacant in [60, 20] {
        drop(token.remove(vacant));
    }
    let again = [(); 2].map(|()| open(&core));
    assert_eq!(again.map(|token| token.index()), [20, 60]);
}

#[test]
fn slots_vacated_in_any_order_are_taken_again_once_each_and_lowest_first() {
    let core = Core::new(Least, 6, Order::Local);
    let mut token: Vec<_> = (0..6).map(|_| Some(open(&core))).collect();
    // The bound falls past three of them.
    for vacant in [3, 4, 1, 5] {
        token[vacant] = None;
    }
    assert_eq!(core.slots().count(), 3);
    let again = [(); 4].map(|()| open(&core));
    assert_eq!(again.map(|token| token.index()), [1, 3, 4, 5]);
}

const MANY: usize = 1_000;

/// A pool of [`MANY`] connections, all in hand.
fn many(order: Order) -> (Arc<Core<Least>>, Vec<SlotToken<Least>>) {
    let core = Core::new(Least, MANY, order);
    let all = (0..MANY).map(|_| open(&core)).collect();
    (core, all)
}

/// The same, all idle.
fn many_idle(order: Order) -> Arc<Core<Least>> {
    let (core, all) = many(order);
    for token in all {
        release_through_ledger(&core, token, IdleSince::Now);
    }
    core
}

#[test]
fn opening_a_connection_looks_at_no_other_slot() {
    let (looks, (core, mut all)) = looks::during(|| many(Order::Local));
    assert_eq!(looks, 0);
    all.swap_remove(MANY / 2);
    let (looks, token) = looks::during(|| open(&core));
    assert_eq!((looks, token.index()), (0, MANY as u32 / 2));
}

#[test]
fn closing_many_idle_connections_looks_at_each_slot_once() {
    let core = many_idle(Order::Local);
    core.close(|| 0);
    let (looks, excess) = looks::during(|| core.reserve_excess());
    assert_eq!((looks, excess.len()), (MANY, MANY));
}

#[test]
fn a_resume_looks_at_each_slot_once_however_many_wait() {
    let core = many_idle(Order::Local);
    core.pause();
    let waiters: Vec<_> = (0..MANY).map(|_| Box::pin(Waiter::new(&core, 0))).collect();
    for waiter in &waiters {
        let joined = waiter.as_ref().join(Waker::noop(), u64::MAX, MANY);
        assert!(matches!(joined, JoinOutcome::Queued { .. }));
    }
    let (looks, ()) = looks::during(|| core.resume());
    assert_eq!((looks, core.demand().waiters), (MANY, 0));
}

/// Finds nothing idle, and leaves again.
fn come_and_go(core: &Core<Least>) {
    let waiter = pin!(Waiter::new(core, 0));
    let joined = waiter.as_ref().join(Waker::noop(), u64::MAX, 1);
    assert!(matches!(joined, JoinOutcome::Queued { .. }));
}

#[test]
fn of_callers_that_find_nothing_idle_the_first_looks_at_every_slot_and_the_next_at_none() {
    let (core, mut all) = many(Order::Local);
    let mut in_use = all.split_off(MANY - 8);
    let (looks, ()) = looks::during(|| come_and_go(&core));
    assert_eq!(looks, MANY);
    for _ in 0..10 {
        let token = in_use.pop().expect("eight are in use");
        release_through_ledger(&core, token, IdleSince::Now);
        let (looks, ()) = looks::during(|| {
            in_use.extend(core.claim());
            come_and_go(&core);
        });
        // The slot of the connection that it leased.
        assert_eq!((looks, in_use.len()), (1, 8));
    }
}

/// Nor does one who is turned away.
#[test]
fn callers_that_may_not_wait_look_at_every_slot_once() {
    let (core, _all) = many(Order::Local);
    let turned_away = || {
        let waiter = pin!(Waiter::new(&core, 0));
        let joined = waiter.as_ref().join(Waker::noop(), u64::MAX, 0);
        assert!(matches!(joined, JoinOutcome::Full));
    };
    assert_eq!(looks::during(turned_away).0, MANY);
    assert_eq!(looks::during(turned_away).0, 0);
}

#[test]
fn leases_end_without_the_ledger_again_after_as_many_returns_as_there_are_slots() {
    let (core, mut all) = many(Order::Local);
    come_and_go(&core);
    let mut token = all.pop().expect("many are open");
    let mut through_ledger = 0;
    while let Err(back) = token.release() {
        release_through_ledger(&core, back, IdleSince::Now);
        through_ledger += 1;
        token = core.claim().expect("idle");
    }
    assert_eq!(through_ledger, MANY);
}

#[test]
fn a_shelf_that_is_cleared_leaves_no_memory_behind() {
    let (core, all) = many(Order::Local);
    come_and_go(&core);
    for token in all {
        release_through_ledger(&core, token, IdleSince::Now);
    }
    assert!(core.claim().expect("idle").release().is_ok());
    assert!(lock(&core.ledger).shelf.capacity() <= 64);
}

/// Shelved last, it was used last.
#[test]
fn of_shelved_connections_the_last_to_come_back_is_leased_first() {
    let (core, mut all) = many(Order::Local);
    come_and_go(&core);
    for slot in [5, 3] {
        let token = all.swap_remove(slot);
        release_through_ledger(&core, token, IdleSince::Now);
    }
    let again = [(); 2].map(|()| core.claim().map(|token| token.index()));
    assert_eq!(again, [Some(3), Some(5)]);
}

#[test]
fn what_a_holder_notes_can_be_read_by_all_and_outlives_the_connection() {
    let core = Core::new(Least, 2, Order::Local);
    let token = [(); 2].map(|()| open(&core));
    let here = Location::caller();
    token[1].meta().set(here);
    let place = |site: &call_site::CallSite| site.get().map(|site| site.call_site);
    let noted: Vec<_> = core.slots().map(|(.., meta)| place(meta)).collect();
    assert_eq!(noted, [None, Some(here)]);
    drop(token);
    assert_eq!(core.slots().count(), 0);
    let noted: Vec<_> = core.all_meta().map(place).take(2).collect();
    assert_eq!(noted, [None, Some(here)]);
}

/// Its caches have it still.
#[test]
fn a_thread_leases_the_connection_that_it_used_last() {
    let core = Core::new(Least, 3, Order::Local);
    for token in [(); 3].map(|()| open(&core)) {
        release_through_ledger(&core, token, IdleSince::Now);
    }
    let claim = || core.claim().expect("idle");
    let [zero, one, two] = {
        let mut all = [(); 3].map(|()| claim());
        all.sort_by_key(SlotToken::index);
        all
    };
    // Given back with one compare-and-swap, and through the ledger.
    release(zero);
    release(one);
    assert_eq!(core.claim().map(|token| token.index()), Some(1));
    release_through_ledger(&core, two, IdleSince::Now);
    let two = claim();
    assert_eq!(two.index(), 2);
    release(two);
    // What upkeep had for a moment is nobody's last.
    let (index, seen, _) = core.slots().next().expect("three are open");
    let token = core.reserve(index, seen).expect("idle");
    release_through_ledger(&core, token, IdleSince::Before);
    assert_eq!(claim().index(), 2);
}

#[test]
fn idle_connections_are_taken_in_order_after_somebody_waited_too() {
    let oldest_first = Order::Listed {
        newest_first: false,
        max_idle: 2,
    };
    let core = Core::new(Least, 2, oldest_first);
    for token in [(); 2].map(|()| open(&core)) {
        release_through_ledger(&core, token, IdleSince::Now);
    }
    let [zero, one] = [(); 2].map(|()| core.claim().expect("idle"));
    let waiter = pin!(Waiter::new(&core, 0));
    let joined = waiter.as_ref().join(Waker::noop(), u64::MAX, 1);
    assert!(matches!(joined, JoinOutcome::Queued { .. }));
    assert!(waiter.as_ref().leave().is_none());
    release_through_ledger(&core, zero, IdleSince::Now);
    release_through_ledger(&core, one, IdleSince::Now);
    let again = [(); 2].map(|()| core.claim().map(|token| token.index()));
    assert_eq!(again, [Some(0), Some(1)]);
}

/// Their ranks have wrapped around since, and no longer tell their order.
#[test]
fn an_idle_connection_is_reserved_however_long_ago_it_was_listed() {
    let order = Order::Listed {
        newest_first: true,
        max_idle: 2,
    };
    for reserved in 0..2 {
        let core = Core::new(Least, 2, order);
        for token in [(); 2].map(|()| open(&core)) {
            release_through_ledger(&core, token, IdleSince::Now);
        }
        lock(&core.ledger).shelf.next_rank = 0;
        let (index, seen, _) = core.slots().nth(reserved).expect("two are open");
        let token = core.reserve(index, seen).expect("idle");
        let other = core.claim().expect("idle");
        assert_eq!(other.index() + token.index(), 1);
        assert!(core.claim().is_none());
    }
}

#[test]
fn a_connection_on_its_way_out_is_not_one_too_many() {
    let core = Core::new(Least, 2, Order::Local);
    let [going, staying] = [(); 2].map(|()| open(&core));
    core.mark_closing(&going);
    core.resize(1);
    let counts = || (core.demand().occupied, core.demand().closing);
    assert_eq!(counts(), (2, 1));
    release_through_ledger(&core, staying, IdleSince::Now);
    assert!(core.reserve_excess().is_empty());
    drop(going);
    assert_eq!(counts(), (1, 0));
}

/// Whether it came to queue at once or found a connection first that proved dead; who is sent away did not.
#[test]
fn each_time_that_somebody_queues_is_counted() {
    let core = Core::new(Least, 1, Order::Local);
    let (first, second) = (pin!(Waiter::new(&core, 0)), pin!(Waiter::new(&core, 0)));
    let join = |waiter: Pin<&Waiter<'_, Least>>| {
        let _ = waiter.join(Waker::noop(), u64::MAX, 1);
        core.demand().waited
    };
    first.arrive();
    assert_eq!(core.demand().waited, 0);
    assert_eq!(join(first.as_ref()), 1);
    assert_eq!(join(second.as_ref()), 1, "the waitlist is full");
    assert!(first.as_ref().leave().is_none());
    assert_eq!(join(first.as_ref()), 2);
}

#[test]
fn who_queues_is_told_whether_it_is_alone() {
    let core = Core::new(Least, 1, Order::Local);
    let (first, second) = (pin!(Waiter::new(&core, 0)), pin!(Waiter::new(&core, 0)));
    let join = |waiter: Pin<&Waiter<'_, Least>>| match waiter.join(Waker::noop(), 0, 2) {
        JoinOutcome::Queued { is_alone, .. } => is_alone,
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
        type SlotMeta = ();
        type Refusal = ();

        fn abort(token: &mut SlotToken<Self>) {
            let core = Arc::clone(token.core());
            assert_eq!(core.demand().occupied, 1);
            assert_eq!(token.take(), Some(()));
            core.owner.0.fetch_add(1, Ordering::Relaxed);
        }
        fn is_wanted(_: &Core<Self>, (): &()) -> bool {
            true
        }
        fn vacated(core: &Arc<Core<Self>>) {
            assert_eq!(core.demand().occupied, 0);
        }
        fn returned(_: SlotToken<Self>, _: Option<&Core<Self>>) {}
        fn sent_away() {}
        fn return_unclaimed(_: SlotToken<Self>) {}
    }

    let core = Core::new(Counting(AtomicUsize::new(0)), 1, Order::Local);
    let open = || core.open(1).expect("vacant").fill(());
    drop(open());
    assert_eq!(core.owner.0.load(Ordering::Relaxed), 1);
    // Taken out before, there is nothing to end.
    let mut token = open();
    assert_eq!(token.take(), Some(()));
    drop(token);
    assert_eq!(core.owner.0.load(Ordering::Relaxed), 1);
}
