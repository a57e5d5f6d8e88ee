//! The tables that say which test proves what, in `docs/guarantees.md` and `ARCHITECTURE.md`: every test they name
//! exists, and no failure of the list is left out. A table is read if its last heading is one of [`PROOF`]; what
//! stands in backticks in its last column is
//!
//! - `binary::module::test`, a test in `crates/cenote/tests`, the modules as `cargo test` prints them;
//!   `crate/binary::test`, in that crate's tests; `bench/binary::test`; `simulation/binary::test`;
//!   `situations/binary::test`;
//! - or one word: a model, a file of tests, a crate, or a scenario of `bench/`.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeMap;
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// The headings of the columns that name tests.
const PROOF: [&str; 4] = ["shown by", "test", "proof", "proof, the rival's and ours"];

/// The numbers of the failures that the page of guarantees answers for.
const FAILURES: RangeInclusive<u32> = 1..=44;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

struct Row {
    line: usize,
    cells: Vec<String>,
}

impl Row {
    /// What stands in backticks in the last column.
    fn named(&self) -> impl Iterator<Item = &str> {
        let proof = self.cells.last().map_or("", String::as_str);
        proof.split('`').skip(1).step_by(2)
    }
}

/// The tables of a page: the heading of each, and its rows.
fn tables(page: &str) -> Vec<(Vec<String>, Vec<Row>)> {
    let mut tables: Vec<(Vec<String>, Vec<Row>)> = Vec::new();
    let mut within = false;
    for (line, text) in (1..).zip(page.lines()) {
        let Some(text) = text.strip_prefix('|') else {
            within = false;
            continue;
        };
        let cells: Vec<String> = text
            .trim_end()
            .trim_end_matches('|')
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect();
        match tables.last_mut() {
            Some((_, rows)) if within => rows.push(Row { line, cells }),
            _ => tables.push((cells, Vec::new())),
        }
        within = true;
    }
    for (_, rows) in &mut tables {
        // The line of dashes under the heading.
        rows.remove(0);
    }
    tables
}

fn rows_with_proof(page: &str) -> Vec<Row> {
    tables(page)
        .into_iter()
        .filter(|(heading, _)| PROOF.contains(&heading.last().unwrap().as_str()))
        .flat_map(|(_, rows)| rows)
        .collect()
}

/// Where `binary` of a folder of tests begins: in a file, or in the `main.rs` of a folder.
fn file_of_binary(folder: &Path, binary: &str) -> Option<PathBuf> {
    [
        folder.join(format!("{binary}.rs")),
        folder.join(binary).join("main.rs"),
    ]
    .into_iter()
    .find(|path| path.is_file())
}

/// Where a module is that `file` declares: at the path above the declaration, or else beside `file`, which is the first
/// of its folder.
fn file_of_module(file: &Path, module: &str) -> Option<PathBuf> {
    let source = fs::read_to_string(file).unwrap();
    let declaration = format!("mod {module};");
    let (before, _) = source.split_once(&format!("\n{declaration}\n"))?;
    let last = before.lines().next_back()?;
    let path = last.strip_prefix("#[path = \"");
    let folder = file.parent()?;
    let files = match path.and_then(|path| path.strip_suffix("\"]")) {
        Some(path) => vec![folder.join(path)],
        None => vec![
            folder.join(format!("{module}.rs")),
            folder.join(module).join("mod.rs"),
        ],
    };
    files.into_iter().find(|path| path.is_file())
}

/// Whether a crate has a file of tests of this name: a binary, or a module of one.
fn has_file_of_tests(package: &Path, name: &str) -> bool {
    let folder = package.join("tests");
    let mut beginnings = entries(&folder).map(|entry| entry.join("main.rs"));
    file_of_binary(&folder, name).is_some()
        || beginnings.any(|main| main.is_file() && file_of_module(&main, name).is_some())
}

/// Whether `source` has a test of this name: a function with an attribute that says so.
fn has_test(source: &str, name: &str) -> bool {
    let mut marked = false;
    let code = source.lines().map(str::trim);
    for line in code.filter(|line| !line.starts_with("//")) {
        if line == "#[test]" || line.starts_with("#[tokio::test") {
            marked = true;
        } else if let Some((_, function)) = line.split_once("fn ") {
            if marked && function.split(['(', '<']).next() == Some(name) {
                return true;
            }
            marked = false;
        }
    }
    false
}

/// What is wrong with this name, if anything is.
fn problem(named: &str) -> Option<String> {
    match named.split_once("::") {
        Some((binary, path)) => problem_of_test(binary, path),
        None => (!is_known(named)).then(|| {
            "is no model, no file of tests, no crate and no scenario of bench/".to_owned()
        }),
    }
}

fn problem_of_test(binary: &str, path: &str) -> Option<String> {
    let (place, binary) = binary.split_once('/').unwrap_or(("cenote", binary));
    let folder = match place {
        "bench" | "simulation" | "situations" => root().join(place).join("tests"),
        package => root().join("crates").join(package).join("tests"),
    };
    let Some(mut file) = file_of_binary(&folder, binary) else {
        return Some(format!("{} has no file `{binary}`", folder.display()));
    };
    let mut modules: Vec<_> = path.split("::").collect();
    let test = modules.pop()?;
    for module in modules {
        match file_of_module(&file, module) {
            Some(next) => file = next,
            None => return Some(format!("{} has no module `{module}`", file.display())),
        }
    }
    (!has_test(&fs::read_to_string(&file).unwrap(), test))
        .then(|| format!("{} has no test `{test}`", file.display()))
}

