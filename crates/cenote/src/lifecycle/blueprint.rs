//! What a lifecycle is made from, as the builders of its faces put it together.

use tokio::runtime::Handle;

use super::set::SetState;
use super::state::{Lifecycle, LifecycleCore};
use super::supply::Supply;
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
        }
    }

    /// The lifecycle, with one handle on it. Within a runtime its upkeep starts at once.
    pub(crate) fn begin(self) -> Result<Arc<LifecycleCore<C>>, SettingsError> {
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
            Lifecycle::new(targets, self.settings, self.hooks, runtime, budget),
            max_size,
            order,
        );
        if let Some(budget) = &core.owner.budget {
            let weak = Arc::downgrade(&core);
            budget.introduce(weak);
        }
        upkeep::ensure(&core);
        if let Some(follow) = follow {
            follow(&core);
        }
        Ok(core)
    }
}
