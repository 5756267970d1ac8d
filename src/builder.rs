//! Settings of a breaker, all checked in one place.

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use crate::breaker::CircuitBreaker;
use crate::clock::{Clock, Now, saturating_nanos};
use crate::core::{Core, Settings};
use crate::error::ConfigError;
use crate::lane::Lane;
use crate::listeners::{Listener, Listeners};
use crate::name::Name;
use crate::outcome::{Classify, ErrIsFailure, Outcome};
use crate::policy::TripPolicy;
use crate::shared::Shared;
use crate::state::{Kind, State};
use crate::transition::Transition;
use crate::window::Window;

/// Builds a [`CircuitBreaker`]; see [`CircuitBreaker::builder`].
///
/// | setting | default |
/// |---|---|
/// | [`window`](Self::window) | the last 60 s in 10 buckets |
/// | [`trip_when`](Self::trip_when) | 5 consecutive failures, or an error rate of 50 % of at least 10 calls |
/// | [`open_for`](Self::open_for) | 5 s |
/// | [`probes`](Self::probes) | 3 |
/// | [`probe_timeout`](Self::probe_timeout) | 30 s |
/// | [`classify`](Self::classify) | `Err` is a failure |
/// | [`on_cancel`](Self::on_cancel) | ignored |
/// | [`on_transition`](Self::on_transition) | nobody listens |
/// | [`start_in`](Self::start_in) | closed |
/// | [`clock`](Self::clock) | the CPU's time-stamp counter |
/// | [`shards`](Self::shards) | one; when it gets busy, twice as many as there are cores, 8 to 64 |
#[must_use = "a builder does nothing until build() is called"]
pub struct Builder<C = ErrIsFailure> {
    name: Name,
    window: Window,
    policies: Vec<TripPolicy>,
    open_for: Duration,
    probes: u32,
    probe_timeout: Duration,
    on_cancel: Outcome,
    listeners: Vec<Listener>,
    start_in: State,
    clock: Clock,
    shards: Option<u32>,
    classifier: C,
}

impl CircuitBreaker {
    /// A breaker with defaults that suit a service: it trips on 5 failures in a row, or when at
    /// least half of at least 10 calls within 60 seconds have failed; stays open for 5 seconds; and
    /// closes when 3 probes have succeeded.
    #[must_use]
    pub fn new(name: impl Into<Name>) -> Self {
        Self::builder(name)
            .build()
            .unwrap_or_else(|error| unreachable!("the defaults make sense: {error}"))
    }

    /// Starts a breaker with other settings.
    pub fn builder(name: impl Into<Name>) -> Builder {
        Builder::new(name.into())
    }
}

impl Builder {
    fn new(name: Name) -> Self {
        Self {
            name,
            window: Window::default(),
            policies: Vec::new(),
            open_for: Duration::from_secs(5),
            probes: 3,
            probe_timeout: Duration::from_secs(30),
            on_cancel: Outcome::Ignored,
            listeners: Vec::new(),
            start_in: State::Closed,
            clock: Clock::default(),
            shards: None,
            classifier: ErrIsFailure,
        }
    }
}

impl<C> Builder<C> {
    /// The stretch of recent calls that the breaker looks at; see [`Window`] for how to choose.
    pub fn window(self, window: impl Into<Window>) -> Self {
        Self {
            window: window.into(),
            ..self
        }
    }

    /// Adds a policy; any of them trips. The first one replaces the default pair.
    pub fn trip_when(mut self, policy: impl Into<TripPolicy>) -> Self {
        self.policies.push(policy.into());
        self
    }

    /// How long the breaker stays open after a trip: 1 ms to 10 years, rounded up to the next
    /// 1.05 ms of its clock. Then the first call that asks becomes a probe.
    ///
    /// Long enough for the dependency to draw breath, short enough that users don't wait for a
    /// dependency that works again.
    pub fn open_for(self, duration: Duration) -> Self {
        Self {
            open_for: duration,
            ..self
        }
    }

    /// How many calls are let through while half-open: 1 to 4,095. All must succeed to close the
    /// breaker; any failure opens it again.
    pub fn probes(self, probes: u32) -> Self {
        Self { probes, ..self }
    }

