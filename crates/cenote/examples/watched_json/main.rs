//! Endpoints from a JSON file that is watched: what it says, and what is wrong with it, whenever that changes. Any other
//! format is done alike; the library knows none, so that nobody's pool comes with a parser.
//!
//! `cargo run -p cenote --example watched_json -- backends.json`

mod format;

use std::time::Duration;

use cenote::endpoints::{Discovery, WatchedFile};
use cenote::error::BoxError;
use cenote::time;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let path = std::env::args().nth(1).ok_or("which file?")?;
    // A pool is given it as it is here: `Pool::balanced(discovery, |at| ...)`.
    let discovery = Discovery::start(WatchedFile::new(path, format::endpoints))?;
    let mut last = None;
    loop {
        time::sleep(Duration::from_secs(1)).await;
        let status = discovery.status();
        let error = status.failing.as_ref().map(|failing| failing.error.clone());
        let now = Some((status.version, error));
        if last != now {
            println!("{status}");
            for endpoint in discovery.set().endpoints() {
                println!("  {endpoint:?}");
            }
            last = now;
        }
    }
}
