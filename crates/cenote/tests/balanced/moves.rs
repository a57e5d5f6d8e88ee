use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use cenote::endpoints::{Endpoint, EndpointSet, SetSender, channel};
use cenote::pool::PoolBuilder;
use cenote::report::CloseReason;
use cenote::{Budget, Pool, SharedPool};

use crate::service::{Answer, Service, To, ms, pass, secs, use_once};

const OLD: &str = "10.0.0.1:80";
const NEW: &str = "10.0.0.2:80";
/// One that both are joined by.
const OTHER: &str = "10.0.0.3:80";

/// The one endpoint of a service, at these addresses, the first of which is dialled.
fn at(addresses: &[&str]) -> EndpointSet<String> {
    let addresses = addresses.iter().map(|text| text.parse().unwrap());
    EndpointSet::from([Endpoint::new("db".to_owned()).addresses(addresses)])
}

fn connector(service: &Service) -> impl Fn(&Endpoint<String>) -> To + Send + Sync + use<> {
    let service = service.clone();
    move |endpoint| service.connector(&endpoint.addresses[0].to_string())
}

fn over(service: &Service, addresses: &[&str]) -> (SetSender<String>, PoolBuilder<To>) {
    let (sender, source) = channel();
    sender.send(at(addresses));
    (sender, Pool::balanced(source, connector(service)).seed(7))
}

/// Users of a pool, each with a lease for a moment, time and again. How many uses were served; one that is not ends the
/// test, when the users are waited for.
struct Users(tokio::task::JoinSet<()>, Arc<AtomicUsize>);

impl Users {
    fn of(pool: &Pool<To>, count: usize) -> Self {
        let served = Arc::<AtomicUsize>::default();
        let mut users = tokio::task::JoinSet::new();
        for _ in 0..count {
            let (pool, served) = (pool.clone(), Arc::clone(&served));
            users.spawn(async move {
                loop {
                    let lease = pool.get().await.expect("no user is turned away");
                    pass(ms(10)).await;
                    drop(lease);
                    served.fetch_add(1, SeqCst);
                    pass(ms(3)).await;
                }
            });
        }
        Self(users, served)
    }

    /// All are served still.
    fn are_served(mut self) {
        assert!(self.0.try_join_next().is_none());
        assert!(self.1.load(SeqCst) > 0);
    }
}

/// Those of before are kept until one to the new address has succeeded, and judged by the connector that opened them.
#[tokio::test(start_paused = true)]
async fn other_addresses_are_for_the_next_dial() {
    let service = Service::default();
    let (sender, pool) = over(&service, &[OLD]);
    let pool = pool.build().unwrap();
    let old = pool.get().await.unwrap();
    sender.send(at(&[NEW]));
    pass(ms(1)).await;
    let new = pool.get().await.unwrap();
    assert_eq!((&*old.server, &*new.server), (OLD, NEW));
    drop((old, new));
    assert_eq!(service.all_open(), 2);
}

/// MySqlConnector #1648: sessions to the address of before stayed for ever. vert.x #6255, okhttp #9218.
#[tokio::test(start_paused = true)]
async fn the_connections_of_an_endpoint_that_moves_follow_within_ten_seconds_and_no_call_fails() {
    let service = Service::default();
    let (sender, pool) = over(&service, &[OLD]);
    let pool = pool.build().unwrap();
    let users = Users::of(&pool, 12);
    pass(secs(3)).await;
    assert_eq!(service.open(OLD), 10);
    sender.send(at(&[NEW]));
    let mut least = 10;
    for _ in 0..110 {
        pass(ms(100)).await;
        least = least.min(service.open(OLD) + service.open(NEW));
    }
    assert_eq!((service.open(OLD), service.open(NEW)), (0, 10));
    assert!(least >= 8, "a few at a time: {least} were left");
    users.are_served();
}

#[tokio::test(start_paused = true)]
async fn what_serves_at_the_old_address_is_kept_while_the_new_one_cannot_be_reached() {
    let service = Service::default();
    let (sender, pool) = over(&service, &[OLD]);
    let pool = pool.build().unwrap();
    let users = Users::of(&pool, 5);
    pass(secs(3)).await;
    let before = service.open(OLD);
    service.set(NEW, Answer::Refuse);
    sender.send(at(&[NEW]));
    pass(secs(60)).await;
    assert_eq!(service.open(OLD), before);
    service.set(NEW, Answer::Accept);
    pass(secs(15)).await;
    assert_eq!(service.open(OLD), 0);
    users.are_served();
}

/// What is said of the endpoint meanwhile, as by a name server that lists one more address, is no proof that it can be
/// reached.
#[tokio::test(start_paused = true)]
async fn an_address_that_is_added_while_the_new_one_cannot_be_reached_ends_nothing() {
    let service = Service::default();
    let (sender, pool) = over(&service, &[OLD]);
    let pool = pool.build().unwrap();
    let users = Users::of(&pool, 1);
    pass(secs(3)).await;
    let before = service.open(OLD);
    service.set(NEW, Answer::Refuse);
    sender.send(at(&[NEW]));
    pass(secs(5)).await;
    sender.send(at(&[NEW, OTHER]));
    pass(secs(60)).await;
    assert_eq!(service.open(OLD), before);
    service.set(NEW, Answer::Accept);
    pass(secs(15)).await;
    assert_eq!(service.open(OLD), 0);
    users.are_served();
}

