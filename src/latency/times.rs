//! The extra parts of a breaker that measures how long calls take.

use std::num::NonZero;
use std::time::Duration;

use crate::clock::{Clock, Now, saturating_nanos};
use crate::events::Cause;
use crate::latency::baseline::PercentileBaseline;
#[cfg(feature = "serde")]
use crate::latency::baseline::SavedPercentileBaseline;
use crate::latency::in_flight::{InFlight, Watch};
use crate::latency::odds::{Odds, TimedPeriod};
use crate::policy::TripPolicy;
use crate::sync::Hint;
use crate::window::{BinCounts, ClockReading, Latencies, Recording, Took, Window};

/// The extra parts of a breaker that measures how long calls take.
#[derive(Debug)]
pub struct Timed {
    /// A call that takes longer than this many nanoseconds is slow.
    slower_than: u64,
    /// A call that takes less than this, in the clock's units, isn't slow, and nobody records how
    /// long it took.
    fast: u64,
    /// When the percentiles are judged next, in the clock's units; never, if no policy looks at
    /// them. An old value does no harm, since only one caller may exchange it.
    tick_at: Hint,
    /// The time between two ticks, in the clock's units.
    tick: u64,
    in_flight: Option<InFlight>,
    /// The density of timed calls, unless each call is timed.
    period: Option<TimedPeriod>,
    /// The histograms that the breaker keeps.
    pub(crate) recording: Recording,
    latencies: Option<Latencies>,
    /// What is usual for each policy that looks at percentiles, in the policies' order.
    usual: Box<[PercentileBaseline]>,
}

/// The times that follow from a builder's settings.
#[derive(Debug)]
pub struct Times {
    /// A call that takes longer than this is slow, if a policy asks for it.
    pub slower_than: Option<Duration>,
    /// The largest age of a call in the window.
    pub window: Duration,
    /// The time between two judgements of percentiles.
    pub tick: Duration,
    /// `tick` in the clock's units.
    pub tick_units: u64,
    /// A fourth of `slower_than` in the clock's units.
    pub watch_units: u64,
    /// The period of the sample of a dense stream of calls, in the clock's units; `None` if each
    /// call is timed.
    pub sample_units: Option<u64>,
    /// The histograms that the breaker keeps.
    pub recording: Recording,
}

/// What a sample of timed calls is for, if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampling {
    /// Each call is timed.
    Off,
    /// Slow calls and histograms are counted. The sample has at least 512 calls a tick.
    ForCounts,
    /// Slow calls are evidence too. The sample has at least 512 calls in half of the limit too. So
    /// evidence comes nearly as fast as from all calls, compared with the time that a slow call
    /// takes.
    ForEvidence,
}

impl Times {
    /// Derives the times from the settings.
    #[must_use]
    pub fn new(
        slower_than: Option<Duration>,
        window: &Window,
        (recording, sampling): (Recording, Sampling),
        clock: &Clock,
    ) -> Self {
        // Once per bucket, and at least once per second so that an outage shows soon.
        let tick = window.bucket().min(Duration::from_secs(1));
        let units = |span: Duration| clock.units(saturating_nanos(span));
        let watch_units = units(slower_than.unwrap_or_default() / 4);
        let tick_units = units(tick);
        Self {
            slower_than,
            window: window.length().unwrap_or(Duration::from_secs(60)),
            tick,
            tick_units,
            watch_units,
            sample_units: match sampling {
                Sampling::Off => None,
                Sampling::ForCounts => Some(tick_units),
                Sampling::ForEvidence => Some(tick_units.min(2 * watch_units)),
            },
            recording,
        }
    }
}

impl Timed {
    /// Creates the parts that a breaker with these policies needs.
    #[must_use]
    pub fn new(times: &Times, latencies: Option<Latencies>, policies: &[TripPolicy]) -> Self {
        let looks = policies.iter().any(TripPolicy::looks_at_percentiles);
        let ticks = |span: Duration| {
            let ticks = span.as_nanos() / times.tick.as_nanos().max(1);
            u32::try_from(ticks).unwrap_or(u32::MAX).max(1)
        };
        let usual = || PercentileBaseline::new(ticks(times.window), ticks(20 * times.window));
        let watch = times.slower_than.map(|limit| Watch {
            limit: saturating_nanos(limit),
            window: saturating_nanos(times.window),
            period: times.watch_units,
        });
        Self {
            slower_than: times.slower_than.map_or(u64::MAX, saturating_nanos),
            fast: match times.recording {
                Recording::Off => times.watch_units,
                Recording::Combined | Recording::ByOutcome => 0,
            },
            tick_at: Hint::new(if looks { 0 } else { u64::MAX }),
            tick: times.tick_units,
            in_flight: watch.map(InFlight::new),
            period: times.sample_units.map(|units| {
                let window = times.tick_units.saturating_mul(ticks(times.window).into());
                TimedPeriod::new(units, window)
            }),
            recording: times.recording,
            latencies,
            usual: Self::looking(policies).map(|_| usual()).collect(),
        }
    }

    /// The time in nanoseconds above which a call is slow, if there is one.
    pub(crate) fn limit(&self) -> Option<u64> {
        (self.slower_than < u64::MAX).then_some(self.slower_than)
    }

    /// Saves what is usual, for the policies that ask for it.
    #[cfg(feature = "serde")]
    pub(crate) fn save(&self, policies: &[TripPolicy]) -> Vec<SavedPercentileBaseline> {
        let pairs = Self::looking(policies).zip(&self.usual);
        let usual =
            pairs.filter_map(|(policy, usual)| Some(usual.save(policy.usual_percentile()?)));
        usual.collect()
    }

