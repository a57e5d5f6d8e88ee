//! The keeper: one task for each runtime, which looks after all pools there, each when something of it is due.
//!
//! A pool with nothing due costs no wake-up, and one that has nothing to look after is not even listed. Promises that a
//! member listed for a time is looked at soon after, and that each member is told when the keeper dies with its
//! runtime. What a look does, and when the next is due, is the member's to say.
//!
//! Locks: `KEEPERS`, then a keeper's own; both are leaves otherwise: no member is called and none dropped under them.
//! `KEEPERS` is waited for with patience that ends: a forked child may find it taken for good, by a thread that it does
//! not have.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::{Arc, MutexGuard};

use crate::rt::{self, Instant, Runtime, RuntimeId};
use crate::settings::SECOND;
use crate::sync::{Mutex, lock, lock_patiently};
use crate::wake::Notify;

/// What a keeper looks after.
pub(crate) trait Member: Send + Sync + 'static {
    /// Looks after itself, as `keeper` asks. Until when it needs no look; `None`: until it is listed again.
    fn look(self: Arc<Self>, keeper: &Arc<Keeper>) -> Option<Instant>;

    /// `keeper` died with its runtime: nobody looks after this member any more.
    fn abandoned(self: Arc<Self>, keeper: &Arc<Keeper>);
}

pub(crate) struct Keeper {
    runtime: RuntimeId,
    list: Mutex<List>,
    /// Told when a time is listed that comes before all others.
    earlier: Notify,
}

/// Guarded by `Keeper::list`.
#[derive(Default)]
struct List {
    end: Option<End>,
    /// It has had a member: with none left, it ends.
    has_begun: bool,
    /// By address: a listed member stays where it is.
    members: HashMap<usize, Listed>,
    /// When members are due, and their addresses. Those of one time are in the order in which they were listed for it, so
    /// that a seeded run can be repeated. Only the entry that agrees with the member's own `due` counts, number and all: one
    /// that rests until the same time again and again has one that does.
    due: BinaryHeap<Reverse<(Instant, u64, usize)>>,
    /// How often one was listed.
    last: u64,
}

impl List {
    /// The listed member with this address is due at `at`, and not before.
    fn list_for(&mut self, at: Instant, key: usize) {
        self.last += 1;
        if let Some(listed) = self.members.get_mut(&key) {
            listed.due = Some((at, self.last));
            self.due.push(Reverse((at, self.last, key)));
        }
        self.tidy();
    }
}

struct Listed {
    member: Arc<dyn Member>,
    /// When, and the number of the entry that says so. `None` while it is being looked at, unless it was listed again
    /// meanwhile.
    due: Option<(Instant, u64)>,
}

/// How a keeper ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It had no member left.
    Idle,
    /// Its runtime was shut down.
    Died,
}

/// Looks at one stretch, after which the other tasks of the runtime have a turn.
const STRETCH: usize = 32;

/// The keepers of this process, so that the pools of a runtime find theirs. One that is not among them serves all the
/// same; one that stays after its end is not asked again.
static KEEPERS: std::sync::Mutex<Option<Keepers>> = std::sync::Mutex::new(None);

type Keepers = HashMap<RuntimeId, Arc<Keeper>>;

impl Keeper {
    /// Has `member` looked at by then, by the keeper of this runtime. `None`: there is no runtime, or it was shut down.
    pub(crate) fn schedule_on<M: Member>(
        runtime: &Runtime,
        member: &Arc<M>,
        at: Instant,
    ) -> Option<Arc<Self>> {
        let id = runtime.id()?;
        let takes = |keeper: &Arc<Self>| keeper.schedule(member, at).is_ok();
        if let Some(keeper) = registered(id).filter(takes) {
            return Some(keeper);
        }
        // There is none, or it has just ended for want of members.
        let keeper = Arc::new(Self {
            runtime: id,
            list: Mutex::new(List::default()),
            earlier: Notify::new(),
        });
        // There may be another by now: both do.
        register(&keeper);
        runtime.spawn(run(Running(Arc::clone(&keeper))));
        // A runtime that was shut down has dropped the task by now.
        keeper.schedule(member, at).ok().map(|()| keeper)
    }

