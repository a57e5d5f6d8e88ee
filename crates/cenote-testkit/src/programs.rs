//! Where the servers' programs are: in `PATH` or in the folder Debian gives each PostgreSQL version.

use crate::error::ServerError;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

const DEBIAN_POSTGRES: &str = "/usr/lib/postgresql";

/// Finds a PostgreSQL program. Debian keeps them out of `PATH`, in a folder for each version; the
/// newest version wins, so that `initdb` and `postgres` are of the same one.
pub(crate) fn postgres(program: &'static str) -> Result<PathBuf, ServerError> {
    versions(Path::new(DEBIAN_POSTGRES))
        .into_iter()
        .map(|version| version.join("bin").join(program))
        .find(|path| path.is_file())
        .or_else(|| in_path(program))
        .ok_or(ServerError::MissingProgram {
            program,
            package: "postgresql",
            searched: "/usr/lib/postgresql/*/bin",
        })
}

/// Finds `redis-server`.
pub(crate) fn redis() -> Result<PathBuf, ServerError> {
    elsewhere("redis-server", "redis-server", "/usr/bin")
}

/// Finds `pgbouncer`, which Debian keeps where only root looks.
pub(crate) fn pgbouncer() -> Result<PathBuf, ServerError> {
    elsewhere("pgbouncer", "pgbouncer", "/usr/sbin")
}

/// Finds `knotd` or `knotc`, which Debian keeps where only root looks.
pub(crate) fn knot(program: &'static str) -> Result<PathBuf, ServerError> {
    elsewhere(program, "knot", "/usr/sbin")
}

/// Finds `nsd`, which Debian keeps where only root looks.
pub(crate) fn nsd() -> Result<PathBuf, ServerError> {
    elsewhere("nsd", "nsd", "/usr/sbin")
}

/// Finds `nginx`, which Debian keeps where only root looks.
pub(crate) fn nginx() -> Result<PathBuf, ServerError> {
    elsewhere("nginx", "nginx", "/usr/sbin")
}

/// Finds `tinyproxy`.
pub(crate) fn tinyproxy() -> Result<PathBuf, ServerError> {
    elsewhere("tinyproxy", "tinyproxy", "/usr/bin")
}

/// Finds `danted`, which Debian keeps where only root looks.
pub(crate) fn dante() -> Result<PathBuf, ServerError> {
    elsewhere("danted", "dante-server", "/usr/sbin")
}

/// Finds a program in `PATH` or in `folder`.
fn elsewhere(
    program: &'static str,
    package: &'static str,
    folder: &'static str,
) -> Result<PathBuf, ServerError> {
    in_path(program)
        .or_else(|| Some(Path::new(folder).join(program)).filter(|path| path.is_file()))
        .ok_or(ServerError::MissingProgram {
            program,
            package,
            searched: folder,
        })
}

fn in_path(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

/// The version folders below `root`, newest first.
fn versions(root: &Path) -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir(root)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let major = path
                .file_name()?
                .to_str()?
                .split('.')
                .next()?
                .parse()
                .ok()?;
            Some((major, path))
        })
        .collect();
    found.sort_by(|left, right| right.cmp(left));
    found.into_iter().map(|(_, path)| path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_comes_first_by_number_not_by_spelling() {
        let root = tempfile::tempdir().unwrap();
        for name in ["9.6", "15", "common"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        let expected = [root.path().join("15"), root.path().join("9.6")];
        assert_eq!(versions(root.path()), expected);
    }

    #[test]
    fn a_missing_folder_has_no_versions() {
        assert_eq!(versions(Path::new("/nonexistent")), Vec::<PathBuf>::new());
    }

    #[test]
    fn a_missing_program_names_the_debian_package() {
        let error = postgres("no-such-program").unwrap_err().to_string();
        assert!(error.contains("`no-such-program`"), "{error}");
        assert!(error.contains("apt-get install postgresql"), "{error}");
    }
}
