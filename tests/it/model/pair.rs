//! Drives a breaker and its model in parallel, and compares them after each step.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::{self, Debug};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tripcurve::State;
use tripcurve::events::{Transition, WouldTrip};
use tripcurve::handles::OwnedPermit;
use tripcurve::outcome::Report;
use tripcurve::persist::Reconfigured;
use tripcurve::snapshot::Snapshot;
use tripcurve::time::{Clock, MockClock};
use tripcurve::window::{Recording, Window};
use tripcurve::{CallError, CircuitBreaker, CircuitBreakerBuilder, Outcome, Permit, Rejected};

use super::sample::{Draws, mixed};
use super::{Config, Model, ModelPermit, Picture, Refused, Shape, Told, Way, WouldHaveTripped};

/// An operation on a breaker.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    /// Ask for a permit and keep it.
    Acquire {
        owned: bool,
    },
    /// Record the outcome of a kept permit, on this thread (0) or on another one. `took` is set if
    /// the call reports another duration than the clock.
    Settle {
        permit: usize,
        outcome: Outcome,
        thread: usize,
        took: Option<Step>,
    },
    /// Record the outcome of a kept permit, with a `Retry-After` of this length.
    SettleWishing {
        permit: usize,
        outcome: Outcome,
        wish: Step,
    },
    /// Drop a kept permit.
    Drop {
        permit: usize,
    },
    /// Drop a kept permit by unwinding.
    DropByPanic {
        permit: usize,
    },
    /// Make a call that takes this long and whose result, `Ok` or `Err`, counts as `outcome`.
    Call {
        outcome: Outcome,
        ok: bool,
        asynchronous: bool,
        takes: Option<Step>,
    },
    /// Make this many calls, one after another, or fewer if the breaker rejects one.
    Calls {
        outcome: Outcome,
        calls: u16,
    },
    /// Make this many calls, each so many nanoseconds after the one before. Of each sixteen, those
    /// whose bit is set fail, or are slow.
    Traffic {
        calls: u16,
        apart: u32,
        failing: u16,
        are_slow: bool,
    },
    /// Reject a call because of what the breaker said when it last refused to let one through.
    Reject,
    /// Make a call that panics.
    CallThatPanics {
        asynchronous: bool,
    },
    Advance(Step),
    Reset,
    Trip(Duration),
    ForceOpen,
    Disable,
    MetricsOnly,
    /// A group isolates it, or releases it.
    #[allow(dead_code, reason = "without the feature registry there are no groups")]
    Isolate,
    #[allow(dead_code, reason = "without the feature registry there are no groups")]
    Release,
    /// Save the breaker, drop it, and restore it after a while.
    #[allow(dead_code, reason = "without the feature serde nothing is saved")]
    Restart {
        away: Step,
    },
    /// Apply the configuration with this number.
    Reconfigure(usize),
}

/// The result of a reconfiguration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Came {
    Unchanged,
    WindowKept,
    WindowResized,
    WindowReset,
    /// The window or its newest calls were kept, and its calls tripped the breaker.
    TrippedAtOnce,
    RecoveryBegunAnew,
    SwitchedOff,
    SwitchedOn,
}

/// Everything that the breaker reported, and that was seen of it.
#[derive(Debug, Default)]
pub(crate) struct Story {
    pub(crate) told: Vec<Told>,
    pub(crate) came: Vec<Came>,
    pub(crate) would_trips: usize,
    /// How many successes were carried over a pause.
    pub(crate) carried: u64,
    /// How many calls were left out of those that are timed.
    pub(crate) left_out: u64,
    pub(crate) ways: Vec<Way>,
}

/// How far the clock is advanced.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Nanos(u32),
    /// By a bucket, or by a 64th of `within`.
    Tick,
    /// By the window's length, or one nanosecond less.
    Window,
    AlmostWindow,
    OpenFor,
    AlmostOpenFor,
    /// By the length of a ramp's step, if there is a ramp.
    Each,
    AlmostEach,
    /// By the rest of an open time, or of a round of a ramp, or one nanosecond less.
    Rest,
    AlmostRest,
    /// By the longest open time.
    LongestOpenTime,
    ProbeTimeout,
    AlmostProbeTimeout,
    /// By the limit for slow calls, or one nanosecond more.
    Limit,
    JustAboveLimit,
    Seconds(u16),
    Years(u8),
    /// To the end of the times that a breaker remembers.
    End,
}

