//! bb8 0.9.1: connects that fail, hang or panic; checks that hang; panics in the holder.

use std::error::Error;
use std::time::Duration;

use bb8::RunError;
use tokio::time::Instant;

use crate::server::{Act, Refused, Server};

async fn bb8_of(max_size: u32, server: &Server) -> bb8::Pool<Server> {
    let builder = bb8::Pool::builder().max_size(max_size);
    builder.build(server.clone()).await.unwrap()
}

fn cenote_of(max_size: usize, server: &Server) -> cenote::Pool<Server> {
    let builder = cenote::Pool::builder(server.clone()).max_size(max_size);
    // As long as bb8's own default.
    let builder = builder.acquire_timeout(Duration::from_secs(30));
    builder.build().unwrap()
}

/// bb8 #102: 30 s, and then not a word about what was wrong all the time. (Its error sink hears of it, no getter.)
#[tokio::test(start_paused = true)]
async fn a_wrong_address_is_a_bare_time_out_after_30_s_with_bb8() {
    let server = Server::default();
    server.connects(Act::Fail);
    let pool = bb8_of(1, &server).await;
    let began = Instant::now();
    let error = pool.get().await.map(drop).unwrap_err();
    assert!(began.elapsed() >= Duration::from_secs(30));
    assert_eq!(error, RunError::TimedOut);
    assert!(error.source().is_none());
    assert!(!error.to_string().contains("no such host"), "{error}");
}

/// The same steps: told within a second, with the cause.
#[tokio::test(start_paused = true)]
async fn a_wrong_address_is_named_within_a_second_by_cenote() {
    let server = Server::default();
    server.connects(Act::Fail);
    let pool = cenote_of(1, &server);
    let began = Instant::now();
    let error = pool.get().await.map(drop).unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(1));
    assert!(error.to_string().contains("no such host"), "{error}");
    let cause = error.connect_error().and_then(|e| e.downcast_ref());
    assert_eq!(cause, Some(&Refused));
}

/// Not reported; read from its source. A connect has no time-out, and what it reserved is given up by hand only where
/// it returns: one that hangs or panics takes its place along, here all that the pool has.
#[tokio::test(start_paused = true)]
async fn a_connect_that_hangs_or_panics_once_ends_a_pool_of_one_of_bb8() {
    for act in [Act::Hang, Act::Panic] {
        let server = Server::default();
        server.connects(act);
        let pool = bb8_of(1, &server).await;
        assert!(pool.get().await.is_err());
        server.connects(Act::Ok);
        for _ in 0..20 {
            assert_eq!(pool.get().await.map(drop), Err(RunError::TimedOut));
        }
        assert_eq!(server.dials(), 1, "ten minutes, and no other connect");
    }
}

/// The same steps: served as soon as the server is there again.
#[tokio::test(start_paused = true)]
async fn a_connect_that_hangs_or_panics_once_costs_cenote_that_connect() {
    for act in [Act::Hang, Act::Panic] {
        let server = Server::default();
        server.connects(act);
        let pool = cenote_of(1, &server);
        assert!(pool.get().await.is_err());
        server.connects(Act::Ok);
        for _ in 0..20 {
            assert!(pool.get().await.is_ok());
        }
    }
}

/// Not reported; read from its source. A check cut short by the getter's time-out leaves the connection with the good
/// ones, so that a connection which died in silence costs one getter after the other its 30 s, without end.
#[tokio::test(start_paused = true)]
async fn a_connection_whose_check_timed_out_is_lent_again_by_bb8() {
    let server = Server::default();
    let pool = bb8_of(1, &server).await;
    drop(pool.get().await.unwrap());
    server.checks(Act::Hang);
    for _ in 0..10 {
        assert_eq!(pool.get().await.map(drop), Err(RunError::TimedOut));
        assert_eq!(pool.state().idle_connections, 1, "kept as good");
    }
    assert_eq!((server.dials(), server.open()), (1, 1));
}

/// The same steps: the connection is closed, and the same getter is served by another.
#[tokio::test(start_paused = true)]
async fn a_connection_whose_check_timed_out_is_replaced_by_cenote() {
    let server = Server::default();
    let pool = cenote_of(1, &server);
    drop(pool.get().await.unwrap());
    // In virtual time: idle for longer than the second after which a connection is checked.
    tokio::time::sleep(Duration::from_secs(2)).await;
    server.checks(Act::Hang);
    for _ in 0..10 {
        assert!(pool.get().await.is_ok());
    }
    assert_eq!((server.dials(), server.open()), (2, 1));
}

/// The check's reply is still to come when the connection is lent again: the next check reads it for its own, and the
/// next user reads that one's.
#[tokio::test(start_paused = true)]
async fn a_check_cut_short_gives_its_reply_to_the_next_user_of_bb8() {
    let server = Server::default();
    let pool = bb8_of(1, &server).await;
    drop(pool.get().await.unwrap());
    server.checks(Act::Slow(Duration::from_secs(31)));
    assert!(pool.get().await.is_err());
    server.checks(Act::Ok);
    let mut conn = pool.get().await.unwrap();
    conn.ask("what I asked for");
    assert_eq!(conn.read(), Some("a check's reply"));
}

/// The same steps: a check cut short ends its connection.
#[tokio::test(start_paused = true)]
async fn a_check_cut_short_gives_its_reply_to_nobody_with_cenote() {
    let server = Server::default();
    let pool = cenote_of(1, &server);
    drop(pool.get().await.unwrap());
    // In virtual time: idle for longer than the second after which a connection is checked.
    tokio::time::sleep(Duration::from_secs(2)).await;
    server.checks(Act::Slow(Duration::from_secs(31)));
    let _ = pool.get().await;
    server.checks(Act::Ok);
    let mut conn = pool.get().await.unwrap();
    conn.ask("what I asked for");
    assert_eq!(conn.read(), Some("what I asked for"));
    assert_eq!(conn.id, 1);
}

/// bb8 #211: whatever the holder was in the middle of, the next user goes on from there.
#[tokio::test(start_paused = true)]
async fn a_panic_in_the_holder_leaves_its_connection_to_the_next_user_of_bb8() {
    let server = Server::default();
    let pool = bb8_of(1, &server).await;
    let holder = pool.clone();
    let holder = tokio::spawn(async move {
        let mut conn = holder.get().await.unwrap();
        conn.ask("what the holder asked for");
        panic!("told to");
    });
    assert!(holder.await.is_err());
    let mut conn = pool.get().await.unwrap();
    conn.ask("what I asked for");
    assert_eq!((conn.id, conn.read()), (0, Some("a check's reply")));
}

/// The same steps: the connection goes with its holder.
#[tokio::test(start_paused = true)]
async fn a_panic_in_the_holder_closes_its_connection_with_cenote() {
    let server = Server::default();
    let pool = cenote_of(1, &server);
    let holder = pool.clone();
    let holder = tokio::spawn(async move {
        let mut conn = holder.get().await.unwrap();
        conn.ask("what the holder asked for");
        panic!("told to");
    });
    assert!(holder.await.is_err());
    let mut conn = pool.get().await.unwrap();
    conn.ask("what I asked for");
    assert_eq!((conn.id, conn.read()), (1, Some("what I asked for")));
}
