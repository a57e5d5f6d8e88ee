use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use cenote::endpoints::{Candidate, EndpointSet, Outcome, channel};
use cenote::report::EventKind;
use cenote::{Budget, GetError, Lease, Pool};

use crate::service::{
    Answer, Service, To, endpoint, ms, pass, secs, set_of, shares, two_levels, use_once,
};

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// Takes a lease by this key for a moment; which server it was on.
async fn use_by_key(pool: &Pool<To>, key: u32) -> String {
    let lease = pool.get().by_key(&key).await.unwrap();
    pass(ms(1)).await;
    lease.server.clone()
}

/// Where each of these keys leads to now.
async fn homes(pool: &Pool<To>, keys: u32) -> BTreeMap<u32, String> {
    let mut homes = BTreeMap::new();
    for key in 0..keys {
        homes.insert(key, use_by_key(pool, key).await);
    }
    homes
}

/// A key that leads to this server.
async fn key_of(pool: &Pool<To>, server: &str) -> u32 {
    for key in 0..1_000 {
        if use_by_key(pool, key).await == server {
            return key;
        }
    }
    panic!("no key leads to {server}");
}

#[tokio::test(start_paused = true)]
async fn a_key_leads_to_the_same_endpoint_each_time_and_keys_to_all() {
    let service = Service::default();
    let (_sender, pool) = service.over(&NAMES);
    let pool = pool.build().unwrap();
    let first = homes(&pool, 200).await;
    assert_eq!(homes(&pool, 200).await, first);
    for name in NAMES {
        let keys = first.values().filter(|home| *home == name).count();
        assert!((15..=80).contains(&keys), "{name} has {keys} of 200");
    }
}

/// otel-collector #49585: the order in which a source lists endpoints is no matter; nor are what processes do.
#[tokio::test(start_paused = true)]
async fn two_pools_over_the_same_set_agree_where_a_key_leads() {
    let (one, other) = (Service::default(), Service::default());
    let (_one, one) = one.over(&NAMES);
    let (_other, other) = other.over(&["e", "c", "a", "b", "d"]);
    let (one, other) = (one.build().unwrap(), other.seed(99).build().unwrap());
    assert_eq!(homes(&one, 100).await, homes(&other, 100).await);
}

/// envoy #22558: one endpoint more or less moved keys between the others.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_leaves_or_joins_moves_its_own_keys_and_no_others() {
    let service = Service::default();
    let (sender, pool) = service.over(&NAMES);
    let pool = pool.build().unwrap();
    let before = homes(&pool, 200).await;
    sender.send(set_of(&["a", "b", "c", "d"]));
    pass(ms(10)).await;
    let without = homes(&pool, 200).await;
    for (key, home) in &before {
        match home.as_str() {
            "e" => assert_ne!(without[key], "e"),
            home => assert_eq!(without[key], home, "key {key}"),
        }
    }
    sender.send(set_of(&NAMES));
    pass(ms(10)).await;
    assert_eq!(homes(&pool, 200).await, before);
}

/// envoy #38815: keys stayed with the endpoint that was dead.
#[tokio::test(start_paused = true)]
async fn keys_of_an_endpoint_that_is_down_go_elsewhere_and_come_back_with_it() {
    let service = Service::default();
    let (_sender, pool) = service.over(&NAMES);
    let pool = pool.build().unwrap();
    let before = homes(&pool, 100).await;
    service.kill("b");
    let without = homes(&pool, 100).await;
    for (key, home) in &before {
        match home.as_str() {
            "b" => assert_ne!(without[key], "b"),
            home => assert_eq!(without[key], home, "key {key}"),
        }
    }
    service.set("b", Answer::Accept);
    for _ in 0..30 {
        use_once(&pool).await;
        pass(ms(100)).await;
    }
    assert_eq!(homes(&pool, 100).await, before);
}

