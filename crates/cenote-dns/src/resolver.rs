//! One record looked up: which name server is asked and for how long, what its reply means, where aliases lead.
//!
//! The walk over the servers is ours: the pool of hickory takes the first reply, a failure too, for all of them. So each
//! server is a pool of its own, which sends again what is lost and goes over to TCP where an answer is cut short.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use cenote::time::{Instant, timeout};
use hickory_resolver::config::{NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::{DnsHandle, FirstAnswer};
use hickory_resolver::net::{DnsError as Negative, NetError};
use hickory_resolver::proto::op::{DnsRequestOptions, DnsResponse, Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::{NameServerPool, PoolContext, TlsConfig};

use crate::error::{DnsError, Tried};

/// Aliases that are followed, one behind the other.
const ALIASES: usize = 8;

/// The name servers as they were last read, at least one.
pub(crate) struct Resolver {
    servers: Vec<Server>,
    /// The index of the server that last answered.
    last_good: AtomicUsize,
    search: Vec<Name>,
    /// A name with fewer dots is looked for in the search list first.
    dots: usize,
    options: DnsRequestOptions,
    timeout: Duration,
}

struct Server {
    address: SocketAddr,
    pool: NameServerPool<TokioRuntimeProvider>,
}

/// The records of a name: none, if there decidedly are none.
pub(crate) struct Answer {
    pub(crate) records: Vec<Record>,
    /// What the answer has beside them, of whatever name.
    pub(crate) additional: Vec<Record>,
    pub(crate) good_for: Duration,
}

/// What one server says of one name.
enum Reply {
    Message(DnsResponse),
    /// The name, or such records of it, are not there.
    Nothing {
        good_for: Duration,
    },
}

impl Resolver {
    /// `Err`: what is wrong with the settings.
    pub(crate) fn new(
        config: ResolverConfig,
        mut options: ResolverOpts,
        timeout: Duration,
    ) -> Result<Self, String> {
        options.timeout = timeout;
        let mut request = DnsRequestOptions::default();
        request.use_edns = options.edns0;
        let dots = options.ndots;
        let tls = TlsConfig::new().map_err(|error| error.to_string())?;
        let context = Arc::new(PoolContext::new(options, tls));
        let server = |config: NameServerConfig| {
            let port = config.connections.first()?.port;
            let address = SocketAddr::new(config.ip, port);
            let provider = TokioRuntimeProvider::default();
            let pool = NameServerPool::from_config([config], Arc::clone(&context), provider);
            Some(Server { address, pool })
        };
        let (_, search, servers) = config.into_parts();
        let servers: Vec<_> = servers.into_iter().filter_map(server).collect();
        if servers.is_empty() {
            return Err("there are none".into());
        }
        Ok(Self {
            servers,
            last_good: AtomicUsize::new(0),
            search,
            dots,
            options: request,
            timeout,
        })
    }

    /// The whole names that `name` may stand for, in the order in which they count.
    pub(crate) fn candidates(&self, name: &Name) -> Vec<Name> {
        if name.is_fqdn() {
            return vec![name.clone()];
        }
        let mut whole = name.clone();
        whole.set_fqdn(true);
        let with = |domain: &Name| name.clone().append_domain(domain).ok();
        let mut names: Vec<_> = self.search.iter().filter_map(with).collect();
        let has_dots = name.iter().count() > self.dots;
        names.insert(if has_dots { 0 } else { names.len() }, whole);
        names
    }

    /// The records of this whole name, or of the one for which it is an alias.
    pub(crate) async fn lookup(&self, name: &Name, kind: RecordType) -> Result<Answer, DnsError> {
        let mut owner = name.clone();
        let mut good_for = Duration::MAX;
        for _ in 0..=ALIASES {
            let message = match self.ask(&owner, kind).await? {
                Reply::Message(message) => message.into_message(),
                Reply::Nothing { good_for: time } => {
                    return Ok(Answer {
                        records: Vec::new(),
                        additional: Vec::new(),
                        good_for: good_for.min(time),
                    });
                }
            };
            // As many steps as there are records, lest aliases in a circle have no end.
            for _ in &message.answers {
                let Some((alias, target)) = alias_of(&owner, &message.answers) else {
                    break;
                };
                good_for = good_for.min(time_to_live(alias));
                owner = target;
            }
            let is_asked_for =
                |record: &Record| record.name == owner && record.record_type() == kind;
            let records: Vec<_> = message.answers.into_iter().filter(is_asked_for).collect();
            if let Some(time) = records.iter().map(time_to_live).min() {
                return Ok(Answer {
                    records,
                    additional: message.additionals,
                    good_for: good_for.min(time),
                });
            }
        }
        Err(DnsError::Aliases {
            name: name.to_ascii(),
            record: kind.into(),
        })
    }

    /// Asks one server after the other, beginning with the last that answered; each has an equal share of what is left
    /// of the time.
    async fn ask(&self, name: &Name, kind: RecordType) -> Result<Reply, DnsError> {
        let began = Instant::now();
        let count = self.servers.len();
        let first = self.last_good.load(Relaxed);
        let mut tried = Vec::new();
        for turn in 0..count {
            let index = (first + turn) % count;
            let Server { address, pool } = &self.servers[index];
            let left = self.timeout.saturating_sub(began.elapsed());
            let share = left / u32::try_from(count - turn).unwrap_or(u32::MAX);
            let query = Query::query(name.clone(), kind);
            let asked = pool.lookup(query, self.options).first_answer();
            let cause = match timeout(share, asked).await {
                Err(_) | Ok(Err(NetError::Timeout)) => Tried::silent(*address, share),
                Ok(said) => match understand(said, name, kind) {
                    Ok(reply) => {
                        self.last_good.store(index, Relaxed);
                        return Ok(reply);
                    }
                    Err(cause) => Tried::new(*address, cause),
                },
            };
            tried.push(cause);
        }
        Err(DnsError::Unanswered {
            name: name.to_ascii(),
            record: kind.into(),
            tried,
        })
    }
}

/// What a server's words mean; `Err`: why they are no answer.
fn understand(
    said: Result<DnsResponse, NetError>,
    name: &Name,
    kind: RecordType,
) -> Result<Reply, String> {
    let no_records = match said {
        Ok(message) => {
            let is_to_the_point = |record: &Record| {
                let is = record.record_type();
                record.name == *name && (is == kind || is == RecordType::CNAME)
            };
            return match message.response_code {
                ResponseCode::NoError | ResponseCode::NXDomain
                    if message.answers.iter().any(is_to_the_point) =>
                {
                    Ok(Reply::Message(message))
                }
                ResponseCode::NoError | ResponseCode::NXDomain => {
                    Err("records of other names only".into())
                }
                code => Err(code.to_string()),
            };
        }
        Err(NetError::Dns(Negative::NoRecordsFound(no_records))) => no_records,
        Err(NetError::Dns(Negative::ResponseCode(code))) => return Err(code.to_string()),
        Err(error) => return Err(error.to_string()),
    };
    // A server that knows only who else to ask has not said that there is nothing.
    let is_referral = no_records.response_code == ResponseCode::NoError
        && no_records.soa.is_none()
        && no_records.ns.is_some();
    if is_referral {
        return Err("it refers to other name servers".into());
    }
    let seconds = no_records.negative_ttl.unwrap_or(0);
    Ok(Reply::Nothing {
        good_for: Duration::from_secs(seconds.into()),
    })
}

/// The record that makes `owner` an alias, and what for.
fn alias_of<'a>(owner: &Name, records: &'a [Record]) -> Option<(&'a Record, Name)> {
    records.iter().find_map(|record| match &record.data {
        RData::CNAME(target) if record.name == *owner => Some((record, target.0.clone())),
        _ => None,
    })
}

pub(crate) fn time_to_live(record: &Record) -> Duration {
    Duration::from_secs(record.ttl.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A resolver with the search list `a.test`, `b.test`.
    fn searching(dots: usize) -> Resolver {
        let domains = ["a.test", "b.test"].map(|domain| Name::from_ascii(domain).unwrap());
        let server = NameServerConfig::udp_and_tcp([127, 0, 0, 1].into());
        let config = ResolverConfig::from_parts(None, domains.into(), vec![server]);
        let mut options = ResolverOpts::default();
        options.ndots = dots;
        Resolver::new(config, options, Duration::from_secs(5)).unwrap()
    }

    fn candidates(resolver: &Resolver, name: &str) -> Vec<String> {
        let name = Name::from_ascii(name).unwrap();
        let candidates = resolver.candidates(&name);
        candidates.iter().map(Name::to_ascii).collect()
    }

    #[test]
    fn a_name_with_dots_enough_is_whole_first_and_one_with_fewer_last() {
        let resolver = searching(1);
        assert_eq!(
            candidates(&resolver, "db"),
            ["db.a.test.", "db.b.test.", "db."]
        );
        let whole_first = ["db.prod.", "db.prod.a.test.", "db.prod.b.test."];
        assert_eq!(candidates(&resolver, "db.prod"), whole_first);
        // As Kubernetes has it.
        let whole_last = ["db.prod.a.test.", "db.prod.b.test.", "db.prod."];
        assert_eq!(candidates(&searching(5), "db.prod"), whole_last);
    }

    #[test]
    fn a_name_with_a_last_dot_stands_for_itself_only() {
        assert_eq!(candidates(&searching(5), "db.prod."), ["db.prod."]);
    }
}
