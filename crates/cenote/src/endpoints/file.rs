//! A file that is read again whenever it changes.

use std::error::Error;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;

use super::discover::Discover;
use super::polling::Polling;
use super::set::{EndpointSet, Key};
use crate::error::BoxError;

/// What a file says, in a format of your own, read again every second.
///
/// It is opened by its path each time and compared by its content: so a file that is replaced by renaming another, by the
/// symbolic links of a Kubernetes volume, or deleted and written anew is followed like one that is written over
/// (configmap-reload #190, agentgateway #352), on network file systems too. While it is not there, or what it says makes
/// no sense, the last good set stays. What is new counts once it was read twice in a row, 20 ms apart, so that a file is
/// not believed that is being written; to be sure, write another file and rename it.
///
/// ```
/// use cenote::endpoints::{Discovery, EndpointSet, WatchedFile};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = std::env::temp_dir().join(format!("cenote-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # let path = folder.join("backends");
/// # std::fs::write(&path, "10.0.0.1:80\n10.0.0.2:80\n")?;
/// // One address a line.
/// let file = WatchedFile::new(&path, |text| {
///     let lines = std::str::from_utf8(text)?.lines();
///     let addresses = lines.map(str::parse::<std::net::SocketAddr>);
///     Ok(EndpointSet::of(addresses.collect::<Result<Vec<_>, _>>()?))
/// });
/// let mut discovery = Discovery::start(file)?;
/// assert_eq!(discovery.changed().await.expect("the file is there").len(), 2);
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok(()) }
/// ```
///
/// The library knows no format, so that nobody's pool comes with a parser. JSON with weights, priorities and addresses, in
/// forty lines of serde and with errors that name the line, is
/// [`examples/watched_json`](https://github.com/cenote-rs/cenote/tree/main/crates/cenote/examples/watched_json).
pub struct WatchedFile<K> {
    path: Arc<Path>,
    parse: Parse<K>,
    /// From one look to the next.
    every: Duration,
    polling: Polling<io::Result<Vec<u8>>>,
    /// What was last read and made sense, and the set it says.
    last: Option<(Vec<u8>, EndpointSet<K>)>,
    /// What was read since, once.
    seen: Option<Vec<u8>>,
}

type Parse<K> = Box<dyn Fn(&[u8]) -> Result<EndpointSet<K>, BoxError> + Send + Sync>;

/// Between two looks, by default.
const EVERY: Duration = Duration::from_secs(1);
/// From what is new to the look that confirms it.
const CONFIRMED_AFTER: Duration = Duration::from_millis(20);
/// Between two looks at least.
const AT_LEAST: Duration = Duration::from_millis(10);
/// After so long a look counts as failed. A thread that hangs in a file system cannot be given up, so it is waited for
/// before the next look.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a [`WatchedFile`] tells no set.
#[derive(Debug)]
#[non_exhaustive]
pub enum FileError {
    /// It could not be read.
    Read {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What it says makes no sense.
    Content {
        /// Its path.
        path: PathBuf,
        /// What the function that reads it says.
        source: BoxError,
    },
}

impl<K: Key> WatchedFile<K> {
    /// Watches the file at `path`, whose content `parse` understands.
    pub fn new(
        path: impl Into<PathBuf>,
        parse: impl Fn(&[u8]) -> Result<EndpointSet<K>, BoxError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            path: path.into().into(),
            parse: Box::new(parse),
            every: EVERY,
            polling: Polling::new(AT_LEAST),
            last: None,
            seen: None,
        }
    }

    /// How often it is read. 10 ms at least, whatever is said here. Default: 1 s.
    #[must_use]
    pub fn every(mut self, interval: Duration) -> Self {
        self.every = interval.max(AT_LEAST);
        self
    }

    async fn read(&mut self) -> Result<Vec<u8>, FileError> {
        let Self { path, polling, .. } = self;
        let ask = || {
            let path = Arc::clone(path);
            let reading = spawn_blocking(move || fs::read(path));
            // A task that was aborted as its runtime ends is no answer.
            async move {
                reading
                    .await
                    .unwrap_or_else(|error| Err(io::Error::other(error)))
            }
        };
        let answer = polling.answer_within(PATIENCE, ask).await;
        polling.ask_in(self.every);
        let read = answer.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()));
        read.map_err(|source| FileError::Read {
            path: path.to_path_buf(),
            source,
        })
    }

    /// The set that `content` says, which was read twice in a row.
    fn understand(&mut self, content: Vec<u8>) -> Result<EndpointSet<K>, FileError> {
        // Whatever it says next is told, though this makes no sense or has the function panic.
        self.last = None;
        let set = (self.parse)(&content).map_err(|source| FileError::Content {
            path: self.path.to_path_buf(),
            source,
        })?;
        self.last = Some((content, set.clone()));
        Ok(set)
    }
}

impl<K: Key> Discover for WatchedFile<K> {
    type Key = K;
    type Error = FileError;

    async fn next(&mut self) -> Option<Result<EndpointSet<K>, FileError>> {
        loop {
            let read = self.read().await;
            let seen = self.seen.take();
            let content = match read {
                Ok(content) => content,
                Err(error) => {
                    self.last = None;
                    return Some(Err(error));
                }
            };
            match &self.last {
                // As it was, and so are good news of its age.
                Some((last, set)) if *last == content => return Some(Ok(set.clone())),
                _ if seen.as_ref() == Some(&content) => return Some(self.understand(content)),
                _ => {
                    self.seen = Some(content);
                    self.polling.ask_in(CONFIRMED_AFTER);
                }
            }
        }
    }

    fn name(&self) -> String {
        format!("file {}", self.path.display())
    }

    fn refresh(&mut self) {
        // What is to be confirmed needs its time.
        if self.seen.is_none() {
            self.polling.refresh();
        }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, .. } => write!(f, "{}: it could not be read", path.display()),
            Self::Content { path, .. } => {
                write!(f, "{}: what it says makes no sense", path.display())
            }
        }
    }
}

impl Error for FileError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Read { source, .. } => Some(source),
            Self::Content { source, .. } => Some(&**source),
        }
    }
}

impl<K> fmt::Debug for WatchedFile<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchedFile")
            .field("path", &self.path)
            .field("every", &self.every)
            .finish_non_exhaustive()
    }
}
