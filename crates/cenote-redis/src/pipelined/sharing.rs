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
    /// Any connection.
    Shared,
    /// They may wait, and nobody else's reply must wait behind theirs.
    Exclusive,
    /// The connection that they are about, whichever that is: somebody who has one must send them there.
    Chosen,
    /// Both: they wait for what their connection wrote.
    ChosenExclusive,
}

impl Route {
    /// For one connection, which is shared.
    fn on_shared(self) -> Result<(), Refusal> {
        match self {
            Self::Shared | Self::Chosen => Ok(()),
            Self::Exclusive | Self::ChosenExclusive => Err(Refusal::HoldsUpOthers),
        }
    }

    /// For a client that picks a connection for each command: whether it must be exclusive.
    fn anywhere(self) -> Result<bool, Refusal> {
        match self {
            Self::Shared => Ok(false),
            Self::Exclusive => Ok(true),
            Self::Chosen | Self::ChosenExclusive => Err(Refusal::AboutConnection),
        }
    }
}

/// Whether a command may be sent down one shared connection; refused if it leaves something behind or waits.
pub(super) fn admit(cmd: &Cmd) -> Result<(), RedisError> {
    route(cmd)
        .and_then(Route::on_shared)
        .map_err(|reason| refused(&cmd.name(), reason))
}

/// The same for commands sent together, transactions that begin and end among them included.
pub(super) fn admit_all(cmds: &[Cmd]) -> Result<(), RedisError> {
    for_each(cmds, Route::on_shared)
}

/// Whether a command needs a connection of its own; refused if it leaves something behind, or if its answer would
/// be about whichever connection is picked for it.
pub(crate) fn needs_own(cmd: &Cmd) -> Result<bool, RedisError> {
    route(cmd)
        .and_then(Route::anywhere)
        .map_err(|reason| refused(&cmd.name(), reason))
}

/// The same for commands sent together: whether one of them does.
pub(crate) fn any_needs_own(cmds: &[Cmd]) -> Result<bool, RedisError> {
    let mut any = false;
    for_each(cmds, |route| {
        any |= route.anywhere()?;
        Ok(())
    })?;
    Ok(any)
}

/// The route of a command sent alone.
fn route(cmd: &Cmd) -> Result<Route, Refusal> {
    Err(match Effect::of(cmd) {
        Effect::None => return Ok(Route::Shared),
        Effect::Blocks(_) => return Ok(Route::Exclusive),
        Effect::AboutConnection => return Ok(Route::Chosen),
        Effect::AwaitsReplicas(_) => return Ok(Route::ChosenExclusive),
        Effect::OpensTransaction | Effect::EndsTransaction => Refusal::OpenTransaction,
        Effect::Listens => Refusal::ListensOnShared,
        Effect::Refused(reason) => reason,
        Effect::Watches
        | Effect::Unwatches
        | Effect::Selects(_)
        | Effect::ChangesIdentity
        | Effect::IsFinal => Refusal::ChangesSharedSession,
    })
}

/// Has each command's route judged, but for those that begin and end a transaction here.
fn for_each(
    cmds: &[Cmd],
    mut judge: impl FnMut(Route) -> Result<(), Refusal>,
) -> Result<(), RedisError> {
    let mut open = None;
    for cmd in cmds {
        match (Effect::of(cmd), open) {
            (Effect::OpensTransaction, None) => open = Some(cmd),
            (Effect::EndsTransaction, Some(_)) => open = None,
            _ => route(cmd)
                .and_then(&mut judge)
                .map_err(|reason| refused(&cmd.name(), reason))?,
        }
    }
    match open {
        None => Ok(()),
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

    fn cmds(lines: &[&str]) -> Vec<Cmd> {
        lines.iter().copied().map(cmd).collect()
    }

    fn reason(error: RedisError) -> Refusal {
        match error {
            RedisError::Refused { reason, .. } => reason,
            other => panic!("{other}"),
        }
    }

    /// Whether a client gives these a connection of their own.
    fn own(lines: &[&str]) -> Result<bool, Refusal> {
        any_needs_own(&cmds(lines)).map_err(reason)
    }

    /// Whether one shared connection takes them.
    fn shared(lines: &[&str]) -> Result<(), Refusal> {
        admit_all(&cmds(lines)).map_err(reason)
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
            assert_eq!(own(&[line]), Err(refusal), "{line}");
            assert_eq!(shared(&[line]), Err(refusal), "{line}");
        }
    }

    #[test]
    fn a_command_about_its_connection_goes_where_its_sender_says() {
        for line in ["CLIENT ID", "CLIENT INFO", "CLIENT GETNAME"] {
            assert_eq!(own(&["GET a", line]), Err(Refusal::AboutConnection));
            assert_eq!(shared(&["GET a", line]), Ok(()), "{line}");
        }
        for line in ["WAIT 1 0", "WAITAOF 1 0 0"] {
            assert_eq!(own(&["SET a 1", line]), Err(Refusal::AboutConnection));
            assert_eq!(shared(&["SET a 1", line]), Err(Refusal::HoldsUpOthers));
        }
    }

    #[test]
    fn a_command_that_waits_goes_its_own_way() {
        for line in [
            "BLPOP list 0",
            "blmove a b LEFT LEFT 0",
            "BZPOPMIN z 0",
            "XREAD BLOCK 0 STREAMS s $",
        ] {
            assert_eq!(own(&["GET a", line]), Ok(true), "{line}");
            assert_eq!(shared(&["GET a", line]), Err(Refusal::HoldsUpOthers));
        }
        assert_eq!(own(&["XREAD STREAMS s 0"]), Ok(false));
    }

    #[test]
    fn a_transaction_is_shared_when_it_is_whole() {
        let whole = ["MULTI", "INCR a", "EXEC", "GET a", "MULTI", "DISCARD"];
        assert_eq!(own(&whole), Ok(false));
        assert_eq!(shared(&whole), Ok(()));
        for part in [
            &["MULTI", "INCR a"][..],
            &["INCR a", "EXEC"],
            &["MULTI", "MULTI", "EXEC"],
        ] {
            assert_eq!(own(part), Err(Refusal::OpenTransaction), "{part:?}");
        }
        let selects = ["MULTI", "SELECT 1", "EXEC"];
        assert_eq!(own(&selects), Err(Refusal::ChangesSharedSession));
    }
}
