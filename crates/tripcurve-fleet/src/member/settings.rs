//! The settings on which the sums of a breaker's fleet depend.

use std::time::Duration;

use tripcurve::fleet::FleetPort;

use super::machine::Names;
use crate::key::{FleetKey, Meaning};

/// The settings that members must have in common. A breaker with others belongs to another fleet.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Settings {
    tolerated: Option<f64>,
    slow: Option<Duration>,
}

impl Settings {
    /// The settings in force. `None` if the breaker has no adaptive policy.
    pub(super) fn of(port: &FleetPort) -> Option<Self> {
        Some(Self {
            tolerated: port.rule()?.tolerated(),
            slow: port.slow_limit(),
        })
    }

    /// The key of the fleet.
    pub(super) fn key(self, names: &Names, breaker: &str) -> FleetKey {
        let meaning = Meaning::new(self.tolerated, self.slow, &names.classifier);
        FleetKey::new(&names.namespace, &names.zone, breaker, meaning)
    }
}