#[tokio::test(start_paused = true)]
async fn a_caller_waits_for_the_endpoint_of_its_key_though_others_are_idle() {
    let service = Service::default();
    let (_sender, pool) = service.over(&NAMES);
    let pool = pool.max_per_endpoint(1).build().unwrap();
    shares(&pool, 50).await;
    let key = key_of(&pool, "c").await;
    let held = pool.get().by_key(&key).await.unwrap();
    let caller = {
        let pool = pool.clone();
        tokio::spawn(async move { use_by_key(&pool, key).await })
    };
    pass(secs(1)).await;
    assert!(!caller.is_finished());
    assert_eq!(pool.status().waiters, 1);
    // Nobody else waits for it.
    for _ in 0..20 {
        assert_ne!(use_once(&pool).await, "c");
    }
    drop(held);
    assert_eq!(caller.await.unwrap(), "c");
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_for_one_endpoint_and_for_any_are_served_in_the_order_they_came() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b"]);
    let pool = pool.max_per_endpoint(1).build().unwrap();
    shares(&pool, 50).await;
    let keys = [key_of(&pool, "a").await, key_of(&pool, "b").await];
    let held = [
        pool.get().by_key(&keys[0]).await.unwrap(),
        pool.get().by_key(&keys[1]).await.unwrap(),
    ];
    let served = Arc::new(Mutex::new(Vec::new()));
    let mut users = Vec::new();
    // Of each three one waits for `a`, one for `b` and one for any.
    for user in 0..9_usize {
        let (pool, served) = (pool.clone(), served.clone());
        users.push(tokio::spawn(async move {
            let get = match keys.get(user % 3) {
                Some(key) => pool.get().by_key(key),
                None => pool.get(),
            };
            let lease = get.await.unwrap();
            served.lock().unwrap().push((lease.server.clone(), user));
            pass(ms(10)).await;
        }));
        tokio::task::yield_now().await;
    }
    drop(held);
    for user in users {
        user.await.unwrap();
    }
    let served = served.lock().unwrap();
    for server in ["a", "b"] {
        let users: Vec<_> = served.iter().filter(|(at, _)| at == server).collect();
        assert!(users.is_sorted(), "{users:?}");
    }
    // Each connection in turn serves who came first of those it may serve.
    let order: Vec<_> = served.iter().map(|(_, user)| *user).collect();
    let of_any: Vec<_> = order.iter().filter(|user| *user % 3 == 2).collect();
    assert!(of_any.is_sorted(), "{order:?}");
    assert!(order[..4].contains(&0) && order[..4].contains(&1) && order[..4].contains(&2));
}

#[tokio::test(start_paused = true)]
async fn waiters_of_an_endpoint_that_dies_are_served_by_the_next_in_the_order_of_their_key() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b", "c"]);
    let pool = pool.max_per_endpoint(1).build().unwrap();
    shares(&pool, 50).await;
    let key = key_of(&pool, "b").await;
    let held = pool.get().by_key(&key).await.unwrap();
    let callers = [(); 2].map(|()| {
        let pool = pool.clone();
        tokio::spawn(async move { use_by_key(&pool, key).await })
    });
    pass(ms(10)).await;
    service.kill("b");
    drop(held);
    for caller in callers {
        assert_ne!(caller.await.unwrap(), "b");
    }
}

#[tokio::test(start_paused = true)]
async fn waiters_of_an_endpoint_that_leaves_are_served_by_the_next() {
    let service = Service::default();
    let (sender, pool) = service.over(&["a", "b", "c"]);
    let pool = pool.max_per_endpoint(1).build().unwrap();
    shares(&pool, 50).await;
    let key = key_of(&pool, "b").await;
    let _held = pool.get().by_key(&key).await.unwrap();
    let caller = {
        let pool = pool.clone();
        tokio::spawn(async move { use_by_key(&pool, key).await })
    };
    pass(ms(10)).await;
    sender.send(set_of(&["a", "c"]));
    assert_ne!(caller.await.unwrap(), "b");
}

