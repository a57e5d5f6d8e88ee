//! Scripts: what can be done to a pool, how lists of it are made up and made shorter, and how they print.

use std::fmt;

use cenote::settings::IdleOrder;
use proptest::prelude::*;

use crate::server::Act;

/// One thing done to the pool, its server or a lease. Leases and getters are counted from the oldest, round
/// and round: `Return(5)` of three leases returns the third. What there is nothing for does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// A getter comes. It is polled once, and then when it is woken.
    Get,
    TryGet,
    /// A lease is dropped.
    Return(usize),
    Discard(usize),
    Detach(usize),
    /// The connection of a lease dies in its user's hands.
    Kill(usize),
    /// A lease is left in a state that needs a reset.
    Soil(usize),
    /// A getter that waits is dropped, at once: whatever it was given unseen goes on.
    Cancel(usize),
    /// A getter that waits is polled, though nobody woke it, by another task than before.
    Poll(usize),
    Resize(usize),
    Pause,
    Resume,
    Evict,
    Close,
    /// Every connection there is dies.
    Restart,
    /// From now on, a step of the server goes like this.
    Tell(Step, Act),
    /// Tasks run until nothing is left to happen soon: one [`TURN`](super::model::TURN). Operations with none
    /// between them happen at the same instant, nobody else running.
    Settle,
    /// So many turns.
    Pass(u64),
}

/// A step of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Connect,
    Check,
    Reset,
    Goodbye,
}

/// A pool to begin with, and what is done to it. Prints as the code that does it again.
#[derive(Clone, PartialEq, Eq)]
pub struct Script {
    pub max_size: usize,
    pub order: IdleOrder,
    pub ops: Vec<Op>,
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            max_size,
            order,
            ops,
        } = self;
        write!(f, "replay({max_size}, IdleOrder::{order:?}, &[")?;
        for (i, op) in ops.iter().enumerate() {
            f.write_str(if i == 0 { "" } else { ", " })?;
            match op {
                Op::Tell(step, act) => write!(f, "Tell(Step::{step:?}, Act::{act:?})")?,
                op => write!(f, "{op:?}")?,
            }
        }
        f.write_str("])")
    }
}

impl Script {
    /// Every script that is this one less one operation.
    pub fn shorter(&self) -> impl Iterator<Item = Script> {
        (0..self.ops.len()).map(|index| {
            let mut shorter = self.clone();
            shorter.ops.remove(index);
            shorter
        })
    }
}

/// The largest pool: what its connections need together must fit into a turn.
pub const MOST: usize = 4;

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => Just(Act::Ok),
        2 => Just(Act::Fail),
        1 => Just(Act::Slow),
        1 => Just(Act::Never),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Connect),
        2 => Just(Step::Check),
        1 => Just(Step::Reset),
        1 => Just(Step::Goodbye),
    ]
}

/// Operations that take no time. Close is rare: little comes after it.
fn instant() -> impl Strategy<Value = Op> {
    prop_oneof![
        20 => Just(Op::Get),
        20 => (0..MOST).prop_map(Op::Return),
        6 => (0..MOST).prop_map(Op::Cancel),
        3 => (0..MOST).prop_map(Op::Poll),
        4 => Just(Op::TryGet),
        2 => (0..MOST).prop_map(Op::Discard),
        2 => (0..MOST).prop_map(Op::Detach),
        3 => (0..MOST).prop_map(Op::Kill),
        3 => (0..MOST).prop_map(Op::Soil),
        4 => (1..=MOST).prop_map(Op::Resize),
        5 => Just(Op::Resume),
        4 => Just(Op::Pause),
        3 => Just(Op::Evict),
        3 => Just(Op::Restart),
        8 => (step(), act()).prop_map(|(step, act)| Op::Tell(step, act)),
        1 => Just(Op::Close),
    ]
}

/// Next to no time, past the check of idle connections, past `acquire_timeout`, past `idle_timeout`, past
/// `max_lifetime`.
fn pass() -> impl Strategy<Value = Op> {
    prop::sample::select(vec![1, 4, 4, 12, 22, 70]).prop_map(Op::Pass)
}

/// What chance alone leads to too seldom: more getters than may wait; something that happens while a
/// connection that idled for long is checked for a getter, or while several that came during a pause have not
/// looked at theirs.
fn phrase() -> impl Strategy<Value = Vec<Op>> {
    let meanwhile = prop::sample::select(vec![
        Op::Cancel(0),
        Op::Poll(0),
        Op::Pause,
        Op::Evict,
        Op::Restart,
        Op::Close,
    ]);
    let long = prop::sample::select(vec![Act::Slow, Act::Never]);
    let check = (long, meanwhile).prop_map(|(act, meanwhile)| {
        let check = Op::Tell(Step::Check, act);
        let back = Op::Return(0);
        vec![back, back, Op::Pass(4), check, Op::Get, meanwhile]
    });
    let pause = instant().prop_map(|meanwhile| {
        let get = Op::Get;
        vec![
            Op::Pause,
            get,
            get,
            Op::Settle,
            Op::Restart,
            Op::Resume,
            meanwhile,
        ]
    });
    prop_oneof![Just(vec![Op::Get; MOST]), check, pause]
}

fn script(ops: impl Strategy<Value = Vec<Op>>) -> impl Strategy<Value = Script> {
    let order = prop::sample::select(vec![
        IdleOrder::Local,
        IdleOrder::MostRecent,
        IdleOrder::LeastRecent,
    ]);
    (1..=MOST, order, ops).prop_map(|(max_size, order, ops)| Script {
        max_size,
        order,
        ops,
    })
}

fn words(settle: u32) -> impl Strategy<Value = Vec<Op>> {
    let one = |op| vec![op];
    let word = prop_oneof![
        24 => instant().prop_map(one),
        settle => Just(Op::Settle).prop_map(one),
        2 => pass().prop_map(one),
        1 => phrase(),
    ];
    prop::collection::vec(word, 1..50).prop_map(|words| words.concat())
}

/// The pool settles after each operation.
pub fn calm() -> impl Strategy<Value = Script> {
    script(words(1).prop_map(|ops| {
        ops.into_iter()
            .flat_map(|op| match op {
                Op::Pass(_) | Op::Settle => vec![op],
                op => vec![op, Op::Settle],
            })
            .collect()
    }))
}

/// Several operations happen at the same instant.
pub fn hasty() -> impl Strategy<Value = Script> {
    script(words(8))
}
