//! The end of a session that its client asked for. It is over when the server has closed its side: from then on it is none
//! of those that the server permits, and another may be opened in its place.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use cenote::time::{Sleep, sleep};
use tokio::io::{AsyncRead, ReadBuf};

/// How long a server may take to end a session. It takes milliseconds, unless it is stopped or gone: then nobody is to wait
/// for it.
const ENDS_WITHIN: Duration = Duration::from_secs(1);

/// Whether the goodbye was said.
#[derive(Debug, Default)]
pub(super) enum Goodbye {
    #[default]
    Unsaid,
    Said(Pin<Box<Sleep>>),
}

impl Goodbye {
    pub(super) fn is_said(&self) -> bool {
        matches!(self, Self::Said(_))
    }

    pub(super) fn say(&mut self) {
        *self = Self::Said(Box::pin(sleep(ENDS_WITHIN)));
    }

    /// Waits for the server to close the stream; what it still has to say is for nobody.
    pub(super) fn poll_ended<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let Self::Said(limit) = self else {
            return Poll::Ready(());
        };
        let mut bytes = [0; 1024];
        loop {
            let mut read = ReadBuf::new(&mut bytes);
            match Pin::new(&mut *stream).poll_read(cx, &mut read) {
                Poll::Ready(Ok(())) if !read.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return limit.as_mut().poll(cx),
            }
        }
    }
}
