//! A plain model of the breaker. It does what the breaker's documentation says, one call after
//! another. It has a list of calls where the breaker has packed words, and nothing that threads
//! could share.
//!
//! It is written from the documentation, not from the source. It is as slow as it is simple.
//! [`pair`] drives it in parallel with a breaker.

mod adaptive;
mod ask;
mod config;
mod credit;
mod dispersion;
mod in_force;
mod late;
mod lessons;
mod open_times;
mod outage;
pub(crate) mod pair;
mod picture;
mod ramp;
mod reconfigure;
mod rounds;
pub(crate) mod sample;
mod stalls;
mod totals;

use std::time::Duration;

use adaptive::Moment;
pub(crate) use config::Part;
use config::Verdicts;
pub(crate) use config::{Adaptive, BurnRate, Config, Growth, Policy, Shape, Steps};
use credit::Credit;
use late::Late;
#[allow(
    unused_imports,
    reason = "only the histories of several threads need it"
)]
pub(crate) use late::LateVerdict;
pub(crate) use lessons::Way;
use open_times::OpenTimes;
use outage::Outage;
use picture::Durations;
pub(crate) use picture::Picture;
use ramp::{Ramp, Verdict};
use sample::Sample;
use totals::{Timing, Totals};
use tripcurve::events::{Cause, WouldTripReason};
use tripcurve::window::Recording;
use tripcurve::{Outcome, State};

/// A state change, as listeners should get it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Told {
    pub(crate) from: State,
    pub(crate) to: State,
    pub(crate) generation: u64,
    pub(crate) at: Duration,
    pub(crate) cause: Cause,
    pub(crate) missed: u64,
}

/// A trip that would have been, as listeners should be told of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct WouldHaveTripped {
    pub(crate) state: State,
    pub(crate) at: Duration,
    pub(crate) cause: Cause,
    pub(crate) reason: WouldTripReason,
}

/// A rejection without the breaker's name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Refused {
    pub(crate) state: State,
    pub(crate) retry_after: Option<Duration>,
}

/// The permission to make one call.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct ModelPermit {
    generation: u64,
    /// Distinguishes calls that began at the same time.
    number: u64,
    begin: u64,
    /// Whether the state that admitted the call records anything.
    is_recorded: bool,
    /// Whether the breaker was half-open, so that the call is a probe's or a ramp's.
    is_half_open: bool,
    timing: Timing,
    /// The call stands for 2^this calls among the timed ones, and for 2^`watched_weight` among the
    /// watched ones.
    weight: u32,
    watched_weight: u32,
    /// The step of the ramp that admitted the call, if a ramp did.
    step: Option<usize>,
    /// Whether the round of an adaptive ramp that admitted the call had little load.
    is_of_little: bool,
    /// Whether the call became overdue and was weighed then.
    is_charged: bool,
}

/// The probes of a half-open breaker.
#[derive(Clone, Copy, Debug, Default)]
struct Probing {
    in_flight: u32,
    succeeded: u32,
    slow: u32,
    failed: u32,
}

impl Probing {
    fn taken(self) -> u32 {
        self.in_flight + self.succeeded + self.slow + self.failed
    }
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Closed,
    Open { until: u64 },
    HalfOpen(Probing),
    Ramp(Ramp),
    ForcedOpen,
    Isolated(Interrupted),
    Disabled,
    MetricsOnly,
}

/// What an isolated breaker comes back to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Interrupted {
    Closed,
    Open { until: u64 },
    HalfOpen,
    Disabled,
    MetricsOnly,
}

impl Phase {
    fn state(self) -> State {
        match self {
            Self::Closed => State::Closed,
            Self::Open { .. } => State::Open,
            Self::HalfOpen { .. } | Self::Ramp(_) => State::HalfOpen,
            Self::ForcedOpen | Self::Isolated(_) => State::ForcedOpen,
            Self::Disabled => State::Disabled,
            Self::MetricsOnly => State::MetricsOnly,
        }
    }
}

#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct Call {
    at: u64,
    failed: bool,
    took: u64,
    /// The call stands for 2^this calls. `None` if it is left out of those that are timed.
    weight: Option<u32>,
    /// Whether the exact duration is still known, and not only whether it was slow.
    is_timed: bool,
    given_up: bool,
    /// Whether the call ends a run of failures. It does so if it succeeded and wasn't dropped late.
    ends_run: bool,
}

/// The counts that the policies judge.
#[derive(Clone, Copy, Debug)]
struct Counts {
    calls: u64,
    failures: u64,
    slow: u64,
    overdue: u64,
}

