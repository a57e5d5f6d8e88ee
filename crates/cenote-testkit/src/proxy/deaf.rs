//! Sockets that hear nothing: the system drops every packet for them before TCP sees it, so that nothing is
//! acknowledged. A filter that any process may attach to its own sockets; no privilege, no firewall. Linux only:
//! elsewhere no socket can be made so, which is an error of kind [`Unsupported`](std::io::ErrorKind::Unsupported).

#[cfg(target_os = "linux")]
pub(crate) use by_filter::{make, unmake};
#[cfg(not(target_os = "linux"))]
pub(crate) use nowhere::{make, unmake};

#[cfg(target_os = "linux")]
mod by_filter {
    use socket2::{SockFilter, SockRef};
    use std::io;
    use std::os::fd::AsFd;

    /// `BPF_RET | BPF_K` with 0: of each packet, not a byte is kept.
    const NOTHING: [SockFilter; 1] = [SockFilter::new(0x06, 0, 0, 0)];

    /// From now on no packet reaches the socket; for one that listens, no SYN.
    pub(crate) fn make(socket: &impl AsFd) -> io::Result<()> {
        SockRef::from(socket).attach_filter(&NOTHING)
    }

    /// It hears again.
    pub(crate) fn unmake(socket: &impl AsFd) -> io::Result<()> {
        SockRef::from(socket).detach_filter()
    }
}

#[cfg(not(target_os = "linux"))]
mod nowhere {
    use std::io;

    pub(crate) fn make<S>(_: &S) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn unmake<S>(_: &S) -> io::Result<()> {
        Ok(())
    }
}
