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
    Features,
    Test,
    Doctest,
    Doc,
    Loom,
    Shuttle,
    Bench,
    Clients,
    Package,
    Oldest,
    Minimal,
    Targets,
    Deny,
}

/// The members of the workspace that are not published.
const UNPUBLISHED: [&str; 4] = [
    "cenote-simulation",
    "cenote-situations",
    "cenote-soak",
    "xtask",
];

/// How a part does its work.
#[derive(Debug)]
pub enum Work {
    /// Installs the servers that tests start, if they are missing.
    InstallServers,
    /// Runs these one after the other.
    Run(Vec<Invocation>),
    /// The same, once what they need is there; else skips the part.
    RunWith(Vec<Need>, Vec<Invocation>),
}

/// What a part needs beside the toolchain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The cargo subcommand of this name.
    Subcommand(&'static str),
    /// A toolchain of this version, which rustup may install.
    Rust(&'static str),
    /// The standard library of this target, which rustup may install.
    Target(&'static str),
}

/// The oldest Rust of `cenote`, `cenote-tower` and `cenote-testkit`, as their manifests declare it.
const OLDEST: &str = "1.85";
/// The oldest Rust of the other published crates, whose dependencies ask for it.
const OLDEST_OF_OTHERS: &str = "1.88";
/// The oldest Rust of `cenote-aws`, whose dependencies ask for a newer one than those of the others.
const OLDEST_OF_AWS: &str = "1.94.1";
const WINDOWS: &str = "x86_64-pc-windows-gnu";
const MACOS: &str = "aarch64-apple-darwin";
/// The published crates that are libraries.
const LIBRARIES: [&str; 7] = [
    "-pcenote",
    "-pcenote-tower",
    "-pcenote-dns",
    "-pcenote-http",
    "-pcenote-postgres",
    "-pcenote-redis",
    "-pcenote-testkit",
];

impl Part {
    pub const ALL: [Self; 16] = [
        Self::Servers,
        Self::Fmt,
        Self::Clippy,
        Self::Features,
        Self::Test,
        Self::Doctest,
        Self::Doc,
        Self::Loom,
        Self::Shuttle,
        Self::Bench,
        Self::Clients,
        Self::Package,
        Self::Oldest,
        Self::Minimal,
        Self::Targets,
        Self::Deny,
    ];

    /// As `--only` and `--skip` take it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Servers => "servers",
            Self::Fmt => "fmt",
            Self::Clippy => "clippy",
            Self::Features => "features",
            Self::Test => "test",
            Self::Doctest => "doctest",
            Self::Doc => "doc",
            Self::Loom => "loom",
            Self::Shuttle => "shuttle",
            Self::Bench => "bench",
            Self::Clients => "clients",
            Self::Package => "package",
            Self::Oldest => "oldest",
            Self::Minimal => "minimal",
            Self::Targets => "targets",
            Self::Deny => "deny",
        }
    }

    /// What it checks, in one line.
    pub fn about(self) -> &'static str {
        match self {
            Self::Servers => {
                "the servers that tests start are installed; if not, installs them (root, Debian)"
            }
            Self::Fmt => {
                "every file, those of bench/ and clients/ too, is formatted as rustfmt does it"
            }
            Self::Clippy => {
                "no warning of the compiler or of clippy, in any target with all features"
            }
            Self::Features => "no warning in cenote without any feature, nor with each alone",
            Self::Test => "unit and integration tests, against real servers too",
            Self::Doctest => "the examples in the documentation",
            Self::Doc => "the documentation builds without a warning",
            Self::Loom => {
                "the models of the kernel, the mux and the lease word, in every interleaving within their bounds"
            }
            Self::Shuttle => "the pools' models, in thousands of random schedules",
            Self::Bench => {
                "bench/, a workspace of its own, compiles, and rivals fail where docs/guarantees.md says"
            }
            Self::Clients => {
                "clients/, a workspace of its own: other libraries' clients on cenote-http, and its adapters"
            }
            Self::Package => "every crate that is published can be packaged",
            Self::Oldest => "each crate with the oldest Rust that it declares, if rustup has it",
            Self::Minimal => "the libraries with the oldest dependencies that they declare",
            Self::Targets => "the libraries compile for Windows and macOS, if rustup has these",
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
                Invocation::cargo(["fmt", "--all", "--manifest-path", "clients/Cargo.toml"])
                    .args(["--", "--check"]),
            ]),
            Self::Clippy => Work::Run(vec![Invocation::cargo(["clippy"]).args(workspace).args([
                "--all-targets",
                "--",
                "-D",
                "warnings",
            ])]),
            Self::Features => Work::Run(
                ["", "blocking", "mux", "net", "shared"]
                    .map(|feature| {
                        Invocation::cargo(["clippy", "-p", "cenote", "--no-default-features"])
                            .args(["--features", feature, "--", "-D", "warnings"])
                    })
                    .into(),
            ),
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
            Self::Clients => Work::Run(vec![
                Invocation::cargo(["test", "--manifest-path", "clients/Cargo.toml"])
                    .args(["--workspace", "--locked"])
                    .proof(Proof::TestsRan),
            ]),
            // Quietly: it warns of every test that is left out on purpose. Whether what is packaged compiles, the
            // other parts tell; and nothing is downloaded.
            Self::Package => Work::Run(vec![
                Invocation::cargo(["package", "--workspace", "--quiet", "--no-verify"])
                    .args(["--allow-dirty", "--offline"])
                    .args(UNPUBLISHED.map(|name| format!("--exclude={name}"))),
            ]),
            Self::Oldest => Work::RunWith(
                [OLDEST, OLDEST_OF_OTHERS, OLDEST_OF_AWS]
                    .map(Need::Rust)
                    .into(),
                vec![
                    // All tests but those that repeat one thing thousands of times.
                    with_rust(OLDEST, ["test", "-pcenote", "--all-features", "--lib"])
                        .args(
                            ["pool", "shared", "mux", "any", "endpoints"]
                                .map(|name| format!("--test={name}")),
                        )
                        .proof(Proof::TestsRan),
                    with_rust(OLDEST, ["test", "--all-features", "--lib", "--tests"])
                        .args(["-pcenote-tower", "-pcenote-testkit"])
                        .proof(Proof::TestsRan),
                    with_rust(OLDEST_OF_OTHERS, ["check", "--all-features"]).args([
                        "-pcenote-dns",
                        "-pcenote-http",
                        "-pcenote-postgres",
                        "-pcenote-redis",
                        "-pcenote-cli",
                    ]),
                    with_rust(OLDEST_OF_OTHERS, ["check", "-pcenote-object-store"])
                        .args(["--manifest-path", "clients/Cargo.toml"]),
                    with_rust(OLDEST_OF_AWS, ["check", "-pcenote-aws"])
                        .args(["--manifest-path", "clients/Cargo.toml"]),
                ],
            ),
            // Of cargo's unstable options, the one for another lock file.
            Self::Minimal => Work::Run(vec![
                Invocation::cargo(["check", "--all-features", "--locked", "-Zlockfile-path"])
                    .args([
                        "--config",
                        r#"resolver.lockfile-path="xtask/minimal/Cargo.lock""#,
                    ])
                    .args(LIBRARIES)
                    .args(["--target-dir".into(), target_folder().join("minimal")])
                    .variable("RUSTC_BOOTSTRAP", 1),
            ]),
            // Without TLS: `ring` compiles C, and so needs a C compiler for the target.
            Self::Targets => Work::RunWith(
                vec![Need::Target(WINDOWS), Need::Target(MACOS)],
                [WINDOWS, MACOS]
                    .map(|target| {
                        Invocation::cargo(["check", "--locked", "--target", target])
                            .args(["--no-default-features"])
                            .args(["--features=cenote/default,cenote-redis/redis-rs"])
                            .args(LIBRARIES)
                            .flags("RUSTFLAGS", "-D warnings")
                    })
                    .into(),
            ),
            Self::Deny => Work::RunWith(
                vec![Need::Subcommand("deny")],
                vec![Invocation::cargo([
                    "deny", "check", "bans", "licenses", "sources",
                ])],
            ),
        }
    }
}

/// Cargo of another version, in a folder of its own.
fn with_rust<const N: usize>(version: &'static str, args: [&str; N]) -> Invocation {
    Invocation::cargo(args)
        .of_rust(version)
        .args(["--locked"])
        .args(["--target-dir".into(), target_folder().join(version)])
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
    fn manifests_declare_the_oldest_rust_that_is_checked() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        let oldest = ["cenote", "cenote-tower", "cenote-testkit"];
        let others = [
            "cenote-dns",
            "cenote-http",
            "cenote-postgres",
            "cenote-redis",
            "cenote-cli",
        ];
        for (version, folder, crates) in [
            (OLDEST, "crates", &oldest[..]),
            (OLDEST_OF_OTHERS, "crates", &others),
            (OLDEST_OF_OTHERS, "clients", &["cenote-object-store"]),
            (OLDEST_OF_AWS, "clients", &["cenote-aws"]),
        ] {
            for name in crates {
                let manifest =
                    std::fs::read_to_string(format!("{root}/{folder}/{name}/Cargo.toml"))
                        .expect("each crate has a manifest");
                let declared = format!("rust-version = \"{version}\"");
                assert!(
                    manifest.contains(&declared),
                    "{name} declares not {version}"
                );
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
