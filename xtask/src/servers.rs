//! The servers that tests start: whether they are installed, and their installation from Debian's
//! packages.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A Debian package, known by a program that it brings.
struct Package {
    name: &'static str,
    program: &'static str,
}

const PACKAGES: [Package; 9] = [
    Package {
        name: "postgresql",
        program: "initdb",
    },
    Package {
        name: "redis-server",
        program: "redis-server",
    },
    Package {
        name: "pgbouncer",
        program: "pgbouncer",
    },
    Package {
        name: "knot",
        program: "knotd",
    },
    Package {
        name: "knot-dnsutils",
        program: "kdig",
    },
    Package {
        name: "nsd",
        program: "nsd",
    },
    Package {
        name: "nginx",
        program: "nginx",
    },
    Package {
        name: "tinyproxy",
        program: "tinyproxy",
    },
    Package {
        name: "dante-server",
        program: "danted",
    },
];

/// Installs what is missing; says so, or that nothing is.
pub fn install() -> Result<(), String> {
    let folders = folders();
    let missing = missing(&folders);
    if missing.is_empty() {
        println!(
            "PostgreSQL, Redis, PgBouncer, Knot, NSD, nginx, tinyproxy and Dante are installed."
        );
        return Ok(());
    }
    let names = missing.join(" ");
    println!("Missing: {names}");
    if !folders
        .iter()
        .any(|folder| folder.join("apt-get").is_file())
    {
        return Err(format!(
            "tests need what Debian calls {names}, and there is no apt-get here: install it so that {} are in PATH",
            programs(&missing)
        ));
    }
    if !is_root()? {
        return Err(format!(
            "tests need the packages {names}, and only root may install them: run \
             `sudo apt-get install {names}`, then this again"
        ));
    }
    apt_get(&["update"])?;
    apt_get(
        &[
            ["install", "--yes", "--no-install-recommends"].as_slice(),
            &missing,
        ]
        .concat(),
    )
}

fn apt_get(arguments: &[&str]) -> Result<(), String> {
    let shown = format!("apt-get {}", arguments.join(" "));
    println!("$ {shown}");
    let status = Command::new("apt-get")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .status()
        .map_err(|error| format!("cannot run `{shown}`: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("`{shown}` failed ({status})"))
    }
}

/// The packages none of whose programs is in `folders`.
fn missing(folders: &[PathBuf]) -> Vec<&'static str> {
    PACKAGES
        .iter()
        .filter(|package| {
            !folders
                .iter()
                .any(|folder| folder.join(package.program).is_file())
        })
        .map(|package| package.name)
        .collect()
}

/// What is looked for in `PATH` where these packages are missing.
fn programs(missing: &[&str]) -> String {
    let programs: Vec<_> = PACKAGES
        .iter()
        .filter(|package| missing.contains(&package.name))
        .map(|package| format!("`{}`", package.program))
        .collect();
    programs.join(", ")
}

/// `PATH`, where Debian keeps PostgreSQL's own programs, and where only root's `PATH` leads.
fn folders() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .chain(versions.filter_map(|version| Some(version.ok()?.path().join("bin"))))
        .collect()
}

fn is_root() -> Result<bool, String> {
    let path = Path::new("/proc/self/status");
    let status = fs::read_to_string(path)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    Ok(effective_user(&status) == Some("0"))
}

/// The effective user id in the text of a `/proc/<pid>/status`.
fn effective_user(status: &str) -> Option<&str> {
    status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))?
        .split_whitespace()
        .nth(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_told_by_the_effective_user() {
        assert_eq!(
            effective_user("Name:\txtask\nUid:\t1000\t0\t0\t0\n"),
            Some("0")
        );
        assert_eq!(effective_user("Name:\txtask\n"), None);
    }

    #[test]
    fn where_nothing_can_be_installed_the_programs_that_lack_are_named() {
        assert_eq!(programs(&["postgresql", "nsd"]), "`initdb`, `nsd`");
    }

    #[test]
    fn every_package_is_missing_where_nothing_is_installed() {
        assert_eq!(
            missing(&[PathBuf::from("/nonexistent")]),
            PACKAGES.map(|package| package.name)
        );
    }
}
