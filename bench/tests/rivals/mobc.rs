//! mobc 0.9.0: resizing. Its clock is its own, so each get is polled once: that is all it takes where nothing is slow.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use crate::server::Server;

async fn mobc_of(max_open: u64, server: &Server) -> mobc::Pool<Server> {
    let builder = mobc::Pool::builder().max_open(max_open);
    builder.build(server.clone())
}

/// The lease, if it can be had at once.
fn at_once<T, E>(get: impl Future<Output = Result<T, E>>) -> Option<T> {
    match pin!(get).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(got) => got.ok(),
        Poll::Pending => None,
    }
}

/// Not reported; read from its source. The new size is noted and shown; the semaphore keeps to the old one.
#[tokio::test]
async fn a_pool_of_mobc_keeps_its_first_size_whatever_it_is_set_to() {
    let server = Server::default();
    let shrunk = mobc_of(4, &server).await;
    shrunk.set_max_open_conns(1).await;
    let leases: Vec<_> = (0..5).filter_map(|_| at_once(shrunk.get())).collect();
    assert_eq!((leases.len(), server.open()), (4, 4));
    assert_eq!(shrunk.state().await.max_open, 1);

    let server = Server::default();
    let grown = mobc_of(1, &server).await;
    grown.set_max_open_conns(4).await;
    let leases: Vec<_> = (0..5).filter_map(|_| at_once(grown.get())).collect();
    assert_eq!((leases.len(), server.open()), (1, 1));
    assert_eq!(grown.state().await.max_open, 4);
}

/// The same steps: as many as the last size says.
#[tokio::test(start_paused = true)]
async fn a_pool_of_cenote_has_the_size_it_was_last_set_to() {
    for (first, last) in [(4, 1), (1, 4)] {
        let server = Server::default();
        let builder = cenote::Pool::builder(server.clone()).max_size(first);
        let pool = builder.build().unwrap();
        pool.resize(last).unwrap();
        let mut leases = Vec::new();
        for _ in 0..5 {
            let moment = std::time::Duration::from_secs(1);
            leases.extend(pool.get().timeout(moment).await.ok());
        }
        assert_eq!((leases.len(), server.open()), (last, last));
    }
}
