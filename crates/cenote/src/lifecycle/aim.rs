//! What callers want a connection of: any endpoint of a set, the one that a key belongs to, or one that they name. And
//! which endpoint that is now.

use std::hash::Hash;
use std::sync::Arc as StdArc;

use super::by_key;
use super::dial_for_aim;
use super::dial_of_set;
use super::set::SetState;
use super::state::{ConnectionToken, Lifecycle, LifecycleCore};
use super::target::Target;
use crate::connect::Connect;
use crate::endpoints::EndpointId;
use crate::error::{GetError, NotServing};
use crate::kernel::{ANY_TO_COME, EndpointNumber, Owner};
use crate::policy::balance::key_hash::hash_of;

/// What a caller wants a connection of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Aim {
    Any,
    /// The endpoint that the key with this hash belongs to.
    Key(u64),
    /// This one, and no other.
    Endpoint(EndpointId),
    /// This one if it has an idle connection, else any.
    Rather(EndpointId),
}

impl Aim {
    /// Hashes the key, which is user code.
    pub(crate) fn key(key: &(impl Hash + ?Sized)) -> Self {
        Self::Key(hash_of(key))
    }
}

impl<C: Connect> LifecycleCore<C> {
    /// As [`claim`](Self::claim), of what is aimed at. Out of line: the instructions of a get without an aim are few.
    #[cold]
    #[inline(never)]
    pub(crate) fn claim_for(&self, aim: Aim) -> Option<ConnectionToken<C>> {
        let set = self.owner.targets.set();
        match (aim, set) {
            (Aim::Any, _) | (Aim::Key(_), None) => self.claim(),
            (Aim::Key(key), Some(set)) => match by_key::choose(self, set, key, |_| true) {
                Some(number) => self.claim_aimed(number),
                None => self.claim(),
            },
            (Aim::Endpoint(id), Some(_)) => {
                let token = self.claim_aimed(id.number)?;
                self.expect_aimed_at(aim, token).ok()
            }
            (Aim::Rather(id), Some(set)) if set.id(id.number) == Some(id) => {
                self.claim_rather(id.number)
            }
            (Aim::Rather(_), _) => self.claim(),
            (Aim::Endpoint(_), None) => None,
        }
    }

    /// For a caller that is to wait: at which endpoint; `None` for all.
    ///
    /// A key belongs to the first endpoint in its order that can be had: that is drawn, and has a connection, or may be
    /// dialled and has no dial that failed or takes long. Where there is none, whatever serves first is as good as another.
    pub(crate) fn endpoint_for(&self, aim: Aim) -> Result<Option<EndpointNumber>, GetError> {
        let set = self.owner.targets.set();
        match (aim, set) {
            (Aim::Any | Aim::Rather(_), _) | (Aim::Key(_), None) => Ok(None),
            // Else it would be served by whichever endpoint is the first.
            (Aim::Key(_), Some(set)) if set.by_key.is_empty() => Ok(Some(ANY_TO_COME)),
            (Aim::Key(key), Some(set)) => {
                let (dialer, dials) = (self.owner.dialer(), set.dials());
                let now = self.owner.clock.now();
                let hanging = dial_of_set::hanging(&dialer, now);
                let is_held_up = dial_for_aim::is_held_up(self, &dialer, now);
                Ok(by_key::choose(self, set, key, |record| {
                    let number = record.number();
                    record.open() > 0
                        || dials.outage(number).is_none()
                            && !hanging.contains(&number)
                            && !(is_held_up && record.occupied() == 0)
                }))
            }
            (Aim::Endpoint(id), Some(set)) => {
                self.expect_serving(set, id)?;
                Ok(Some(id.number))
            }
            (Aim::Endpoint(_), None) => Err(self.not_serving(None)),
        }
    }

    /// `token`, unless a caller named an endpoint and it is another's, which has the number by now.
    pub(crate) fn expect_aimed_at(
        &self,
        aim: Aim,
        token: ConnectionToken<C>,
    ) -> Result<ConnectionToken<C>, GetError> {
        match aim {
            Aim::Endpoint(id) if !token.entry().target.is(id) => {
                Lifecycle::return_unclaimed(token);
                Err(self.not_serving(None))
            }
            _ => Ok(token),
        }
    }

    /// That the endpoint may serve, and that connecting to it does not fail while it has no connection.
    fn expect_serving(&self, set: &SetState<C>, id: EndpointId) -> Result<(), GetError> {
        let target = set.target(id.number).filter(|target| target.is(id));
        let may_serve = |target: &StdArc<Target<C>>| {
            let record = self.endpoints()?.record(target.number()?);
            let is_reached = record.open() > 0 || set.dials().outage(id.number).is_none();
            Some(record.admission().serves() && is_reached)
        };
        match target.as_ref().and_then(may_serve) {
            Some(true) => Ok(()),
            _ => Err(self.not_serving(target.as_deref())),
        }
    }

    fn not_serving(&self, target: Option<&Target<C>>) -> GetError {
        let status = target.and_then(|target| self.endpoint_status(target));
        let endpoint = status.map(|status| NotServing {
            endpoint: status.name,
            condition: status.condition,
            error: status.connect_error,
        });
        GetError::NotServing {
            pool: StdArc::clone(&self.owner.settings.name),
            endpoint: endpoint.map(Box::new),
        }
    }
}
