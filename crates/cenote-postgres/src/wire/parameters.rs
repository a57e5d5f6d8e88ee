//! The parameters that a server reports of a session: within bounds, as the driver keeps them for ever, and read for
//! whether the session takes writes.

use std::collections::HashMap;
use std::io;

use super::Status;

/// How many different parameters a server may report. PostgreSQL reports some fifteen, an extension few more.
pub(super) const NAMES: usize = 1_000;
/// How many bytes their names and latest values may have together.
pub(super) const BYTES: usize = 1024 * 1024;

/// What was reported so far.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    /// How many bytes the latest value of each has.
    values: HashMap<Box<[u8]>, usize>,
    /// All names and latest values together.
    bytes: usize,
    /// The report on its way, as far as it is read.
    body: Vec<u8>,
}

impl Parameters {
    /// A report of this length begins.
    ///
    /// # Errors
    ///
    /// It alone is above the bound.
    pub(super) fn begin(&mut self, length: usize) -> io::Result<()> {
        within(1, length)
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.body.extend_from_slice(bytes);
    }

    /// The whole report was read.
    ///
    /// # Errors
    ///
    /// With it, what the server reported is above the bounds.
    pub(super) fn end(&mut self, status: &Status) -> io::Result<()> {
        let body = std::mem::take(&mut self.body);
        let mut texts = body.split(|&byte| byte == 0);
        // One that is malformed is the driver's to refuse.
        let (Some(name), Some(value)) = (texts.next(), texts.next()) else {
            return Ok(());
        };
        self.bytes += value.len();
        match self.values.get_mut(name) {
            Some(before) => self.bytes -= std::mem::replace(before, value.len()),
            None => {
                self.bytes += name.len();
                self.values.insert(name.into(), value.len());
            }
        }
        // PostgreSQL reports these since version 14.
        match name {
            b"default_transaction_read_only" => status.reports_read_only(value == b"on"),
            b"in_hot_standby" => status.reports_standby(value == b"on"),
            _ => {}
        }
        within(self.values.len(), self.bytes)
    }
}

fn within(names: usize, bytes: usize) -> io::Result<()> {
    let problem = if names > NAMES {
        format!("more than {NAMES} different parameters")
    } else if bytes > BYTES {
        format!("parameters of more than {BYTES} bytes together")
    } else {
        return Ok(());
    };
    Err(io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the server reported {problem}, which none does"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reports them in pieces; how many passed, and why the next did not.
    fn reported(reports: impl Iterator<Item = (String, String)>) -> (usize, Option<String>) {
        let mut parameters = Parameters::default();
        let mut passed = 0;
        for (name, value) in reports {
            let body = format!("{name}\0{value}\0");
            let mut report = || {
                parameters.begin(body.len())?;
                for piece in body.as_bytes().chunks(4096) {
                    parameters.add(piece);
                }
                parameters.end(&Status::default())
            };
            match report() {
                Ok(()) => passed += 1,
                Err(error) => return (passed, Some(error.to_string())),
            }
        }
        (passed, None)
    }

    /// Together they say which role the server has; one alone does not.
    #[test]
    fn what_says_whether_writes_are_taken_is_noted() {
        let status = Status::default();
        let mut parameters = Parameters::default();
        let mut report = |text: &str| {
            parameters.add(text.as_bytes());
            parameters.end(&status).expect("it is within bounds");
            (status.is_standby(), status.takes_no_writes())
        };
        assert_eq!(report("in_hot_standby\0on\0"), (Some(true), Some(true)));
        assert_eq!(report("in_hot_standby\0off\0"), (Some(false), None));
        let read_only = "default_transaction_read_only";
        for (value, takes_none) in [("on", true), ("off", false)] {
            let reported = report(&format!("{read_only}\0{value}\0"));
            assert_eq!(reported, (Some(false), Some(takes_none)));
        }
    }

    #[test]
    fn new_parameters_are_refused_above_their_number() {
        let endless = (0..).map(|i| (format!("name_{i}"), "on".into()));
        let (passed, refusal) = reported(endless);
        assert_eq!(passed, NAMES);
        let refusal = refusal.expect("it is refused");
        assert!(refusal.contains("1000 different parameters"), "{refusal}");
    }

    #[test]
    fn long_parameters_are_refused_above_their_bytes() {
        let long = "x".repeat(BYTES / 10);
        let endless = (0..).map(|i| (i.to_string(), long.clone()));
        let (passed, refusal) = reported(endless);
        assert_eq!(passed, 9);
        let refusal = refusal.expect("it is refused");
        assert!(refusal.contains("1048576 bytes"), "{refusal}");
    }

    #[test]
    fn one_parameter_that_is_too_long_is_refused_before_it_is_read() {
        assert!(Parameters::default().begin(BYTES + 1).is_err());
    }

    #[test]
    fn a_parameter_that_changes_for_ever_counts_once() {
        let long = "x".repeat(BYTES / 3);
        let changes = (0..2 * NAMES).map(|i| {
            let value = if i < 10 { &long[i..] } else { "on" };
            ("name".into(), value.into())
        });
        assert_eq!(reported(changes), (2 * NAMES, None));
    }
}
