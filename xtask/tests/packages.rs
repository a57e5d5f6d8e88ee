//! What a crate needs before it can be published: each that may be says so completely, and the others say that they
//! are not to be.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn manifest(folder: &Path) -> String {
    read(&folder.join("Cargo.toml"))
}

/// The folders of the crates that are published: all in `crates`.
fn published() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = fs::read_dir(root().join("crates"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort();
    assert!(!folders.is_empty());
    folders
}

fn has_key(manifest: &str, key: &str) -> bool {
    let package = manifest.split("\n[").next().unwrap();
    package
        .lines()
        .any(|line| line.split([' ', '.']).next() == Some(key))
}

#[test]
fn crates_outside_the_folder_of_crates_are_not_published() {
    for folder in ["bench", "simulation", "situations", "soak", "xtask"] {
        let manifest = manifest(&root().join(folder));
        assert!(manifest.contains("\npublish = false\n"), "{folder}");
    }
}

#[test]
fn every_crate_describes_itself() {
    for folder in published() {
        let manifest = manifest(&folder);
        for key in [
            "description",
            "version",
            "edition",
            "rust-version",
            "license",
            "repository",
            "readme",
            "keywords",
            "categories",
            "include",
        ] {
            assert!(
                has_key(&manifest, key),
                "{} has no `{key}`",
                folder.display()
            );
        }
    }
}

#[test]
fn every_crate_carries_the_licences_of_the_workspace() {
    for folder in published() {
        for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
            let (own, whole) = (folder.join(licence), root().join(licence));
            assert!(
                read(&own) == read(&whole),
                "{} is not a copy",
                own.display()
            );
        }
    }
}

#[test]
fn no_readme_of_a_crate_links_to_what_is_not_beside_it() {
    // On crates.io a path leads nowhere.
    for folder in published() {
        for link in read(&folder.join("README.md")).split("](").skip(1) {
            assert!(
                link.starts_with("https://"),
                "{}: a link to {}",
                folder.display(),
                link.split(')').next().unwrap()
            );
        }
    }
}

#[test]
fn the_documentation_of_every_library_shows_what_a_feature_is_needed_for() {
    for folder in published() {
        let library = folder.join("src/lib.rs");
        if !library.exists() {
            continue;
        }
        assert!(
            read(&library).contains("#![cfg_attr(docsrs, feature(doc_cfg))]"),
            "{}",
            library.display()
        );
        assert!(
            manifest(&folder).contains("\n[package.metadata.docs.rs]\nall-features = true\n"),
            "{}",
            folder.display()
        );
    }
}
