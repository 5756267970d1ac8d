//! The configuration of a breaker's window, and its validation.

use std::time::Duration;

use super::{CountRing, KeptTimes, Latencies, Ring, TimeRing};
use crate::clock::{Clock, saturating_nanos};
use crate::error::ConfigError;

/// The recent calls that a breaker judges.
///
/// | window | holds | memory | closed call |
/// |---|---|---|---|
/// | [`Window::time`] | the calls of the last stretch of time, counted in buckets | 24 bytes a bucket, once [grown](crate::CircuitBreakerBuilder::shards) 16 more for each thread with counts of its own | a load and a store of the thread's own; one clock reading, in dense buckets for one success in 16 |
/// | [`Window::count`] | exactly the last n calls | n / 2 bytes | no clock reading, one compare-exchange on a word that all threads share |
/// | [`Window::count`]`.`[`within`](CountWindow::within) | the last n calls, none older than that | the same and 512 bytes | one clock reading, one compare-exchange on a word that all threads share |
///
/// A window starts empty whenever the breaker changes its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window(Shape);

/// The settings of a window.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Shape {
    /// The calls of a recent stretch of time.
    Time {
        /// Length of the window.
        length: Duration,
        /// Number of buckets.
        buckets: u32,
    },
    /// The last calls.
    Count(CountWindow),
}

impl Window {
    /// The calls of the last `length`, counted in `buckets` buckets.
    ///
    /// `length` is 100 ms to 7 days (default 60 s), and `buckets` is in `1..=1024` (default 10).
    /// The window moves on by one bucket at a time. So it covers at least `length` less one bucket,
    /// and at most `length`.
    ///
    /// Up to 131,071 calls of a kind in one bucket and shard are counted exactly. Above that, up to
    /// 2.8 × 10¹⁴ calls, the count is within a thousandth.
    ///
    /// From 1,024 successes in a bucket on, a thread reads the clock for one in 16, unless calls
    /// are timed. So a success may leave the window up to 1/64 of a bucket early. After each pause,
    /// up to 16 successes of a thread may count a second time, or as new, for one window. No
    /// success is missing when a failure is judged.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcurve::CircuitBreaker;
    /// use tripcurve::window::Window;
    ///
    /// let breaker = CircuitBreaker::builder("payments")
    ///     .window(Window::time(Duration::from_secs(10), 20))
    ///     .build()?;
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    #[must_use]
    pub fn time(length: Duration, buckets: u32) -> Self {
        Self(Shape::Time { length, buckets })
    }

    /// Exactly the last `calls` calls, in `1..=1048576`.
    ///
    /// The calls of several threads are in the order in which they were recorded. All threads write
    /// to one word. So a [time window](Window::time) is faster for a breaker that many cores use at
    /// once.
    ///
    /// The adaptive policy needs a window by time. With this window a builder without a policy has
    /// the [classic](crate::TripPolicy::classic) pair.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcurve::window::Window;
    /// use tripcurve::{CircuitBreaker, TripPolicy};
    ///
    /// let breaker = CircuitBreaker::builder("payments")
    ///     .window(Window::count(100).within(Duration::from_secs(60)))
    ///     .trip_when(TripPolicy::failure_rate(0.5).min_calls(20))
    ///     .build()?;
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    pub fn count(calls: u32) -> CountWindow {
        CountWindow {
            calls,
            within: None,
        }
    }

    /// Makes the histograms, if the window keeps them outside its ring.
    pub(crate) fn latencies(&self, thread_slots: u32, recording: Recording) -> Option<Latencies> {
        let by_outcome = recording == Recording::ByOutcome;
        match self.0 {
            Shape::Time { buckets, .. } if recording != Recording::Off => {
                Some(Latencies::new(buckets, thread_slots, by_outcome))
            }
            _ => None,
        }
    }

    /// The maximum age of a call, if there is one.
    pub(crate) fn length(&self) -> Option<Duration> {
        match &self.0 {
            Shape::Time { length, .. } => Some(*length),
            Shape::Count(window) => window.within,
        }
    }

    /// How long a bucket lasts, or [`Duration::MAX`] if the window has no buckets.
    pub(crate) fn bucket(&self) -> Duration {
        match self.0 {
            Shape::Time { length, buckets } => length / buckets.max(1),
            Shape::Count(_) => Duration::MAX,
        }
    }

