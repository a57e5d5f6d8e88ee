//! Passwords: wherever one stands in a target, right or mistyped, nothing that `cenote` says or writes has any
//! of it; and it can be given without standing on the command line at all.

mod program;

use std::fs;
use std::path::PathBuf;

use cenote_testkit::{PostgresServer, RedisServer};
use program::{Finished, closed_port, fresh_path, program, run, stress};

const USAGE: i32 = 2;
const FAILED: i32 = 1;

/// Passwords with each character that a URL, a driver or a shell may take for something else. All pieces of
/// four characters are found nowhere but in them.
const SECRETS: [&str; 11] = [
    "Zq7xvKw9jP",
    "Zq7x?vKw9jP",
    "Zq7x/vKw9jP",
    "Zq7x#vKw9jP",
    "Zq7x@vKw9jP",
    "Zq7x:vKw9jP",
    "Zq7x%76Kw9jP",
    "Zq7x&v=Kw9jP",
    "Zq7x v`Kw\"9jP",
    "1/Zq7x?vKw9@jPZq",
    "Zq7x\u{1b}[31mvKw9jP",
];

/// `SECRET` is where the password goes, `PLACE` a host and a port where nothing listens.
const TARGETS: [&str; 33] = [
    "postgres://app:SECRET@PLACE/orders",
    "postgresql://:SECRET@PLACE",
    "postgres://SECRET@PLACE/orders",
    "postgres://app@PLACE/orders?password=SECRET",
    "postgres://PLACE/orders?password=SECRET&sslmode=disable",
    "postgres://app@PLACE/orders?p%61ssword=SECRET",
    "postgres://app@PLACE/orders?passwrd=SECRET",
    "postgres://app@PLACE/orders?SECRET",
    "postgres://app@PLACE/orders?SECRET=1",
    "postgres://app@PLACE/orders?sslmode=SECRET",
    "postgres://app:SECRET@PLACE/orders?unknown=1",
    "postgres:/app:SECRET@PLACE",
    "postgres//app:SECRET@PLACE",
    "POSTGRES://app:SECRET@PLACE/orders",
    "host=localhost user=app password=SECRET",
    "redis://:SECRET@PLACE",
    "redis://app:SECRET@PLACE/0",
    "rediss://app:SECRET@PLACE/0",
    "redis://SECRET@PLACE",
    "redis://PLACE/SECRET",
    "redis://PLACE?password=SECRET",
    "redis://PLACE?SECRET=1",
    "redis://PLACE?protocol=SECRET",
    "redis:/:SECRET@PLACE",
    "valkey://:SECRET@PLACE",
    "unix:///nonexistent/redis.sock?user=app&pass=SECRET",
    "redis+unix://app:SECRET@/nonexistent/redis.sock",
    "tcp://root:SECRET@PLACE",
    "tcp://SECRET@PLACE",
    "tcp://localhost:SECRET",
    "mysql://root:SECRET@PLACE",
    "SECRET://PLACE",
    "app:SECRET@PLACE",
];

/// The same without a host. Then an `@` in the password says that a host follows, and nothing tells that it is
/// none.
const TARGETS_WITHOUT_HOST: [&str; 4] = [
    "postgres://app:SECRET",
    "postgres://app:SECRET/orders",
    "postgres://app:SECRETPLACE/orders",
    "redis://app:SECRET",
];

fn shows_nothing_of(secret: &str, finished: &Finished, what: &dyn std::fmt::Debug) {
    for said in [&finished.stdout, &finished.stderr] {
        text_has_nothing_of(secret, said, what);
    }
}

fn text_has_nothing_of(secret: &str, text: &str, what: &dyn std::fmt::Debug) {
    let text = text.to_lowercase();
    let secret: Vec<char> = secret.to_lowercase().chars().collect();
    for piece in secret.windows(4) {
        let piece: String = piece.iter().collect();
        assert!(!text.contains(&piece), "{what:?}: {piece:?} is in: {text}");
    }
}

/// A file of the test's own that holds `text`.
fn file(name: &str, text: &str) -> PathBuf {
    let path = fresh_path(name);
    fs::write(&path, text).expect("it can be written");
    path
}

fn read(path: &PathBuf) -> String {
    fs::read_to_string(path).expect("it was written")
}

/// An audit found a password with an unencoded `?` in the report, and mistyped targets echoed with theirs.
#[test]
fn a_password_anywhere_in_a_target_is_in_no_message() {
    let place = format!("127.0.0.1:{}", closed_port());
    for secret in SECRETS {
        let without_host = match secret.contains('@') {
            true => &[][..],
            false => &TARGETS_WITHOUT_HOST,
        };
        for target in TARGETS.iter().chain(without_host) {
            let target = target.replace("SECRET", secret).replace("PLACE", &place);
            let finished = stress(&["--connect-timeout", "2s", &target]);
            assert_ne!(finished.status, Some(0), "{target} was measured");
            shows_nothing_of(secret, &finished, &target);
        }
    }
}

