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
        ("src/lib.rs", "tests/documented/asynchronous.rs"),
        ("src/blocking/mod.rs", "tests/documented/blocking.rs"),
    ] {
        let tested_code = bare(&read(tested));
        assert!(
            tested_code.contains(&connector(page)),
            "{tested} has the connector of {page}"
        );
    }
}
