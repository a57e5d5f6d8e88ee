//! The pool against a naive reference: random scripts are run on both, and whatever users can see is compared
//! after every operation. A script that tells them apart is shrunk, and printed as a call of [`replay`] that
//! can be pasted below.

mod allowed;
mod getter;
mod model;
mod operation;
mod run;
mod turn;

use cenote::settings::IdleOrder;
use operation::Op::{self, *};
use operation::{Script, Step, calm, hasty};
use proptest::prelude::*;
use proptest::test_runner::TestError;

use crate::scripts::runner;
use crate::server::Act;

fn explore(scripts: impl Strategy<Value = Script>) {
    match runner(122).run(&scripts, |script| {
        run::run(&script).map_err(TestCaseError::fail)
    }) {
        Ok(()) => {}
        Err(TestError::Fail(breach, script)) => {
            let (script, breach) = shortest(script, breach.to_string());
            panic!("{breach}\n{script:?}");
        }
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}

/// The generator shrinks; this leaves out what it could not, such as one of two that it made together.
fn shortest(script: Script, breach: String) -> (Script, String) {
    let failing = |script: Script| run::run(&script).err().map(|breach| (script, breach));
    let shorter = script.shorter().find_map(failing);
    shorter.map_or((script, breach), |(script, breach)| {
        shortest(script, breach)
    })
}

/// Runs one script, as `explore` prints it.
#[track_caller]
fn replay(max_size: usize, order: IdleOrder, ops: &[Op]) {
    let script = Script {
        max_size,
        order,
        ops: ops.to_vec(),
    };
    if let Err(breach) = run::run(&script) {
        panic!("{breach}\n{script:?}");
    }
}

#[test]
fn the_pool_is_as_the_reference_when_operations_follow_one_another() {
    explore(calm());
}

#[test]
fn the_pool_is_as_the_reference_when_operations_happen_at_the_same_instant() {
    explore(hasty());
}

// What broke other pools.

/// bb8 #122: two found nothing idle, two connections came back at once, and one permit was stored for both.
#[test]
fn two_that_come_back_at_once_serve_two_that_wait() {
    replay(
        2,
        IdleOrder::Local,
        &[Get, Get, Settle, Get, Get, Return(0), Return(0), Settle],
    );
}

/// sqlx #622: a getter was woken and went away, and its turn with it.
#[test]
fn a_getter_cancelled_at_its_turn_passes_it_on() {
    replay(
        1,
        IdleOrder::Local,
        &[Get, Settle, Get, Get, Settle, Return(0), Cancel(0), Settle],
    );
}

/// deadpool: shrunk while not full, it kept permits for more than fit; mobc: it never came down to its size.
#[test]
fn an_underfilled_pool_that_is_shrunk_opens_no_more_than_fit() {
    replay(
        4,
        IdleOrder::Local,
        &[
            Get,
            Get,
            Settle,
            Return(0),
            Resize(1),
            Settle,
            Get,
            Get,
            Get,
            Settle,
            Return(0),
            Settle,
            Return(0),
            Settle,
        ],
    );
}

/// sqlx #1869: a getter that went away took the connection along that was checked for it.
#[test]
fn a_check_outlives_the_getter_it_is_for() {
    let slow = Tell(Step::Check, Act::Slow);
    replay(
        1,
        IdleOrder::Local,
        &[
            Get,
            Settle,
            Return(0),
            Pass(4),
            slow,
            Get,
            Cancel(0),
            Get,
            Settle,
        ],
    );
}

/// A check ends when the pool is paused: its connection stays, its getter waits.
#[test]
fn a_connection_that_was_checked_is_not_leased_while_paused() {
    let slow = Tell(Step::Check, Act::Slow);
    replay(
        1,
        IdleOrder::Local,
        &[
            Get,
            Settle,
            Return(0),
            Pass(4),
            slow,
            Get,
            Pause,
            Settle,
            Resume,
            Settle,
        ],
    );
}

// What the random scripts found here.

#[test]
fn getters_whose_connections_died_before_they_looked_keep_their_order() {
    replay(
        2,
        IdleOrder::Local,
        &[Get, Get, Pause, Settle, Restart, Resume, Settle],
    );
}

/// With the younger in front, the older one's time-out was overlooked until the younger one's.
#[test]
fn a_getter_whose_connection_died_before_it_looked_is_told_in_time() {
    let refuse = Tell(Step::Connect, Act::Fail);
    replay(
        3,
        IdleOrder::Local,
        &[
            Get,
            Get,
            Get,
            Settle,
            Return(1),
            Return(1),
            Pause,
            Get,
            Pass(5),
            Get,
            Settle,
            Restart,
            refuse,
            Resume,
            Settle,
            Settle,
            Settle,
            Settle,
            Settle,
            Settle,
        ],
    );
}

#[test]
fn a_connection_past_its_lifetime_is_not_reset_for_the_next() {
    replay(
        1,
        IdleOrder::Local,
        &[
            Get,
            Settle,
            Soil(0),
            Pass(70),
            Get,
            Settle,
            Return(0),
            Settle,
        ],
    );
}
