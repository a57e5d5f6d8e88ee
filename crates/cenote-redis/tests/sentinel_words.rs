//! Whom of several sentinels a source believes, and when it asks: scripted ones, who say what real ones say at bad moments.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fake;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cenote::Pool;
use cenote::endpoints::Discover;
use cenote_redis::{RedisConnector, SentinelSource, Sentinels};
use cenote_testkit::RedisServer;
use fake::{Answer, FakeRedis, bulk, ends, poll_at_most};
use tokio::sync::Semaphore;

/// What a sentinel says now.
#[derive(Clone)]
struct Says {
    master: &'static str,
    port: u16,
    epoch: u32,
    /// Whether clients may subscribe.
    is_heard: bool,
    /// A permit for each answer; `None`: at once.
    gate: Option<Arc<Semaphore>>,
}

impl Says {
    fn master(master: &'static str, epoch: u32) -> Self {
        Self {
            master,
            port: 6379,
            epoch,
            is_heard: true,
            gate: None,
        }
    }
}

struct Scripted {
    redis: FakeRedis,
    says: Arc<Mutex<Says>>,
}

impl Scripted {
    async fn start(says: Says) -> Self {
        let says = Arc::new(Mutex::new(says));
        let script = says.clone();
        let redis = FakeRedis::start(move |words| {
            let says = script.lock().unwrap().clone();
            let reply = match (words[0].as_str(), words.get(1)?.as_str()) {
                ("PSUBSCRIBE", _) if !says.is_heard => {
                    "-NOPERM No permissions to access a channel\r\n".into()
                }
                ("PSUBSCRIBE", _) => format!("*3\r\n{}{}:1\r\n", text("psubscribe"), text("*")),
                ("SENTINEL", "GET-MASTER-ADDR-BY-NAME") => {
                    let port = says.port.to_string();
                    format!("*2\r\n{}{}", text(says.master), text(&port))
                }
                ("SENTINEL", "MASTER") => {
                    let epoch = says.epoch.to_string();
                    format!("*2\r\n{}{}", text("config-epoch"), text(&epoch))
                }
                ("SENTINEL", _) => "*0\r\n".into(),
                _ => return None,
            };
            let is_last = words[0] == "SENTINEL" && words[1] == "SENTINELS";
            match says.gate {
                Some(gate) if is_last => Some(Answer::Behind(gate, reply.into())),
                _ => Some(Answer::Send(reply.into())),
            }
        })
        .await;
        Self { redis, says }
    }

    fn says(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }

    /// How many questions came.
    fn asked(&self) -> usize {
        let log = self.redis.log.lock().unwrap();
        let is_question = |words: &&Vec<String>| words.get(1).is_some_and(|word| word == "MASTER");
        log.iter().filter(is_question).count()
    }
}

fn text(text: &str) -> String {
    String::from_utf8(bulk(text)).unwrap()
}

/// Of these sentinels, asked as often as may be.
fn source(sentinels: &[&Scripted]) -> SentinelSource {
    let every = Duration::from_millis(10);
    settings(sentinels)
        .min_interval(every)
        .max_interval(every)
        .master()
}

fn settings(sentinels: &[&Scripted]) -> Sentinels {
    let addresses = sentinels.iter().map(|at| at.redis.address());
    let addresses = addresses.collect::<Vec<_>>().join(",");
    let connector = RedisConnector::new(&format!("redis://{addresses}")).unwrap();
    let sentinels = Sentinels::new(connector, "orders").unwrap();
    // However busy the machine is.
    sentinels.timeout(Duration::from_secs(60))
}

/// The host that is told next, or the error.
async fn next(source: &mut SentinelSource) -> Result<String, String> {
    let told = ends("the sentinels are asked", source.next()).await;
    let set = told.unwrap().map_err(|error| error.to_string())?;
    Ok(set.endpoints()[0].key.host().to_owned())
}

#[tokio::test]
async fn the_sentinel_that_answered_is_asked_again_and_no_other() {
    let [one, other] = [
        Scripted::start(Says::master("old", 1)).await,
        Scripted::start(Says::master("old", 1)).await,
    ];
    let mut source = source(&[&one, &other]);
    for _ in 0..3 {
        assert_eq!(next(&mut source).await.unwrap(), "old");
    }
    assert_eq!((one.asked(), other.asked()), (3, 0));
    assert_eq!(one.redis.count("PSUBSCRIBE"), 1, "on one session");
}

/// A sentinel that was cut off from the others says what was before: a client that comes to it would go back to the old
/// master.
#[tokio::test]
async fn a_sentinel_that_is_behind_is_not_believed_by_who_knows_better() {
    let ahead = Scripted::start(Says::master("new", 5)).await;
    let [behind, away] = [
        Scripted::start(Says::master("old", 4)).await,
        Scripted::start(Says::master("", 0)).await,
    ];
    let mut source = source(&[&ahead, &behind, &away]);
    assert_eq!(next(&mut source).await.unwrap(), "new");
    // What makes no sense is no answer.
    ahead.says(Says::master("", 5));
    let error = next(&mut source).await.unwrap_err();
    let outdated = format!(
        "{} tells what was in epoch 4, before 5",
        behind.redis.address()
    );
    assert!(error.contains(&outdated), "{error}");
    ahead.says(Says::master("newest", 6));
    assert_eq!(next(&mut source).await.unwrap(), "newest");
}