/// The breaker as its documentation describes it.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    config: Config,
    now: u64,
    phase: Phase,
    generation: u64,
    since: u64,
    /// Since when it is half-open, or it was not half-open later.
    half_open_since: u64,
    /// Calls of this generation that succeeded or failed.
    calls: Vec<Call>,
    /// The times when calls of this generation were ignored or, in a rejecting state, rejected.
    set_aside: Vec<u64>,
    /// The time from which on the window counts calls.
    counted_since: u64,
    failures_in_a_row: u64,
    /// Admitted and recorded calls of all generations that haven't ended.
    in_flight: Vec<ModelPermit>,
    permits: u64,
    /// When the latest probe was admitted. The time is later if the probes were given more time.
    last_admission: u64,
    /// How long a ramp's calls may go without a report, if that is longer than a probe's time.
    patience: u64,
    /// The policy that decides by evidence, if there is one.
    evidence: Option<adaptive::Adaptive>,
    open_times: OpenTimes,
    /// The present or latest outage, if the recovery has a ramp.
    outage: Option<Outage>,
    /// The sum of the shares of all calls that have asked during a ramp, in 1,024ths.
    asked: u64,
    /// When the breaker got its window, if it wasn't built with it.
    window_since: Option<u64>,
    /// Whether the window has taken over calls of another one in this generation.
    has_taken_on: bool,
    /// What this model has come to.
    pub(crate) ways: Vec<Way>,
    /// The remaining open time in the breaker's snapshot. The model takes it where the breaker
    /// decides at random.
    pub(crate) shown: Option<Duration>,
    told: Vec<Told>,
    /// Whether the policies by count, and the one by evidence, were satisfied when they were last asked,
    /// in a breaker that may not trip.
    satisfied: [bool; 2],
    would_have_opened: u64,
    told_of_would_trips: Vec<WouldHaveTripped>,
    totals: Totals,
    /// Whether the breaker has the window that it was built with.
    has_first_window: bool,
    credit: Credit,
    /// How many successes were carried over a pause.
    pub(crate) carried: u64,
    /// How many calls were left out of those that are timed.
    pub(crate) left_out: u64,
    /// Whether another thread than the driving one records the outcome.
    pub(crate) is_on_another_thread: bool,
    late: Late,
    sample: Sample,
}

impl Model {
    pub(crate) fn new(config: Config) -> Self {
        let now = nanos(config.built_at);
        let phase = match config.start() {
            State::Closed => Phase::Closed,
            State::Open => Phase::Open {
                until: end_of_open_time(now, config.first_open_time()),
            },
            State::HalfOpen => Phase::HalfOpen(Probing::default()),
            State::ForcedOpen => Phase::ForcedOpen,
            State::Disabled => Phase::Disabled,
            State::MetricsOnly => Phase::MetricsOnly,
            state => panic!("the model doesn't know {state:?}"),
        };
        let evidence = config.evidence();
        Self {
            now,
            phase,
            generation: 0,
            since: now,
            half_open_since: now,
            calls: Vec::new(),
            set_aside: Vec::new(),
            counted_since: in_microseconds(now),
            failures_in_a_row: 0,
            in_flight: Vec::new(),
            permits: 0,
            last_admission: 0,
            patience: 0,
            evidence,
            open_times: OpenTimes::new(&config),
            outage: config.has_ramp().then(|| Outage::new(now)),
            asked: 0,
            window_since: None,
            has_taken_on: false,
            ways: Vec::new(),
            shown: None,
            config,
            told: Vec::new(),
            satisfied: [false; 2],
            would_have_opened: 0,
            told_of_would_trips: Vec::new(),
            totals: Totals::default(),
            has_first_window: true,
            credit: Credit::default(),
            carried: 0,
            left_out: 0,
            is_on_another_thread: false,
            late: Late::default(),
            sample: Sample::default(),
        }
    }

    pub(crate) fn state(&self) -> State {
        self.phase.state()
    }

    pub(crate) fn advance(&mut self, by: Duration) {
        self.now = self.now.saturating_add(nanos(by));
    }

    /// Takes the state changes since the last call of this function.
    pub(crate) fn take_told(&mut self) -> Vec<Told> {
        std::mem::take(&mut self.told)
    }

    /// The trips that would have been since this was last asked.
    pub(crate) fn take_would_trips(&mut self) -> Vec<WouldHaveTripped> {
        std::mem::take(&mut self.told_of_would_trips)
    }

    pub(crate) fn acquire(&mut self) -> Result<ModelPermit, Refused> {
        self.end_half_open();
        self.acquire_now().map_err(|refused| {
            let left = self
                .half_open_ends()
                .map(|end| Duration::from_nanos(end.saturating_sub(self.now)));
            let retry_after = [refused.retry_after, left].into_iter().flatten().min();
            Refused {
                retry_after,
                ..refused
            }
        })
    }

    /// When it has been half-open for too long, if it is half-open.
    fn half_open_ends(&self) -> Option<u64> {
        let (limit, _) = self.config.half_open_limit()?;
        let is_half_open = self.state() == State::HalfOpen;
        is_half_open.then(|| self.half_open_since.saturating_add(limit))
    }

    /// A call asks a breaker that may have been half-open for too long.
    fn end_half_open(&mut self) {
        if self.half_open_ends().is_none_or(|end| self.now < end) {
            return;
        }
        match self.config.half_open_limit() {
            Some((_, true)) => self.enter(Phase::Closed, Cause::HalfOpenExpired),
            _ => {
                self.open(Cause::HalfOpenExpired);
            }
        }
    }

    fn acquire_now(&mut self) -> Result<ModelPermit, Refused> {
        match self.phase {
            Phase::Closed | Phase::MetricsOnly => {
                if self.leaves_out() {
                    let timing = Timing::LeftOut;
                    self.left_out += 1;
                    return Ok(ModelPermit {
                        timing,
                        ..self.permit()
                    });
                }
                let weight = self.time();
                if !self.picks() {
                    return Ok(ModelPermit {
                        weight,
                        ..self.permit()
                    });
                }
                self.note_progress();
                if self.overdue() > 0 {
                    self.weigh_overdue();
                    self.judge(false);
                }
                if !self.lets_through_all() {
                    return self.acquire_now();
                }
                let permit = ModelPermit {
                    weight,
                    watched_weight: weight + self.watch(),
                    ..self.permit()
                };
                self.in_flight.push(permit);
                return Ok(permit);
            }
            Phase::Disabled => {}
            Phase::ForcedOpen | Phase::Isolated(_) => return self.reject(None),
            Phase::Open { until } if self.now < until => return self.reject(Some(until)),
            Phase::Open { .. } => {
                self.observe();
                self.begin_probing(Probing::default(), Cause::OpenExpired);
            }
            Phase::Ramp(ramp) => return self.ask(ramp),
            Phase::HalfOpen(probing) if probing.taken() < self.config.verdicts().probes => {
                self.last_admission = self.last_admission.max(self.now);
                self.phase = Phase::HalfOpen(Probing {
                    in_flight: probing.in_flight + 1,
                    ..probing
                });
            }
            Phase::HalfOpen(probing) => {
                let timeout = self.probe_timeout();
                if timeout == u64::MAX {
                    return self.reject(None);
                }
                let overdue = self.last_admission.saturating_add(timeout);
                if self.now < overdue {
                    return self.reject(Some(overdue));
                }
                let cause = Cause::ProbesOverdue {
                    probes: probing.in_flight,
                };
                self.begin_probing(probing, cause);
            }
        }
        Ok(self.permit())
    }

