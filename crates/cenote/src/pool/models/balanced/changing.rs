//! Changes of the set against users.

use super::*;

#[test]
fn who_waits_while_an_endpoint_is_removed_is_served_by_the_other() {
    explore(|| {
        let (service, builder) = Service::new(2, 1, &[0, 1]);
        let pool = builder.build().unwrap();
        let mut leases = block_on(service.all_of(&pool, &[0, 1]));
        let mut of_the_other = leases.pop().unwrap();
        let returner = party(async move { of_the_other.use_it() });
        race([
            user(&pool, 1),
            user(&pool, 1),
            service.changer([&[1]]),
            returner,
        ]);
        drop(leases);
        service.has_lost(&[0]);
        service.ends_whole(pool, &[1]);
    });
}

#[test]
fn who_waits_is_served_by_the_endpoint_that_stays_whichever_lease_ends_first() {
    explore(|| {
        let (service, builder) = Service::new(2, 1, &[0, 1]);
        let pool = builder.build().unwrap();
        let leases = block_on(service.all_of(&pool, &[0, 1]));
        let [first, second] = leases.try_into().ok().unwrap();
        let returner = |mut lease: OwnedLease<Toy>| party(async move { lease.soil() });
        race([
            user(&pool, 1),
            user(&pool, 1),
            service.changer([&[1]]),
            returner(first),
            returner(second),
        ]);
        service.has_lost(&[0]);
        service.ends_whole(pool, &[1]);
    });
}

/// mongo-rust-driver #294: the first server came to be known between a caller's look and its wait.
#[test]
fn a_caller_is_served_by_the_first_endpoint_whenever_that_is_added() {
    explore(|| {
        let (service, builder) = Service::new(1, 1, &[]);
        let pool = builder.build().unwrap();
        race([user(&pool, 1), user(&pool, 1), service.changer([&[0]])]);
        service.ends_whole(pool, &[0]);
    });
}

#[test]
fn an_endpoint_that_comes_back_while_it_has_a_lease_serves_who_waits() {
    explore(|| {
        let (service, builder) = Service::new(2, 1, &[0, 1]);
        let pool = builder.build().unwrap();
        let mut leases = block_on(service.all_of(&pool, &[0, 1]));
        let of_the_other = leases.pop();
        let mut lease = leases.pop().unwrap();
        let returner = party(async move { lease.use_it() });
        race([
            user_of_any(&pool),
            user_of_any(&pool),
            service.changer([&[1], &[0, 1]]),
            returner,
        ]);
        drop(of_the_other);
        service.ends_whole(pool, &[0, 1]);
    });
}

#[test]
fn a_set_replaced_whole_against_users_serves_them_all() {
    explore(|| {
        let (service, builder) = Service::new(4, 1, &[0, 1]);
        let pool = builder.build().unwrap();
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

/// The second set has the numbers of the first as they come free.
#[test]
fn sets_that_replace_each_other_against_users_serve_them_all() {
    explore(|| {
        let (service, builder) = Service::new(3, 1, &[0]);
        let pool = builder.build().unwrap();
        race([
            user(&pool, 2),
            user(&pool, 2),
            service.changer([&[1], &[2], &[0, 1]]),
        ]);
        service.has_lost(&[2]);
        service.ends_whole(pool, &[0, 1]);
    });
}

#[test]
fn an_endpoint_that_is_missed_while_it_is_removed_is_dialled_no_more() {
    explore(|| {
        let (service, builder) = Service::new(3, 1, &[0]);
        let pool = builder.build().unwrap();
        drop(block_on(served(&pool)));
        service.consists_of(&[0, 1, 2]);
        race([user(&pool, 3), user(&pool, 3), service.changer([&[0, 2]])]);
        service.has_lost(&[1]);
        // What was missed of it keeps no other from having its connection.
        while service.servers[2].open() == 0 {
            block_on(served(&pool)).use_it();
            dawdle();
        }
        assert_eq!(service.servers[1].open(), 0);
        service.ends_whole(pool, &[0, 2]);
    });
}

#[test]
fn bounds_hold_under_dials_and_changes() {
    explore(|| {
        let (service, builder) = Service::bounded(3, 2, 3, &[0, 1]);
        let pool = builder.build().unwrap();
        race([
            user(&pool, 2),
            user(&pool, 1),
            user(&pool, 1),
            user(&pool, 1),
            service.changer([&[1, 2], &[2]]),
        ]);
        service.has_lost(&[0, 1]);
        service.ends_whole(pool, &[2]);
    });
}
