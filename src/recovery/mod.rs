//! How a breaker that has tripped finds its way back.

mod backoff;
#[cfg(feature = "health")]
mod checks;
mod open_times;
mod outage;
mod ramp;
mod retry_after;
#[cfg(feature = "serde")]
mod saved;
mod steps;
mod verdict;

pub use backoff::{Backoff, Jitter};
#[cfg(feature = "health")]
pub use checks::HealthChecks;
pub use open_times::{OpenTimes, Streak};
pub use outage::Outage;
pub use ramp::{Ask, Ramp, Report};
pub use retry_after::RetryAfter;
#[cfg(feature = "serde")]
pub(crate) use saved::SavedRecovery;
pub(crate) use steps::Steps;
pub(crate) use verdict::ACCEPTABLE;

use std::time::Duration;

use crate::error::ConfigError;
use crate::state::{Kind, Probes};

/// How a breaker that has tripped finds out that the dependency works again, and how it lets the
/// traffic back; for [`Builder::recovery`](crate::Builder::recovery).
///
/// ```
/// use std::time::Duration;
/// use tripcurve::{CircuitBreaker, Recovery};
///
/// let payments = CircuitBreaker::builder("payments").recovery(Recovery::adaptive()).build()?;
/// let reports = CircuitBreaker::builder("reports")
///     .recovery(Recovery::fixed(Duration::from_secs(30), 1))
///     .build()?;
/// # Ok::<(), tripcurve::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recovery {
    pub(crate) open: OpenTime,
    pub(crate) way: Way,
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
    Probes { permitted: u32, must: Must },
    Adaptive,
    Steps(Steps),
}

/// What probes must come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Must {
    AllSucceed,
    Succeed(u32),
    FailAtMost(f64),
}

impl Recovery {
    /// Open for a fixed time; then closed as soon as so many probes have succeeded, or open again when
    /// one has failed.
    ///
    /// `open_for` is 1 ms to 10 years; `probes` are 1 to 1,023.
    #[must_use]
    pub const fn fixed(open_for: Duration, probes: u32) -> Self {
        Self {
            open: OpenTime::Fixed(open_for),
            way: Way::Probes {
                permitted: probes,
                must: Must::AllSucceed,
            },
        }
    }

    /// The same, but closed as soon as so many of the probes have succeeded, 1 to all of them, and open again
    /// as soon as they can't: for a dependency of which a call fails now and then though it works.
    ///
    /// Replaces a [largest error rate](Self::max_error_rate); nothing to a recovery of another kind.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcurve::{CircuitBreaker, Clock, Recovery, State};
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
    pub const fn success_threshold(self, successes: u32) -> Self {
        self.must(Must::Succeed(successes))
    }

    /// The same, but closed when of the probes at most this share has failed, and open again when more have:
    /// 0 to less than 1. It is decided as soon as it is clear.
    ///
    /// Of [steps](Self::steps) the largest share of a step's calls. Replaces a [number of
    /// successes](Self::success_threshold); nothing to an adaptive recovery.
    #[must_use]
    pub const fn max_error_rate(self, share: f64) -> Self {
        if let Way::Steps(steps) = self.way {
            return Self {
                way: Way::Steps(steps.with_max_error_rate(share)),
                ..self
            };
        }
        self.must(Must::FailAtMost(share))
    }

    /// The same with so many probes, all of which must succeed.
    pub(crate) const fn with_probes(self, permitted: u32) -> Self {
        Self {
            way: Way::Probes {
                permitted,
                must: Must::AllSucceed,
            },
            ..self
        }
    }

    const fn must(self, must: Must) -> Self {
        match self.way {
            Way::Probes { permitted, .. } => Self {
                way: Way::Probes { permitted, must },
                ..self
            },
            Way::Adaptive | Way::Steps(_) => self,
        }
    }