/// A target without quotes falls apart where the shell finds a space; other programs take a password at `-p`.
#[test]
fn a_password_at_a_wrong_place_of_the_command_line_is_in_no_message() {
    let secret = "Zq7xvKw9jP";
    let target = "postgres://app:Zq7xvKw9jP@127.0.0.1:1";
    let cases: [&[&str]; 14] = [
        &["stress", "postgres://app:Zq7x", "vKw9jP@127.0.0.1"],
        &["stress", "postgres://app:Zq7x", "vKw9jP", "x@127.0.0.1"],
        &["stress", "redis://127.0.0.1", target],
        &["stress", "--users", target],
        &["stress", "--sweep", target],
        &["stress", "--request-size", "4Zq7xvKw9jP"],
        &["stress", "--duration", "4Zq7xvKw9jP"],
        &["stress", "--mode", secret],
        &["stress", "-p", secret],
        &["stress", "--report", target],
        &["stress", "--json", "/nonexistent/app:Zq7xvKw9jP@db"],
        &["stress", "--password-file", secret, "redis://127.0.0.1:1"],
        &["stress", "--password=Zq7xvKw9jP", "redis://127.0.0.1:1"],
        &[target],
    ];
    for arguments in cases {
        let finished = run(arguments);
        assert_ne!(finished.status, Some(0), "{arguments:?}");
        shows_nothing_of(secret, &finished, &arguments);
    }
}

/// The same audit: such a URL connects, and the page made to be shown around had the password in its title.
#[test]
fn results_of_a_target_with_a_password_have_nothing_of_it() {
    let secret = "Zq7x?vKw9jP";
    let server = PostgresServer::builder()
        .password(secret)
        .start()
        .expect("PostgreSQL starts");
    let address = server.addr();
    for target in [
        format!("postgres://postgres:{secret}@{address}/postgres"),
        format!("postgres://postgres@{address}/postgres?p%61ssword={secret}"),
    ] {
        let (json, page) = (fresh_path("secret.json"), fresh_path("secret.html"));
        let text = |path: &PathBuf| path.to_str().expect("UTF-8").to_owned();
        let files = ["--json", &text(&json), "--report", &text(&page)];
        let patience = ["--connect-timeout", "60s", "--acquire-timeout", "60s"];
        let mode = ["--mode", "exclusive", &target];
        let finished = stress(&[&files[..], &patience, &mode].concat()).succeeded();
        shows_nothing_of(secret, &finished, &target);
        for written in [read(&json), read(&page)] {
            text_has_nothing_of(secret, &written, &target);
            assert!(written.contains(&format!("postgres://{address}")));
        }
    }
}

/// Arguments are seen by everybody who lists processes, and shells keep them.
#[test]
fn a_password_can_be_given_in_the_environment_or_in_a_file() {
    let secret = "p@ss: w?rd/#%";
    let postgres = PostgresServer::builder()
        .password(secret)
        .start()
        .expect("PostgreSQL starts");
    let redis = RedisServer::builder()
        .password(secret)
        .start()
        .expect("Redis starts");
    let file = file("password", &format!("{secret}\n"));
    let targets = [
        (
            "PGPASSWORD",
            format!("postgres://postgres@{}/postgres", postgres.addr()),
        ),
        ("REDISCLI_AUTH", format!("redis://{}", redis.addr())),
        (
            "REDISCLI_AUTH",
            format!("redis://default@{}/1", redis.addr()),
        ),
    ];
    let quick = [
        "stress",
        "--users",
        "2",
        "--duration",
        "100ms",
        "--connect-timeout",
        "60s",
    ];
    for (variable, target) in targets {
        let mut command = program(&[&quick[..], &[&target]].concat());
        let output = command.env(variable, secret).output();
        Finished::from(output.expect("cenote starts")).succeeded();

        let path = file.to_str().expect("UTF-8");
        // The file goes before the environment.
        let mut command = program(&[&quick[..], &["--password-file", path, &target]].concat());
        let output = command.env(variable, "wrong").output();
        Finished::from(output.expect("cenote starts")).succeeded();
    }
}

/// A password in the target was meant for this target, one in the environment perhaps for another.
#[test]
fn a_password_in_the_target_goes_before_that_of_the_environment() {
    let server = RedisServer::builder()
        .password("right")
        .start()
        .expect("Redis starts");
    let quick = [
        "stress",
        "--users",
        "2",
        "--duration",
        "100ms",
        "--connect-timeout",
        "60s",
    ];
    let mut command = program(&[&quick[..], &[&server.url()]].concat());
    let output = command.env("REDISCLI_AUTH", "wrong").output();
    Finished::from(output.expect("cenote starts")).succeeded();
}

/// The path itself is not repeated: whoever mistakes the option gives the password.
#[test]
fn a_password_file_that_holds_no_password_is_refused() {
    let target = format!("redis://127.0.0.1:{}", closed_port());
    for (name, text, said) in [
        ("empty", "", "holds no password"),
        ("blank", "\n", "holds no password"),
        ("two-lines", "one\ntwo\n", "more than one line"),
        ("long", &"x".repeat(5000), "more than 4096 bytes"),
    ] {
        let path = file(name, text);
        let path = path.to_str().expect("UTF-8");
        stress(&["--password-file", path, &target]).refused(FAILED, &["--password-file", said]);
    }
    stress(&["--password-file", "/nonexistent", &target])
        .refused(FAILED, &["--password-file", "No such file"]);
}

/// Two passwords, or one for nobody, are a mistake that is better told.
#[test]
fn a_password_file_without_a_use_is_refused() {
    for (target, said) in [
        ("redis://:one@127.0.0.1:1", "the target has one"),
        ("tcp://127.0.0.1:1", "for databases"),
        ("embedded", "for databases"),
    ] {
        stress(&["--password-file", "f", target]).refused(USAGE, &["--password-file", said]);
    }
}
