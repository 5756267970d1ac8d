//! Snapshots of a breaker.

#[cfg(feature = "serde")]
mod serialize;

use std::{fmt, time::Duration};

use crate::events::Opening;
pub use crate::latency::report::Latency;
use crate::window::{BinCounts, Recording, rate};
use crate::{name::Name, state::State};

/// A picture of a breaker at one moment.
///
/// All of it belongs to one generation. It is exact while no thread records. While threads record,
/// it contains some of the calls recorded during the reading and misses others. It reads the
/// failures first. So the failure rate is not too high, unless a bucket ends at that moment.
///
/// `Display` makes one line for a log:
///
/// ```
/// use tripcurve::CircuitBreaker;
/// use tripcurve::time::Clock;
///
/// let (clock, _hand) = Clock::mock();
/// let breaker = CircuitBreaker::builder("payments").clock(clock).build()?;
/// breaker.try_acquire()?.success();
/// breaker.try_acquire()?.failure();
/// assert_eq!(
///     breaker.snapshot().to_string(),
///     "payments is closed for 0.0ns: 2 calls, 1 failed (50.0 %), 1 in a row, 0 ignored"
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    pub(crate) name: Name,
    pub(crate) state: State,
    pub(crate) generation: u64,
    pub(crate) at: Duration,
    pub(crate) in_state_for: Duration,
    pub(crate) remaining_open: Option<Duration>,
    pub(crate) successes: u64,
    pub(crate) failures: u64,
    pub(crate) ignored: u64,
    pub(crate) rejected: u64,
    pub(crate) consecutive_failures: u64,
    pub(crate) probes_in_flight: u32,
    pub(crate) probes_succeeded: u32,
    pub(crate) probes_slow: u32,
    pub(crate) probes_failed: u32,
    pub(crate) admitted_share: Option<f64>,
    pub(crate) slow: u64,
    pub(crate) slow_failures: u64,
    pub(crate) overdue: u64,
    pub(crate) would_have_opened: u64,
    pub(crate) totals: Totals,
    pub(crate) latency: Option<Latency>,
    /// The latencies of the successes and of the failures.
    pub(crate) by_outcome: Option<Box<[Latency; 2]>>,
    pub(crate) latest_opening: Option<Opening>,
}

/// How many calls a breaker has counted since it was made, by outcome.
///
/// A total never falls, whatever the breaker or its configuration does. So a metrics library can
/// take it as a counter. While threads record, a total may lag behind by some calls. While none
/// does, it is exact. (A [waiting](crate::handles) call may
/// add rejections before it is let through.)
///
/// The totals include what a window leaves out: probes, the calls of a ramp, and calls that came
/// back after the breaker had changed its state. They don't include calls of a
/// [disabled](crate::State::Disabled) breaker, and calls that a saved state brought.
///
/// Cost: nothing for a call that succeeds. A thread that uses a bucket again adds its former count
/// to the totals. A snapshot reads all words of the window for them, and the first one allocates
/// the words in which the breaker keeps what was seen.
///
/// ```
/// use std::time::Duration;
/// use tripcurve::CircuitBreaker;
///
/// let breaker = CircuitBreaker::new("payments");
/// breaker.try_acquire()?.failure();
/// breaker.trip(Duration::from_secs(5));
/// assert!(breaker.try_acquire().is_err());
/// breaker.reset();
///
/// let snapshot = breaker.snapshot();
/// assert_eq!(snapshot.calls(), 0, "the window begins again with each state");
/// assert_eq!(snapshot.totals().failures, 1);
/// assert_eq!(snapshot.totals().rejected, 1);
/// # Ok::<(), tripcurve::Rejected>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Totals {
    /// Calls that succeeded.
    pub successes: u64,
    /// Calls that failed, without those that were given up.
    pub failures: u64,
    /// Calls that were [given up](crate::Outcome::TimedOut).
    pub timed_out: u64,
    /// Calls that were [ignored](crate::Outcome::Ignored).
    pub ignored: u64,
    /// Calls that were rejected.
    pub rejected: u64,
    /// Calls that took too long; see [`Snapshot::slow`]. Each has also succeeded or failed.
    pub slow: u64,
}

impl Totals {
    /// The calls that ended: all but those that were rejected.
    #[must_use]
    pub fn calls(&self) -> u64 {
        let failed = self.failures.saturating_add(self.timed_out);
        let ended = self.successes.saturating_add(self.ignored);
        failed.saturating_add(ended)
    }
}