    fn permit(&mut self) -> ModelPermit {
        self.permits += 1;
        ModelPermit {
            generation: self.generation,
            number: self.permits,
            begin: self.now,
            is_recorded: !matches!(self.phase, Phase::Disabled),
            is_half_open: matches!(self.phase, Phase::HalfOpen { .. } | Phase::Ramp(_)),
            timing: self.timing(),
            weight: 0,
            watched_weight: 0,
            step: match self.phase {
                Phase::Ramp(ramp) => Some(ramp.step),
                _ => None,
            },
            is_of_little: matches!(self.phase, Phase::Ramp(ramp) if ramp.is_little()),
            is_charged: false,
        }
    }

    /// Admits a call if it carries the sum of the shares over the next whole number. The times at
    /// which other calls have asked don't matter.
    fn ask(&mut self, mut ramp: Ramp) -> Result<ModelPermit, Refused> {
        const WHOLE: u64 = 1_024;
        if ramp.is_overdue(self.now, self.probe_timeout(), self.patience) {
            let share = ramp.share();
            let until = self.open(Cause::RampOverdue { share });
            return self.reject(Some(until));
        }
        let before = self.asked / WHOLE;
        self.asked += ramp.share;
        if self.asked / WHOLE > before {
            ramp.let_through(self.now);
            self.phase = Phase::Ramp(ramp);
            return Ok(self.permit());
        }
        let guide = self.config.guide().expect("it is a ramp");
        let ends = ramp.ends(&guide);
        // Even if the step is over except for a report, callers wait for the next call.
        let next_call = self.now.saturating_add(self.spacing());
        self.reject(Some(ends.max(next_call)))
    }

    fn lets_through_all(&self) -> bool {
        matches!(self.phase, Phase::Closed | Phase::MetricsOnly)
    }

    /// Calls of this generation that have been in flight for longer than the limit. A call stops
    /// counting at the time when it would have left the window, had it ended at the limit.
    fn overdue(&self) -> u64 {
        let calls = self.in_flight.iter();
        let overdue = calls.filter(|call| self.is_overdue(call));
        overdue.map(|call| 1 << call.watched_weight).sum()
    }

    fn is_overdue(&self, call: &ModelPermit) -> bool {
        self.config.limit().is_some_and(|limit| {
            let late = call.begin.saturating_add(limit);
            call.generation == self.generation && self.now > late && !self.has_left(call)
        })
    }

    /// Whether the call would have left the window, had it ended at the limit.
    fn has_left(&self, call: &ModelPermit) -> bool {
        self.config.limit().is_some_and(|limit| {
            let late = call.begin.saturating_add(limit);
            self.now > late.saturating_add(nanos(self.config.window.length()))
        })
    }

    /// Weighs the calls that have become overdue, each once.
    fn weigh_overdue(&mut self) {
        let moment = self.moment(self.largest_weight_of_watched());
        let mut calls = std::mem::take(&mut self.in_flight);
        for call in &mut calls {
            let is_late = self.is_slow(self.awake(call.begin));
            let is_charged = is_late && self.is_overdue(call) && !call.is_charged;
            let stays = self.stays_watched(call);
            if let (Some(watched), true) = (self.watched(), is_charged) {
                if stays {
                    watched.fail(moment);
                }
                call.is_charged = true;
            }
        }
        self.in_flight = calls;
    }

    /// The evidence of watched calls, if calls are watched and weighed.
    fn watched(&mut self) -> Option<&mut adaptive::Adaptive> {
        self.evidence.as_mut()?.watched.as_deref_mut()
    }

    /// The time since `began` without stalls of the client.
    fn awake(&self, began: u64) -> u64 {
        let evidence = self.evidence.as_ref();
        let watched = evidence.and_then(|it| it.watched.as_deref());
        watched.map_or(self.now - began, |it| it.stalls.awake(began, self.now))
    }

    /// A watched call begins or ends.
    fn note_progress(&mut self) {
        if self.watched().is_none() {
            return;
        }
        let moment = self.moment(self.largest_weight_of_watched());
        let window = nanos(self.config.window.length());
        let (now, since) = (self.now, in_microseconds(self.since));
        let limit = self.config.limit().unwrap_or_default();
        let covered = (moment.now - moment.counted_since).min(window);
        // After so long a gap, the window doesn't know the calls before it any more.
        let spacing = |gap| {
            if gap > window / 2 {
                0
            } else {
                covered / moment.calls.max(1)
            }
        };
        if let Some(watched) = self.watched() {
            watched.stalls.progress(now, limit, since, spacing);
        }
    }

