//! Upkeep's turns against those who use the pool.

use super::*;

#[test]
fn background_checks_against_users_keep_nobody_waiting() {
    explore(|| {
        let server = Server::new(2);
        let pool = builder(&server, 2).keepalive(Some(SECOND)).build().unwrap();
        let mut leased = block_on(pool.get_owned()).unwrap();
        drop(block_on(served(&pool)));
        let returner = party(async move { leased.use_it() });
        race([user(&pool, 2), user(&pool, 1), returner, time_passes(3)]);
        ends_whole(pool, &server, 2);
    });
}

/// Time stands still: nothing but the signal has the pool look.
#[test]
fn an_idle_connection_that_signals_its_end_against_users_is_replaced() {
    explore(|| {
        let server = Server::new(2);
        let pool = builder(&server, 2).min_idle(1).build().unwrap();
        drop(block_on(served(&pool)));
        let peer = {
            let server = server.clone();
            party(async move { server.signals_end() })
        };
        race([user(&pool, 1), user(&pool, 1), peer]);
        let opened = server.opened();
        server.signals_end();
        block_on(async {
            while server.opened() == opened {
                shuttle::future::yield_now().await;
            }
        });
        ends_whole(pool, &server, 2);
    });
}

#[test]
fn time_outs_against_a_return_serve_or_refuse_each_getter() {
    explore(|| {
        let server = Server::new(1);
        let pool = builder(&server, 1)
            .acquire_timeout(Some(SECOND))
            .build()
            .unwrap();
        let mut leased = block_on(pool.get_owned()).unwrap();
        let caller = || {
            let pool = pool.clone();
            party(async move {
                match pool.get().await {
                    Ok(mut lease) => lease.use_it(),
                    Err(GetError::TimedOut(_)) => {}
                    Err(other) => panic!("{other}"),
                }
            })
        };
        let returner = party(async move { leased.use_it() });
        race([caller(), caller(), returner, time_passes(3)]);
        ends_whole(pool, &server, 1);
    });
}