const YEAR: Duration = Duration::from_secs(365 * 86_400);

impl Step {
    fn duration(self, config: &Config) -> Duration {
        let almost = |end: Duration| end.saturating_sub(Duration::from_nanos(1));
        let (window, ticks) = match config.window {
            Shape::Time { length, buckets } => (length, buckets),
            Shape::Count { .. } => (Duration::from_secs(1), 10),
            Shape::CountWithin { within, .. } => (within, 64),
        };
        // `Duration::MAX` isn't a step.
        let probe_timeout = config.probe_timeout.min(YEAR);
        let each = config.steps.as_ref().map_or(config.open_for, |it| it.each);
        match self {
            Self::Nanos(nanos) => Duration::from_nanos(nanos.into()),
            Self::Tick => window / ticks,
            Self::Window => window,
            Self::AlmostWindow => almost(window),
            Self::OpenFor => config.open_for,
            Self::AlmostOpenFor => almost(config.open_for),
            Self::Each => each,
            Self::AlmostEach => almost(each),
            Self::Rest | Self::AlmostRest => Duration::ZERO,
            Self::LongestOpenTime => config.growth().map_or(config.open_for, |it| it.longest),
            Self::ProbeTimeout => probe_timeout,
            Self::AlmostProbeTimeout => almost(probe_timeout),
            Self::Limit => config.slower_than,
            Self::JustAboveLimit => config.slower_than + Duration::from_nanos(1),
            Self::Seconds(seconds) => Duration::from_secs(seconds.into()),
            Self::Years(years) => YEAR * u32::from(years),
            Self::End => Duration::MAX,
        }
    }
}

/// The first difference between the breaker and its model.
pub(crate) struct Difference {
    step: usize,
    operation: Option<Operation>,
    what: &'static str,
    breaker: String,
    model: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            step,
            operation,
            what,
            breaker,
            model,
        } = self;
        match operation {
            Some(operation) => write!(f, "after step {step}, {operation:?}, ")?,
            None => f.write_str("when just built, ")?,
        }
        write!(f, "{what} differ\n  breaker: {breaker}\n  model:   {model}")
    }
}

/// Gives the builder the saved state of a breaker.
pub(crate) type Restart =
    fn(&CircuitBreaker<ByItself>, CircuitBreakerBuilder) -> CircuitBreakerBuilder;

/// Drives a breaker and its model through `operations`. Both are built by the first configuration,
/// so there must be one.
pub(crate) fn drive(configs: &[Config], operations: &[Operation]) -> Result<Story, Difference> {
    drive_restarting(configs, operations, never)
}

/// Tells the breaker how to draw for this thread's next call.
pub(crate) type SetDraws = fn(Draws);

/// For cases without restarts.
pub(crate) fn never(
    _: &CircuitBreaker<ByItself>,
    _: CircuitBreakerBuilder,
) -> CircuitBreakerBuilder {
    panic!("nothing is restarted")
}

/// Like [`drive`], with restarts of the breaker.
pub(crate) fn drive_restarting(
    configs: &[Config],
    operations: &[Operation],
    restart: Restart,
) -> Result<Story, Difference> {
    drive_drawing(configs, operations, restart, None)
}

