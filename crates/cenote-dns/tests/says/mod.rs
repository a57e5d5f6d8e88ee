//! A name server that says the same to a question until a test has it say something else.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use cenote::endpoints::Discovery;
use cenote_dns::Dns;
use hickory_resolver::proto::rr::RecordType;

use crate::scripted::{Say, Scripted, addresses};

pub const DB: &str = "db.test";

/// The addresses of [`DB`] at port 80.
pub fn host(dns: &Dns) -> Discovery<SocketAddr> {
    Discovery::start(dns.host("db.test:80").unwrap()).unwrap()
}

/// What is said to a question for a type of record of a name, until a test says otherwise; to others, that there are none.
#[derive(Clone, Default)]
pub struct Says(Arc<Mutex<HashMap<(String, RecordType), Say>>>);

impl Says {
    pub fn set(&self, name: &str, kind: RecordType, say: Say) -> &Self {
        self.0.lock().unwrap().insert((name.into(), kind), say);
        self
    }

    /// These addresses, good for no time at all.
    pub fn at(&self, name: &str, kind: RecordType, at: &[&str]) -> &Self {
        self.set(name, kind, Say::Records(0, addresses(name, at)))
    }

    pub async fn serve(&self) -> Scripted {
        let says = self.clone();
        Scripted::start(move |asked| {
            let said = says.0.lock().unwrap();
            let key = (asked.name.clone(), asked.kind);
            said.get(&key).cloned().unwrap_or(Say::NoData(0))
        })
        .await
    }
}