/// A waiter is never behind a dead endpoint: one that swallows dials holds its keys up for 250 ms.
#[tokio::test(start_paused = true)]
async fn where_the_endpoint_of_a_key_swallows_dials_the_next_serves_after_a_quarter_of_a_second() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b", "c"]);
    let pool = pool.build().unwrap();
    let key = key_of(&pool, "b").await;
    service.end("b", Answer::Swallow);
    let began = tokio::time::Instant::now();
    assert_ne!(use_by_key(&pool, key).await, "b");
    assert!(began.elapsed() <= ms(300), "{:?}", began.elapsed());
    // Others are not held up any more, while the dial hangs.
    let began = tokio::time::Instant::now();
    assert_ne!(use_by_key(&pool, key).await, "b");
    assert!(began.elapsed() < ms(10), "{:?}", began.elapsed());
}

/// Half of the endpoints swallow dials, and so many callers come at once that these would take all that may be under way:
/// no caller waits for a dial that cannot begin.
#[tokio::test(start_paused = true)]
async fn dials_that_hang_hold_up_no_key_of_an_endpoint_that_answers() {
    let service = Service::default();
    let names: Vec<_> = (0..20).map(|n| format!("server-{n:02}")).collect();
    for name in &names[..10] {
        service.set(name, Answer::Swallow);
    }
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let (_sender, pool) = service.over(&names);
    let pool = pool.build().unwrap();
    let began = tokio::time::Instant::now();
    let users: Vec<_> = (0..200)
        .map(|key| {
            let pool = pool.clone();
            tokio::spawn(async move { use_by_key(&pool, key).await })
        })
        .collect();
    for user in users {
        user.await.unwrap();
    }
    assert!(began.elapsed() < ms(600), "{:?}", began.elapsed());
}