/// Like [`drive_restarting`]. With `set_draws`, the test decides each draw of the breaker's samples,
/// so traffic may be dense.
pub(crate) fn drive_drawing(
    configs: &[Config],
    operations: &[Operation],
    restart: Restart,
    set_draws: Option<SetDraws>,
) -> Result<Story, Difference> {
    let config = &configs[0];
    let (clock, hand) = Clock::mock();
    hand.advance(config.built_at);
    let log = Arc::default();
    let breaker = listened(config.builder(clock.clone()), &log)
        .build()
        .unwrap_or_else(|error| panic!("{config:?} makes no sense: {error}"));
    let mut pair = Pair {
        breaker: breaker.with_classifier(by_itself),
        permits: Vec::new(),
        lender: &breaker,
        clock,
        restart,
        hand,
        model: Model::new(config.clone()),
        log,
        configs,
        story: Story::default(),
        snapshot: breaker.snapshot(),
        most_held: 512_usize.saturating_sub(operations.len()),
        begun: 0,
        set_draws,
        last_rejected: None,
        step: 0,
        operation: None,
    };
    pair.compare()?;
    for (step, operation) in operations.iter().enumerate() {
        pair.step = step;
        pair.operation = Some(*operation);
        pair.apply(*operation)?;
        pair.compare()?;
    }
    pair.story.carried = pair.model.carried;
    pair.story.left_out = pair.model.left_out;
    Ok(pair.story)
}

/// Whether the driving thread has counts of its own in a breaker with so many shards. In a process
/// with many threads it may have none.
pub(crate) fn has_own_counts(shards: u32) -> bool {
    thread_local! {
        static KNOWN: RefCell<HashMap<u32, bool>> = RefCell::default();
    }
    let look = || {
        let (clock, hand) = Clock::mock();
        let window = Window::time(Duration::from_secs(1), 1);
        let builder = CircuitBreaker::builder(Config::NAME).window(window);
        let breaker = builder.shards(shards).clock(clock).build().unwrap();
        let succeed = || breaker.try_acquire().unwrap().success();
        (0..1_025).for_each(|_| succeed());
        hand.advance(Duration::from_secs(5));
        // With counts of its own, the thread needs no clock reading. So it finds no other bucket.
        succeed();
        breaker.snapshot().successes() == 0
    };
    KNOWN.with_borrow_mut(|known| *known.entry(shards).or_insert_with(look))
}

/// What listeners were told.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) transitions: Vec<Told>,
    would_trips: Vec<WouldHaveTripped>,
}

pub(crate) fn listened(
    builder: CircuitBreakerBuilder,
    log: &Arc<Mutex<Log>>,
) -> CircuitBreakerBuilder {
    let logs = [Arc::clone(log), Arc::clone(log)];
    let [transitions, would_trips] = logs;
    builder
        .on_transition(move |it| transitions.lock().unwrap().transitions.push(told(it)))
        .on_would_trip(move |it| would_trips.lock().unwrap().would_trips.push(would_trip(it)))
}

fn would_trip(event: &WouldTrip) -> WouldHaveTripped {
    assert_eq!(event.name(), Config::NAME);
    WouldHaveTripped {
        state: event.state(),
        at: event.at(),
        cause: event.cause(),
        reason: event.reason(),
    }
}

fn told(transition: &Transition) -> Told {
    assert_eq!(transition.name(), Config::NAME);
    Told {
        from: transition.from(),
        to: transition.to(),
        generation: transition.generation(),
        at: transition.at(),
        cause: transition.cause(),
        missed: transition.missed(),
    }
}

/// A classifier for results that are their own outcome.
pub(crate) type ByItself = fn(&Result<Outcome, Outcome>) -> Outcome;

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "a classifier is given a reference"
)]
fn by_itself(result: &Result<Outcome, Outcome>) -> Outcome {
    match result {
        Ok(outcome) | Err(outcome) => *outcome,
    }
}

enum Held<'a> {
    Borrowed(Permit<'a>),
    Owned(OwnedPermit),
}

impl Held<'_> {
    /// Returns whether the outcome counted.
    fn record(self, outcome: Outcome, thread: usize, took: Option<Duration>) -> bool {
        match self {
            Self::Borrowed(permit) => match took {
                None => permit.record(outcome),
                Some(took) => permit.record(Report::from(outcome).took(took)),
            },
            Self::Owned(permit) => {
                let record = move || match took {
                    None => permit.record(outcome),
                    Some(took) => permit.record(Report::from(outcome).took(took)),
                };
                match thread {
                    0 => record(),
                    _ => on_thread(thread, record),
                }
            }
        }
    }
}

