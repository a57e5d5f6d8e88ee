use std::collections::BTreeSet;

use cenote::Budget;

use super::{NAMES, homes, key_of, use_by_key};
use crate::service::{Service, ms, pass};

/// There are more endpoints than connections: a key's endpoint has one when its caller comes.
#[tokio::test(start_paused = true)]
async fn in_a_full_pool_room_is_made_for_the_endpoint_of_a_key() {
    let service = Service::default();
    let (_sender, pool) = service.over(&NAMES);
    let pool = pool.max_size(2).build().unwrap();
    let homes = homes(&pool, 50).await;
    let servers: BTreeSet<_> = homes.values().collect();
    assert_eq!(servers.len(), 5, "{homes:?}");
    assert!(pool.status().size <= 2);
}

/// The same with both connections leased: the first that comes back goes.
#[tokio::test(start_paused = true)]
async fn in_a_pool_full_of_leases_room_is_made_by_the_first_that_comes_back() {
    let service = Service::default();
    let (_sender, pool) = service.over(&NAMES);
    let pool = pool.max_size(2).build().unwrap();
    let key = key_of(&pool, "c").await;
    let others = [key_of(&pool, "a").await, key_of(&pool, "b").await];
    let a = pool.get().by_key(&others[0]).await.unwrap();
    let b = pool.get().by_key(&others[1]).await.unwrap();
    let caller = {
        let pool = pool.clone();
        tokio::spawn(async move { use_by_key(&pool, key).await })
    };
    pass(ms(10)).await;
    assert!(!caller.is_finished());
    drop((a, b));
    assert_eq!(caller.await.unwrap(), "c");
}

/// With fewer connections than endpoints in demand each goes where the caller is that came first; but not before those
/// are served who came earlier: a connection that is closed after each lease would serve nobody well.
#[tokio::test(start_paused = true)]
async fn in_a_full_pool_connections_go_from_endpoint_to_endpoint_in_the_order_of_arrival() {
    let service = Service::default();
    for name in NAMES {
        service.set_connect_time(name, ms(10));
    }
    let (_sender, pool) = service.over(&NAMES);
    let pool = pool.max_size(2).build().unwrap();
    let users: Vec<_> = (0..50)
        .map(|user| {
            let pool = pool.clone();
            tokio::spawn(async move {
                for lease in 0..20 {
                    use_by_key(&pool, user * 31 + lease).await;
                }
            })
        })
        .collect();
    for user in users {
        // None waits for longer than `acquire_timeout`.
        user.await.unwrap();
    }
    let dialled = NAMES
        .map(|name| service.dialled(name))
        .iter()
        .sum::<usize>();
    assert!(dialled < 400, "{dialled} dials for 1000 leases");
}

/// What the budget has other pools close it closes none of in the pool itself, which could lease it; but not to those who
/// wait for another endpoint.
#[tokio::test(start_paused = true)]
async fn where_a_budget_is_used_up_room_is_made_for_the_endpoint_of_a_key() {
    let (service, budget) = (Service::default(), Budget::new(2));
    let (_sender, pool) = service.over(&NAMES);
    let pool = pool.budget(&budget).build().unwrap();
    let homes = homes(&pool, 50).await;
    let servers: BTreeSet<_> = homes.values().collect();
    assert_eq!(servers.len(), 5, "{homes:?}");

    // The same with both connections leased.
    let keys = ["a", "b", "c"].map(|server| homes.iter().find(|(_, home)| *home == server));
    let [a, b, c] = keys.map(|found| *found.unwrap().0);
    let (held_a, held_b) = (
        pool.get().by_key(&a).await.unwrap(),
        pool.get().by_key(&b).await.unwrap(),
    );
    let caller = {
        let pool = pool.clone();
        tokio::spawn(async move { use_by_key(&pool, c).await })
    };
    pass(ms(10)).await;
    assert!(!caller.is_finished());
    drop((held_a, held_b));
    assert_eq!(caller.await.unwrap(), "c");
    assert!(budget.status().connections <= 2);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_has_as_many_connections_as_its_callers_need_and_may_have() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a"]);
    let pool = pool.max_per_endpoint(3).build().unwrap();
    let users: Vec<_> = (0..30)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move {
                let lease = pool.get().by_key("x").await.unwrap();
                pass(ms(20)).await;
                drop(lease);
            })
        })
        .collect();
    for user in users {
        user.await.unwrap();
    }
    assert_eq!(service.most_open("a"), 3);
}
