//! Builds breakers from their settings.

mod validate;
mod reconfigure;
mod watchers;
#[cfg(feature = "tracing")]
mod trace;
#[cfg(feature = "serde")]
mod restore;

use std::{fmt, sync::Arc, time::Duration};

use self::validate::Checked;
#[cfg(feature = "registry")]
pub(crate) use self::watchers::Roll;
use crate::clock::{Clock, Now, saturating_nanos};
#[cfg(feature = "async")]
use crate::engine::probe_queue::ProbeQueue;
use crate::engine::{Core, OptionalParts, Parts, Settings, Switch, WarmUp};
use crate::events::listeners::{Listener, Listeners};
use crate::events::{Transition, WouldTripListener};
use crate::latency::odds::Odds;
use crate::latency::times::{Sampling, Timed, Times};
use crate::outcome::{Classify, DefaultClassifier, Outcome, WithRetryAfter};
use crate::policy::{Policies, TripPolicy};
use crate::recovery::{
    ACCEPTABLE, AdaptiveRecovery, Backoff, MaxRetryAfter, OpenTime, OpenTimes, Outage, Ramp,
    Recovery, Way,
};
use crate::window::{KeptTimes, Recording, Timing, Window};
use crate::{
    adaptive::AdaptiveConfig, breaker::CircuitBreaker, breaker::shared::SharedBreaker,
    error::ConfigError, name::Name, state::State, util::random::mixed,
};

/// Builds a [`CircuitBreaker`]; see [`CircuitBreaker::builder`].
///
/// | setting | default |
/// |---|---|
/// | [`window`](Self::window) | the last 60 s in 10 buckets |
/// | [`trip_when`](Self::trip_when) | [adaptive](TripPolicy::adaptive); [classic](TripPolicy::classic) in a window by count |
/// | [`recovery`](Self::recovery) | [adaptive](Recovery::adaptive) with the adaptive policy; else open for [0.5 s to 5 s](Backoff::default), then 3 probes |
/// | [`probe_timeout`](Self::probe_timeout) | 30 s |
/// | [`classify`](Self::classify) | `Err` is a failure |
/// | [`retry_after`](Self::retry_after) | results aren't asked for a `Retry-After` |
/// | [`max_retry_after`](Self::max_retry_after) | 5 minutes |
/// | [`warm_up`](Self::warm_up) | none |
/// | [`on_cancel`](Self::on_cancel) | ignored |
/// | [`on_transition`](Self::on_transition) | no listener |
/// | [`on_would_trip`](Self::on_would_trip) | no listener |
/// | `trace`, `trace_rejections` (feature `tracing`) | no events |
/// | [`start_in`](Self::start_in) | closed |
/// | [`enabled`](Self::enabled) | yes |
/// | [`metrics_only`](Self::metrics_only) | no |
/// | [`latency`](Self::latency) | off, unless a policy looks at percentiles |
/// | [`timing`](Self::timing) | a sample of the calls, if they are dense |
/// | [`clock`](Self::clock) | the CPU's time-stamp counter |
/// | [`shards`](Self::shards) | one; when it gets busy, twice as many as there are cores, 8 to 64 |
///
/// Clones have the same settings and listeners. Each clone builds its own breaker.
#[derive(Clone)]
#[must_use = "a builder does nothing until build() is called"]
pub struct CircuitBreakerBuilder<C = DefaultClassifier> {
    pub(crate) fixed: Fixed,
    tunable: Tunable,
    classifier: C,
}

/// The settings that a breaker keeps for life.
#[derive(Clone)]
pub(crate) struct Fixed {
    name: Name,
    /// Sets the jitter of breakers with one name apart. 0 for a breaker that stands alone.
    number: u64,
    listeners: Vec<Listener>,
    would_trip: Vec<WouldTripListener>,
    #[cfg(feature = "registry")]
    rolls: Vec<Arc<dyn Roll>>,
    #[cfg(feature = "tracing")]
    trace: trace::TraceSettings,
    clock: Clock,
    #[cfg(feature = "async")]
    pub(crate) max_waiting: Option<u32>,
    #[cfg(feature = "serde")]
    restored: restore::Restored,
}

