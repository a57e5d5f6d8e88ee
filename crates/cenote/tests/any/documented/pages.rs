//! What the pages show is what is tested: the code on them is found in files that are compiled.

use std::fs;
use std::path::Path;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Code without what a formatter may change: white space, and the commas before it.
fn bare(code: &str) -> String {
    let solid: String = code.split_whitespace().collect();
    solid.replace(",}", "}").replace(",)", ")")
}

/// The connector that a module's page shows, from its first `struct` to the first hidden line.
fn connector(page: &str) -> String {
    let lines = read(page);
    let lines = lines.lines().map_while(|line| line.strip_prefix("//!"));
    let lines = lines.map(|line| line.strip_prefix(' ').unwrap_or(line));
    let shown = lines.skip_while(|line| !line.starts_with("struct Server"));
    let shown: Vec<_> = shown.take_while(|line| !line.starts_with("# ")).collect();
    assert!(shown.len() > 20, "{page} shows a connector");
    bare(&shown.concat())
}

/// An example that nobody tests drifts from what is right.
#[test]
fn the_connectors_tested_here_are_those_of_the_pages() {
    for (page, tested) in [
        ("src/lib.rs", "tests/any/documented/asynchronous.rs"),
        ("src/blocking/mod.rs", "tests/any/documented/blocking.rs"),
    ] {
        let tested_code = bare(&read(tested));
        assert!(
            tested_code.contains(&connector(page)),
            "{tested} has the connector of {page}"
        );
    }
}

/// Code on a page that no compiler sees is wrong one day.
#[test]
fn the_code_of_the_page_on_connectors_is_that_of_tested_programs() {
    let programs = [
        "tests/any/documented/asynchronous.rs",
        "examples/smtp/session.rs",
        "examples/smtp/connector.rs",
    ]
    .map(|file| bare(&read(file)));
    let page = read("../../docs/connectors.md");
    let mut blocks = 0;
    for block in page.split("```rust\n").skip(1) {
        let (code, _) = block.split_once("```").unwrap();
        let found = programs.iter().any(|program| program.contains(&bare(code)));
        assert!(found, "in none of the programs:\n{code}");
        blocks += 1;
    }
    assert!(blocks > 5, "the page shows code");
}
