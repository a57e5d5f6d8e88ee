//! Endpoints that die, and dials that fail, against those who wait.

use super::*;
use crate::policy::telling::ConnectFailures;

/// One failure of all endpoints is told.
fn telling_at_once(builder: PoolBuilder<Toy>) -> Pool<Toy> {
    builder
        .connect_failures(ConnectFailures::FailAfter(1))
        .connect_failures_while_open(ConnectFailures::FailAfter(1))
        .build()
        .unwrap()
}

/// The server goes down and stays so.
fn killer(server: &Server) -> Party {
    let server = server.clone();
    party(async move { server.goes_down() })
}

/// All servers come up, and the dials that failed before that are over.
fn come_up(service: &Service, pool: &Pool<Toy>) {
    service.servers.iter().for_each(Server::comes_up);
    while pool.core.demand().opening > 0 {
        thread::yield_now();
    }
}

#[test]
fn who_waits_while_an_endpoint_dies_is_served_by_the_other() {
    explore(|| {
        let (service, builder) = Service::new(2, 1, &[0, 1]);
        let pool = builder.build().unwrap();
        let leases = block_on(service.all_of(&pool, &[0, 1]));
        let returner = party(async move { drop(leases) });
        race([
            user(&pool, 2),
            user(&pool, 1),
            killer(&service.servers[0]),
            returner,
        ]);
        service.servers[0].comes_up();
        in_time(|| service.ends_whole(pool, &[0, 1]));
    });
}

#[test]
fn who_waits_is_told_of_no_failed_dial_while_another_endpoint_serves() {
    explore(|| {
        let (service, builder) = Service::new(2, 1, &[0, 1]);
        service.servers[0].goes_down();
        let pool = telling_at_once(builder);
        race([user(&pool, 2), user(&pool, 1), user(&pool, 1)]);
        service.servers[0].comes_up();
        in_time(|| service.ends_whole(pool, &[0, 1]));
    });
}

#[test]
fn where_all_endpoints_fail_each_caller_is_told() {
    explore(|| {
        let (service, builder) = Service::new(2, 1, &[0, 1]);
        service.servers.iter().for_each(Server::goes_down);
        let pool = telling_at_once(builder);
        in_time(|| {
            let told = || {
                let pool = pool.clone();
                party(async move {
                    let told = pool.get().await.map(drop);
                    assert!(matches!(told, Err(GetError::Connect { .. })), "{told:?}");
                })
            };
            race([told(), told(), told()]);
        });
        come_up(&service, &pool);
        in_time(|| service.ends_whole(pool, &[0, 1]));
    });
}

/// Time stands still: what tells a caller is the second dial's failure, and not the next one's.
#[test]
fn a_lone_caller_is_told_when_the_last_endpoint_has_failed() {
    explore(|| {
        let (service, builder) = Service::new(2, 1, &[0, 1]);
        service.servers.iter().for_each(Server::goes_down);
        let pool = telling_at_once(builder);
        let told = block_on(pool.get()).map(drop);
        assert!(matches!(told, Err(GetError::Connect { .. })), "{told:?}");
        come_up(&service, &pool);
        in_time(|| service.ends_whole(pool, &[0, 1]));
    });
}

/// One endpoint stays down, and the other goes while those that come are about to.
#[test]
fn a_dial_that_fails_while_the_set_is_replaced_is_told_to_nobody() {
    explore(|| {
        let (service, builder) = Service::new(4, 1, &[0, 1]);
        service.servers[0].goes_down();
        let pool = telling_at_once(builder);
        race([
            user(&pool, 2),
            user(&pool, 1),
            user(&pool, 1),
            service.changer([&[2, 3]]),
        ]);
        service.has_lost(&[0, 1]);
        service.ends_whole(pool, &[2, 3]);
    });
}

/// Time stands still: the endpoint that comes has the number of the one that went, and not its back-off.
#[test]
fn what_failed_of_an_endpoint_that_is_removed_is_no_matter_of_the_next() {
    explore(|| {
        let (service, builder) = Service::new(3, 1, &[0, 1]);
        service.servers[1].goes_down();
        let pool = builder.build().unwrap();
        race([user(&pool, 1), user(&pool, 1), service.changer([&[0]])]);
        service.has_lost(&[1]);
        service.consists_of(&[0, 2]);
        service.ends_whole(pool, &[0, 2]);
    });
}
