//! Errors as people print them: `{e}` alone says everything, and a chain of causes repeats nothing (anyhow's `{:#}`).

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use cenote::any::Unpooled;
use cenote::mux::{CallError, Disconnected, Sent};
use cenote::settings::ConnectFailures;
use cenote::{Connect, ConnectError, Dial, GetError, Pool, Verdict};
use futures::FutureExt;

/// A driver's error, with a cause of its own.
#[derive(Debug)]
struct Refused(Inner);

#[derive(Debug)]
struct Inner;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server refused")
    }
}

impl fmt::Display for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("its disk is full")
    }
}

impl Error for Inner {}

impl Error for Refused {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

struct Refusing;

impl Connect for Refusing {
    type Connection = ();
    type Error = Refused;

    async fn connect(&self, _: &Dial) -> Result<(), Refused> {
        Err(Refused(Inner))
    }

    fn verdict(&self, (): &mut ()) -> Verdict {
        Verdict::Reuse
    }
}

fn chain(error: &(dyn Error + 'static)) -> Vec<String> {
    let mut texts = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        texts.push(error.to_string());
        cause = error.source();
    }
    texts
}

/// The driver's text is in the first, its cause's text behind it, and both once.
#[track_caller]
fn assert_said_once(error: &(dyn Error + 'static)) {
    let chain = chain(error);
    assert!(chain[0].contains("the server refused"), "{chain:?}");
    let all = chain.join(": ");
    for text in ["the server refused", "its disk is full"] {
        assert_eq!(all.matches(text).count(), 1, "{all}");
    }
    for text in &chain {
        assert_eq!(all.matches(text.as_str()).count(), 1, "{all}");
    }
}

fn refused() -> Arc<Refused> {
    Arc::new(Refused(Inner))
}

#[test]
fn a_connect_error_says_everything_once() {
    assert_said_once(&ConnectError::Failed(refused()));
    assert_said_once(&ConnectError::Hook(refused()));
}

#[test]
fn a_get_s_error_says_everything_once() {
    for error in [
        ConnectError::Failed(refused()),
        ConnectError::Hook(refused()),
    ] {
        assert_said_once(&GetError::connect("orders", 3, error));
    }
    assert_said_once(&GetError::hook("orders", refused()));
}

#[tokio::test(start_paused = true)]
async fn a_time_out_says_everything_once() {
    let pool = Pool::builder(Refusing)
        .connect_failures(ConnectFailures::KeepWaiting)
        .build()
        .unwrap();
    let error = pool.get().await.unwrap_err();
    assert!(error.is_timeout());
    assert_said_once(&error);
    let GetError::TimedOut(timed_out) = error else {
        unreachable!("a time-out");
    };
    assert_said_once(&*timed_out);
}

#[tokio::test(start_paused = true)]
async fn the_error_of_no_pool_says_everything_once() {
    assert_said_once(&Unpooled::new(Refusing).get().await.unwrap_err());
}

/// The way to the driver's error, which the chain of causes skips.
#[tokio::test(start_paused = true)]
async fn the_driver_s_own_error_is_reached_by_its_type() {
    let pool = Pool::builder(Refusing)
        .after_connect(|_, _| async { Ok(()) }.boxed())
        .build()
        .unwrap();
    let error = pool.get().await.unwrap_err();
    assert!(error.downcast_ref::<Refused>().is_some());
    assert!(
        error
            .connect_error()
            .unwrap()
            .downcast_ref::<Refused>()
            .is_some()
    );
}

#[test]
fn a_call_s_error_says_everything_once() {
    let lost = [
        Disconnected::Malformed(refused()),
        Disconnected::Ping(refused()),
        Disconnected::Io(Arc::new(io::Error::other(Refused(Inner)))),
    ];
    for cause in lost {
        assert_said_once(&cause);
        assert_said_once(&CallError::lost(cause, Sent::Maybe));
    }
    assert_said_once(&CallError::Encode(refused()));
    let error = CallError::timed_out(Duration::from_secs(1), Sent::No);
    assert_eq!(chain(&error).len(), 1);
}
