use std::fs;
use std::path::Path;
use std::time::Duration;

use cenote::endpoints::{Discovery, EndpointSet, Key, WatchedFile};

/// From one look to the next.
pub const LOOK: Duration = Duration::from_millis(10);

/// One number a line; a line that is none makes no sense.
fn numbers(path: &Path) -> Discovery<u32> {
    let file = WatchedFile::new(path, |text| {
        let lines = std::str::from_utf8(text)?.lines();
        Ok(EndpointSet::of(
            lines.map(str::parse).collect::<Result<Vec<_>, _>>()?,
        ))
    });
    Discovery::start(file.every(LOOK)).unwrap()
}

fn keys(keys: impl IntoIterator<Item = u32>) -> EndpointSet<u32> {
    EndpointSet::of(keys)
}

/// Until the source has failed for this reason.
pub async fn fails<K: Key>(discovery: &Discovery<K>, why: &str) {
    loop {
        match discovery.status().failing {
            Some(failing) if failing.error.contains(why) => return,
            _ => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

/// agentgateway #352: the watch died when the file was deleted and made anew. configmap-reload #190, kubernetes #93686:
/// it missed files that were replaced.
#[tokio::test]
async fn a_file_is_followed_however_it_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("backends");
    let mut discovery = numbers(&path);
    fails(&discovery, "No such file").await;
    fs::write(&path, "1\n2\n").unwrap();
    assert_eq!(
        discovery.changed().await,
        Some(keys([1, 2])),
        "not there at first"
    );
    fs::write(&path, "2\n3\n").unwrap();
    // The file is empty for a moment, which counts for nothing.
    assert_eq!(
        discovery.changed().await,
        Some(keys([2, 3])),
        "written over"
    );
    let next = folder.path().join("next");
    fs::write(&next, "4\n").unwrap();
    fs::rename(&next, &path).unwrap();
    assert_eq!(discovery.changed().await, Some(keys([4])), "replaced");
    fs::remove_file(&path).unwrap();
    fails(&discovery, "No such file").await;
    assert_eq!(discovery.set(), keys([4]), "deleted");
    fs::write(&path, "5\n").unwrap();
    assert_eq!(discovery.changed().await, Some(keys([5])), "made anew");
    fs::write(&path, "6\nsev").unwrap();
    fails(&discovery, "invalid digit").await;
    assert_eq!(discovery.set(), keys([5]), "half written");
    fs::write(&path, "6\n7\n").unwrap();
    assert_eq!(
        discovery.changed().await,
        Some(keys([6, 7])),
        "written whole"
    );
    assert_eq!(discovery.status().failing, None);
}

/// A volume of Kubernetes: `backends` leads to `..data/backends`, and `..data` to another folder each time.
#[cfg(unix)]
#[tokio::test]
async fn a_file_behind_links_that_are_swapped_is_followed() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    let volume = |name: &str, text: &str| {
        let version = folder.path().join(name);
        fs::create_dir(&version).unwrap();
        fs::write(version.join("backends"), text).unwrap();
        let link = folder.path().join("..new");
        symlink(name, &link).unwrap();
        fs::rename(&link, folder.path().join("..data")).unwrap();
    };
    volume("..1", "1\n");
    let path = folder.path().join("backends");
    symlink("..data/backends", &path).unwrap();
    let mut discovery = numbers(&path);
    assert_eq!(discovery.changed().await, Some(keys([1])));
    volume("..2", "2\n");
    fs::remove_dir_all(folder.path().join("..1")).unwrap();
    assert_eq!(discovery.changed().await, Some(keys([2])));
}

/// What went away and came back as it was is no change, and no failure any more.
#[tokio::test]
async fn a_file_that_is_back_as_it_was_is_good_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("backends");
    fs::write(&path, "1\n").unwrap();
    let mut discovery = numbers(&path);
    discovery.changed().await.unwrap();
    fs::remove_file(&path).unwrap();
    fails(&discovery, "it could not be read").await;
    fs::write(&path, "1\n").unwrap();
    while discovery.status().failing.is_some() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(discovery.status().version, 1);
}

/// The function that reads it panics, and what it says next is as before.
#[tokio::test]
async fn a_file_that_was_misunderstood_is_good_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("backends");
    fs::write(&path, "1").unwrap();
    let file = WatchedFile::new(&path, |text| {
        assert_ne!(text, b"!", "told to");
        Ok(EndpointSet::of(
            [std::str::from_utf8(text)?.parse::<u32>()?],
        ))
    });
    let mut discovery = Discovery::start(file.every(LOOK)).unwrap();
    discovery.changed().await.unwrap();
    fs::write(&path, "!").unwrap();
    fails(&discovery, "panicked").await;
    fs::write(&path, "1").unwrap();
    while discovery.status().failing.is_some() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(discovery.set(), keys([1]));
}

/// "Never again", and "now": neither is an overflow, nor a storm.
#[tokio::test]
async fn a_file_is_read_at_any_pace() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("backends");
    fs::write(&path, "1").unwrap();
    for every in [Duration::MAX, Duration::ZERO] {
        let file = WatchedFile::new(&path, |_| Ok(EndpointSet::of([1_u32])));
        let mut discovery = Discovery::start(file.every(every)).unwrap();
        assert_eq!(discovery.changed().await, Some(keys([1])));
        assert_eq!(discovery.status().failing, None);
    }
}
