//! A server that echoes four bytes at a time, when it is let.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

pub struct EchoServer {
    pub addr: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    now: Mutex<Now>,
    changed: Condvar,
}

#[derive(Default)]
struct Now {
    clients: Vec<TcpStream>,
    asked: usize,
    held: bool,
}

impl EchoServer {
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        let state = Arc::<State>::default();
        let server = Self {
            addr,
            state: state.clone(),
        };
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let state = state.clone();
                state
                    .now
                    .lock()
                    .unwrap()
                    .clients
                    .push(client.try_clone().unwrap());
                thread::spawn(move || state.serve(client));
            }
        });
        server
    }

    /// Keeps its answers to itself until [`release`](Self::release).
    pub fn hold(&self) {
        self.state.now.lock().unwrap().held = true;
    }

    pub fn release(&self) {
        self.state.now.lock().unwrap().held = false;
        self.state.changed.notify_all();
    }

    /// How many questions have come.
    pub fn asked(&self) -> usize {
        self.state.now.lock().unwrap().asked
    }

    /// Closes all connections, as a server does that restarts.
    pub fn hang_up(&self) {
        for client in self.state.now.lock().unwrap().clients.drain(..) {
            // Its client may have left before.
            let _ = client.shutdown(Shutdown::Both);
        }
    }
}

impl State {
    fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        loop {
            let mut question = [0; 4];
            client.read_exact(&mut question)?;
            let mut now = self.now.lock().unwrap();
            now.asked += 1;
            drop(self.changed.wait_while(now, |now| now.held).unwrap());
            client.write_all(&question)?;
        }
    }
}
