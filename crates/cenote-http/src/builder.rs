//! The client's settings.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cenote::error::SettingsError;
use cenote::net::Dialer;
use cenote::report::Event;
use cenote::settings::ConnectFailures;
use cenote::shared::{Choice, SharedPoolBuilder};
use cenote::{Keyed, SharedPool};
use http::Uri;

use crate::attempts::Spare;
use crate::client::Client;
use crate::connector::Connector;
use crate::exchange::Shared;
use crate::proxy::Proxy;
use crate::route::{Route, RouteDefaults, RouteOptions, Way};
#[cfg(feature = "rustls")]
use crate::tls::TlsProfile;
use crate::version::HttpVersion;

/// Sets up a [`Client`].
#[derive(Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct ClientBuilder {
    name: String,
    max_total: usize,
    max_idle: Option<usize>,
    version: HttpVersion,
    each: EachPool,
    proxy: Option<Proxy>,
    observers: Vec<Observer>,
    #[cfg(feature = "rustls")]
    tls: Option<TlsProfile>,
}

type Observer = Arc<dyn Fn(&Event<'_>) + Send + Sync>;

/// What holds for the pool of each route.
#[derive(Clone, Debug)]
struct EachPool {
    max_size: usize,
    max_waiters: Option<usize>,
    idle_timeout: Option<Duration>,
    max_lifetime: Option<Duration>,
    acquire_timeout: Option<Duration>,
    connect_timeout: Duration,
    dialer: Dialer,
}

/// Dials in flight for one route: a burst of requests is not to wait for one handshake after the other, and a server is not
/// to be stormed.
pub(crate) const MAX_CONNECTING: usize = 8;

/// For so long connections that speak HTTP/2 are to be busy before another is opened: more than a burst takes that one of them
/// carries, and less than a person notices.
const GROW_AFTER: Duration = Duration::from_millis(100);

/// For so long an idle connection is trusted: those that forget one without a word, as firewalls do, take minutes.
const CHECK_AFTER_IDLE: Duration = Duration::from_secs(30);

impl ClientBuilder {
    pub(crate) fn new() -> Self {
        Self {
            name: "http".into(),
            max_total: 500,
            max_idle: None,
            version: HttpVersion::Any,
            each: EachPool {
                max_size: 20,
                max_waiters: Some(10_000),
                // Common load balancers close after 60 s.
                idle_timeout: Some(Duration::from_secs(50)),
                max_lifetime: Some(Duration::from_secs(30 * 60)),
                acquire_timeout: Some(Duration::from_secs(10)),
                connect_timeout: Duration::from_secs(5),
                dialer: Dialer::new(),
            },
            proxy: None,
            observers: Vec::new(),
            #[cfg(feature = "rustls")]
            tls: None,
        }
    }

    /// The name that errors and reports carry, with the route in brackets. Default: "http".
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Connections that one route may have at once, those being opened included; further requests wait for one that comes
    /// back. Default: 20.
    pub fn max_per_route(mut self, connections: usize) -> Self {
        self.each.max_size = connections;
        self
    }

    /// Connections that all routes may have together at once, those being opened included. Where as many are open and a
    /// route needs one, the one that has been idle for longest, of whichever route, is closed for it; where none is idle,
    /// the route whose request has waited longest has the next that comes back. Default: 500.
    pub fn max_total(mut self, connections: usize) -> Self {
        self.max_total = connections;
        self
    }

    /// Idle connections that all routes may keep together; of more, those that have been idle for longest are closed, within
    /// a second or so. 0 keeps none for longer than that. Default: no bound but [`max_total`](Self::max_total).
    pub fn max_idle(mut self, connections: impl Into<Option<usize>>) -> Self {
        self.max_idle = connections.into();
        self
    }

    /// Closes a connection that has been idle for this long. A server that says with `Keep-Alive: timeout=5` that it keeps
    /// them for less is taken at its word, less a second, or less half of it where that is shorter. `None`: no limit but
    /// the server's. Default: 50 s.
    pub fn idle_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.each.idle_timeout = limit.into();
        self
    }

    /// A connection this old gets no new requests, and is closed when those it carries have ended, so that a name which moved
    /// is followed. Up to a tenth less, by chance for each, so that those opened together do not end together. `None`: no
    /// limit. Default: 30 min.
    pub fn max_lifetime(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.each.max_lifetime = limit.into();
        self
    }

    /// Requests of one route that may wait for a connection at once; one more fails with [`Error::NoConnection`] at once.
    /// `None`: no bound. Default: 10,000.
    ///
    /// [`Error::NoConnection`]: crate::Error::NoConnection
    pub fn max_waiters(mut self, requests: impl Into<Option<usize>>) -> Self {
        self.each.max_waiters = requests.into();
        self
    }

    /// Called with everything that happens to connections, of whichever route; [`Event::pool`] says of which, as
    /// `http[https://example.org:443]`. Several are called in the order given; a panic is ignored. On the task where it
    /// happens: it is to be quick.
    ///
    /// ```
    /// use cenote::report::EventKind;
    ///
    /// let http = cenote_http::Client::builder()
    ///     .on_event(|event| {
    ///         if let EventKind::ConnectFailed { .. } = event.kind {
    ///             eprintln!("{}: {:?}", event.pool, event.kind);
    ///         }
    ///     })
    ///     .build()?;
    /// # drop(http);
    /// # Ok::<(), cenote::error::SettingsError>(())
    /// ```
    pub fn on_event(mut self, observer: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Self {
        self.observers.push(Arc::new(observer));
        self
    }

    /// How long a request waits for a connection, one that is opened for it included. `None`: without end. Default: 10 s.
    pub fn acquire_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.each.acquire_timeout = limit.into();
        self
    }

    /// How long opening a connection may take: the look-up of the name, TCP to whichever of its addresses answers first,
    /// the tunnel through a proxy, and TLS. Default: 5 s.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.each.connect_timeout = limit;
        self
    }

    /// The version of HTTP of requests that do not ask for one. Default: [`HttpVersion::Any`].
    pub fn version(mut self, version: HttpVersion) -> Self {
        self.version = version;
        self
    }

    /// How sockets are opened: how soon a peer that vanished is noticed, and from which address of this machine. All routes
    /// share its look-ups, so that one of each name is under way at a time. Default: [`Dialer::new`].
    pub fn dialer(mut self, dialer: Dialer) -> Self {
        self.each.dialer = dialer;
        self
    }

    /// The proxy that requests go by which say nothing else: see [`RouteOptions::direct`] and [`RouteOptions::proxy`]. The
    /// environment is not read. Default: none.
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.proxy = Some(proxy);
        self
    }

    /// The TLS settings of `https` requests that bring none of their own. What they offer by ALPN is replaced by
    /// the versions of HTTP that a route may speak. Default: the system's roots, TLS 1.2 and 1.3, no client certificate; where the system has no roots,
    /// each handshake fails with an unknown issuer.
    #[cfg(feature = "rustls")]
    pub fn tls(mut self, config: tokio_rustls::rustls::ClientConfig) -> Self {
        self.tls = Some(TlsProfile::new(config));
        self
    }

    /// The client. It opens no connection before it is asked for something.
    ///
    /// # Errors
    /// A setting that can't work, named with what would.
    pub fn build(self) -> Result<Client, SettingsError> {
        let Self {
            name,
            max_total,
            max_idle,
            version,
            each,
            proxy,
            observers,
            #[cfg(feature = "rustls")]
            tls,
        } = self;
        let defaults = RouteDefaults {
            version,
            #[cfg(feature = "rustls")]
            tls: tls.unwrap_or_else(TlsProfile::system),
            way: proxy.map_or(Way::Direct, Way::By),
        };
        each.check(&defaults)?;
        let pools = Keyed::builder(move |route: &Route| each.pool(route.clone()))
            .name(name)
            .max_total(max_total);
        let pools = match max_idle {
            Some(connections) => pools.max_idle(connections),
            None => pools,
        };
        let pools = observers.into_iter().fold(pools, |pools, observer| {
            pools.on_event(move |event| observer(event))
        });
        let pools = pools.build()?;
        Ok(Client::new(Shared {
            pools,
            defaults,
            spare: Spare::new(),
        }))
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("name", &self.name)
            .field("max_total", &self.max_total)
            .field("max_idle", &self.max_idle)
            .field("version", &self.version)
            .field("each", &self.each)
            .field("proxy", &self.proxy)
            .finish_non_exhaustive()
    }
}

