//! A time-out names the places in the program whose leases are out.

use cenote::{GetError, Pool};

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