/// The settings that a reconfiguration replaces.
#[derive(Clone, Debug)]
struct Tunable {
    window: Window,
    policies: Vec<TripPolicy>,
    recovery: Option<Recovery>,
    open_for: Option<Duration>,
    backoff: Option<Backoff>,
    probes: Option<u32>,
    probe_timeout: Duration,
    max_retry_after: Option<Duration>,
    warm_up: Duration,
    on_cancel: Outcome,
    start_in: Option<State>,
    enabled: bool,
    metrics_only: bool,
    recording: Recording,
    timing: Timing,
    shards: Option<u32>,
}

impl CircuitBreaker {
    /// Makes a breaker with defaults that suit a service.
    ///
    /// - It trips on [evidence](TripPolicy::adaptive): clearly more than a quarter of the calls
    ///   fail, and more than usual. It learns what is usual.
    /// - It sends its first probe early. Then the traffic comes back [step by
    ///   step](Recovery::adaptive), as fast as the dependency bears it.
    ///
    /// A breaker that trips on five failures in a row is one line longer:
    ///
    /// ```
    /// use tripcurve::{CircuitBreaker, TripPolicy};
    ///
    /// let payments = CircuitBreaker::new("payments");
    /// let reports = CircuitBreaker::builder("reports").trip_when(TripPolicy::classic()).build()?;
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    #[must_use]
    pub fn new(name: impl Into<Name>) -> Self {
        Self::builder(name)
            .build_with_any_name()
            .unwrap_or_else(|error| unreachable!("the defaults make sense: {error}"))
    }

    /// Returns a builder with the default settings. [`Name`] lists the names that are accepted.
    pub fn builder(name: impl Into<Name>) -> CircuitBreakerBuilder {
        CircuitBreakerBuilder::new(name.into())
    }
}

impl CircuitBreakerBuilder {
    fn new(name: Name) -> Self {
        Self {
            fixed: Fixed {
                name,
                number: 0,
                listeners: Vec::new(),
                would_trip: Vec::new(),
                #[cfg(feature = "registry")]
                rolls: Vec::new(),
                #[cfg(feature = "tracing")]
                trace: trace::TraceSettings::default(),
                clock: Clock::default(),
                #[cfg(feature = "async")]
                max_waiting: None,
                #[cfg(feature = "serde")]
                restored: restore::Restored::default(),
            },
            tunable: Tunable {
                window: Window::default(),
                policies: Vec::new(),
                recovery: None,
                open_for: None,
                backoff: None,
                probes: None,
                probe_timeout: Duration::from_secs(30),
                max_retry_after: None,
                warm_up: Duration::ZERO,
                on_cancel: Outcome::Ignored,
                start_in: None,
                enabled: true,
                metrics_only: false,
                recording: Recording::Off,
                timing: Timing::Sampled,
                shards: None,
            },
            classifier: DefaultClassifier,
        }
    }
}

impl<C> CircuitBreakerBuilder<C> {
    /// Gives one of many breakers these settings and a number of its own.
    #[cfg(feature = "registry")]
    pub(crate) fn one_of_many(mut self, name: Option<Name>, number: u64) -> Self {
        self.fixed.name = name.unwrap_or(self.fixed.name);
        self.fixed.number = number;
        self
    }

    /// Sets the recent calls that the policies judge. [`Window`] explains how to choose.
    pub fn window(mut self, window: impl Into<Window>) -> Self {
        self.tunable.window = window.into();
        self
    }

    /// Adds a policy. Any policy trips the breaker. The first one replaces the default. A breaker
    /// has at most 64 policies, and a [classic](TripPolicy::classic) pair is two of them.
    ///
    /// Without a policy, the breaker trips on [evidence](TripPolicy::adaptive). In a window by
    /// [count](Window::count) it has the classic pair, because evidence needs a window by time.
    pub fn trip_when(mut self, policy: impl Into<TripPolicy>) -> Self {
        self.tunable.policies.push(policy.into());
        self
    }

