//! The addresses of one whole name, both families asked at once. One that fails takes nothing from the other, nor what
//! was known of it (haproxy #1650, reqwest #2378).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

use crate::error::DnsError;
use crate::resolver::{Resolver, time_to_live};

/// The addresses that a name is known to have, each family in order as numbers: answers come in any order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    v4: Vec<IpAddr>,
    v6: Vec<IpAddr>,
}

pub(crate) struct Found {
    pub(crate) known: Known,
    pub(crate) good_for: Duration,
}

impl Known {
    pub(crate) fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// In the order in which they are to be tried: IPv6 first, as RFC 6724 has it.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.v6.iter().chain(&self.v4).copied()
    }
}

/// The addresses of `name`. `before` is what was known of it. What `additional` records say is taken; that they do not
/// mention a family means nothing.
///
/// An error, if no family answered, or the one that did has no addresses and none of the other are known.
pub(crate) async fn find(
    resolver: &Resolver,
    name: &Name,
    before: Option<&Known>,
    additional: &[Record],
) -> Result<Found, DnsError> {
    // Names that are not for name servers (RFC 6761).
    if name.is_localhost() {
        let known = Known {
            v4: vec![Ipv4Addr::LOCALHOST.into()],
            v6: vec![Ipv6Addr::LOCALHOST.into()],
        };
        let good_for = Duration::MAX;
        return Ok(Found { known, good_for });
    }
    let (v4, v6) = tokio::join!(
        family(resolver, name, RecordType::A, additional),
        family(resolver, name, RecordType::AAAA, additional),
    );
    let (v4, v6, failed) = match (v4, v6) {
        (Err(error), Err(_)) => return Err(error),
        (Ok((v4, one)), Ok((v6, other))) => {
            let known = Known { v4, v6 };
            let good_for = one.min(other);
            return Ok(Found { known, good_for });
        }
        (Ok((v4, _)), Err(error)) => (Some(v4), None, error),
        (Err(error), Ok((v6, _))) => (None, Some(v6), error),
    };
    let before = before.cloned().unwrap_or_default();
    let known = Known {
        v4: v4.unwrap_or(before.v4),
        v6: v6.unwrap_or(before.v6),
    };
    if known.is_empty() {
        return Err(failed);
    }
    // What failed is to be asked again soon.
    let good_for = Duration::ZERO;
    Ok(Found { known, good_for })
}

/// The addresses of one family, and for how long they are good.
async fn family(
    resolver: &Resolver,
    name: &Name,
    kind: RecordType,
    additional: &[Record],
) -> Result<(Vec<IpAddr>, Duration), DnsError> {
    let is_told = |record: &&Record| record.name == *name && record.record_type() == kind;
    let told = additional.iter().filter(is_told);
    if let Some(good_for) = told.clone().map(time_to_live).min() {
        return Ok((in_order(told), good_for));
    }
    let answer = resolver.lookup(name, kind).await?;
    Ok((in_order(&answer.records), answer.good_for))
}

fn in_order<'a>(records: impl IntoIterator<Item = &'a Record>) -> Vec<IpAddr> {
    let address = |record: &Record| match &record.data {
        RData::A(address) => Some(IpAddr::from(address.0)),
        RData::AAAA(address) => Some(IpAddr::from(address.0)),
        _ => None,
    };
    let mut addresses: Vec<_> = records.into_iter().filter_map(address).collect();
    addresses.sort();
    addresses.dedup();
    addresses
}