impl Snapshot {
    /// Replaces the latencies. Allocates only parts that the snapshot doesn't have yet.
    pub(crate) fn set_latency(&mut self, bins: &BinCounts, recording: Recording) {
        if recording == Recording::Off {
            self.latency = None;
        } else {
            let latency = self.latency.get_or_insert_with(Latency::new);
            latency.set(bins.all());
        }
        if recording == Recording::ByOutcome {
            let both = || Box::new([Latency::new(), Latency::new()]);
            let [successes, failures] = &mut **self.by_outcome.get_or_insert_with(both);
            successes.set(bins.calls);
            failures.set(bins.failures);
        } else {
            self.by_outcome = None;
        }
    }

    /// The breaker's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The state.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// The number of the present generation: 0 at first, one more after each transition.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// When the snapshot was taken, on the breaker's clock.
    #[must_use]
    pub fn at(&self) -> Duration {
        self.at
    }

    /// When the present generation began, on the breaker's clock, cut to microseconds.
    #[must_use]
    pub fn since(&self) -> Duration {
        self.at.saturating_sub(self.in_state_for)
    }

    /// How long the present generation has lasted.
    #[must_use]
    pub fn in_state_for(&self) -> Duration {
        self.in_state_for
    }

    /// How long an open breaker will still reject all calls. Zero when the next call is a probe,
    /// `None` in other states.
    #[must_use]
    pub fn remaining_open(&self) -> Option<Duration> {
        self.remaining_open
    }

    /// The latest opening of the breaker, if it has opened since it was built.
    ///
    /// It stays when the breaker closes. An open breaker gives the opening that opened it. That is
    /// `None` if the breaker was built open, was restored, or has opened at this very moment.
    #[must_use]
    pub fn latest_opening(&self) -> Option<Opening> {
        self.latest_opening
    }

    /// The calls of the window that succeeded, without probes.
    ///
    /// They include calls that were [dropped](crate::CircuitBreakerBuilder::on_cancel) after the
    /// limit for slow calls, because these didn't fail. Such a call is also among the
    /// [slow](Self::slow) ones.
    #[must_use]
    pub fn successes(&self) -> u64 {
        self.successes
    }

