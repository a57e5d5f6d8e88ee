//! A look at a socket that nobody uses: is it open, and is there nothing to read?

use std::io;
use std::mem::MaybeUninit;

use socket2::SockRef;

use super::AsSocket;

/// Whether the socket is open and quiet: no bytes are waiting to be read, the peer has not closed it, and it has not
/// failed. Nothing is taken from it.
///
/// It is one system call, which asks the socket itself: `try_read` of a tokio socket goes by what the runtime last
/// heard, and may say that there is nothing to read though bytes, or the end, arrived a moment ago.
///
/// For any socket of tokio or of the standard library, also over a reference. On Windows one of the standard library
/// must be in non-blocking mode, or this waits for the peer.
///
/// # What it does not tell
///
/// - That a reply is *owed*: one that has not arrived yet makes no noise. A connector keeps a mark from before it
///   sends a request until the whole reply has been read, and closes what comes back with the mark set: see
///   [`Connect`](crate::Connect).
/// - What a reader has buffered: bytes taken from the socket and not used yet.
/// - What TLS does below: session tickets that a server sends after the handshake are bytes nobody has read, until
///   the first reply is.
///
/// ```
/// use cenote::net::is_quiet;
/// use std::io::Write;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let here = tokio::net::TcpStream::connect(listener.local_addr()?).await?;
/// # let (mut peer, _) = listener.accept()?;
/// assert!(is_quiet(&here));
///
/// peer.write_all(b"421 shutting down")?;
/// # here.readable().await?;
/// assert!(!is_quiet(&here));
/// # Ok(())
/// # }
/// ```
pub fn is_quiet(socket: &impl AsSocket) -> bool {
    let socket = SockRef::from(socket);
    let mut byte = [MaybeUninit::uninit()];
    loop {
        let peeked = peek(&socket, &mut byte);
        match peeked {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            // Bytes, or the end.
            Ok(_) => return false,
        }
    }
}

#[cfg(unix)]
fn peek(socket: &SockRef<'_>, byte: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
    // One of the standard library's may be in blocking mode.
    socket.recv_with_flags(byte, libc::MSG_PEEK | libc::MSG_DONTWAIT)
}

#[cfg(not(unix))]
fn peek(socket: &SockRef<'_>, byte: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
    socket.peek(byte)
}