/// Each dial takes longer than the pool waits for one: callers are served all the same.
#[tokio::test(start_paused = true)]
async fn where_all_dials_take_long_callers_are_served_by_the_first_that_ends() {
    let service = Service::default();
    for name in ["a", "b", "c"] {
        service.set_connect_time(name, secs(1));
    }
    let (_sender, pool) = service.over(&["a", "b", "c"]);
    let pool = pool.build().unwrap();
    let began = tokio::time::Instant::now();
    use_by_key(&pool, 7).await;
    assert!(began.elapsed() < ms(1_100), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn where_no_endpoint_can_be_reached_a_caller_waits_for_whichever_is_the_first() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b"]);
    let pool = pool.build().unwrap();
    let key = key_of(&pool, "a").await;
    service.kill("a");
    service.kill("b");
    let caller = {
        let pool = pool.clone();
        tokio::spawn(async move { use_by_key(&pool, key).await })
    };
    pass(secs(2)).await;
    assert!(!caller.is_finished());
    service.set("b", Answer::Accept);
    assert_eq!(caller.await.unwrap(), "b");
}

#[tokio::test(start_paused = true)]
async fn a_caller_by_key_learns_why_no_endpoint_can_be_reached() {
    let service = Service::default();
    service.set("a", Answer::Refuse);
    service.set("b", Answer::Refuse);
    let (_sender, pool) = service.over(&["a", "b"]);
    let pool = pool.build().unwrap();
    let error = pool.get().by_key("x").timeout(secs(1)).await.map(drop);
    let text = error.unwrap_err().to_string();
    assert!(text.contains("refused"), "{text}");
}

/// Mirrokni et al.: no endpoint carries more than a quarter above its share, whatever keys are in demand.
#[tokio::test(start_paused = true)]
async fn a_key_in_great_demand_is_spread_and_returns_to_its_endpoint() {
    let service = Service::default();
    let (_sender, pool) = service.over(&NAMES);
    let pool = pool.max_size(200).max_per_endpoint(40).build().unwrap();
    let home = use_by_key(&pool, 7).await;
    let mut leases = Vec::new();
    for _ in 0..100 {
        leases.push(pool.get().by_key(&7_u32).await.unwrap());
    }
    let mut carried = BTreeMap::new();
    for lease in &leases {
        *carried.entry(lease.server.as_str()).or_insert(0) += 1;
    }
    // A fifth and a quarter of that, and as many as a count may be late.
    assert!(carried.values().all(|leases| *leases <= 30), "{carried:?}");
    assert!(carried.len() >= 4, "{carried:?}");
    drop(leases);
    assert_eq!(use_by_key(&pool, 7).await, home);
}

/// Where little is carried keys stay where they are, though their endpoint carries all there is.
#[tokio::test(start_paused = true)]
async fn a_few_leases_by_one_key_stay_with_its_endpoint() {
    let service = Service::default();
    let (_sender, pool) = service.over(&NAMES);
    let pool = pool.build().unwrap();
    let mut leases = Vec::new();
    for _ in 0..4 {
        leases.push(pool.get().by_key("user").await.unwrap());
    }
    let servers: BTreeSet<_> = leases.iter().map(|lease| lease.server.as_str()).collect();
    assert_eq!(servers.len(), 1, "{servers:?}");
}

/// It looks at the set as soon as that is told, before any endpoint is admitted, and is not served by whichever is the
/// first.
#[tokio::test(start_paused = true)]
async fn a_caller_by_key_that_comes_before_the_first_set_is_served_by_its_endpoint() {
    type Caller = Pin<Box<dyn Future<Output = String> + Send>>;
    let service = Service::default();
    let (_sender, other) = service.over(&NAMES);
    let home = use_by_key(&other.build().unwrap(), 7).await;
    service.set_connect_time(&home, ms(100));
    let caller = Arc::new(Mutex::new(None::<Caller>));
    let (sender, source) = channel();
    let pool = service.balanced(source).on_event({
        let caller = Arc::clone(&caller);
        move |event| {
            let mut caller = caller.lock().unwrap();
            if let (EventKind::EndpointsChanged { .. }, Some(caller)) = (&event.kind, &mut *caller)
            {
                let polled = caller
                    .as_mut()
                    .poll(&mut Context::from_waker(Waker::noop()));
                assert!(polled.is_pending());
            }
        }
    });
    let pool = pool.build().unwrap();
    *caller.lock().unwrap() = Some(Box::pin({
        let pool = pool.clone();
        async move { use_by_key(&pool, 7).await }
    }));
    let first_look = poll_fn(|cx| {
        let mut caller = caller.lock().unwrap();
        let caller = caller.as_mut().expect("it is there");
        Poll::Ready(caller.as_mut().poll(cx).is_pending())
    });
    assert!(first_look.await);
    sender.send(set_of(&NAMES));
    pass(ms(10)).await;
    let caller = caller.lock().unwrap().take().unwrap();
    assert_eq!(caller.await, home);
}

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

#[tokio::test(start_paused = true)]
async fn an_ejected_endpoint_gets_no_keys_and_on_trial_one_call_of_them() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b", "c"]);
    let pool = pool.build().unwrap();
    let key = key_of(&pool, "b").await;
    for _ in 0..20 {
        let lease = pool.get().by_key(&key).await.unwrap();
        let outcome = match lease.server.as_str() {
            "b" => Outcome::Failed,
            _ => Outcome::Ok,
        };
        Lease::outcome(&lease, outcome);
        pass(ms(1)).await;
    }
    assert_ne!(use_by_key(&pool, key).await, "b");
    // The ejection is over, and one call is to decide.
    let mut on_trial = Vec::new();
    for _ in 0..600 {
        pass(ms(100)).await;
        let lease = pool.get().by_key(&key).await.unwrap();
        if lease.server == "b" {
            on_trial.push(lease);
            break;
        }
        Lease::outcome(&lease, Outcome::Ok);
    }
    assert_eq!(on_trial.len(), 1, "it is tried again within a minute");
    assert_ne!(use_by_key(&pool, key).await, "b");
    Lease::outcome(&on_trial[0], Outcome::Ok);
    drop(on_trial);
    pass(ms(100)).await;
    assert_eq!(use_by_key(&pool, key).await, "b");
}

