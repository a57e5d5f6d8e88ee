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

#[test]
fn idle_connections_that_signal_their_end_are_replaced_and_keep_nobody_waiting() {
    explore(|| {
        let server = Server::new(2);
        // Not `min_idle`: a second connection, unused, would make its end a failed connect.
        let pool = builder(&server, 2).min_size(1).build().unwrap();
        drop(block_on(served(&pool)));
        let opened = server.opened();
        server.signals_end();
        // Time stands still: nothing but the signal has the pool look.
        block_on(async {
            while server.opened() == opened {
                shuttle::future::yield_now().await;
            }
        });
        let peer = {
            let server = server.clone();
            party(async move { server.signals_end() })
        };
        // One that dies unused is a failed connect, after which dials wait.
        in_time(|| race([user(&pool, 2), user(&pool, 1), peer]));
        in_time(|| ends_whole(pool, &server, 2));
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
