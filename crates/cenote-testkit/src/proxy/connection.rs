//! The life of one client's connection: its turn to be served, its connection to the server, both
//! directions, its end.

use super::Fault;
use super::control::{Control, Ended, closed, severed, stranded};
use super::deaf;
use super::pump::{Pump, Way};
use super::queue::Queue;
use fastrand::Rng;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::watch::Receiver;
use tokio::time::{Instant, sleep};

/// The longest that a system waits before it acknowledges what has arrived (`TCP_DELACK_MIN`). What is not
/// acknowledged would be sent again, which a client's system takes for a sign of life.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_millis(50);
const READ_AT_ONCE: usize = 16 * 1024;
/// What is taken from a client before it is served.
const EARLY: usize = 256 * 1024;

pub(crate) struct Connection {
    pub(crate) client: TcpStream,
    pub(crate) upstream: Arc<[SocketAddr]>,
    pub(crate) control: Receiver<Control>,
    /// What held when it was accepted.
    pub(crate) accepted_under: Control,
    pub(crate) rng: Rng,
}

impl Connection {
    /// Serves the client until either side, a fault or the proxy ends it.
    pub(crate) async fn serve(mut self) {
        let mut server = None;
        let (control, then) = (self.control.clone(), self.accepted_under);
        let mut severed = pin!(severed(control.clone(), then));
        let carried = tokio::select! {
            biased;
            ended = &mut severed => Some(ended),
            () = stranded(control, then) => None,
            ended = self.carry(&mut server) => Some(ended.err().unwrap_or(Ended::Quietly)),
        };
        let ended = match carried {
            Some(ended) => ended,
            None => {
                sleep(ACKNOWLEDGED_WITHIN).await;
                // Refused by a system without filters only: then it is as silent, and acknowledges all the same.
                let _ = deaf::make(&self.client);
                severed.await
            }
        };
        if ended == Ended::ByReset {
            for socket in [Some(self.client), server].into_iter().flatten() {
                // Fails only for a socket that has ended by itself.
                let _ = socket.set_zero_linger();
            }
        }
    }

    async fn carry(&mut self, server: &mut Option<TcpStream>) -> Result<(), Ended> {
        let early = self.await_turn().await?;
        let connected = TcpStream::connect(&*self.upstream).await;
        let server = server.insert(connected.map_err(Ended::by_error)?);
        for socket in [&self.client, &*server] {
            // Else the kernel would delay what the proxy does not.
            socket.set_nodelay(true).map_err(Ended::by_error)?;
        }
        let lost = AtomicBool::new(false);
        let mut pump = |way| Pump {
            way,
            queue: Queue::new(self.rng.fork()),
            control: self.control.clone(),
            lost: &lost,
        };
        let mut to_server = pump(Way::ToServer);
        let to_client = pump(Way::ToClient);
        if !early.is_empty() {
            to_server.queue.push(Instant::now(), &early);
        }
        let (client_reads, client_writes) = self.client.split();
        let (server_reads, server_writes) = server.split();
        tokio::try_join!(
            to_server.run(client_reads, server_writes),
            to_client.run(server_reads, client_writes),
        )?;
        Ok(())
    }

    /// Waits until new connections are served; what the client has sent by then.
    async fn await_turn(&mut self) -> Result<Vec<u8>, Ended> {
        let mut early = Vec::new();
        let mut buffer = vec![0; READ_AT_ONCE];
        let mut lost = false;
        loop {
            let fault = self.control.borrow_and_update().fault;
            let black = fault == Fault::BlackHole;
            lost |= black && !early.is_empty();
            if lost {
                early.clear();
            }
            if !lost && !black && fault != Fault::AcceptThenSilence {
                return Ok(early);
            }
            tokio::select! {
                biased;
                changed = self.control.changed() => changed.map_err(closed)?,
                read = self.client.read(&mut buffer), if early.len() < EARLY => match read {
                    Ok(count) if count > 0 => early.extend_from_slice(&buffer[..count]),
                    _ => return Err(Ended::Quietly),
                },
            }
        }
    }
}