#[tokio::test(start_paused = true)]
async fn keys_lead_to_the_endpoints_of_the_priority_that_serves() {
    let service = Service::default();
    let (_sender, pool) = service.over_set(two_levels());
    let pool = pool.build().unwrap();
    let served: BTreeSet<_> = homes(&pool, 20).await.into_values().collect();
    assert!(served.iter().eq(["first"]), "{served:?}");
    service.kill("first");
    let served: BTreeSet<_> = homes(&pool, 20).await.into_values().collect();
    assert!(served.iter().eq(["second"]), "{served:?}");
}

#[tokio::test(start_paused = true)]
async fn heavy_endpoints_have_more_keys_and_weight_0_none() {
    let service = Service::default();
    let set = EndpointSet::from([
        endpoint("heavy").weight(3),
        endpoint("light"),
        endpoint("none").weight(0),
    ]);
    let (_sender, pool) = service.over_set(set);
    let pool = pool.build().unwrap();
    let homes = homes(&pool, 400).await;
    let keys = |name: &str| homes.values().filter(|home| *home == name).count();
    assert!((250..=350).contains(&keys("heavy")), "{}", keys("heavy"));
    assert_eq!(keys("none"), 0);
}

#[tokio::test(start_paused = true)]
async fn where_all_weigh_0_keys_lead_to_all() {
    let service = Service::default();
    let set = NAMES.map(|name| endpoint(name).weight(0));
    let (_sender, pool) = service.over_set(EndpointSet::from(set));
    let pool = pool.build().unwrap();
    let homes: BTreeSet<_> = homes(&pool, 100).await.into_values().collect();
    assert_eq!(homes.len(), 5, "{homes:?}");
}

