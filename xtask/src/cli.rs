//! What the command line asks for. Anything it does not know is a problem told by name, never
//! ignored.

use crate::part::Part;
use crate::verify::Effort;
use std::fmt::Write;

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    Help,
    List,
    /// Runs these parts, in their own order.
    Test(Vec<Part>),
    Verify(Effort),
    /// With these arguments of its own.
    Soak(Vec<String>),
    /// The same.
    Simulate(Vec<String>),
}

/// Reads the arguments after the program's name.
pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Command, String> {
    let mut arguments = arguments.into_iter();
    match arguments.next().as_deref() {
        None | Some("help" | "--help" | "-h") => Ok(Command::Help),
        Some("--list") => Ok(Command::List),
        Some("test") => parse_test(arguments),
        Some("verify") => parse_verify(arguments),
        Some("soak") => Ok(Command::Soak(arguments.collect())),
        Some("simulate") => Ok(Command::Simulate(arguments.collect())),
        Some(other) => Err(format!(
            "unknown command `{other}`; the commands are `test`, `verify`, `soak`, `simulate` and `help`"
        )),
    }
}

fn parse_verify(arguments: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut effort = Effort::Bounded;
    for argument in arguments {
        match argument.as_str() {
            "--long" => effort = Effort::Long,
            "--help" | "-h" => return Ok(Command::Help),
            _ => {
                return Err(format!(
                    "unknown option `{argument}` of `verify`; its options are --long and --help"
                ));
            }
        }
    }
    Ok(Command::Verify(effort))
}

fn parse_test(mut arguments: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut only = Vec::new();
    let mut skip = Vec::new();
    while let Some(argument) = arguments.next() {
        let (option, attached) = match argument.split_once('=') {
            Some((option, value)) => (option, Some(value.to_owned())),
            None => (argument.as_str(), None),
        };
        let chosen = match option {
            "--help" | "-h" => return Ok(Command::Help),
            "--list" => return Ok(Command::List),
            "--only" => &mut only,
            "--skip" => &mut skip,
            _ => {
                return Err(format!(
                    "unknown option `{argument}` of `test`; its options are --only, --skip, --list and --help"
                ));
            }
        };
        let names = attached
            .or_else(|| arguments.next())
            .ok_or_else(|| format!("{option} needs a part: {}", names_of_all()))?;
        for name in names.split(',') {
            let part = Part::named(name).ok_or_else(|| {
                format!(
                    "{option}: no part `{name}`; the parts are {}",
                    names_of_all()
                )
            })?;
            chosen.push(part);
        }
    }
    select(&only, &skip).map(Command::Test)
}

/// The parts of `only` (all, if it is empty) that are not in `skip`.
fn select(only: &[Part], skip: &[Part]) -> Result<Vec<Part>, String> {
    let selected: Vec<Part> = Part::ALL
        .into_iter()
        .filter(|part| only.is_empty() || only.contains(part))
        .filter(|part| !skip.contains(part))
        .collect();
    if selected.is_empty() {
        return Err("--only and --skip together leave no part to run".to_owned());
    }
    Ok(selected)
}

fn names_of_all() -> String {
    Part::ALL.map(Part::name).join(", ")
}

/// The parts with what each one checks, one a line.
pub fn list() -> String {
    Part::ALL.iter().fold(String::new(), |mut list, part| {
        writeln!(list, "  {:<9}{}", part.name(), part.about())
            .expect("a String takes all that is written");
        list
    })
}

