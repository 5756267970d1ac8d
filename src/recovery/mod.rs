//! How a breaker that has tripped recovers.

pub(crate) mod adaptive;
mod backoff;
#[cfg(feature = "async")]
pub(crate) mod checks;
pub(crate) mod clients;
pub(crate) mod half_open;
#[cfg(feature = "fleet")]
pub(crate) mod joint;
pub(crate) mod open_times;
#[cfg(feature = "fleet")]
pub(crate) mod order;
#[cfg(feature = "fleet")]
pub(crate) mod orders;
pub(crate) mod outage;
pub(crate) mod ramp;
pub(crate) mod retry_after;
#[cfg(feature = "serde")]
mod saved;
mod steps;
mod verdict;

pub(crate) use adaptive::AdaptiveRecovery;
pub use backoff::{Backoff, Jitter};
#[cfg(feature = "async")]
pub(crate) use checks::HealthChecks;
pub(crate) use clients::Clients;
pub(crate) use half_open::HalfOpenLimit;
pub use half_open::HalfOpenVerdict;
pub(crate) use open_times::{LatestOpening, OpenTimes, Streak};
#[cfg(feature = "fleet")]
pub(crate) use order::{Followed, Order, OrderKind, RoundCalls};
#[cfg(feature = "fleet")]
pub(crate) use orders::Orders;
pub(crate) use outage::Outage;
pub(crate) use ramp::{Ask, Ramp, RampReport};
pub(crate) use retry_after::{MaxRetryAfter, RetryAfter};
#[cfg(feature = "serde")]
pub(crate) use saved::SavedRecovery;
pub(crate) use steps::Steps;
pub(crate) use verdict::ACCEPTABLE;

use std::time::Duration;

use crate::error::ConfigError;
use crate::state::{Phase, Probes};

/// How a tripped breaker finds out that the dependency works again, and how it lets traffic back.
///
/// For [`CircuitBreakerBuilder::recovery`](crate::CircuitBreakerBuilder::recovery). By default a
/// breaker that trips on [evidence](crate::TripPolicy::adaptive) recovers
/// [adaptively](Self::adaptive), and any other by three [probes](Self::probes).
///
/// ```
/// use std::time::Duration;
/// use tripcurve::{CircuitBreaker, Recovery};
///
/// let payments = CircuitBreaker::builder("payments").recovery(Recovery::adaptive()).build()?;
/// let reports = CircuitBreaker::builder("reports")
///     .recovery(Recovery::fixed(Duration::from_secs(30), 1))
///     .build()?;
/// # Ok::<(), tripcurve::error::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recovery {
    pub(crate) way: Way,
    open_for: Option<Duration>,
    backoff: Option<Backoff>,
    success_threshold: Option<u32>,
    failure_threshold: Option<u32>,
    slow_threshold: Option<u32>,
    max_failure_rate: Option<f64>,
    half_open_limit: Option<(Duration, HalfOpenVerdict)>,
    clients: Option<u32>,
}

/// How long the breaker stays open.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum OpenTime {
    ByTraffic,
    Fixed(Duration),
    Growing(Backoff),
}

/// How the traffic comes back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Way {
    Probes(u32),
    Adaptive,
    Steps(Steps),
}

impl Recovery {
    /// Stays open for a fixed time, then probes.
    ///
    /// The breaker closes as soon as `probes` calls have succeeded. It reopens as soon as one has
    /// failed. `open_for` is 1 ms to 10 years; `probes` is in `1..=255`.
    #[must_use]
    pub const fn fixed(open_for: Duration, probes: u32) -> Self {
        Self::probes(probes).open_for(open_for)
    }

    /// Stays open for the [default](Backoff::default) open times, then probes.
    ///
    /// The breaker closes as soon as `probes` calls have succeeded. It reopens as soon as one has
    /// failed. `probes` is in `1..=255`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcurve::recovery::Backoff;
    /// use tripcurve::{CircuitBreaker, Recovery};
    ///
    /// let times = Backoff::exponential(Duration::from_secs(1), 2.0, Duration::from_secs(60));
    /// let breaker = CircuitBreaker::builder("payments")
    ///     .recovery(Recovery::probes(5).success_threshold(3).backoff(times))
    ///     .build()?;
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    #[must_use]
    pub const fn probes(probes: u32) -> Self {
        Self::by(Way::Probes(probes))
    }

