//! What some parts need beside the toolchain: looked for, and installed where rustup can. What cannot be had is no
//! failure: the part is skipped, and says what it lacks.

use std::process::{Command, Stdio};

use crate::part::Need;

/// Sees to it that `need` is met. The error says what is lacking, and how to get it.
pub fn meet(need: Need) -> Result<(), String> {
    match need {
        Need::Subcommand(name) => {
            if succeeds(&format!("cargo-{name}"), &["--version"]) {
                return Ok(());
            }
            Err(format!(
                "cargo-{name} is not installed (`cargo install --locked cargo-{name}`)"
            ))
        }
        Need::Rust(version) => {
            let install = [
                "toolchain",
                "install",
                version,
                "--profile=minimal",
                "--no-self-update",
            ];
            if succeeds("rustup", &["run", version, "rustc", "--version"]) || rustup(&install) {
                return Ok(());
            }
            Err(format!(
                "Rust {version} is not installed (`rustup toolchain install {version}`)"
            ))
        }
        Need::Target(target) => {
            if rustup(&["target", "add", target]) {
                return Ok(());
            }
            Err(format!(
                "the target {target} is not installed (`rustup target add {target}`)"
            ))
        }
    }
}

/// Has rustup install something, and says so; whether it did.
fn rustup(arguments: &[&str]) -> bool {
    println!("$ rustup {}", arguments.join(" "));
    succeeds("rustup", arguments)
}

fn succeeds(program: &str, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_had_is_told_with_how_to_get_it() {
        let lacking = meet(Need::Subcommand("no-such-subcommand")).unwrap_err();
        assert!(
            lacking.contains("cargo install --locked cargo-no-such-subcommand"),
            "{lacking}"
        );
        let lacking = meet(Need::Target("no-such-target")).unwrap_err();
        assert!(
            lacking.contains("rustup target add no-such-target"),
            "{lacking}"
        );
    }
}
