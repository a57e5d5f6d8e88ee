//! Which endpoints of a set may serve, and what that means for the connections they have. Under the ledger's lock, which
//! the caller holds unless it says so.
//!
//! An endpoint is *drawn* while the policy may choose it, *spare* while it serves where no drawn one can, *aside* while
//! it is to have no leases and its connections are kept, and *barred* while it is to have none of either. Of the last
//! two, in any pool that is open or paused:
//!
//! > no slot of an endpoint that is aside or barred is free or on the shelf, and each that is leased has its mark.
//!
//! So what comes back to them comes through the ledger, which lays it aside or has it closed; and no lease begins. A slot
//! that is laid aside is idle and marked, as on the shelf, and another list has it.
//!
//! On *trial* an endpoint is drawn, but one connection alone has leases, the one that is let out; the others are as if it
//! were aside.

use super::aimed::ANY_TO_COME;
use super::endpoints::{EndpointNumber, Endpoints};
use super::ledger::Ledger;
use super::record::Admission;
use super::slot::Slot;
use super::state_word::Mark;
use super::token::{IdleSince, SlotToken};
use super::{Core, Owner};
use crate::sync::lock;
use crate::wake::wake_all;

/// What becomes of a connection that comes back, by its endpoint.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Passage {
    /// It serves.
    Free,
    /// It is laid aside.
    Aside,
    /// It is closed.
    Closed,
    /// It is closed, for another endpoint.
    GivenUp,
}

/// The next connection of an endpoint that comes back is closed, for another.
#[derive(Clone, Copy)]
struct GivesUp {
    to: EndpointNumber,
    /// The number of who waits at that one: those who wait here and came earlier are served before. `None`: nobody waits,
    /// and that one is to have a connection of its own; all are served before who wait here and for no other, or it would
    /// be opened anew for them at once.
    before: Option<u64>,
}

/// What the ledger knows of an endpoint.
pub(super) struct Member {
    pub(super) admission: Admission,
    /// Where it is in the list of those that may serve, if it is one.
    place: u32,
    /// The number is given to an endpoint.
    is_known: bool,
    /// On trial: the slot that is let out.
    let_out: Option<u32>,
    gives_up: Option<GivesUp>,
}

impl Member {
    /// Whether the connection in the slot at `index` may be leased: on trial the one that is let out.
    pub(super) fn may_lease(&self, index: u32) -> bool {
        match self.admission {
            Admission::Drawn | Admission::Spare => true,
            Admission::Trial => self.let_out == Some(index),
            Admission::Aside | Admission::Barred => false,
        }
    }

    /// What becomes of the connection in this slot, which comes back and is not given up; on trial the first is let out.
    fn passage(&mut self, slot: u32) -> Passage {
        match self.admission {
            Admission::Drawn | Admission::Spare => Passage::Free,
            Admission::Trial if *self.let_out.get_or_insert(slot) == slot => Passage::Free,
            Admission::Trial | Admission::Aside => Passage::Aside,
            Admission::Barred => Passage::Closed,
        }
    }

    /// Whether one of its connections is to be closed for another endpoint as it comes back.
    pub(super) fn gives_up(&self) -> bool {
        self.gives_up.is_some()
    }

    /// The connection in this slot is none any more.
    pub(super) fn lose(&mut self, slot: u32) {
        self.let_out = self.let_out.filter(|let_out| *let_out != slot);
    }
}

/// The endpoints of a set, as the ledger knows them; none in a pool of one endpoint.
#[derive(Default)]
pub(super) struct Members {
    pub(super) by_number: Vec<Member>,
    free: Vec<EndpointNumber>,
    /// Slots that are laid aside.
    aside: Vec<u32>,
    /// The set has endpoints.
    pub(super) has_some: bool,
}

impl Members {
    /// What is known of the endpoint of `slot`; `None` in a pool of one.
    pub(super) fn of<O: Owner>(&mut self, core: &Core<O>, slot: &Slot<O>) -> Option<&mut Member> {
        let number = slot.record(core)?.number();
        self.by_number.get_mut(number as usize)
    }

    /// Whether the endpoint with this number may serve, or be waited for.
    pub(super) fn may_serve(&self, number: EndpointNumber) -> bool {
        if number == ANY_TO_COME {
            return !self.has_some;
        }
        let member = self.by_number.get(number as usize);
        member.is_some_and(|member| member.admission.serves())
    }

    /// Takes a slot that is laid aside out of the list.
    pub(super) fn unlist_aside(&mut self, index: u32) -> bool {
        let place = self.aside.iter().position(|aside| *aside == index);
        place.map(|place| self.aside.swap_remove(place)).is_some()
    }

    /// Forgets which slots are laid aside; they are about to be taken.
    pub(super) fn unlist_all_aside(&mut self) {
        self.aside.clear();
    }

    /// Takes one of the slots that are laid aside, whatever endpoint it is of.
    pub(super) fn take_aside(&mut self) -> Option<u32> {
        self.aside.pop()
    }
}

