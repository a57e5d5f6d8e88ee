//! What holds for all keys together; what holds for each is said where its pool is made.

use std::fmt;
use std::sync::Arc;

use super::Keyed;
use super::map::{Make, Map};
use super::pools::{IntoPool, KeyedPool, Observer};
use crate::budget::Budget;
use crate::error::SettingsError;
use crate::report::Event;
use crate::settings::refuse;

/// Sets up a [`Keyed`].
#[must_use = "a builder does nothing until `build`"]
pub struct KeyedBuilder<K, P> {
    make: Make<K, P>,
    name: Arc<str>,
    max_total: Option<usize>,
    max_idle: Option<usize>,
    budget: Option<Budget>,
    observers: Vec<Observer>,
}

impl<K: fmt::Debug + Send + Sync + 'static, P: KeyedPool> KeyedBuilder<K, P> {
    pub(super) fn new<B: IntoPool<Pool = P>>(
        make: impl Fn(&K) -> B + Send + Sync + 'static,
    ) -> Self {
        Self {
            make: Box::new(move |key, mut place| {
                place.name = format!("{}[{key:?}]", place.name).into();
                make(key).prepare(place)
            }),
            name: "unnamed".into(),
            max_total: None,
            max_idle: None,
            budget: None,
            observers: Vec::new(),
        }
    }

    /// The name that errors and reports carry; that of a key's pool is this and the key's `Debug` in brackets, as in
    /// `tenants["acme"]`. Default: "unnamed".
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into().into();
        self
    }

    /// Connections that all keys may have together at once, those being opened included, beside what each key's own pool
    /// may have. Default: no bound but those of the keys.
    ///
    /// Where as many are open and another key needs one, the connection that has been idle for longest, of whichever key,
    /// is closed for it; where none is idle, the key whose caller has waited longest has one as soon as it comes back: see
    /// [`Budget`], which this is.
    pub fn max_total(mut self, connections: usize) -> Self {
        self.max_total = Some(connections);
        self
    }

    /// Idle connections that all keys may have together: of more, those that have been idle for longest are closed, of
    /// whichever keys, as [`Budget::max_idle`] says. Default: no bound but those of the keys.
    pub fn max_idle(mut self, connections: usize) -> Self {
        self.max_idle = Some(connections);
        self
    }

    /// Bounds the connections of all keys and of whatever else is under the same [`Budget`] together, beside
    /// [`max_total`](Self::max_total). Default: none.
    pub fn budget(mut self, budget: &Budget) -> Self {
        self.budget = Some(budget.clone());
        self
    }

    /// Called with everything that happens in any key's pool, after the observers of that alone;
    /// [`Event::pool`](crate::report::Event::pool) says of which key. Several are called in the order given, whatever happens
    /// in those before; a panic is ignored. So what is to be counted over all keys outlives each:
    ///
    /// ```
    /// # use cenote::{Connect, Keyed};
    /// # use cenote::report::EventKind;
    /// # use std::sync::Arc;
    /// # use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    /// # fn tenants<C: Connect>(connector: fn(&String) -> C) -> Result<(), Box<dyn std::error::Error>> {
    /// let opened = Arc::new(AtomicU64::new(0));
    /// let counted = Arc::clone(&opened);
    /// let tenants = Keyed::builder(connector)
    ///     .on_event(move |event| {
    ///         if let EventKind::Opened { .. } = event.kind {
    ///             counted.fetch_add(1, Relaxed);
    ///         }
    ///     })
    ///     .build()?;
    /// # drop(tenants); Ok(()) }
    /// ```
    pub fn on_event(mut self, observer: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Self {
        self.observers.push(Observer::new(observer));
        self
    }

    /// The pools. None is made before its key is asked for.
    ///
    /// # Errors
    /// A [`max_total`](Self::max_total) of 0. What is wrong with the settings of a key's pool is found when that is made, and
    /// told as [`GetError::Setup`](crate::GetError::Setup).
    pub fn build(self) -> Result<Keyed<K, P>, SettingsError> {
        let Self {
            make,
            name,
            max_total,
            max_idle,
            budget,
            observers,
        } = self;
        // A bound on idle connections alone is one on any number of connections.
        let max_total = max_total.or_else(|| max_idle.map(|_| usize::MAX));
        let budget = match (max_total, budget) {
            (Some(0), _) => return refuse("max_total", 0, "at least 1"),
            (Some(max), Some(parent)) => Some(Budget::within(&parent, max).named(&*name)),
            (Some(max), None) => Some(Budget::new(max).named(&*name)),
            (None, budget) => budget,
        };
        let budget = match (budget, max_idle) {
            (Some(budget), Some(max_idle)) => Some(budget.max_idle(max_idle)),
            (budget, _) => budget,
        };
        Ok(Keyed {
            map: Map::new(name, budget, observers.into(), make),
        })
    }
}

impl<K, P> fmt::Debug for KeyedBuilder<K, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedBuilder")
            .field("name", &self.name)
            .field("max_total", &self.max_total)
            .field("max_idle", &self.max_idle)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}
