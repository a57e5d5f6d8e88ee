//! What stands below the options in `--help`: examples and explanations, laid out for the width at hand.

use terminal_size::{Width, terminal_size};

use crate::format;
use crate::output::columns_in_environment;

/// Lines longer than this are hard to read, however wide the terminal.
pub const WIDEST: usize = 100;

/// Where the terminal is narrower, it breaks the lines.
const NARROWEST: usize = 40;

/// One part of the text.
enum Part {
    Heading(&'static str),
    /// A command to copy; what it does is said below it, where that is not plain.
    Example(&'static str, &'static str),
    Paragraph(&'static str),
    /// A term in a column of this width, and what it means.
    Term(usize, &'static str, &'static str),
}

use Part::{Example, Heading, Paragraph, Term};

const PROGRAM: [Part; 6] = [
    Heading("Examples"),
    Example(
        "cenote stress",
        "1,000 users against a TLS server in this process: without a pool, with one, and sharing a connection",
    ),
    Example(
        "cenote stress --report stress.html",
        "the same, and a page of plots to look at",
    ),
    Example(
        "cenote stress --sweep 1..64",
        "which pool size serves these users best?",
    ),
    Example(
        "cenote stress --chaos --report chaos.html",
        "three servers that are killed, frozen and joined by another: what do users notice of it?",
    ),
    Example(
        "cenote stress postgres://app@127.0.0.1/orders --users 200",
        "your own server, with the password from PGPASSWORD: what would a pool be worth there?",
    ),
];

const STRESS: [Part; 27] = [
    Heading("Examples"),
    Example("cenote stress", ""),
    Example(
        "cenote stress --users 200 --duration 10s --pool-size 20",
        "",
    ),
    Example(
        "cenote stress --service-time 2ms --sweep 1..64 --report sweep.html",
        "",
    ),
    Example(
        "cenote stress postgres://app@127.0.0.1/orders --password-file secret.txt",
        "",
    ),
    Example(
        "cenote stress rediss://cache.internal --root-certificates ca.pem",
        "",
    ),
    Example(
        "cenote stress redis://127.0.0.1 --request-size 1KiB --json result.json",
        "",
    ),
    Example("cenote stress tcp://127.0.0.1:7 --think-time 50ms", ""),
    Example(
        "cenote stress --mode exclusive,shared --shared-connections 2",
        "",
    ),
    Example(
        "cenote stress --servers 5 --slow 1 --balance least-loaded --users 40",
        "",
    ),
    Example(
        "cenote stress --servers 3 --chaos --seed 7 --duration 1m",
        "",
    ),
    Example(
        "cenote stress tcp://10.0.0.1:7,10.0.0.2:7 --request-timeout 1s",
        "",
    ),
    Heading("How it measures"),
    Paragraph(
        "Each user is a task that gets a connection, sends one request, reads the answer, gives the connection \
         back and starts again. `wait` is the time from asking for a connection to having one; `total` runs on \
         until the answer is there. Both are of requests that succeeded; the others are counted by kind.",
    ),
    Paragraph(
        "In the mode `shared` users do not wait for a connection of their own, only for one to be open: each \
         sends at once, behind the requests of the others, and the answers come in the same order; a server \
         answers the requests of one connection one by one.",
    ),
    Paragraph(
        "A user whose request failed pauses for 10 ms before the next. Requests under way when the time is over \
         have one second more: their latencies count, the rate leaves them out.",
    ),
    Paragraph(
        "Of several servers each has a row of its own: `share` is the part of all requests that it answered, `due \
         share` what its weight is worth; `request` is the time from having a connection until the answer was \
         there, and what `peak-ewma` goes by. While all connections of the exclusive pool are in use, whichever comes \
         back serves next, so that a slow server has a smaller share by whatever --balance: with fewer users than \
         connections, or --think-time, the rules differ. In the mode `shared` they always do.",
    ),
    Paragraph(
        "Chaos begins after a quiet quarter of the run, or five seconds, and goes on in turns of as long: a kill, a \
         freeze and an addition in each three, in an order and at servers that --seed decides. `whole after` is \
         how long after a step the last request failed, or nothing was answered for longer than is usual.",
    ),
    Paragraph(
        "Load a server only if it is yours to load: this program opens connections as fast as it can.",
    ),
    Heading("Environment"),
    Term(
        13,
        "PGPASSWORD",
        "the password for PostgreSQL, where the target and --password-file have none",
    ),
    Term(13, "REDISCLI_AUTH", "the same for Redis"),
    Heading("Exit status"),
    Term(3, "0", "measured"),
    Term(
        3,
        "1",
        "the target or a file cannot be used, or no request succeeded",
    ),
    Term(3, "2", "bad arguments"),
    Term(
        3,
        "130",
        "ended early by Ctrl-C or SIGTERM: what was measured until then is printed; a second one quits at once",
    ),
];

/// Below the help of the program.
pub fn of_program() -> String {
    laid_out(&PROGRAM, width())
}

/// Below the help of `cenote stress`.
pub fn of_stress() -> String {
    laid_out(&STRESS, width())
}

/// As clap measures it for the options above.
fn width() -> usize {
    let terminal = terminal_size().map(|(Width(columns), _)| columns.into());
    terminal.or_else(columns_in_environment).unwrap_or(WIDEST)
}

fn laid_out(parts: &[Part], width: usize) -> String {
    const INDENT: usize = 2;
    const DEEPER: usize = 6;
    let width = width.clamp(NARROWEST, WIDEST);
    let mut text = String::new();
    let mut after_paragraph = false;
    for part in parts {
        let is_paragraph = matches!(part, Paragraph(_));
        if !text.is_empty() && (matches!(part, Heading(_)) || is_paragraph && after_paragraph) {
            text.push('\n');
        }
        text += &match part {
            Heading(heading) => format!("{heading}:\n"),
            Example(command, "") => indented(&continued(command, width - INDENT), INDENT),
            Example(command, meaning) => {
                indented(&continued(command, width - INDENT), INDENT)
                    + &indented(&format::wrapped(meaning, width - DEEPER), DEEPER)
            }
            Paragraph(paragraph) => indented(&format::wrapped(paragraph, width - INDENT), INDENT),
            Term(room, term, meaning) => {
                let column = room + 2 * INDENT;
                let meaning = indented(&format::wrapped(meaning, width - column), column);
                format!("  {term:<room$}  {}", meaning.trim_start())
            }
        };
        after_paragraph = is_paragraph;
    }
    text.trim_end().to_owned()
}

/// Each line behind so many spaces.
fn indented(text: &str, by: usize) -> String {
    let line = |line: &str| format!("{:by$}{line}\n", "");
    text.lines().map(line).collect()
}

/// A command that does not fit one line goes on in the next, as a shell reads it.
fn continued(command: &str, width: usize) -> String {
    const MARK: &str = " \\";
    if command.chars().count() <= width {
        return command.to_owned();
    }
    format::wrapped(command, width - MARK.len()).replace('\n', " \\\n    ")
}
