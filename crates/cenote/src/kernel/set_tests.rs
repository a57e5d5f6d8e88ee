//! A set of endpoints against a naive one, on one thread: who may serve, what is counted where, and that what is idle of
//! those that may serve is found.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;

use super::*;

/// A pool that does nothing of its own.
pub(super) struct Least;

impl Owner for Least {
    type Entry = ();
    type SlotMeta = ();
    type Refusal = ();

    fn abort(token: &mut SlotToken<Self>) {
        token.take();
    }
    fn is_wanted(_: &Core<Self>, (): &()) -> bool {
        true
    }
    fn vacated(_: &Arc<Core<Self>>) {}
    fn returned(_: SlotToken<Self>, _: Option<&Core<Self>>) {}
    fn sent_away() {}
    fn return_unclaimed(_: SlotToken<Self>) {}
    fn choose<'a>(core: &Core<Self>, endpoints: &'a Endpoints) -> Option<Choice<'a>> {
        let first = (core.key() as usize).checked_rem(endpoints.drawn())?;
        let place = (first + 1) % endpoints.drawn();
        Some(Choice {
            first: endpoints.record_at(first)?,
            second: endpoints.record_at(place)?,
            place,
        })
    }
}

pub(super) const ROOM: Room = Room {
    max_size: 9,
    max_opening: 9,
};

const ADMISSIONS: [Admission; 5] = [
    Admission::Drawn,
    Admission::Spare,
    Admission::Trial,
    Admission::Aside,
    Admission::Barred,
];

/// What a set should look like.
#[derive(Default)]
struct Naive {
    admissions: BTreeMap<EndpointNumber, Admission>,
    /// Connections, by endpoint.
    open: BTreeMap<EndpointNumber, usize>,
    held: Vec<SlotToken<Least>>,
}

pub(super) fn number_of(core: &Core<Least>, token: &SlotToken<Least>) -> EndpointNumber {
    core.endpoint_of(token.index() as usize)
        .expect("a set has endpoints")
}

impl Naive {
    fn close(&mut self, core: &Core<Least>, token: SlotToken<Least>) {
        let number = number_of(core, &token);
        *self.open.get_mut(&number).expect("it was opened") -= 1;
        drop(token);
    }

    fn put_back(&mut self, core: &Core<Least>, token: SlotToken<Least>) {
        if let Err(token) = token.release() {
            if let Release::Excess(token, why) = core.release(token, IdleSince::Now) {
                let number = number_of(core, &token);
                assert_eq!(why, Excess::Barred);
                assert_eq!(self.admissions[&number], Admission::Barred);
                self.close(core, token);
            }
        }
    }

    fn check(&self, core: &Core<Least>) {
        let endpoints = core.endpoints().expect("a set has endpoints");
        let those = |wanted: &[Admission]| -> BTreeSet<_> {
            let its = self.admissions.iter();
            its.filter(|(_, admission)| wanted.contains(admission))
                .map(|(number, _)| *number)
                .collect()
        };
        let listed = |places: std::ops::Range<usize>| -> BTreeSet<_> {
            places
                .filter_map(|place| endpoints.number_at(place))
                .collect()
        };
        let (drawn, len) = (endpoints.drawn(), endpoints.len());
        let expected = those(&[Admission::Drawn, Admission::Trial]);
        assert_eq!(
            (listed(0..drawn), drawn),
            (expected.clone(), expected.len())
        );
        let spare = those(&[Admission::Spare]);
        assert_eq!(
            (listed(drawn..len), len - drawn),
            (spare.clone(), spare.len())
        );
        for (number, open) in &self.open {
            let record = endpoints.record(*number);
            let held = self.held.iter();
            let held = held.filter(|token| number_of(core, token) == *number);
            assert_eq!(record.in_flight() as usize, held.count());
            assert_eq!((record.open() as usize, record.opening()), (*open, 0));
        }
        let open: usize = self.open.values().sum();
        assert_eq!(core.demand().occupied, open);
    }

    /// Whether a claim has to find something of those that are admitted so: an idle connection of an endpoint of which any
    /// may serve.
    fn has_idle(&self, core: &Core<Least>, admission: Admission) -> bool {
        let of_endpoint = |number: &EndpointNumber| {
            self.admissions[number] == admission && self.has_idle_at(core, *number)
        };
        self.open.keys().any(of_endpoint)
    }

    fn has_idle_at(&self, core: &Core<Least>, number: EndpointNumber) -> bool {
        let held = self.held.iter();
        let held = held.filter(|token| number_of(core, token) == number);
        held.count() < self.open[&number]
    }
}

