//! The parts of `examples/name_service` over a real name server: both pools follow the zone, and nothing is lost that was
//! not in the buffers of a worker that died.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::sync::atomic::Ordering::SeqCst;

use cenote::endpoints::Discovery;
use cenote_dns::Target;
use cenote_testkit::KnotServer;

#[path = "../examples/name_service/clients.rs"]
mod clients;
#[allow(dead_code, reason = "other tests need the rest")]
mod waiting;
#[path = "../examples/name_service/worker.rs"]
mod worker;

use clients::Clients;
use waiting::{dns, until};
use worker::Worker;

const ZONE: &str = "prod.test";

fn target(level: u16, worker: &Worker, name: &str) -> String {
    format!(
        "_workers._tcp 0 SRV {level} 1 {} {name}",
        worker.at().port()
    )
}

fn address(worker: &Worker, name: &str) -> String {
    format!("{name} 0 A {}", worker.at().ip())
}

/// A zone with these workers, and the service in it.
fn serve(workers: &[(u16, &Worker, &str)]) -> (KnotServer, Discovery<Target>) {
    let records: Vec<_> = workers
        .iter()
        .flat_map(|(level, worker, name)| [target(*level, worker, name), address(worker, name)])
        .collect();
    let zone = KnotServer::start(ZONE, &records.join("\n")).unwrap();
    let source = dns(zone.addr()).srv("_workers._tcp.prod.test").unwrap();
    (zone, Discovery::start(source).unwrap())
}

fn heard(worker: &Worker) -> u64 {
    worker.tally().heard.load(SeqCst)
}

fn answered(worker: &Worker) -> u64 {
    worker.tally().answered.load(SeqCst)
}

fn works(worker: &Worker) -> bool {
    heard(worker) > 0 && answered(worker) > 0
}

#[tokio::test]
async fn two_pools_over_one_name_follow_its_zone_and_lose_nothing() {
    let one = Worker::start([127, 0, 0, 2], 0).await.unwrap();
    let two = Worker::start([127, 0, 0, 3], 0).await.unwrap();
    let three = Worker::start([127, 0, 0, 4], 0).await.unwrap();
    let (zone, workers) = serve(&[(0, &one, "one"), (0, &two, "two")]);
    let clients = Clients::start(&workers, 5).unwrap();
    until("both serve", || works(&one) && works(&two)).await;

    let added = [target(0, &three, "three"), address(&three, "three")];
    zone.change(&[], &added.each_ref().map(String::as_str))
        .unwrap();
    until("the one that was added serves", || works(&three)).await;

    let gone = format!("_workers._tcp SRV 0 1 {} one.prod.test.", one.at().port());
    zone.change(&[&gone, "one A"], &[]).unwrap();
    until("the one that was removed is left", || {
        one.tally().open.load(SeqCst) == 0
    })
    .await;

    let done = clients.end().await;
    assert_eq!((done.failed, done.returned), (0, 0));
    let all = [&one, &two, &three];
    until("all that was handed over is read", || {
        all.map(heard).iter().sum::<u64>() == done.handed_over
    })
    .await;
    assert_eq!(all.map(answered).iter().sum::<u64>(), done.answered);
}

/// tk_pool knows the first level of SRV records and no other.
#[tokio::test]
async fn where_all_of_the_first_level_die_the_next_serves_both_pools() {
    let first = Worker::start([127, 0, 0, 2], 0).await.unwrap();
    let spare = Worker::start([127, 0, 0, 3], 0).await.unwrap();
    let (_zone, workers) = serve(&[(0, &first, "first"), (1, &spare, "spare")]);
    let clients = Clients::start(&workers, 5).unwrap();
    until("the first serves", || works(&first)).await;
    assert_eq!((heard(&spare), answered(&spare)), (0, 0));
    drop(first);
    until("the spare one serves", || works(&spare)).await;
    let done = clients.end().await;
    assert_eq!(done.returned, 0);
}