impl<O: Owner> Core<O> {
    /// Whether `token`, which the pool itself had in hand, may be leased; always in a pool of one.
    pub(super) fn may_lease(&self, ledger: &mut Ledger<O>, token: &SlotToken<O>) -> bool {
        let member = ledger.members.of(self, token.slot());
        member.is_none_or(|member| member.may_lease(token.index()))
    }

    /// What becomes of `token`, which comes back, by its endpoint; in a pool of one it serves.
    pub(super) fn passage(&self, ledger: &mut Ledger<O>, token: &SlotToken<O>) -> Passage {
        let slot = token.slot();
        let Some(member) = ledger.members.of(self, slot) else {
            return Passage::Free;
        };
        let Some(gives_up) = member.gives_up else {
            return member.passage(slot.index);
        };
        if self.gives_up_now(ledger, slot, gives_up) {
            return Passage::GivenUp;
        }
        let member = ledger.members.of(self, slot);
        member.map_or(Passage::Free, |member| member.passage(slot.index))
    }

    /// Whether the connection in this slot, whose endpoint gives one up, is the one that goes.
    fn gives_up_now(&self, ledger: &mut Ledger<O>, slot: &Slot<O>, gives_up: GivesUp) -> bool {
        let GivesUp { to, before } = gives_up;
        let is_void = before.is_some() && ledger.aimed.first_at(to).is_none();
        let comes_first = slot.record(self).is_some_and(|record| match before {
            Some(before) => ledger
                .first_for(record.number())
                .is_some_and(|first| first < before),
            None => ledger.aimed.first_at(record.number()).is_some(),
        });
        if let Some(member) = ledger.members.of(self, slot).filter(|_| !comes_first) {
            member.gives_up = None;
        }
        !is_void && !comes_first
    }

    /// Takes the lock. Makes room for another endpoint, which is barred until it is [admitted](Self::admit). In a pool of
    /// one there is none.
    pub(crate) fn add_endpoint(&self) -> Option<EndpointNumber> {
        let endpoints = self.endpoints.as_deref()?;
        let mut ledger = lock(&self.ledger);
        let members = &mut ledger.members;
        let member = Member {
            admission: Admission::Barred,
            place: 0,
            is_known: true,
            let_out: None,
            gives_up: None,
        };
        Some(match members.free.pop() {
            Some(number) => {
                members.by_number[number as usize] = member;
                endpoints.record(number).begin();
                number
            }
            None => {
                let number = members.by_number.len() as EndpointNumber;
                endpoints.grow(number);
                members.by_number.push(member);
                number
            }
        })
    }

    /// Takes the lock. Whether the barred endpoint had no connections any more and is forgotten, its number free for
    /// another.
    pub(crate) fn forget_endpoint(&self, number: EndpointNumber) -> bool {
        let Some(endpoints) = self.endpoints.as_deref() else {
            return false;
        };
        let mut ledger = lock(&self.ledger);
        let members = &mut ledger.members;
        let Some(member) = members.by_number.get_mut(number as usize) else {
            return false;
        };
        let occupied = endpoints.record(number).occupied();
        let is_over = member.is_known && member.admission == Admission::Barred && occupied == 0;
        if is_over {
            member.is_known = false;
            members.free.push(number);
        }
        is_over
    }

    /// Takes the lock. Takes an idle connection of the endpoint, to be closed for the endpoint `to`; if there is none, the
    /// next that comes back is refused: where callers wait at `to`, once those who came before them have been served, and
    /// unless they have left by then.
    pub(crate) fn give_one_up(
        &self,
        number: EndpointNumber,
        to: EndpointNumber,
    ) -> Option<SlotToken<O>> {
        let endpoints = self.endpoints.as_deref()?;
        let mut ledger = lock(&self.ledger);
        for index in endpoints.record(number).slots() {
            let slot = self.table.get(index)?;
            if let Some(token) = SlotToken::claim_or_mark(self, slot) {
                if !ledger.members.unlist_aside(slot.index) {
                    ledger.shelf.unlist(&token);
                }
                self.close_soon(&mut ledger, &token);
                return Some(token);
            }
        }
        let before = ledger.aimed.first_at(to);
        if let Some(member) = ledger.members.by_number.get_mut(number as usize) {
            member.gives_up = Some(GivesUp { to, before });
        }
        None
    }

    /// Takes the lock. How far the endpoint may serve.
    pub(crate) fn admission_of(&self, number: EndpointNumber) -> Option<Admission> {
        let ledger = lock(&self.ledger);
        let member = ledger.members.by_number.get(number as usize)?;
        Some(member.admission)
    }

    /// Takes the lock. Whether a connection of the endpoint, which is on trial, is let out.
    pub(crate) fn lets_out(&self, number: EndpointNumber) -> bool {
        let ledger = lock(&self.ledger);
        let member = ledger.members.by_number.get(number as usize);
        member.is_some_and(|member| member.let_out.is_some())
    }