struct Pair<'a> {
    breaker: CircuitBreaker<ByItself>,
    /// The kept permits of the breaker and of the model.
    permits: Vec<(Held<'a>, ModelPermit)>,
    /// The same breaker, for permits that borrow it.
    lender: &'a CircuitBreaker,
    clock: Clock,
    restart: Restart,
    hand: MockClock,
    model: Model,
    log: Arc<Mutex<Log>>,
    configs: &'a [Config],
    story: Story,
    /// A snapshot that is retaken in place. No part of the previous one may remain.
    snapshot: Snapshot,
    /// How many calls the window may hold after many at once. With at most 512, a histogram still
    /// counts one by one.
    most_held: usize,
    /// How many calls have asked.
    begun: u64,
    /// Tells the breaker how to draw for the next call, if the test decides that.
    set_draws: Option<SetDraws>,
    /// What the breaker said when it last refused to let a call through.
    last_rejected: Option<Rejected>,
    step: usize,
    operation: Option<Operation>,
}

impl<'a> Pair<'a> {
    #[allow(clippy::too_many_lines, reason = "a few lines for each operation")]
    fn apply(&mut self, operation: Operation) -> Result<(), Difference> {
        match operation {
            Operation::Acquire { owned } => self.acquire(owned)?,
            Operation::Settle {
                permit,
                outcome,
                thread,
                took,
            } => {
                if let Some((held, model)) = self.take(permit) {
                    let took = took.map(|step| step.duration(&self.model.config));
                    let is_on_another_thread = thread > 0 && matches!(held, Held::Owned(_));
                    let counted = held.record(outcome, thread, took);
                    self.show();
                    self.model.is_on_another_thread = is_on_another_thread;
                    let counts = self.model.settle(model, outcome, took);
                    self.model.is_on_another_thread = false;
                    self.same("whether the outcome counts", &counted, &counts)?;
                }
            }
            Operation::SettleWishing {
                permit,
                outcome,
                wish,
            } => {
                if let Some((held, model)) = self.take(permit) {
                    let wish = wish.duration(&self.model.config);
                    let report = Report::from(outcome).retry_after(wish);
                    let counted = match held {
                        Held::Borrowed(permit) => permit.record(report),
                        Held::Owned(permit) => permit.record(report),
                    };
                    self.show();
                    let counts = self.model.settle_wishing(model, outcome, wish);
                    self.same("whether the outcome counts", &counted, &counts)?;
                }
            }
            Operation::Drop { permit } => {
                if let Some((held, model)) = self.take(permit) {
                    drop(held);
                    self.show();
                    self.model.cancel(model);
                }
            }
            Operation::DropByPanic { permit } => {
                if let Some((held, model)) = self.take(permit) {
                    unwind(move || {
                        let _held = held;
                        resume_unwind(Box::new(()))
                    });
                    self.show();
                    self.model.settle(model, Outcome::Failure, None);
                }
            }
            Operation::Call {
                outcome,
                ok,
                asynchronous,
                takes,
            } => {
                let takes = takes.map(|step| self.step(step));
                self.call(outcome, ok, asynchronous, takes)?;
            }
            Operation::Calls { outcome, calls } => self.calls(outcome, calls)?,
            Operation::Traffic {
                calls,
                apart,
                failing,
                are_slow,
            } => {
                for call in 0..calls {
                    if self.is_full() {
                        break;
                    }
                    let fails = failing >> (call % 16) & 1 == 1;
                    let takes = (fails && are_slow).then(|| self.step(Step::JustAboveLimit));
                    let outcome = if fails && !are_slow {
                        Outcome::Failure
                    } else {
                        Outcome::Success
                    };
                    let apart = self.step(Step::Nanos(apart));
                    self.advance(apart);
                    self.call(outcome, true, false, takes)?;
                    self.same("states", &self.breaker.state(), &self.model.state())?;
                }
            }
            Operation::Reject => {
                if let Some(rejected) = self.last_rejected.clone() {
                    assert_eq!(self.breaker.reject(rejected.clone()), rejected);
                    self.model.reject_later();
                }
            }
            Operation::CallThatPanics { asynchronous } => self.call_that_panics(asynchronous)?,
            Operation::Advance(step) => {
                let by = self.step(step);
                self.advance(by);
            }
            Operation::Reset => {
                self.breaker.reset();
                self.model.reset();
            }
            Operation::Trip(duration) => {
                self.breaker.trip(duration);
                self.model.trip(duration);
            }
            Operation::ForceOpen => {
                self.breaker.force_open();
                self.model.force_open();
            }
            Operation::Disable => {
                self.breaker.disable();
                self.model.disable();
            }
            Operation::MetricsOnly => {
                self.breaker.metrics_only();
                self.model.metrics_only();
            }
            Operation::Isolate => {
                isolate(&self.breaker);
                self.model.isolate();
            }
            Operation::Release => {
                release(&self.breaker);
                self.model.release();
            }
            Operation::Restart { away } => self.restart(away),
            Operation::Reconfigure(number) => self.reconfigure(number)?,
        }
        Ok(())
    }

