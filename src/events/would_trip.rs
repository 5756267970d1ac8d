//! Trips that a breaker would make, but may not.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::Cause;
use crate::name::Name;
use crate::state::State;
use crate::sync::{LateBox, SelfContained};

/// A trip that a breaker would have made, as listeners are told of it.
///
/// A breaker tells of one each time that its policies become satisfied while it may not trip; see
/// [`CircuitBreakerBuilder::on_would_trip`](crate::CircuitBreakerBuilder::on_would_trip).
///
/// ```
/// use std::sync::mpsc;
/// use tripcurve::{CircuitBreaker, TripPolicy};
///
/// let (sender, told) = mpsc::channel();
/// let breaker = CircuitBreaker::builder("payments")
///     .trip_when(TripPolicy::consecutive_failures(2))
///     .metrics_only(true)
///     .on_would_trip(move |event| drop(sender.send(event.to_string())))
///     .build()?;
/// for _ in 0..3 {
///     let _ = breaker.call(|| Err::<(), _>("timeout"));
/// }
/// assert_eq!(
///     told.recv()?,
///     "payments would have tripped (metrics-only): 2 calls in a row failed (limit 2)"
/// );
/// assert!(told.try_recv().is_err(), "the third failure changes nothing");
/// assert_eq!(breaker.snapshot().would_have_opened(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct WouldTrip {
    pub(crate) name: Name,
    pub(crate) cause: Cause,
    pub(crate) at: Duration,
    pub(crate) state: State,
    pub(crate) reason: WouldTripReason,
}

/// Why a breaker with a cause to trip didn't.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WouldTripReason {
    /// The breaker only measures; see [`State::MetricsOnly`].
    MetricsOnly,
    /// The breaker is new, and warms up; see
    /// [`CircuitBreakerBuilder::warm_up`](crate::CircuitBreakerBuilder::warm_up).
    WarmUp,
    /// The group or registry already has its largest share of open members; see
    /// `ControlGroup::with_max_open_share`.
    OpenShare,
}

impl WouldTripReason {
    /// The reason's name: `metrics-only`, `warm-up` or `open-share`.
    ///
    /// It is stable, for labels and log lines.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MetricsOnly => "metrics-only",
            Self::WarmUp => "warm-up",
            Self::OpenShare => "open-share",
        }
    }
}

impl fmt::Display for WouldTripReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl WouldTrip {
    /// The breaker's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The cause for which the breaker would have tripped.
    #[must_use]
    pub fn cause(&self) -> Cause {
        self.cause
    }

    /// When the policies were satisfied, on the breaker's clock; see
    /// [`Clock::now`](crate::Clock::now).
    #[must_use]
    pub fn at(&self) -> Duration {
        self.at
    }

    /// The state that the breaker was in, and still is.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// Why the breaker didn't trip.
    #[must_use]
    pub fn reason(&self) -> WouldTripReason {
        self.reason
    }
}

impl fmt::Display for WouldTrip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            cause,
            reason,
            ..
        } = self;
        write!(f, "{name} would have tripped ({reason}): {cause}")
    }
}

/// A function that is told of trips that would have been. Breakers made from one builder share it.
pub(crate) type WouldTripListener = Arc<dyn Fn(&WouldTrip) + Send + Sync>;

/// The trips that a breaker would have made: how many, and the functions to tell.
#[derive(Default)]
pub(crate) struct WouldTrips {
    listeners: LateBox<Vec<WouldTripListener>>,
    count: SelfContained,
}

impl WouldTrips {
    /// Sets the listeners, before any other thread knows of the breaker.
    pub(crate) fn listen(&self, listeners: Vec<WouldTripListener>) {
        self.listeners.get_or_init(|| Box::new(listeners));
    }

    /// How many there were since the breaker was made.
    pub(crate) fn count(&self) -> u64 {
        self.count.load()
    }

    /// Counts one, and tells the listeners on this thread.
    pub(crate) fn tell(&self, event: impl FnOnce() -> WouldTrip) {
        self.count.add(1);
        let Some(listeners) = self.listeners.get().filter(|it| !it.is_empty()) else {
            return;
        };
        let event = event();
        for listener in listeners {
            shielded(|| listener(&event));
        }
    }
}

impl fmt::Debug for WouldTrips {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listeners = self.listeners.get().map_or(0, Vec::len);
        write!(f, "{} told to {listeners} listeners", self.count())
    }
}

/// Calls a listener. Its panic harms neither the call that tells it, nor other listeners.
pub(crate) fn shielded(tell: impl FnOnce()) {
    // Dropping the panic's payload may panic too.
    if let Err(payload) = catch_unwind(AssertUnwindSafe(tell))
        && let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(payload)))
    {
        std::mem::forget(payload);
    }
}
