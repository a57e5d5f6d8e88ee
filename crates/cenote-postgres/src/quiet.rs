//! How long a session that waits for notifications has heard nothing, and its question whether the server is there.
//!
//! Promises that both outlast a wait that is dropped: who has other things to do as well leaves each wait early.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use cenote::time::{Instant, timeout};
use futures_core::Stream;
use tokio_postgres::{Client, Error, SimpleQueryStream};

use crate::session::Session;
use crate::silence::LAST_LOOK;

/// The quiet of one session.
#[derive(Default)]
pub(crate) struct Quiet {
    since: Option<Instant>,
    ping: Option<Ping>,
}

/// A question that is not answered yet.
struct Ping {
    answer: Pin<Box<SimpleQueryStream>>,
    asked: Instant,
    /// How long it may take.
    limit: Duration,
    is_last_look: bool,
}

/// The server does not answer.
pub(crate) struct Silent;

impl Quiet {
    /// Something came.
    pub(crate) fn heard(&mut self) {
        self.since = Some(Instant::now());
    }

    /// Waits for the arrival, or for what shows that it may be looked for again; asks the server meanwhile. Whether
    /// an error ended the connection, the inbox tells.
    pub(crate) async fn wait(
        &mut self,
        client: &Client,
        session: &Session,
        arrival: impl Future<Output = ()>,
    ) -> Result<(), Silent> {
        let patience = session.vigil().patience();
        let Some(after) = patience.ping_after else {
            arrival.await;
            return Ok(());
        };
        let mut arrival = pin!(arrival);
        let Some(ping) = &mut self.ping else {
            let since = *self.since.get_or_insert_with(Instant::now);
            if timeout(after.saturating_sub(since.elapsed()), arrival)
                .await
                .is_err()
            {
                // Tracked until its answer is here, also when the caller that sent it has left.
                session.ask();
                match client.simple_query_raw("").await {
                    Ok(answer) => {
                        self.ping = Some(Ping {
                            answer: Box::pin(answer),
                            asked: Instant::now(),
                            limit: patience.ping_timeout,
                            is_last_look: false,
                        });
                    }
                    Err(error) => session.asked().fail(&error),
                }
            }
            return Ok(());
        };
        let answered = poll_fn(|cx| {
            if let Poll::Ready(answer) = poll_to_end(ping.answer.as_mut(), cx) {
                return Poll::Ready(Some(answer));
            }
            arrival.as_mut().poll(cx).map(|()| None)
        });
        let left = ping.limit.saturating_sub(ping.asked.elapsed());
        match timeout(left, answered).await {
            Ok(None) => {}
            Ok(Some(answer)) => {
                session.asked().end(&answer);
                self.ping = None;
                self.heard();
            }
            Err(_) if ping.is_last_look => return Err(Silent),
            Err(_) => {
                ping.is_last_look = true;
                ping.asked = Instant::now();
                ping.limit = LAST_LOOK;
            }
        }
        Ok(())
    }
}

fn poll_to_end(
    mut answer: Pin<&mut SimpleQueryStream>,
    cx: &mut std::task::Context<'_>,
) -> Poll<Result<(), Error>> {
    loop {
        match std::task::ready!(answer.as_mut().poll_next(cx)) {
            Some(Ok(_)) => {}
            Some(Err(error)) => return Poll::Ready(Err(error)),
            None => return Poll::Ready(Ok(())),
        }
    }
}