    /// How long a probe may take before its place is given to another call: at least 1 ms,
    /// counted from the last admission; [`Duration::MAX`] for ever.
    ///
    /// When all places are taken and none was given out for this long, the next call that asks
    /// takes over, and all probes then in flight count for nothing, should they report after all. Choose it longer than the call's own time limit.
    pub fn probe_timeout(self, duration: Duration) -> Self {
        Self {
            probe_timeout: duration,
            ..self
        }
    }

    /// How a permit counts that is dropped unrecorded, as when a future is cancelled:
    /// [`Outcome::Ignored`] or [`Outcome::Failure`], the latter for calls wrapped in a timeout.
    ///
    /// ```
    /// use tripcurve::{CircuitBreaker, Outcome};
    ///
    /// let breaker = CircuitBreaker::builder("payments")
    ///     .on_cancel(Outcome::Failure)
    ///     .build()?;
    /// drop(breaker.try_acquire());
    /// assert_eq!(breaker.snapshot().failures(), 1);
    /// # Ok::<(), tripcurve::ConfigError>(())
    /// ```
    pub fn on_cancel(self, outcome: Outcome) -> Self {
        Self {
            on_cancel: outcome,
            ..self
        }
    }

    /// Adds a listener that is told of each transition, once, in order.
    ///
    /// It runs on the thread whose call made the transition, or on one that is telling an earlier
    /// transition just then, so it should be short; sending to a channel is. It may call the
    /// breaker. If it panics, nobody else is harmed. If listeners are held up while 32 transitions
    /// go by, some are left out; [`Transition::missed`] says how many.
    pub fn on_transition(mut self, listener: impl Fn(&Transition) + Send + Sync + 'static) -> Self {
        self.listeners.push(Box::new(listener));
        self
    }

    /// The state to start in; [`State::Open`] lasts [`open_for`](Self::open_for). Listeners are not
    /// told of it.
    pub fn start_in(self, state: State) -> Self {
        Self {
            start_in: state,
            ..self
        }
    }

    /// The source of time; see [`Clock::mock`] for tests.
    pub fn clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// How many threads have counts of their own in a time window, so that they don't write to the
    /// same cache lines: 1 to 64.
    ///
    /// Without this setting all threads share their counts until a bucket has counted ten
    /// thousand calls or two threads collide. Then the window grows: the call that has found it
    /// allocates, once in the breaker's life, counts for twice as many threads as there are cores,
    /// 8 to 64. With this setting [`build`](Self::build) allocates them, and no call does.
    ///
    /// Threads are numbered in the order in which they first call any breaker of the process; the
    /// first so many have counts of their own in each, busy or not, and the others share some. A
    /// thread that ends leaves its number to the next. So choose it larger than the number of busy
    /// threads.
    ///
    /// One makes a breaker compact that never grows, at most 512 bytes with 10 buckets and the
    /// default policies, for services that keep thousands of breakers, each used by few threads.
    /// Eight take about 5 KiB with 10 buckets. A count window has no shards.
    pub fn shards(self, shards: u32) -> Self {
        Self {
            shards: Some(shards),
            ..self
        }
    }

    /// Says how a result counts; the default is that `Err` is a failure.
    ///
    /// It changes what is counted, not what the caller gets: an `Ok` that counts as a failure is
    /// still `Ok`. A classifier that is no closure goes through
    /// [`with_classifier`](CircuitBreaker::with_classifier).
    ///
    /// ```
    /// use tripcurve::{CircuitBreaker, Outcome};
    ///
    /// struct Response {
    ///     status: u16,
    /// }
    ///
    /// let breaker = CircuitBreaker::builder("payments")
    ///     .classify(|result: &Result<Response, std::io::Error>| match result {
    ///         Ok(response) if response.status == 503 => Outcome::Trip,
    ///         Ok(response) if response.status >= 500 => Outcome::Failure,
    ///         Ok(_) => Outcome::Success,
    ///         Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => Outcome::Ignored,
    ///         Err(_) => Outcome::Failure,
    ///     })
    ///     .build()?;
    /// let _ = breaker.call(|| Ok(Response { status: 500 }));
    /// assert_eq!(breaker.snapshot().failures(), 1);
    /// # Ok::<(), tripcurve::ConfigError>(())
    /// ```
    pub fn classify<T, E, F>(self, classifier: F) -> Builder<F>
    where
        F: Classify<T, E> + Fn(&Result<T, E>) -> Outcome,
    {
        Builder {
            name: self.name,
            window: self.window,
            policies: self.policies,
            open_for: self.open_for,
            probes: self.probes,
            probe_timeout: self.probe_timeout,
            on_cancel: self.on_cancel,
            listeners: self.listeners,
            start_in: self.start_in,
            clock: self.clock,
            shards: self.shards,
            classifier,
        }
    }

