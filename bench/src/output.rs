//! The JSON file: opened before anything runs, so that an unwritable path costs no waiting.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::rounds::Row;

pub struct JsonFile {
    path: PathBuf,
    file: File,
}

#[derive(Serialize)]
struct Document<'a> {
    rows: &'a [Row],
}

/// The file could not be opened or written.
#[derive(Debug)]
pub struct Unwritable {
    path: PathBuf,
    cause: io::Error,
}

impl std::fmt::Display for Unwritable {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            out,
            "cannot write --json {}: {}",
            self.path.display(),
            self.cause
        )
    }
}

impl JsonFile {
    /// Creates the file, or empties it.
    pub fn create(path: &Path) -> Result<Self, Unwritable> {
        match File::create(path) {
            Ok(file) => Ok(Self {
                path: path.to_owned(),
                file,
            }),
            Err(cause) => Err(Unwritable {
                path: path.to_owned(),
                cause,
            }),
        }
    }

    pub fn write(mut self, rows: &[Row]) -> Result<(), Unwritable> {
        let written = serde_json::to_writer_pretty(&mut self.file, &Document { rows })
            .map_err(io::Error::from)
            .and_then(|()| self.file.write_all(b"\n"));
        written.map_err(|cause| Unwritable {
            path: self.path,
            cause,
        })
    }
}
