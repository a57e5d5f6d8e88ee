//! What a session tells of the role of its server, where that is to have one: by its reports, by a write that it refuses,
//! or asked. What a user sets in the session looks the same, and proves nothing.

use std::sync::atomic::Ordering;

use super::{Peer, READ_ONLY, REFUSED, STATE, Session, TRANSACTION};
use crate::error::Unclean;
use crate::role::{Role, Tenure};

impl Session {
    /// Its server has the role that is wanted, and is to keep it.
    pub(crate) fn admit(&self, tenure: Tenure) {
        // Once for each session.
        let _ = self.tenure.set(tenure);
    }

    /// What it was admitted to, if its server is to have a role.
    pub(crate) fn tenure(&self) -> Option<&Tenure> {
        self.tenure.get()
    }

    /// As [`tenure`](Self::tenure), unless the session takes no writes on purpose though its server does: then nothing that
    /// it says of writes tells of the server.
    fn judged(&self) -> Option<&Tenure> {
        let on_purpose = self.began_read_only.load(Ordering::Relaxed);
        let tenure = self.tenure();
        tenure.filter(|tenure| !on_purpose || tenure.role() == Role::Replica)
    }

    /// The role that the server has by what it reports of this session; `None` where it does not report it, or reports it
    /// of others' sessions. Settings of a user count too.
    pub(crate) fn reported_role(&self) -> Option<Role> {
        match self.peer {
            Peer::Server => self.status.takes_no_writes().map(Role::of),
            Peer::TransactionPooler => None,
        }
    }

    /// Whether the server is to be asked for its role when it is asked for a sign of life.
    pub(crate) fn asks_for_role(&self) -> bool {
        self.judged().is_some() && self.reported_role().is_none()
    }

    /// Whether the server may have another role than the one for which the session was admitted.
    pub(crate) fn is_role_in_doubt(&self) -> bool {
        let tenure = self.judged().zip(self.reported_role());
        tenure.is_some_and(|(tenure, now)| tenure.role() != now)
    }

    /// A write was refused as the transaction was read-only, in a session that is not so on purpose.
    pub(super) fn refused(&self) {
        let is_as_at_first = !self.has(STATE | TRANSACTION);
        self.mark(STATE | READ_ONLY);
        if is_as_at_first {
            self.mark(REFUSED);
        }
        self.notice_role();
    }

    /// Ends its tenure if the server has another role now, as far as its own words prove it, whatever the user set: it says
    /// whether it is a standby; or it refused a write in a session in which nothing had been set, and says that this takes
    /// none. Which of the two words comes first is not said. Whether this ended it.
    pub(crate) fn notice_role(&self) -> bool {
        let Some(tenure) = self.tenure().filter(|tenure| !tenure.is_over()) else {
            return false;
        };
        let is_refused = self.has(REFUSED) && self.is_role_in_doubt();
        let refused = is_refused.then_some(Role::Replica);
        let lost_to = match self.peer {
            Peer::Server => tenure.lost_to(&self.status).or(refused),
            Peer::TransactionPooler => None,
        };
        if let Some(now) = lost_to {
            tenure.end(now);
        }
        lost_to.is_some()
    }

    /// What it means that the server has this role now, by a session in which no user has set anything.
    pub(crate) fn judge_role(&self, now: Role) -> Option<Unclean> {
        let role = match self.tenure() {
            Some(_) => self.judged()?.role(),
            // It took writes, and one was refused.
            None => Role::Primary,
        };
        if role == now {
            return None;
        }
        if let Some(tenure) = self.tenure() {
            tenure.end(now);
        }
        Some(match now {
            Role::Replica => Unclean::ReadOnly,
            Role::Primary => Unclean::Promoted,
        })
    }
}
