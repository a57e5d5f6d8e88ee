use std::time::Duration;

use cenote::endpoints::{Candidate, EndpointSet, channel};
use cenote::{GetError, Lease, Pool};

use super::{NAMES, key_of};
use crate::service::{Answer, Service, To, endpoint, ms, pass, secs, set_of, shares, two_levels};

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

/// What `try_get` is for any endpoint.
#[tokio::test(start_paused = true)]
async fn a_get_without_time_takes_what_is_idle_at_its_endpoint_and_nothing_else() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b"]);
    let pool = pool.max_per_endpoint(1).build().unwrap();
    shares(&pool, 50).await;
    let a = pool.endpoint_id(&"a".to_owned()).unwrap();
    let key = key_of(&pool, "a").await;
    let by_either = || [pool.get().at(a), pool.get().by_key(&key)];
    for get in by_either() {
        assert_eq!(get.timeout(Duration::ZERO).await.unwrap().server, "a");
    }
    let _held = pool.get().at(a).await.unwrap();
    assert_eq!(pool.try_get().unwrap().server, "b");
    for get in by_either() {
        let error = get.timeout(Duration::ZERO).await.map(drop).unwrap_err();
        assert!(error.is_timeout(), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_get_without_time_lacks_at_its_endpoint_is_dialled_for_the_next() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b"]);
    let pool = pool.build().unwrap();
    pass(ms(10)).await;
    let a = pool.endpoint_id(&"a".to_owned()).unwrap();
    let at_once = || pool.get().at(a).timeout(Duration::ZERO);
    assert!(at_once().await.is_err());
    pass(ms(10)).await;
    assert_eq!(at_once().await.unwrap().server, "a");
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
