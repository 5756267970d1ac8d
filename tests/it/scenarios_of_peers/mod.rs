//! What the tests of other circuit breakers check, played on this one.
//!
//! Each file has the tests of one peer as a table, read in their source at a named commit. A row
//! names tests of the peer and says what becomes of them here. Most rows are plays: settings, timed
//! events, expected states and counts. The code is new. Their tests gave the scenarios alone.

#![allow(
    clippy::too_many_lines,
    clippy::unchecked_time_subtraction,
    reason = "tables of rows, with times just before an end"
)]

mod gobreaker;
mod polly;
mod polly_specs;
mod polly_specs_times;
mod resilience4j;
mod resilience4j_calls;
mod resilience4j_config;
mod resilience4j_states;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::verification::is_test;
use tripcurve::handles::OwnedPermit;
use tripcurve::time::{Clock, MockClock};
use tripcurve::{CallError, CircuitBreaker, CircuitBreakerBuilder, Outcome, State};

const NANO: Duration = Duration::from_nanos(1);
const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// The reply of a call. `Err(EXCLUDED)` is ignored, other errors are failures, unless a play has a
/// classifier of its own.
type Reply = Result<i64, i64>;
type Classifier = fn(&Reply) -> Outcome;
type Breaker = CircuitBreaker<Classifier>;
type Settings = fn(CircuitBreakerBuilder) -> CircuitBreakerBuilder;

const EXCLUDED: i64 = -1;
const ERROR: i64 = 500;

fn by_default(reply: &Reply) -> Outcome {
    match reply {
        Ok(_) => Outcome::Success,
        Err(EXCLUDED) => Outcome::Ignored,
        Err(_) => Outcome::Failure,
    }
}

/// Tests of a peer, and what becomes of them here.
struct Row {
    /// The names of their tests, with spaces between them.
    theirs: &'static str,
    here: Here,
}