    /// Gives each policy what was usual for its percentile.
    #[cfg(feature = "serde")]
    pub(crate) fn restore(&mut self, saved: &[SavedPercentileBaseline], policies: &[TripPolicy]) {
        for (policy, usual) in Self::looking(policies).zip(&mut self.usual) {
            let Some(percentile) = policy.usual_percentile() else {
                continue;
            };
            if let Some(saved) = saved.iter().find(|saved| saved.is_of(percentile)) {
                usual.restore(saved);
            }
        }
    }

    /// The policies that look at percentiles, in their order.
    fn looking(policies: &[TripPolicy]) -> impl Iterator<Item = &TripPolicy> {
        policies
            .iter()
            .filter(|policy| policy.looks_at_percentiles())
    }

    /// The usual values of the policies that look at percentiles, in nanoseconds and in the
    /// policies' order.
    pub(crate) fn usual(&self) -> impl Iterator<Item = Option<f64>> {
        self.usual.iter().map(PercentileBaseline::get)
    }

    /// Whether both have equal settings, and their percentile policies are equal too.
    #[must_use]
    pub fn same_config(&self, policies: &[TripPolicy], other: (&Self, &[TripPolicy])) -> bool {
        let (other, others) = other;
        let shape = |it: &Self| (it.slower_than, it.tick, it.recording);
        let latencies = match (&self.latencies, &other.latencies) {
            (Some(own), Some(other)) => own.same_config(other),
            (own, other) => own.is_none() && other.is_none(),
        };
        let watch = |it: &Self| it.in_flight.as_ref().map(|in_flight| in_flight.watch);
        let samples = |it: &Self| it.period.is_some();
        shape(self) == shape(other)
            && latencies
            && watch(self) == watch(other)
            && samples(self) == samples(other)
            && Self::looking(policies).eq(Self::looking(others))
    }

    /// Counts a timed call that begins at `begin`. Returns its weight, for which this thread has
    /// just drawn by `odds`.
    #[inline]
    pub fn begin(&self, begin: u64, odds: Option<&Odds>) -> u32 {
        let Some(odds) = odds else {
            return 0;
        };
        if let Some(period) = &self.period {
            return period.count(begin, odds);
        }
        // Another configuration may have left the odds low, or lower them once more. By any odds
        // some call is timed, and it raises them.
        let weight = odds.weight_of_drawn();
        odds.reset();
        weight
    }

    /// The largest weight of the timed calls of the last window, at `now` in the clock's units.
    #[must_use]
    pub fn largest_weight(&self, now: u64, odds: Option<&Odds>) -> u32 {
        let both = self.period.as_ref().zip(odds);
        both.map_or(0, |(period, odds)| period.largest_weight(now, odds))
    }

    /// Raises the odds at `now` if there are few calls, after a failure.
    #[inline]
    pub fn look(&self, now: u64, odds: Option<&Odds>) {
        if let Some((period, odds)) = self.period.as_ref().zip(odds) {
            period.look(now, odds);
        }
    }

    /// The watched calls, if any are watched.
    #[inline]
    pub fn in_flight(&self) -> Option<&InFlight> {
        self.in_flight.as_ref()
    }

    /// The histograms, if the window keeps them outside of its ring.
    #[inline]
    pub fn latencies(&self) -> Option<&Latencies> {
        self.latencies.as_ref()
    }

    /// How long a call took: the given time, or else the time between its two readings.
    #[inline]
    pub fn took(
        &self,
        begin: u64,
        end: u64,
        given: Option<NonZero<u64>>,
        clock: &impl Now,
    ) -> Took {
        // Most calls end here, without a conversion to nanoseconds.
        if given.is_none() && end.saturating_sub(begin) < self.fast {
            return Took::default();
        }
        let nanos = given.map_or_else(|| clock.nanos_between(begin, end), NonZero::get);
        Took {
            nanos,
            is_slow: nanos > self.slower_than,
        }
    }

    /// Like [`took`](Self::took), for a call that was given up.
    ///
    /// Such a call would have taken longer, so it is slow in every breaker that has slow calls.
    #[inline]
    pub fn given_up(&self, took: Took) -> Took {
        Took {
            is_slow: self.slower_than != u64::MAX,
            ..took
        }
    }

    /// Whether it is time to judge the percentiles.
    #[inline]
    pub fn is_tick(&self, reading: ClockReading) -> bool {
        // An old value does no harm, since `takes_tick` asks again.
        reading.raw >= self.tick_at.load()
    }

    /// Whether this caller is the one to judge them. No other caller is until the next tick.
    pub fn takes_tick(&self, reading: ClockReading) -> bool {
        let at = self.tick_at.load();
        let next = reading.raw.saturating_add(self.tick);
        reading.raw >= at && self.tick_at.exchange(at, next).is_ok()
    }

    /// Returns the cause of the first policy that trips on the window's percentiles. Some policies
    /// learn from the percentiles.
    pub fn judge(&self, policies: &[TripPolicy], bins: &BinCounts) -> Option<Cause> {
        let mut cause = None;
        for (policy, usual) in Self::looking(policies).zip(&self.usual) {
            let Some(nanos) = policy.percentile_of(bins) else {
                continue;
            };
            let found = policy.judge_percentile(nanos, usual.get());
            match policy.factor() {
                Some(_) if found.is_some() => usual.move_halfway(nanos),
                Some(factor) => usual.observe(nanos, factor),
                None => {}
            }
            cause = cause.or(found);
        }
        cause
    }
}
