//! The error budget, and how fast it burns.

use std::time::Duration;

use super::TripPolicy;
use crate::error::ConfigError;
use crate::events::Cause;
use crate::window::{Counts, Window, rate};

/// A policy that trips when the error budget burns too fast; see [`TripPolicy::burn_rate`].
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a policy does nothing until it is given to a builder"]
pub struct BurnRate {
    objective: f64,
    factor: f64,
    short: Option<Duration>,
    pub(super) min_calls: u32,
    /// The failure rate from which the policy trips: `factor × (1 − objective)`.
    pub(super) threshold: f64,
    /// The number of buckets of the short stretch, including the present one. [`fit`](Self::fit)
    /// computes it.
    pub(crate) short_buckets: u32,
}

impl TripPolicy {
    /// Trips when failures use up the error budget of a service level objective too fast, and still
    /// do.
    ///
    /// `objective` is the share of calls that must succeed, above 0 and at most 0.999999, taken to
    /// six decimals. The rest, 1 − `objective`, is the error budget. The burn rate is the failure
    /// rate divided by this budget. The policy trips if the burn rate is at least
    /// [`factor`](BurnRate::factor) in both
    ///
    /// - the breaker's window, so that the failures take a considerable part of the budget, and
    /// - a [`short`](BurnRate::short) stretch of it that ends now, so that they haven't stopped
    ///   already.
    ///
    /// This is the alert on "multiple windows and burn rates" of the Google SRE workbook (Beyer et
    /// al. 2018, "The Site Reliability Workbook", chapter 5, "Alerting on SLOs"). There, an hour
    /// may use up 2 % of a budget for 30 days: 0.02 × 720 h / 1 h = 14.4. In general, a window uses
    /// up factor × window / period of the budget before it trips.
    ///
    /// Choose this policy if you have such an objective. The breaker then trips by the measure of
    /// your alerts, only sooner, because its window is shorter than theirs. Without an objective, a
    /// [`failure_rate`](Self::failure_rate) says the same in one number.
    ///
    /// This policy needs a [time window](crate::Window::time) of at least three buckets. With 24 or
    /// more, the short stretch is short.
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

    /// Sets the burn rate that trips: `1.0..=1000.0` (default 14.4), taken to three decimals.
    ///
    /// At a burn rate of 1 the budget lasts for its period. `factor` × (1 − objective) is the
    /// failure rate that trips. So `factor` is at most 1 / (1 − objective), where every call fails:
    /// 10 for an objective of 0.9.
    pub fn factor(self, factor: f64) -> Self {
        Self { factor, ..self }.with_threshold()
    }

    /// Sets how long the failures must still have gone on.
    ///
    /// The default is a twelfth of the window, and at least one bucket. The stretch is rounded up
    /// to whole buckets, and the bucket that has just begun is added. Otherwise a single failure at
    /// the beginning of a bucket would look like a total outage. The whole stretch is shorter than
    /// the window.
    pub fn short(mut self, duration: Duration) -> Self {
        self.short = Some(duration);
        self
    }

    /// Judges nothing before the window holds `calls` calls (default 100, at least 1).
    ///
    /// With `calls` calls, a trip takes factor × (1 − objective) × `calls` failures. If that is
    /// less than about five, a breaker with little traffic trips by chance. A factor of 14.4 and an
    /// objective of 0.999 need 350 calls.
    pub fn min_calls(mut self, calls: u32) -> Self {
        self.min_calls = calls;
        self
    }

    /// Whether the short stretch may reach the threshold, with these failures and at least these
    /// successes.
    pub(crate) fn may_go_on(&self, short: &Counts) -> bool {
        rate(short.failures, short.calls().max(1)) >= self.threshold
    }

    pub(super) fn may_trip(&self, counts: &Counts) -> bool {
        rate(counts.failures, counts.calls().max(self.min_calls.into())) >= self.threshold
    }

    /// Returns the cause if the window alone is reason to trip.
    pub(super) fn judge(&self, counts: &Counts) -> Option<Cause> {
        let trips = counts.calls() >= self.min_calls.into() && self.may_trip(counts);
        trips.then(|| self.cause(counts, &Counts::default()))
    }

    /// The cause of a trip when the window and its short stretch hold these counts.
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

    /// The budget in millionths, rounded to a whole number. In binary, 1 − 0.999 isn't exactly
    /// 0.001.
    fn millionths(&self) -> f64 {
        ((1.0 - self.objective) * 1e6).round()
    }

    /// The factor in thousandths, rounded to a whole number.
    fn thousandths(&self) -> f64 {
        (self.factor * 1e3).round()
    }

    /// Computes the threshold by one division of whole numbers, as the rate of calls is computed.
    /// So 144 of 10,000 calls reach 14.4 × (1 − 0.999).
    fn with_threshold(self) -> Self {
        Self {
            threshold: self.millionths() * self.thousandths() / 1e9,
            ..self
        }
    }

    /// Checks the objective and the factor, each alone and both together.
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
        // This value is cut, not rounded, so that the limit that the error names is accepted.
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

    /// Computes the short stretch of a window that has been checked.
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
        // The bucket that has just begun is added, and one more bucket must be left in the window.
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
