//! A time-out names the places in the program whose leases are out.

use cenote::{GetError, Lease, Pool};

use crate::server::{Server, secs};

#[tokio::test(start_paused = true)]
async fn a_time_out_names_who_holds_the_connections_most_leases_first() {
    let server = Server::default();
    let builder = Pool::builder(server.clone()).max_size(5);
    let pool = builder.acquire_timeout(secs(2)).build().unwrap();
    let mut kept = Vec::new();
    for _ in 0..4 {
        kept.push(pool.get().await.unwrap());
    }
    let many = line!() - 2;
    let one = (pool.get().await.unwrap(), line!());
    let GetError::TimedOut(error) = pool.get().await.unwrap_err() else {
        panic!("all are leased");
    };
    let held: Vec<_> = error
        .holders
        .iter()
        .map(|holder| (holder.call_site.line(), holder.leases))
        .collect();
    assert_eq!(held, [(many, 4), (one.1, 1)]);
    assert!(error.holders.iter().all(|holder| holder.longest >= secs(1)));
    let text = error.to_string();
    assert!(
        text.contains(&format!("held: 4 at {}:{many} for up to ", file!())),
        "{text}"
    );
}

/// A helper through which all leases are taken is one call site.
#[tokio::test(start_paused = true)]
async fn leases_of_one_call_site_are_told_apart_by_their_labels() {
    let server = Server::default();
    let pool = server.builder().max_size(4).build().unwrap();
    let mut kept = Vec::new();
    for label in [Some("report"), Some("checkout"), Some("report"), None] {
        let lease = pool.get().await.unwrap();
        if let Some(label) = label {
            Lease::set_label(&lease, label);
        }
        kept.push(lease);
    }
    let GetError::TimedOut(error) = pool.get().await.unwrap_err() else {
        panic!("all are leased");
    };
    let mut held: Vec<_> = error
        .holders
        .iter()
        .map(|holder| (holder.leases, holder.label))
        .collect();
    held.sort_unstable();
    assert_eq!(
        held,
        [(1, None), (1, Some("checkout")), (2, Some("report"))]
    );
    let text = error.to_string();
    assert!(text.contains("held: 2 for \"report\" at "), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_label_is_its_lease_s_and_not_the_next_one_s() {
    let server = Server::default();
    let pool = server.pool(1);
    let lease = pool.get().await.unwrap();
    Lease::set_label(&lease, "checkout");
    drop(lease);
    let owned = pool.get_owned().await.unwrap();
    assert_eq!(pool.inspect().holders()[0].label, None);
    cenote::OwnedLease::set_label(&owned, "report");
    cenote::OwnedLease::set_label(&owned, "archive");
    assert_eq!(pool.inspect().holders()[0].label, Some("archive"));
}
