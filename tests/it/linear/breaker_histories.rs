//! A breaker against the sequential model of `tests/it/model`.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tripcurve::handles::OwnedPermit;
use tripcurve::persist::Reconfigured;
use tripcurve::time::{Clock, MockClock};
use tripcurve::window::{Recording, Timing};
use tripcurve::{CircuitBreaker, Outcome, State};

use super::checker::Specification;
use super::history::Event;
use super::threads::{Draw, Scenario, Subject, calls_of_each, check_histories};
use crate::model::pair::{Log, listened, refused};
use crate::model::{
    Config, LateVerdict, Model, ModelPermit, Picture, Policy, Refused, Shape, Told,
};

/// A multiple of 2^20 ns, the unit of the state word. The exact end of another open time is noted
/// after the transition, so other threads may see the rounded one first.
const OPEN_FOR: Duration = Duration::from_micros(1 << 20);

#[derive(Clone, Copy, Debug)]
pub(super) enum Call {
    Acquire,
    /// Record the outcome of the permit that this thread got first.
    Record(Outcome),
    /// The first step of recording an outcome. The second one is `Judge`. Other threads may record
    /// in between: their outcomes still count, and all have been judged in the end.
    RecordFirst(Outcome),
    /// The first step of other policies. The second one is `Judge`.
    ReconfigureFirst(usize),
    Judge,
    /// Drop the permit that this thread got first.
    Drop,
    Trip,
    Reset,
    ForceOpen,
    Disable,
    MetricsOnly,
    State,
    Reconfigure(usize),
    /// Advance the clock. Only one thread runs then.
    Advance(Duration),
    /// Read all that the breaker shows, and all transitions that it told. Only one thread runs
    /// then.
    Rest,
}

#[derive(Debug)]
pub(super) enum Answer {
    Admitted,
    Refused(Refused),
    /// Whether the outcome counted.
    Recorded(bool),
    /// The thread held no permit.
    Skipped,
    Done,
    State(State),
    Reconfigured(Reconfigured),
    Rest(Box<(Picture, Vec<Told>)>),
}

pub(super) struct Shared {
    breaker: CircuitBreaker,
    hand: MockClock,
    clock: Clock,
    configs: Vec<Config>,
    log: Arc<Mutex<Log>>,
}

impl Shared {
    fn new(configs: &[Config]) -> Self {
        let (clock, hand) = Clock::mock();
        let log = Arc::default();
        let builder = listened(configs[0].builder(clock.clone()), &log);
        Self {
            breaker: builder.build().expect("the settings make sense"),
            hand,
            clock,
            configs: configs.to_vec(),
            log,
        }
    }
}

impl Subject for Shared {
    type Held = VecDeque<OwnedPermit>;
    type Call = Call;
    type Answer = Answer;

    fn make(&self, held: &mut Self::Held, call: &Call) -> Answer {
        let breaker = &self.breaker;
        match *call {
            Call::Acquire => match breaker.try_acquire_owned() {
                Ok(permit) => {
                    held.push_back(permit);
                    return Answer::Admitted;
                }
                Err(rejected) => return Answer::Refused(refused(&rejected)),
            },
            Call::Record(outcome) => {
                let permit = held.pop_front();
                return permit.map_or(Answer::Skipped, |permit| {
                    Answer::Recorded(permit.record(outcome))
                });
            }
            Call::RecordFirst(_) | Call::ReconfigureFirst(_) | Call::Judge => {
                unreachable!("a part of another call")
            }
            Call::Drop => {
                let permit = held.pop_front();
                return permit.map_or(Answer::Skipped, |_| Answer::Done);
            }
            Call::Trip => breaker.trip(OPEN_FOR),
            Call::Reset => breaker.reset(),
            Call::ForceOpen => breaker.force_open(),
            Call::Disable => breaker.disable(),
            Call::MetricsOnly => breaker.metrics_only(),
            Call::State => return Answer::State(breaker.state()),
            Call::Reconfigure(number) => {
                let settings = self.configs[number].builder(self.clock.clone());
                let came = breaker.reconfigure(settings);
                return Answer::Reconfigured(came.expect("the settings make sense"));
            }
            Call::Advance(by) => self.hand.advance(by),
            Call::Rest => {
                let picture = Picture::of(&breaker.snapshot());
                let told = self.log.lock().unwrap().transitions.clone();
                return Answer::Rest(Box::new((picture, told)));
            }
        }
        Answer::Done
    }

    fn steps(event: Event<Call, Answer>) -> Vec<Event<Call, Answer>> {
        let Event {
            thread, begin, end, ..
        } = event;
        let step = |call, answer| Event {
            thread,
            call,
            answer,
            begin,
            end,
        };
        match (event.call, &event.answer) {
            (
                Call::Record(outcome @ (Outcome::Success | Outcome::Failure)),
                Answer::Recorded(true),
            ) => vec![
                step(Call::RecordFirst(outcome), event.answer),
                step(Call::Judge, Answer::Done),
            ],
            (Call::Reconfigure(number), Answer::Reconfigured(Reconfigured::WindowKept)) => vec![
                step(Call::ReconfigureFirst(number), event.answer),
                step(Call::Judge, Answer::Done),
            ],
            _ => vec![event],
        }
    }
}

