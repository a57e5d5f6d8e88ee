//! What a lifecycle is made from, as the builders of its faces put it together.

use tokio::runtime::Handle;

use super::state::{Lifecycle, LifecycleCore};
use super::upkeep;
use crate::budget::{Budget, Membership};
use crate::connect::Connect;
use crate::error::SettingsError;
use crate::hooks::Hooks;
use crate::kernel::{Arc, Core};
use crate::rt::Runtime;
use crate::settings::Settings;

pub(crate) struct Blueprint<C: Connect> {
    pub(crate) connector: C,
    pub(crate) settings: Settings,
    pub(crate) hooks: Hooks<C>,
    /// The caller's, if there is none.
    pub(crate) runtime: Option<Handle>,
    pub(crate) budget: Option<Budget>,
}

impl<C: Connect> Blueprint<C> {
    pub(crate) fn new(connector: C) -> Self {
        Self {
            connector,
            settings: Settings::default(),
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
        let (max_size, order) = (self.settings.max_size, self.settings.order());
        let core = Core::new(
            Lifecycle::new(self.connector, self.settings, self.hooks, runtime, budget),
            max_size,
            order,
        );
        if let Some(budget) = &core.owner.budget {
            let weak = Arc::downgrade(&core);
            budget.introduce(weak);
        }
        upkeep::ensure(&core);
        Ok(core)
    }
}