/// Where an administrator has set up the sentinels anew, epochs begin at 0.
#[tokio::test]
async fn what_more_than_half_of_the_sentinels_say_counts_whatever_was_heard_before() {
    let [one, two, three] = [
        Scripted::start(Says::master("old", 7)).await,
        Scripted::start(Says::master("old", 7)).await,
        Scripted::start(Says::master("old", 7)).await,
    ];
    let mut source = source(&[&one, &two, &three]);
    assert_eq!(next(&mut source).await.unwrap(), "old");
    for sentinel in [&one, &two] {
        sentinel.says(Says::master("new", 0));
    }
    three.says(Says::master("", 0));
    assert_eq!(next(&mut source).await.unwrap(), "new");
    assert_eq!(three.asked(), 0, "two of three suffice");
}

/// The one that is listened to can be the one that is cut off: its master denies that it is one, and so it would go on.
#[tokio::test]
async fn once_an_answer_is_in_doubt_the_newest_counts_of_more_than_half() {
    let [behind, ahead, third] = [
        Scripted::start(Says::master("old", 4)).await,
        Scripted::start(Says::master("new", 5)).await,
        Scripted::start(Says::master("new", 5)).await,
    ];
    let mut source = source(&[&behind, &ahead, &third]);
    for _ in 0..2 {
        assert_eq!(next(&mut source).await.unwrap(), "old");
    }
    source.refresh();
    assert_eq!(next(&mut source).await.unwrap(), "new");
    // From now on the other is asked.
    assert_eq!(next(&mut source).await.unwrap(), "new");
    assert_eq!((behind.asked(), ahead.asked(), third.asked()), (3, 2, 0));
}

/// The guideline for clients of sentinels has them ask the server itself.
#[tokio::test]
async fn a_pool_that_is_led_to_a_replica_has_the_other_sentinels_asked() {
    let master = RedisServer::start().unwrap();
    let of_master = format!("127.0.0.1 {}", master.port());
    let replica = RedisServer::builder().setting("replicaof", of_master);
    let replica = replica.start().unwrap();
    let at = |server: &RedisServer, epoch| Says {
        port: server.port(),
        ..Says::master("127.0.0.1", epoch)
    };
    let [behind, ahead, third] = [
        Scripted::start(at(&replica, 4)).await,
        Scripted::start(at(&master, 5)).await,
        Scripted::start(at(&master, 5)).await,
    ];
    // Nothing but a doubt leads to another question.
    let sentinels = settings(&[&behind, &ahead, &third]).max_interval(Duration::from_secs(3600));
    let connector = RedisConnector::new("redis://orders").unwrap();
    let source = sentinels.min_interval(Duration::from_millis(10)).master();
    let pool = Pool::balanced(source, move |at| connector.for_node(&at.key));
    let pool = pool.build().unwrap();
    ends("the pool is at the master", async {
        while pool.get().await.is_err() {}
    })
    .await;
    pool.get().await.unwrap().set("a", 1).await.unwrap();
}

/// A subscription that died, or a message that was lost, would leave the pool at the old master for ever.
#[tokio::test]
async fn what_is_not_heard_is_found_out_all_the_same() {
    let sentinel = Scripted::start(Says::master("old", 1)).await;
    let mut source = source(&[&sentinel]);
    assert_eq!(next(&mut source).await.unwrap(), "old");
    sentinel.says(Says::master("new", 2));
    assert_eq!(next(&mut source).await.unwrap(), "new");
}

#[tokio::test]
async fn a_user_who_may_not_subscribe_asks_every_minimum_interval() {
    let mut says = Says::master("old", 1);
    says.is_heard = false;
    let sentinel = Scripted::start(says).await;
    let mut source = settings(&[&sentinel])
        .min_interval(Duration::from_millis(10))
        .max_interval(Duration::from_secs(24 * 3600))
        .master();
    for _ in 0..3 {
        assert_eq!(next(&mut source).await.unwrap(), "old");
    }
    assert_eq!(sentinel.asked(), 3);
}

/// A refresh drops what is waited for: the question goes on, and is not put again (hickory #3563).
#[tokio::test]
async fn a_question_that_is_dropped_at_any_poll_is_asked_once() {
    let gate = Arc::new(Semaphore::new(0));
    let mut says = Says::master("old", 1);
    says.gate = Some(gate.clone());
    let sentinel = Scripted::start(says).await;
    let mut source = source(&[&sentinel]);
    while sentinel.asked() == 0 {
        assert!(poll_at_most(1, source.next()).await.is_none());
        source.refresh();
        tokio::task::yield_now().await;
    }
    gate.add_permits(1);
    assert_eq!(next(&mut source).await.unwrap(), "old");
    assert_eq!(sentinel.asked(), 1);
    assert_eq!(sentinel.redis.count("PSUBSCRIBE"), 1);
}

/// The sentinels have a password of their own, which is nobody's to see.
#[test]
fn a_source_says_which_master_it_asks_for_and_no_password() {
    let sentinels = RedisConnector::new("redis://app:secret@s1:26379,s2:26379").unwrap();
    let sentinels = Sentinels::new(sentinels, "orders").unwrap();
    assert_eq!(sentinels.master().name(), "Sentinel master orders");
    assert_eq!(sentinels.replicas().name(), "Sentinel replicas of orders");
}
