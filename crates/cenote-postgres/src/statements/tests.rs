use std::cell::Cell;

use tokio::sync::Notify;

use super::*;

const ROOM: Bounds = Bounds {
    statements: 64,
    bytes: 1 << 20,
};

/// Asks for a text, and tells whether it had to be prepared.
async fn is_prepared(statements: &Statements<()>, sql: &str) -> bool {
    let asked = Cell::new(false);
    let prepare = async || {
        asked.set(true);
        Ok::<_, ()>(())
    };
    let _ = statements
        .find_or_prepare(Names::default(), sql, prepare)
        .await;
    asked.get()
}

#[tokio::test]
async fn texts_that_never_come_again_fill_a_part_only_and_displace_none_that_do() {
    let statements = Statements::new(ROOM);
    let useful: Vec<_> = (0..40).map(|n| format!("useful {n}")).collect();
    for _ in 0..3 {
        for sql in &useful {
            is_prepared(&statements, sql).await;
        }
    }
    for n in 0..1_000 {
        is_prepared(&statements, &format!("once {n}")).await;
    }
    for sql in &useful {
        assert!(!is_prepared(&statements, sql).await, "{sql}");
    }
    assert_eq!(statements.len(), 40 + TRIAL_LEAST);
}

#[tokio::test]
async fn texts_that_come_in_turn_are_all_kept_though_more_than_those_on_trial() {
    let statements = Statements::new(ROOM);
    for turn in 0..4 {
        for n in 0..60 {
            let prepared = is_prepared(&statements, &format!("{n}")).await;
            assert!(!prepared || turn < 2, "{n} in turn {turn}");
        }
    }
}

#[tokio::test]
async fn the_texts_together_are_bounded_in_bytes() {
    let statements = Statements::new(ROOM);
    let text = |n: usize| format!("{n} {}", "x".repeat(100_000));
    for n in 0..40 {
        is_prepared(&statements, &text(n)).await;
        is_prepared(&statements, &text(n)).await;
    }
    assert_eq!(statements.len(), (1 << 20) / (100_000 + OVERHEAD));
}

#[tokio::test]
async fn a_text_larger_than_the_bound_is_not_kept() {
    let statements = Statements::new(ROOM);
    let text = "x".repeat(1 << 20);
    assert!(is_prepared(&statements, &text).await && is_prepared(&statements, &text).await);
    assert_eq!(statements.len(), 0);
}

#[tokio::test]
async fn a_cleared_cache_has_all_its_room_again() {
    let statements = Statements::new(ROOM);
    for _ in 0..3 {
        for n in 0..64 {
            is_prepared(&statements, &format!("{n}")).await;
        }
        statements.clear();
    }
    assert_eq!(statements.lock().all.statements, 0);
    assert_eq!(statements.lock().on_trial.bytes, 0);
}

#[tokio::test]
async fn users_who_ask_at_once_have_a_text_prepared_once() {
    let (statements, asked, go) = (Statements::new(ROOM), Cell::new(0), Notify::new());
    let prepare = async || {
        asked.set(asked.get() + 1);
        go.notified().await;
        Ok::<_, ()>(asked.get())
    };
    let user = || statements.find_or_prepare(Names::default(), "SELECT 1", prepare);
    let (one, other, third, ()) = tokio::join!(user(), user(), user(), async {
        go.notify_waiters();
    });
    assert_eq!((one, other, third), (Ok(1), Ok(1), Ok(1)));
}

#[tokio::test]
async fn who_waits_for_one_that_is_cancelled_goes_on_with_it() {
    let (statements, asked) = (Statements::new(ROOM), Cell::new(0));
    let prepare = async || {
        asked.set(asked.get() + 1);
        match asked.get() {
            1 => std::future::pending().await,
            turn => Ok::<_, ()>(turn),
        }
    };
    let user = || statements.find_or_prepare(Names::default(), "SELECT 1", prepare);
    let second = tokio::select! {
        biased;
        _ = user() => unreachable!("it never ends"),
        second = user() => second,
        () = tokio::task::yield_now() => user().await,
    };
    assert_eq!(second, Ok(2));
}

#[tokio::test]
async fn a_failure_reaches_only_the_one_whose_it_is() {
    let (statements, asked) = (Statements::new(ROOM), Cell::new(0));
    let prepare = async || {
        asked.set(asked.get() + 1);
        let turn = asked.get();
        tokio::task::yield_now().await;
        match turn {
            1 => Err("refused"),
            turn => Ok(turn),
        }
    };
    let user = || statements.find_or_prepare(Names::default(), "SELECT 1", prepare);
    assert_eq!(tokio::join!(user(), user()), (Err("refused"), Ok(2)));
    assert_eq!(statements.len(), 0, "it was prepared for one user alone");
}

#[tokio::test]
async fn a_stale_statement_that_was_replaced_stays_replaced() {
    let statements = Statements::new(ROOM);
    let of = |number| {
        statements.find_or_prepare(Names::default(), "SELECT 1", move || {
            std::future::ready(Ok::<_, ()>(number))
        })
    };
    assert_eq!(of(1).await, Ok(1));
    statements.forget(Names::default(), "SELECT 1", |kept| *kept == 1);
    assert_eq!(of(2).await, Ok(2));
    statements.forget(Names::default(), "SELECT 1", |kept| *kept == 1);
    assert_eq!(of(3).await, Ok(2));
}