    /// Probes early and, in a long outage, less often; then lets the traffic back step by step.
    ///
    /// The first probe goes after the time in which a hundred calls came before the trip, 0.1 to 2 s;
    /// with little traffic that of four calls, up to 5 s. So a dead dependency gets a hundredth of its
    /// calls at most. If it fails, the next one waits as long, or a hundredth of the outage's age if that
    /// is longer, up to 5 s; all give or take a fifth, so that several processes don't probe in step.
    ///
    /// One good probe begins a *ramp*: the breaker is half-open and lets a share of the calls through, at
    /// first thirty calls a second or a sixteenth of them all, if that is more. Its rounds take at least
    /// 150 ms and three times as long as the probe has taken, up to a second each. After a clean round the
    /// share is four times as large. When clearly more calls fail or are slow, it is cut to what the
    /// dependency could bear, and grows slowly from there. After a clean round with all calls the breaker is
    /// closed. When nearly all calls fail although the share is small or was just cut, it is open again.
    ///
    /// Failures of up to a quarter of the calls don't hold the ramp up, if their share stays when that of the
    /// calls is cut: they don't come from the load. With more the breaker opens and closes in turn, or doesn't
    /// close.
    ///
    /// Of calls that ask the ramp lets exactly its share through: of any `n` in succession within a round
    /// with share `s` it is `n·s`, rounded up or down. Calls of an earlier round that come back late count
    /// nothing. If none that was let through reports within the [time of a
    /// probe](crate::Builder::probe_timeout), the breaker is open again.
    ///
    /// In simulations of outages of 30 to 90 s the breaker was closed 0.9 s after the dependency worked again
    /// on average, at a hundred calls a second and at a thousand (`tests/recovery.rs`). Memory: about 200
    /// bytes more than with a fixed recovery.
    #[must_use]
    pub const fn adaptive() -> Self {
        Self {
            open: OpenTime::ByTraffic,
            way: Way::Adaptive,
        }
    }

    /// Lets the traffic back in steps that are given: after 5 s or [another time](Self::open_for) one probe
    /// goes, and if it is good the first share of the calls is let through, for the time of `each` step, then
    /// the next one, and after the last one the breaker is closed. When too many calls of a step have failed
    /// it is open again.
    ///
    /// `shares` are 1 to 16, above 0 and up to 1, each larger than the one before, in steps of a 1,024th; `each` is
    /// 1 ms to a day. Too many are more than a quarter or than [another
    /// share](Self::max_error_rate), at the end of the step, or sooner if there are so many that no more
    /// than one in ninety steps with an acceptable share would show them. A step goes on until at least one of its calls has come
    /// back; slow calls are as bad as failed ones. As with an [adaptive](Self::adaptive) recovery a share
    /// is exact, calls of an earlier step count nothing, and if none reports within the [time of a
    /// probe](crate::Builder::probe_timeout) the breaker is open again.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcurve::{CircuitBreaker, Recovery};
    ///
    /// let each = Duration::from_secs(10);
    /// let breaker = CircuitBreaker::builder("payments")
    ///     .recovery(Recovery::steps([0.1, 0.25, 0.5, 1.0], each).max_error_rate(0.1))
    ///     .build()?;
    /// # Ok::<(), tripcurve::ConfigError>(())
    /// ```
    #[must_use]
    pub const fn steps<const N: usize>(shares: [f64; N], each: Duration) -> Self {
        Self::in_steps(&shares, each)
    }

    pub(crate) const fn in_steps(shares: &[f64], each: Duration) -> Self {
        Self {
            open: OpenTime::Fixed(Duration::from_secs(5)),
            way: Way::Steps(Steps::new(shares, each)),
        }
    }

    /// The same, but open for a fixed time: 1 ms to 10 years.
    #[must_use]
    pub const fn open_for(self, duration: Duration) -> Self {
        Self {
            open: OpenTime::Fixed(duration),
            ..self
        }
    }

    /// The same, but open for times that grow with each recovery that fails; instead of a fixed time, or
    /// of one that goes by the traffic.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcurve::{Backoff, CircuitBreaker, Recovery};
    ///
    /// let times = Backoff::exponential(Duration::from_millis(500), 2.0, Duration::from_secs(60));
    /// let breaker = CircuitBreaker::builder("payments")
    ///     .recovery(Recovery::adaptive().backoff(times))
    ///     .build()?;
    /// # Ok::<(), tripcurve::ConfigError>(())
    /// ```
    #[must_use]
    pub const fn backoff(self, backoff: Backoff) -> Self {
        Self {
            open: OpenTime::Growing(backoff),
            ..self
        }
    }

