//! The cells of the table: which there are, which apply, and how one is named.

use std::fmt;

use crate::bound::Bound;
use crate::situation::Situation;
use crate::state::State;

/// Whose connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Database {
    /// `cenote-postgres`.
    Postgres,
    /// `cenote-redis`.
    Redis,
}

/// For how many a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// One user at a time: a `Pool`.
    Exclusive,
    /// Many at once: a `SharedPool` of pipelined connections.
    Shared,
}

impl Database {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Postgres, Self::Redis];

    /// As the table and `--only` have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Redis => "redis",
        }
    }
}

impl Kind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Exclusive, Self::Shared];

    /// As the table and `--only` have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Exclusive => "exclusive",
            Self::Shared => "shared",
        }
    }
}

/// One cell: a situation that befalls a connection in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cell {
    /// Whose connection.
    pub database: Database,
    /// For how many.
    pub kind: Kind,
    /// What happens.
    pub situation: Situation,
    /// What it is doing.
    pub state: State,
}

/// Whether a cell can be, and what must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applies {
    /// Service is as before within this bound.
    Within(Bound),
    /// There is no such state, for this reason, which is tried out too.
    Not(&'static str),
}

impl Cell {
    /// Every cell, those that do not apply included: 288.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for database in Database::ALL {
            for kind in Kind::ALL {
                for situation in Situation::ALL {
                    for state in State::ALL {
                        all.push(Self {
                            database,
                            kind,
                            situation,
                            state,
                        });
                    }
                }
            }
        }
        all
    }

    /// Whether it can be, and what must hold.
    #[must_use]
    pub fn applies(self) -> Applies {
        match (self.database, self.kind, self.state) {
            (Database::Postgres, Kind::Shared, State::Listening) => Applies::Not(
                "a shared PostgreSQL connection refuses LISTEN: what one user listens to would reach all",
            ),
            (Database::Postgres, Kind::Shared, State::InTransaction) => Applies::Not(
                "a shared PostgreSQL connection refuses BEGIN: each statement is a transaction of its own",
            ),
            (Database::Redis, Kind::Shared, State::Listening) => Applies::Not(
                "a shared Redis connection refuses SUBSCRIBE: one that listens can do nothing else",
            ),
            _ => Applies::Within(self.situation.bound()),
        }
    }

    /// Whether each part of `filter`, separated by slashes, is part of this cell's name or begins one: the database,
    /// the kind, the situation, the state. In any order.
    #[must_use]
    pub fn matches(self, filter: &str) -> bool {
        filter
            .split('/')
            .filter(|part| !part.is_empty() && *part != "*")
            .all(|part| self.parts().contains(&part))
    }

    /// The first part of a filter that is the name of nothing, if any is.
    #[must_use]
    pub fn unknown_part(filter: &str) -> Option<&str> {
        filter.split('/').find(|part| {
            !part.is_empty() && *part != "*" && !Self::all().iter().any(|cell| cell.matches(part))
        })
    }

    fn parts(self) -> [&'static str; 4] {
        [
            self.database.name(),
            self.kind.name(),
            self.situation.name(),
            self.state.name(),
        ]
    }

    /// A name that keys, tables and channels of this cell have, and no other's.
    #[must_use]
    pub fn identifier(self) -> String {
        self.parts().join("_").replace('-', "_")
    }
}

/// `postgres/shared/silent/idle`.
impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.parts().join("/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_288_cells_and_each_name_is_one() {
        let all = Cell::all();
        assert_eq!(all.len(), 288);
        for cell in &all {
            let name = cell.to_string();
            let named: Vec<_> = all.iter().filter(|other| other.matches(&name)).collect();
            assert_eq!(named, [cell], "{name}");
        }
    }

    #[test]
    fn a_filter_names_parts_in_any_order_and_may_leave_some_out() {
        let count = |filter: &str| Cell::all().iter().filter(|c| c.matches(filter)).count();
        assert_eq!(count("redis"), 144);
        assert_eq!(count("idle/redis"), 24);
        assert_eq!(count("postgres/*/silent/*"), 12);
        assert_eq!(Cell::unknown_part("redis/idel"), Some("idel"));
        assert_eq!(Cell::unknown_part("redis/idle"), None);
    }

    #[test]
    fn what_does_not_apply_is_a_state_that_sharing_refuses() {
        for cell in Cell::all() {
            if let Applies::Not(why) = cell.applies() {
                assert_eq!(cell.kind, Kind::Shared, "{cell}");
                assert!(why.contains("refuses"), "{cell}: {why}");
            }
        }
    }
}
