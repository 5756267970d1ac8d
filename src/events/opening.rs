//! The latest opening of a breaker: why, when, and what its window held.

use std::fmt;
use std::time::Duration;

use super::Cause;
use super::entry::{LogEntry, WindowCounts};
use crate::error::{PackedCause, Rejected};
use crate::name::label::Label;
use crate::state::{Admission, State};

/// The latest opening of a breaker: why it opened, when, and what its window held.
///
/// A trip, a failed recovery and the commands [`trip`](crate::CircuitBreaker::trip) and
/// [`force_open`](crate::CircuitBreaker::force_open) open a breaker. Each of them replaces the
/// opening before. The opening stays when the breaker closes.
///
/// An isolation by a `ControlGroup` is the latest opening as long as it lasts, with the cause
/// [`Isolated`](Cause::Isolated). After it, the opening before is the latest one again.
///
/// `Display` makes a few words for a log:
///
/// ```
/// use tripcurve::outcome::{Label, Report};
/// use tripcurve::{CircuitBreaker, TripPolicy};
///
/// let breaker = CircuitBreaker::builder("payments").trip_when(TripPolicy::classic()).build()?;
/// for _ in 0..5 {
///     breaker.try_acquire()?.record(Report::failure().label(Label::new("timeout")));
/// }
/// let opening = breaker.snapshot().latest_opening().unwrap();
/// assert_eq!(opening.to_string(), "5 calls in a row failed (limit 5), the last with timeout");
/// assert_eq!(opening.counts().unwrap().failures(), 5);
///
/// breaker.force_open();
/// let rejected = breaker.try_acquire().unwrap_err();
/// assert_eq!(rejected.cause().unwrap().to_string(), "by hand");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Opening {
    entry: LogEntry,
}

impl Opening {
    pub(crate) fn of(entry: LogEntry) -> Self {
        Self { entry }
    }

    /// Why the breaker opened.
    #[must_use]
    pub fn cause(&self) -> Cause {
        self.entry.reason.cause
    }

    /// When it opened, on the breaker's clock; see [`Clock::now`](crate::Clock::now).
    #[must_use]
    pub fn at(&self) -> Duration {
        Duration::from_nanos(self.entry.at)
    }

    /// The generation that the opening began.
    ///
    /// It equals [`Transition::generation`](crate::Transition::generation) of that transition. If
    /// an isolation interrupted the opening, it is the generation that the release began.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.entry.generation
    }

    /// The state that was left.
    #[must_use]
    pub fn from(&self) -> State {
        self.entry.from
    }

    /// The state that was entered: open or forced open.
    #[must_use]
    pub fn to(&self) -> State {
        self.entry.to
    }

    /// The window's counts at the trip, if the window's calls tripped the breaker.
    ///
    /// `None` after a failed recovery or a command.
    #[must_use]
    pub fn counts(&self) -> Option<WindowCounts> {
        self.entry.reason.counts
    }

    /// The label of the failure that opened the breaker, if its classifier gave one; see
    /// [`Classify::label`](crate::outcome::Classify::label).
    #[must_use]
    pub fn label(&self) -> Option<Label> {
        self.entry.reason.label.non_empty()
    }
}

impl fmt::Display for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.cause())?;
        match self.label() {
            Some(label) => write!(f, ", the last with {label}"),
            None => Ok(()),
        }
    }
}

impl PackedCause {
    /// The cause, if there is one.
    #[must_use]
    pub fn unpack(self) -> Option<Cause> {
        Cause::decode_packed(self)
    }
}

/// Shows the cause, or `None`.
impl fmt::Debug for PackedCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.unpack().fmt(f)
    }
}

impl Rejected {
    /// Why the breaker opened, in the opening because of which it rejects calls.
    ///
    /// For an open breaker that is the opening that opened it, and for a half-open one the opening
    /// that it recovers from. [`CircuitBreaker::opening_of`](crate::CircuitBreaker::opening_of)
    /// says more of it.
    ///
    /// For an isolated one it is [`Isolated`](Cause::Isolated).
    ///
    /// `None` if the breaker was built open, was restored, or has opened at this very moment. The
    /// thread that opens a breaker notes the cause just afterwards, and a rejection waits for no
    /// thread.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcurve::CircuitBreaker;
    /// use tripcurve::events::Cause;
    ///
    /// let breaker = CircuitBreaker::new("payments");
    /// breaker.trip(Duration::from_secs(60));
    /// assert_eq!(breaker.try_acquire().unwrap_err().cause(), Some(Cause::Manual));
    /// ```
    #[must_use]
    pub fn cause(&self) -> Option<Cause> {
        if self.retry_after == Admission::ISOLATED {
            return Some(Cause::Isolated);
        }
        self.cause.unpack()
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "circuit breaker {} is {}", self.name, self.state)?;
        if let Some(wait) = self.earliest() {
            write!(f, ", retry after {wait:.1?}")?;
        }
        match self.cause() {
            Some(cause) => write!(f, "; opened: {cause}"),
            None => Ok(()),
        }
    }
}
