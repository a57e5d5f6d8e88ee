//! The program of `tests/any/aborting.rs`, which builds it with `panic = "abort"`: there a panic that is caught elsewhere ends
//! the process. Its argument says which situation it plays; it prints how that ended.

use std::error::Error;
use std::io;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use cenote::any::Unpooled;
use cenote::mux::MuxBuilder;
use cenote::{Connect, Dial, Multiplex, Pool, SharedPool, Verdict, blocking};
use futures::executor::block_on;
use tokio::runtime::{Builder, Runtime};
use tokio_util::codec::BytesCodec;

/// Connections that are numbers, or none.
#[derive(Clone, Copy)]
enum Server {
    Up,
    Silent,
}

impl Connect for Server {
    type Connection = u32;
    type Error = io::Error;

    async fn connect(&self, _: &Dial) -> io::Result<u32> {
        match self {
            Self::Up => Ok(7),
            Self::Silent => std::future::pending().await,
        }
    }

    fn verdict(&self, _: &mut u32) -> Verdict {
        Verdict::Reset
    }
}

impl Multiplex for Server {
    fn capacity(&self, _: &<Self as Connect>::Connection) -> usize {
        1
    }
}

impl blocking::Connect for Server {
    type Connection = u32;
    type Error = io::Error;

    fn connect(&self) -> io::Result<u32> {
        Ok(7)
    }

    fn verdict(&self, _: &mut u32) -> Verdict {
        Verdict::Reuse
    }
}

type Outcome = Result<String, Box<dyn Error>>;

const SOON: Duration = Duration::from_millis(20);

fn text<T>(got: Result<T, impl Error>) -> String {
    match got {
        Ok(_) => "served".into(),
        Err(error) => error.to_string(),
    }
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
}

fn without_timers() -> io::Result<Runtime> {
    Builder::new_current_thread().build()
}

fn outside_a_runtime() -> Outcome {
    let pool = Pool::new(Server::Up);
    let shared = SharedPool::new(Server::Up);
    let none = Unpooled::new(Server::Up);
    let outcomes = [
        text(block_on(pool.get())),
        text(block_on(pool.get().timeout(SOON))),
        text(block_on(pool.get_owned())),
        text(block_on(shared.get())),
        text(block_on(shared.get().timeout(SOON))),
        text(block_on(none.get())),
    ];
    block_on(pool.close());
    block_on(shared.close());
    Ok(outcomes.join("\n"))
}

fn on_one_without_timers() -> Outcome {
    let runtime = without_timers()?;
    let pool = Pool::builder(Server::Up)
        .max_size(1)
        .check_after_idle(Duration::ZERO)
        .build()?;
    let shared = SharedPool::builder(Server::Up).max_size(1).build()?;
    let silent = Pool::builder(Server::Silent)
        .connect_timeout(SOON)
        .build()?;
    runtime.block_on(async {
        drop(pool.get().await?);
        let held = pool.get().await?;
        let shared_too = shared.get().await?;
        let outcomes = [
            text(pool.get().timeout(SOON).await),
            text(shared.get().timeout(SOON).await),
            text(silent.get().await),
            text(Unpooled::with_timeout(Server::Silent, SOON).get().await),
        ];
        drop((held, shared_too));
        pool.close().await;
        shared.close().await;
        Ok(outcomes.join("\n"))
    })
}

/// A caller with a timer of its own, on no runtime, and then the pool's is gone.
fn as_its_runtime_ends() -> Outcome {
    let runtime = runtime()?;
    let (pool, shared) = {
        let _context = runtime.enter();
        (
            Pool::builder(Server::Up).max_size(1).build()?,
            SharedPool::builder(Server::Up).max_size(1).build()?,
        )
    };
    let held = (block_on(pool.get_owned())?, block_on(shared.get())?);
    let waiters = [
        thread::spawn({
            let pool = pool.clone();
            move || text(block_on(pool.get().timeout(10 * SOON)))
        }),
        thread::spawn({
            let shared = shared.clone();
            move || text(block_on(shared.get().timeout(10 * SOON)))
        }),
    ];
    while pool.status().waiters + shared.status().waiters < 2 {
        thread::yield_now();
    }
    drop(runtime);
    let outcomes = waiters.map(|waiter| waiter.join().unwrap_or_else(|_| "panicked".into()));
    drop(held);
    drop((pool, shared));
    Ok(outcomes.join("\n"))
}

fn a_mux_outside_a_runtime() -> Outcome {
    let mux = MuxBuilder::<Bytes>::new().in_order::<BytesMut, _>(
        tokio::io::empty(),
        tokio::io::sink(),
        BytesCodec::new(),
    );
    Ok(text(mux))
}

fn a_mux_on_a_runtime_without_timers() -> Outcome {
    let (near, _far) = tokio::io::duplex(64);
    let (read, write) = tokio::io::split(near);
    without_timers()?.block_on(async {
        let mux = MuxBuilder::<Bytes>::new()
            .call_timeout(SOON)
            .in_order::<BytesMut, _>(read, write, BytesCodec::new())?;
        let outcome = text(mux.call(Bytes::from("asks")).await);
        let own = text(mux.call(Bytes::from("asks")).timeout(SOON).await);
        mux.close().await;
        Ok(format!("{outcome}\n{own}"))
    })
}

fn threads() -> Outcome {
    let pool = blocking::Pool::builder(Server::Up).max_size(1).build()?;
    let held = pool.get()?;
    let outcome = text(pool.get_timeout(SOON));
    drop(held);
    pool.close().timeout(SOON).wait();
    Ok(outcome)
}

fn main() -> ExitCode {
    if cfg!(panic = "unwind") {
        println!("built with panic = \"unwind\"; tests/any/aborting.rs builds it with \"abort\"");
        return ExitCode::SUCCESS;
    }
    let outcome = match std::env::args().nth(1).as_deref() {
        Some("outside") => outside_a_runtime(),
        Some("timeless") => on_one_without_timers(),
        Some("ending") => as_its_runtime_ends(),
        Some("mux-outside") => a_mux_outside_a_runtime(),
        Some("mux-timeless") => a_mux_on_a_runtime_without_timers(),
        Some("threads") => threads(),
        _ => Err("no such situation".into()),
    };
    match outcome {
        Ok(outcome) => {
            println!("{outcome}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("failed: {error}");
            ExitCode::FAILURE
        }
    }
}