    const fn by(way: Way) -> Self {
        Self {
            way,
            open_for: None,
            backoff: None,
            success_threshold: None,
            failure_threshold: None,
            slow_threshold: None,
            max_failure_rate: None,
            half_open_limit: None,
            clients: None,
        }
    }

    /// Closes as soon as `successes` of the probes have succeeded; reopens as soon as they can't.
    ///
    /// `successes` is at least 1 and at most the number of probes. Use it for a dependency that
    /// works, but fails now and then. With a [failure threshold](Self::failure_threshold) the
    /// breaker can reopen sooner.
    ///
    /// [`build`](crate::CircuitBreakerBuilder::build) refuses it together with a [largest failure
    /// rate](Self::max_failure_rate), and for a recovery that isn't by probes.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcurve::time::Clock;
    /// use tripcurve::{CircuitBreaker, Recovery, State};
    ///
    /// let (clock, hand) = Clock::mock();
    /// let breaker = CircuitBreaker::builder("payments")
    ///     .recovery(Recovery::fixed(Duration::from_secs(5), 5).success_threshold(3))
    ///     .clock(clock)
    ///     .build()?;
    /// breaker.trip(Duration::ZERO);
    /// for succeeds in [true, false, true, false, true] {
    ///     let permit = breaker.try_acquire()?;
    ///     if succeeds { permit.success() } else { permit.failure() }
    /// }
    /// assert_eq!(breaker.state(), State::Closed);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn success_threshold(mut self, successes: u32) -> Self {
        self.success_threshold = Some(successes);
        self
    }

    /// Reopens as soon as `failures` of the probes have failed.
    ///
    /// `failures` is at least 1. Without a [success threshold](Self::success_threshold), the breaker
    /// closes as soon as fewer can fail. With one, both numbers together are at most one more than
    /// the number of probes. Otherwise all probes could report and decide nothing.
    ///
    /// [`build`](crate::CircuitBreakerBuilder::build) refuses it together with a [largest failure
    /// rate](Self::max_failure_rate), and for a recovery that isn't by probes.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcurve::time::Clock;
    /// use tripcurve::{CircuitBreaker, Recovery, State};
    ///
    /// // Up to ten probes at once. Three successes close, and the first failure reopens.
    /// let recovery = Recovery::fixed(Duration::from_secs(5), 10)
    ///     .success_threshold(3)
    ///     .failure_threshold(1);
    /// let breaker = CircuitBreaker::builder("payments")
    ///     .recovery(recovery)
    ///     .clock(Clock::mock().0)
    ///     .build()?;
    /// breaker.trip(Duration::ZERO);
    /// breaker.try_acquire()?.success();
    /// breaker.try_acquire()?.failure();
    /// assert_eq!(breaker.state(), State::Open);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn failure_threshold(mut self, failures: u32) -> Self {
        self.failure_threshold = Some(failures);
        self
    }

    /// Reopens as soon as `slow` of the probes have succeeded late.
    ///
    /// `slow` is at least 1 and at most the number of probes. A probe that succeeds late, but is
    /// within the threshold, counts as a success. Without this setting, late probes count as failed
    /// ones.
    ///
    /// A probe is late above the limit for slow calls, which is
    /// [`slower_than`](crate::policy::SlowRate::slower_than) of a policy.
    /// [`build`](crate::CircuitBreakerBuilder::build) refuses the threshold if no policy has a limit,
    /// and for a recovery that isn't by probes.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcurve::{CircuitBreaker, Recovery, TripPolicy};
    ///
    /// // The first failure reopens, and so does the third slow probe.
    /// let breaker = CircuitBreaker::builder("payments")
    ///     .trip_when(TripPolicy::slow_rate(0.5).slower_than(Duration::from_secs(2)))
    ///     .recovery(Recovery::probes(5).failure_threshold(1).slow_threshold(3))
    ///     .build()?;
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    #[must_use]
    pub const fn slow_threshold(mut self, slow: u32) -> Self {
        self.slow_threshold = Some(slow);
        self
    }

    /// Closes if at most `share` of the probes fail; reopens as soon as more have. `share` is in
    /// `0.0..1.0`.
    ///
    /// In a recovery by [steps](Self::steps) it is the largest share of a step's calls that may
    /// fail. [`build`](crate::CircuitBreakerBuilder::build) refuses it together with a [number of
    /// successes](Self::success_threshold), and for an adaptive recovery.
    #[must_use]
    pub const fn max_failure_rate(mut self, share: f64) -> Self {
        self.max_failure_rate = Some(share);
        self
    }

    /// Probes early and, in a long outage, less often; then lets the traffic back step by step.
    ///
    /// The first probe waits for the time in which a hundred calls came before the trip, at least
    /// 0.1 s and at most 2 s. So a dead dependency gets about a hundredth of its calls from a hundred
    /// calls a second on. In simulated outages of 30 s to 90 s it got 1.2 % at 50 calls a second, 5
    /// % at 12, and 15 % at 3, including the calls before the trip. Other clients of the dependency
    /// don't change these shares. With little traffic the probe waits for the time of four calls,
    /// up to 300 s, and the dependency gets a fifth. If a probe fails, the next one waits as long
    /// again. It waits a hundredth of the outage's age if that is longer, up to 5 s. Each wait
    /// varies by a fifth, so that several processes don't probe in step. With a limit for slow
    /// calls, a probe that hangs fails after the limit or after the wait for the next one,
    /// whichever is longer.
    ///
    /// One good probe begins a *ramp*: the breaker is half-open and admits a share of the calls.
    /// The first share is thirty calls a second, or a sixteenth of all calls if that is more. A
    /// round of the ramp takes at least three times as long as the probe: 150 ms to a second. After
    /// a clean round the share is four times as large. When clearly more calls fail or are slow,
    /// the share is cut to what the dependency could bear. From there it grows slowly. After a
    /// clean round with all calls the breaker closes. It reopens when nearly all calls fail
    /// although the share is small or was just cut.
    ///
    /// Failures of up to a quarter of the calls may not come from the load. The ramp finds that
    /// out: their share stays when it cuts the share of calls. Such failures don't hold the ramp
    /// up. With more failures the breaker opens and closes in turn, or doesn't close. With the
    /// adaptive policy, a bad shard of up to 0.2 more than the
    /// [tolerated](crate::policy::Adaptive::tolerate) share soon doesn't hold it up either.
    ///
    /// The ramp admits exactly its share. Of any `n` successive calls within a round with share
    /// `s`, it admits `n·s`, rounded up or down. Calls of an earlier round that come back late
    /// don't count. The breaker reopens if no admitted call reports within the
    /// [`probe_timeout`](crate::CircuitBreakerBuilder::probe_timeout), which adapts to slow calls.
    ///
    /// In simulations, outages lasted 30 s to 90 s. The breaker closed on average 0.9 s after the
    /// dependency worked again. That holds at a hundred calls a second and at a thousand
    /// (`tests/it/recovery.rs`). Memory: about 340 bytes more than with a fixed recovery.
    #[must_use]
    pub const fn adaptive() -> Self {
        Self::by(Way::Adaptive)
    }

    /// Lets the traffic back in the given steps.
    ///
    /// After 5 s, or [another open time](Self::open_for), the breaker admits one probe. If it is
    /// good, the breaker admits the first share of the calls for the time of `each` step. Then it
    /// admits the next share, and so on. After the last step it closes. When too many calls of a
    /// step have failed, it reopens.
    ///
    /// `shares` are 1 to 16 shares above 0 and up to 1, each larger than the one before. They are
    /// rounded to a 1,024th. `each` is 1 ms to a day.
    ///
    /// By default, more than a quarter of a step's calls is too many;
    /// [`max_failure_rate`](Self::max_failure_rate) sets another share. The breaker counts them at
    /// the end of a step. It reopens sooner if at most one in ninety acceptable steps would show so
    /// many failures. A step goes on until at least one of its calls has come back. Slow calls
    /// count as failed.
    ///
    /// Like an [adaptive](Self::adaptive) recovery: a share is exact, and calls of an earlier
    /// step don't count. The breaker reopens if no call reports within the
    /// [`probe_timeout`](crate::CircuitBreakerBuilder::probe_timeout).
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcurve::{CircuitBreaker, Recovery};
    ///
    /// let each = Duration::from_secs(10);
    /// let breaker = CircuitBreaker::builder("payments")
    ///     .recovery(Recovery::steps(&[0.1, 0.25, 0.5, 1.0], each).max_failure_rate(0.1))
    ///     .build()?;
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    #[must_use]
    pub const fn steps(shares: &[f64], each: Duration) -> Self {
        Self::by(Way::Steps(Steps::new(shares, each)))
    }

    /// Stays open for a fixed time, 1 ms to 10 years.
    ///
    /// [`build`](crate::CircuitBreakerBuilder::build) refuses it together with a
    /// [backoff](Self::backoff).
    #[must_use]
    pub const fn open_for(mut self, duration: Duration) -> Self {
        self.open_for = Some(duration);
        self
    }

    /// Stays open for times that grow with each failed recovery.
    ///
    /// In an adaptive recovery they replace the open times that go by the traffic.
    ///
    /// [`build`](crate::CircuitBreakerBuilder::build) refuses it together with a [fixed open
    /// time](Self::open_for), including that of [`fixed`](Self::fixed).
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcurve::recovery::Backoff;
    /// use tripcurve::{CircuitBreaker, Recovery};
    ///
    /// let times = Backoff::exponential(Duration::from_millis(500), 2.0, Duration::from_secs(60));
    /// let breaker = CircuitBreaker::builder("payments")
    ///     .recovery(Recovery::adaptive().backoff(times))
    ///     .build()?;
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    #[must_use]
    pub const fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = Some(backoff);
        self
    }

    /// Sets how long the breaker may stay half-open, and what follows: 1 ms to 10 years.
    ///
    /// By default there is no limit. Probes that don't report lose their places after the
    /// [`probe_timeout`](crate::CircuitBreakerBuilder::probe_timeout), and others follow. With few
    /// calls, or with a ramp that never gets through, a breaker can stay half-open for long.
    ///
    /// The time counts from when the breaker became half-open, over all its probes and rounds. The
    /// breaker has no thread of its own, so the first call after the limit decides. With
    /// [`Reopen`](HalfOpenVerdict::Reopen) it is rejected, and the open time grows as after a failed
    /// probe. With [`Close`](HalfOpenVerdict::Close) it passes. A rejected call is told to come back at
    /// the limit at the latest.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcurve::recovery::HalfOpenVerdict;
    /// use tripcurve::time::Clock;
    /// use tripcurve::{CircuitBreaker, Recovery, State};
    ///
    /// let minute = Duration::from_secs(60);
    /// let (clock, hand) = Clock::mock();
    /// let breaker = CircuitBreaker::builder("payments")
    ///     .recovery(Recovery::probes(5).half_open_limit(minute, HalfOpenVerdict::Close))
    ///     .clock(clock)
    ///     .build()?;
    /// breaker.trip(Duration::ZERO);
    /// breaker.try_acquire()?.success();
    /// assert_eq!(breaker.state(), State::HalfOpen);
    /// hand.advance(minute);
    /// breaker.try_acquire()?.success();
    /// assert_eq!(breaker.state(), State::Closed);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn half_open_limit(mut self, limit: Duration, verdict: HalfOpenVerdict) -> Self {
        self.half_open_limit = Some((limit, verdict));
        self
    }

    /// Spaces probes and ramps for `clients` that share the dependency (default 1).
    ///
    /// Clients don't know of each other. After an outage each of them sends its own probes and
    /// makes a ramp of its own. All ramps together can be more than a cold dependency bears. They
    /// may then kill it again and again.
    ///
    /// With this setting a probe waits longer: as long again for each tenfold number of clients.
    /// A ramp begins with fewer calls: all clients together begin with thirty a second, or with a
    /// sixteenth of their calls. And a round lasts longer, because each client sees few of the
    /// failures that all of them cause. A hundred clients have a wait of 0.3 s to 6 s, or longer if
    /// calls are rare, and rounds of at least 1.35 s.
    ///
    /// In simulations, a hundred clients tripped up to 2.4 times each while a cold dependency came
    /// back, and killed it ten times in a minute. With `clients(100)` fewer than one of a hundred
    /// tripped, and they never killed it. At 50 calls a second a client, a dead dependency got 0.6
    /// % of the calls instead of 1.2 %. The price: when a dependency comes back with all of its
    /// capacity, a client closes after 5 s to 13 s instead of 1 s to 2 s (`cargo lab herd`).
    ///
    /// The order of magnitude is enough. `clients` is `1..=1_000_000`. Open times that the user
    /// chose stay as they are; ramps are still spaced.
    /// [`build`](crate::CircuitBreakerBuilder::build) refuses the setting for a recovery that isn't
    /// adaptive.
    ///
    /// ```
    /// use tripcurve::{CircuitBreaker, Recovery, TripPolicy};
    ///
    /// // A service with about a hundred processes.
    /// let payments = CircuitBreaker::builder("payments")
    ///     .trip_when(TripPolicy::adaptive())
    ///     .recovery(Recovery::adaptive().clients(100))
    ///     .build()?;
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    #[must_use]
    pub const fn clients(mut self, clients: u32) -> Self {
        self.clients = Some(clients);
        self
    }

    /// The clients that share the dependency.
    pub(crate) fn all_clients(self) -> Clients {
        self.clients.map_or(Clients::ONE, Clients::new)
    }

    /// The limit of the stay in half-open, for one breaker.
    pub(crate) fn new_half_open_limit(self) -> Option<HalfOpenLimit> {
        let (limit, verdict) = self.half_open_limit?;
        Some(HalfOpenLimit::new(limit, verdict))
    }

    /// How long the breaker stays open.
    pub(crate) fn open_time(self) -> OpenTime {
        match (self.open_for, self.backoff, self.way) {
            (_, Some(backoff), _) => OpenTime::Growing(backoff),
            (Some(open_for), None, _) => OpenTime::Fixed(open_for),
            (None, None, Way::Adaptive) => OpenTime::ByTraffic,
            (None, None, Way::Probes(_)) => OpenTime::Growing(Backoff::DEFAULT),
            (None, None, Way::Steps(_)) => OpenTime::Fixed(Duration::from_secs(5)),
        }
    }

    /// The largest share of a step's calls that may fail.
    pub(crate) fn max_failure_rate_of_steps(self) -> f64 {
        self.max_failure_rate.unwrap_or(ACCEPTABLE)
    }

    /// The first open time. An adaptive recovery goes by the traffic, so this is a stand-in there.
    pub(crate) fn first_open_time(self) -> Duration {
        match self.open_time() {
            OpenTime::Fixed(open_for) => open_for,
            OpenTime::Growing(backoff) => backoff.base(),
            OpenTime::ByTraffic => Duration::from_secs(1),
        }
    }

    /// The places for probes. A recovery with a ramp has one, for the probe that begins the ramp.
    pub(crate) fn places(self) -> Probes {
        let Way::Probes(permitted) = self.way else {
            return Probes::all(1);
        };
        let most_may_fail = |share: f64| {
            let is_borne = |failed: &u32| f64::from(*failed) / f64::from(permitted) <= share;
            (1..=permitted).take_while(is_borne).last().unwrap_or(0)
        };
        let may_fail = match (self.failure_threshold, self.max_failure_rate) {
            (Some(failures), _) => Some(failures.saturating_sub(1)),
            (None, Some(share)) => Some(most_may_fail(share)),
            (None, None) => None,
        };
        let needed = self
            .success_threshold
            .unwrap_or(permitted - may_fail.unwrap_or(0));
        let may_fail = may_fail.unwrap_or(permitted - needed);
        let probes = Probes::new(permitted, needed).failure_threshold(may_fail + 1);
        match self.slow_threshold {
            Some(slow) => probes.slow_threshold(slow),
            None => probes,
        }
    }

    pub(crate) fn growing(self) -> Option<Backoff> {
        match self.open_time() {
            OpenTime::Growing(backoff) => Some(backoff),
            OpenTime::ByTraffic | OpenTime::Fixed(_) => None,
        }
    }

    /// Refuses settings that contradict each other.
    fn check_contradictions(self) -> Result<(), ConfigError> {
        if let (Some(open_for), Some(_)) = (self.open_for, self.backoff) {
            return Err(ConfigError::not_beside_backoff(open_for));
        }
        if let (Some(clients), Way::Probes(_) | Way::Steps(_)) = (self.clients, self.way) {
            return Err(ConfigError::new(
                "clients",
                clients,
                "possible without Recovery::adaptive()",
                "probes and steps are as the user chose them; leave it out, or use an adaptive recovery",
            ));
        }
        let thresholds = [
            ("success_threshold", self.success_threshold),
            ("failure_threshold", self.failure_threshold),
            ("slow_threshold", self.slow_threshold),
        ];
        let mut given = thresholds
            .into_iter()
            .filter_map(|(name, threshold)| Some((name, threshold?)));
        let (expected, hint) = match self.way {
            Way::Probes(_) => {
                return match given.find(|(name, _)| *name != "slow_threshold") {
                    Some((name, threshold)) if self.max_failure_rate.is_some() => {
                        Err(ConfigError::new(
                            name,
                            threshold,
                            "possible together with max_failure_rate",
                            "both say how many probes may fail; leave out one of the two",
                        ))
                    }
                    _ => Ok(()),
                };
            }
            Way::Adaptive => (
                "possible with Recovery::adaptive()",
                "a ramp judges each share of the calls by itself; leave it out, or use \
                 Recovery::probes(n)",
            ),
            Way::Steps(_) => (
                "possible with Recovery::steps()",
                "max_failure_rate says how many of a step's calls may fail; or use Recovery::probes(n)",
            ),
        };
        if let Some((name, threshold)) = given.next() {
            return Err(ConfigError::new(name, threshold, expected, hint));
        }
        match (self.way, self.max_failure_rate) {
            (Way::Adaptive, Some(share)) => {
                Err(ConfigError::new("max_failure_rate", share, expected, hint))
            }
            _ => Ok(()),
        }
    }

    fn check_probes(self) -> Result<(), ConfigError> {
        if let Some(share) = self.max_failure_rate
            && !(0.0..1.0).contains(&share)
        {
            return Err(ConfigError::new(
                "max_failure_rate",
                share,
                "at least 0 and less than 1",
                "0.5 lets half of them fail",
            ));
        }
        let permitted = match self.way {
            Way::Probes(permitted) => permitted,
            Way::Adaptive => return Ok(()),
            Way::Steps(steps) => return steps.check(),
        };
        if !(1..=Phase::MAX_PROBES).contains(&permitted) {
            return Err(ConfigError::new(
                "probes",
                permitted,
                format!("in 1..={}", Phase::MAX_PROBES),
                "3 suit most services",
            ));
        }
        let check = |name, threshold: Option<u32>, most, expected: String, hint| match threshold {
            Some(threshold) if !(1..=most).contains(&threshold) => {
                Err(ConfigError::new(name, threshold, expected, hint))
            }
            _ => Ok(()),
        };
        let of_probes = format!("in 1..={permitted}, the number of probes");
        check(
            "success_threshold",
            self.success_threshold,
            permitted,
            of_probes.clone(),
            "leave it out where all probes must succeed",
        )?;
        check(
            "slow_threshold",
            self.slow_threshold,
            permitted,
            of_probes,
            "leave it out where slow probes count as failed",
        )?;
        let needed = self.success_threshold.unwrap_or(1);
        check(
            "failure_threshold",
            self.failure_threshold,
            permitted - needed + 1,
            format!(
                "in 1..={}, so that {permitted} probes reach it or {needed} of them succeed",
                permitted - needed + 1
            ),
            "make it smaller, or let more probes through",
        )
    }

    /// Refuses a threshold for slow probes where no call is ever slow.
    pub(crate) fn check_slow_threshold(
        self,
        slower_than: Option<Duration>,
    ) -> Result<(), ConfigError> {
        match (self.slow_threshold, slower_than) {
            (Some(slow), None) => Err(ConfigError::new(
                "slow_threshold",
                slow,
                "possible without a limit for slow calls",
                "add a policy with slower_than, or leave the threshold out",
            )),
            _ => Ok(()),
        }
    }

    pub(crate) fn check(self) -> Result<(), ConfigError> {
        self.check_contradictions()?;
        self.check_probes()?;
        if let Some(clients) = self.clients {
            Clients::check(clients)?;
        }
        if let Some((limit, _)) = self.half_open_limit {
            HalfOpenLimit::check(limit)?;
        }
        if let Some(backoff) = self.growing() {
            return backoff.check();
        }
        ConfigError::check_duration(
            "open_for",
            self.first_open_time(),
            Duration::from_secs(10 * 365 * 86_400),
            "in 1ms..=10 years",
            "5 s suit most services; to stay open there is force_open()",
        )
    }
}

impl Default for Recovery {
    /// The [default](Backoff::default) open times and three probes.
    ///
    /// A breaker without the [adaptive policy](crate::TripPolicy::adaptive) recovers like this.
    /// With that policy it recovers [adaptively](Self::adaptive) by default.
    fn default() -> Self {
        Self::probes(3)
    }
}
