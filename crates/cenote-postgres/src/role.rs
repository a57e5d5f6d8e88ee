//! The role that a pool wants of a host, and what its connections find out about the one that the host has.
//!
//! What a server says of its role belongs to the session in which it said it: each is asked as it begins, and the answer is
//! kept with the connection and goes with it (pgdog #1494). Where one connection finds the role lost, what the others were
//! told before that is void as well: their era is over, and they serve nobody any more. So a write that is refused is
//! not followed by one for each of them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::wire::Status;

/// What a server is to those that replicate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It takes writes.
    Primary,
    /// It takes none: it is a standby, or read-only by its settings.
    Replica,
}

impl Role {
    pub(crate) fn of(is_read_only: bool) -> Self {
        match is_read_only {
            true => Self::Replica,
            false => Self::Primary,
        }
    }

    pub(crate) fn is_read_only(self) -> bool {
        self == Self::Replica
    }
}

/// Which servers a pool takes.
#[derive(Clone, Debug)]
pub(crate) enum Wanted {
    Primary,
    Replica,
    /// Replicas, and the primary while the pool has no connection to a replica.
    ReplicaFirst(Replicas),
}

impl Wanted {
    pub(crate) fn accepts(&self, role: Role) -> bool {
        match (self, role) {
            (Self::Primary, Role::Primary)
            | (Self::Replica | Self::ReplicaFirst(_), Role::Replica) => true,
            (Self::ReplicaFirst(replicas), Role::Primary) => {
                replicas.0.load(Ordering::Relaxed) == 0
            }
            (Self::Primary, Role::Replica) | (Self::Replica, Role::Primary) => false,
        }
    }
}

/// How many connections to replicas a pool has. Clones count the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Replicas(Arc<AtomicUsize>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct CountedReplica(Replicas);

impl Drop for CountedReplica {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Is told which role a server said it has.
pub(crate) type Tell = Arc<dyn Fn(Role) + Send + Sync>;

/// What one pool wants of one host.
pub(crate) struct Post {
    wanted: Wanted,
    /// How often a connection found that the host has another role now.
    era: AtomicU64,
    tell: Tell,
}

impl Post {
    pub(crate) fn new(wanted: Wanted, tell: Tell) -> Self {
        Self {
            wanted,
            era: AtomicU64::new(0),
            tell,
        }
    }

    /// Begins with the dial: what the server says may be void by the time that it has ended.
    pub(crate) fn candidacy(self: &Arc<Self>) -> Candidacy {
        Candidacy {
            post: self.clone(),
            era: self.era(),
        }
    }

    fn era(&self) -> u64 {
        self.era.load(Ordering::Relaxed)
    }
}

/// A session that begins, for a post.
pub(crate) struct Candidacy {
    post: Arc<Post>,
    era: u64,
}

impl Candidacy {
    /// The server said that it has this role; `None` if it is the wrong one.
    pub(crate) fn tenure(&self, role: Role, status: &Status) -> Option<Tenure> {
        (self.post.tell)(role);
        self.post.wanted.accepts(role).then(|| Tenure {
            post: self.post.clone(),
            era: self.era,
            role,
            was_standby: status.is_standby() == Some(true),
        })
    }
}

impl fmt::Debug for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Post")
            .field("wanted", &self.wanted)
            .field("era", &self.era)
            .finish_non_exhaustive()
    }
}

/// That a session was admitted to a post, for the role that its server had.
#[derive(Debug)]
pub(crate) struct Tenure {
    post: Arc<Post>,
    era: u64,
    role: Role,
    /// It said that it is a standby, which no user of the session can change.
    was_standby: bool,
}

impl Tenure {
    pub(crate) fn role(&self) -> Role {
        self.role
    }

    /// To be kept with the connection, where the pool counts its replicas.
    pub(crate) fn counted(&self) -> Option<CountedReplica> {
        match (&self.post.wanted, self.role) {
            (Wanted::ReplicaFirst(replicas), Role::Replica) => {
                replicas.0.fetch_add(1, Ordering::Relaxed);
                Some(CountedReplica(replicas.clone()))
            }
            _ => None,
        }
    }

    /// Whether the pool wants the session no more.
    pub(crate) fn is_over(&self) -> bool {
        self.post.era() != self.era || !self.post.wanted.accepts(self.role)
    }

    /// The server has this role now, which is another: that goes for all that were admitted no later.
    pub(crate) fn end(&self, now: Role) {
        let next = self.era.wrapping_add(1);
        // Of an era that is over, nothing follows for those of the next.
        let ended =
            self.post
                .era
                .compare_exchange(self.era, next, Ordering::Relaxed, Ordering::Relaxed);
        if ended.is_ok() {
            (self.post.tell)(now);
        }
    }

    /// The role that the server has now, if it reported that it has changed; whatever users set in the session.
    pub(crate) fn lost_to(&self, status: &Status) -> Option<Role> {
        match (self.role, status.is_standby()) {
            (Role::Primary, Some(true)) => Some(Role::Replica),
            (Role::Replica, Some(false)) if self.was_standby => Some(Role::Primary),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(wanted: Wanted) -> Arc<Post> {
        Arc::new(Post::new(wanted, Arc::new(|_| ())))
    }

    fn admitted(post: &Arc<Post>, role: Role) -> Tenure {
        let tenure = post.candidacy().tenure(role, &Status::default());
        tenure.expect("it is what is wanted")
    }

    #[test]
    fn one_connection_that_finds_the_role_lost_ends_those_before_it_and_none_after_it() {
        let post = post(Wanted::Primary);
        let (one, other) = (
            admitted(&post, Role::Primary),
            admitted(&post, Role::Primary),
        );
        one.end(Role::Replica);
        assert!(one.is_over() && other.is_over());
        let next = admitted(&post, Role::Primary);
        other.end(Role::Replica);
        assert!(!next.is_over(), "by what one of before found out late");
    }

    #[test]
    fn a_primary_serves_readers_until_there_is_a_replica_and_again_when_there_is_none() {
        let post = post(Wanted::ReplicaFirst(Replicas::default()));
        let primary = admitted(&post, Role::Primary);
        let replica = admitted(&post, Role::Replica);
        let counted = replica.counted();
        assert!(primary.is_over() && !post.wanted.accepts(Role::Primary));
        drop(counted);
        assert!(!primary.is_over() && post.wanted.accepts(Role::Primary));
    }
}
