//! What is done about what connections signal: idle ones that are closed are retired by the next look, which is due at
//! once; the face asks those that it has active.

use std::sync::atomic::Ordering::Relaxed;

use super::check::reject;
use super::recycle::release;
use super::state::{ConnectionToken, LifecycleCore};
use super::upkeep;
use crate::connect::Connect;
use crate::kernel::{Arc, IdleSince, State};
use crate::report::CloseReason;
use crate::rt::nanos;
use crate::settings::SECOND;
use crate::signals::{Connection, Signalled};

impl<C: Connect> Signalled for LifecycleCore<C> {
    fn closed(self: Arc<Self>, connection: Connection) {
        let life = &self.owner;
        let state = || {
            self.slot(connection.slot)
                .map_or(State::Vacant, |(word, _)| word.state())
        };
        // Closing it, the pool is told by the connection what it knows.
        if matches!(state(), State::Vacant | State::Closing)
            || !life.signal_box().note_closed(connection)
        {
            return;
        }
        // Read after the note: a face that takes the connection from here on finds the note, and one that took it
        // before is seen to have it.
        match (state(), life.face()) {
            (State::Leased, Some(face)) => face.ask_again(),
            // It is judged when it comes back.
            (State::Leased, None) => {}
            // Where there is no runtime, the next user finds out.
            _ => drop(upkeep::look_at(&self, life.clock.now())),
        }
    }

    fn ask_again(self: Arc<Self>) {
        if let Some(face) = self.owner.face() {
            face.ask_again();
        }
    }
}

/// Retires the idle connections that said they are closed. Those that somebody has just now, or that are still being
/// opened, are looked at again.
pub(super) fn retire_closed<C: Connect>(core: &Arc<LifecycleCore<C>>, now: u64) {
    let Some(signals) = core.owner.signal_box.get() else {
        return;
    };
    for closed in signals.closed() {
        let Some((word, meta)) = core.slot(closed.slot) else {
            continue;
        };
        let stays = match word.state() {
            State::Idle => match core.reserve(closed.slot, word) {
                Some(token) if token.meta().id.load(Relaxed) == closed.id => {
                    retire_idle(core, token, now);
                    false
                }
                Some(token) => {
                    release(token, IdleSince::Before);
                    false
                }
                None => true,
            },
            State::Opening | State::Reserved => true,
            State::Leased => meta.id.load(Relaxed) == closed.id,
            State::Vacant | State::Closing => false,
        };
        // Not before: a face that asks meanwhile is to find the note.
        if !stays {
            signals.forget(closed);
        }
    }
}

fn retire_idle<C: Connect>(core: &Arc<LifecycleCore<C>>, token: ConnectionToken<C>, now: u64) {
    let meta = token.meta();
    let was_used = meta.uses_of_connection() > 0;
    let age = now.saturating_sub(meta.opened_at.load(Relaxed));
    let is_settled = was_used || age >= nanos(SECOND);
    reject(token, now, (CloseReason::Broken, None));
    if is_settled {
        // Else the sweep fills up: a server that closes what nobody used is not dialled faster than that.
        core.owner.dialer().refill = true;
    }
}