    /// Makes `next`, which lists `member`, the keeper of it. The one before may still live, on a runtime that nobody
    /// drives or listed there once more by a signal: it would keep a pool that is gone until its next look.
    pub(crate) fn take_over<M: Member>(
        own: &mut Option<Arc<Self>>,
        next: Arc<Self>,
        member: &Arc<M>,
    ) {
        let before = own.replace(Arc::clone(&next));
        if let Some(before) = before.filter(|before| !Arc::ptr_eq(before, &next)) {
            before.dismiss(member);
        }
    }

    /// The runtime it runs on.
    pub(crate) fn runtime(&self) -> RuntimeId {
        self.runtime
    }

    fn end(&self) -> Option<End> {
        lock(&self.list).end
    }

    /// Has `member` looked at by then. `Err`: the keeper has ended.
    pub(crate) fn schedule<M: Member>(&self, member: &Arc<M>, at: Instant) -> Result<(), End> {
        let key = key(member);
        let is_earliest = {
            let mut list = lock(&self.list);
            if let Some(end) = list.end {
                return Err(end);
            }
            list.has_begun = true;
            let listed = list.members.entry(key).or_insert_with(|| Listed {
                member: Arc::clone(member) as Arc<dyn Member>,
                due: None,
            });
            if listed.due.is_some_and(|(due, _)| due <= at) {
                return Ok(());
            }
            let first = list.due.peek();
            let is_earliest = first.is_none_or(|Reverse((first, ..))| at < *first);
            list.list_for(at, key);
            is_earliest
        };
        if is_earliest {
            self.earlier.notify_one();
        }
        Ok(())
    }

    /// Takes `member` off the list.
    pub(crate) fn dismiss<M: Member>(&self, member: &Arc<M>) {
        let dismissed = {
            let mut list = lock(&self.list);
            let dismissed = list.members.remove(&key(member));
            list.tidy();
            dismissed
        };
        if dismissed.is_some() {
            // It may have been the last.
            self.earlier.notify_one();
        }
        // Dropped outside the lock.
        drop(dismissed);
    }

    /// The next member that is due by `now`; else when the first will be, or none is left.
    fn next(&self, now: Instant) -> Next {
        let mut list = lock(&self.list);
        loop {
            let Some(&Reverse((at, number, key))) = list.due.peek() else {
                // Between looks every member is due some time.
                debug_assert!(list.members.is_empty());
                if list.has_begun {
                    list.end = Some(End::Idle);
                    return Next::Nothing;
                }
                return Next::Later(None);
            };
            let is_current = |listed: &&mut Listed| listed.due == Some((at, number));
            let Some(listed) = list.members.get_mut(&key).filter(is_current) else {
                list.due.pop();
                continue;
            };
            if at > now {
                return Next::Later(Some(at));
            }
            listed.due = None;
            let member = Arc::clone(&listed.member);
            list.due.pop();
            return Next::Look(member);
        }
    }

    /// After a look: `member` is due at `at`, unless it was listed for an earlier time meanwhile.
    fn looked(&self, member: &Arc<dyn Member>, at: Option<Instant>) {
        let key = key(member);
        let mut list = lock(&self.list);
        let Some(listed) = list.members.get(&key) else {
            return;
        };
        match (listed.due, at) {
            (Some((due, _)), at) if at.is_none_or(|at| due <= at) => {}
            (_, Some(at)) => list.list_for(at, key),
            (_, None) => {
                let gone = list.members.remove(&key);
                list.tidy();
                drop(list);
                drop(gone);
            }
        }
    }

