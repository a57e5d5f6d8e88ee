//! One run of cargo: its version, its arguments, its environment and what proves that it passed.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{ChildStdout, Command, Stdio};

/// What makes a run count as passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It ended with status 0.
    Status,
    /// It ended with status 0, and at least one test ran: a filter that matches nothing passes too.
    TestsRan,
    /// It ended with status 0, and said of this many cells of the table of situations, and of no fewer, that each
    /// passed or does not apply.
    CellsHeld(u64),
}

/// A run of cargo.
#[derive(Debug)]
pub struct Invocation {
    /// The version of Rust, if not the one that runs this.
    rust: Option<&'static str>,
    args: Vec<OsString>,
    flags: Option<(&'static str, &'static str)>,
    variables: Vec<(&'static str, String)>,
    proof: Proof,
}

impl Invocation {
    pub fn cargo<const N: usize>(args: [&str; N]) -> Self {
        let args = args.map(OsString::from).to_vec();
        Self {
            rust: None,
            args,
            flags: None,
            variables: Vec::new(),
            proof: Proof::Status,
        }
    }

    pub fn args<A: Into<OsString>, const N: usize>(mut self, args: [A; N]) -> Self {
        self.args.extend(args.map(Into::into));
        self
    }

    /// Runs cargo of this version of Rust, which rustup has.
    pub fn of_rust(mut self, version: &'static str) -> Self {
        self.rust = Some(version);
        self
    }

    /// Adds to a variable of flags, such as `RUSTFLAGS`; what the caller has set there stays.
    pub fn flags(mut self, variable: &'static str, flags: &'static str) -> Self {
        self.flags = Some((variable, flags));
        self
    }

    /// Sets a variable, unless the caller has.
    pub fn variable(mut self, name: &'static str, value: impl ToString) -> Self {
        self.variables.push((name, value.to_string()));
        self
    }

    pub fn proof(mut self, proof: Proof) -> Self {
        self.proof = proof;
        self
    }

    #[cfg(test)]
    pub fn asks_for(&self, proof: Proof) -> bool {
        self.proof == proof
    }

    /// Runs it; what it prints goes where this program's own output goes, as it comes.
    pub fn run(&self) -> Result<(), String> {
        let mut command = match self.rust {
            Some(version) => {
                let mut rustup = Command::new("rustup");
                rustup.args(["run", version, "cargo"]);
                rustup
            }
            None => Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into())),
        };
        command.args(&self.args).stdin(Stdio::null());
        if let Some((variable, flags)) = self.flags {
            command.env(variable, joined(env::var_os(variable).as_deref(), flags));
        }
        for (name, value) in &self.variables {
            if env::var_os(name).is_none() {
                command.env(name, value);
            }
        }
        match self.proof {
            Proof::Status => {
                let status = command.status().map_err(|error| self.cannot_run(&error))?;
                if status.success() {
                    Ok(())
                } else {
                    Err(format!("`{self}` failed ({status})"))
                }
            }
            Proof::TestsRan => match self.run_counting(&mut command, passed_tests)? {
                0 => Err(format!("`{self}` ran no test")),
                _ => Ok(()),
            },
            Proof::CellsHeld(all) => match self.run_counting(&mut command, cells_held)? {
                held if held == all => Ok(()),
                held => Err(format!("`{self}` told of {held} cells instead of {all}")),
            },
        }
    }

    /// Runs it, and adds up what `count` finds in the lines that it prints.
    fn run_counting(
        &self,
        command: &mut Command,
        count: fn(&str) -> Option<u64>,
    ) -> Result<u64, String> {
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| self.cannot_run(&error))?;
        let output = child
            .stdout
            .take()
            .expect("its output was asked for as a pipe");
        let counted = echo_counting(output, count);
        let status = child.wait().map_err(|error| self.cannot_run(&error))?;
        if !status.success() {
            return Err(format!("`{self}` failed ({status})"));
        }
        counted.map_err(|error| self.cannot_run(&error))
    }

    fn cannot_run(&self, error: &io::Error) -> String {
        format!("cannot run `{self}`: {error}")
    }
}

