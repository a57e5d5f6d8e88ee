//! Many users on several threads, some impatient, while pools and connections are being changed: whatever they do, the
//! duties hold and nothing is lost. What is asserted holds at any speed; nothing here measures time.

mod exclusive;
mod shared;

use std::future::Future;

use futures::future::join_all;

const USERS: usize = 40;
const TURNS: usize = 150;

/// Users who share `pool`; `turn` is what each does again and again. Ends when all are done.
async fn used_by_many<P, F>(pool: &P, turn: impl Fn(P, usize) -> F + Copy + Send + Sync + 'static)
where
    P: Clone + Send + 'static,
    F: Future<Output = ()> + Send,
{
    let users = (0..USERS).map(|user| {
        let pool = pool.clone();
        tokio::spawn(async move {
            for round in 0..TURNS {
                turn(pool.clone(), user + round).await;
            }
        })
    });
    for user in join_all(users.collect::<Vec<_>>()).await {
        user.unwrap();
    }
}