fn is_known(word: &str) -> bool {
    let crates = root().join("crates");
    let mut packages = entries(&crates);
    word == "bench/"
        || crates.join(word).join("Cargo.toml").is_file()
        || packages.any(|package| has_file_of_tests(&package, word))
        || ["kernel", "mux", "pool", "shared", "one_way", "keyed"]
            .iter()
            .flat_map(|part| files(&crates.join("cenote/src").join(part).join("models")))
            .any(|models| has_test(&fs::read_to_string(models).unwrap(), word))
        || read("bench/src/scenarios/mod.rs").contains(&format!("name: \"{word}\""))
}

/// The files in `folder` and in the folders there.
fn files(folder: &Path) -> Vec<PathBuf> {
    let nested = entries(folder).map(|path| match path.is_dir() {
        true => files(&path),
        false => vec![path],
    });
    nested.flatten().collect()
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    entries.map(|entry| entry.unwrap().path())
}

#[test]
fn every_test_that_is_named_as_proof_exists() {
    let mut problems = Vec::new();
    for page in ["docs/guarantees.md", "ARCHITECTURE.md"] {
        let rows = rows_with_proof(&read(page));
        assert!(!rows.is_empty(), "{page}: no table with a column of proof");
        for row in rows {
            let line = row.line;
            problems.extend(
                row.named()
                    .filter_map(|named| Some((named, problem(named)?)))
                    .map(|(named, why)| format!("{page}:{line}: `{named}`: {why}")),
            );
        }
    }
    assert!(
        problems.is_empty(),
        "these proofs do not exist:\n{}",
        problems.join("\n")
    );
}

#[test]
fn every_guarantee_names_a_test() {
    let bare: Vec<_> = rows_with_proof(&read("docs/guarantees.md"))
        .into_iter()
        .filter(|row| !row.named().any(|named| named.contains("::")))
        .map(|row| row.cells[0].clone())
        .collect();
    assert!(bare.is_empty(), "no test for number {}", bare.join(", "));
}

#[test]
fn every_failure_has_its_guarantee_or_is_left_for_later() {
    let mut found: BTreeMap<u32, usize> = BTreeMap::new();
    for (heading, rows) in tables(&read("docs/guarantees.md")) {
        if heading[0] != "#" || heading[1] == "rival" {
            continue;
        }
        for number in rows.iter().flat_map(|row| numbers(&row.cells[0])) {
            *found.entry(number).or_default() += 1;
        }
    }
    let twice: Vec<_> = found.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "more than once: {twice:?}");
    // What was found since has numbers of its own, after those of the list.
    let missing: Vec<_> = FAILURES
        .filter(|number| !found.contains_key(number))
        .collect();
    assert!(missing.is_empty(), "neither promised nor left: {missing:?}");
}

/// What a rival does is asserted of the version that `bench/` builds.
#[test]
fn rivals_are_named_with_the_versions_of_their_lock_file() {
    let lock = read("bench/Cargo.lock");
    for (heading, rows) in tables(&read("docs/guarantees.md")) {
        let Some(column) = heading.iter().position(|cell| cell == "rival") else {
            continue;
        };
        for rival in rows.iter().flat_map(|row| row.cells[column].split(", ")) {
            let (name, version) = rival.split_once(' ').unwrap();
            let locked = format!("name = \"{name}\"\nversion = \"{version}\"\n");
            assert!(lock.contains(&locked), "{rival} is not what is locked");
        }
    }
}

/// `7`, or `34 to 44`.
fn numbers(cell: &str) -> RangeInclusive<u32> {
    let number = |text: &str| -> u32 {
        text.parse()
            .unwrap_or_else(|_| panic!("`{cell}` is neither a number nor `1 to 2`"))
    };
    match cell.split_once(" to ") {
        Some((first, last)) => number(first)..=number(last),
        None => number(cell)..=number(cell),
    }
}

#[test]
fn a_name_without_its_test_is_told_with_the_file_that_lacks_it() {
    let told = problem("pool::dialling::no_such_test").unwrap();
    assert!(told.contains("dialling.rs has no test `no_such_test`"));
    let told = problem("pool::no_such_module::no_such_test").unwrap();
    assert!(told.contains("main.rs has no module `no_such_module`"));
    let told = problem("cenote-redis/dialling::no_such_test").unwrap();
    assert!(told.contains("cenote-redis/tests has no file `dialling`"));
    let told = problem("no_such_model").unwrap();
    assert!(told.starts_with("is no model"));
}

#[test]
fn a_function_that_is_no_test_proves_nothing() {
    let source = "#[test]\nfn one() {}\n\nfn two() {}\n\n#[tokio::test]\n/// A fn told.\nasync fn three() {}\n";
    let tests = ["one", "two", "three"].map(|name| has_test(source, name));
    assert_eq!(tests, [true, false, true]);
}
