//! The breaker of models that need no special one.

use tripcurve::__model::{Core, Parts, Probes, Ring, Settings, Switch, TimeRing};
use tripcurve::{Outcome, State, TripPolicy};

/// A breaker that trips on so many failures and opens for `open_for` nanoseconds.
///
/// It has one bucket of a second and one probe. Its models choose a whole number of the state
/// word's units for `open_for`.
#[must_use]
pub fn breaker(failures: u32, open_for: u64, state: State) -> Core {
    breaker_by(TripPolicy::failure_count(failures), open_for, state)
}

/// Like [`breaker`], with another policy.
#[must_use]
pub fn breaker_by(policy: impl Into<TripPolicy>, open_for: u64, state: State) -> Core {
    let settings = Settings {
        name: "model".into(),
        policies: [policy.into()].into(),
        open_for,
        probes: Probes::all(1),
        probe_timeout: u64::MAX,
        on_cancel: Outcome::Ignored,
        switch: Switch::default(),
    };
    let ring = TimeRing::new(1 << 30, 1, 1, false);
    let parts = Parts {
        settings,
        ring: Ring::Time(ring),
        optional: None,
    };
    Core::new(parts, None, state, 0)
}