    /// The calls of the window that failed, without probes.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// The calls of the window that succeeded or failed.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.successes + self.failures
    }

    /// The ignored calls, in the states that let calls through. They count within the window's
    /// time, or, for a window by count, since the generation began.
    #[must_use]
    pub fn ignored(&self) -> u64 {
        self.ignored
    }

    /// The rejected calls, in the states that reject. They count within the window's time, or, for
    /// a window by count, since the generation began.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        self.rejected
    }

    /// The share of the window's calls that failed, 0 to 1; `None` for an empty window.
    #[must_use]
    pub fn failure_rate(&self) -> Option<f64> {
        (self.calls() > 0).then(|| rate(self.failures, self.calls()))
    }

    /// The slow calls of the window; 0 without a [`slow_rate`](crate::TripPolicy::slow_rate)
    /// policy.
    ///
    /// They took longer than that policy's limit, whether they succeeded, failed or were
    /// [dropped](crate::CircuitBreakerBuilder::on_cancel). Calls that were [given
    /// up](crate::Outcome::TimedOut) are slow too.
    ///
    /// Of dense traffic, only a sample is [timed](crate::CircuitBreakerBuilder::timing). This is
    /// then an estimate.
    #[must_use]
    pub fn slow(&self) -> u64 {
        self.slow
    }

    /// The failed calls of the window that were [slow](Self::slow) too; 0 without a
    /// [`slow_rate`](crate::TripPolicy::slow_rate) policy.
    ///
    /// They are among [`slow`](Self::slow) and among [`failures`](Self::failures). Calls that were
    /// [given up](crate::Outcome::TimedOut) are among them. So `slow() - slow_failures()` calls were
    /// slow and did not fail.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcurve::outcome::Report;
    /// use tripcurve::{CircuitBreaker, TripPolicy};
    ///
    /// let second = Duration::from_secs(1);
    /// let breaker = CircuitBreaker::builder("search")
    ///     .trip_when(TripPolicy::slow_rate(0.5).slower_than(second))
    ///     .build()?;
    /// breaker.try_acquire()?.record(Report::success().took(2 * second));
    /// breaker.try_acquire()?.record(Report::failure().took(2 * second));
    /// breaker.try_acquire()?.record(Report::failure().took(second / 2));
    /// let snapshot = breaker.snapshot();
    /// assert_eq!((snapshot.failures(), snapshot.slow(), snapshot.slow_failures()), (2, 2, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn slow_failures(&self) -> u64 {
        self.slow_failures
    }

    /// About how many calls have been in flight for longer than the limit for slow calls. Exact if
    /// all of them are [watched](crate::TripPolicy::slow_rate).
    #[must_use]
    pub fn overdue(&self) -> u64 {
        self.overdue
    }

    /// How often the breaker would have tripped and could not, since it was made.
    ///
    /// It counts one each time that the policies become satisfied while the breaker [only
    /// measures](State::MetricsOnly), or while as many breakers of its group or registry are open
    /// as may be; see [`on_would_trip`](crate::CircuitBreakerBuilder::on_would_trip). A transition
    /// doesn't reset it. A restored breaker starts at 0.
    #[must_use]
    pub fn would_have_opened(&self) -> u64 {
        self.would_have_opened
    }

    /// How many calls the breaker has counted since it was made.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// How long the window's calls took; `None` if the breaker doesn't
    /// [record](crate::CircuitBreakerBuilder::latency) it.
    #[must_use]
    pub fn latency(&self) -> Option<&Latency> {
        self.latency.as_ref()
    }

    /// How long the successful calls took; `None` if they aren't [told
    /// apart](crate::Recording::ByOutcome).
    #[must_use]
    pub fn latency_of_successes(&self) -> Option<&Latency> {
        self.by_outcome.as_ref().map(|both| &both[0])
    }

    /// How long the failed calls took; `None` if they aren't [told
    /// apart](crate::Recording::ByOutcome).
    #[must_use]
    pub fn latency_of_failures(&self) -> Option<&Latency> {
        self.by_outcome.as_ref().map(|both| &both[1])
    }

    /// Failures since the last success, in this generation.
    ///
    /// If calls leave the window by age, only failures in the window count.
    #[must_use]
    pub fn consecutive_failures(&self) -> u64 {
        self.consecutive_failures
    }

    /// Probes that were let through and have not reported.
    #[must_use]
    pub fn probes_in_flight(&self) -> u32 {
        self.probes_in_flight
    }

    /// Probes that have succeeded since the breaker was last open, without the [slow
    /// ones](Self::probes_slow).
    #[must_use]
    pub fn probes_succeeded(&self) -> u32 {
        self.probes_succeeded
    }

    /// Probes that have succeeded, but were slow, where [some
    /// may](crate::Recovery::slow_threshold) be slow.
    #[must_use]
    pub fn probes_slow(&self) -> u32 {
        self.probes_slow
    }

    /// Probes that have failed since the breaker was last open, where [some
    /// may](crate::Recovery::success_threshold) fail.
    #[must_use]
    pub fn probes_failed(&self) -> u32 {
        self.probes_failed
    }

    /// The share of calls that a half-open breaker lets through, once a probe has succeeded: more
    /// than 0, to 1. `None` in other states, and with a [fixed](crate::Recovery::fixed) recovery.
    #[must_use]
    pub fn admitted_share(&self) -> Option<f64> {
        self.admitted_share
    }
}

impl Snapshot {
    /// Writes why an open breaker is open.
    fn write_cause(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.latest_opening {
            Some(opening) => write!(f, "; opened: {opening}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let age = self.in_state_for();
        write!(f, "{} is {} for {age:.1?}: ", self.name, self.state)?;
        match self.state {
            State::Closed | State::MetricsOnly => {
                let percent = 100.0 * self.failure_rate().unwrap_or(0.0);
                let (calls, failures) = (self.calls(), self.failures);
                write!(f, "{calls} calls, {failures} failed ({percent:.1} %), ")?;
                let (run, ignored) = (self.consecutive_failures, self.ignored);
                write!(f, "{run} in a row, {ignored} ignored")
            }
            State::Open => {
                let left = self.remaining_open.unwrap_or_default();
                write!(f, "{left:.1?} left, {} calls rejected", self.rejected)?;
                self.write_cause(f)
            }
            State::HalfOpen if self.admitted_share.is_some() => {
                let percent = 100.0 * self.admitted_share.unwrap_or_default();
                let rejected = self.rejected;
                write!(f, "{percent:.1} % let through, {rejected} calls rejected")
            }
            State::HalfOpen => write!(
                f,
                "{} probes in flight, {} succeeded, {} calls rejected",
                self.probes_in_flight, self.probes_succeeded, self.rejected
            ),
            State::ForcedOpen => {
                write!(f, "{} calls rejected", self.rejected)?;
                self.write_cause(f)
            }
            State::Disabled => f.write_str("all calls pass unrecorded"),
        }
    }
}
