//! What real sentinels tell as endpoint sets, and what is told when they do not.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod sentinels;

use std::time::Duration;

use cenote::endpoints::Discover;
use cenote_redis::{RedisConnector, SentinelSource, Sentinels, ServerRole};
use cenote_testkit::{RedisServer, SentinelServer, SilentAddress};
use sentinels::{Group, NAME, ends, ports, sentinels_at, told};

/// However busy the machine is, the first answer is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks until the set is of these ports.
async fn tells(source: &mut SentinelSource, expected: &[u16]) {
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    tells_such(source, |ports| *ports == expected).await;
}

async fn tells_such(source: &mut SentinelSource, expected: impl Fn(&Vec<u16>) -> bool) {
    ends("the set is told", async {
        loop {
            match source.next().await.unwrap() {
                Ok(set) if expected(&ports(&set)) => return,
                _ => {}
            }
        }
    })
    .await;
}

/// Why there is no set.
async fn fails(source: &mut SentinelSource) -> String {
    let told = ends("the sentinels are asked", source.next()).await;
    told.unwrap().unwrap_err().to_string()
}

/// One master, monitored by one sentinel.
fn alone(password: Option<&str>) -> (RedisServer, SentinelServer) {
    let master = RedisServer::start().unwrap();
    let builder = SentinelServer::builder(NAME, &master).quorum(1);
    let builder = match password {
        Some(password) => builder.password(password),
        None => builder,
    };
    (master, builder.start().unwrap())
}

#[tokio::test]
async fn the_master_and_its_replicas_are_told_and_a_failover_is_heard() {
    let group = Group::start().await;
    // Nothing but what is heard leads to a question.
    let sentinels = group.sentinels().max_interval(Duration::from_secs(3600));
    let sentinels = sentinels.timeout(PATIENCE);
    let (mut master, mut replicas) = (sentinels.master(), sentinels.replicas());
    let [first, second, third] = [0, 1, 2].map(|at| group.servers[at].port());
    let set = told(&mut master).await;
    assert_eq!(ports(&set), [first]);
    assert_eq!(set.endpoints()[0].key.role(), ServerRole::Master);
    tells(&mut replicas, &[second, third]).await;
    group.fail_over().await;
    let new = group.master_after(first).await;
    tells(&mut master, &[new]).await;
    // The old master only once it has heard that it is one no more.
    let stays = if new == second { third } else { second };
    let is_whole = |ports: &Vec<u16>| !ports.contains(&new) && ports.contains(&stays);
    tells_such(&mut replicas, is_whole).await;
}

#[tokio::test]
async fn a_replica_that_is_down_is_left_out_until_it_is_back() {
    let group = Group::start().await;
    // The same in the older version of the protocol.
    let mut source = sentinels_at(&format!("{}?protocol=2", group.addresses())).replicas();
    let [second, third] = [1, 2].map(|at| group.servers[at].port());
    tells(&mut source, &[second, third]).await;
    group.agree_on_nothing().await;
    group.be_quick().await;
    group.servers[1].kill().unwrap();
    tells(&mut source, &[third]).await;
    group.servers[1].restart().unwrap();
    tells(&mut source, &[second, third]).await;
}

#[tokio::test]
async fn with_two_of_three_sentinels_down_the_third_is_heard() {
    let group = Group::start().await;
    let mut source = group.sentinels().master();
    let old = group.servers[0].port();
    tells(&mut source, &[old]).await;
    for sentinel in &group.sentinels[..2] {
        sentinel.kill().unwrap();
    }
    group.fail_over().await;
    let new = group.master_after(old).await;
    tells(&mut source, &[new]).await;
}

#[tokio::test]
async fn sentinels_that_were_not_given_are_learned_of_one_that_was() {
    let group = Group::start().await;
    let given = group.sentinels[0].addr().to_string();
    let mut source = sentinels_at(&given).master();
    let old = group.servers[0].port();
    tells(&mut source, &[old]).await;
    group.sentinels[0].kill().unwrap();
    group.fail_over().await;
    let new = group.master_after(old).await;
    tells(&mut source, &[new]).await;
}

/// A host that swallows packets was asked again and again, each time for the whole time-out of the system.
#[tokio::test]
async fn a_sentinel_that_swallows_packets_is_passed_over() {
    let silent = SilentAddress::new().unwrap();
    let (master, sentinel) = alone(None);
    let addresses = format!("{},{}", silent.addr(), sentinel.addr());
    let mut source = sentinels_at(&addresses)
        .timeout(Duration::from_millis(100))
        .master();
    tells(&mut source, &[master.port()]).await;
}