enum Here {
    /// The play ends here as there.
    Same(Play),
    /// The play ends otherwise here, on purpose.
    Differs(&'static str, Play),
    /// `build` refuses the settings with a message that begins like this.
    Refused(Settings, &'static str),
    /// The test `file::name` of this crate shows it.
    Tested(&'static str),
    /// There is no such thing here. Says why.
    Apart(&'static str),
}

struct Play {
    settings: Settings,
    classifier: Classifier,
    steps: Vec<Step>,
}

fn play(settings: Settings, steps: impl Into<Vec<Step>>) -> Play {
    Play {
        settings,
        classifier: by_default,
        steps: steps.into(),
    }
}

impl Play {
    fn classified(mut self, classifier: Classifier) -> Self {
        self.classifier = classifier;
        self
    }
}

fn same(theirs: &'static str, play: Play) -> Row {
    let here = Here::Same(play);
    Row { theirs, here }
}

fn differs(theirs: &'static str, why: &'static str, play: Play) -> Row {
    let here = Here::Differs(why, play);
    Row { theirs, here }
}

fn refused(theirs: &'static str, settings: Settings, message: &'static str) -> Row {
    let here = Here::Refused(settings, message);
    Row { theirs, here }
}

fn tested(theirs: &'static str, test: &'static str) -> Row {
    let here = Here::Tested(test);
    Row { theirs, here }
}

fn apart(theirs: &'static str, why: &'static str) -> Row {
    let here = Here::Apart(why);
    Row { theirs, here }
}

/// One event of a play, or one look at the breaker.
#[derive(Debug)]
enum Step {
    /// So many calls that are admitted, get this reply and take this long.
    Call(Reply, u32, Duration),
    /// A call that panics. The panic reaches the caller.
    Panic,
    /// So many calls that are rejected.
    Rejected(u32),
    /// A rejected call is told that the next one may come after this time.
    ToldToWait(Duration),
    /// So many calls begin and stay in flight.
    Begin(u32),
    /// The call that began first ends with this reply.
    End(Reply),
    /// The call that began first is cancelled.
    Cancel,
    Wait(Duration),
    Do(fn(&Breaker)),
    /// The state, as a look at the breaker finds it.
    Is(State),
    /// Calls and failures in the window.
    Holds(u64, u64),
    /// Slow calls in the window.
    Slow(u64),
    /// Failures in a row.
    Run(u64),
    Ignored(u64),
    /// All rejections in this state.
    Rejections(u64),
    /// Probes that succeeded, and probes that failed.
    Probes(u32, u32),
    /// The transitions since the last look.
    Heard(&'static [(State, State)]),
}

use Step::{
    Begin, Call, Cancel, Do, End, Heard, Holds, Ignored, Is, Panic, Probes, Rejected, Rejections,
    Run, Slow, ToldToWait, Wait,
};

const fn ok(calls: u32) -> Step {
    Call(Ok(0), calls, Duration::ZERO)
}

const fn fail(calls: u32) -> Step {
    Call(Err(ERROR), calls, Duration::ZERO)
}

const fn exclude(calls: u32) -> Step {
    Call(Err(EXCLUDED), calls, Duration::ZERO)
}

fn slow(reply: Reply, took: Duration) -> Step {
    Call(reply, 1, took)
}

/// What a play works on.
struct Stage {
    breaker: Breaker,
    hand: MockClock,
    told: Receiver<(State, State)>,
    in_flight: Vec<OwnedPermit>,
}

impl Stage {
    fn new(play: &Play) -> Self {
        let (clock, hand) = Clock::mock();
        let (tell, told) = channel();
        let builder =
            CircuitBreaker::builder("peer")
                .clock(clock)
                .on_transition(move |transition| {
                    let _ = tell.send((transition.from(), transition.to()));
                });
        let builder = (play.settings)(builder).classify(play.classifier);
        Self {
            breaker: builder.build().unwrap(),
            hand,
            told,
            in_flight: Vec::new(),
        }
    }

    fn first_in_flight(&mut self) -> OwnedPermit {
        self.in_flight.remove(0)
    }

    fn call(&self, reply: Reply, took: Duration) {
        let result = self.breaker.call(|| {
            self.hand.advance(took);
            reply
        });
        match result {
            Ok(value) => assert_eq!(Ok(value), reply),
            Err(CallError::Inner(error)) => assert_eq!(Err(error), reply),
            Err(other) => panic!("not admitted: {other:?}"),
        }
    }

    fn take(&mut self, step: &Step) {
        let breaker = &self.breaker;
        let seen = breaker.snapshot();
        match *step {
            Call(reply, calls, took) => (0..calls).for_each(|_| self.call(reply, took)),
            Panic => {
                let call = || breaker.call(|| -> Reply { panic!("the call panics") });
                assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
            }
            Rejected(calls) => {
                for _ in 0..calls {
                    let call = breaker.call(|| -> Reply { panic!("admitted") });
                    assert!(matches!(call, Err(CallError::Rejected(_))), "{call:?}");
                }
            }
            ToldToWait(time) => {
                let rejected = breaker.try_acquire().unwrap_err();
                assert_eq!(rejected.earliest(), Some(time));
            }
            Begin(calls) => {
                for _ in 0..calls {
                    self.in_flight.push(breaker.try_acquire_owned().unwrap());
                }
            }
            End(reply) => {
                let (permit, breaker) = (self.first_in_flight(), &self.breaker);
                permit.record_result(breaker.classifier(), &reply);
            }
            Cancel => drop(self.first_in_flight()),
            Wait(time) => self.hand.advance(time),
            Do(command) => command(breaker),
            Is(state) => assert_eq!(seen.state(), state),
            Holds(calls, failures) => {
                assert_eq!((seen.calls(), seen.failures()), (calls, failures));
            }
            Slow(calls) => assert_eq!(seen.slow(), calls),
            Run(failures) => assert_eq!(seen.consecutive_failures(), failures),
            Ignored(calls) => assert_eq!(seen.ignored(), calls),
            Rejections(calls) => assert_eq!(seen.rejected(), calls),
            Probes(succeeded, failed) => {
                let probes = (seen.probes_succeeded(), seen.probes_failed());
                assert_eq!(probes, (succeeded, failed));
            }
            Heard(expected) => {
                let heard: Vec<_> = self.told.try_iter().collect();
                assert_eq!(heard, expected);
            }
        }
    }
}

/// What `work` says when it panics.
fn complaint(work: impl FnOnce()) -> Option<String> {
    let panic = catch_unwind(AssertUnwindSafe(work)).err()?;
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    Some(text.unwrap_or("panicked").to_owned())
}

fn perform(theirs: &str, play: &Play) {
    let mut stage = Stage::new(play);
    for (number, step) in play.steps.iter().enumerate() {
        if let Some(text) = complaint(|| stage.take(step)) {
            panic!("{theirs}: step {number}, {step:?}: {text}");
        }
    }
}

impl Row {
    fn check(&self) {
        let theirs = self.theirs;
        match &self.here {
            Here::Same(play) => perform(theirs, play),
            Here::Differs(why, play) => {
                assert!(why.ends_with('.'), "{theirs}: no reason");
                perform(theirs, play);
            }
            Here::Refused(settings, message) => {
                let error = settings(CircuitBreaker::builder("peer")).build().err();
                let text = error.map_or_else(String::new, |error| error.to_string());
                assert!(text.starts_with(message), "{theirs}: {text:?}");
            }
            Here::Tested(test) => assert!(is_test(test), "{theirs}: no test {test}"),
            Here::Apart(why) => assert!(why.ends_with('.'), "{theirs}: no reason"),
        }
    }
}

/// Checks each row. `count` is the number of names among the peer's tests.
fn check(rows: &[Row], count: usize) {
    let mut listed = BTreeSet::new();
    for name in rows.iter().flat_map(|row| row.theirs.split_whitespace()) {
        assert!(listed.insert(name), "{name} is listed twice");
    }
    assert_eq!(listed.len(), count, "names that are listed");
    let complaints: Vec<_> = rows
        .iter()
        .filter_map(|row| complaint(|| row.check()))
        .collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