    /// Checks all settings and makes the breaker.
    ///
    /// # Errors
    /// The first setting that makes no sense, with what was expected and how to mend it.
    pub fn build(self) -> Result<CircuitBreaker<C>, ConfigError> {
        let lanes = match self.shards {
            None => default_shards(),
            Some(shards) if (1..=Lane::OWNED).contains(&shards) => shards,
            Some(shards) => {
                return Err(ConfigError::new(
                    "shards",
                    shards,
                    format!("in 1..={}", Lane::OWNED),
                    "1 makes a compact breaker, the number of busy threads a fast one",
                ));
            }
        };
        let ring = self.window.ring(lanes, &self.clock)?;
        if self.shards.is_some() {
            ring.grow();
        }
        let capacity = self.window.capacity();
        let policies = if self.policies.is_empty() {
            TripPolicy::defaults(capacity)
        } else {
            self.policies
        };
        for policy in &policies {
            policy.check(capacity)?;
        }
        if !(1..=Kind::MAX_PROBES).contains(&self.probes) {
            return Err(ConfigError::new(
                "probes",
                self.probes,
                format!("in 1..={}", Kind::MAX_PROBES),
                "3 suit most services",
            ));
        }
        check_duration(
            "open_for",
            self.open_for,
            Duration::from_secs(10 * 365 * 86_400),
            "in 1ms..=10 years",
            "5 s suit most services; to stay open there is force_open()",
        )?;
        check_duration(
            "probe_timeout",
            self.probe_timeout,
            Duration::MAX,
            "at least 1ms",
            "choose it longer than the call's own time limit; Duration::MAX means never",
        )?;
        if !matches!(self.on_cancel, Outcome::Ignored | Outcome::Failure) {
            return Err(ConfigError::new(
                "on_cancel",
                format!("Outcome::{:?}", self.on_cancel),
                "Outcome::Ignored or Outcome::Failure",
                "a cancelled call says at most that it took too long",
            ));
        }
        let settings = Settings {
            name: self.name,
            policies: policies.into(),
            open_for: saturating_nanos(self.open_for),
            probes: self.probes,
            probe_timeout: saturating_nanos(self.probe_timeout),
        };
        let core = Core::new(
            settings,
            ring,
            Listeners::new(self.listeners),
            self.start_in,
            self.clock.nanos(),
        );
        let shared = Shared {
            core,
            clock: self.clock,
            on_cancel: self.on_cancel,
        };
        Ok(CircuitBreaker::from_parts(shared, self.classifier))
    }
}

/// Twice as many as there are cores, and some at least: idle threads keep their shards too.
fn default_shards() -> u32 {
    // Asking the system reads files; breakers are made by the thousand.
    static SHARDS: OnceLock<u32> = OnceLock::new();
    *SHARDS.get_or_init(|| {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        u32::try_from(2 * cores).map_or(Lane::OWNED, |shards| shards.clamp(8, Lane::OWNED))
    })
}

fn check_duration(
    setting: &'static str,
    value: Duration,
    longest: Duration,
    expected: &'static str,
    hint: &'static str,
) -> Result<(), ConfigError> {
    if (Duration::from_millis(1)..=longest).contains(&value) {
        Ok(())
    } else {
        Err(ConfigError::new(
            setting,
            format!("{value:?}"),
            expected,
            hint,
        ))
    }
}

impl<C> fmt::Debug for Builder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("name", &self.name)
            .field("window", &self.window)
            .field("policies", &self.policies)
            .field("open_for", &self.open_for)
            .field("probes", &self.probes)
            .field("probe_timeout", &self.probe_timeout)
            .field("on_cancel", &self.on_cancel)
            .field("listeners", &self.listeners.len())
            .field("start_in", &self.start_in)
            .field("clock", &self.clock)
            .field("shards", &self.shards)
            .finish_non_exhaustive()
    }
}
