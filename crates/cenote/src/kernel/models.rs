//! The kernel under loom: every interleaving of two or three threads, up to a bound on preemptions. A
//! wake-up lost shows as a deadlock, two holders of one slot as a race on its cell.
//!
//! `RUSTFLAGS="--cfg cenote_loom" cargo test -p cenote --release --lib models`

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use loom::future::block_on;
use loom::thread;

use super::*;

/// The least pool there can be: it closes what the kernel does not want, and replaces what was closed
/// while somebody waits.
struct Model;

type Pool = Arc<Core<Model>>;

impl Owner for Model {
    type Entry = u32;
    type Notes = ();
    type Refusal = ();

    fn abort(held: &mut Held<Self>) {
        held.take();
    }

    fn is_wanted(_: &Core<Self>, (): &()) -> bool {
        true
    }

    fn vacated(core: &Pool) {
        if core.demand().waiters > 0 {
            connect(core);
        }
    }

    fn returned(held: Held<Self>, _: Option<&Core<Self>>) {
        give_back(held);
    }

    fn unclaimed(held: Held<Self>) {
        settle(held);
    }
}

fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

fn pool(connections: usize) -> Pool {
    pool_with(connections, Order::Local)
}

fn pool_with(connections: usize, order: Order) -> Pool {
    let core = Core::new(Model, connections, order);
    (0..connections).for_each(|_| connect(&core));
    core
}

fn connect(core: &Pool) {
    if let Some(opening) = core.open(usize::MAX) {
        settle(opening.fill(0));
    }
}

fn give_back(held: Held<Model>) {
    if let Err(held) = held.release() {
        settle(held);
    }
}

fn settle(held: Held<Model>) {
    let core = Arc::clone(held.core());
    if let Settled::Surplus(held, _) = core.settle(held, Idling::Begins) {
        drop(held);
    }
}

/// Takes a connection as a getter does: at once, or in the queue.
fn get(core: &Pool) -> Result<Held<Model>, ()> {
    if let Some(held) = core.claim() {
        return Ok(held);
    }
    block_on(async {
        let ticket = pin!(Ticket::new(core));
        let mut queued = false;
        poll_fn(|cx| join_or_poll(ticket.as_ref(), &mut queued, cx)).await
    })
}

fn join_or_poll(
    ticket: Pin<&Ticket<'_, Model>>,
    queued: &mut bool,
    cx: &mut Context<'_>,
) -> Poll<Result<Held<Model>, ()>> {
    if !*queued {
        *queued = true;
        match ticket.join(End::Back, cx.waker(), u64::MAX, usize::MAX) {
            Joined::Granted(held) => return Poll::Ready(Ok(held)),
            Joined::Closed => return Poll::Ready(Err(())),
            Joined::Queued { .. } => {}
            Joined::Full => unreachable!("the queue has no bound here"),
        }
    }
    ticket.poll(cx)
}

/// Uses the connection; loom sees it if another does so at the same time.
fn touch(held: &mut Held<Model>) {
    *held.entry_mut() += 1;
}

fn states(core: &Pool) -> Vec<State> {
    core.slots().map(|(_, word, _)| word.state()).collect()
}

#[test]
fn two_threads_take_turns_on_one_connection() {
    explore(|| {
        let core = pool(1);
        let other = {
            let core = core.clone();
            thread::spawn(move || {
                if let Some(mut held) = core.claim() {
                    touch(&mut held);
                    give_back(held);
                }
            })
        };
        if let Some(mut held) = core.claim() {
            touch(&mut held);
            give_back(held);
        }
        other.join().unwrap();
        assert_eq!(states(&core), [State::Idle]);
    });
}

/// bb8 #122, vitess #17662: a getter asleep beside an idle connection.
#[test]
fn a_getter_is_never_left_beside_an_idle_connection() {
    explore(|| {
        let core = pool(1);
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let core = core.clone();
                thread::spawn(move || {
                    let mut held = get(&core).unwrap();
                    touch(&mut held);
                    give_back(held);
                })
            })
            .collect();
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        assert_eq!(states(&core), [State::Idle]);
        assert_eq!(core.demand().waiters, 0);
    });
}

#[test]
fn two_returns_serve_two_waiters() {
    explore(|| {
        let core = pool(2);
        let (first, second) = (core.claim().unwrap(), core.claim().unwrap());
        let getter = {
            let core = core.clone();
            thread::spawn(move || give_back(get(&core).unwrap()))
        };
        let returner = thread::spawn(move || give_back(first));
        give_back(second);
        getter.join().unwrap();
        returner.join().unwrap();
        assert_eq!(states(&core), [State::Idle, State::Idle]);
    });
}

/// sqlx #622: a waiter that was granted a connection and leaves passes it on.
#[test]
fn a_waiter_that_leaves_passes_its_grant_on() {
    explore(|| {
        let core = pool(1);
        let held = core.claim().unwrap();
        let quitter = {
            let core = core.clone();
            thread::spawn(move || {
                let ticket = pin!(Ticket::new(&core));
                let mut cx = Context::from_waker(Waker::noop());
                if let Poll::Ready(Ok(held)) = join_or_poll(ticket.as_ref(), &mut false, &mut cx) {
                    give_back(held);
                }
                // Leaves, granted or not.
            })
        };
        let getter = {
            let core = core.clone();
            thread::spawn(move || give_back(get(&core).unwrap()))
        };
        give_back(held);
        quitter.join().unwrap();
        getter.join().unwrap();
        assert_eq!(states(&core), [State::Idle]);
    });
}

