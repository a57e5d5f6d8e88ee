//! Endpoints that are ejected, by those whose calls fail and by the follower, against changes of the set and users. Time
//! stands still: no ejection is over before the end.

use super::*;
use crate::endpoints::{Ejection, Outcome};

/// One failed call ejects.
fn opinionated(builder: PoolBuilder<Toy>) -> Pool<Toy> {
    builder
        .ejection(Ejection::default().consecutive_failures(1))
        .build()
        .unwrap()
}

/// The call on this lease fails, and that is told.
fn failer(lease: OwnedLease<Toy>) -> Party {
    party(async move { OwnedLease::outcome(&lease, Outcome::Failed) })
}

#[test]
fn an_endpoint_that_is_ejected_while_it_is_removed_is_forgotten() {
    explore(|| {
        let (service, builder) = Service::new(2, 1, &[0, 1]);
        let pool = opinionated(builder);
        let leases = block_on(service.all_of(&pool, &[0, 1]));
        let [of_it, mut of_the_other] = leases.try_into().ok().unwrap();
        let returner = party(async move { of_the_other.use_it() });
        race([
            user(&pool, 1),
            failer(of_it),
            service.changer([&[1]]),
            returner,
        ]);
        service.has_lost(&[0]);
        service.ends_whole(pool, &[1]);
    });
}

#[test]
fn endpoints_that_are_all_ejected_serve_all_the_same() {
    explore(|| {
        let (service, builder) = Service::new(2, 1, &[0, 1]);
        let pool = opinionated(builder);
        let leases = block_on(service.all_of(&pool, &[0, 1]));
        let [first, second] = leases.try_into().ok().unwrap();
        race([
            user(&pool, 1),
            user(&pool, 1),
            failer(first),
            failer(second),
        ]);
        service.ends_whole(pool, &[0, 1]);
    });
}

#[test]
fn who_waits_while_an_endpoint_is_ejected_is_served_by_the_other() {
    explore(|| {
        let (service, builder) = Service::new(2, 1, &[0, 1]);
        let pool = opinionated(builder);
        let leases = block_on(service.all_of(&pool, &[0, 1]));
        let [of_it, mut of_the_other] = leases.try_into().ok().unwrap();
        let returner = party(async move { of_the_other.soil() });
        race([user(&pool, 2), user(&pool, 1), failer(of_it), returner]);
        drop(block_on(service.all_of(&pool, &[1])));
        service.ends(pool);
    });
}