    /// Whether a call was slow only because the client stalled. Such a call is no evidence.
    fn is_excused(&self, took: u64) -> bool {
        let began = self.now.saturating_sub(took);
        self.is_slow(took) && !self.is_slow(self.awake(began))
    }

    /// Weighs a call that was in flight, unless it was weighed as overdue.
    fn weigh_watched(&mut self, is_bad: bool) {
        if self.watched().is_none() {
            return;
        }
        let moment = self.moment(self.largest_weight_of_watched());
        let now = self.now;
        let limit = self.config.limit().unwrap_or_default();
        let Some(watched) = self.watched() else {
            return;
        };
        if is_bad {
            watched.fail(moment);
        } else {
            watched.stalls.answer(now, limit);
            watched.succeed(moment);
        }
    }

    /// A half-open generation with one probe in flight, after `former`.
    fn begin_probing(&mut self, former: Probing, cause: Cause) {
        self.last_admission = self.last_admission.max(self.now);
        let probing = Probing {
            in_flight: 1,
            ..former
        };
        self.enter(Phase::HalfOpen(probing), cause);
    }

    fn reject(&mut self, until: Option<u64>) -> Result<ModelPermit, Refused> {
        self.set_aside.push(self.now);
        self.totals.rejected += 1;
        Err(Refused {
            state: self.state(),
            retry_after: until.map(|until| Duration::from_nanos(until.saturating_sub(self.now))),
        })
    }

    /// A permit is dropped unrecorded. After the limit for slow calls, it counts as a slow call
    /// that neither failed nor ends a run of failures.
    pub(crate) fn cancel(&mut self, permit: ModelPermit) {
        let took = self.now - permit.begin;
        let on_cancel = self.config.on_cancel;
        let is_left_out = permit.timing == Timing::LeftOut;
        if on_cancel == Outcome::Ignored && !is_left_out && self.is_slow(took) {
            let is_known = permit.timing == Timing::Timed;
            let outcome = if is_known {
                Outcome::Success
            } else {
                on_cancel
            };
            self.count_in_total(permit, outcome, None);
            self.come_back(permit, Outcome::Success, took, false);
        } else {
            self.count_in_total(permit, on_cancel, None);
            self.come_back(permit, on_cancel, took, true);
        }
    }

    /// A call ends. `took` is its reported duration, if it reports one. Returns whether the outcome
    /// counts.
    pub(crate) fn settle(
        &mut self,
        permit: ModelPermit,
        outcome: Outcome,
        took: Option<Duration>,
    ) -> bool {
        let counts = permit.is_recorded && permit.generation == self.generation;
        self.count_in_total(permit, outcome, took.map(nanos));
        let took = took.map_or(self.now - permit.begin, nanos);
        self.come_back(permit, outcome, took, true);
        counts
    }

    fn come_back(&mut self, permit: ModelPermit, outcome: Outcome, took: u64, ends_run: bool) {
        let own = self
            .in_flight
            .iter()
            .position(|call| call.number == permit.number);
        let is_unweighed = own.is_some_and(|own| {
            let watched = self.in_flight.swap_remove(own);
            !watched.is_charged && self.stays_watched(&watched)
        });
        if permit.is_half_open && outcome != Outcome::Ignored {
            self.learn_duration(permit);
        }
        if permit.generation != self.generation {
            return;
        }
        match self.phase {
            // These states have admitted no call in this generation.
            Phase::Open { .. } | Phase::ForcedOpen | Phase::Isolated(_) => {
                unreachable!("nothing was let through")
            }
            Phase::Disabled => {}
            Phase::HalfOpen(probing) => self.settle_probe(probing, outcome, took),
            Phase::Ramp(ramp) => self.settle_in_ramp(ramp, permit, outcome, took),
            Phase::Closed | Phase::MetricsOnly => {
                if own.is_some() {
                    self.note_progress();
                }
                let is_excused = outcome == Outcome::Success && self.is_excused(took);
                let is_known = is_unweighed && !self.has_left(&permit);
                if is_known && outcome != Outcome::Ignored && !is_excused {
                    let is_bad = outcome != Outcome::Success || self.is_slow(took);
                    self.weigh_watched(is_bad);
                }
                let is_timed = permit.timing != Timing::LeftOut;
                let weight = is_timed.then_some(permit.weight);
                self.record(outcome, took, ends_run, weight);
            }
        }
    }

    /// A call that was admitted while half-open shows how long such calls take. If it ends too late
    /// for its generation, the current probes get twice that time, but at most a hundred times
    /// `probe_timeout`.
    fn learn_duration(&mut self, permit: ModelPermit) {
        let took = self.now - permit.begin;
        let took = self
            .config
            .limit_of_probes()
            .map_or(took, |limit| took.min(limit));
        let twice = took.saturating_mul(2);
        self.patience = self.patience.max(twice);
        let timeout = self.probe_timeout();
        let longest = timeout.saturating_mul(100);
        if permit.generation != self.generation && matches!(self.phase, Phase::HalfOpen { .. }) {
            let end = self.now.saturating_add(twice.min(longest));
            let admission = end.saturating_sub(timeout);
            self.last_admission = self.last_admission.max(admission);
        }
    }

    /// A call ends with a `Retry-After`. It is honoured if the call counts against the dependency.
    pub(crate) fn settle_wishing(
        &mut self,
        permit: ModelPermit,
        outcome: Outcome,
        wish: Duration,
    ) -> bool {
        let is_against = !matches!(outcome, Outcome::Success | Outcome::Ignored);
        if is_against && permit.is_recorded {
            let wished = self.open_times.wish(self.now, nanos(wish));
            if let Phase::Open { until } = &mut self.phase {
                *until = wished.max(*until);
            }
        }
        self.settle(permit, outcome, None)
    }