    /// Takes the lock. From now on the endpoint may serve as far as `admission` says. What it may keep no longer is the
    /// caller's to close: the idle connections of a barred one.
    pub(crate) fn admit(&self, number: EndpointNumber, admission: Admission) -> Vec<SlotToken<O>> {
        let mut wakers = Vec::new();
        let mut excess = Vec::new();
        if let Some(endpoints) = self.endpoints.as_deref() {
            let mut ledger = lock(&self.ledger);
            self.place(&mut ledger, endpoints, number, admission);
            let member = &mut ledger.members.by_number[number as usize];
            (member.let_out, member.gives_up) = (None, None);
            if !admission.serves() {
                wakers = self.send_away_from(&mut ledger, endpoints, number);
            }
            match admission {
                Admission::Drawn | Admission::Spare => {
                    self.take_up(&mut ledger, number, &mut wakers);
                }
                Admission::Aside | Admission::Trial => {
                    for token in self.recall_of(&mut ledger, endpoints, number) {
                        self.lay_aside(&mut ledger, token);
                    }
                    if admission == Admission::Trial {
                        self.take_up(&mut ledger, number, &mut wakers);
                    }
                }
                Admission::Barred => {
                    excess = self.recall_of(&mut ledger, endpoints, number);
                    for token in &excess {
                        self.close_soon(&mut ledger, token);
                    }
                }
            }
        }
        wake_all(wakers.into_iter().flatten());
        excess
    }

    /// Moves the endpoint to where the list of those that may serve has its like, or out of it.
    fn place(
        &self,
        ledger: &mut Ledger<O>,
        endpoints: &Endpoints,
        number: EndpointNumber,
        admission: Admission,
    ) {
        let (mut drawn, mut len) = (endpoints.drawn(), endpoints.len());
        let members = &mut ledger.members.by_number;
        let put = |members: &mut Vec<Member>, place: usize, number: EndpointNumber| {
            endpoints.put(place, number);
            members[number as usize].place = place as u32;
        };
        let at = |place| {
            endpoints
                .number_at(place)
                .expect("a place below the length is filled")
        };
        // Out of the list: the last of its part takes its place, and the last of all that one's.
        let was = members[number as usize].admission;
        let mut hole = members[number as usize].place as usize;
        let fill = |members: &mut Vec<Member>, hole: usize, end: usize| {
            if hole != end {
                put(members, hole, at(end));
            }
        };
        if was.is_drawn() {
            drawn -= 1;
            fill(members, hole, drawn);
            hole = drawn;
        }
        if was.serves() {
            len -= 1;
            fill(members, hole, len);
        }
        // Into it: the first spare one makes room at the end of the drawn.
        if admission.serves() {
            let mut place = len;
            if admission.is_drawn() {
                if drawn < len {
                    put(members, len, at(drawn));
                }
                place = drawn;
                drawn += 1;
            }
            put(members, place, number);
            len += 1;
        }
        members[number as usize].admission = admission;
        endpoints.record(number).set_admission(admission);
        endpoints.set_lengths(drawn, len);
    }

    /// Claims the idle connections of an endpoint, those laid aside as well; its leases have their marks afterwards.
    fn recall_of(
        &self,
        ledger: &mut Ledger<O>,
        endpoints: &Endpoints,
        number: EndpointNumber,
    ) -> Vec<SlotToken<O>> {
        let slots: Vec<_> = endpoints.record(number).slots().collect();
        let slots = slots.into_iter().filter_map(|index| {
            let slot = self.table.get(index)?;
            let token = SlotToken::claim_or_mark(self, slot)?;
            // It may have been on either list; on none if it was free.
            if !ledger.members.unlist_aside(slot.index) {
                ledger.shelf.unlist(&token);
            }
            Some(token)
        });
        slots.collect()
    }

    /// Keeps `token` idle, for nobody.
    pub(super) fn lay_aside(&self, ledger: &mut Ledger<O>, token: SlotToken<O>) {
        ledger.members.aside.push(token.index());
        token.make_idle(IdleSince::Before, Mark::Yes);
    }

    /// What was laid aside of an endpoint that may serve again goes to who waits, or is idle as others are; on trial one.
    fn take_up(
        &self,
        ledger: &mut Ledger<O>,
        number: EndpointNumber,
        wakers: &mut Vec<Option<std::task::Waker>>,
    ) {
        let aside = std::mem::take(&mut ledger.members.aside);
        let member = &mut ledger.members.by_number[number as usize];
        let (its, others): (Vec<_>, Vec<_>) = aside.into_iter().partition(|index| {
            let slot = self.table.get(*index as usize);
            let record = slot.and_then(|slot| slot.record(self));
            record.is_some_and(|record| record.number() == number)
                && member.passage(*index) == Passage::Free
        });
        ledger.members.aside = others;
        for index in its {
            let slot = self.table.get(index as usize);
            let slot = slot.expect("a listed slot is in the table");
            let mut token = SlotToken::take_marked(self, slot);
            if let Some(popped) = self.pass_to_waiter(ledger, &mut token) {
                wakers.push(popped.grant(token.into()));
            } else if ledger.shelf.is_up {
                ledger.shelf.list(&token, IdleSince::Before);
                token.make_idle(IdleSince::Before, Mark::Yes);
            } else {
                token.make_idle(IdleSince::Before, Mark::No);
            }
        }
    }
}
