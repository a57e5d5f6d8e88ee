//! The spelling of hosts.

use std::cell::Cell;
use std::net::Ipv6Addr;
use std::sync::Arc;

thread_local! {
    /// The host of this thread's last request, which is mostly that of the next.
    static LAST_HOST: Cell<Option<Arc<str>>> = const { Cell::new(None) };
}

/// One spelling for each host.
pub(crate) fn canonical(host: &str) -> Arc<str> {
    let last = LAST_HOST.try_with(Cell::take).ok().flatten();
    let canonical = match last.filter(|last| **last == *host) {
        Some(last) => last,
        None => spelled(host),
    };
    // Else the thread is about to end.
    let _ = LAST_HOST.try_with(|last| last.set(Some(Arc::clone(&canonical))));
    canonical
}

fn spelled(host: &str) -> Arc<str> {
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    match bare.and_then(|bare| bare.parse::<Ipv6Addr>().ok()) {
        Some(address) => format!("[{address}]").into(),
        None if host.bytes().any(|byte| byte.is_ascii_uppercase()) => {
            host.to_ascii_lowercase().into()
        }
        None => host.into(),
    }
}
