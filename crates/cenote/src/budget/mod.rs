//! A bound on the connections of several pools together: [`Budget`].

// A bound on the connections of several pools together: may one more be opened? Bounds may lie within bounds. Asked
// where a connection is opened or closed, and nowhere else; while some pool waits for a permit, also where a
// connection comes back.
//
// A permit is not an object: every slot that is not vacant holds one, and it is given back where the slot is vacated,
// so however a connection ends, its permit is back.
//
// `accounts` has what each pool holds and each bound carries; `line` who is served next; `member` what a pool does.
//
// ## Locks
// One for all bounds with a common root. It lies between a pool's dialer, under which a pool asks, and the kernel's
// ledgers, in which idle connections are looked for: a leaf it cannot be, since which connection is closed for whom
// has to be decided over all pools at once. No user code runs under it: connections to be closed, pools to be woken
// and references that may be the last are put into [`After`], for when the lock is let go.
//
// ## How no wake-up is lost
// > If a pool waits for a permit and none is on its way to it, no pool below its bound has an idle connection it could
// > do without, and every lease there has the mark that makes it come back through the ledger.
//
// Joining the line establishes that, with [`is_contested`](Tree::is_contested) set before: a lease handed on after
// that is marked again (`Owner::must_report`), and who makes a connection idle reads the flag after it and tells the
// line. Connections within a pool's reservation are nobody else's; a pool that grows beyond it has the others look
// again.

mod accounts;
mod line;
mod member;

use std::fmt;
use std::sync::Arc as StdArc;

use accounts::{Key, State};
pub(crate) use member::{After, BudgetMember, Close, Idle, Membership, Want};

use crate::plural::plural;
pub use crate::report::BudgetStatus;
use crate::rt::Clock;
use crate::sync::Ordering::Relaxed;
use crate::sync::{AtomicBool, Mutex, MutexGuard, lock};

/// A bound on how many connections several pools have together, those being opened or closed included.
///
/// A cheap handle: clones are the same budget. Pools are put under it where they are
/// [built](crate::pool::PoolBuilder::budget), and need not know of each other:
///
/// ```
/// # use cenote::{Budget, Connect, Pool};
/// # use cenote::error::SettingsError;
/// # fn pools<C: Connect>(orders: C, reports: C, jobs: C) -> Result<(), SettingsError> {
/// // PostgreSQL's max_connections less what it reserves for superusers.
/// let database = Budget::new(97).named("database");
/// let background = Budget::within(&database, 20).named("background");
///
/// let orders = Pool::builder(orders).max_size(97).min_idle(5).budget(&database).build()?;
/// let reports = Pool::builder(reports).max_size(20).budget(&background).build()?;
/// let jobs = Pool::builder(jobs).max_size(20).budget(&background).build()?;
/// # Ok(())
/// # }
/// ```
///
/// While connections are to be had, each pool opens what it needs, up to its own `max_size`. Once they are not:
///
/// - The pool whose oldest caller has waited longest comes first.
/// - The connection that has been idle for longest, in whichever pool, is closed for it
///   ([`CloseReason::Budget`](crate::report::CloseReason::Budget)).
/// - If none is idle, one that comes back to a pool goes, if the callers of that pool have waited less and the pool has
///   had the connection for eight times as long as its dials take, from 10 ms to 2 s: so every pool is served, and most
///   of the time does not go into dials.
///
/// A connection of a [`SharedPool`](crate::SharedPool) comes back once it carries no lease for a moment, so one that is
/// in use without a break stays where it is.
///
/// The `min_idle` of each pool (of a [`SharedPool`](crate::SharedPool) its `min_size`) is reserved for it: others get
/// neither these permits nor those connections.
///
/// While no pool waits for another's connection, a lease costs what it costs without a budget. While one does, each
/// connection that comes back is looked at under a lock that all pools of the budget share.
#[derive(Clone)]
pub struct Budget {
    bound: StdArc<Bound>,
}