    /// Sets how the breaker recovers after a trip.
    ///
    /// [`Recovery::adaptive`] sends its first probe early. Then the traffic comes back step by
    /// step, as fast as the dependency bears it. A breaker that trips on
    /// [evidence](TripPolicy::adaptive) recovers adaptively by default. A fast trip does little
    /// harm when the recovery is short. Other breakers recover by [three
    /// probes](Recovery::probes) by default.
    ///
    /// [`open_for`](Self::open_for), [`backoff`](Self::backoff) and [`probes`](Self::probes) set
    /// the parts of a recovery by [probes](Recovery::probes). [`build`](Self::build) refuses them
    /// together with this setting. [`Recovery`] has methods of these names for any recovery.
    pub fn recovery(mut self, recovery: Recovery) -> Self {
        self.tunable.recovery = Some(recovery);
        self
    }

    /// Sets how long the breaker stays open after a trip, in a [recovery](Self::recovery) by
    /// probes: 1 ms to 10 years.
    ///
    /// After that time the next call becomes a probe.
    ///
    /// Without this setting and a [backoff](Self::backoff) the open times of probes are the
    /// [default](Backoff::default) ones, which grow while an outage lasts. A fixed time can stay in
    /// phase with a fault that comes back at regular times. The breaker is then open most of the
    /// time.
    pub fn open_for(mut self, duration: Duration) -> Self {
        self.tunable.open_for = Some(duration);
        self
    }