    /// The number of buckets, if the window has buckets.
    pub(crate) fn buckets(&self) -> Option<u32> {
        match self.0 {
            Shape::Time { buckets, .. } => Some(buckets),
            Shape::Count(_) => None,
        }
    }

    /// The maximum number of calls that the window holds, if there is one.
    pub(crate) fn capacity(&self) -> Option<u32> {
        match &self.0 {
            Shape::Time { .. } => None,
            Shape::Count(window) => Some(window.calls),
        }
    }

    /// Checks that the settings are within their ranges.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        match &self.0 {
            Shape::Time { length, buckets } => {
                check_length("window.length", *length)?;
                let hint = "10 suit most services";
                check("window.buckets", *buckets, TimeRing::MAX_BUCKETS, hint)
            }
            Shape::Count(CountWindow { calls, within }) => {
                let hint = "100 suit most services";
                check("window.calls", *calls, CountRing::MAX_LENGTH, hint)?;
                within.map_or(Ok(()), |within| check_length("window.within", within))
            }
        }
    }

    /// Makes the ring of a window whose settings were checked. A window that can grow grows to
    /// `thread_slots` thread slots.
    pub(crate) fn ring(
        &self,
        thread_slots: u32,
        (timing, samples): (KeptTimes, bool),
        clock: &Clock,
    ) -> Ring {
        match &self.0 {
            &Shape::Time { length, buckets } => {
                let width = clock.units(saturating_nanos(length) / u64::from(buckets));
                let counts_slow = timing.counts_slow;
                let ring = TimeRing::new(width, buckets, thread_slots, counts_slow);
                Ring::Time(if timing.is_timed() && !samples {
                    ring
                } else {
                    ring.lending()
                })
            }
            Shape::Count(CountWindow { calls, within }) => {
                let within = within.map(saturating_nanos);
                Ring::Count(Box::new(CountRing::new(*calls, within, timing)))
            }
        }
    }
}

impl Default for Window {
    /// The last 60 seconds in 10 buckets.
    fn default() -> Self {
        Self::time(Duration::from_secs(60), 10)
    }
}

fn check_length(setting: &'static str, length: Duration) -> Result<(), ConfigError> {
    const SHORTEST: Duration = Duration::from_nanos(TimeRing::MIN_LENGTH);
    const LONGEST: Duration = Duration::from_secs(7 * 86_400);
    if (SHORTEST..=LONGEST).contains(&length) {
        return Ok(());
    }
    let (value, hint) = (format!("{length:?}"), "60 s suit most services");
    Err(ConfigError::new(setting, value, "in 100ms..=7d", hint))
}

fn check(
    setting: &'static str,
    value: u32,
    most: u32,
    hint: &'static str,
) -> Result<(), ConfigError> {
    if (1..=most).contains(&value) {
        return Ok(());
    }
    let expected = format!("in 1..={most}");
    Err(ConfigError::new(setting, value, expected, hint))
}

/// A window of the last n calls; see [`Window::count`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a window does nothing until it is given to a builder"]
pub struct CountWindow {
    calls: u32,
    within: Option<Duration>,
}

impl CountWindow {
    /// Leaves out calls that are older than `duration`, which is 100 ms to 7 days.
    ///
    /// A service may be called twice an hour. Its window of the last 100 calls is full of
    /// yesterday's calls, which this setting removes. Age is counted in ticks of a 64th of
    /// `duration`. A call leaves the window when it is between 63 and 64 ticks old.
    pub fn within(self, duration: Duration) -> Self {
        Self {
            within: Some(duration),
            ..self
        }
    }
}

impl From<CountWindow> for Window {
    fn from(window: CountWindow) -> Self {
        Self(Shape::Count(window))
    }
}

/// Which calls a breaker times, if it times calls; see
/// [`CircuitBreakerBuilder::timing`](crate::CircuitBreakerBuilder::timing).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Timing {
    /// It times each call of sparse traffic, and a sample of dense traffic. Slow calls and
    /// histograms are then estimates. Calls and failures are counted exactly.
    #[default]
    Sampled,
    /// It times each call.
    EveryCall,
}

/// Whether a breaker keeps histograms of the time that calls take; see
/// [`CircuitBreakerBuilder::latency`](crate::CircuitBreakerBuilder::latency).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Recording {
    /// It keeps no histogram.
    #[default]
    Off,
    /// It keeps one histogram for all calls.
    Combined,
    /// It keeps one histogram for successes and one for failures, in twice the memory. A call costs
    /// no more.
    ByOutcome,
}
