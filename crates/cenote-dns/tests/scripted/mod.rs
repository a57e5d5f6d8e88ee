//! A name server that does as a test says, over UDP and TCP on one port of 127.0.0.1, and keeps what it was asked. It ends
//! with the value.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use hickory_resolver::proto::op::{Message, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::{CNAME, NS, SOA, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Udp,
    Tcp,
}

/// What was asked, the name without its last dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub name: String,
    pub kind: RecordType,
    pub over: Transport,
}

/// What it says to that.
#[derive(Clone, Debug)]
pub enum Say {
    /// These records, with a time to live in seconds.
    Records(u32, Vec<(Name, RData)>),
    /// Records, and others beside them.
    With(u32, Vec<(Name, RData)>, Vec<(Name, RData)>),
    /// There are none, which is good for so many seconds.
    NoData(u32),
    Code(ResponseCode),
    /// Other name servers are to be asked.
    Referral,
    /// These, and that more do not fit.
    Truncated(Vec<(Name, RData)>),
    /// An answer, to a question that nobody asked.
    WrongId(u32, Vec<(Name, RData)>),
    Nothing,
}

pub struct Scripted {
    pub addr: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    _tasks: JoinSet<()>,
}

type Script = Arc<dyn Fn(&Asked) -> Say + Send + Sync>;

impl Scripted {
    pub async fn start(script: impl Fn(&Asked) -> Say + Send + Sync + 'static) -> Self {
        let (tcp, udp) = loop {
            let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            // Of two protocols, one may have the port taken.
            if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
                break (tcp, udp);
            }
        };
        let addr = tcp.local_addr().unwrap();
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let script: Script = {
            let asked = Arc::clone(&asked);
            Arc::new(move |question| {
                asked.lock().unwrap().push(question.clone());
                script(question)
            })
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_udp(udp, Arc::clone(&script)));
        tasks.spawn(serve_tcp(tcp, script));
        Self {
            addr,
            asked,
            _tasks: tasks,
        }
    }

    /// All that it was asked.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// How often it was asked for such records.
    pub fn count(&self, kind: RecordType) -> usize {
        self.asked()
            .iter()
            .filter(|asked| asked.kind == kind)
            .count()
    }
}

async fn serve_udp(socket: UdpSocket, script: Script) {
    let mut buffer = [0; 4096];
    loop {
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        if let Some(reply) = reply(&buffer[..length], Transport::Udp, &script) {
            let _ = socket.send_to(&reply, client).await;
        }
    }
}

async fn serve_tcp(listener: TcpListener, script: Script) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve_connection(stream, Arc::clone(&script)));
    }
}

async fn serve_connection(mut stream: TcpStream, script: Script) {
    while let Ok(length) = stream.read_u16().await {
        let mut question = vec![0; length.into()];
        if stream.read_exact(&mut question).await.is_err() {
            return;
        }
        if let Some(reply) = reply(&question, Transport::Tcp, &script) {
            let length = u16::try_from(reply.len()).unwrap();
            stream.write_u16(length).await.unwrap();
            stream.write_all(&reply).await.unwrap();
        }
    }
}

fn reply(question: &[u8], over: Transport, script: &Script) -> Option<Vec<u8>> {
    let question = Message::from_vec(question).unwrap();
    let query = question.queries[0].clone();
    let asked = Asked {
        name: query.name().to_ascii().trim_end_matches('.').to_lowercase(),
        kind: query.query_type(),
        over,
    };
    let mut reply = Message::response(question.metadata.id, OpCode::Query);
    reply.add_query(query.clone());
    let records = |ttl, records: Vec<(Name, RData)>| {
        let record = move |(name, data)| Record::from_rdata(name, ttl, data);
        records.into_iter().map(record)
    };
    match script(&asked) {
        Say::Records(ttl, answers) => reply.answers.extend(records(ttl, answers)),
        Say::With(ttl, answers, others) => {
            reply.answers.extend(records(ttl, answers));
            reply.additionals.extend(records(ttl, others));
        }
        Say::NoData(ttl) => {
            let soa = SOA::new(name("ns.test"), name("admin.test"), 1, 60, 60, 600, ttl);
            let soa = (name("test"), RData::SOA(soa));
            reply.authorities.extend(records(ttl, vec![soa]));
        }
        Say::Code(code) => reply.metadata.response_code = code,
        Say::Referral => {
            let ns = (name("test"), RData::NS(NS(name("ns.elsewhere"))));
            reply.authorities.extend(records(60, vec![ns]));
        }
        Say::Truncated(answers) => {
            reply.answers.extend(records(60, answers));
            reply.metadata.truncation = true;
        }
        Say::WrongId(ttl, answers) => {
            reply.answers.extend(records(ttl, answers));
            reply.metadata.id = reply.metadata.id.wrapping_add(1);
        }
        Say::Nothing => return None,
    }
    Some(reply.to_vec().unwrap())
}

pub fn name(text: &str) -> Name {
    let mut name = Name::from_ascii(text).unwrap();
    name.set_fqdn(true);
    name
}

/// Addresses of the name, of either family.
pub fn addresses(of: &str, addresses: &[&str]) -> Vec<(Name, RData)> {
    let record = |address: &&str| match address.parse().unwrap() {
        IpAddr::V4(address) => (name(of), RData::A(address.into())),
        IpAddr::V6(address) => (name(of), RData::AAAA(address.into())),
    };
    addresses.iter().map(record).collect()
}

pub fn target(of: &str, priority: u16, weight: u16, port: u16, host: &str) -> (Name, RData) {
    let srv = SRV::new(priority, weight, port, name(host));
    (name(of), RData::SRV(srv))
}

pub fn alias(of: &str, canonical: &str) -> (Name, RData) {
    (name(of), RData::CNAME(CNAME(name(canonical))))
}
