//! The queue under shuttle, as the pools' models (`pool::models`): senders, those who leave, room that comes, and the end,
//! in thousands of random schedules. Whatever happens, each message is heard once, or is its sender's or the closer's again.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use shuttle::future::block_on;
use shuttle::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use shuttle::sync::{Arc, Mutex};
use shuttle::thread;
use tokio::sync::Notify;

use super::{OneWayPool, SendError};
use crate::connect::{Connect, Multiplex, NotTaken, OneWay, Verdict};
use crate::dial::Dial;
use crate::pool::models::{Party, below, dawdle, explore, party, race};
use crate::rt::model::move_on;
use crate::shared::SharedPool;
use crate::signals::Signals;

/// More than there are messages in any model.
const ENOUGH: usize = 100;

/// What came over all connections, and for how many more each has room.
#[derive(Clone)]
struct Peer {
    heard: Arc<Mutex<Vec<u32>>>,
    room: Arc<AtomicUsize>,
    told_by: Arc<Mutex<Vec<Signals>>>,
    /// Told when the pool is gone, and with it the forwarder.
    left: Arc<Notify>,
    /// The pool has it.
    _connector: Option<Arc<Connector>>,
}

/// Tells of its end.
struct Connector(Arc<Notify>);

impl Drop for Connector {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

impl Peer {
    fn new(room: usize) -> Self {
        Self {
            heard: Arc::default(),
            room: Arc::new(AtomicUsize::new(room)),
            told_by: Arc::default(),
            left: Arc::default(),
            _connector: None,
        }
    }

    fn pool(&self, queue: usize) -> OneWayPool<Self> {
        let peer = Self {
            _connector: Some(Arc::new(Connector(Arc::clone(&self.left)))),
            ..self.clone()
        };
        let connections = SharedPool::builder(peer)
            .max_size(1)
            .acquire_timeout(None)
            .check_after_idle(None)
            .keepalive(None)
            .seed(1)
            .build();
        OneWayPool::with_queue(connections.unwrap(), queue).unwrap()
    }

    /// Makes room for one more, so many times.
    fn reads(&self, times: usize) -> Party {
        let peer = self.clone();
        party(async move {
            for _ in 0..times {
                peer.room.fetch_add(1, SeqCst);
                let told_by = peer.told_by.lock().unwrap().clone();
                told_by.iter().for_each(Signals::ask_again);
                dawdle();
            }
        })
    }

    /// Waits until the pool is gone: the forwarder's end may be the last of it.
    fn is_left(&self) {
        block_on(self.left.notified());
    }

    fn heard(&self) -> Vec<u32> {
        let mut heard = self.heard.lock().unwrap().clone();
        heard.sort_unstable();
        heard
    }
}

impl Connect for Peer {
    type Connection = ();
    type Error = Infallible;

    async fn connect(&self, dial: &Dial) -> Result<(), Infallible> {
        self.told_by.lock().unwrap().push(dial.signals());
        Ok(())
    }

    fn verdict(&self, (): &mut ()) -> Verdict {
        Verdict::Reuse
    }
}

impl Multiplex for Peer {
    fn capacity(&self, (): &()) -> usize {
        match self.room.load(SeqCst) {
            0 => 0,
            _ => ENOUGH,
        }
    }
}

impl OneWay for Peer {
    type Message = u32;

