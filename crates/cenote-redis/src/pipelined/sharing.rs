//! Which commands may share a connection with those of others, and where the rest belongs.
//!
//! Decided by what a command leaves behind (`session`): one that leaves something, or whose reply may never
//! come, would do it to everybody.

use crate::cmd::Cmd;
use crate::connection::refused;
use crate::error::{RedisError, Refusal};
use crate::session::Effect;

/// Where commands can go that leave nothing behind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Route {
    Shared,
    /// They may wait, and nobody else's reply must wait behind theirs.
    Exclusive,
}

impl Route {
    /// For a connection that has no other route.
    pub(super) fn expect_shared(self, cmd: &Cmd) -> Result<(), RedisError> {
        match self {
            Self::Shared => Ok(()),
            Self::Exclusive => Err(refused(&cmd.name(), Refusal::HoldsUpOthers)),
        }
    }

    pub(super) fn expect_shared_all(self, cmds: &[Cmd]) -> Result<(), RedisError> {
        if self == Self::Shared {
            return Ok(());
        }
        cmds.iter()
            .try_for_each(|cmd| route(cmd)?.expect_shared(cmd))
    }
}

/// The route of a command sent alone; refused if it leaves something behind.
pub(crate) fn route(cmd: &Cmd) -> Result<Route, RedisError> {
    let reason = match Effect::of(cmd) {
        Effect::None => return Ok(Route::Shared),
        Effect::Blocks => return Ok(Route::Exclusive),
        Effect::OpensTransaction | Effect::EndsTransaction => Refusal::OpenTransaction,
        Effect::Listens => Refusal::ListensOnShared,
        Effect::Refused(reason) => reason,
        Effect::Watches
        | Effect::Unwatches
        | Effect::Selects(_)
        | Effect::ChangesIdentity
        | Effect::IsFinal => Refusal::ChangesSharedSession,
    };
    Err(refused(&cmd.name(), reason))
}

/// The route of commands sent together, transactions that begin and end among them included.
pub(crate) fn route_all(cmds: &[Cmd]) -> Result<Route, RedisError> {
    let mut open = None;
    let mut route_of_all = Route::Shared;
    for cmd in cmds {
        match (Effect::of(cmd), open) {
            (Effect::OpensTransaction, None) => open = Some(cmd),
            (Effect::EndsTransaction, Some(_)) => open = None,
            _ => {
                if route(cmd)? == Route::Exclusive {
                    route_of_all = Route::Exclusive;
                }
            }
        }
    }
    match open {
        None => Ok(route_of_all),
        Some(multi) => Err(refused(&multi.name(), Refusal::OpenTransaction)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cmd(line: &str) -> Cmd {
        let mut words = line.split(' ');
        let name = words.next().unwrap_or_default();
        Cmd::new(name).args(words)
    }

    fn route_of(lines: &[&str]) -> Result<Route, Refusal> {
        let cmds: Vec<Cmd> = lines.iter().copied().map(cmd).collect();
        route_all(&cmds).map_err(|error| match error {
            RedisError::Refused { reason, .. } => reason,
            other => panic!("{other}"),
        })
    }

    #[test]
    fn a_command_that_leaves_something_behind_has_no_route() {
        let cases = [
            ("SUBSCRIBE news", Refusal::ListensOnShared),
            ("PSUBSCRIBE n*", Refusal::ListensOnShared),
            ("SSUBSCRIBE news", Refusal::ListensOnShared),
            ("monitor", Refusal::ListensOnShared),
            ("SELECT 1", Refusal::ChangesSharedSession),
            ("AUTH secret", Refusal::ChangesSharedSession),
            ("HELLO 3", Refusal::ChangesSharedSession),
            ("RESET", Refusal::ChangesSharedSession),
            ("WATCH key", Refusal::ChangesSharedSession),
            ("CLIENT TRACKING ON", Refusal::ChangesSharedSession),
            ("CLIENT NO-EVICT ON", Refusal::ChangesSharedSession),
            ("QUIT", Refusal::ChangesSharedSession),
            ("CLIENT REPLY OFF", Refusal::Silences),
            ("PSYNC ? -1", Refusal::Replicates),
            ("MULTI", Refusal::OpenTransaction),
            ("EXEC", Refusal::OpenTransaction),
        ];
        for (line, refusal) in cases {
            assert_eq!(route_of(&[line]), Err(refusal), "{line}");
        }
    }

    #[test]
    fn a_command_that_waits_goes_its_own_way() {
        for line in [
            "BLPOP list 0",
            "blmove a b LEFT LEFT 0",
            "BZPOPMIN z 0",
            "WAIT 1 0",
            "WAITAOF 1 0 0",
            "XREAD BLOCK 0 STREAMS s $",
        ] {
            assert_eq!(route_of(&["GET a", line]), Ok(Route::Exclusive), "{line}");
        }
        assert_eq!(route_of(&["XREAD STREAMS s 0"]), Ok(Route::Shared));
    }

    #[test]
    fn a_transaction_is_shared_when_it_is_whole() {
        let whole = ["MULTI", "INCR a", "EXEC", "GET a", "MULTI", "DISCARD"];
        assert_eq!(route_of(&whole), Ok(Route::Shared));
        for part in [
            &["MULTI", "INCR a"][..],
            &["INCR a", "EXEC"],
            &["MULTI", "MULTI", "EXEC"],
        ] {
            assert_eq!(route_of(part), Err(Refusal::OpenTransaction), "{part:?}");
        }
        let selects = ["MULTI", "SELECT 1", "EXEC"];
        assert_eq!(route_of(&selects), Err(Refusal::ChangesSharedSession));
    }
}