/// One that hangs keeps its connections, and takes others.
#[tokio::test]
async fn a_sentinel_that_stands_still_is_passed_over() {
    let group = Group::start().await;
    let sentinels = group.sentinels();
    let mut source = sentinels
        .max_interval(Duration::from_secs(1))
        .timeout(Duration::from_millis(500))
        .master();
    let old = group.servers[0].port();
    tells(&mut source, &[old]).await;
    group.sentinels[0].stop().unwrap();
    group.fail_over().await;
    let new = group.master_after(old).await;
    tells(&mut source, &[new]).await;
}

#[tokio::test]
async fn a_master_that_no_sentinel_monitors_is_named() {
    let (_master, sentinel) = alone(None);
    let connector = RedisConnector::new(&sentinel.url()).unwrap();
    let sentinels = Sentinels::new(connector, "invoices").unwrap();
    let mut source = sentinels.timeout(PATIENCE).master();
    assert_eq!(
        fails(&mut source).await,
        format!(
            "no sentinel tells of the master \"invoices\": {} monitors no master of this name",
            sentinel.addr()
        )
    );
}

#[tokio::test]
async fn a_server_that_is_no_sentinel_is_named() {
    let server = RedisServer::start().unwrap();
    let sentinels = sentinels_at(&server.addr().to_string()).timeout(PATIENCE);
    let error = fails(&mut sentinels.master()).await;
    let refusal = format!("{} refused to tell: ERR unknown command", server.addr());
    assert!(error.contains(&refusal), "{error}");
}

#[tokio::test]
async fn where_no_sentinel_is_reached_each_is_named_with_its_cause() {
    let silent = SilentAddress::new().unwrap();
    let (master, sentinel) = alone(None);
    sentinel.kill().unwrap();
    let addresses = format!("{},{}", silent.addr(), sentinel.addr());
    let mut source = sentinels_at(&addresses)
        .timeout(Duration::from_millis(100))
        .master();
    let error = fails(&mut source).await;
    let refused = format!("redis://{}: Connection refused", sentinel.addr());
    assert!(error.contains(&refused), "{error}");
    assert_eq!(
        error.matches(&silent.addr().to_string()).count(),
        1,
        "{error}"
    );
    // It is asked again.
    sentinel.restart().unwrap();
    tells(&mut source, &[master.port()]).await;
}

#[tokio::test]
async fn the_sentinels_password_is_theirs_alone_and_shown_in_no_error() {
    let (master, sentinel) = alone(Some("right-s3cret"));
    let source = |url: &str| {
        let connector = RedisConnector::new(url).unwrap();
        let sentinels = Sentinels::new(connector, NAME).unwrap();
        sentinels.timeout(PATIENCE).master()
    };
    tells(&mut source(&sentinel.url()), &[master.port()]).await;
    let wrong = format!("redis://:wrong-s3cret@{}", sentinel.addr());
    let mut wrong = source(&wrong);
    let error = fails(&mut wrong).await;
    assert!(error.contains("WRONGPASS"), "{error}");
    assert!(error.contains(&sentinel.addr().to_string()), "{error}");
    let shown = format!("{error}{wrong:?}");
    assert!(!shown.contains("s3cret"), "{shown}");
    let error = fails(&mut source(&format!("redis://{}", sentinel.addr()))).await;
    assert!(error.contains("NOAUTH"), "{error}");
}

#[tokio::test]
async fn a_user_with_the_permissions_that_are_documented_is_told() {
    let master = RedisServer::start().unwrap();
    let asks =
        "+sentinel|get-master-addr-by-name +sentinel|master +sentinel|replicas +sentinel|sentinels";
    let sentinel = SentinelServer::builder(NAME, &master)
        .setting(format!(
            "user app on >s3cret -@all {asks} +psubscribe allchannels"
        ))
        .setting(format!("user deaf on >s3cret -@all {asks}"))
        .start()
        .unwrap();
    for user in ["app", "deaf"] {
        let url = format!("redis://{user}:s3cret@{}", sentinel.addr());
        let sentinels = Sentinels::new(RedisConnector::new(&url).unwrap(), NAME).unwrap();
        let sentinels = sentinels.timeout(PATIENCE);
        assert_eq!(ports(&told(&mut sentinels.master()).await), [master.port()]);
        assert!(told(&mut sentinels.replicas()).await.is_empty());
    }
}

#[test]
fn what_is_no_master_s_name_or_has_a_database_is_refused() {
    let at = |url| RedisConnector::new(url).unwrap();
    for name in ["", "two words", "a\nb"] {
        let error = Sentinels::new(at("redis://s1:26379"), name).unwrap_err();
        assert_eq!(error.setting, "master");
    }
    let error = Sentinels::new(at("redis://:s3cret@s1:26379/2"), NAME).unwrap_err();
    assert_eq!(error.setting, "connector");
    assert!(!error.to_string().contains("s3cret"), "{error}");
}
