use std::collections::BTreeMap;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use cenote::{Connect, Dial};
use cenote_testkit::PostgresServer;

use crate::fixture::{connector_to, eventually, text};
use crate::load::{Journal, Load, READERS, Serve, Times, switch};
use crate::servers::{Servers, patient, status_of};

/// The servers change their roles, and users of such pools are all served again.
async fn switched_over<P: Serve>(servers: &Servers, load: &Load<P>) {
    load.serves_all().await;
    let [old, new, _] = &*servers.0 else {
        unreachable!("there are three")
    };
    switch(load, old, new).await;
    load.serves_all().await;
    load.reads_go_on().await;
    // The old primary is one of those that are read.
    eventually("it has connections of readers", async || {
        status_of(&load.replicas, old).connections > 0
    })
    .await;
    assert_eq!(status_of(&load.replicas, new).connections, 0);
    assert_eq!(status_of(&load.primary, old).connections, 0);
}

/// Shut down in order, the old one had sent all that it had acknowledged.
async fn has_lost_nothing(new: &PostgresServer, journal: &Journal) {
    let observer = connector_to(new).connect(&Dial::new()).await;
    let observer = observer.expect("it takes connections");
    let kept = text(&observer, "SELECT count(*)::text FROM orders").await;
    let kept: u64 = kept.parse().expect("a number");
    assert!(kept >= journal.written.load(SeqCst), "nothing is lost");
}

/// gpustack #6105 and its like: after a switchover every write failed until somebody restarted the service.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_wait_a_switchover_out_and_readers_see_nothing_of_it() {
    let servers = Servers::replicating(2).await;
    let load = Load::on(&servers, READERS);
    switched_over(&servers, &load).await;
    let journal = load.end().await;
    let failed = std::mem::take(&mut *journal.failed.lock().expect("nobody panicked"));
    let once = |of_connection: &BTreeMap<usize, usize>| of_connection.values().sum::<usize>() == 1;
    assert!(failed.values().all(once), "{failed:?}");
    has_lost_nothing(&servers.0[1], &journal).await;
}

/// As above; of a connection that is lost, each of those that share it loses the one write that is under way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_on_shared_connections_wait_a_switchover_out_and_readers_see_nothing_of_it() {
    let servers = Servers::replicating(2).await;
    let load = Load::pipelined_on(&servers);
    switched_over(&servers, &load).await;
    let journal = load.end().await;
    let failed = std::mem::take(&mut *journal.failed.lock().expect("nobody panicked"));
    let once = |of_connection: &BTreeMap<usize, usize>| of_connection.values().all(|&n| n == 1);
    assert!(failed.values().all(once), "{failed:?}");
    has_lost_nothing(&servers.0[1], &journal).await;
}

/// Its sockets are open, and nothing comes: a caller that waits for it gives up, and is not sent there again for ever.
#[tokio::test]
async fn a_primary_that_hangs_is_left_for_the_one_that_is_promoted() {
    let servers = Servers::replicating(1).await;
    let [old, new] = &*servers.0 else {
        unreachable!("there are two")
    };
    let pool = patient(servers.cluster().primary().max_per_endpoint(4));
    drop(pool.get().await.expect("a lease"));
    old.stop().expect("it runs");
    new.promote().expect("it is a standby");
    let write = async || {
        let conn = pool.get().await.expect("a lease");
        let insert = conn.execute("INSERT INTO orders VALUES (1, 1)", &[]).await;
        insert.is_ok()
    };
    eventually("writes are taken", async || {
        let write = tokio::time::timeout(Duration::from_millis(200), write()).await;
        write.is_ok_and(|is_written| is_written)
    })
    .await;
    assert!(status_of(&pool, new).connections > 0);
}

/// The median of several, for a machine may be busy with something else. Beside readers, whose connections tell of the
/// promotion, and without.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures time: `cargo xtask verify` runs it"]
async fn service_is_back_within_a_second_of_the_promotion() {
    let switchovers = std::env::var("CENOTE_SWITCHOVERS").ok();
    let switchovers = switchovers.map_or(5, |text| text.parse().expect("a number of switchovers"));
    let servers = Servers::replicating(2).await;
    let (mut old, mut new) = (&servers.0[0], &servers.0[1]);
    for readers in [READERS, 0] {
        let load = Load::on(&servers, readers);
        load.serves_all().await;
        let (mut firsts, mut alls) = (Vec::new(), Vec::new());
        for round in 0..switchovers {
            let Times { first, all } = switch(&load, old, new).await;
            println!(
                "{readers} readers, {round}: first write {first:.0?} after the promotion, all writers {all:.0?}"
            );
            (old, new) = (new, old);
            firsts.push(first);
            alls.push(all);
        }
        let journal = load.end().await;
        let failed = std::mem::take(&mut *journal.failed.lock().expect("nobody panicked"));
        firsts.sort_unstable();
        alls.sort_unstable();
        let (first, all) = (firsts[switchovers / 2], alls[switchovers / 2]);
        println!(
            "{readers} readers, median: first write {first:.0?} after the promotion, all writers {all:.0?}; {} writes failed",
            failed.len()
        );
        assert!(
            all < Duration::from_secs(1),
            "all writers are back after {all:?}"
        );
    }
}