    fn reconfigure(&mut self, number: usize) -> Result<(), Difference> {
        let config = &self.configs[number % self.configs.len()];
        let settings = config.builder(self.clock.clone());
        let found = self
            .breaker
            .reconfigure(settings)
            .unwrap_or_else(|error| panic!("{config:?} makes no sense: {error}"));
        self.breaker.snapshot_into(&mut self.snapshot);
        self.model.shown = self.snapshot.remaining_open();
        let before = self.model.state();
        let expected = self.model.reconfigure(config.clone());
        self.same("what came of it", &found, &expected)?;
        self.story.came.push(match expected {
            Reconfigured::Unchanged => Came::Unchanged,
            Reconfigured::WindowReset => Came::WindowReset,
            Reconfigured::WindowResized => Came::WindowResized,
            Reconfigured::StateChanged(State::Closed) => Came::SwitchedOn,
            Reconfigured::StateChanged(_) => Came::SwitchedOff,
            _ => Came::WindowKept,
        });
        match (before, self.model.told.last().map(|told| told.to)) {
            (State::HalfOpen, Some(State::HalfOpen)) => {
                self.story.came.push(Came::RecoveryBegunAnew);
            }
            (State::Closed, Some(State::Open)) => self.story.came.push(Came::TrippedAtOnce),
            _ => {}
        }
        Ok(())
    }

    fn advance(&mut self, by: Duration) {
        self.hand.advance(by);
        self.model.advance(by);
    }

    /// A step of time that ends within the times that a breaker remembers: a hundred years.
    ///
    /// Beyond them a breaker does no harm, but it doesn't know how old its window is.
    fn step(&self, step: Step) -> Duration {
        let left = (100 * YEAR).saturating_sub(self.clock.now());
        let duration = match step {
            Step::Rest => self.model.rest(),
            Step::AlmostRest => self.model.rest().saturating_sub(Duration::from_nanos(1)),
            step => step.duration(&self.model.config),
        };
        duration.min(left)
    }

    fn restart(&mut self, away: Step) {
        let away = away.duration(&self.model.config);
        // An older state isn't restored.
        if away > YEAR || self.clock.now() + away > 100 * YEAR {
            return;
        }
        let builder = listened(self.model.config.builder(self.clock.clone()), &self.log);
        let builder = (self.restart)(&self.breaker, builder);
        self.model.end();
        self.advance(away);
        let breaker: &'static CircuitBreaker = Box::leak(Box::new(builder.build().unwrap()));
        // A call that ends now reports to the old breaker.
        self.permits.clear();
        *self.log.lock().unwrap() = Log::default();
        self.lender = breaker;
        self.breaker = breaker.with_classifier(by_itself);
        self.model.restart();
    }

