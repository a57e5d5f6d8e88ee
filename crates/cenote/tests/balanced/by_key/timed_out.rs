use cenote::GetError;
use cenote::error::TimedOut;
use cenote::pool::Get;
use futures::future::join_all;

use super::key_of;
use crate::service::{Answer, Service, To, ms, pass, secs, shares};

/// Why a get was in vain.
async fn time_out(get: Get<'_, To>) -> Box<TimedOut> {
    match get.timeout(secs(1)).await.map(drop) {
        Err(GetError::TimedOut(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_whose_time_is_up_learns_which_endpoint_it_waited_for() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b"]);
    let pool = pool.max_per_endpoint(1).build().unwrap();
    shares(&pool, 50).await;
    let key = key_of(&pool, "a").await;
    let b = pool.endpoint_id(&"b".to_owned()).unwrap();
    let _held = [
        pool.get().by_key(&key).await.unwrap(),
        pool.get().at(b).await.unwrap(),
    ];
    let cases = [
        (pool.get().by_key(&key), Some("a")),
        (pool.get().at(b), Some("b")),
        (pool.get().prefer(b), None),
        (pool.get(), None),
    ];
    for (get, endpoint) in cases {
        let why = time_out(get).await;
        assert_eq!(why.endpoint.as_deref(), endpoint);
        let to = endpoint.map_or(String::new(), |endpoint| format!(" to {endpoint}"));
        let text = why.to_string();
        assert!(
            text.starts_with(&format!("pool unnamed: no connection{to} within 1s (open")),
            "{text}"
        );
    }
}

/// One that is reached and does not answer is what a caller wants to know by name.
#[tokio::test(start_paused = true)]
async fn a_caller_whose_time_is_up_during_a_check_learns_which_endpoint_is_checked() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b"]);
    let pool = pool.check_after_idle(secs(1)).build().unwrap();
    shares(&pool, 50).await;
    let a = pool.endpoint_id(&"a".to_owned()).unwrap();
    service.set_check_time("a", secs(60));
    pass(secs(5)).await;
    let why = time_out(pool.get().at(a)).await;
    assert_eq!(why.endpoint.as_deref(), Some("a"));
}

#[tokio::test(start_paused = true)]
async fn a_caller_whose_time_is_up_is_told_of_dials_to_the_endpoint_it_waited_for_and_of_no_other()
{
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b", "c"]);
    let pool = pool.max_per_endpoint(2).build().unwrap();
    shares(&pool, 100).await;
    let [a, b, c] = ["a", "b", "c"].map(|name| pool.endpoint_id(&name.to_owned()).unwrap());
    service.kill("c");
    assert!(pool.get().at(c).await.is_err());
    let _held = join_all([a, b].map(|id| pool.get().at(id))).await;
    service.set("a", Answer::Refuse);
    service.set("b", Answer::Swallow);
    pool.retain(|_, _| false);
    for (id, refused, dialled) in [(a, true, false), (b, false, true)] {
        let why = time_out(pool.get().at(id)).await;
        assert_eq!(why.connect_error.is_some(), refused, "{why}");
        assert_eq!(why.dialling.is_some(), dialled, "{why}");
        assert!(!why.to_string().contains("c: "), "{why}");
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
