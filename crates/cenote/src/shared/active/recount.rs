//! Whether all counts are exact: by a look at each active connection, which tests take and the pool never does.

use super::entry::Tally;
use super::{Active, Part};
use crate::connect::Multiplex;

impl<C: Multiplex> Active<C> {
    /// All counts and lists are what a look at each active connection says.
    pub(in crate::shared) fn assert_exact(&self) {
        let mut totals = Tally::default();
        let mut listed = [0, 0];
        for (i, entry) in self.entries.iter().enumerate() {
            totals.add(self.tally(i));
            assert_eq!(entry.conn.index(), Some(i));
            let belongs = self.part_of(i);
            assert_eq!(entry.roomy_at.map(|(part, _)| part), belongs, "{i}");
            if let Some((part, place)) = entry.roomy_at {
                let (list, count) = match part {
                    Part::Drawn => (&self.roomy.drawn, &mut listed[0]),
                    Part::Spare => (&self.roomy.spare, &mut listed[1]),
                };
                assert_eq!(list[place], i);
                *count += 1;
            }
            if let Some((set, number)) = self.set.as_ref().zip(entry.number) {
                let endpoint = set.endpoint(number).expect("a connection's is known");
                assert_eq!(
                    endpoint
                        .connections
                        .iter()
                        .filter(|known| **known == i)
                        .count(),
                    1
                );
            }
        }
        assert_eq!(totals, self.totals);
        assert_eq!(listed, [self.roomy.drawn.len(), self.roomy.spare.len()]);
        let Some(set) = &self.set else {
            return;
        };
        for number in 0..set.len() {
            let endpoint = set.endpoint(number).expect("it is below the length");
            let of_each = endpoint
                .connections
                .iter()
                .map(|i| self.entries[*i].of_endpoint());
            let sum = of_each.fold((0, 0), |sum, (in_flight, capacity)| {
                (sum.0 + in_flight, sum.1 + capacity)
            });
            assert_eq!(
                sum,
                (endpoint.in_flight, endpoint.capacity),
                "endpoint {number}"
            );
        }
        let known: usize = (0..set.len())
            .filter_map(|number| Some(set.endpoint(number)?.connections.len()))
            .sum();
        assert_eq!(known, self.entries.len());
    }
}
