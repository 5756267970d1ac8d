//! The error budget and how fast it burns.

use std::time::Duration;

use super::{Rule, TripPolicy};
use crate::error::ConfigError;
use crate::events::Cause;
use crate::window::{Counts, Window, rate};

/// A speed at which the error budget burns that trips; see [`TripPolicy::burn_rate`].
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a policy does nothing until it is given to a builder"]
pub struct BurnRate {
    objective: f64,
    factor: f64,
    short: Option<Duration>,
    pub(super) min_calls: u32,
    /// The error rate from which on it trips: `factor × (1 − objective)`.
    threshold: f64,
    /// In how many buckets the short stretch is; as many as [`fit`](Self::fit) finds.
    short_buckets: u32,
}

impl TripPolicy {
    /// Trips when failures use up the error budget of a service level objective too fast, and still do.
    ///
    /// `objective` is the share of calls that must succeed, above 0 and at most 0.999999, taken to six
    /// decimals. The rest, 1 − `objective`, is the error budget. An error rate of
    /// [`factor`](BurnRate::factor) × (1 − `objective`) uses it up that many times as fast as it may
    /// last; such a rate, or a higher one, trips if it is found in both
    ///
    /// - the breaker's window, so that it takes a considerable part of the budget, and
    /// - a [`short`](BurnRate::short) stretch of it that ends now, so that it hasn't stopped already.
    ///
    /// That is the alert on "multiple windows and burn rates" of the Google SRE workbook (Beyer et al.
    /// 2018, "The Site Reliability Workbook", chapter 5, "Alerting on SLOs"), where a budget for 30 days
    /// of which 2 % are gone in an hour burns at 0.02 × 720 h / 1 h = 14.4. In general a window uses up
    /// factor × window / period of the budget before it trips. Choose it where there is such an objective:
    /// the breaker trips by the measure that the alerts go by, only sooner, as its window is shorter than
    /// theirs. Where there is none, an [`failure_rate`](Self::failure_rate) says the same in one number.
    ///
    /// Needs a [time window](crate::Window::time) of at least three buckets, better 24 or more, so
    /// that the short stretch is short.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcurve::window::Window;
    /// use tripcurve::{CircuitBreaker, TripPolicy};
    ///
    /// let breaker = CircuitBreaker::builder("payments")
    ///     .window(Window::time(Duration::from_secs(300), 60))
    ///     .trip_when(TripPolicy::burn_rate(0.999).factor(14.4).min_calls(500))
    ///     .build()?;
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    pub fn burn_rate(objective: f64) -> BurnRate {
        BurnRate {
            objective,
            factor: 14.4,
            short: None,
            min_calls: BurnRate::DEFAULT_MIN_CALLS,
            threshold: 0.0,
            short_buckets: 2,
        }
        .with_threshold()
    }
}

impl BurnRate {
    const DEFAULT_MIN_CALLS: u32 = 100;

    /// How many times as fast as the budget lasts is too fast, 1 to 1,000 (default 14.4), taken to three
    /// decimals.
    ///
    /// Times the budget it is the error rate that trips, so it is at most 1 / (1 − objective), where
    /// every call fails: 10 for an objective of 0.9.
    pub fn factor(self, factor: f64) -> Self {
        Self { factor, ..self }.with_threshold()
    }

    /// How long the failures must still have gone on (default a twelfth of the window, at least one
    /// bucket).
    ///
    /// Rounded up to whole buckets, to which comes the bucket that has just begun. Without it a single
    /// failure at the beginning of a bucket would look as if everything failed. All of it is shorter
    /// than the window.
    pub fn short(self, duration: Duration) -> Self {
        Self {
            short: Some(duration),
            ..self
        }
    }

    /// Judges nothing before the window holds `calls` calls (default 100, at least 1).
    ///
    /// With `calls` calls it takes factor × (1 − objective) × `calls` failures. If that is less than
    /// about five, a breaker that is called seldom trips on chance: a factor of 14.4 and an objective of
    /// 0.999 want 350 calls.
    pub fn min_calls(self, calls: u32) -> Self {
        Self {
            min_calls: calls,
            ..self
        }
    }

    /// How many buckets of the window, up to the present one, the short stretch is in.
    pub(crate) fn short_buckets(&self) -> u32 {
        self.short_buckets
    }

