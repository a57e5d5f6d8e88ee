//! Files that results go to. They are opened before anything is measured, so that a path that cannot be
//! written is known at once, and keep their old content until there is new.

use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use terminal_size::{Width, terminal_size_of};

use crate::secrets::may_hold_a_password;

/// A place to write to, known to be writable.
pub enum Output {
    StandardOutput,
    File(OutputFile),
}

/// A file opened for writing. If it was new and is dropped unwritten, it is removed.
pub struct OutputFile {
    path: PathBuf,
    file: File,
    unwritten: Unwritten,
}

/// What an unwritten file is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unwritten {
    /// Somebody's: it stays.
    Old,
    /// Made by us, and of no use to anybody.
    New,
}

/// A path that results cannot go to.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {option} to {}: {}", shown(path), problem(path, source))]
pub struct OutputError {
    option: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// The system says "no such file" where it is the folder that is missing.
fn problem(path: &Path, source: &io::Error) -> String {
    match path.parent() {
        // A file's name alone has an empty parent: the current folder.
        Some(folder) if !folder.as_os_str().is_empty() && !folder.exists() => {
            format!("there is no folder {}", shown(folder))
        }
        _ => source.to_string(),
    }
}

/// A path as typed, unless a target with its password was typed in its place.
pub fn shown(path: &Path) -> Cow<'_, str> {
    match path.to_string_lossy() {
        path if may_hold_a_password(&path) => "...".into(),
        path => path,
    }
}

impl Output {
    /// `option` is what the path was given to. `-` is the standard output.
    pub fn open(option: &'static str, path: &Path) -> Result<Self, OutputError> {
        if path.as_os_str() == "-" {
            return Ok(Self::StandardOutput);
        }
        match OutputFile::open(path) {
            Ok(file) => Ok(Self::File(file)),
            Err(source) => Err(OutputError {
                option,
                path: path.to_owned(),
                source,
            }),
        }
    }

    pub fn is_standard_output(&self) -> bool {
        matches!(self, Self::StandardOutput)
    }

    /// Replaces what the file held.
    pub fn write(self, option: &'static str, text: &str) -> Result<(), OutputError> {
        match self {
            Self::StandardOutput => write_out(text),
            Self::File(mut output) => output.replace(text).map_err(|source| OutputError {
                option,
                path: output.path.clone(),
                source,
            }),
        }
    }
}

impl OutputFile {
    fn open(path: &Path) -> io::Result<Self> {
        let new = OpenOptions::new().write(true).create_new(true).open(path);
        let (file, unwritten) = match new {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                (OpenOptions::new().write(true).open(path)?, Unwritten::Old)
            }
            new => (new?, Unwritten::New),
        };
        Ok(Self {
            path: path.to_owned(),
            file,
            unwritten,
        })
    }

    fn replace(&mut self, text: &str) -> io::Result<()> {
        // Pipes and devices have no length.
        if self.file.metadata()?.is_file() {
            self.file.set_len(0)?;
        }
        self.file.write_all(text.as_bytes())?;
        self.unwritten = Unwritten::Old;
        Ok(())
    }
}

impl Drop for OutputFile {
    fn drop(&mut self) {
        if self.unwritten == Unwritten::New {
            // An empty file left behind is the lesser evil.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Prints. A reader who has seen enough (`| head`) is no error.
fn write_out(text: &str) -> Result<(), OutputError> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(source) if source.kind() != io::ErrorKind::BrokenPipe => Err(OutputError {
            option: "results",
            path: "the standard output".into(),
            source,
        }),
        _ => Ok(()),
    }
}

/// What `COLUMNS` says.
pub fn columns_in_environment() -> Option<usize> {
    std::env::var("COLUMNS").ok()?.parse().ok()
}

/// Where people read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Screen {
    StandardOutput,
    /// When the standard output carries JSON or the report.
    StandardError,
}

/// On less nothing can be laid out.
const NARROWEST: usize = 20;

impl Screen {
    /// Characters in a line: of the terminal, or else as many as the environment says, as for `--help`.
    pub fn width(self) -> Option<usize> {
        let size = match self {
            Self::StandardOutput => terminal_size_of(io::stdout()),
            Self::StandardError => terminal_size_of(io::stderr()),
        };
        size.map(|(Width(columns), _)| columns.into())
            .or_else(columns_in_environment)
            .map(|columns: usize| columns.max(NARROWEST))
    }

    pub fn print(self, text: &str) -> Result<(), OutputError> {
        match self {
            Self::StandardOutput => write_out(text),
            Self::StandardError => {
                eprint!("{text}");
                Ok(())
            }
        }
    }
}