    fn hand_over(&self, (): &(), message: u32) -> Result<(), NotTaken<u32>> {
        let less = |room: usize| room.checked_sub(1);
        match self.room.fetch_update(SeqCst, SeqCst, less) {
            Ok(_) => {
                self.heard.lock().unwrap().push(message);
                Ok(())
            }
            Err(_) => Err(NotTaken::Back(message)),
        }
    }
}

/// Sends these, one after the other.
fn sender(pool: &OneWayPool<Peer>, messages: std::ops::Range<u32>) -> Party {
    let pool = pool.clone();
    party(async move {
        for message in messages {
            pool.send(message).await.expect("the pool is open");
        }
    })
}

/// Sends one, looks a few times and leaves; a message that was sent is noted.
fn leaver(pool: &OneWayPool<Peer>, message: u32, sent: &Arc<Mutex<Vec<u32>>>) -> Party {
    let (pool, sent) = (pool.clone(), Arc::clone(sent));
    party(async move {
        let mut send = pin!(pool.send(message));
        for _ in 0..below(4) {
            let poll = poll_fn(|cx| Poll::Ready(send.as_mut().poll(cx))).await;
            if let Poll::Ready(done) = poll {
                done.expect("the pool is open");
                sent.lock().unwrap().push(message);
                break;
            }
            dawdle();
        }
    })
}

/// The end of every model that leaves the pool open: all that was sent was heard, and with its last handle the pool is gone.
fn ends_with(pool: OneWayPool<Peer>, peer: &Peer, mut sent: Vec<u32>) {
    assert!(block_on(pool.close()).is_empty());
    sent.sort_unstable();
    assert_eq!(peer.heard(), sent);
    let counters = pool.counters();
    assert_eq!(counters.taken, counters.handed_over);
    assert_eq!(counters.queued, 0);
    drop(pool);
    peer.is_left();
}

#[test]
fn senders_of_a_full_queue_all_have_a_place_sooner_or_later() {
    explore(|| {
        let peer = Peer::new(ENOUGH);
        let pool = peer.pool(1);
        race([
            sender(&pool, 0..2),
            sender(&pool, 2..4),
            sender(&pool, 4..6),
        ]);
        ends_with(pool, &peer, (0..6).collect());
    });
}

#[test]
fn a_send_dropped_at_any_poll_is_sent_or_not_and_keeps_nobody_waiting() {
    explore(|| {
        let peer = Peer::new(ENOUGH);
        let pool = peer.pool(1);
        let sent = Arc::new(Mutex::new((0..3).collect()));
        race([
            leaver(&pool, 10, &sent),
            leaver(&pool, 11, &sent),
            sender(&pool, 0..2),
            sender(&pool, 2..3),
        ]);
        let sent = sent.lock().unwrap().clone();
        ends_with(pool, &peer, sent);
    });
}

#[test]
fn room_that_a_connection_signals_reaches_the_messages_that_wait() {
    explore(|| {
        let peer = Peer::new(0);
        let pool = peer.pool(2);
        race([sender(&pool, 0..2), sender(&pool, 2..5), peer.reads(5)]);
        ends_with(pool, &peer, (0..5).collect());
    });
}

#[test]
fn a_close_against_senders_leaves_each_message_heard_or_given_back() {
    explore(|| {
        let peer = Peer::new(ENOUGH);
        let pool = peer.pool(1);
        let back = Arc::new(Mutex::new(Vec::new()));
        let user = |message: u32| {
            let (pool, back) = (pool.clone(), Arc::clone(&back));
            party(async move {
                match pool.send(message).await {
                    Ok(()) => {}
                    Err(SendError::Closed(message)) => back.lock().unwrap().push(message),
                    Err(other) => panic!("{other}"),
                }
            })
        };
        let closer = {
            let (pool, back) = (pool.clone(), Arc::clone(&back));
            party(async move {
                let unsent = pool.close().await;
                back.lock().unwrap().extend(unsent);
            })
        };
        race([user(0), user(1), user(2), user(3), closer]);
        let mut all = peer.heard();
        all.extend(back.lock().unwrap().iter());
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2, 3]);
        drop(pool);
        peer.is_left();
    });
}

#[test]
fn a_runtime_that_ends_under_senders_keeps_no_message() {
    explore(|| {
        let peer = Peer::new(ENOUGH);
        let pool = peer.pool(1);
        let end = party(async {
            let old = move_on();
            thread::yield_now();
            old.end();
        });
        race([sender(&pool, 0..2), sender(&pool, 2..4), end]);
        // The next sender has the rest forwarded.
        block_on(pool.send(4)).expect("the pool is open");
        ends_with(pool, &peer, (0..5).collect());
    });
}
