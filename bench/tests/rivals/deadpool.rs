//! deadpool 0.13.1 (managed): resizing, cancelled gets, panics in the holder.

use std::time::Duration;

use tokio::time::timeout;

use crate::server::{Act, Server};

const A_MOMENT: Duration = Duration::from_millis(1);

fn deadpool_of(max_size: usize, server: &Server) -> deadpool::managed::Pool<Server> {
    let builder = deadpool::managed::Pool::builder(server.clone()).max_size(max_size);
    builder.build().unwrap()
}

fn cenote_of(max_size: usize, server: &Server) -> cenote::Pool<Server> {
    let builder = cenote::Pool::builder(server.clone()).max_size(max_size);
    builder.build().unwrap()
}

/// Not reported; read from its source. Shrinking takes back permits only for connections above the new size, and a
/// pool that was not full has none: its permits stay, and as many connections are opened.
#[tokio::test(start_paused = true)]
async fn a_pool_of_deadpool_shrunk_before_it_was_full_opens_more_than_its_size() {
    let server = Server::default();
    let pool = deadpool_of(4, &server);
    drop(pool.get().await.unwrap());
    pool.resize(1);
    let mut leases = Vec::new();
    for _ in 0..4 {
        leases.push(timeout(A_MOMENT, pool.get()).await.unwrap().unwrap());
    }
    assert_eq!((pool.status().max_size, server.open()), (1, 4));
}

/// The same steps: one lease, and the others wait.
#[tokio::test(start_paused = true)]
async fn a_pool_of_cenote_shrunk_before_it_was_full_keeps_to_its_size() {
    let server = Server::default();
    let pool = cenote_of(4, &server);
    drop(pool.get().await.unwrap());
    pool.resize(1).unwrap();
    let mut leases = Vec::new();
    for _ in 0..4 {
        leases.extend(timeout(A_MOMENT, pool.get()).await);
    }
    assert_eq!((leases.len(), server.open()), (1, 1));
}

/// sqlx #3513, pgx #1259, here in deadpool: the dial is part of the get and ends with it, so that getters less patient
/// than a connect takes begin one after the other, and none ever ends.
#[tokio::test(start_paused = true)]
async fn impatient_getters_of_deadpool_dial_for_ever_and_open_nothing() {
    let server = Server::default();
    server.connects(Act::Slow(Duration::from_millis(150)));
    let pool = deadpool_of(1, &server);
    for _ in 0..20 {
        assert!(
            timeout(Duration::from_millis(100), pool.get())
                .await
                .is_err()
        );
    }
    assert_eq!((server.dials(), server.open()), (20, 0));
}

/// The same steps: the first one's dial goes on, and the second is served.
#[tokio::test(start_paused = true)]
async fn impatient_getters_of_cenote_are_served_by_the_dial_of_the_first() {
    let server = Server::default();
    server.connects(Act::Slow(Duration::from_millis(150)));
    let pool = cenote_of(1, &server);
    let mut served = 0;
    for _ in 0..20 {
        served += usize::from(
            timeout(Duration::from_millis(100), pool.get())
                .await
                .is_ok(),
        );
    }
    assert_eq!((served, server.dials(), server.open()), (19, 1, 1));
}

/// bb8 #211, r2d2 #31, here in deadpool: what the holder left unread shifts every reply after it. (What Cenote does:
/// `bb8::a_panic_in_the_holder_closes_its_connection_with_cenote`.)
#[tokio::test(start_paused = true)]
async fn a_panic_in_the_holder_leaves_its_connection_to_the_next_user_of_deadpool() {
    let server = Server::default();
    let pool = deadpool_of(1, &server);
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