/// A judgement that is still to come.
#[derive(Clone, Copy, Debug)]
enum Judgement {
    /// Of an outcome, by the policies that held then or by later ones.
    Recorded {
        verdict: Option<LateVerdict>,
        changes: u32,
    },
    /// By other policies.
    Reconfigured,
}

/// Whether both are the same transition. The numbers in their causes may differ: an outcome that
/// was recorded under other policies is judged with the count that it made, which may be an earlier
/// one.
fn is_like(expected: &Told, found: &Told) -> bool {
    let cause = |told: &Told| std::mem::discriminant(&told.cause);
    let alike = Told {
        cause: expected.cause,
        ..found.clone()
    };
    alike == *expected && cause(expected) == cause(found)
}

/// The model and the permits that it gave to each thread.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    model: Model,
    configs: Arc<[Config]>,
    held: Vec<VecDeque<ModelPermit>>,
    /// By thread.
    judgements: Vec<Option<Judgement>>,
    /// How often the settings have changed.
    changes: u32,
    told: Vec<Told>,
    /// What listeners will have been told in the end.
    all_told: Option<Arc<[Told]>>,
}

impl Expected {
    fn new(configs: &[Config], threads: usize) -> Self {
        Self {
            model: Model::new(configs[0].clone()),
            configs: configs.into(),
            held: vec![VecDeque::new(); threads],
            judgements: vec![None; threads],
            changes: 0,
            told: Vec::new(),
            all_told: None,
        }
    }

    /// Whether listeners were told of the transitions so far, and of no others.
    fn told_rightly(&self) -> bool {
        let Some(all) = &self.all_told else {
            return true;
        };
        let is_right = |(expected, found): (&Told, &Told)| {
            expected == found || self.changes > 0 && is_like(expected, found)
        };
        all.len() >= self.told.len() && self.told.iter().zip(all.iter()).all(is_right)
    }

    fn judge(&mut self, judgement: Judgement) {
        let next = self
            .all_told
            .as_ref()
            .and_then(|all| all.get(self.told.len()));
        match judgement {
            Judgement::Recorded {
                verdict: Some(verdict),
                changes,
            } if changes == self.changes || next.is_some_and(|next| verdict.explains(next)) => {
                self.model.judge_later(verdict);
            }
            Judgement::Recorded { changes, .. } if changes == self.changes => {}
            Judgement::Recorded { .. } | Judgement::Reconfigured => self.model.judge_again(),
        }
    }
}

impl Specification for Expected {
    type Call = Call;
    type Answer = Answer;

    fn foresee(&mut self, history: &[Event<Call, Answer>]) {
        let told = history.iter().find_map(|event| match &event.answer {
            Answer::Rest(rest) => Some(rest.1.as_slice().into()),
            _ => None,
        });
        self.all_told = told;
    }

    fn allows(&mut self, thread: usize, call: &Call, answer: &Answer) -> bool {
        let Self { model, held, .. } = self;
        let held = &mut held[thread];
        let is_right = match (*call, answer) {
            (Call::Acquire, answer) => match (model.acquire(), answer) {
                (Ok(permit), Answer::Admitted) => {
                    held.push_back(permit);
                    true
                }
                (Err(expected), Answer::Refused(found)) => expected == *found,
                _ => false,
            },
            (Call::Record(outcome), answer) => match (held.pop_front(), answer) {
                (Some(permit), Answer::Recorded(counted)) => {
                    model.settle(permit, outcome, None) == *counted
                }
                (None, Answer::Skipped) => true,
                _ => false,
            },
            (Call::RecordFirst(outcome), Answer::Recorded(counted)) => {
                let Some(permit) = held.pop_front() else {
                    return false;
                };
                let (counts, verdict) = model.record_first(permit, outcome);
                let changes = self.changes;
                self.judgements[thread] = Some(Judgement::Recorded { verdict, changes });
                counts == *counted
            }
            (Call::ReconfigureFirst(number), Answer::Reconfigured(came)) => {
                let expected = model.reconfigure_first(self.configs[number].clone());
                self.judgements[thread] = Some(Judgement::Reconfigured);
                self.changes += 1;
                expected == *came
            }
            (Call::Judge, _) => match self.judgements[thread].take() {
                Some(judgement) => {
                    self.judge(judgement);
                    true
                }
                // The other step comes first.
                None => false,
            },
            (Call::Drop, answer) => match (held.pop_front(), answer) {
                (Some(permit), Answer::Done) => {
                    model.cancel(permit);
                    true
                }
                (None, Answer::Skipped) => true,
                _ => false,
            },
            (Call::Reconfigure(number), Answer::Reconfigured(came)) => {
                model.reconfigure(self.configs[number].clone()) == *came
            }
            (Call::State, Answer::State(state)) => model.state() == *state,
            (Call::Rest, Answer::Rest(found)) => {
                self.told.extend(model.take_told());
                let (picture, told) = &**found;
                *picture == model.picture() && told.len() == self.told.len()
            }
            (call, Answer::Done) => {
                match call {
                    Call::Trip => model.trip(OPEN_FOR),
                    Call::Reset => model.reset(),
                    Call::ForceOpen => model.force_open(),
                    Call::Disable => model.disable(),
                    Call::MetricsOnly => model.metrics_only(),
                    Call::Advance(by) => model.advance(by),
                    call => unreachable!("{call:?} has another answer"),
                }
                true
            }
            (call, answer) => unreachable!("{call:?} answers {answer:?}"),
        };
        self.told.extend(self.model.take_told());
        is_right && self.told_rightly()
    }

