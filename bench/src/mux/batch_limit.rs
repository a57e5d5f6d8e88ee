//! `batch_limit`: what the wire and the server allow. One task writes 1,000 frames at once and reads 1,000 replies.
//!
//! Nobody is woken and nothing is looked up, so no client that serves 1,000 callers can be faster.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::frame::{FRAME, Frame};
use crate::callers::{CallError, Lengths, Stage, failed, within_reason, workers};
use crate::measure::{Failure, Outcome, Sample};

const BATCH: usize = 1_000;

pub fn run(server: SocketAddr) -> Outcome<Sample> {
    let runtime = workers()?;
    let stage = Arc::new(Stage::default());
    let task = runtime.spawn(batches(server, Arc::clone(&stage)));
    let spent = stage.conduct(Lengths::SHORT);
    let ended = runtime.block_on(within_reason(async {
        let ended = task.await;
        ended.map_err(|error| Failure::new(format!("a task panicked: {error}")))
    }));
    runtime.shutdown_timeout(Duration::from_secs(1));
    let answered = ended?.map_err(failed)?;
    Ok(vec![(
        "req_per_s",
        answered as f64 / spent.time.as_secs_f64(),
    )])
}

async fn batches(server: SocketAddr, stage: Arc<Stage>) -> Result<usize, CallError> {
    let mut connection = TcpStream::connect(server).await?;
    connection.set_nodelay(true)?;
    let mut frames = Vec::with_capacity(BATCH * FRAME);
    for tag in 0..BATCH as u32 {
        let payload = [0x5a; _];
        Frame { tag, payload }.put(&mut frames);
    }
    let mut replies = vec![0; frames.len()];
    let mut answered = 0;
    while !stage.is_over() {
        connection.write_all(&frames).await?;
        connection.read_exact(&mut replies).await?;
        if stage.is_measured() {
            answered += BATCH;
        }
    }
    if replies != frames {
        return Err("the replies are not what was sent".into());
    }
    Ok(answered)
}