    fn is_slow(&self, took: u64) -> bool {
        self.config.limit().is_some_and(|limit| took > limit)
    }

    /// A dropped call is slow if there are slow calls.
    fn was_slow(&self, call: &Call) -> bool {
        let was_given_up = call.given_up && self.config.limit().is_some();
        call.weight.is_some() && (self.is_slow(call.took) || was_given_up)
    }

    fn settle_probe(&mut self, mut probing: Probing, outcome: Outcome, took: u64) {
        let Verdicts {
            probes,
            needed,
            may_fail,
            may_be_slow,
        } = self.config.verdicts();
        let is_late = outcome == Outcome::Success && self.is_slow(took);
        probing.in_flight -= 1;
        match outcome {
            Outcome::Ignored => {}
            Outcome::Success if !is_late => probing.succeeded += 1,
            Outcome::Success if may_be_slow.is_some() => probing.slow += 1,
            Outcome::Trip => {
                self.open(Cause::TripRequested);
                return;
            }
            _ => probing.failed += 1,
        }
        if let Some(may_be_slow) = may_be_slow
            && probing.slow > may_be_slow
        {
            let slow = probing.slow;
            self.open(if may_be_slow == 0 {
                Cause::ProbeSlow
            } else {
                Cause::TooManyProbesSlow { slow, probes }
            });
            return;
        }
        if probing.failed > may_fail {
            let failed = probing.failed;
            self.open(if may_fail > 0 {
                Cause::TooManyProbesFailed { failed, probes }
            } else if is_late {
                Cause::ProbeSlow
            } else {
                Cause::ProbeFailed
            });
            return;
        }
        let succeeded = probing.succeeded + probing.slow;
        if succeeded < needed {
            self.phase = Phase::HalfOpen(probing);
            return;
        }
        if let Some(guide) = self.config.guide() {
            let ramp = Ramp::begin(&guide, self.now, took, self.spacing(), self.asked);
            self.patience = (self.patience / 2).max(took.saturating_mul(2));
            let share = ramp.share();
            return self.enter(Phase::Ramp(ramp), Cause::ProbeSucceeded { share });
        }
        self.enter(
            Phase::Closed,
            if needed == probes {
                Cause::ProbesSucceeded { probes }
            } else {
                Cause::EnoughProbesSucceeded { succeeded, probes }
            },
        );
    }

    fn settle_in_ramp(&mut self, mut ramp: Ramp, permit: ModelPermit, outcome: Outcome, took: u64) {
        ramp.answer();
        self.phase = Phase::Ramp(ramp);
        if outcome == Outcome::Trip {
            self.open(Cause::TripRequested);
        }
        if matches!(outcome, Outcome::Ignored | Outcome::Trip) {
            return;
        }
        let is_good = outcome == Outcome::Success && !self.is_slow(took);
        if permit.is_of_little {
            ramp.count_of_little(is_good);
            self.phase = Phase::Ramp(ramp);
        }
        if permit.step != Some(ramp.step) || !ramp.counts_since(permit.begin) {
            return;
        }
        ramp.count(is_good);
        let guide = self.config.guide().expect("it is a ramp");
        let report = self.report(permit);
        match ramp.verdict(&guide, report) {
            Verdict::Goes(ramp) => self.phase = Phase::Ramp(ramp),
            Verdict::IsCut(next) => {
                self.note_cut();
                self.phase = Phase::Ramp(next);
            }
            Verdict::IsBack(failures, calls) => {
                self.learn_from_recovery(ramp, failures, calls);
                self.enter(Phase::Closed, Cause::RampCompleted { failures, calls });
            }
            Verdict::HasFailed => {
                let (failures, calls) = ramp.failures_and_calls();
                let share = ramp.share();
                self.note_failed_ramp((failures, calls));
                self.open(Cause::RampFailed {
                    failures,
                    calls,
                    share,
                });
            }
        }
    }

    /// Records a call that stands for 2^`weight` calls, or one that is left out.
    fn record(&mut self, outcome: Outcome, took: u64, ends_run: bool, weight: Option<u32>) {
        let took = weight.map_or(0, |_| took);
        let failed = outcome != Outcome::Success;
        let at = if failed {
            self.read_clock();
            self.now
        } else {
            self.counts_at()
        };
        if outcome == Outcome::Ignored {
            return self.set_aside.push(at);
        }
        let given_up = outcome == Outcome::TimedOut;
        self.calls.push(Call {
            at,
            failed,
            took,
            weight,
            is_timed: true,
            given_up,
            ends_run: !failed && ends_run,
        });
        if failed {
            self.failures_in_a_row += 1;
        } else if ends_run {
            self.failures_in_a_row = 0;
        }
        if failed {
            self.look_at_sample();
        } else if self.is_slow(took) {
            self.note_progress();
        }
        let is_bad = failed || self.is_slow(took);
        let is_excused = !failed && self.is_excused(took);
        let has_timed = self.evidence.as_ref().is_some_and(|it| it.timed.is_some());
        if has_timed {
            if !is_excused && weight.is_some_and(|weight| self.stays_timed(weight)) {
                self.weigh(is_bad, true);
            }
            if failed || !is_bad {
                self.weigh(is_bad, false);
            }
        } else if !is_excused {
            self.weigh(is_bad, false);
        }
        if is_bad {
            self.judge(outcome == Outcome::Trip);
        }
        // Among all calls a slow one is a success then. A call that was dropped counts neither way.
        let is_same_generation = self.lets_through_all();
        if has_timed && is_bad && !failed && ends_run && is_same_generation {
            self.weigh(false, false);
        }
    }