    /// Whether the short stretch may go on as badly when it holds these failures and at least these
    /// successes.
    pub(crate) fn may_go_on(&self, short: &Counts) -> bool {
        rate(short.failures, short.calls().max(1)) >= self.threshold
    }

    pub(super) fn may_trip(&self, counts: &Counts) -> bool {
        rate(counts.failures, counts.calls().max(self.min_calls.into())) >= self.threshold
    }

    /// Whether the window alone is reason to trip.
    pub(super) fn judge(&self, counts: &Counts) -> Option<Cause> {
        let calls = counts.calls();
        let trips =
            calls >= u64::from(self.min_calls) && rate(counts.failures, calls) >= self.threshold;
        trips.then(|| self.cause(counts, &Counts::default()))
    }

    /// Why it trips when the window and its short stretch hold these.
    pub(crate) fn cause(&self, counts: &Counts, short: &Counts) -> Cause {
        Cause::BurnRate {
            failures: counts.failures,
            calls: counts.calls(),
            short_failures: short.failures,
            short_calls: short.calls(),
            objective: self.objective,
            factor: self.factor,
        }
    }

    /// The budget in millionths, a whole number: as is 1 − 0.999, which isn't 0.001 in binary.
    fn millionths(&self) -> f64 {
        ((1.0 - self.objective) * 1e6).round()
    }

    /// The factor in thousandths, a whole number.
    fn thousandths(&self) -> f64 {
        (self.factor * 1e3).round()
    }

    /// Divided once, of whole numbers, as a rate of calls is: so 144 of 10,000 reach 14.4 × (1 − 0.999).
    fn with_threshold(self) -> Self {
        Self {
            threshold: self.millionths() * self.thousandths() / 1e9,
            ..self
        }
    }

    /// Whether objective and factor make sense, also together.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if !(self.objective > 0.0 && self.objective <= 0.999_999) {
            return Err(ConfigError::new(
                "trip_when.burn_rate",
                self.objective,
                "above 0.0 and at most 0.999999",
                "it is the share of calls that must succeed: 99.9 % is 0.999",
            ));
        }
        let millionths = self.millionths();
        // Cut, not rounded, so that what is said to be accepted is.
        let most = ((1e9 / millionths).floor() / 1e3).min(1_000.0);
        if self.factor >= 1.0 && self.factor <= 1_000.0 && self.threshold <= 1.0 {
            return Ok(());
        }
        let budget = millionths / 1e6;
        Err(ConfigError::new(
            "trip_when.burn_rate.factor",
            self.factor,
            format!("in 1..={most}"),
            format!(
                "the objective {} leaves a budget of {budget}, and factor times budget is the error \
                 rate that trips, at most 1; choose a smaller factor or a higher objective",
                self.objective
            ),
        ))
    }

    /// Finds the short stretch in a window that was checked.
    pub(super) fn fit(&mut self, window: &Window) -> Result<(), ConfigError> {
        let (Some(length), Some(buckets)) = (window.length(), window.buckets()) else {
            let calls = window.capacity().unwrap_or_default();
            return Err(ConfigError::new(
                "trip_when.burn_rate",
                format!("Window::count({calls})"),
                "a window by time, of which the short stretch is a part",
                "use Window::time; for the last calls there is failure_rate",
            ));
        };
        // With the bucket that has just begun there must be one more in the window.
        let most = buckets.saturating_sub(2);
        if most == 0 {
            return Err(ConfigError::new(
                "window.buckets",
                buckets,
                "at least 3, as trip_when.burn_rate needs",
                "its short stretch is a bucket or more; 60 suit it",
            ));
        }
        let width = length / buckets;
        let short = self.short.unwrap_or(length / 12);
        let wanted = short.as_nanos().div_ceil(width.as_nanos().max(1));
        let whole = u32::try_from(wanted).unwrap_or(u32::MAX);
        if !(1..=most).contains(&whole) {
            return Err(ConfigError::new(
                "trip_when.burn_rate.short",
                format!("{short:?}"),
                format!("above 0ns and at most {:?}", width * most),
                "it is a part of the window; a twelfth suits most services",
            ));
        }
        self.short_buckets = whole + 1;
        Ok(())
    }
}

impl From<BurnRate> for TripPolicy {
    fn from(policy: BurnRate) -> Self {
        Self(Rule::BurnRate(Box::new(policy)))
    }
}