    /// Whether a call may ask. A breaker that watches calls in flight watches them all, and is
    /// exact, while at most 32 begin within a fourth of the limit and at most 127 are in flight.
    fn is_exact(&mut self) -> bool {
        const WATCHED_AT_ONCE: u64 = 32;
        const WATCHED: usize = 127;
        let Some(limit) = self.model.config.limit() else {
            return true;
        };
        if self.draw() {
            return self.permits.len() < WATCHED;
        }
        self.begun += 1;
        if self.begun.is_multiple_of(WATCHED_AT_ONCE) {
            self.advance(Duration::from_nanos(limit / 4 + 1));
        }
        self.permits.len() < WATCHED
    }

    /// Decides how the breaker draws for the next call, and tells the model. Returns whether the
    /// test decides that.
    fn draw(&mut self) -> bool {
        let Some(set) = self.set_draws else {
            return false;
        };
        self.begun += 1;
        let draws = Draws {
            place: mixed(self.begun),
            bits: mixed(!self.begun),
        };
        set(draws);
        self.model.draw(draws);
        true
    }

    /// Passes the breaker's random choices to the model.
    fn show(&mut self) {
        let config = &self.model.config;
        let is_random = config.growth().is_some() || config.goes_by_traffic();
        if is_random && self.breaker.state() == State::Open {
            self.breaker.snapshot_into(&mut self.snapshot);
            self.model.shown = self.snapshot.remaining_open();
        }
    }

    fn take(&mut self, permit: usize) -> Option<(Held<'a>, ModelPermit)> {
        let index = permit.checked_rem(self.permits.len())?;
        Some(self.permits.swap_remove(index))
    }

    fn acquire(&mut self, owned: bool) -> Result<(), Difference> {
        if !self.is_exact() {
            return Ok(());
        }
        let held = if owned {
            self.breaker.try_acquire_owned().map(Held::Owned)
        } else {
            self.lender.try_acquire().map(Held::Borrowed)
        };
        self.show();
        match (held, self.model.acquire()) {
            (Ok(held), Ok(permit)) => self.permits.push((held, permit)),
            (held, permit) => {
                let refused = held
                    .map(|_| "a permit")
                    .map_err(|rejected| refused(&rejected));
                self.same("answers", &refused, &permit.map(|_| "a permit"))?;
            }
        }
        Ok(())
    }

    fn call(
        &mut self,
        outcome: Outcome,
        ok: bool,
        asynchronous: bool,
        takes: Option<Duration>,
    ) -> Result<(), Difference> {
        if !self.is_exact() {
            return Ok(());
        }
        let takes = takes.unwrap_or_default();
        let hand = self.hand.clone();
        let operation = || {
            hand.advance(takes);
            if ok { Ok(outcome) } else { Err(outcome) }
        };
        let found = if asynchronous {
            now(self.breaker.call_async(async || operation()))
        } else {
            self.breaker.call(operation)
        };
        self.show();
        let expected = match self.model.acquire() {
            Ok(permit) => {
                self.model.advance(takes);
                self.model.settle(permit, outcome, None);
                Ok(if ok { Ok(outcome) } else { Err(outcome) })
            }
            Err(refused) => Err(refused),
        };
        self.same("results", &answer(found), &expected)
    }

    fn calls(&mut self, outcome: Outcome, calls: u16) -> Result<(), Difference> {
        for _ in 0..calls {
            if self.is_full() {
                break;
            }
            self.call(outcome, true, false, None)?;
            self.same("states", &self.breaker.state(), &self.model.state())?;
        }
        Ok(())
    }

    /// Whether a histogram would no longer count one by one.
    fn is_full(&self) -> bool {
        let is_recorded = self.model.config.recording != Recording::Off;
        is_recorded && self.model.held() >= self.most_held
    }

    fn call_that_panics(&mut self, asynchronous: bool) -> Result<(), Difference> {
        if !self.is_exact() {
            return Ok(());
        }
        let mut found = None;
        unwind(|| {
            let panic = || resume_unwind(Box::new(()));
            found = Some(if asynchronous {
                now(self.breaker.call_async(|| async { panic() }))
            } else {
                self.breaker.call(panic)
            });
        });
        self.show();
        let expected = match self.model.acquire() {
            Ok(permit) => {
                self.model.settle(permit, Outcome::Failure, None);
                None
            }
            Err(refused) => Some(Err(refused)),
        };
        self.same("results", &found.map(answer), &expected)
    }