    /// Weighs a call among all calls, or among the timed ones.
    fn weigh(&mut self, is_bad: bool, among_timed: bool) {
        if self.evidence.is_none() {
            return;
        }
        let weight = if among_timed {
            self.largest_weight()
        } else {
            0
        };
        let moment = self.moment(weight);
        let Some(evidence) = &mut self.evidence else {
            return;
        };
        let stream = match &mut evidence.timed {
            Some(timed) if among_timed => timed,
            _ => evidence,
        };
        if is_bad {
            stream.fail(moment);
        } else {
            stream.succeed(moment);
        }
    }

    /// The moment for a stream of one call in 2^`weight`.
    fn moment(&self, weight: u32) -> Moment {
        Moment {
            now: date(self.now),
            since: date(in_microseconds(self.since)),
            counted_since: date(self.counted_since),
            calls: self.held() as u64 >> weight,
        }
    }

    /// Judges by the policies if the breaker can trip.
    fn judge(&mut self, said_so: bool) {
        let by_count = if said_so {
            Some(Cause::TripRequested)
        } else {
            self.by_count()
        };
        // Evidence is judged last, at any position in the list.
        let since = date(in_microseconds(self.since));
        let now = date(self.now);
        let evidence = &mut self.evidence;
        let mut by_evidence = || evidence.as_mut()?.verdict(now, since);
        let may_hold = matches!(self.phase, Phase::Closed | Phase::MetricsOnly);
        if may_hold && self.late.holds(self.generation, by_count) {
            return;
        }
        if matches!(self.phase, Phase::MetricsOnly) {
            let by_evidence = by_evidence();
            self.would_trip(0, by_count);
            self.would_trip(1, by_evidence);
            return;
        }
        if !matches!(self.phase, Phase::Closed) {
            return;
        }
        if let Some(cause) = by_count.or_else(by_evidence) {
            if let Cause::Evidence {
                failures, calls, ..
            } = cause
            {
                self.note_trip((failures, calls));
            }
            self.open(cause);
        }
    }

    /// The cause that the first satisfied policy gives.
    fn by_count(&self) -> Option<Cause> {
        let policies = self.config.policies();
        policies.into_iter().find_map(|policy| self.verdict(policy))
    }

    /// Tells of a cause in a breaker that may not trip, unless there was one already.
    fn would_trip(&mut self, asked: usize, cause: Option<Cause>) {
        let was_satisfied = self.satisfied.contains(&true);
        self.satisfied[asked] = cause.is_some();
        if let (false, Some(cause)) = (was_satisfied, cause) {
            self.would_have_opened += 1;
            self.told_of_would_trips.push(WouldHaveTripped {
                state: self.state(),
                at: Duration::from_nanos(self.now),
                cause,
                reason: WouldTripReason::MetricsOnly,
            });
        }
    }

    fn verdict(&self, policy: Policy) -> Option<Cause> {
        let Counts {
            calls,
            failures,
            slow,
            overdue,
        } = self.counts();
        match policy {
            Policy::ConsecutiveFailures(limit) => {
                let failures = self.run();
                (failures >= limit.into()).then_some(Cause::ConsecutiveFailures { failures, limit })
            }
            Policy::FailureCount { limit, min_calls } => {
                let reached = failures >= limit.into();
                (calls >= min_calls.into() && reached).then_some(Cause::FailureCount {
                    failures,
                    calls,
                    limit,
                })
            }
            Policy::FailureRate {
                threshold,
                min_calls,
            } => {
                let reached = share(failures, calls).is_some_and(|rate| rate >= threshold);
                (calls >= min_calls.into() && reached).then_some(Cause::FailureRate {
                    failures,
                    calls,
                    threshold,
                })
            }
            Policy::SlowRate {
                threshold,
                min_calls,
            } => {
                let (slow, calls) = (slow + overdue, calls + overdue);
                let reached = share(slow, calls).is_some_and(|rate| rate >= threshold);
                (calls >= min_calls.into() && reached).then_some(Cause::SlowRate {
                    slow,
                    calls,
                    threshold,
                })
            }
            Policy::BurnRate(policy) => {
                let short = || self.short_stretch(policy);
                let short_calls = short().count() as u64;
                let short_failures = short().filter(|call| call.failed).count() as u64;
                let burns =
                    burns(policy, failures, calls) && burns(policy, short_failures, short_calls);
                (calls >= policy.min_calls.into() && burns).then(|| Cause::BurnRate {
                    failures,
                    calls,
                    short_failures,
                    short_calls,
                    objective: policy.objective(),
                    factor: policy.factor(),
                })
            }
            Policy::Adaptive(_) | Policy::Classic => None,
        }
    }

    /// The calls of the last buckets.
    fn short_stretch(&self, policy: BurnRate) -> impl Iterator<Item = &Call> {
        let (length, buckets) = self.config.window.buckets().expect("it was fitted to them");
        let width = nanos(length) / u64::from(buckets);
        let short = policy.short_buckets((length, buckets));
        let is_in = move |call: &&Call| self.now / width - call.at / width < short;
        self.window().filter(is_in)
    }

    /// The number of calls in the window.
    pub(crate) fn held(&self) -> usize {
        self.window().count()
    }

    /// Whether a call at `at` is still within the window's time.
    fn is_alive(&self, at: u64) -> bool {
        self.config
            .window
            .ticks()
            .is_none_or(|(width, ticks)| self.now / width - at / width < ticks)
    }