impl EachPool {
    fn pool(&self, route: Route) -> SharedPoolBuilder<Connector> {
        let Self {
            max_size,
            max_waiters,
            idle_timeout,
            max_lifetime,
            acquire_timeout,
            connect_timeout,
            dialer,
        } = self.clone();
        SharedPool::builder(Connector::new(route, dialer))
            .max_size(max_size)
            .max_connecting(MAX_CONNECTING)
            .grow_after(GROW_AFTER)
            .max_waiters(max_waiters)
            .max_lifetime(max_lifetime)
            .idle_timeout(idle_timeout)
            .acquire_timeout(acquire_timeout)
            .connect_timeout(connect_timeout)
            // The others can rest, and be closed once they have for long.
            .choice(Choice::FirstAvailable)
            // A round trip over HTTP/2; HTTP/1.1 has nothing to ask an idle connection with. What can be seen of either is
            // looked at in any case.
            .check_after_idle(CHECK_AFTER_IDLE)
            .keepalive(None)
            // A request can be told at once: its caller knows better than the pool whether it is worth another attempt.
            .connect_failures(ConnectFailures::FailAfter(1))
    }

    /// What is wrong with the settings is told when the client is made, and not with the first request.
    fn check(&self, defaults: &RouteDefaults) -> Result<(), SettingsError> {
        let any = Uri::from_static("http://name.invalid/");
        let Ok(route) = Route::new(&any, HttpVersion::Any, RouteOptions::new(), defaults) else {
            return Ok(());
        };
        self.pool(route).check().map_err(|mut error| {
            if error.setting == "max_size" {
                error.setting = "max_per_route";
            }
            error
        })
    }
}