/// The text of `--help`.
pub fn help() -> String {
    format!(
        "\
The workspace's own commands.

Usage: cargo xtask test [--only PART]... [--skip PART]...
       cargo xtask verify [--long]
       cargo xtask soak [--minutes N] [--users N] [--seed N]
       cargo xtask simulate [--seed N] [--only NAME]... [--html FILE] [--json FILE]

`test` runs the parts below in this order and stops at the first that fails. What tests need and
the machine lacks is installed first, from Debian's packages.

`verify` repeats the proof at greater length: models, sweeps, simulations with more seeds; and plays
every situation (silent, frozen, reset, ..) in every state of a connection (idle, leased, in service,
..), for both databases, exclusive and shared, and judges how soon service is as before: 288 cells,
which need a machine that does nothing else. Some minutes; with --long, hours. The cells alone, or
some of them: cargo run --release -p cenote-situations -- --help

`soak` lets a thousand users and random faults loose on a pool in front of a real PostgreSQL, for
half an hour by default, and fails if anything is lost.

`simulate` plays what is published of pools over several servers, and what is promised of this one, with
the real pool on virtual time, and judges its figures: some minutes. --html writes them with charts.

Options of `test`:
  --only PART  run this part only; several: repeat it, or separate them by commas
  --skip PART  leave this part out; several likewise
  --list       print the parts and end
  -h, --help   print this and end

Parts:
{}
Examples:
  cargo xtask test                     everything, as on a submission
  cargo xtask test --only fmt,clippy   what an editor would tell
  cargo xtask test --skip servers      never install anything
  cargo xtask verify                   the proof, at some length
  cargo xtask soak --minutes 5         a short soak
  cargo xtask simulate --html s.html   the figures, and a page of them

Exit status: 0 if all parts passed, 1 if one failed, 2 if the command was not understood.
",
        list()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn test_alone_runs_every_part() {
        assert_eq!(parsed("test"), Ok(Command::Test(Part::ALL.to_vec())));
    }

    #[test]
    fn only_takes_parts_repeated_attached_or_separated_by_commas() {
        let expected = Ok(Command::Test(vec![Part::Fmt, Part::Clippy]));
        assert_eq!(parsed("test --only fmt --only clippy"), expected);
        assert_eq!(parsed("test --only fmt,clippy"), expected);
        assert_eq!(parsed("test --only=fmt,clippy"), expected);
    }

    #[test]
    fn selected_parts_run_in_their_own_order() {
        let expected = Ok(Command::Test(vec![Part::Fmt, Part::Loom]));
        assert_eq!(parsed("test --only loom,fmt"), expected);
    }

    #[test]
    fn skip_leaves_parts_out() {
        let Ok(Command::Test(parts)) = parsed("test --skip loom,bench") else {
            panic!("two parts can be skipped");
        };
        assert_eq!(parts.len(), Part::ALL.len() - 2);
        assert!(!parts.contains(&Part::Loom) && !parts.contains(&Part::Bench));
    }

    #[test]
    fn skip_wins_over_only() {
        let expected = Ok(Command::Test(vec![Part::Doc]));
        assert_eq!(parsed("test --only doc,test --skip test"), expected);
    }

    #[test]
    fn a_selection_of_nothing_is_refused() {
        assert!(
            parsed("test --only doc --skip doc")
                .unwrap_err()
                .contains("leave no part")
        );
    }

    #[test]
    fn an_unknown_part_is_named_beside_those_that_exist() {
        let problem = parsed("test --skip lom").unwrap_err();
        assert!(
            problem.starts_with("--skip: no part `lom`; the parts are servers, fmt"),
            "{problem}"
        );
    }

    #[test]
    fn an_option_without_its_part_is_refused() {
        assert!(
            parsed("test --only")
                .unwrap_err()
                .starts_with("--only needs a part: servers")
        );
    }

    #[test]
    fn unknown_options_and_commands_are_named() {
        assert!(parsed("test --fast").unwrap_err().contains("`--fast`"));
        assert!(parsed("tset").unwrap_err().contains("`tset`"));
    }

    #[test]
    fn verify_is_bounded_unless_told_otherwise() {
        assert_eq!(parsed("verify"), Ok(Command::Verify(Effort::Bounded)));
        assert_eq!(parsed("verify --long"), Ok(Command::Verify(Effort::Long)));
        assert!(parsed("verify --quick").unwrap_err().contains("`--quick`"));
    }

    #[test]
    fn soak_and_simulate_take_options_of_their_own() {
        let expected = Ok(Command::Soak(vec!["--minutes".into(), "5".into()]));
        assert_eq!(parsed("soak --minutes 5"), expected);
        let expected = Ok(Command::Simulate(vec!["--seed".into(), "5".into()]));
        assert_eq!(parsed("simulate --seed 5"), expected);
    }

    #[test]
    fn no_command_asks_for_help() {
        for line in ["", "help", "--help", "test -h"] {
            assert_eq!(parsed(line), Ok(Command::Help));
        }
    }

    #[test]
    fn the_help_names_every_part() {
        let help = help();
        for part in Part::ALL {
            assert!(help.contains(part.about()), "{part:?}");
        }
    }
}
