//! The kernel under loom: every interleaving of two or three threads, up to a bound on preemptions. A
//! wake-up lost shows as a deadlock, two holders of one slot as a race on its cell.
//!
//! Each party is a thread of its own and the model's own thread only starts them and waits: a thread that
//! goes on after it spawned another is run first, and loom misses what the other might have done before.
//!
//! Not under loom: the threads' hints (advice, checked against the slot's word), the table's growth (the
//! standard library's `OnceLock`) and reference counts.
//!
//! `RUSTFLAGS="--cfg cenote_loom" cargo test -p cenote --release --lib models`

mod changing;
mod exchanging;
mod idling;
mod leaving;
mod of_set;
mod shelving;
mod waiting;

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
    type SlotMeta = ();
    type Refusal = ();

    fn abort(token: &mut SlotToken<Self>) {
        token.take();
    }

    fn is_wanted(_: &Core<Self>, (): &()) -> bool {
        true
    }

    fn vacated(core: &Pool) {
        if core.demand().waiters > 0 {
            connect(core);
        }
    }

    fn returned(token: SlotToken<Self>, _: Option<&Core<Self>>) {
        give_back(token);
    }

    fn sent_away() {}
    fn return_unclaimed(token: SlotToken<Self>) {
        release(token);
    }
}

pub(crate) fn explore(model: impl Fn() + Sync + Send + 'static) {
    explore_within(3, model);
}

/// For models of many steps. More with LOOM_MAX_PREEMPTIONS.
pub(crate) fn explore_within(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(preemptions));
    builder.check(model);
}

pub(crate) type Party = Box<dyn FnOnce() + Send>;

/// One of those who [`race`].
pub(crate) fn party(act: impl FnOnce() + Send + 'static) -> Party {
    Box::new(act)
}

/// Runs all parties at once, to their ends.
pub(crate) fn race<const N: usize>(parties: [Party; N]) {
    let threads: Vec<_> = parties.into_iter().map(thread::spawn).collect();
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
}

fn pool(connections: usize) -> Pool {
    pool_with(connections, Order::Local)
}

fn pool_with(connections: usize, order: Order) -> Pool {
    let core = Core::new(Model, connections, order);
    (0..connections).for_each(|_| connect(&core));
    core
}

fn connect<O: Owner<Entry = u32>>(core: &Arc<Core<O>>) {
    if let Some(opening) = core.open(usize::MAX) {
        release(opening.fill(0));
    }
}

fn give_back<O: Owner>(token: SlotToken<O>) {
    if let Err(token) = token.release() {
        release(token);
    }
}

fn release<O: Owner>(token: SlotToken<O>) {
    let core = Arc::clone(token.core());
    if let Release::Excess(token, _) = core.release(token, IdleSince::Now) {
        drop(token);
    }
}

/// Takes a connection as a caller does: at once, or in the queue.
fn get(core: &Pool) -> Result<SlotToken<Model>, ()> {
    match core.claim() {
        Some(token) => Ok(token),
        None => wait(core),
    }
}

/// As [`get`], without a first look.
fn wait(core: &Pool) -> Result<SlotToken<Model>, ()> {
    block_on(async {
        let waiter = pin!(Waiter::new(core, 0));
        let mut queued = false;
        poll_fn(|cx| join_or_poll(waiter.as_ref(), &mut queued, cx)).await
    })
}

fn join_or_poll(
    waiter: Pin<&Waiter<'_, Model>>,
    queued: &mut bool,
    cx: &mut Context<'_>,
) -> Poll<Result<SlotToken<Model>, ()>> {
    if *queued {
        return waiter.poll(cx);
    }
    *queued = true;
    match waiter.join(cx.waker(), u64::MAX, usize::MAX) {
        JoinOutcome::Granted(token) => Poll::Ready(Ok(token)),
        JoinOutcome::Closed => Poll::Ready(Err(())),
        JoinOutcome::Queued { .. } => Poll::Pending,
        JoinOutcome::Full | JoinOutcome::SentAway => unreachable!("the waitlist has no bound here"),
    }
}

/// As a caller of the shell: it drives the growth that its queueing calls for.
fn get_or_connect(core: &Pool) -> SlotToken<Model> {
    if let Some(token) = core.claim() {
        return token;
    }
    block_on(async {
        let waiter = pin!(Waiter::new(core, 0));
        let mut queued = false;
        poll_fn(|cx| {
            if queued {
                return waiter.as_ref().poll(cx).map(Result::unwrap);
            }
            queued = true;
            match waiter.as_ref().join(cx.waker(), u64::MAX, usize::MAX) {
                JoinOutcome::Granted(token) => return Poll::Ready(token),
                JoinOutcome::Queued { may_grow: true, .. } => connect(core),
                _ => {}
            }
            Poll::Pending
        })
        .await
    })
}

/// Puts `waiter` in the queue, where nothing is idle.
fn waitlist(waiter: Pin<&Waiter<'_, Model>>) {
    let mut cx = Context::from_waker(Waker::noop());
    assert!(join_or_poll(waiter, &mut false, &mut cx).is_pending());
}

/// What `waiter`, which is queued, has by now.
fn served(waiter: Pin<&Waiter<'_, Model>>) -> Option<Result<SlotToken<Model>, ()>> {
    match waiter.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => Some(outcome),
        Poll::Pending => None,
    }
}

/// Uses the connection; loom sees it if another does so at the same time.
fn touch(token: &mut SlotToken<Model>) {
    *token.entry_mut() += 1;
}

fn take_turn(core: &Pool) {
    let mut token = get(core).unwrap();
    touch(&mut token);
    give_back(token);
}

fn states(core: &Pool) -> Vec<State> {
    core.slots().map(|(_, word, _)| word.state()).collect()
}

#[track_caller]
fn assert_quiet(core: &Pool, connections: usize) {
    assert_eq!(states(core), vec![State::Idle; connections]);
    assert_eq!(core.demand().waiters, 0);
}
