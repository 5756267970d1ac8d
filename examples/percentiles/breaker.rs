//! The breaker and its policies.

use std::time::Duration;

use tripcurve::error::ConfigError;
use tripcurve::events::Transition;
use tripcurve::window::{Recording, Window};
use tripcurve::{CircuitBreaker, TripPolicy};

use crate::script::Script;

/// A call that takes longer is slow.
pub(crate) const SLOWER_THAN: Duration = Duration::from_millis(200);

/// The length of the breaker's window at full length: ten buckets of half a second.
pub(crate) const WINDOW: Duration = Duration::from_secs(5);
const BUCKETS: u32 = 10;

/// # Errors
///
/// Returns an error only if the settings are changed to invalid ones.
pub(crate) fn new(
    script: &Script,
    listener: impl Fn(&Transition) + Send + Sync + 'static,
) -> Result<CircuitBreaker, ConfigError> {
    CircuitBreaker::builder("backend")
        .window(Window::time(script.scaled(WINDOW), BUCKETS))
        .latency(Recording::ByOutcome)
        .trip_when(TripPolicy::failure_rate(0.5).min_calls(10))
        // This policy sees the hang. Overdue calls count as slow from the limit on, but the failure
        // rate waits until they have timed out.
        .trip_when(
            TripPolicy::slow_rate(0.5)
                .slower_than(SLOWER_THAN)
                .min_calls(10),
        )
        .open_for(script.scaled(Duration::from_secs(2)))
        .probes(3)
        .on_transition(listener)
        .build()
}