    fn window(&self) -> impl Iterator<Item = &Call> {
        let capacity = self.config.window.capacity();
        let most = capacity.map_or(usize::MAX, |calls| calls as usize);
        let last = self.calls.iter().rev().take(most);
        last.filter(|call| self.is_alive(call.at))
    }

    /// The failures since the last success. If calls leave the window by age, only the young ones
    /// count.
    fn run(&self) -> u64 {
        if self.config.window.ticks().is_none() {
            return self.failures_in_a_row;
        }
        // A run may be longer than a window by count.
        let young = self.calls.iter().rev();
        let young = young.take_while(|call| self.is_alive(call.at));
        if self.config.window.capacity().is_some() && self.window().all(|call| call.failed) {
            return self.failures_in_a_row.min(young.count() as u64);
        }
        let held = self.window().collect::<Vec<_>>();
        let run = held.iter().take_while(|call| !call.ends_run);
        run.filter(|call| call.failed).count() as u64
    }

    fn counts(&self) -> Counts {
        let failures = self.window().filter(|call| call.failed).count();
        let slow = self.window().filter(|call| self.was_slow(call));
        let slow: u64 = slow.map(Call::stands_for).sum();
        let calls = self.window().count() as u64;
        Counts {
            calls,
            failures: failures as u64,
            slow: slow.min(calls),
            overdue: self.overdue(),
        }
    }

    fn durations(&self, is_asked_for: impl Fn(&Call) -> bool) -> Durations {
        let calls = self
            .window()
            .filter(|call| call.is_timed && is_asked_for(call));
        Durations::of_calls(calls.map(|call| call.took))
    }

    fn enter(&mut self, phase: Phase, cause: Cause) {
        self.generation += 1;
        self.told.push(Told {
            from: self.phase.state(),
            to: phase.state(),
            generation: self.generation,
            at: Duration::from_nanos(self.now),
            cause,
            missed: 0,
        });
        if self.state() != State::HalfOpen {
            self.half_open_since = self.now;
        }
        self.phase = phase;
        self.since = self.now;
        self.counted_since = in_microseconds(self.now);
        self.credit = Credit::default();
        self.has_taken_on = false;
        self.calls.clear();
        self.set_aside.clear();
        self.satisfied = [false; 2];
        self.failures_in_a_row = 0;
        self.sample.time_all();
        if let Some(evidence) = &mut self.evidence {
            evidence.begin();
        }
    }

    /// How many nanoseconds the breaker has been closed.
    fn healthy(&self) -> u64 {
        match self.phase {
            Phase::Closed => self.now - in_microseconds(self.since).min(self.now),
            _ => 0,
        }
    }

    /// Opens the breaker, and returns when the open time ends.
    fn open(&mut self, cause: Cause) -> u64 {
        self.start_outage();
        let healthy = self.healthy();
        let shown = self.shown.map(nanos);
        let by_traffic = self.waits();
        let until = self.open_times.open(self.now, healthy, by_traffic, shown);
        self.enter(Phase::Open { until }, cause);
        until
    }

    /// Does nothing to a breaker that is forced open already.
    pub(crate) fn isolate(&mut self) {
        let interrupted = match self.phase {
            Phase::Closed => {
                self.open_times.look_back(self.healthy());
                Interrupted::Closed
            }
            Phase::Open { until } => Interrupted::Open { until },
            Phase::HalfOpen { .. } | Phase::Ramp(_) => Interrupted::HalfOpen,
            Phase::Disabled => Interrupted::Disabled,
            Phase::MetricsOnly => Interrupted::MetricsOnly,
            Phase::ForcedOpen | Phase::Isolated(_) => return,
        };
        self.enter(Phase::Isolated(interrupted), Cause::Isolated);
    }

    /// Does nothing to a breaker that isn't isolated.
    pub(crate) fn release(&mut self) {
        if let Phase::Isolated(interrupted) = self.phase {
            self.enter(self.come_back_to(interrupted), Cause::Released);
        }
    }

    fn come_back_to(&self, interrupted: Interrupted) -> Phase {
        match interrupted {
            Interrupted::Closed => Phase::Closed,
            Interrupted::Open { until } => Phase::Open {
                until: until.max(self.open_times.wished(self.now)),
            },
            Interrupted::HalfOpen => Phase::HalfOpen(Probing::default()),
            Interrupted::Disabled => Phase::Disabled,
            Interrupted::MetricsOnly => Phase::MetricsOnly,
        }
    }

    /// The breaker is saved, and the process ends.
    pub(crate) fn end(&mut self) {
        self.read_clock();
        if let Phase::Isolated(interrupted) = self.phase {
            // Rejected calls aren't saved.
            self.phase = self.come_back_to(interrupted);
            self.set_aside.clear();
        }
        // A run is saved as snapshots show it.
        self.failures_in_a_row = self.run();
        self.open_times.end(self.now);
    }

    /// Another process restores the breaker at the time when the previous one ended.
    pub(crate) fn restart(&mut self) {
        self.satisfied = [false; 2];
        self.would_have_opened = 0;
        self.totals = Totals::default();
        self.has_first_window = true;
        self.credit = Credit::default();
        self.sample = self.sample.anew();
        self.in_flight.clear();
        for call in &mut self.calls {
            call.is_timed = false;
        }
        // Only the calls that the window holds are kept.
        if let Shape::CountWithin { calls, .. } = self.config.window {
            let gone = self.calls.len().saturating_sub(calls as usize);
            self.calls.drain(..gone);
        }
        if let Phase::HalfOpen { .. } | Phase::Ramp(_) = self.phase {
            self.phase = Phase::HalfOpen(Probing::default());
            self.half_open_since = self.now;
        }
        // The settings disable the breaker again.
        match self.config.mode() {
            Some(State::Disabled) => {
                self.phase = Phase::Disabled;
                self.calls.clear();
                self.set_aside.clear();
                self.failures_in_a_row = 0;
            }
            Some(_) => self.phase = Phase::MetricsOnly,
            None => {}
        }
        self.evidence = self.evidence.take().map(adaptive::Adaptive::restart);
        self.asked = 0;
        self.window_since = None;
        self.has_taken_on = false;
        if let Some(outage) = &mut self.outage {
            outage.restart();
        }
        self.counted_since = in_microseconds(self.since);
        self.last_admission = 0;
        self.patience = 0;
    }

