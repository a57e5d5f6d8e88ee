//! The walk over the hosts of a list: one after the other in the order given, each with an equal share of what is
//! left of the dial, so that one which hangs does not use up the time of those behind it.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use super::host::Host;
use super::race::rounded;
use crate::connect::FailureKind;
use crate::dial::Dial;
use crate::error::with_causes;
use crate::rt::timeout_at;

/// What an attempt at one host of a list came to, when not to a connection.
///
/// `?` on an error of the type `E` tries the next host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostFailure<E> {
    /// The host is away, hangs, is full or not the one wanted: the next one is tried.
    TryNext(E),
    /// The host was reached and said no in a way that another would repeat, such as to a wrong password: the walk
    /// ends. A wrong password sent to every host may lock the account on all.
    Stop(E),
}

impl<E> From<E> for HostFailure<E> {
    fn from(error: E) -> Self {
        Self::TryNext(error)
    }
}

/// Tries the hosts in the order given, until `attempt` succeeds at one.
///
/// `attempt` does everything up to a connection that is ready for use: TCP, TLS, login. It gets the host, and a dial
/// of its own which ends when the host's share of `dial` does: what is left, divided by the hosts still to be tried,
/// so that time which one host did not need is its successors'. An attempt that has not ended by then is dropped.
/// Without a deadline nothing is shared, and a host that hangs is waited for.
///
/// Dropping the future drops the attempt under way.
///
/// ```
/// use cenote::Dial;
/// use cenote::net::{Dialer, Host, each_host};
/// use std::time::Duration;
/// use tokio::io::AsyncReadExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let frozen = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// # let good = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let hosts = [Host::from(frozen.local_addr()?), Host::from(good.local_addr()?)];
/// # std::thread::spawn(move || {
/// #     let (mut client, _) = good.accept()?;
/// #     std::io::Write::write_all(&mut client, b"220 ready\r\n")
/// # });
/// // The first accepts and never says a word: after half of the time it is the second's turn.
/// let dial = Dial::within(Duration::from_secs(2));
/// let dialer = Dialer::new();
/// let (socket, greeting) = each_host(&hosts, &dial, |host, dial| {
///     let dialer = &dialer;
///     async move {
///         let mut socket = dialer.connect(host, &dial).await.map_err(std::io::Error::from)?;
///         let mut greeting = [0; 11];
///         socket.read_exact(&mut greeting).await?;
///         Ok((socket, greeting))
///     }
/// })
/// .await?;
/// assert_eq!(&greeting, b"220 ready\r\n");
/// # let _ = socket;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`HostsError`], with each host that was tried and its cause; without any when `hosts` is empty.
pub async fn each_host<'h, T, E, F>(
    hosts: &'h [Host],
    dial: &Dial,
    mut attempt: impl FnMut(&'h Host, Dial) -> F,
) -> Result<T, HostsError<E>>
where
    F: Future<Output = Result<T, HostFailure<E>>>,
{
    let mut failures = Vec::new();
    for (i, host) in hosts.iter().enumerate() {
        let share = share(dial, hosts.len() - i);
        let limit = share.remaining();
        let outcome = match share.deadline() {
            None => Ok(attempt(host, share).await),
            Some(deadline) => timeout_at(deadline, attempt(host, share)).await,
        };
        let (cause, stopped) = match outcome {
            Ok(Ok(connected)) => return Ok(connected),
            Ok(Err(HostFailure::TryNext(error))) => (HostCause::Failed(error), false),
            Ok(Err(HostFailure::Stop(error))) => (HostCause::Failed(error), true),
            Err(_) => {
                let limit = rounded(limit.unwrap_or_default());
                (HostCause::TimedOut(limit), false)
            }
        };
        failures.push((host.clone(), cause));
        if stopped {
            return Err(HostsError { failures, stopped });
        }
    }
    Err(HostsError {
        failures,
        stopped: false,
    })
}

/// What the next of `hosts` may take.
fn share(dial: &Dial, hosts: usize) -> Dial {
    match dial.remaining() {
        None => Dial::new(),
        // The last has the rest, to the same instant: nothing is lost to rounding.
        Some(_) if hosts <= 1 => dial.clone(),
        Some(left) => dial.shortened(left / u32::try_from(hosts).unwrap_or(u32::MAX)),
    }
}

/// Why one host gave no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostCause<E> {
    /// The attempt's error.
    Failed(E),
    /// The attempt had not ended when the host's share of the dial, this long, was over.
    TimedOut(Duration),
}

/// No host of a list gave a connection. The text names each that was tried, with its cause.
#[derive(Clone, Debug)]
pub struct HostsError<E> {
    /// In the order in which they were tried.
    failures: Vec<(Host, HostCause<E>)>,
    /// The last of them ended the walk.
    stopped: bool,
}

impl<E> HostsError<E> {
    /// The hosts that were tried, in that order, each with its cause.
    pub fn failures(&self) -> &[(Host, HostCause<E>)] {
        &self.failures
    }

    /// The error that ended the walk before its end: see [`HostFailure::Stop`].
    pub fn stopped_by(&self) -> Option<&E> {
        match self.failures.last()? {
            (_, HostCause::Failed(error)) if self.stopped => Some(error),
            _ => None,
        }
    }

    /// The error of the attempt, where only one was made and it did not run out of time: what a connector with one
    /// host shows, rather than a list of one.
    ///
    /// # Errors
    ///
    /// The error itself in all other cases.
    pub fn into_only(mut self) -> Result<E, Self> {
        match (self.failures.pop(), self.failures.is_empty()) {
            (Some((_, HostCause::Failed(error))), true) => Ok(error),
            (last, _) => {
                self.failures.extend(last);
                Err(self)
            }
        }
    }

    /// What kind of failure it is altogether, for [`Connect::classify`](crate::Connect::classify), given what each
    /// error is: that of the error which ended the walk; else the one that all hosts have in common; else
    /// [`Transient`](FailureKind::Transient), as is a host that ran out of time.
    pub fn classify(&self, kind: impl Fn(&E) -> FailureKind) -> FailureKind {
        if let Some(error) = self.stopped_by() {
            return kind(error);
        }
        let mut kinds = self.failures.iter().map(|(_, cause)| match cause {
            HostCause::Failed(error) => kind(error),
            HostCause::TimedOut(_) => FailureKind::Transient,
        });
        match kinds.next() {
            Some(first) if kinds.all(|kind| kind == first) => first,
            _ => FailureKind::Transient,
        }
    }
}

impl<E: Error> fmt::Display for HostsError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.failures.is_empty() {
            return f.write_str("no host is given");
        }
        for (i, (host, cause)) in self.failures.iter().enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            let host = host.to_string();
            let text = match cause {
                HostCause::TimedOut(limit) => format!("not ready within {limit:?}"),
                HostCause::Failed(error) => with_causes(error),
            };
            // Most errors of connectors name their host themselves.
            if !text.contains(&host) {
                write!(f, "{host}: ")?;
            }
            f.write_str(&text)?;
        }
        Ok(())
    }
}

/// The causes of several hosts are all in the text, so that no one of them is the `source`.
impl<E: Error> Error for HostsError<E> {}
