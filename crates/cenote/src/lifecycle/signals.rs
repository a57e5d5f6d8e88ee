//! What connections have signalled and is still to be seen to, and the face that is to hear of it. What is done about
//! it is in [`heed`](super::heed). A face that has leases of its own on its connections hears here of its endpoints, too.

use std::sync::{Arc, OnceLock, Weak};

use crate::kernel::EndpointNumber;
use crate::signals::Connection;
use crate::sync::{Mutex, lock};

/// A face whose connections may change while it has them.
pub(crate) trait Face: Send + Sync {
    /// Asks its connections what they say of themselves, soon; no user code is called from here.
    fn ask_again(self: Arc<Self>);

    /// These endpoints of the set may serve otherwise than before, or all by other shares; what the kernel says of them is
    /// true already. Those in `on_trial` begin a trial, perhaps after another, whose lease is given up.
    fn admission_changed(
        self: Arc<Self>,
        endpoints: &[EndpointNumber],
        on_trial: &[EndpointNumber],
    );

    /// Leases on the connections of this endpoint.
    fn in_flight_at(&self, endpoint: EndpointNumber) -> usize;

    /// Leases that have begun so far at the endpoints from the number `first` on, one after the other; of some of them, and
    /// of none where no endpoint with that number or a later one has ever had a connection.
    fn leases_from(&self, first: EndpointNumber) -> Vec<u64>;

    /// Connections that it has without a use for them are wanted by another pool under its budget: they are to come back.
    fn give_up_unused(self: Arc<Self>);

    /// One connection of this endpoint is to come back, to be closed for another endpoint.
    fn give_one_back(self: Arc<Self>, endpoint: EndpointNumber);
}

/// Made with the first signal, or with the face.
#[derive(Default)]
pub(crate) struct SignalBox {
    face: OnceLock<Weak<dyn Face>>,
    /// Those that said they are closed, one a slot at most. A leaf lock.
    closed: Mutex<Vec<Connection>>,
}

impl SignalBox {
    /// At most once.
    pub(crate) fn set_face(&self, face: Weak<dyn Face>) {
        let _ = self.face.set(face);
    }

    pub(super) fn face(&self) -> Option<Arc<dyn Face>> {
        self.face.get()?.upgrade()
    }

    /// Keeps in mind that `connection` is closed; false if that, or later news of its slot, was known.
    pub(super) fn note_closed(&self, connection: Connection) -> bool {
        let mut closed = lock(&self.closed);
        let known = closed
            .iter_mut()
            .find(|known| known.slot == connection.slot);
        match known {
            // Numbers ascend: a connection of before has nothing to say.
            Some(known) if known.id >= connection.id => return false,
            Some(known) => *known = connection,
            None => closed.push(connection),
        }
        true
    }

    /// Those that said they are closed and are still to be seen to.
    pub(super) fn closed(&self) -> Vec<Connection> {
        lock(&self.closed).clone()
    }

    /// `connection` has been seen to; later news of its slot stays.
    pub(super) fn forget(&self, connection: Connection) {
        lock(&self.closed).retain(|known| *known != connection);
    }

    /// Whether the connection with this number has said that it is closed, and has not gone yet.
    pub(crate) fn is_closed(&self, id: u64) -> bool {
        lock(&self.closed).iter().any(|closed| closed.id == id)
    }
}

#[cfg(all(test, not(cenote_loom), not(cenote_shuttle)))]
mod tests {
    use super::*;

    const EARLIER: Connection = Connection { slot: 3, id: 5 };
    const LATER: Connection = Connection { slot: 3, id: 9 };

    /// A look reads the notes while faces ask.
    #[test]
    fn what_said_it_is_closed_is_known_until_it_is_forgotten() {
        let signals = SignalBox::default();
        assert!(signals.note_closed(EARLIER));
        assert_eq!(signals.closed(), [EARLIER]);
        assert!(signals.is_closed(EARLIER.id));
        signals.forget(EARLIER);
        assert!(!signals.is_closed(EARLIER.id));
    }

    #[test]
    fn of_a_slot_the_latest_connection_counts() {
        let signals = SignalBox::default();
        assert!(signals.note_closed(EARLIER) && signals.note_closed(LATER));
        assert!(!signals.note_closed(LATER) && !signals.note_closed(EARLIER));
        signals.forget(EARLIER);
        assert_eq!(signals.closed(), [LATER]);
    }
}