/// As one would type it.
impl fmt::Display for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((variable, flags)) = self.flags {
            write!(f, "{variable}=\"{flags}\" ")?;
        }
        for (name, value) in &self.variables {
            write!(f, "{name}={value} ")?;
        }
        f.write_str("cargo")?;
        if let Some(version) = self.rust {
            write!(f, " +{version}")?;
        }
        self.args
            .iter()
            .try_for_each(|arg| write!(f, " {}", arg.display()))
    }
}

fn joined(own: Option<&OsStr>, flags: &str) -> OsString {
    let mut joined = own.unwrap_or_default().to_owned();
    if !joined.is_empty() {
        joined.push(" ");
    }
    joined.push(flags);
    joined
}

/// Prints what a run prints, and adds up what `count` finds in its lines.
fn echo_counting(output: ChildStdout, count: fn(&str) -> Option<u64>) -> io::Result<u64> {
    let mut counted = 0;
    for line in BufReader::new(output).lines() {
        let line = line?;
        writeln!(io::stdout(), "{line}")?;
        counted += count(&line).unwrap_or(0);
    }
    Ok(counted)
}

/// The number of tests passed in cargo test's closing line: `test result: ok. 3 passed; ...`.
fn passed_tests(line: &str) -> Option<u64> {
    let (_, result) = line.split_once("test result: ")?;
    let (before, _) = result.split_once(" passed;")?;
    before.split_whitespace().last()?.parse().ok()
}

/// The number of cells that are as they must be in the closing line of `cenote-situations`:
/// `288 cells: 252 passed, 36 not applicable, 0 failed`. None if one failed.
fn cells_held(line: &str) -> Option<u64> {
    let (all, what) = line.split_once(" cells: ")?;
    let (passed, rest) = what.split_once(" passed, ")?;
    let (not_applicable, failed) = rest.split_once(" not applicable, ")?;
    let number = |text: &str| text.parse::<u64>().ok();
    let held = number(passed)? + number(not_applicable)?;
    (failed == "0 failed" && number(all)? == held).then_some(held)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_counted_where_each_passed_or_does_not_apply() {
        let all = "288 cells: 252 passed, 36 not applicable, 0 failed";
        assert_eq!(cells_held(all), Some(288));
        let but_one = "288 cells: 251 passed, 36 not applicable, 1 failed";
        assert_eq!(cells_held(but_one), None);
        assert_eq!(cells_held("postgres exclusive  0.21  0.16"), None);
    }

    #[test]
    fn passed_tests_are_counted_from_the_closing_line() {
        let line = "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 40 filtered out; finished in 1.20s";
        assert_eq!(passed_tests(line), Some(12));
    }

    #[test]
    fn other_lines_count_no_test() {
        assert_eq!(passed_tests("test kernel::models::claim ... ok"), None);
        assert_eq!(passed_tests("running 12 tests"), None);
    }

    #[test]
    fn flags_are_added_to_the_callers_own() {
        assert_eq!(
            joined(Some(OsStr::new("-C debuginfo=0")), "-D warnings"),
            "-C debuginfo=0 -D warnings"
        );
        assert_eq!(joined(None, "-D warnings"), "-D warnings");
    }

    #[test]
    fn an_invocation_reads_as_one_would_type_it() {
        let invocation = Invocation::cargo(["doc"])
            .args(["--no-deps"])
            .flags("RUSTDOCFLAGS", "-D warnings")
            .variable("CENOTE_SEEDS", 30);
        assert_eq!(
            invocation.to_string(),
            "RUSTDOCFLAGS=\"-D warnings\" CENOTE_SEEDS=30 cargo doc --no-deps"
        );
    }

    #[test]
    fn a_run_that_fails_is_told_with_its_command() {
        let problem = Invocation::cargo(["no-such-subcommand"]).run().unwrap_err();
        assert!(
            problem.starts_with("`cargo no-such-subcommand` failed"),
            "{problem}"
        );
    }
}
