//! Failures counted by kind.

use std::collections::BTreeMap;

use crate::shown::Shown;

/// Failures of one kind.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ErrorCount {
    pub kind: String,
    pub count: u64,
    /// The first one's message.
    pub example: String,
}

impl ErrorCount {
    /// The same as it may be shown.
    pub fn shown(&self, shown: &Shown) -> Self {
        Self {
            kind: shown.of(&self.kind),
            count: self.count,
            example: shown.of(&self.example),
        }
    }
}

/// Failures of all kinds.
#[derive(Clone, Debug, Default)]
pub struct Errors(BTreeMap<String, ErrorCount>);

/// Kinds of failures told apart. Servers choose their codes: one that made them up would fill tables and memory.
const MOST_KINDS: usize = 50;

impl Errors {
    /// Counts one more.
    pub fn count(&mut self, kind: &str, message: &str) {
        let is_known = self.0.contains_key(kind);
        let kind = match !is_known && self.0.len() >= MOST_KINDS {
            true => "others",
            false => kind,
        };
        match self.0.get_mut(kind) {
            Some(error) => error.count += 1,
            None => {
                let error = ErrorCount {
                    kind: kind.to_owned(),
                    count: 1,
                    example: message.to_owned(),
                };
                self.0.insert(kind.to_owned(), error);
            }
        }
    }

    pub fn merge(&mut self, other: &Self) {
        for (kind, error) in &other.0 {
            self.0
                .entry(kind.clone())
                .and_modify(|merged| merged.count += error.count)
                .or_insert_with(|| error.clone());
        }
    }

    /// By falling count.
    pub fn by_count(&self) -> Vec<ErrorCount> {
        let mut errors: Vec<_> = self.0.values().cloned().collect();
        errors.sort_by_key(|error| std::cmp::Reverse(error.count));
        errors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_without_end_are_counted_as_others() {
        let mut errors = Errors::default();
        for number in 0..1000 {
            errors.count(&format!("request: refused by the server ({number})"), "");
        }
        let errors = errors.by_count();
        assert_eq!(errors.len(), MOST_KINDS + 1);
        assert_eq!(errors.iter().map(|error| error.count).sum::<u64>(), 1000);
    }
}
