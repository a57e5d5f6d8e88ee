//! The end of the runtime that upkeep, a reset and a dial run on, while users are on another already.

use super::*;
use crate::policy::telling::ConnectFailures;
use crate::rt::model::{Old, move_on};

/// A pool that waits for as long as dials fail: those cut short have failed.
fn patient(server: &Server, max_size: usize) -> Pool<Toy> {
    builder(server, max_size)
        .connect_failures(ConnectFailures::KeepWaiting)
        .build()
        .unwrap()
}

fn retire(old: Old) -> Party {
    party(async move { old.end() })
}

#[test]
fn a_runtime_that_ends_under_users_keeps_nobody_waiting() {
    explore(|| {
        in_time(|| {
            let server = Server::new(3);
            let pool = patient(&server, 3);
            let mut first = block_on(served(&pool));
            let second = block_on(served(&pool));
            drop(polled(&pool, below(2)));
            first.soil();
            drop((first, second));
            let end = retire(move_on());
            race([user(&pool, 2), user(&pool, 1), user(&pool, 1), end]);
            ends_whole(pool, &server, 3);
        });
    });
}

#[test]
fn who_waits_for_a_dial_on_a_runtime_that_ends_is_served_all_the_same() {
    explore(|| {
        in_time(|| {
            let server = Server::new(1);
            let pool = patient(&server, 1);
            let mut get = Box::pin(served(&pool));
            block_on(poll_fn(|cx| {
                assert!(get.as_mut().poll(cx).is_pending());
                Poll::Ready(())
            }));
            let old = move_on();
            let end = thread::spawn(|| old.end());
            block_on(get).use_it();
            end.join().unwrap();
            ends_whole(pool, &server, 1);
        });
    });
}

/// Upkeep starts anew and finds the pool closed: it ends, but for another reason than the one before.
#[test]
fn a_close_after_the_runtime_ended_is_what_getters_are_told() {
    explore(|| {
        in_time(|| {
            let server = Server::new(2);
            let pool = patient(&server, 2);
            let end = retire(move_on());
            race([caller(&pool), caller(&pool), closer(&pool), end]);
            ends(pool, &server);
        });
    });
}
