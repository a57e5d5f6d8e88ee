//! Replies belong to whoever asked. A server tags every reply with its question; users leave in the middle
//! of theirs; nobody ever reads another's.
//!
//! deadpool #97/#102, redis-py #2624/#2665, Go CVE-2025-47907, Jedis #186/#359, diesel_async #198,
//! async-bb8-diesel #47: a half-used connection was handed to the next user, who read the last one's reply.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use cenote::report::CloseReason;
use cenote::{Connect, ConnectionInfo, Dial, Pool, Verdict};
use futures::future::join_all;
use futures::poll;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::yield_now;

/// How often others have their turn while the server thinks about a question.
const THINKING: usize = 10;

/// What the connector does about replies that nobody read.
#[derive(Clone, Copy, PartialEq)]
enum Care {
    /// Reads them, in the background.
    Drains,
    /// Closes the connection (Pingora CVE-2025-4366: an undrained body was reused).
    Closes,
}

struct Server {
    care: Care,
    connected: Arc<AtomicUsize>,
}

/// A client's end of a line on which replies come back in order.
struct Line {
    stream: DuplexStream,
    /// Questions begun and not answered: set before the first await, cleared after the last.
    owed: VecDeque<u64>,
    /// A question left half written, or a reply left half read: beyond counting.
    torn: bool,
}

/// Echoes eight bytes at a time, late, and one byte after the other.
async fn serve(mut stream: DuplexStream) {
    let mut question = [0; 8];
    while stream.read_exact(&mut question).await.is_ok() {
        for _ in 0..THINKING {
            yield_now().await;
        }
        for byte in question {
            if stream.write_all(&[byte]).await.is_err() {
                return;
            }
            yield_now().await;
        }
    }
}

impl Line {
    async fn ask(&mut self, tag: u64) -> u64 {
        self.owed.push_back(tag);
        self.torn = true;
        self.stream.write_all(&tag.to_be_bytes()).await.unwrap();
        self.torn = false;
        self.reply().await
    }

    async fn reply(&mut self) -> u64 {
        let mut reply = [0; 8];
        self.torn = true;
        for byte in &mut reply {
            *byte = self.stream.read_u8().await.unwrap();
        }
        self.torn = false;
        self.owed.pop_front();
        u64::from_be_bytes(reply)
    }
}

impl Connect for Server {
    type Connection = Line;
    type Error = Infallible;

    async fn connect(&self, _: &Dial) -> Result<Line, Infallible> {
        self.connected.fetch_add(1, SeqCst);
        // A line that takes three bytes at a time, so that writes are cut short too.
        let (stream, end) = duplex(3);
        tokio::spawn(serve(end));
        Ok(Line {
            stream,
            owed: VecDeque::new(),
            torn: false,
        })
    }

    fn verdict(&self, line: &mut Line) -> Verdict {
        match (line.owed.is_empty(), self.care) {
            (true, _) => Verdict::Reuse,
            (false, Care::Drains) if !line.torn => Verdict::Reset,
            (false, _) => Verdict::Close,
        }
    }

    async fn check(&self, line: &mut Line, _: &ConnectionInfo) -> Result<(), Infallible> {
        line.ask(0).await;
        Ok(())
    }

    async fn reset(&self, line: &mut Line, _: &ConnectionInfo) -> Result<(), Infallible> {
        while !line.owed.is_empty() {
            line.reply().await;
        }
        Ok(())
    }
}

fn pool(care: Care, max_size: usize) -> Pool<Server> {
    let connected = Arc::default();
    Pool::builder(Server { care, connected })
        .max_size(max_size)
        .check_after_idle(Duration::ZERO)
        .build()
        .unwrap()
}

async fn ask(pool: &Pool<Server>, tag: u64) {
    let mut line = pool.get().await.unwrap();
    assert_eq!(line.ask(tag).await, tag, "another's reply");
}

#[tokio::test(start_paused = true)]
async fn a_call_dropped_after_any_number_of_polls_never_reaches_the_next_user() {
    for care in [Care::Drains, Care::Closes] {
        let pool = pool(care, 2);
        let mut tag = 1;
        for polls in 0..80 {
            {
                let mut cancelled = pin!(ask(&pool, tag));
                for _ in 0..polls {
                    if poll!(&mut cancelled).is_ready() {
                        break;
                    }
                    yield_now().await;
                }
            }
            tag += 1;
            join_all((tag..tag + 3).map(|tag| ask(&pool, tag))).await;
            tag += 3;
        }
    }
}

/// A check cut short by its getter's leaving is finished, not forgotten: its reply is nobody's either.
#[tokio::test(start_paused = true)]
async fn a_getter_that_leaves_in_the_middle_of_a_check_leaves_no_reply_behind() {
    let pool = pool(Care::Drains, 1);
    ask(&pool, 1).await;
    for polls in 0..40 {
        {
            let mut get = pin!(pool.get());
            for _ in 0..polls {
                if poll!(&mut get).is_ready() {
                    break;
                }
                yield_now().await;
            }
        }
        ask(&pool, 100 + polls).await;
    }
    assert_eq!(pool.connector().unwrap().connected.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_whole_reply_left_unread_is_drained_and_the_connection_kept() {
    let pool = pool(Care::Drains, 1);
    {
        let mut line = pool.get().await.unwrap();
        line.owed.push_back(7);
        line.stream.write_all(&7_u64.to_be_bytes()).await.unwrap();
    }
    ask(&pool, 8).await;
    assert_eq!(pool.counters().resets, 1);
    assert_eq!(pool.connector().unwrap().connected.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn where_unread_replies_close_the_connection_none_is_kept() {
    let pool = pool(Care::Closes, 1);
    {
        let mut line = pool.get().await.unwrap();
        line.owed.push_back(7);
        line.stream.write_all(&7_u64.to_be_bytes()).await.unwrap();
    }
    ask(&pool, 8).await;
    assert_eq!(pool.counters().closed_by(CloseReason::Verdict), 1);
    assert_eq!(pool.connector().unwrap().connected.load(SeqCst), 2);
}

/// The same on threads, users leaving when they please.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn nobody_reads_another_s_reply_whoever_leaves_when() {
    let pool = pool(Care::Drains, 3);
    let tags = Arc::new(AtomicU64::new(1));
    let users = (0..24).map(|user| {
        let (pool, tags) = (pool.clone(), tags.clone());
        tokio::spawn(async move {
            for turn in 0..40 {
                let mut call = pin!(ask(&pool, tags.fetch_add(1, SeqCst)));
                let patience = (user * 7 + turn * 3) % 200;
                for _ in 0..patience {
                    if poll!(&mut call).is_ready() {
                        break;
                    }
                    yield_now().await;
                }
            }
        })
    });
    for user in join_all(users.collect::<Vec<_>>()).await {
        user.unwrap();
    }
    // Whoever is left finds the lines in order.
    for _ in 0..4 {
        ask(&pool, tags.fetch_add(1, SeqCst)).await;
    }
    assert!(pool.counters().gets > 100);
}
