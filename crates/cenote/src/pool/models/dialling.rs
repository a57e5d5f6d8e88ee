//! Dials against each other and those they are for.

use shuttle::sync::Barrier;

use super::*;
use crate::policy::telling::ConnectFailures;

#[test]
fn for_a_lone_getter_one_connection_is_opened() {
    explore(|| {
        let server = Server::new(2);
        let pool = pool(&server, 2);
        drop(block_on(served(&pool)));
        dawdle();
        assert_eq!(server.opened(), 1);
        ends_whole(pool, &server, 2);
    });
}

#[test]
fn getters_who_all_keep_their_leases_have_a_connection_opened_each() {
    explore(|| {
        let server = Server::new(3);
        let pool = pool(&server, 3);
        let all_served = Arc::new(Barrier::new(3));
        let keeper = || {
            let (pool, all_served) = (pool.clone(), Arc::clone(&all_served));
            party(async move {
                let mut lease = served(&pool).await;
                all_served.wait();
                lease.use_it();
            })
        };
        race([keeper(), keeper(), keeper()]);
        assert_eq!(server.opened(), 3);
        ends_whole(pool, &server, 3);
    });
}

#[test]
fn a_discarded_connection_is_replaced_for_who_waits() {
    explore(|| {
        let server = Server::new(1);
        let pool = pool(&server, 1);
        let lease = block_on(pool.get_owned()).unwrap();
        let discarder = party(async move { OwnedLease::discard(lease) });
        race([user(&pool, 1), user(&pool, 1), discarder]);
        ends_whole(pool, &server, 1);
    });
}

/// Time stands still: there is no third dial to tell them.
#[test]
fn getters_whose_dials_all_fail_are_told() {
    explore(|| {
        let server = Server::new(2);
        server.goes_down();
        let pool = builder(&server, 2)
            .connect_failures(ConnectFailures::FailAfter(1))
            .build()
            .unwrap();
        pool.pause();
        let mut gets = [(); 2].map(|()| Box::pin(pool.get()));
        for get in &mut gets {
            let poll = block_on(poll_fn(|cx| Poll::Ready(get.as_mut().poll(cx))));
            assert!(poll.is_pending());
        }
        pool.resume();
        for get in gets {
            let told = block_on(get).map(drop);
            assert!(matches!(told, Err(GetError::Connect { .. })), "{told:?}");
        }
        server.comes_up();
        in_time(|| ends_whole(pool, &server, 2));
    });
}
