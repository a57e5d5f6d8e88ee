use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use cenote::endpoints::channel;
use cenote::report::EventKind;
use cenote::{GetError, Pool};

use super::{NAMES, key_of, use_by_key};
use crate::service::{Answer, Service, To, ms, pass, secs, set_of, shares, use_once};

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
