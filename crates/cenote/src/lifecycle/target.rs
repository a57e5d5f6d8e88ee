//! What connections are opened to: the pool's one endpoint, or an endpoint of its set. Each connection keeps what it was
//! opened to, so that its own connector judges it and says goodbye to it, whatever became of the set; and so that a lease
//! need not ask which of the two its pool is.

use std::fmt;
use std::sync::Arc;

use super::health::Health;
use super::set::SetState;
use super::state::PROVEN;
use crate::connect::Connect;
use crate::connect::endpoint;
use crate::endpoints::EndpointId;
use crate::kernel::EndpointNumber;
use crate::sync::AtomicU64;

/// A connector, and what is known of the connections it opens.
pub(crate) struct Target<C: Connect> {
    pub(crate) connector: C,
    /// When a new connection first proved dead as it was to be leased, and none opened since has been leased;
    /// else [`PROVEN`].
    pub(crate) unproven_since: AtomicU64,
    /// Which of a set it is; none where there is no set.
    pub(super) member: Option<Member>,
}

/// An endpoint of a set.
#[derive(Clone)]
pub(super) struct Member {
    pub(super) id: EndpointId,
    /// Its key, for people.
    pub(super) name: Arc<str>,
    pub(super) health: Arc<Health>,
    /// As which the follower counts the set that told it, with the addresses that it had then.
    pub(super) version: u64,
}

impl Member {
    pub(super) fn new(
        id: EndpointId,
        key: &impl fmt::Debug,
        health: Arc<Health>,
        version: u64,
    ) -> Self {
        Self {
            id,
            name: name(key).into(),
            health,
            version,
        }
    }
}

/// A key as people write it: text without quotes.
pub(super) fn name(key: &impl fmt::Debug) -> String {
    let text = format!("{key:?}");
    let unquoted = text.strip_prefix('"');
    match unquoted.and_then(|text| text.strip_suffix('"')) {
        Some(unquoted) => unquoted.to_owned(),
        None => text,
    }
}

impl<C: Connect> Target<C> {
    pub(super) fn new(connector: C, member: Option<Member>) -> Self {
        Self {
            connector,
            unproven_since: AtomicU64::new(PROVEN),
            member,
        }
    }

    /// The number of its endpoint in the set, if there is one.
    pub(crate) fn number(&self) -> Option<EndpointNumber> {
        self.member.as_ref().map(|member| member.id.number)
    }

    /// Whether it is of the endpoint with this name.
    pub(super) fn is(&self, id: EndpointId) -> bool {
        self.id() == Some(id)
    }

    /// What names its endpoint in the set, if there is one.
    pub(crate) fn id(&self) -> Option<EndpointId> {
        self.member.as_ref().map(|member| member.id)
    }

    /// By which version of the set its endpoint is dialled; 0 where there is no set.
    pub(super) fn version(&self) -> u64 {
        self.member.as_ref().map_or(0, |member| member.version)
    }

    /// What errors and events call it: what the connector says it dials, else its key.
    pub(super) fn name(&self) -> Option<Arc<str>> {
        endpoint(&self.connector).or_else(|| Some(Arc::clone(&self.member.as_ref()?.name)))
    }
}

/// What a pool connects to.
pub(crate) enum Targets<C: Connect> {
    One(Arc<Target<C>>),
    Set(Box<SetState<C>>),
}

impl<C: Connect> Targets<C> {
    /// The only one; none where there is a set.
    pub(crate) fn one(&self) -> Option<&Target<C>> {
        match self {
            Self::One(target) => Some(target),
            Self::Set(_) => None,
        }
    }

    pub(crate) fn set(&self) -> Option<&SetState<C>> {
        match self {
            Self::One(_) => None,
            Self::Set(set) => Some(set),
        }
    }
}
