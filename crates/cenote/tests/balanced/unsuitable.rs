use std::sync::{Arc, Mutex};

use cenote::endpoints::{Discovery, Outcome, channel};
use cenote::report::{EndpointCondition, EndpointStatus, EventKind};
use cenote::settings::Backoff;
use cenote::{GetError, Lease, Pool};
use tokio::time::Instant;

use crate::service::{Answer, Service, To, ms, pass, secs, set_of, use_now_and_then, use_once};

/// One that serves, and two that are up and not what is wanted.
fn service() -> Service {
    let service = Service::default();
    for name in ["replica1", "replica2"] {
        service.set(name, Answer::Unsuitable);
    }
    service
}

const NAMES: [&str; 3] = ["primary", "replica1", "replica2"];

fn of(pool: &Pool<To>, name: &str) -> EndpointStatus {
    let status = pool.endpoints().expect("it is over a set");
    let mut its = status.endpoints.into_iter();
    its.find(|endpoint| &*endpoint.name == name)
        .expect("it is known")
}

fn dialled(service: &Service) -> [usize; 2] {
    ["replica1", "replica2"].map(|name| service.dialled(name))
}

/// From a pool that never had a connection on: which of them it is, nobody has said.
#[tokio::test(start_paused = true)]
async fn callers_are_served_by_the_one_that_is_what_is_wanted() {
    let service = service();
    let (_sender, pool) = service.over(&NAMES);
    let pool = pool.build().unwrap();
    let began = Instant::now();
    assert_eq!(use_once(&pool).await, "primary");
    assert!(began.elapsed() < ms(10), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn it_is_shown_as_that_with_why_and_counts_neither_as_down_nor_as_ejected() {
    let service = service();
    let (_sender, pool) = service.over(&NAMES);
    let told = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&told);
    let pool = pool.on_event(move |event| {
        let what = match event.kind {
            EventKind::EndpointUnsuitable => "unsuitable",
            EventKind::EndpointDown => "down",
            EventKind::EndpointEjected => "ejected",
            EventKind::EndpointUp => "up",
            _ => return,
        };
        let endpoint = event.endpoint.unwrap_or("nameless");
        log.lock().unwrap().push(format!("{endpoint} {what}"));
    });
    let pool = pool.build().unwrap();
    use_now_and_then(&pool, 20).await;
    let replica = of(&pool, "replica1");
    assert!(
        matches!(replica.condition, EndpointCondition::Unsuitable { .. }),
        "{replica}"
    );
    let text = pool.inspect().to_string();
    assert!(
        text.contains("replica1 unsuitable") && text.contains("it is a replica"),
        "{text}"
    );
    let mut told = std::mem::take(&mut *told.lock().unwrap());
    told.sort();
    assert_eq!(told, ["replica1 unsuitable", "replica2 unsuitable"]);
}

/// A thousand processes have the same two servers for their replicas.
#[tokio::test(start_paused = true)]
async fn while_another_serves_it_is_dialled_twice_a_minute_at_most() {
    let service = service();
    let (_sender, pool) = service.over(&NAMES);
    let pool = pool.build().unwrap();
    use_now_and_then(&pool, 20 * 60 * 10).await;
    for dialled in dialled(&service) {
        // 10 min and some at 30 to 60 s, and the first.
        assert!((10..=23).contains(&dialled), "{dialled}");
    }
}

/// The others could not help: they are replicas still.
#[tokio::test(start_paused = true)]
async fn callers_that_wait_beside_one_that_is_full_have_no_other_dialled() {
    let service = service();
    let (_sender, pool) = service.over(&NAMES);
    let pool = pool.max_per_endpoint(1).build().unwrap();
    let lease = pool.get().await.unwrap();
    let _ = pool.get().timeout(secs(1)).await;
    let before = dialled(&service);
    // To find out; and once more, of one that was looked at before any served.
    assert!(
        before.iter().all(|dialled| (1..=2).contains(dialled)),
        "{before:?}"
    );
    for _ in 0..20 {
        let error = pool.get().timeout(secs(1)).await.map(drop).unwrap_err();
        assert!(
            !error.to_string().contains("replica"),
            "no fault of theirs: {error}"
        );
    }
    assert_eq!(dialled(&service), before);
    drop(lease);
}

/// gpustack #6105 and its like: an error at once is a failed write, an error that names one host is half the truth.
#[tokio::test(start_paused = true)]
async fn where_none_is_what_is_wanted_callers_wait_and_learn_what_each_is() {
    let service = service();
    service.set("primary", Answer::Unsuitable);
    let (_sender, pool) = service.over(&NAMES);
    let pool = pool.build().unwrap();
    let began = Instant::now();
    let error = pool.get().await.map(drop).unwrap_err();
    assert!(matches!(error, GetError::TimedOut(_)), "{error}");
    assert!(began.elapsed() >= secs(5), "{:?}", began.elapsed());
    let text = error.to_string();
    for name in NAMES {
        assert!(text.contains(&format!("{name}: it is a replica")), "{text}");
    }
    for dialled in dialled(&service) {
        // 5 s at 250 to 500 ms, and the first.
        assert!((10..=21).contains(&dialled), "{dialled}");
    }
}

/// It may be the one that is about to be promoted, and all of a thousand processes wait for it.
#[tokio::test(start_paused = true)]
async fn one_that_answers_slowly_is_asked_less_often_while_callers_wait() {
    let service = service();
    for name in NAMES {
        service.set(name, Answer::Unsuitable);
        service.set_connect_time(name, ms(200));
    }
    let (_sender, pool) = service.over(&NAMES);
    let pool = pool.acquire_timeout(secs(60)).build().unwrap();
    let _ = pool.get().await;
    for dialled in dialled(&service) {
        // 60 s at 1 to 2 s and 200 ms, and the first.
        assert!((27..=51).contains(&dialled), "{dialled}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_none_is_and_nobody_waits_none_is_dialled() {
    let service = service();
    service.set("primary", Answer::Unsuitable);
    let (_sender, pool) = service.over(&NAMES);
    let pool = pool.min_idle(2).build().unwrap();
    let _ = pool.get().await;
    pass(secs(1)).await;
    let before = dialled(&service);
    pass(secs(29)).await;
    assert_eq!(dialled(&service), before);
    pass(secs(600)).await;
    for (before, now) in before.into_iter().zip(dialled(&service)) {
        assert!(now - before < 22, "for `min_idle` alone: {}", now - before);
    }
}

#[tokio::test(start_paused = true)]
async fn what_becomes_what_is_wanted_serves_those_who_wait_within_half_a_second() {
    for seed in 0..20 {
        let service = service();
        service.set("primary", Answer::Unsuitable);
        let (_sender, pool) = service.over(&NAMES);
        let pool = pool.seed(seed).build().unwrap();
        let caller = {
            let pool = pool.clone();
            tokio::spawn(async move { use_once(&pool).await })
        };
        pass(secs(3)).await;
        service.set("replica2", Answer::Accept);
        pass(ms(510)).await;
        assert!(caller.is_finished(), "within half a second");
        assert_eq!(caller.await.unwrap(), "replica2");
    }
}

/// The others were found unsuitable long ago, and would be looked at in half a minute.
#[tokio::test(start_paused = true)]
async fn where_the_one_that_served_is_that_no_more_the_others_are_looked_at_at_once() {
    for end in [Answer::Unsuitable, Answer::Refuse, Answer::Swallow] {
        let service = service();
        let (_sender, pool) = service.over(&NAMES);
        let pool = pool.build().unwrap();
        use_now_and_then(&pool, 20).await;
        service.set("replica1", Answer::Accept);
        service.end("primary", end);
        let began = Instant::now();
        assert_eq!(use_once(&pool).await, "replica1");
        // One that swallows dials holds callers up for a quarter of a second.
        assert!(began.elapsed() < ms(300), "{end:?}: {:?}", began.elapsed());
    }
}

/// It is down when it restarts, and then what it was not before: neither goes by how often the other was seen.
#[tokio::test(start_paused = true)]
async fn one_that_is_down_after_it_was_unsuitable_begins_a_back_off_of_its_own() {
    let service = service();
    service.set("primary", Answer::Unsuitable);
    let (_sender, pool) = service.over(&NAMES);
    let pool = pool.build().unwrap();
    let _ = pool.get().await;
    service.set("replica1", Answer::Refuse);
    let error = pool.get().timeout(ms(700)).await.map(drop).unwrap_err();
    assert!(
        error.to_string().contains("replica1: connection refused"),
        "{error}"
    );
    let condition = of(&pool, "replica1").condition;
    assert!(
        matches!(
            condition,
            EndpointCondition::Down {
                failures: 1..=4,
                ..
            }
        ),
        "{condition}"
    );
}

/// A connection elsewhere was told by the server.
#[tokio::test(start_paused = true)]
async fn one_that_somebody_says_to_look_at_again_is_dialled_at_once() {
    let service = service();
    service.set("primary", Answer::Refuse);
    let (sender, source) = channel();
    sender.send(set_of(&NAMES));
    let discovery = Discovery::start(source).unwrap();
    let pool = service.balanced(discovery.clone()).build().unwrap();
    let caller = {
        let pool = pool.clone();
        tokio::spawn(async move { use_once(&pool).await })
    };
    pass(ms(100)).await;
    service.set("replica2", Answer::Accept);
    pass(ms(100)).await;
    assert!(!caller.is_finished(), "its time has not come");
    discovery.recheck("replica2".to_owned());
    pass(ms(5)).await;
    assert!(caller.is_finished());
    assert_eq!(caller.await.unwrap(), "replica2");
}

/// What the dial under way met was before it was learned, and says nothing of after.
#[tokio::test(start_paused = true)]
async fn one_of_which_somebody_learns_while_it_is_dialled_is_dialled_again_at_once() {
    for answer in [Answer::Unsuitable, Answer::Refuse] {
        let service = Service::default();
        let (sender, source) = channel();
        sender.send(set_of(&["standby"]));
        service.set("standby", answer);
        service.set_connect_time("standby", ms(100));
        let discovery = Discovery::start(source).unwrap();
        let pool = service.balanced(discovery.clone());
        let slow = Backoff::new(secs(5), secs(5));
        let pool = pool.backoff(slow).build().unwrap();
        let caller = {
            let pool = pool.clone();
            tokio::spawn(async move { use_once(&pool).await })
        };
        pass(ms(50)).await;
        service.set("standby", Answer::Accept);
        discovery.recheck("standby".to_owned());
        pass(ms(160)).await;
        assert!(caller.is_finished(), "after two dials, {answer:?}");
        assert_eq!(service.dialled("standby"), 2);
    }
}

/// Once for each time that something is learned.
#[tokio::test(start_paused = true)]
async fn one_that_fails_again_after_that_is_dialled_at_its_pace() {
    let service = Service::default();
    let (sender, source) = channel();
    sender.send(set_of(&["standby"]));
    service.set("standby", Answer::Unsuitable);
    service.set_connect_time("standby", ms(100));
    let discovery = Discovery::start(source).unwrap();
    let pool = service.balanced(discovery.clone()).build().unwrap();
    let _caller = {
        let pool = pool.clone();
        tokio::spawn(async move { pool.get().await.is_ok() })
    };
    pass(ms(50)).await;
    discovery.recheck("standby".to_owned());
    // The pause is eight times as long as a dial.
    pass(ms(900)).await;
    assert_eq!(service.dialled("standby"), 2);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_to_be_looked_at_again_is_not_dialled_for_a_pool_that_nobody_uses() {
    let service = service();
    let (sender, source) = channel();
    sender.send(set_of(&NAMES));
    let discovery = Discovery::start(source).unwrap();
    let pool = service.balanced(discovery.clone()).build().unwrap();
    use_now_and_then(&pool, 20).await;
    pass(secs(10)).await;
    let before = dialled(&service);
    discovery.recheck("replica1".to_owned());
    discovery.recheck("nobody".to_owned());
    pass(secs(10)).await;
    assert_eq!(dialled(&service), before);
    use_now_and_then(&pool, 3).await;
    assert_eq!(service.dialled("replica1"), before[0] + 1);
}

/// Opinion takes no server away where facts leave one.
#[tokio::test(start_paused = true)]
async fn the_last_that_is_what_is_wanted_is_not_ejected() {
    let service = service();
    let (_sender, pool) = service.over(&NAMES);
    let pool = pool.build().unwrap();
    for _ in 0..50 {
        let lease = pool.get().await.unwrap();
        Lease::outcome(&lease, Outcome::Failed);
        drop(lease);
        pass(ms(20)).await;
    }
    assert_eq!(use_once(&pool).await, "primary");
}