    pub(crate) fn reset(&mut self) {
        self.open_times.reset();
        self.enter(Phase::Closed, Cause::Manual);
    }

    pub(crate) fn trip(&mut self, duration: Duration) {
        self.open_times.trip();
        if let Some(outage) = &mut self.outage {
            outage.start(self.now, 0, 0);
        }
        let until = end_of_open_time(self.now, duration);
        self.enter(Phase::Open { until }, Cause::Manual);
    }

    pub(crate) fn force_open(&mut self) {
        if !matches!(self.phase, Phase::ForcedOpen) {
            self.enter(Phase::ForcedOpen, Cause::Manual);
        }
    }

    pub(crate) fn disable(&mut self) {
        if !matches!(self.phase, Phase::Disabled) {
            self.enter(Phase::Disabled, Cause::Manual);
        }
    }

    pub(crate) fn metrics_only(&mut self) {
        if !matches!(self.phase, Phase::MetricsOnly) {
            self.enter(Phase::MetricsOnly, Cause::Manual);
        }
    }

    pub(crate) fn picture(&self) -> Picture {
        let Counts {
            calls,
            failures,
            slow,
            overdue,
        } = self.counts();
        let recording = self.config.recording;
        let is_told_apart = recording == Recording::ByOutcome;
        let is_by_count = matches!(
            self.config.window,
            Shape::Count { .. } | Shape::CountWithin { .. }
        );
        // A window by count reports set-aside calls since the generation's begin. Other windows
        // report those within their time.
        let aside = self.set_aside.iter();
        let aside = aside
            .filter(|at| is_by_count || self.is_alive(**at))
            .count() as u64;
        let rejects = matches!(
            self.phase,
            Phase::Open { .. }
                | Phase::HalfOpen { .. }
                | Phase::Ramp(_)
                | Phase::ForcedOpen
                | Phase::Isolated(_)
        );
        let probing = match self.phase {
            Phase::HalfOpen(probing) => probing,
            _ => Probing::default(),
        };
        let at = Duration::from_nanos(self.now);
        let since = Duration::from_nanos(in_microseconds(self.since));
        Picture {
            name: Config::NAME.to_owned(),
            state: self.state(),
            generation: self.generation,
            at,
            since,
            in_state_for: at.saturating_sub(since),
            remaining_open: match self.phase {
                Phase::Open { until } => Some(Duration::from_nanos(until.saturating_sub(self.now))),
                _ => None,
            },
            successes: calls - failures,
            failures,
            calls,
            ignored: if rejects { 0 } else { aside },
            rejected: if rejects { aside } else { 0 },
            failure_rate: share(failures, calls),
            consecutive_failures: self.run(),
            probes_in_flight: probing.in_flight,
            probes_succeeded: probing.succeeded,
            probes_slow: probing.slow,
            probes_failed: probing.failed,
            admitted_share: match self.phase {
                Phase::Ramp(ramp) => Some(ramp.share()),
                _ => None,
            },
            slow,
            overdue,
            would_have_opened: self.would_have_opened,
            totals: self.totals,
            latency: (recording != Recording::Off).then(|| self.durations(|_| true)),
            latency_of_successes: is_told_apart.then(|| self.durations(|call| !call.failed)),
            latency_of_failures: is_told_apart.then(|| self.durations(|call| call.failed)),
        }
    }
}

/// The plain quotient. A threshold such as 0.1 is rounded like 3 / 30.
#[allow(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn share(part: u64, calls: u64) -> Option<f64> {
    (calls > 0).then(|| part as f64 / calls as f64)
}

/// Whether the failure rate is at least the factor times the budget, in whole numbers.
fn burns(policy: BurnRate, failures: u64, calls: u64) -> bool {
    let (budget, factor) = (policy.budget_in_millionths, policy.factor_in_thousandths);
    let limit = u64::from(budget) * u64::from(factor) * calls;
    calls > 0 && failures * 1_000_000_000 >= limit
}

/// Rounds down to microseconds. 107 years of the clock's range fit: 2^52 less 2^50.
fn in_microseconds(nanos: u64) -> u64 {
    (nanos / 1_000).min((1 << 52) - 1 - (1 << 50)) * 1_000
}

/// Converts a time to a date of the evidence. These dates begin 35 years before the clock, and so
/// end that much earlier.
fn date(now: u64) -> u64 {
    now.saturating_add(1_000 << 50)
}

/// When the open time ends: at most 18 years after the clock's origin, which is 2^39 less one units
/// of 2^20 ns.
fn end_of_open_time(now: u64, duration: Duration) -> u64 {
    const LAST: u64 = ((1 << 39) - 1) << 20;
    now.saturating_add(nanos(duration)).min(LAST)
}

/// Converts to nanoseconds. The clock's range ends after 584 years.
fn nanos(duration: Duration) -> u64 {
    duration.as_nanos().try_into().unwrap_or(u64::MAX)
}
