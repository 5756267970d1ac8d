//! Transitions: changes of state, as listeners are told of them.

#![allow(
    clippy::disallowed_types,
    reason = "a transition carries the system's time, which the clock reads"
)]

mod cause;
mod codec;
pub(crate) mod entry;
mod kind;
pub(crate) mod listeners;
mod opening;
#[cfg(feature = "serde")]
pub(crate) mod serialize;
pub(crate) mod slot;
#[cfg(feature = "tracing")]
pub(crate) mod traced;
mod would_trip;

use std::fmt;
use std::time::{Duration, SystemTime};

use crate::name::Name;
use crate::name::label::Label;
use crate::state::State;

use self::entry::LogEntry;

pub use cause::Cause;
pub use entry::WindowCounts;
pub use opening::Opening;
#[cfg(feature = "tracing")]
pub(crate) use would_trip::shielded;
pub use would_trip::{WouldTrip, WouldTripReason};
pub(crate) use would_trip::{WouldTripListener, WouldTrips};

/// A change of a breaker's state, as listeners are told of it.
///
/// ```
/// use tripcurve::{CircuitBreaker, TripPolicy};
/// use std::sync::mpsc;
///
/// let (sender, told) = mpsc::channel();
/// let breaker = CircuitBreaker::builder("payments")
///     .trip_when(TripPolicy::consecutive_failures(2))
///     .on_transition(move |transition| drop(sender.send(transition.to_string())))
///     .build()?;
/// for _ in 0..2 {
///     let _ = breaker.call(|| Err::<(), _>("timeout"));
/// }
/// assert_eq!(
///     told.recv()?,
///     "payments: closed -> open, generation 1: 2 calls in a row failed (limit 2)"
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Transition {
    pub(crate) name: Name,
    pub(crate) entry: LogEntry,
    pub(crate) system_time: SystemTime,
    pub(crate) missed: u64,
}

impl Transition {
    /// The breaker's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The state that was left. A reset of a closed breaker leaves and enters the same state.
    #[must_use]
    pub fn from(&self) -> State {
        self.entry.from
    }

    /// The state that was entered.
    #[must_use]
    pub fn to(&self) -> State {
        self.entry.to
    }

    /// The generation that was entered: one more for each transition.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.entry.generation
    }

    /// When the transition was made, on the breaker's clock; see [`Clock::now`](crate::Clock::now).
    #[must_use]
    pub fn at(&self) -> Duration {
        Duration::from_nanos(self.entry.at)
    }

    /// When the transition was made, on the system's clock, for event stores and logs.
    ///
    /// The breaker reads the system's clock when it tells its listeners, and subtracts what has
    /// passed since the transition. [`at`](Self::at) is better for differences: a system's clock
    /// may be set.
    ///
    /// With a mock clock, the time is the same in each run. It is [`at`](Self::at) since 1970, or
    /// counts from what [`MockClock::set_system_time`](crate::time::MockClock::set_system_time)
    /// has set.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use std::time::{Duration, SystemTime};
    /// use tripcurve::CircuitBreaker;
    /// use tripcurve::time::Clock;
    ///
    /// let (clock, hand) = Clock::mock();
    /// let (sender, told) = mpsc::channel();
    /// let breaker = CircuitBreaker::builder("payments")
    ///     .on_transition(move |transition| drop(sender.send(transition.clone())))
    ///     .clock(clock)
    ///     .build()?;
    /// let new_year = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
    /// hand.set_system_time(new_year);
    /// hand.advance(Duration::from_secs(8));
    /// breaker.force_open();
    /// assert_eq!(told.recv()?.system_time(), new_year + Duration::from_secs(8));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn system_time(&self) -> SystemTime {
        self.system_time
    }

    /// Why the transition was made.
    #[must_use]
    pub fn cause(&self) -> Cause {
        self.entry.reason.cause
    }

    /// The window's counts at the trip, if the window's calls tripped the breaker.
    ///
    /// `None` for every other transition. A failed probe reopens a breaker whose window is empty,
    /// and a command opens it whatever the window holds.
    #[must_use]
    pub fn counts(&self) -> Option<WindowCounts> {
        self.entry.reason.counts
    }

    /// The label of the call that decided the transition, if it failed and its classifier gave one;
    /// see [`Classify::label`](crate::outcome::Classify::label).
    #[must_use]
    pub fn label(&self) -> Option<Label> {
        self.entry.reason.label.non_empty()
    }

    /// The number of transitions just before this one that the listeners were not told of.
    ///
    /// It is 0 unless something was held up for 32 transitions: a listener, or a thread that had
    /// made a transition.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }
}

impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, missed) = (&self.name, self.missed);
        let LogEntry { from, to, .. } = self.entry;
        let (generation, cause) = (self.generation(), self.cause());
        write!(
            f,
            "{name}: {from} -> {to}, generation {generation}: {cause}"
        )?;
        if missed > 0 {
            write!(f, " ({missed} transitions before this one were not told)")?;
        }
        Ok(())
    }
}