    fn key(&self) -> String {
        let Self {
            model,
            held,
            judgements,
            changes,
            told,
            ..
        } = self;
        format!("{model:?} {held:?} {judgements:?} {changes} {told:?}")
    }
}

/// A breaker that a few failures in a row trip, and that three probes close.
fn config() -> Config {
    Config {
        window: Shape::Count { calls: 50 },
        policies: vec![Policy::ConsecutiveFailures(3)],
        open_for: OPEN_FOR,
        growth: None,
        max_retry_after: None,
        probes: 3,
        needed: Some(2),
        failure_threshold: None,
        slow_threshold: None,
        half_open_limit: None,
        steps: None,
        clients: None,
        by_traffic: false,
        probe_timeout: Duration::from_secs(60),
        on_cancel: Outcome::Ignored,
        start_in: State::Closed,
        enabled: true,
        metrics_only: false,
        shards: 4,
        recording: Recording::Off,
        slower_than: Duration::from_secs(3_600),
        timing: Timing::EveryCall,
        built_at: Duration::ZERO,
    }
}

/// Draws the calls of each thread: those of the first from the first list, and the others' from the
/// last one.
fn check(
    name: &'static str,
    histories: u32,
    configs: Vec<Config>,
    before: &'static [Call],
    calls: &'static [&'static [Call]],
) {
    check_histories(name, histories, move |draw: &mut Draw, threads| {
        let length = calls_of_each(threads);
        Scenario {
            subject: Shared::new(&configs),
            specification: Expected::new(&configs, threads),
            before: before.iter().map(|call| (0, *call)).collect(),
            threads: (0..threads)
                .map(|thread| {
                    let calls = calls[thread.min(calls.len() - 1)];
                    (0..length).map(|_| draw.one_of(calls)).collect()
                })
                .collect(),
            after: vec![Call::Rest],
        }
    });
}

const SUCCEED: Call = Call::Record(Outcome::Success);
const FAIL: Call = Call::Record(Outcome::Failure);
const IGNORE: Call = Call::Record(Outcome::Ignored);

#[test]
fn half_open_admits_and_judges_as_if_calls_came_one_after_another() {
    use Call::{Acquire, Drop, State};
    check(
        "half-open",
        20,
        vec![config()],
        &[Call::Trip, Call::Advance(OPEN_FOR)],
        &[&[
            Acquire, Acquire, Acquire, SUCCEED, SUCCEED, FAIL, IGNORE, Drop, State,
        ]],
    );
}

#[test]
fn commands_among_calls_act_as_if_one_after_another() {
    use Call::{Acquire, Disable, ForceOpen, MetricsOnly, Reset, State, Trip};
    check(
        "commands",
        20,
        vec![config()],
        &[],
        &[&[
            Acquire,
            Acquire,
            Acquire,
            SUCCEED,
            FAIL,
            FAIL,
            Trip,
            Reset,
            ForceOpen,
            Disable,
            MetricsOnly,
            State,
        ]],
    );
}

#[test]
fn failures_in_a_row_trip_as_if_calls_came_one_after_another() {
    use Call::{Acquire, State};
    check(
        "failures in a row",
        20,
        vec![config()],
        &[],
        &[&[Acquire, Acquire, Acquire, SUCCEED, FAIL, FAIL, FAIL, State]],
    );
}

/// Settings whose policies trip sooner or later.
fn settings() -> Vec<Config> {
    let by_policy = |limit| Config {
        policies: vec![Policy::ConsecutiveFailures(limit)],
        ..config()
    };
    vec![by_policy(3), by_policy(1), by_policy(2)]
}

/// No call succeeds. A success counts first, and then ends the run of failures. Between these
/// steps, other policies may still see the run.
///
/// One thread changes the policies. Two threads that do so at once are left out: policies that are
/// replaced before their thread has judged may still trip.
#[test]
fn policies_that_change_among_calls_act_as_if_one_after_another() {
    use Call::{Acquire, Reconfigure, Reset, State};
    check(
        "policies",
        20,
        settings(),
        &[],
        &[
            &[
                Acquire,
                FAIL,
                State,
                Reconfigure(0),
                Reconfigure(1),
                Reconfigure(2),
            ],
            &[
                Acquire, Acquire, Acquire, IGNORE, FAIL, FAIL, FAIL, State, Reset,
            ],
        ],
    );
}