fn play(seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let core = Core::new(Least, 64, Order::Balanced);
    let mut naive = Naive::default();
    for _ in 0..rng.usize(1..6) {
        let number = core.add_endpoint().expect("a set has endpoints");
        naive.admissions.insert(number, Admission::Barred);
        naive.open.insert(number, 0);
    }
    for _ in 0..300 {
        let number = rng.u32(..naive.admissions.len() as u32);
        match rng.u32(..10) {
            0..3 => {
                let admission = ADMISSIONS[rng.usize(..ADMISSIONS.len())];
                naive.admissions.insert(number, admission);
                for token in core.admit(number, admission) {
                    naive.close(&core, token);
                }
            }
            3..6 => {
                let may_open = naive.admissions[&number] != Admission::Barred;
                let opening = core.open_at(number, 64, &ROOM);
                assert_eq!(opening.is_some(), may_open && naive.open[&number] < 9);
                if let Some(opening) = opening {
                    *naive.open.get_mut(&number).expect("it was added") += 1;
                    let token = opening.fill(());
                    naive.put_back(&core, token);
                }
            }
            6..8 => {
                let has_drawn = naive.has_idle(&core, Admission::Drawn);
                let has_spare = naive.has_idle(&core, Admission::Spare);
                let found = core.claim();
                assert!(found.is_some() || !has_drawn && !has_spare);
                if let Some(token) = found {
                    let admission = naive.admissions[&number_of(&core, &token)];
                    assert!(![Admission::Aside, Admission::Barred].contains(&admission));
                    assert!(admission != Admission::Spare || !has_drawn);
                    naive.held.push(token);
                }
            }
            8 if rng.bool() => {
                let serves = [Admission::Drawn, Admission::Spare];
                let serves = serves.contains(&naive.admissions[&number]);
                let found = core.claim_of(number);
                assert!(found.is_some() || !serves || !naive.has_idle_at(&core, number));
                if let Some(token) = found {
                    assert_eq!(number_of(&core, &token), number);
                    let admission = naive.admissions[&number];
                    assert!(serves || admission == Admission::Trial);
                    naive.held.push(token);
                }
            }
            8 if !naive.held.is_empty() => {
                let token = naive.held.swap_remove(rng.usize(..naive.held.len()));
                naive.put_back(&core, token);
            }
            _ if !naive.held.is_empty() => {
                let token = naive.held.swap_remove(rng.usize(..naive.held.len()));
                naive.close(&core, token);
            }
            _ => {}
        }
        naive.check(&core);
    }
}

#[test]
fn whatever_is_done_to_a_set_its_lists_and_counts_are_as_a_naive_one_has_them() {
    for seed in 0..300 {
        play(seed);
    }
}

/// What was idle before its endpoint was put on trial, was leased, or is dialled then.
#[test]
fn on_trial_one_connection_alone_is_leased() {
    let core = Core::new(Least, 8, Order::Balanced);
    let number = core.add_endpoint().expect("a set has endpoints");
    core.admit(number, Admission::Drawn);
    let open = || {
        core.open_at(number, 8, &ROOM)
            .expect("there is room")
            .fill(())
    };
    let put_back = |token| assert!(matches!(core.release(token, IdleSince::Now), Release::Kept));
    (0..3).for_each(|_| put_back(open()));
    let held = core.claim().expect("three are idle");
    core.admit(number, Admission::Trial);
    put_back(open());
    let on_trial = core.claim().expect("one is let out");
    put_back(held);
    assert!(core.claim().is_none(), "it is out");
    put_back(on_trial);
    let on_trial = core.claim().expect("it is back");
    assert!(core.lets_out(number));
    drop(on_trial);
    assert!(!core.lets_out(number) && core.claim().is_none());
    core.admit(number, Admission::Trial);
    assert!(core.claim().is_some(), "another is let out");
}

/// What the pool itself had in hand for a check does not come back, and is none of those that are given up.
#[test]
fn an_endpoint_gives_up_a_connection_that_comes_back_and_none_that_is_checked_for_a_lease() {
    let core = Core::new(Least, 8, Order::Balanced);
    let number = core.add_endpoint().expect("a set has endpoints");
    core.admit(number, Admission::Drawn);
    let open = || {
        core.open_at(number, 8, &ROOM)
            .expect("there is room")
            .fill(())
    };
    let leased = core
        .relet(open())
        .unwrap_or_else(|_| panic!("it may serve"));
    let checked = open();
    assert!(core.give_one_up(number, number).is_none(), "none is idle");
    let checked = core
        .relet(checked)
        .unwrap_or_else(|_| panic!("it may serve"));
    let refused = core.release(leased, IdleSince::Now);
    assert!(matches!(refused, Release::Excess(_, Excess::GivenUp)));
    let kept = core.release(checked, IdleSince::Now);
    assert!(matches!(kept, Release::Kept), "one was asked for");
}