    async fn keep(self: &Arc<Self>) {
        let mut stretch = 0;
        loop {
            match self.next(rt::now()) {
                Next::Look(member) => {
                    // Members guard the user code they call; a panic of their own ends none of the others, and its
                    // member is looked at again: somebody may wait for that.
                    let look = rt::calling(|| Arc::clone(&member).look(self));
                    self.looked(&member, look.unwrap_or_else(|_| Some(rt::now() + SECOND)));
                    drop(member);
                    stretch += 1;
                    if stretch % STRETCH == 0 {
                        tokio::task::yield_now().await;
                    }
                }
                Next::Later(Some(at)) => {
                    tokio::select! {
                        // In a fixed order, so that a seeded run can be repeated.
                        biased;
                        () = rt::sleep_until(at) => {}
                        () = self.earlier.notified() => {}
                    }
                }
                Next::Later(None) => self.earlier.notified().await,
                Next::Nothing => return,
            }
        }
    }
}

impl List {
    /// Members that are gone leave no memory behind, nor times that do not count any more: each look costs a step or two
    /// for it.
    fn tidy(&mut self) {
        let Self { members, due, .. } = self;
        if due.len() > 2 * members.len() + ROOM {
            due.retain(|Reverse((at, number, key))| {
                let listed = members.get(key);
                listed.is_some_and(|listed| listed.due == Some((*at, *number)))
            });
        }
        if due.capacity() > 2 * due.len() + ROOM {
            due.shrink_to(due.len() * 3 / 2);
        }
        if members.capacity() > 2 * members.len() + ROOM {
            members.shrink_to(members.len() * 3 / 2);
        }
    }
}

/// So much more than there is use for is not worth the while.
const ROOM: usize = 64;

enum Next {
    Look(Arc<dyn Member>),
    /// Then, or when something is listed.
    Later(Option<Instant>),
    Nothing,
}

fn key<M: Member + ?Sized>(member: &Arc<M>) -> usize {
    Arc::as_ptr(member).cast::<()>().addr()
}

/// The task of a keeper. Dropped before its end, its runtime was shut down.
struct Running(Arc<Keeper>);

async fn run(running: Running) {
    running.0.keep().await;
}

impl Drop for Running {
    fn drop(&mut self) {
        let keeper = &self.0;
        unregister(keeper);
        let members = {
            let mut list = lock(&keeper.list);
            list.end.get_or_insert(End::Died);
            list.due.clear();
            std::mem::take(&mut list.members)
        };
        for (_, listed) in members {
            let _ = rt::calling(|| listed.member.abandoned(keeper));
        }
    }
}

/// `None` only where the lock is taken for good.
fn keepers() -> Option<MutexGuard<'static, Option<Keepers>>> {
    lock_patiently(&KEEPERS)
}

/// Models have a keeper for each pool: theirs end with the model, and no two share one.
fn registered(id: RuntimeId) -> Option<Arc<Keeper>> {
    if cfg!(cenote_shuttle) {
        return None;
    }
    let keepers = keepers()?;
    let keeper = keepers.as_ref()?.get(&id)?;
    keeper.end().is_none().then(|| Arc::clone(keeper))
}

fn register(keeper: &Arc<Keeper>) {
    if cfg!(cenote_shuttle) {
        return;
    }
    let replaced = keepers().map(|mut keepers| {
        let keepers = keepers.get_or_insert_default();
        keepers.insert(keeper.runtime, Arc::clone(keeper))
    });
    // Outside the lock.
    drop(replaced);
}

fn unregister(keeper: &Arc<Keeper>) {
    let Some(mut keepers) = keepers() else {
        return;
    };
    let Some(keepers) = &mut *keepers else {
        return;
    };
    let registered = keepers.get(&keeper.runtime);
    if registered.is_some_and(|registered| Arc::ptr_eq(registered, keeper)) {
        keepers.remove(&keeper.runtime);
    }
}

#[cfg(all(test, not(cenote_loom), not(cenote_shuttle)))]
mod tests;