#[test]
fn a_close_and_a_return_leave_nothing_open() {
    explore(|| {
        let core = pool(1);
        let held = core.claim().unwrap();
        let closer = {
            let core = core.clone();
            thread::spawn(move || {
                core.close(|| ());
                while core.reserve_surplus().is_some() {}
            })
        };
        give_back(held);
        closer.join().unwrap();
        assert_eq!(core.demand().occupied, 0);
        assert!(core.claim().is_none());
    });
}

#[test]
fn a_close_ends_the_waiting() {
    explore(|| {
        let core = pool(1);
        let held = core.claim().unwrap();
        let getter = {
            let core = core.clone();
            thread::spawn(move || get(&core).is_err())
        };
        core.close(|| ());
        assert!(getter.join().unwrap());
        give_back(held);
        assert_eq!(core.demand().occupied, 0);
    });
}

/// deadpool: resizing down an underfilled pool left permits behind, and the cap was exceeded.
#[test]
fn a_resize_and_two_returns_leave_as_many_as_fit() {
    explore(|| {
        let core = pool(2);
        let (first, second) = (core.claim().unwrap(), core.claim().unwrap());
        let returner = thread::spawn(move || give_back(first));
        let resizer = {
            let core = core.clone();
            thread::spawn(move || {
                core.resize(1);
                while core.reserve_surplus().is_some() {}
            })
        };
        give_back(second);
        returner.join().unwrap();
        resizer.join().unwrap();
        assert_eq!(core.demand().occupied, 1);
        assert_eq!(
            states(&core)
                .iter()
                .filter(|&&state| state == State::Idle)
                .count(),
            1
        );
    });
}

/// sqlx #4349, rama's MultiplexPool: a connection that ends must wake who should act next.
#[test]
fn a_connection_that_ends_is_replaced_for_the_waiter() {
    explore(|| {
        let core = pool(1);
        let held = core.claim().unwrap();
        let getter = {
            let core = core.clone();
            thread::spawn(move || {
                let held = get_or_connect(&core);
                give_back(held);
            })
        };
        drop(held);
        getter.join().unwrap();
        assert_eq!(core.demand().occupied, 1);
    });
}

/// As a getter of the shell: it drives the growth that its queueing calls for.
fn get_or_connect(core: &Pool) -> Held<Model> {
    if let Some(held) = core.claim() {
        return held;
    }
    block_on(async {
        let ticket = pin!(Ticket::new(core));
        let mut queued = false;
        poll_fn(|cx| {
            if !queued {
                queued = true;
                match ticket
                    .as_ref()
                    .join(End::Back, cx.waker(), u64::MAX, usize::MAX)
                {
                    Joined::Granted(held) => return Poll::Ready(held),
                    Joined::Queued { may_grow: true, .. } => connect(core),
                    _ => {}
                }
            }
            ticket.as_ref().poll(cx).map(|outcome| outcome.unwrap())
        })
        .await
    })
}

/// A word read in one idle period claims nothing in a later one.
#[test]
fn upkeep_reserves_only_the_idle_period_it_looked_at() {
    explore(|| {
        let core = pool(1);
        let (index, seen, ()) = core
            .slots()
            .map(|(index, word, ())| (index, word, ()))
            .next()
            .unwrap();
        let user = {
            let core = core.clone();
            thread::spawn(move || {
                core.claim().map(|mut held| {
                    touch(&mut held);
                    give_back(held);
                })
            })
        };
        let reserved = core.reserve(index, seen).map(|mut held| {
            touch(&mut held);
            assert_eq!(
                *held.entry(),
                1,
                "leased and returned since it was looked at"
            );
            settle(held);
        });
        let used = user.join().unwrap();
        assert!(used.is_some() || reserved.is_some());
        assert_eq!(states(&core), [State::Idle]);
    });
}

#[test]
fn a_reserved_connection_goes_to_who_queued_meanwhile() {
    explore(|| {
        let core = pool(1);
        let (index, seen, _) = core.slots().next().unwrap();
        let held = core.reserve(index, seen).unwrap();
        let getter = {
            let core = core.clone();
            thread::spawn(move || give_back(get(&core).unwrap()))
        };
        settle(held);
        getter.join().unwrap();
        assert_eq!(states(&core), [State::Idle]);
    });
}

#[test]
fn a_resume_serves_who_queued_while_a_return_passes_it() {
    explore(|| {
        let core = pool(1);
        let held = core.claim().unwrap();
        core.pause();
        let getter = {
            let core = core.clone();
            thread::spawn(move || give_back(get(&core).unwrap()))
        };
        let resumer = {
            let core = core.clone();
            thread::spawn(move || core.resume())
        };
        give_back(held);
        getter.join().unwrap();
        resumer.join().unwrap();
        assert_eq!(states(&core), [State::Idle]);
    });
}

#[test]
fn a_listed_pool_hands_on_and_keeps_its_bound() {
    explore(|| {
        let core = pool_with(
            1,
            Order::Listed {
                newest_first: true,
                max_idle: 0,
            },
        );
        // With no idle allowed, the connection made at the start is gone already.
        assert_eq!(core.demand().occupied, 0);
        let getter = {
            let core = core.clone();
            thread::spawn(move || settle(get_or_connect(&core)))
        };
        settle(get_or_connect(&core));
        getter.join().unwrap();
        assert_eq!(core.demand().occupied, 0);
    });
}
