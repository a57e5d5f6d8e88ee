//! The targets of a service.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use cenote::endpoints::{Discover, Endpoint, EndpointSet};
use futures_util::stream::{self, StreamExt};
use hickory_resolver::proto::rr::rdata::SRV;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

use crate::addresses::{self, Known};
use crate::error::DnsError;
use crate::name_servers::NameServers;
use crate::resolver::{Answer, Resolver};
use crate::source::{Question, Source, Told};
use crate::target::Target;

/// The targets of a service, as its SRV records name them, asked for again and again: each is an endpoint, with all
/// its addresses, IPv6 before IPv4. Made by [`srv`](crate::srv).
///
/// - **Addresses** are taken from additional records as far as these say them; what they do not say is looked up. A target
///   that moves is the same endpoint, whose connections follow within seconds
///   ([`Endpoint::addresses`](cenote::endpoints::Endpoint::addresses)).
/// - **Priority** is the record's.
/// - **Weight** is a hundred times the record's. A record of weight 0 has the weight 1: beside others a very small share,
///   as RFC 2782 has it, not none; where all are 0, equal shares.
/// - **A target that is not to be found**, for its name servers fail, stays as it was last found, and is left out while it
///   never was; so is one whose name has no addresses. If that leaves none, the failure is the answer.
/// - **A record whose target is `.`** says that the service is decidedly not there: an empty set.
pub struct Srv {
    text: String,
    source: Source<SrvQuestion>,
}

/// So many targets are looked up at once.
const AT_ONCE: usize = 8;
/// The weight of a record of weight 1, as against that of one of weight 0.
const WEIGHT: u32 = 100;

#[derive(Clone)]
pub(crate) struct SrvQuestion {
    text: String,
    name: Name,
    /// The addresses that each target was last found at, by its name in lower case.
    known: BTreeMap<Name, Known>,
}

impl SrvQuestion {
    /// `None`: it is no name.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.is_empty() || text == "." || text.contains(':') {
            return None;
        }
        Some(Self {
            text: text.into(),
            name: Name::from_str_relaxed(text).ok()?,
            known: BTreeMap::new(),
        })
    }

    /// The endpoints that the answer names.
    async fn endpoints(
        &mut self,
        resolver: &Resolver,
        answer: &Answer,
    ) -> Result<Told<Target>, DnsError> {
        let record = |record: &Record| match &record.data {
            RData::SRV(srv) if !srv.target.is_root() => Some(srv.clone()),
            _ => None,
        };
        let records: Vec<SRV> = answer.records.iter().filter_map(record).collect();
        let names: BTreeSet<_> = records
            .iter()
            .map(|srv| srv.target.to_lowercase())
            .collect();
        let look_ups: Vec<_> = names
            .into_iter()
            .map(|name| {
                let before = self.known.get(&name);
                async move {
                    let found = addresses::find(resolver, &name, before, &answer.additional).await;
                    (name, found)
                }
            })
            .collect();
        let mut look_ups = stream::iter(look_ups).buffer_unordered(AT_ONCE);
        let (mut known, mut good_for, mut failure) = (BTreeMap::new(), answer.good_for, None);
        while let Some((name, found)) = look_ups.next().await {
            match found {
                Ok(found) => {
                    good_for = good_for.min(found.good_for);
                    known.insert(name, found.known);
                }
                Err(error) => {
                    good_for = Duration::ZERO;
                    failure = failure.or(Some(error));
                    if let Some(before) = self.known.get(&name) {
                        known.insert(name, before.clone());
                    }
                }
            }
        }
        drop(look_ups);
        let set: EndpointSet<_> = records
            .iter()
            .filter_map(|srv| endpoint(srv, known.get(&srv.target.to_lowercase())?))
            .collect();
        match failure {
            Some(error) if set.is_empty() => Err(error),
            _ => {
                self.known = known;
                Ok(Told { set, good_for })
            }
        }
    }
}

/// The endpoint that a record names, if its target has addresses.
fn endpoint(srv: &SRV, known: &Known) -> Option<Endpoint<Target>> {
    if known.is_empty() {
        return None;
    }
    let addresses = known.addresses();
    let target = Target::new(&srv.target.to_ascii(), srv.port);
    let endpoint = Endpoint::new(target)
        .addresses(addresses.map(|ip| SocketAddr::new(ip, srv.port)))
        .priority(srv.priority)
        .weight((u32::from(srv.weight) * WEIGHT).max(1));
    Some(endpoint)
}

impl Question for SrvQuestion {
    type Key = Target;

    /// A candidate that fails is not passed over for the next, which may be another service.
    async fn ask(&mut self, name_servers: &mut NameServers) -> Result<Told<Target>, DnsError> {
        let resolver = name_servers.resolver(&self.text).await?;
        let mut good_for = Duration::MAX;
        for candidate in resolver.candidates(&self.name) {
            let answer = resolver.lookup(&candidate, RecordType::SRV).await?;
            good_for = good_for.min(answer.good_for);
            if !answer.records.is_empty() {
                let told = self.endpoints(&resolver, &answer).await?;
                good_for = good_for.min(told.good_for);
                return Ok(Told { good_for, ..told });
            }
        }
        self.known.clear();
        let set = EndpointSet::default();
        Ok(Told { set, good_for })
    }
}

impl Srv {
    pub(crate) fn new(text: String, source: Source<SrvQuestion>) -> Self {
        Self { text, source }
    }
}

impl Discover for Srv {
    type Key = Target;
    type Error = DnsError;

    async fn next(&mut self) -> Option<Result<EndpointSet<Target>, DnsError>> {
        Some(self.source.next().await)
    }

    fn name(&self) -> String {
        format!("DNS SRV {}", self.text)
    }

    fn refresh(&mut self) {
        self.source.refresh();
    }
}

impl fmt::Debug for Srv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.debug("Srv", &self.text, f)
    }
}
