//! The parts of `cargo xtask test`: their names, their order and the commands each one runs.

use crate::invocation::{Invocation, Proof};
use std::env;
use std::path::PathBuf;

/// One part. `Part::ALL` has them in the order they run: what fails soonest comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Servers,
    Fmt,
    Clippy,
    Test,
    Doctest,
    Doc,
    Loom,
    Shuttle,
    Bench,
    Package,
    Deny,
}

/// The members of the workspace that are not published.
const UNPUBLISHED: [&str; 3] = ["cenote-situations", "cenote-soak", "xtask"];

/// How a part does its work.
#[derive(Debug)]
pub enum Work {
    /// Installs the servers that tests start, if they are missing.
    InstallServers,
    /// Runs these one after the other.
    Run(Vec<Invocation>),
    /// The same, if the cargo subcommand of this name is installed.
    RunWith(&'static str, Vec<Invocation>),
}

impl Part {
    pub const ALL: [Self; 11] = [
        Self::Servers,
        Self::Fmt,
        Self::Clippy,
        Self::Test,
        Self::Doctest,
        Self::Doc,
        Self::Loom,
        Self::Shuttle,
        Self::Bench,
        Self::Package,
        Self::Deny,
    ];

    /// As `--only` and `--skip` take it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Servers => "servers",
            Self::Fmt => "fmt",
            Self::Clippy => "clippy",
            Self::Test => "test",
            Self::Doctest => "doctest",
            Self::Doc => "doc",
            Self::Loom => "loom",
            Self::Shuttle => "shuttle",
            Self::Bench => "bench",
            Self::Package => "package",
            Self::Deny => "deny",
        }
    }

    /// What it checks, in one line.
    pub fn about(self) -> &'static str {
        match self {
            Self::Servers => {
                "PostgreSQL and Redis are installed; if not, installs them (root, Debian)"
            }
            Self::Fmt => "every file, those of bench/ too, is formatted as rustfmt does it",
            Self::Clippy => {
                "no warning of the compiler or of clippy, in any target with all features"
            }
            Self::Test => "unit and integration tests, against real servers too",
            Self::Doctest => "the examples in the documentation",
            Self::Doc => "the documentation builds without a warning",
            Self::Loom => {
                "the models of the kernel and the mux, in every interleaving within their bounds"
            }
            Self::Shuttle => "the pools' models, in thousands of random schedules",
            Self::Bench => {
                "bench/, a workspace of its own, compiles, and rivals fail where docs/guarantees.md says"
            }
            Self::Package => "every crate that is published can be packaged",
            Self::Deny => {
                "bans, licences and sources of the dependencies, if cargo-deny is installed"
            }
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.name() == name)
    }

    pub fn work(self) -> Work {
        let workspace = ["--workspace", "--all-features"];
        match self {
            Self::Servers => Work::InstallServers,
            Self::Fmt => Work::Run(vec![
                Invocation::cargo(["fmt", "--all", "--", "--check"]),
                Invocation::cargo([
                    "fmt",
                    "--manifest-path",
                    "bench/Cargo.toml",
                    "--",
                    "--check",
                ]),
            ]),
            Self::Clippy => Work::Run(vec![Invocation::cargo(["clippy"]).args(workspace).args([
                "--all-targets",
                "--",
                "-D",
                "warnings",
            ])]),
            Self::Test => Work::Run(vec![
                Invocation::cargo(["test"])
                    .args(workspace)
                    .args(["--all-targets"]),
            ]),
            Self::Doctest => Work::Run(vec![
                Invocation::cargo(["test"]).args(workspace).args(["--doc"]),
            ]),
            Self::Doc => Work::Run(vec![
                Invocation::cargo(["doc"])
                    .args(workspace)
                    .args(["--no-deps"])
                    .flags("RUSTDOCFLAGS", "-D warnings"),
            ]),
            Self::Loom => Work::Run(vec![models("loom", "--cfg cenote_loom")]),
            Self::Shuttle => Work::Run(vec![models("shuttle", "--cfg cenote_shuttle")]),
            Self::Bench => Work::Run(vec![
                Invocation::cargo(["check", "--manifest-path", "bench/Cargo.toml"])
                    .args(["--all-targets", "--locked"]),
                Invocation::cargo(["test", "--manifest-path", "bench/Cargo.toml"])
                    .args(["--test", "rivals", "--locked"])
                    .proof(Proof::TestsRan),
            ]),
            // Quietly: it warns of every test that is left out on purpose. Whether what is packaged compiles, the
            // other parts tell; and nothing is downloaded.
            Self::Package => Work::Run(vec![
                Invocation::cargo(["package", "--workspace", "--quiet", "--no-verify"])
                    .args(["--allow-dirty", "--offline"])
                    .args(UNPUBLISHED.map(|name| format!("--exclude={name}"))),
            ]),
            Self::Deny => Work::RunWith(
                "deny",
                vec![Invocation::cargo([
                    "deny", "check", "bans", "licenses", "sources",
                ])],
            ),
        }
    }
}

/// The models of one checker.
fn models(checker: &str, flags: &'static str) -> Invocation {
    Invocation::cargo(["test", "-p", "cenote", "--release", "--lib", "models"])
        // Another configuration of every crate: a folder of its own keeps all built.
        .args(["--target-dir".into(), target_folder().join(checker)])
        .flags("RUSTFLAGS", flags)
        // A count that wraps may come out right in the end.
        .variable("CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS", "true")
        .proof(Proof::TestsRan)
}

fn target_folder() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_found_by_its_name() {
        for part in Part::ALL {
            assert_eq!(Part::named(part.name()), Some(part));
        }
    }

    #[test]
    fn every_part_that_runs_commands_has_some() {
        for part in Part::ALL {
            if let Work::Run(invocations) | Work::RunWith(_, invocations) = part.work() {
                assert!(!invocations.is_empty(), "{part:?}");
            }
        }
    }

    #[test]
    fn the_models_must_have_run_for_their_part_to_pass() {
        for part in [Part::Loom, Part::Shuttle] {
            let Work::Run(invocations) = part.work() else {
                panic!("models are run by cargo");
            };
            assert!(
                invocations
                    .iter()
                    .all(|invocation| invocation.asks_for(Proof::TestsRan))
            );
        }
    }
}