/// One bound, within another or at the root.
struct Bound {
    tree: StdArc<Tree>,
    /// Up to the root, this one first.
    chain: StdArc<[Key]>,
    /// Keeps the accounts of the bounds that this one is within.
    _parent: Option<Budget>,
}

/// All bounds with a common root.
struct Tree {
    clock: Clock,
    state: Mutex<State>,
    /// Some pool waits for a permit, or there are more connections than may be: written under the lock, and set before
    /// the pools' connections are looked at.
    is_contested: StdArc<AtomicBool>,
    /// Some bound is on idle connections, too.
    bounds_idle: AtomicBool,
}

impl Tree {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Budget {
    /// A budget of so many connections. It may be none, until it is [resized](Self::resize).
    pub fn new(max_connections: usize) -> Self {
        let is_contested = StdArc::new(AtomicBool::new(false));
        let tree = StdArc::new(Tree {
            clock: Clock::new(),
            state: Mutex::new(State::new(StdArc::clone(&is_contested))),
            is_contested,
            bounds_idle: AtomicBool::new(false),
        });
        Self::begin(tree, &[], max_connections, None)
    }

    /// A budget of so many of the connections of `parent`: both bounds hold.
    pub fn within(parent: &Budget, max_connections: usize) -> Self {
        let Bound { tree, chain, .. } = &*parent.bound;
        let parent = Some(parent.clone());
        Self::begin(StdArc::clone(tree), chain, max_connections, parent)
    }

    fn begin(tree: StdArc<Tree>, above: &[Key], max: usize, parent: Option<Budget>) -> Self {
        let own = tree.state().add_bound(max);
        let chain = std::iter::once(own).chain(above.iter().copied()).collect();
        Self {
            bound: StdArc::new(Bound {
                tree,
                chain,
                _parent: parent,
            }),
        }
    }

    /// The name that errors and reports carry, of all handles. Default: "unnamed".
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        let name: String = name.into();
        self.bound.tree.state().bound_mut(self.key()).name = name.into();
        self
    }

    /// Bounds the idle connections of all its pools together as well: of more, those that have been idle for longest are
    /// closed, in whichever pools ([`CloseReason::Budget`](crate::report::CloseReason::Budget)), but for the `min_idle` of
    /// each. Default: no bound but those of the pools.
    ///
    /// Pools count theirs as they are looked after, once a second at least while they are in use or have leases out: for so
    /// long there may be more, or fewer, where what was idle is leased since. A lease costs no more for it.
    #[must_use]
    pub fn max_idle(self, connections: usize) -> Self {
        let tree = &self.bound.tree;
        tree.state().bound_mut(self.key()).max_idle = connections;
        tree.bounds_idle.store(true, Relaxed);
        self
    }

    /// Changes how many connections there may be. Growing serves waiting pools at once. Shrinking closes idle
    /// connections now, least recently used first, and leased ones as they come back, as many as are too many: those
    /// that pools can do without, and others only where the budget is less than what is reserved.
    pub fn resize(&self, max_connections: usize) {
        let mut after = After::default();
        let tree = &self.bound.tree;
        tree.state().resize(self.key(), max_connections, &mut after);
        after.run();
    }

    /// The budget as it is now.
    pub fn status(&self) -> BudgetStatus {
        self.bound.tree.state().status(self.key())
    }

    fn key(&self) -> Key {
        self.bound.chain[0]
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        self.tree.state().remove_bound(self.chain[0]);
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Budget").field(&self.status()).finish()
    }
}

impl fmt::Display for BudgetStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            max_connections,
            max_idle,
            connections,
            reserved,
            waiting,
        } = self;
        write!(f, "budget {name}: ")?;
        match *max_connections {
            usize::MAX => write!(f, "{}", plural(*connections, "connection"))?,
            max => write!(f, "{connections} of {}", plural(max, "connection"))?,
        }
        if let Some(max_idle) = max_idle {
            write!(f, ", {max_idle} idle at most")?;
        }
        if *reserved > 0 {
            write!(f, ", {reserved} more reserved")?;
        }
        write!(f, ", {} waiting", plural(*waiting, "pool"))
    }
}