    /// Sets open times that grow with each failed recovery, with jitter, in a
    /// [recovery](Self::recovery) by probes; see [`Backoff`].
    ///
    /// [`build`](Self::build) refuses it together with [`open_for`](Self::open_for).
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcurve::CircuitBreaker;
    /// use tripcurve::recovery::{Backoff, Jitter};
    ///
    /// let (base, longest) = (Duration::from_secs(5), Duration::from_secs(120));
    /// let breaker = CircuitBreaker::builder("payments")
    ///     .backoff(Backoff::exponential(base, 2.0, longest).jitter(Jitter::Full))
    ///     .build()?;
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.tunable.backoff = Some(backoff);
        self
    }

    /// Sets how many calls a half-open breaker admits, in a [recovery](Self::recovery) by probes: 1
    /// to 255.
    ///
    /// All probes must succeed to close the breaker, and any failure opens it again, unless [some
    /// may fail](Recovery::success_threshold).
    pub fn probes(mut self, probes: u32) -> Self {
        self.tunable.probes = Some(probes);
        self
    }

    /// Sets how long a probe keeps its place: at least 1 ms. [`Duration::MAX`] means for ever.
    ///
    /// The time counts from the last admission. When it has passed and all places are taken, the
    /// next call becomes a probe. All probes in flight then count for nothing, even if they report
    /// later.
    ///
    /// With a `health_check` task (feature `async`), calls wait this long for its verdict. An
    /// [adaptive](Recovery::adaptive) ramp ends when no call has reported for this long. Choose a
    /// time longer than the call's own time limit.
    ///
    /// The time adapts to calls that take longer. Suppose that a call of the recovery succeeds or
    /// fails after its place was taken. Then the probes in flight keep their places for twice as
    /// long as that call took, counted from its report. A ramp waits for its calls at least twice
    /// as long as its probe or its slowest call took. The time grows to a hundred times this
    /// setting at most. A cancelled call changes nothing.
    ///
    /// An adaptive recovery waits no longer than the limit for slow calls, if there is one, because
    /// a slow probe has failed. If the open time that would follow is longer, it waits for that.
    pub fn probe_timeout(mut self, duration: Duration) -> Self {
        self.tunable.probe_timeout = duration;
        self
    }

    /// Sets how a permit counts that is dropped unrecorded, for example when a future is cancelled:
    /// [`Outcome::Ignored`] or [`Outcome::Failure`].
    ///
    /// [`Outcome::Failure`] is for calls wrapped in a timeout.
    ///
    /// With [`Outcome::Ignored`], a call that is dropped after the [limit for slow
    /// calls](TripPolicy::slow_rate) counts as slow: the caller gave up because the dependency
    /// didn't answer. A call that is dropped earlier, such as a hedge that lost, counts for
    /// nothing.
    ///
    /// ```
    /// use tripcurve::{CircuitBreaker, Outcome};
    ///
    /// let breaker = CircuitBreaker::builder("payments")
    ///     .on_cancel(Outcome::Failure)
    ///     .build()?;
    /// drop(breaker.try_acquire());
    /// assert_eq!(breaker.snapshot().failures(), 1);
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    pub fn on_cancel(mut self, outcome: Outcome) -> Self {
        self.tunable.on_cancel = outcome;
        self
    }

    /// Adds a listener. The breaker tells it of each transition, once, in order.
    ///
    /// The listener runs on the thread whose call made the transition. It may also run on a thread
    /// that is telling an earlier transition at that moment. So keep it short, for example send to
    /// a channel. It may call the breaker. A listener that panics harms no call and no other
    /// listener. If listeners are held up while 32 transitions pass, they miss some;
    /// [`Transition::missed`] says how many.
    pub fn on_transition(mut self, listener: impl Fn(&Transition) + Send + Sync + 'static) -> Self {
        self.fixed.listeners.push(Arc::new(listener));
        self
    }

    /// Sets whether the breaker keeps histograms of how long calls take, for
    /// [`Snapshot::latency`](crate::Snapshot::latency) (default [`Recording::Off`]).
    ///
    /// Histograms are off by default because they double the cost of a call of sparse traffic. A
    /// second clock reading is nearly all of that. Of dense traffic, only a [sample](Self::timing)
    /// is timed. Policies that look at percentiles switch histograms on. A
    /// [`slow_rate`](TripPolicy::slow_rate) reads the clock twice, but needs no histogram.
    ///
    /// They take 0.6 kB a bucket. Once the window has [grown](Self::shards), they take as much
    /// again for each thread with counts of its own that makes calls. [`Recording::ByOutcome`]
    /// takes twice that. A window by count takes 2 bytes a call.
    ///
    /// With a [coarse](Clock::coarse) clock, times are whole steps of that clock.
    ///
    /// ```
    /// use tripcurve::CircuitBreaker;
    /// use tripcurve::window::Recording;
    ///
    /// let breaker = CircuitBreaker::builder("payments").latency(Recording::Combined).build()?;
    /// let _ = breaker.call(|| "42".parse::<u32>());
    /// let snapshot = breaker.snapshot();
    /// if let Some(p99) = snapshot.latency().and_then(|latency| latency.percentile(99.0)) {
    ///     println!("p99 of the last minute: {p99:?}");
    /// }
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    pub fn latency(mut self, recording: Recording) -> Self {
        self.tunable.recording = recording;
        self
    }

    /// Sets which calls the breaker times, if it has a time window and times calls (default
    /// [`Timing::Sampled`]).
    ///
    /// A call that is timed reads the clock twice, which costs more than the rest of the breaker.
    /// So only a sample of dense traffic is timed. The breaker counts timed calls per bucket of the
    /// window, or per second if the buckets are longer. When there are 512 within half of that
    /// time, it times every other call from then on; then one in 4, and so on up to one in 64. A
    /// timed call then counts as 2, 4 and so on up to 64 calls. When calls get sparse, the breaker
    /// times all of them again. Up to about 1,000 calls a second, or 512 in half a bucket if that
    /// is more often, each call is timed.
    ///
    /// The number of calls and of failures is exact all the same. Slow calls and histograms are
    /// estimates from at least 512 timed calls a second or bucket. A rate of slow calls errs by
    /// about 2 percentage points for a window of one such time, and by 0.7 for one of ten. A time
    /// that you [report](crate::outcome::Report::took) counts only for a call of the sample.
    ///
    /// With an [adaptive](TripPolicy::adaptive) policy and a limit for slow calls, the sample is
    /// larger: timed calls are counted per half of the limit, if that is shorter than a bucket or a
    /// second. Slow calls of the sample are evidence against other calls of the sample. With a
    /// limit of 100 ms, an outage in which calls hang or get slow was seen at most 1.1 times as
    /// late as with `EveryCall` up to 30,000 calls a second. At 100,000 it was at most 1.2 times
    /// (`tests/it/sampled_evidence.rs`). Failures are seen as soon as with `EveryCall`.
    ///
    /// A breaker that was built without times and got them by
    /// [`reconfigure`](crate::CircuitBreaker::reconfigure) times each call anyway.
    ///
    /// [`Timing::EveryCall`] is for tests that compare exact numbers, and for histograms from which
    /// no slow call may be missing. A window by count times each call anyway.
    ///
    /// ```
    /// use tripcurve::CircuitBreaker;
    /// use tripcurve::window::{Recording, Timing};
    ///
    /// let breaker = CircuitBreaker::builder("payments")
    ///     .latency(Recording::Combined)
    ///     .timing(Timing::EveryCall)
    ///     .build()?;
    /// for _ in 0..10_000 {
    ///     let _ = breaker.call(|| "42".parse::<u32>());
    /// }
    /// let snapshot = breaker.snapshot();
    /// let latency = snapshot.latency().ok_or("not recorded")?;
    /// assert!(latency.count() > 9_000, "{}", latency.count());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn timing(mut self, timing: Timing) -> Self {
        self.tunable.timing = timing;
        self
    }

    /// Sets the state to start in. [`State::Open`] lasts for the first open time. Listeners are not
    /// told of it.
    pub fn start_in(mut self, state: State) -> Self {
        self.tunable.start_in = Some(state);
        self
    }

    /// Sets whether the breaker takes part; `false` lets all calls through and records nothing.
    ///
    /// The breaker then starts [disabled](State::Disabled), whatever [`start_in`](Self::start_in),
    /// [`metrics_only`](Self::metrics_only) and a restored value say. `CircuitBreaker::reconfigure`
    /// switches it off and on again while calls run. A breaker that was [disabled by
    /// hand](CircuitBreaker::disable) stays disabled until this setting changes or a command
    /// enables it.
    ///
    /// ```
    /// use tripcurve::{CircuitBreaker, State};
    ///
    /// let payments = CircuitBreaker::builder("payments").enabled(false).build()?;
    /// assert_eq!(payments.state(), State::Disabled);
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    pub fn enabled(mut self, enabled: bool) -> Self {
        self.tunable.enabled = enabled;
        self
    }

    /// Sets whether the breaker only measures; `true` lets all calls through, records them and
    /// never trips.
    ///
    /// The breaker then starts in [`State::MetricsOnly`], whatever [`start_in`](Self::start_in) and
    /// a restored value say. Like [`enabled`](Self::enabled), the setting can change while calls
    /// run. A breaker that is not enabled measures nothing.
    ///
    /// ```
    /// use tripcurve::{CircuitBreaker, State};
    ///
    /// let payments = CircuitBreaker::builder("payments").metrics_only(true).build()?;
    /// assert_eq!(payments.state(), State::MetricsOnly);
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    pub fn metrics_only(mut self, metrics_only: bool) -> Self {
        self.tunable.metrics_only = metrics_only;
        self
    }

    /// The state that the settings hold the breaker in, if any, and its initial state.
    fn switch(&self) -> Switch {
        Switch {
            mode: match (self.tunable.enabled, self.tunable.metrics_only) {
                (false, _) => Some(State::Disabled),
                (true, true) => Some(State::MetricsOnly),
                (true, false) => None,
            },
            start_in: self.tunable.start_in.unwrap_or(State::Closed),
        }
    }

    /// Sets the source of time; see [`Clock::mock`] for tests.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.fixed.clock = clock;
        self
    }

    /// Sets how many threads have counts of their own in a time window: 1 to 64.
    ///
    /// Threads with counts of their own don't write to the same cache lines.
    ///
    /// Without this setting all threads share their counts until a bucket has counted ten thousand
    /// calls or two threads collide. Then the window grows, once in the breaker's life. The call
    /// that finds the need allocates counts for twice as many threads as there are cores, 8 to 64.
    /// With this setting [`build`](Self::build) allocates them, and no call does.
    ///
    /// Threads are numbered in the order in which they first call any breaker of the process. The
    /// first ones, up to this number, have counts of their own in each breaker, busy or not. The
    /// others share some. A thread that ends leaves its number to the next. So choose more than the
    /// number of busy threads.
    ///
    /// One shard makes a compact breaker that never grows: at most 640 bytes with 10 buckets and
    /// the classic policies, and 1,472 with the adaptive one. It suits services that keep thousands
    /// of breakers, each used by few threads. Eight shards take about 5 KiB with 10 buckets. A
    /// count window has no shards.
    pub fn shards(mut self, shards: u32) -> Self {
        self.tunable.shards = Some(shards);
        self
    }

    /// Sets how a result counts; the default is that `Err` is a failure.
    ///
    /// It changes what the breaker counts, and leaves the caller's result alone: an `Ok` that
    /// counts as a failure is still `Ok`. Pass a classifier that is not a closure to
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
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    pub fn classify<T, E, F>(self, classifier: F) -> CircuitBreakerBuilder<F>
    where
        F: Classify<T, E> + Fn(&Result<T, E>) -> Outcome,
    {
        self.with_classifier(|_| classifier)
    }

    fn with_classifier<D>(self, classifier: impl FnOnce(C) -> D) -> CircuitBreakerBuilder<D> {
        CircuitBreakerBuilder {
            fixed: self.fixed,
            tunable: self.tunable,
            classifier: classifier(self.classifier),
        }
    }

    /// Extracts `Retry-After` from a result: for how long the dependency wants no calls.
    ///
    /// The retry-after lengthens the present open time. If the breaker isn't open, it lengthens the
    /// next one. No call and no probe is let through before, whatever the recovery. A retry-after
    /// doesn't open the breaker, shorten an open time, or grow a [backoff](Self::backoff). It
    /// counts from when the call comes back, also for a call that was let through before the
    /// breaker opened. The breaker cuts it to the [longest](Self::max_retry_after).
    ///
    /// Only a result that counts against the dependency can lengthen an open time: a failure, a
    /// timeout or a trip. `retry_after` isn't called for a success or an ignored result, whose
    /// `Retry-After` is one user's quota. A call that was let through while the breaker was
    /// [disabled](CircuitBreaker::disable) changes nothing. A breaker that [only
    /// measures](Self::metrics_only) notes the `Retry-After` of its calls.
    ///
    /// Call it after [`classify`](Self::classify). For a permit use
    /// [`Report::retry_after`](crate::Report::retry_after).
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcurve::time::Clock;
    /// use tripcurve::{CircuitBreaker, Outcome};
    ///
    /// struct Response {
    ///     status: u16,
    ///     retry_after: Option<Duration>,
    /// }
    ///
    /// let minute = Duration::from_secs(60);
    /// let breaker = CircuitBreaker::builder("payments")
    ///     .classify(|result: &Result<Response, std::io::Error>| match result {
    ///         Ok(response) if response.status == 503 => Outcome::Trip,
    ///         Ok(_) => Outcome::Success,
    ///         Err(_) => Outcome::Failure,
    ///     })
    ///     .retry_after(|result: &Result<Response, _>| result.as_ref().ok()?.retry_after)
    ///     .clock(Clock::mock().0)
    ///     .build()?;
    /// let _ = breaker.call(|| Ok(Response { status: 503, retry_after: Some(minute) }));
    /// assert!(breaker.snapshot().remaining_open() >= Some(minute));
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    pub fn retry_after<T, E, F>(self, retry_after: F) -> CircuitBreakerBuilder<WithRetryAfter<C, F>>
    where
        C: Classify<T, E>,
        F: Fn(&Result<T, E>) -> Option<Duration>,
    {
        self.with_classifier(|outcome| WithRetryAfter {
            outcome,
            retry_after,
        })
    }

    /// Sets the longest `Retry-After` that the breaker [honours](Self::retry_after): 1 ms to a
    /// year, 5 minutes by default.
    ///
    /// The breaker cuts a longer one to it. With [`Duration::ZERO`] the breaker honours none.
    ///
    /// The breaker honours a `Retry-After` from [`retry_after`](Self::retry_after), from a permit's
    /// [report](crate::Report::retry_after), and from a classifier's
    /// [`retry_after`](Classify::retry_after). It needs no other setting.
    pub fn max_retry_after(mut self, duration: Duration) -> Self {
        self.tunable.max_retry_after = Some(duration);
        self
    }

    /// Sets for how long a new breaker doesn't trip: up to a day, none by default.
    ///
    /// The breaker counts and learns from its first call on. Until the time is over, a cause to
    /// trip only makes an [`events::WouldTrip`](crate::events::WouldTrip), even if an outcome asks
    /// for the trip. The next failed or slow call after it is judged by all calls in the window.
    /// Use it for a process that starts with cold caches and connections.
    ///
    /// Commands still hold. The time counts from when the breaker is built, for each breaker of a
    /// registry and after each restart. `CircuitBreaker::reconfigure` refuses another warm-up.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcurve::time::Clock;
    /// use tripcurve::{CircuitBreaker, State, TripPolicy};
    ///
    /// let (clock, hand) = Clock::mock();
    /// let breaker = CircuitBreaker::builder("payments")
    ///     .trip_when(TripPolicy::consecutive_failures(2))
    ///     .warm_up(Duration::from_secs(30))
    ///     .clock(clock)
    ///     .build()?;
    /// for _ in 0..3 {
    ///     breaker.try_acquire()?.failure();
    /// }
    /// assert_eq!(breaker.state(), State::Closed);
    /// assert_eq!(breaker.snapshot().would_have_opened(), 1);
    /// hand.advance(Duration::from_secs(30));
    /// breaker.try_acquire()?.failure();
    /// assert_eq!(breaker.state(), State::Open);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn warm_up(mut self, duration: Duration) -> Self {
        self.tunable.warm_up = duration;
        self
    }

    /// Checks all settings and makes the breaker.
    ///
    /// # Errors
    /// The first setting that makes no sense. The error says what was expected and how to mend it.
    pub fn build(self) -> Result<CircuitBreaker<C>, ConfigError> {
        self.check_length_of_name()?;
        self.build_with_any_name()
    }

    /// Like [`build`](Self::build), without the check of the name's length.
    pub(crate) fn build_with_any_name(self) -> Result<CircuitBreaker<C>, ConfigError> {
        let parts = self.parts()?;
        let start = parts.settings.switch.start();
        let seed = self.seed();
        let clock = self.fixed.clock;
        let listeners = Listeners::new(self.fixed.listeners, &clock);
        let core = Core::new(parts, listeners, start, clock.nanos()).with_seed(seed);
        core.tell_would_trips(self.fixed.would_trip);
        #[cfg(feature = "serde")]
        let core = self.fixed.restored.restore(core, &clock);
        let shared = Arc::new(SharedBreaker { core, clock });
        #[cfg(feature = "tracing")]
        self.fixed.trace.begin(&shared);
        #[cfg(feature = "registry")]
        for roll in &self.fixed.rolls {
            roll.enlist(&shared);
        }
        Ok(CircuitBreaker {
            shared,
            classifier: self.classifier,
        })
    }

    /// Checks all settings and makes the parts of a breaker.
    fn parts(&self) -> Result<Parts, ConfigError> {
        let Checked {
            thread_slots,
            policies,
            slower_than,
            evidence,
            recovery,
        } = self.checked()?;
        let (fixed, tunable) = (&self.fixed, &self.tunable);
        let (window, clock) = (&tunable.window, &fixed.clock);
        let policies = Policies::from(policies);
        let looks_at_percentiles = policies.iter().any(TripPolicy::looks_at_percentiles);
        let recording = match tunable.recording {
            Recording::Off if looks_at_percentiles => Recording::Combined,
            recording => recording,
        };
        let timing = KeptTimes {
            counts_slow: slower_than.is_some(),
            recording,
        };
        let samples = tunable.timing == Timing::Sampled && window.buckets().is_some();
        let ring = window.ring(thread_slots, (timing, samples), clock);
        let timed = timing.is_timed().then(|| {
            let latencies = window.latencies(thread_slots, recording);
            let sample = match &evidence {
                _ if !samples => Sampling::Off,
                Some(evidence) if evidence.watched().is_some() => Sampling::ForEvidence,
                _ => Sampling::ForCounts,
            };
            let times = Times::new(slower_than, window, (recording, sample), clock);
            Timed::new(&times, latencies, &policies)
        });
        if tunable.shards.is_some() {
            ring.grow();
            if let Some(latencies) = timed.as_ref().and_then(|timed| timed.latencies()) {
                latencies.grow();
            }
        }
        let own_backoff = recovery
            .growing()
            .filter(|backoff| *backoff != Backoff::default());
        let optional = OptionalParts {
            odds: Odds::default(),
            timed: timed.map(Box::new),
            evidence,
            recovery: self.adaptive(&recovery, &policies),
            open_times: own_backoff.map(|backoff| Box::new(OpenTimes::new(backoff))),
            max_retry_after: tunable
                .max_retry_after
                .map(MaxRetryAfter::new)
                .filter(|longest| *longest != MaxRetryAfter::DEFAULT)
                .map(Box::new),
            half_open_limit: recovery.new_half_open_limit().map(Box::new),
            warm_up: (!tunable.warm_up.is_zero()).then(|| {
                let length = saturating_nanos(tunable.warm_up);
                Box::new(WarmUp {
                    length,
                    until: self.fixed.clock.nanos().saturating_add(length),
                })
            }),
            #[cfg(feature = "async")]
            probe_queue: fixed.max_waiting.map(ProbeQueue::boxed).transpose()?,
        };
        let settings = Settings {
            name: fixed.name.clone(),
            policies,
            open_for: match (recovery.growing(), own_backoff) {
                (Some(_), None) => Settings::DEFAULT_OPEN_TIMES,
                _ => saturating_nanos(recovery.first_open_time()),
            },
            probes: recovery.places(),
            probe_timeout: saturating_nanos(tunable.probe_timeout),
            on_cancel: tunable.on_cancel,
            switch: self.switch(),
        };
        Ok(Parts {
            settings,
            ring,
            optional: optional.boxed(),
        })
    }

    /// The parts of a recovery with a ramp. `None` for a recovery by probes.
    fn adaptive(
        &self,
        recovery: &Recovery,
        policies: &[TripPolicy],
    ) -> Option<Box<AdaptiveRecovery>> {
        let ramp = match recovery.way {
            Way::Probes(_) => return None,
            Way::Adaptive => {
                let acceptable = policies.iter().find_map(TripPolicy::adaptive_config);
                let more = acceptable.and_then(AdaptiveConfig::more);
                let acceptable = acceptable.map_or(ACCEPTABLE, AdaptiveConfig::acceptable);
                let more = more.map_or(acceptable, |more| more.max(acceptable));
                Ramp::new(acceptable, more, recovery.all_clients())
            }
            Way::Steps(steps) => Ramp::in_steps(&steps, recovery.max_failure_rate_of_steps()),
        };
        let by_traffic = recovery.open_time() == OpenTime::ByTraffic;
        let seed = self.seed();
        let length = self.tunable.window.length();
        let window = length.map_or(u64::MAX, saturating_nanos);
        let now = self.fixed.clock.nanos();
        let recovery = AdaptiveRecovery {
            outage: Outage::new(seed, now, recovery.all_clients()),
            ramp,
            by_traffic,
            window,
        };
        Some(Box::new(recovery))
    }

    /// A seed that sets the breaker's jitter apart from that of others.
    fn seed(&self) -> u64 {
        let Fixed {
            name,
            number,
            clock,
            ..
        } = &self.fixed;
        let bytes = name.as_str().bytes();
        let first = clock.next_seed() ^ number;
        bytes.fold(first, |seed, byte| mixed(seed ^ u64::from(byte)))
    }
}

impl<C> fmt::Debug for CircuitBreakerBuilder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreakerBuilder")
            .field("name", &self.fixed.name)
            .field("tunable", &self.tunable)
            .field("listeners", &self.fixed.listeners.len())
            .field("on_would_trip", &self.fixed.would_trip.len())
            .field("clock", &self.fixed.clock)
            .finish_non_exhaustive()
    }
}