/// Two views of a name, now the one and now the other: as many dials as that makes would be a storm.
#[tokio::test(start_paused = true)]
async fn where_the_address_is_another_time_and_again_no_more_connections_end_in_a_second() {
    let service = Service::default();
    let (sender, pool) = over(&service, &[OLD]);
    let pool = pool.build().unwrap();
    let users = Users::of(&pool, 12);
    pass(secs(3)).await;
    for _ in 0..10 {
        sender.send(at(&[NEW]));
        pass(ms(250)).await;
        sender.send(at(&[OLD]));
        pass(ms(250)).await;
    }
    let ended = pool.counters().closed();
    assert!((1..=6).contains(&ended), "in five seconds: {ended}");
    users.are_served();
}

/// It is dialled as before, so none of its connections is to an older address than the next would be.
#[tokio::test(start_paused = true)]
async fn where_no_connector_can_be_made_for_the_new_addresses_connections_are_kept() {
    let service = Service::default();
    let (sender, pool) = over(&service, &[OLD]);
    let pool = pool.build().unwrap();
    let users = Users::of(&pool, 5);
    pass(secs(3)).await;
    let dialled = service.dialled(OLD);
    // What makes the connector panics.
    sender.send(at(&[]));
    pass(secs(60)).await;
    assert_eq!(service.dialled(OLD), dialled);
    sender.send(at(&[NEW]));
    pass(secs(15)).await;
    assert_eq!(service.open(OLD), 0);
    users.are_served();
}

/// It gets no place beside the one it has, however long it waits for it.
#[tokio::test(start_paused = true)]
async fn the_connections_of_a_pool_whose_budget_is_spent_follow_too() {
    let service = Service::default();
    let (sender, pool) = over(&service, &[OLD]);
    let pool = pool.budget(&Budget::new(2)).build().unwrap();
    let users = Users::of(&pool, 3);
    pass(secs(3)).await;
    assert_eq!(service.open(OLD), 2);
    sender.send(at(&[NEW]));
    pass(secs(15)).await;
    assert_eq!((service.open(OLD), service.open(NEW)), (0, 2));
    users.are_served();
}

/// The last connection is not given up before there is another.
#[tokio::test(start_paused = true)]
async fn a_lone_connection_is_replaced_before_it_ends() {
    let service = Service::default();
    let (sender, pool) = over(&service, &[OLD]);
    let pool = pool.max_per_endpoint(2).build().unwrap();
    let users = Users::of(&pool, 1);
    pass(secs(3)).await;
    service.set_connect_time(NEW, ms(2_500));
    sender.send(at(&[NEW]));
    pass(ms(2_400)).await;
    assert_eq!((service.open(OLD), service.dialled(NEW)), (1, 1));
    pass(secs(3)).await;
    assert_eq!((service.open(OLD), service.open(NEW)), (0, 1));
    users.are_served();
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_not_taken_away_and_its_connection_ends_when_it_comes_back() {
    let service = Service::default();
    let (sender, pool) = over(&service, &[OLD]);
    let pool = pool.build().unwrap();
    let held = pool.get().await.unwrap();
    sender.send(at(&[NEW]));
    pass(ms(1)).await;
    for _ in 0..300 {
        assert_eq!(use_once(&pool).await, NEW);
        pass(ms(50)).await;
    }
    assert_eq!(service.open(OLD), 1);
    drop(held);
    pass(ms(1)).await;
    assert_eq!(service.open(OLD), 0);
    let counters = pool.counters();
    assert_eq!(counters.closed_by(CloseReason::EndpointGone), 1);
    assert_eq!(counters.closed(), 1);
}

#[tokio::test(start_paused = true)]
async fn connections_that_nobody_uses_end_too() {
    let service = Service::default();
    let (sender, pool) = over(&service, &[OLD]);
    let pool = pool.build().unwrap();
    let held = futures::future::join_all((0..10).map(|_| pool.get())).await;
    drop(held);
    pass(secs(30)).await;
    assert_eq!(service.open(OLD), 10);
    sender.send(at(&[NEW]));
    pass(secs(15)).await;
    assert_eq!((service.open(OLD), service.dialled(NEW)), (0, 0));
    assert_eq!(use_once(&pool).await, NEW);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_is_added_ends_no_connection_and_one_that_is_gone_ends_all_from_before() {
    let service = Service::default();
    let (sender, pool) = over(&service, &[OLD]);
    let pool = pool.build().unwrap();
    let users = Users::of(&pool, 4);
    pass(secs(3)).await;
    sender.send(at(&[OLD, OTHER]));
    pass(secs(30)).await;
    let dialled = service.dialled(OLD);
    assert_eq!(service.open(OLD), dialled, "none has ended");
    sender.send(at(&[OTHER]));
    pass(secs(15)).await;
    assert_eq!(service.open(OLD), 0);
    users.are_served();
}

#[tokio::test(start_paused = true)]
async fn shared_connections_are_replaced_too() {
    let service = Service::default();
    let (sender, source) = channel();
    sender.send(at(&[OLD]));
    let pool = SharedPool::balanced(source, connector(&service));
    let pool = pool.build().unwrap();
    let users: Vec<_> = (0..5)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move {
                loop {
                    let _lease = pool.get().await.expect("no user is turned away");
                    pass(ms(10)).await;
                }
            })
        })
        .collect();
    pass(secs(3)).await;
    assert_eq!(service.open(OLD), 1);
    sender.send(at(&[NEW]));
    pass(secs(5)).await;
    assert_eq!((service.open(OLD), service.open(NEW)), (0, 1));
    assert!(users.iter().all(|user| !user.is_finished()));
}
