//! A name whose servers come, go and move while two pools use it: one for requests, one for messages without a reply.
//!
//! ```sh
//! cargo run -p cenote-dns --example name_service
//! ```

mod clients;
mod worker;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use cenote::endpoints::Discovery;
use cenote_dns::Dns;
use cenote_testkit::KnotServer;
use tokio::time::sleep;

use clients::Clients;
use worker::{Tally, Worker};

const ZONE: &str = "prod.test";
const SERVICE: &str = "_workers._tcp.prod.test";
/// Clients that ask, and as many that tell.
const CLIENTS: u64 = 20;
/// Between two changes: records are good for a second.
const STEP: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() -> ExitCode {
    if std::env::args().len() > 1 {
        println!(
            "Requests and messages to the servers of a name, while these change. The name server, Knot, is started here \
             and must be installed.\n\n\
             Usage: name_service"
        );
        return ExitCode::SUCCESS;
    }
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("name_service: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let one = Worker::start([127, 0, 0, 2], 0).await?;
    let two = Worker::start([127, 0, 0, 3], 0).await?;
    let spare = Worker::start([127, 0, 0, 4], 0).await?;
    let mut shown = vec![
        ("one", Arc::clone(one.tally())),
        ("two", Arc::clone(two.tally())),
        ("spare", Arc::clone(spare.tally())),
    ];
    let zone = KnotServer::start(
        ZONE,
        &[
            target(0, &one, "one"),
            target(0, &two, "two"),
            // Of the second level: for when none of the first can be reached.
            target(1, &spare, "spare"),
            "one 1 A 127.0.0.2\ntwo 1 A 127.0.0.3\nspare 1 A 127.0.0.4".to_owned(),
        ]
        .join("\n"),
    )?;
    let dns = Dns::new()
        .name_servers([zone.addr()])
        .min_interval(Duration::from_millis(100));
    let workers = Discovery::start(dns.srv(SERVICE)?)?;
    let clients = Clients::start(&workers, CLIENTS)?;
    let watch = async |what: &str, shown: &[(&str, Arc<Tally>)]| {
        println!("\n{what}");
        sleep(STEP).await;
        show(&clients, shown);
    };

    watch("two workers, and a spare one", &shown).await;

    let three = Worker::start([127, 0, 0, 5], 0).await?;
    shown.push(("three", Arc::clone(three.tally())));
    zone.change(&[], &[&target(0, &three, "three"), "three 1 A 127.0.0.5"])?;
    watch("a third one is in the zone", &shown).await;

    let moved = Worker::start([127, 0, 0, 6], two.at().port()).await?;
    shown.push(("two, moved", Arc::clone(moved.tally())));
    zone.change(&["two A"], &["two 1 A 127.0.0.6"])?;
    let what = "the second has another address: what is connected to it stays";
    watch(what, &shown).await;

    clients.requests.evict();
    clients.messages.pool().evict();
    watch("until it is replaced", &shown).await;
    drop(two);

    zone.kill()?;
    zone_is_gone(&workers).await;
    watch("the name server is gone: all is as it was", &shown).await;

    drop((one, three, moved));
    watch(
        "all workers die, and nobody can say so: the spare one serves",
        &shown,
    )
    .await;

    zone.restart()?;
    let anew = Worker::start([127, 0, 0, 7], 0).await?;
    shown.push(("anew", Arc::clone(anew.tally())));
    let gone = ["one", "two", "three"].map(|name| format!("{name} A"));
    let mut gone: Vec<&str> = gone.iter().map(String::as_str).collect();
    gone.push("_workers._tcp SRV");
    let added = [
        target(0, &anew, "anew"),
        target(1, &spare, "spare"),
        "anew 1 A 127.0.0.7".to_owned(),
    ];
    zone.change(&gone, &added.each_ref().map(String::as_str))?;
    watch("the name server is back, with a new worker alone", &shown).await;

    let done = clients.end().await;
    let heard: u64 = shown
        .iter()
        .map(|(_, tally)| tally.heard.load(SeqCst))
        .sum();
    println!("\n{done}, {heard} heard");
    let lost = done.handed_over - heard;
    println!(
        "({lost} were in the buffers of workers that died: whoever must know asks for replies)"
    );
    Ok(())
}

/// A target of the service, of this level.
fn target(level: u16, worker: &Worker, name: &str) -> String {
    format!(
        "_workers._tcp 1 SRV {level} 1 {} {name}",
        worker.at().port()
    )
}

/// Until it was asked in vain.
async fn zone_is_gone(workers: &Discovery<cenote_dns::Target>) {
    while workers.status().failing.is_none() {
        sleep(Duration::from_millis(10)).await;
    }
}

fn show(clients: &Clients, shown: &[(&str, Arc<Tally>)]) {
    for (name, tally) in shown {
        println!(
            "  {name:<11}{:>8} answered {:>8} heard {:>4} connections",
            tally.answered.load(SeqCst),
            tally.heard.load(SeqCst),
            tally.open.load(SeqCst),
        );
    }
    let (answered, failed) = clients.requests_so_far();
    println!("  requests: {answered} answered, {failed} failed");
    println!("  {}", clients.messages.counters());
}
