//! What a lifecycle is made from, as the builders of its faces put it together.

use tokio::runtime::Handle;

use super::set::SetState;
use super::spent::OnSpent;
use super::state::{Lifecycle, LifecycleCore};
use super::supply::{StartFollower, Supply};
use super::target::{Target, Targets};
use super::upkeep;
use crate::budget::{Budget, Membership};
use crate::connect::Connect;
use crate::error::SettingsError;
use crate::hooks::Hooks;
use crate::kernel::{Arc, Core};
use crate::rt::Runtime;
use crate::settings::Settings;

pub(crate) struct Blueprint<C: Connect> {
    pub(crate) supply: Supply<C>,
    pub(crate) settings: Settings,
    pub(crate) hooks: Hooks<C>,
    /// The caller's, if there is none.
    pub(crate) runtime: Option<Handle>,
    pub(crate) budget: Option<Budget>,
    /// Told when nothing is left of it.
    pub(crate) on_spent: Option<OnSpent>,
}

/// A lifecycle that does nothing by itself yet.
pub(crate) struct Prepared<C: Connect> {
    pub(crate) core: Arc<LifecycleCore<C>>,
    follow: Option<StartFollower<C>>,
}

impl<C: Connect> Prepared<C> {
    /// Within a runtime its upkeep starts, and opens what is to be kept open; so does the follower of a set.
    pub(crate) fn start(self) {
        upkeep::ensure(&self.core);
        if let Some(follow) = self.follow {
            follow(&self.core);
        }
    }
}

impl<C: Connect> Blueprint<C> {
    pub(crate) fn new(supply: Supply<C>) -> Self {
        let settings = match supply {
            Supply::One(_) => Settings::default(),
            Supply::Set(_) => Settings::of_set(),
        };
        Self {
            supply,
            settings,
            hooks: Hooks::default(),
            runtime: None,
            budget: None,
            on_spent: None,
        }
    }

    /// The lifecycle, with one handle on it. Within a runtime its upkeep starts at once.
    pub(crate) fn begin(self) -> Result<Arc<LifecycleCore<C>>, SettingsError> {
        let prepared = self.prepare()?;
        let core = Arc::clone(&prepared.core);
        prepared.start();
        Ok(core)
    }

    /// The lifecycle, with one handle on it, to be started.
    pub(crate) fn prepare(self) -> Result<Prepared<C>, SettingsError> {
        self.settings.validate()?;
        let (setting, reserved) = self.settings.reserved();
        let budget = self
            .budget
            .map(|budget| Membership::begin(&budget, setting, reserved))
            .transpose()?;
        let runtime = self.runtime.map_or_else(Runtime::callers, Runtime::Own);
        let (targets, follow) = match self.supply {
            Supply::One(connector) => {
                let target = Arc::new(Target::new(connector, None));
                (Targets::One(target), None)
            }
            Supply::Set(begin) => {
                let (status, follow) = begin()?;
                let set = SetState::new(&self.settings, status);
                (Targets::Set(Box::new(set)), Some(follow))
            }
        };
        let (max_size, order) = (self.settings.max_size, self.settings.order());
        let core = Core::new(
            Lifecycle::new(
                targets,
                self.settings,
                self.hooks,
                runtime,
                budget,
                self.on_spent,
            ),
            max_size,
            order,
        );
        if let Some(budget) = &core.owner.budget {
            let weak = Arc::downgrade(&core);
            budget.introduce(weak);
        }
        Ok(Prepared { core, follow })
    }
}
