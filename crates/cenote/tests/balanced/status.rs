use cenote::endpoints::{EndpointSet, Outcome};
use cenote::report::{EjectionCause, EndpointCondition, EndpointStatus};
use cenote::{Lease, Pool};

use crate::service::{Answer, Service, To, endpoint, ms, pass, secs, set_of, shares};

fn of(pool: &Pool<To>, name: &str) -> EndpointStatus {
    let status = pool.endpoints().expect("it is over a set");
    let mut its = status.endpoints.into_iter();
    its.find(|endpoint| &*endpoint.name == name)
        .expect("it is known")
}

#[tokio::test(start_paused = true)]
async fn each_endpoint_is_shown_with_its_condition_share_and_connections() {
    let service = Service::default();
    let (_sender, pool) = service.over_set(EndpointSet::from([
        endpoint("heavy").weight(3),
        endpoint("light"),
        endpoint("backup").priority(1),
    ]));
    let pool = pool.build().unwrap();
    shares(&pool, 50).await;
    let _lease = pool.get().await.unwrap();
    let (heavy, light) = (of(&pool, "heavy"), of(&pool, "light"));
    assert_eq!(
        (heavy.condition, light.condition),
        (EndpointCondition::Up, EndpointCondition::Up)
    );
    assert!((heavy.share - 0.75).abs() < 0.01 && (light.share - 0.25).abs() < 0.01);
    assert_eq!(heavy.in_flight + light.in_flight, 1);
    assert_eq!((heavy.connections, light.connections), (1, 1));
    let backup = of(&pool, "backup");
    assert_eq!(backup.condition, EndpointCondition::Standby);
    assert_eq!((backup.share, backup.connections), (0.0, 0));
}

#[tokio::test(start_paused = true)]
async fn one_that_cannot_be_reached_is_shown_with_why_and_until_when() {
    let service = Service::default();
    service.set("b", Answer::Refuse);
    let (_sender, pool) = service.over(&["a", "b"]);
    let pool = pool.build().unwrap();
    shares(&pool, 50).await;
    let b = of(&pool, "b");
    assert!(
        matches!(b.condition, EndpointCondition::Down { failures: 1.., .. }),
        "{b}"
    );
    assert!(b.connect_error.is_some());
    let text = pool.inspect().to_string();
    assert!(
        text.contains("b down") && text.contains("refused"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn one_that_is_ejected_is_shown_with_why_and_for_how_much_longer_and_then_on_trial() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b", "c"]);
    let pool = pool.build().unwrap();
    shares(&pool, 30).await;
    let mut failed = 0;
    while failed < 5 {
        let lease = pool.get().await.unwrap();
        if lease.server == "b" {
            failed += 1;
            Lease::outcome(&lease, Outcome::Failed);
        }
        pass(ms(1)).await;
    }
    let b = of(&pool, "b");
    assert!(
        matches!(b.condition, EndpointCondition::Ejected { left, .. } if left > ms(400) && left <= secs(1)),
        "{b}"
    );
    assert_eq!((b.share, b.connections), (0.0, 1));
    assert!(b.to_string().contains("5 failures in a row"), "{b}");
    pass(secs(1)).await;
    assert_eq!(of(&pool, "b").condition, EndpointCondition::OnTrial);
}

#[tokio::test(start_paused = true)]
async fn why_an_endpoint_is_ejected_is_what_its_last_call_decided() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b", "c"]);
    let pool = pool.build().unwrap();
    shares(&pool, 30).await;
    let cause = |pool: &Pool<To>| match of(pool, "b").condition {
        EndpointCondition::Ejected { cause, .. } => Some(cause),
        _ => None,
    };
    let (mut causes, mut last) = (Vec::new(), None);
    while causes.len() < 2 {
        let lease = pool.get().await.unwrap();
        let is_bad = lease.server == "b";
        let outcome = if is_bad { Outcome::Failed } else { Outcome::Ok };
        Lease::outcome(&lease, outcome);
        drop(lease);
        pass(ms(10)).await;
        let now = cause(&pool);
        causes.extend(now.filter(|now| last != Some(*now)));
        last = now;
    }
    let expected = [
        EjectionCause::ConsecutiveFailures(5),
        EjectionCause::ProbeFailed,
    ];
    assert_eq!(causes, expected);
    assert!(
        of(&pool, "b")
            .to_string()
            .contains("the call on trial failed")
    );
}

#[tokio::test(start_paused = true)]
async fn one_that_has_left_is_shown_until_its_last_connection_is_gone() {
    let service = Service::default();
    let (sender, pool) = service.over(&["a"]);
    let pool = pool.build().unwrap();
    let lease = pool.get().await.unwrap();
    sender.send(set_of(&["b"]));
    pass(secs(5)).await;
    let a = of(&pool, "a");
    assert!(
        matches!(a.condition, EndpointCondition::Draining { since, .. } if since == secs(5)),
        "{a}"
    );
    let text = a.to_string();
    assert!(
        text.starts_with("a draining since 5.0s ago") && text.contains("1 leases out"),
        "{text}"
    );
    drop(lease);
    pass(ms(1)).await;
    let endpoints = pool.endpoints().unwrap().endpoints;
    let names: Vec<_> = endpoints.iter().map(|endpoint| &*endpoint.name).collect();
    assert_eq!(names, ["b"]);
}

/// Whether what is known is fresh is a question of its own: the set's version and age.
#[tokio::test(start_paused = true)]
async fn how_the_discovery_stands_is_shown() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a"]);
    let pool = pool.build().unwrap();
    pass(secs(3)).await;
    let status = pool.endpoints().unwrap();
    assert_eq!(
        (status.discovery.version, status.discovery.endpoints),
        (1, 1)
    );
    assert!(
        pool.inspect()
            .to_string()
            .contains("1 endpoints of a channel, version 1")
    );
    let one = Pool::builder(service.connector("a")).build().unwrap();
    assert!(one.endpoints().is_none());
}
