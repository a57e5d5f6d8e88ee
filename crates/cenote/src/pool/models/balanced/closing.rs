//! The end of the pool against changes of its set.

use super::*;

#[test]
fn a_close_against_a_change_of_the_set_leaves_nothing_open_and_ends_the_follower() {
    explore(|| {
        let (service, builder) = Service::new(3, 1, &[0, 1]);
        let pool = builder.build().unwrap();
        race([
            caller(&pool),
            caller(&pool),
            closer(&pool),
            service.changer([&[1, 2], &[2]]),
        ]);
        service.ends(pool);
    });
}

#[test]
fn the_last_handle_dropped_against_a_change_of_the_set_leaves_nothing_behind() {
    explore(|| {
        let (service, builder) = Service::new(2, 1, &[0]);
        let pool = builder.build().unwrap();
        let mut lease = block_on(pool.get_owned()).unwrap();
        race([
            party(async move { lease.soil() }),
            party(async move { drop(pool) }),
            service.changer([&[1], &[0, 1]]),
        ]);
        service.is_left();
    });
}