    fn compare(&mut self) -> Result<(), Difference> {
        let asked = self.breaker.ask();
        let found = asked.as_ref().map_err(refused);
        self.same(
            "answers to a question",
            &found.copied(),
            &self.model.would_admit(),
        )?;
        self.last_rejected = asked.err().or(self.last_rejected.take());
        self.same("states", &self.breaker.state(), &self.model.state())?;
        self.breaker.snapshot_into(&mut self.snapshot);
        let picture = Picture::of(&self.snapshot);
        self.same("snapshots", &picture, &self.model.picture())?;
        let found = std::mem::take(&mut *self.log.lock().unwrap());
        let expected = self.model.take_would_trips();
        self.same("trips that would have been", &found.would_trips, &expected)?;
        self.story.would_trips += expected.len();
        let expected = self.model.take_told();
        self.same("transitions", &found.transitions, &expected)?;
        self.story.told.extend(expected);
        self.model.note_expiry();
        self.story.ways.append(&mut self.model.ways);
        Ok(())
    }

    fn same<T: Debug + PartialEq>(
        &self,
        what: &'static str,
        breaker: &T,
        model: &T,
    ) -> Result<(), Difference> {
        if breaker == model {
            return Ok(());
        }
        Err(Difference {
            step: self.step,
            operation: self.operation,
            what,
            breaker: format!("{breaker:?}"),
            model: format!("{model:?}"),
        })
    }
}

pub(crate) fn refused(rejected: &Rejected) -> Refused {
    assert_eq!(rejected.name(), Config::NAME);
    let (earliest, wait) = (rejected.earliest(), rejected.retry_after());
    let latest = earliest.map(|earliest| earliest.saturating_add(earliest / 4));
    assert!(earliest <= wait && wait <= latest, "{wait:?}");
    Refused {
        state: rejected.state(),
        retry_after: earliest,
    }
}

/// The result of a call, or its rejection.
fn answer(
    result: Result<Outcome, CallError<Outcome>>,
) -> Result<Result<Outcome, Outcome>, Refused> {
    match result {
        Ok(outcome) => Ok(Ok(outcome)),
        Err(CallError::Inner(outcome)) => Ok(Err(outcome)),
        Err(CallError::Rejected(rejected)) => Err(refused(&rejected)),
        Err(error) => panic!("the model doesn't know {error:?}"),
    }
}

/// The result of a future that has no reason to wait.
fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the future waits"),
    }
}

/// Which group commands makes no difference.
#[cfg(feature = "registry")]
fn isolate<C>(breaker: &CircuitBreaker<C>) {
    let group = tripcurve::registry::ControlGroup::new();
    group.add(breaker);
    group.isolate();
}

#[cfg(feature = "registry")]
fn release<C>(breaker: &CircuitBreaker<C>) {
    let group = tripcurve::registry::ControlGroup::new();
    group.add(breaker);
    group.release();
}

#[cfg(not(feature = "registry"))]
use std::convert::{identity as isolate, identity as release};

/// Runs `unwinding` to its end, which may be a panic.
fn unwind(unwinding: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(unwinding));
}

/// Runs `job` on the other thread with this number and waits for it. So several threads' shards are
/// used, although all steps come one after another.
fn on_thread<R: Send + 'static>(thread: usize, job: impl FnOnce() -> R + Send + 'static) -> R {
    type Job = Box<dyn FnOnce() + Send>;
    static OTHERS: OnceLock<Vec<Sender<Job>>> = OnceLock::new();

    let others = OTHERS.get_or_init(|| {
        let spawn = |_| {
            let (sender, jobs) = mpsc::channel::<Job>();
            std::thread::spawn(move || jobs.iter().for_each(|job| job()));
            sender
        };
        (0..3).map(spawn).collect()
    });
    let (done, is_done) = mpsc::channel();
    let job = Box::new(move || {
        let _ = done.send(job());
    });
    others[thread % others.len()].send(job).unwrap();
    is_done.recv().unwrap()
}
