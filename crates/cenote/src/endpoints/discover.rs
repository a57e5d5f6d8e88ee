//! What a source of endpoint sets is.

use std::any::type_name;
use std::error::Error;
use std::future::Future;

use super::set::{EndpointSet, Key};

/// A source of endpoint sets, told whole, one after the other.
///
/// [`Discovery`](super::Discovery) asks it from a task of its own. A source that is done with telling, as one whose list
/// is fixed, says so by `None`: the last set stays.
///
/// ```
/// use cenote::endpoints::{Discover, EndpointSet, Polling};
/// use std::io::Result;
/// use std::time::Duration;
///
/// /// Asks a catalogue every ten seconds, and each second while it fails.
/// struct Catalogue { url: String, polling: Polling<Result<EndpointSet<String>>> }
///
/// impl Discover for Catalogue {
///     type Key = String;
///     type Error = std::io::Error;
///
///     async fn next(&mut self) -> Option<Result<EndpointSet<String>>> {
///         let answer = self.polling.answer(|| ask(self.url.clone())).await;
///         if answer.is_ok() {
///             self.polling.ask_in(Duration::from_secs(10));
///         }
///         Some(answer)
///     }
///
///     fn name(&self) -> String {
///         "the catalogue".into() // its URL may have a password in it
///     }
///
///     fn refresh(&mut self) {
///         self.polling.refresh(); // soon, and no storm
///     }
/// }
/// let polling = Polling::new(Duration::from_secs(1));
/// let catalogue = Catalogue { url: "http://catalogue/orders".into(), polling };
/// # async fn ask(_: String) -> Result<EndpointSet<String>> { Ok(EndpointSet::default()) }
/// ```
pub trait Discover: Send + 'static {
    /// What tells its endpoints apart.
    type Key: Key;
    /// Why it could not tell.
    type Error: Error + Send + Sync + 'static;

    /// The next whole set, as soon as there may be news; a set equal to the last is no change. `None`: there will be none
    /// any more.
    ///
    /// Dropped before it is ready, which a refresh does, once for each answer, it must lose nothing: it is asked again, and
    /// goes on with the question that is under way, as [`Polling`](super::Polling) does. How often its server is asked is
    /// the source's to bound; one that answers at once, time and again, is held to ten answers a second, and to the default
    /// [`Backoff`](crate::settings::Backoff) where they are errors.
    fn next(
        &mut self,
    ) -> impl Future<Output = Option<Result<EndpointSet<Self::Key>, Self::Error>>> + Send;

    /// What it is, for people: as in "2 endpoints of file /etc/backends". Asked once, as its [`Discovery`](super::Discovery)
    /// starts; a panic is as good as the default. It is shown in the pool's status and told with events, so no credentials
    /// belong in it. Default: the name of its type.
    fn name(&self) -> String {
        type_name::<Self>().into()
    }

    /// There is reason to believe that the set has changed, as when none of its endpoints is to be reached: the next
    /// [`next`](Self::next) should look soon, within the bounds that spare its server. Default: nothing, for sources that
    /// are told of changes.
    fn refresh(&mut self) {}
}