    /// The first open time, where traffic doesn't say.
    pub(crate) fn first_open_time(self) -> Duration {
        match self.open {
            OpenTime::Fixed(open_for) => open_for,
            OpenTime::Growing(backoff) => backoff.base,
            OpenTime::ByTraffic => Duration::from_secs(1),
        }
    }

    /// With an adaptive recovery the one that begins a ramp.
    pub(crate) fn probes(self) -> Probes {
        let Way::Probes { permitted, must } = self.way else {
            return Probes::all(1);
        };
        let needed = match must {
            Must::AllSucceed => permitted,
            Must::Succeed(needed) => needed,
            Must::FailAtMost(share) => {
                let is_borne = |failed: &u32| f64::from(*failed) / f64::from(permitted) <= share;
                permitted - (1..=permitted).take_while(is_borne).last().unwrap_or(0)
            }
        };
        Probes::new(permitted, needed)
    }

    pub(crate) fn growing(self) -> Option<Backoff> {
        match self.open {
            OpenTime::Growing(backoff) => Some(backoff),
            OpenTime::ByTraffic | OpenTime::Fixed(_) => None,
        }
    }

    fn check_probes(self) -> Result<(), ConfigError> {
        let (permitted, must) = match self.way {
            Way::Probes { permitted, must } => (permitted, must),
            Way::Adaptive => return Ok(()),
            Way::Steps(steps) => {
                check_max_error_rate(steps.max_error_rate)?;
                return steps.check();
            }
        };
        if !(1..=Kind::MAX_PROBES).contains(&permitted) {
            return Err(ConfigError::new(
                "probes",
                permitted,
                format!("in 1..={}", Kind::MAX_PROBES),
                "3 suit most services",
            ));
        }
        match must {
            Must::Succeed(needed) if !(1..=permitted).contains(&needed) => Err(ConfigError::new(
                "success_threshold",
                needed,
                format!("in 1..={permitted}, the number of probes"),
                "leave it out where all probes must succeed",
            )),
            Must::FailAtMost(share) => check_max_error_rate(share),
            _ => Ok(()),
        }
    }

    pub(crate) fn check(self) -> Result<(), ConfigError> {
        self.check_probes()?;
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

fn check_max_error_rate(share: f64) -> Result<(), ConfigError> {
    if (0.0..1.0).contains(&share) {
        return Ok(());
    }
    Err(ConfigError::new(
        "max_error_rate",
        share,
        "at least 0 and less than 1",
        "0.5 lets half of them fail",
    ))
}

impl Default for Recovery {
    /// Five seconds and three probes.
    fn default() -> Self {
        Self::fixed(Duration::from_secs(5), 3)
    }
}

/// What a breaker with an adaptive recovery has besides.
#[derive(Debug)]
pub struct AdaptiveRecovery {
    /// When to probe.
    pub outage: Outage,
    /// How to let the traffic back.
    pub ramp: Ramp,
    /// Whether the traffic says when to probe.
    pub by_traffic: bool,
    /// How old a call of the window may be, in nanoseconds; any age, if nothing says so.
    pub window: u64,
}

impl AdaptiveRecovery {
    /// A recovery with such a ramp. `seed` tells its jitter from that of others.
    #[must_use]
    pub fn new(ramp: Ramp, by_traffic: bool, seed: u64, window: u64, now: u64) -> Self {
        Self {
            outage: Outage::new(seed, now),
            ramp,
            by_traffic,
            window,
        }
    }

    /// Whether both were made by the same settings.
    #[must_use]
    pub fn is_alike(&self, other: &Self) -> bool {
        let shape = |it: &Self| (it.by_traffic, it.window);
        shape(self) == shape(other) && self.ramp.is_alike(&other.ramp)
    }
}