#[tokio::test(start_paused = true)]
async fn in_a_pool_of_one_endpoint_every_key_leads_there() {
    let service = Service::default();
    let pool = Pool::new(service.connector("only"));
    assert_eq!(use_by_key(&pool, 1).await, "only");
    assert!(Lease::endpoint_id(&pool.get().await.unwrap()).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_caller_by_key_that_leaves_at_any_poll_loses_nothing() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b"]);
    let pool = pool.max_per_endpoint(1).build().unwrap();
    shares(&pool, 50).await;
    let key = key_of(&pool, "a").await;
    for polls in 0..4 {
        let held = pool.get().by_key(&key).await.unwrap();
        {
            let mut leaver = pin!(pool.get().by_key(&key));
            for _ in 0..polls {
                let polled = poll_fn(|cx| Poll::Ready(leaver.as_mut().poll(cx).is_ready()));
                assert!(!polled.await);
            }
            let stays = {
                let pool = pool.clone();
                tokio::spawn(async move { use_by_key(&pool, key).await })
            };
            pass(ms(1)).await;
            drop(held);
            if polls > 0 {
                // It has been granted the connection, and goes without.
                assert!(!stays.is_finished());
            }
            drop(stays);
        }
        pass(ms(5)).await;
        let status = pool.status();
        assert_eq!((status.waiters, status.idle), (0, 2), "after {polls} polls");
    }
}

#[tokio::test(start_paused = true)]
async fn callers_by_key_are_told_when_their_time_is_up_by_either_time_out() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b"]);
    let pool = pool
        .max_per_endpoint(1)
        .acquire_timeout(secs(2))
        .build()
        .unwrap();
    shares(&pool, 50).await;
    let key = key_of(&pool, "a").await;
    let _held = pool.get().by_key(&key).await.unwrap();
    for (own, after) in [(None, secs(2)), (Some(secs(1)), secs(1))] {
        let began = tokio::time::Instant::now();
        let get = pool.get().by_key(&key);
        let get = match own {
            Some(own) => get.timeout(own),
            None => get,
        };
        let error = get.await.map(drop).unwrap_err();
        assert!(error.is_timeout(), "{error}");
        let took = began.elapsed();
        assert!(took >= after && took < after + ms(200), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn callers_by_key_count_among_those_who_may_wait() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a"]);
    let pool = pool.max_per_endpoint(1).max_waiters(1).build().unwrap();
    let _held = pool.get().by_key("x").await.unwrap();
    let waits = {
        let pool = pool.clone();
        tokio::spawn(async move { pool.get().by_key("x").await.map(drop) })
    };
    pass(ms(1)).await;
    for get in [pool.get().by_key("x"), pool.get()] {
        let refused = get.await.map(drop);
        assert!(matches!(refused, Err(GetError::QueueFull { .. })));
    }
    waits.abort();
}

#[tokio::test(start_paused = true)]
async fn callers_by_key_wait_while_the_pool_is_paused_and_are_refused_when_it_closes() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b"]);
    let pool = pool.max_per_endpoint(1).build().unwrap();
    shares(&pool, 50).await;
    let key = key_of(&pool, "b").await;
    let caller = |pool: &Pool<To>| {
        let pool = pool.clone();
        tokio::spawn(async move {
            pool.get()
                .by_key(&key)
                .await
                .map(|lease| lease.server.clone())
        })
    };
    pool.pause();
    let callers = [caller(&pool), caller(&pool)];
    pass(ms(10)).await;
    assert_eq!(pool.status().waiters, 2);
    pool.resume();
    for caller in callers {
        assert_eq!(caller.await.unwrap().unwrap(), "b");
    }
    let held = pool.get().by_key(&key).await.unwrap();
    let refused = caller(&pool);
    pass(ms(10)).await;
    let close = pool.close();
    let refused = refused.await.unwrap();
    assert!(matches!(refused, Err(GetError::Closed { .. })));
    drop(held);
    close.await;
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_is_leased_by_name() {
    let service = Service::default();
    let (_sender, pool) = service.over(&NAMES);
    let pool = pool.build().unwrap();
    shares(&pool, 50).await;
    for name in NAMES {
        let id = pool.endpoint_id(&name.to_owned()).unwrap();
        let lease = pool.get().at(id).await.unwrap();
        assert_eq!(lease.server, name);
        assert_eq!(Lease::endpoint_id(&lease), Some(id));
        let owned = pool.get_owned().at(id).await.unwrap();
        assert_eq!(owned.server, name);
        let status = pool.endpoints().unwrap();
        let of_name = status.endpoints.iter().find(|one| &*one.name == name);
        assert_eq!(of_name.unwrap().id, id);
    }
    assert!(pool.endpoint_id(&"nobody".to_owned()).is_none());
    assert!(pool.endpoint_id(&7_u32).is_none(), "keys are text");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_names_an_endpoint_waits_for_it_whatever_it_carries() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b"]);
    let pool = pool.max_per_endpoint(2).build().unwrap();
    shares(&pool, 50).await;
    let a = pool.endpoint_id(&"a".to_owned()).unwrap();
    let held = [
        pool.get().at(a).await.unwrap(),
        pool.get().at(a).await.unwrap(),
    ];
    let callers = [(); 5].map(|()| {
        let pool = pool.clone();
        tokio::spawn(async move { pool.get().at(a).await.map(|lease| lease.server.clone()) })
    });
    pass(ms(10)).await;
    assert_eq!(pool.status().waiters, 5);
    drop(held);
    for caller in callers {
        assert_eq!(caller.await.unwrap().unwrap(), "a");
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_serves_nobody_is_refused_by_name_with_the_reason() {
    let service = Service::default();
    let (sender, pool) = service.over(&["a", "b"]);
    let pool = pool.build().unwrap();
    shares(&pool, 50).await;
    let a = pool.endpoint_id(&"a".to_owned()).unwrap();
    service.kill("a");
    let error = pool.get().at(a).await.map(drop).unwrap_err();
    let GetError::NotServing {
        endpoint: Some(endpoint),
        ..
    } = &error
    else {
        panic!("{error}");
    };
    assert_eq!(&*endpoint.endpoint, "a");
    let text = error.to_string();
    assert!(
        text.contains("endpoint a serves nobody now: down"),
        "{text}"
    );
    assert!(text.contains("refused"), "{text}");

    // It leaves, and another comes, which has its number.
    sender.send(set_of(&["b"]));
    pass(secs(1)).await;
    sender.send(set_of(&["b", "c"]));
    pass(secs(1)).await;
    shares(&pool, 50).await;
    let error = pool.get().at(a).await.map(drop).unwrap_err();
    assert!(matches!(error, GetError::NotServing { endpoint: None, .. }));
    assert!(error.to_string().contains("none of its set"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_waits_for_an_endpoint_by_name_hears_that_it_leaves() {
    let service = Service::default();
    let (sender, pool) = service.over(&["a", "b"]);
    let pool = pool.max_per_endpoint(1).build().unwrap();
    shares(&pool, 50).await;
    let a = pool.endpoint_id(&"a".to_owned()).unwrap();
    let _held = pool.get().at(a).await.unwrap();
    let caller = {
        let pool = pool.clone();
        tokio::spawn(async move { pool.get().at(a).await.map(drop) })
    };
    pass(ms(10)).await;
    sender.send(set_of(&["b"]));
    let error = caller.await.unwrap().unwrap_err();
    assert!(matches!(error, GetError::NotServing { .. }), "{error}");
    assert!(error.to_string().contains("draining"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_name_of_an_endpoint_is_none_in_another_pool() {
    let service = Service::default();
    let (_one, one) = service.over(&["a", "b"]);
    let (_other, other) = service.over(&["a", "b"]);
    let (one, other) = (one.build().unwrap(), other.build().unwrap());
    shares(&one, 20).await;
    shares(&other, 20).await;
    let a = one.endpoint_id(&"a".to_owned()).unwrap();
    let error = other.get().at(a).await.map(drop).unwrap_err();
    assert!(matches!(error, GetError::NotServing { endpoint: None, .. }));
    let single = Pool::new(service.connector("a"));
    assert!(single.get().at(a).await.is_err());
}

/// The number of an endpoint in its pool is beyond those of another, which knows fewer or none yet.
#[tokio::test(start_paused = true)]
async fn the_name_of_an_endpoint_is_none_in_a_pool_of_fewer_or_before_its_set_is_told() {
    let service = Service::default();
    let names: Vec<_> = (0..40).map(|n| format!("server-{n}")).collect();
    let (sender, large) = service.over(&["a"]);
    let large = large.build().unwrap();
    sender.send(EndpointSet::of(names.iter().cloned()));
    pass(ms(10)).await;
    let (_small, small) = service.over(&["a", "b"]);
    let (_untold, source) = channel();
    let (small, untold) = (
        small.build().unwrap(),
        service.balanced(source).build().unwrap(),
    );
    shares(&small, 20).await;
    for name in &names {
        let id = large.endpoint_id(name).unwrap();
        for pool in [&small, &untold] {
            let error = pool.get().at(id).await.map(drop).unwrap_err();
            assert!(matches!(error, GetError::NotServing { endpoint: None, .. }));
            let preferred = pool.get().prefer(id).timeout(ms(1)).await;
            assert_eq!(preferred.is_ok(), pool.status().size > 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_is_leased_by_name_whether_or_not_its_priority_is_needed() {
    let service = Service::default();
    let (_sender, pool) = service.over_set(two_levels());
    let pool = pool.build().unwrap();
    shares(&pool, 20).await;
    let second = pool.endpoint_id(&"second".to_owned()).unwrap();
    assert_eq!(pool.get().at(second).await.unwrap().server, "second");
}

/// A dial that takes long is waited for by those who want that endpoint and no other.
#[tokio::test(start_paused = true)]
async fn a_caller_that_names_an_endpoint_waits_for_its_dial_however_long_it_takes() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b"]);
    let pool = pool.build().unwrap();
    shares(&pool, 20).await;
    let a = pool.endpoint_id(&"a".to_owned()).unwrap();
    service.end("a", Answer::Accept);
    service.set_connect_time("a", secs(2));
    let lease = pool.get().at(a).await.unwrap();
    assert_eq!(lease.server, "a");
}

/// The fewest leases by weight, of all: what a rule of one's own may be.
async fn use_own_rule(pool: &Pool<To>) -> Lease<'_, To> {
    let load = |one: &Candidate| f64::from(one.in_flight + 1) / one.weight;
    let all = pool.candidates().iter();
    let chosen = all.min_by(|one, other| load(one).total_cmp(&load(other)));
    let get = pool.get();
    let get = match chosen {
        Some(chosen) => get.prefer(chosen.id),
        None => get,
    };
    get.await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_rule_of_ones_own_chooses_and_opens_connections_where_it_does() {
    let service = Service::default();
    let set = EndpointSet::from([endpoint("heavy").weight(3), endpoint("light")]);
    let (_sender, pool) = service.over_set(set);
    let pool = pool.build().unwrap();
    // Until each has as many connections as it is preferred for.
    for _ in 0..100 {
        let mut leases = Vec::new();
        for _ in 0..8 {
            leases.push(use_own_rule(&pool).await);
            pass(ms(1)).await;
        }
    }
    let mut leases = Vec::new();
    for _ in 0..8 {
        leases.push(use_own_rule(&pool).await);
    }
    let heavy = leases.iter().filter(|lease| lease.server == "heavy");
    assert_eq!(heavy.count(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_preferred_endpoint_that_cannot_serve_costs_nobody_a_wait_or_an_error() {
    let service = Service::default();
    let (sender, pool) = service.over(&["a", "b"]);
    let pool = pool.max_per_endpoint(1).build().unwrap();
    shares(&pool, 50).await;
    let a = pool.endpoint_id(&"a".to_owned()).unwrap();
    let held = pool.get().prefer(a).await.unwrap();
    assert_eq!(held.server, "a");
    assert_eq!(pool.get().prefer(a).await.unwrap().server, "b");
    drop(held);
    sender.send(set_of(&["b", "c"]));
    pass(secs(1)).await;
    assert_ne!(pool.get().prefer(a).await.unwrap().server, "a");
    let owned = pool.get_owned().prefer(a).await.unwrap();
    assert_ne!(owned.server, "a");
}

#[tokio::test(start_paused = true)]
async fn candidates_are_those_that_may_be_chosen_with_what_they_carry() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b", "c"]);
    let pool = pool.build().unwrap();
    assert!(Pool::new(service.connector("a")).candidates().is_empty());
    shares(&pool, 50).await;
    let ids = ["a", "b", "c"].map(|name| pool.endpoint_id(&name.to_owned()).unwrap());
    let held = pool.get().at(ids[1]).await.unwrap();
    let candidates = pool.candidates();
    assert_eq!(candidates.len(), 3);
    for one in candidates.iter() {
        let expected = u32::from(one.id == ids[1]);
        assert_eq!((one.in_flight, one.weight), (expected, 1.0), "{one:?}");
        assert!(one.connections > 0 && one.latency.is_none());
    }
    service.kill("b");
    drop(held);
    shares(&pool, 50).await;
    assert!(pool.candidates().iter().all(|one| one.id != ids[1]));
    assert!(candidates.get(2).is_none());
}
