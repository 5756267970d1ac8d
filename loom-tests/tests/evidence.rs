//! The decision by evidence: no trip is lost and no false one is found. A success sees the evidence
//! that it counts against, and no lesson of the baseline is lost.

use std::time::Duration;

use loom_tests::sync::Arc;
use loom_tests::{UNBOUNDED, Unwatched, at, model, preemptions, race};
use tripcurve::__model::{
    AdaptiveConfig, Core, Evidence, Generation, Lesson, OptionalParts, Parts, Probes, Recording,
    Recovered, Ring, Settings, Switch, Ticket, TimeRing, Timed, Times, TripEvidence, date_of,
};
use tripcurve::{Outcome, State, TripPolicy};

const FIRST: Generation = Generation::FIRST;

/// The time of everything in a race, in nanoseconds. A breaker begins at zero.
const NOW: u64 = 100_000_000_000;

/// The duration from which on a call is slow, in nanoseconds.
const LIMIT: u64 = 1_000;

/// Evidence without a baseline.
fn untaught(tolerate: f64, false_trip_budget: Duration) -> Evidence {
    let wish = AdaptiveConfig {
        tolerate,
        false_trip_budget,
    };
    Evidence::new(wish, 1_000_000_000)
}

/// Evidence with a baseline of many calls and few failures, so a lesson or two hardly change a
/// failure's weight. A breaker passes dates to it; models of the evidence alone pass moments.
fn evidence(tolerate: f64, false_trip_budget: Duration, date: impl Fn(u64) -> u64) -> Evidence {
    let evidence = untaught(tolerate, false_trip_budget);
    evidence.look(FIRST, date(NOW - 1), (date(0), date(0)), || 1_000);
    evidence
}

/// Evidence that trips at exactly `failures` failures in a row. With a success among them it takes
/// one more. Without a baseline, each failure makes an outage ten times as likely.
fn enough(failures: u32) -> Evidence {
    evidence(0.0, budget_for(failures), date_of)
}

/// Like [`enough`], of all calls and of the watched ones.
fn of_both_streams(failures: u32) -> Evidence {
    let config = shared_by(2, failures);
    evidence(0.0, config.false_trip_budget, date_of).and_of_watched(config)
}

/// Like [`enough`], of all calls, of the watched ones, and of a sample of timed ones.
fn of_a_sample(failures: u32) -> Evidence {
    let config = shared_by(3, failures);
    evidence(0.0, config.false_trip_budget, date_of).and_of_sample(config)
}

/// Settings whose budget leaves each of so many streams [`budget_for`] these failures.
fn shared_by(streams: u32, failures: u32) -> AdaptiveConfig {
    AdaptiveConfig {
        tolerate: 0.0,
        false_trip_budget: budget_for(failures) / streams,
    }
}

fn budget_for(failures: u32) -> Duration {
    Duration::from_millis(110 * 10_u64.pow(failures))
}

/// Evidence that any failure trips, so its verdict shows the whole evidence. Each lesson changes
/// the verdict.
fn telling() -> Evidence {
    untaught(0.0, Duration::from_nanos(1))
}

/// Evidence that any failure trips. Its verdict also depends on the date of the first failure.
fn tolerant() -> Evidence {
    evidence(0.25, Duration::from_nanos(1), |moment| moment)
}

/// A breaker, and its calls in flight.
struct Breaker {
    core: Core,
    tickets: Vec<Ticket>,
}

impl Breaker {
    fn new(evidence: Evidence) -> Self {
        Self::timed_or_not(evidence, false)
    }

    /// A breaker that measures durations of calls.
    fn timed(evidence: Evidence) -> Self {
        Self::timed_or_not(evidence, true)
    }

    fn timed_or_not(evidence: Evidence, is_timed: bool) -> Self {
        let settings = Settings {
            name: "model".into(),
            policies: [TripPolicy::adaptive()].into(),
            open_for: NOW,
            probes: Probes::all(1),
            probe_timeout: u64::MAX,
            on_cancel: Outcome::Ignored,
            switch: Switch::default(),
        };
        let spans = Times {
            slower_than: Some(Duration::from_nanos(LIMIT)),
            window: Duration::from_nanos(4 * NOW),
            tick: Duration::from_secs(1),
            tick_units: 1_000_000_000,
            watch_units: LIMIT / 4,
            sample_units: None,
            recording: Recording::Off,
        };
        let timed = is_timed.then(|| Timed::new(&spans, None, &settings.policies));
        let beside = OptionalParts {
            timed: timed.map(Box::new),
            evidence: Some(Box::new(evidence)),
            ..OptionalParts::default()
        }
        .boxed();
        let ring = Ring::Time(TimeRing::new(4 * NOW, 1, 2, is_timed));
        Self {
            core: Core::new(
                Parts {
                    settings,
                    ring,
                    optional: beside,
                },
                None,
                State::Closed,
                0,
            ),
            tickets: Vec::new(),
        }
    }

    /// Adds a call in flight that began at zero.
    fn and_a_call_in_flight(mut self) -> Self {
        let ticket = self.core.admit(&at(0, 0));
        self.tickets.push(ticket.expect("it is closed"));
        self
    }

    /// Adds a failure, and so many successes that one more ends the evidence.
    fn with_evidence_that_is_nearly_over(self) -> Self {
        self.fail(0);
        self.succeed(successes_to_end(1) - 1, 0);
        self
    }

    /// The call in flight ends.
    fn come_back(&self, outcome: Outcome) {
        self.core
            .record(self.tickets[0], outcome, None, &at(NOW, 0));
    }

    /// The call of one of the first thread slots ends, unwatched.
    fn end_unwatched(&self, thread_slot: u32, outcome: Outcome) {
        let context = Unwatched(at(NOW, thread_slot));
        let ticket = self.tickets[thread_slot as usize];
        self.core.record(ticket, outcome, None, &context);
    }

    fn call(&self, outcome: Outcome, thread_slot: u32) {
        let context = at(NOW, thread_slot);
        if let Ok(ticket) = self.core.admit(&context) {
            self.core.record(ticket, outcome, None, &context);
        }
    }

    fn fail(&self, thread_slot: u32) {
        self.call(Outcome::Failure, thread_slot);
    }

    fn succeed(&self, calls: usize, thread_slot: u32) {
        for _ in 0..calls {
            self.call(Outcome::Success, thread_slot);
        }
    }

    fn reset_and_fail(&self) {
        self.core.reset(NOW);
        self.fail(1);
    }

    /// Asserts that exactly `failures` failures trip the breaker.
    fn assert_is_tripped_by(&self, failures: u32) {
        for _ in 1..failures {
            self.fail(0);
        }
        assert_eq!(self.core.state(), State::Closed, "it tripped too early");
        self.fail(0);
        assert_eq!(self.core.state(), State::Open, "it did not trip");
    }
}

fn fail(evidence: &Evidence) {
    evidence.failure(FIRST, NOW, || true);
}

/// Adds successes that end the evidence of one failure.
fn end(evidence: &Evidence) {
    for _ in 0..successes_to_end(1) {
        evidence.success(FIRST);
    }
}

/// The lesson that the baseline learns of the excursion when successes end it.
fn lesson(evidence: &Evidence) -> Lesson {
    let lessons = std::iter::repeat_with(|| evidence.success(FIRST));
    lessons.flatten().next().expect("evidence ends")
}

fn lesson_of(failures: u32) -> (usize, Lesson) {
    let evidence = enough(1);
    for _ in 0..failures {
        fail(&evidence);
    }
    let lessons = (1..).map(|successes| (successes, evidence.success(FIRST)));
    let mut lessons = lessons.filter_map(|(successes, lesson)| Some((successes, lesson?)));
    lessons.next().expect("evidence ends")
}

/// The number of successes that end the evidence of `failures` failures.
fn successes_to_end(failures: u32) -> usize {
    lesson_of(failures).0
}

fn verdict(evidence: &Evidence) -> Option<TripEvidence> {
    evidence.verdict(FIRST, NOW, 0)
}

fn two_failures(evidence: Evidence) -> State {
    let breaker = Arc::new(Breaker::new(evidence));
    race(
        &breaker,
        [
            |breaker: &Breaker| breaker.fail(0),
            |breaker: &Breaker| breaker.fail(1),
        ],
    );
    breaker.core.state()
}

/// Fails when: `Stamped::update` stores instead of exchanging.
#[test]
fn of_two_failures_that_are_weighed_at_once_no_trip_is_lost() {
    model(preemptions(1).full(4), || {
        assert_eq!(two_failures(enough(2)), State::Open);
    });
}

/// Fails when: `Evidence::failure` weighs again a failure that another thread has already weighed.
#[test]
fn two_failures_that_are_weighed_at_once_are_no_three() {
    model(preemptions(2).full(4), || {
        assert_eq!(two_failures(enough(3)), State::Closed);
    });
}

/// Evidence that trips at `failures` failures in a row. They have come, but too long ago.
fn old_evidence(failures: u32) -> Evidence {
    let evidence = evidence(0.0, budget_for(failures), |moment| moment);
    for _ in 0..failures {
        evidence.failure(FIRST, NOW / 2, || true);
    }
    assert_eq!(verdict(&evidence), None, "it is too old");
    evidence
}

/// Fails when: `Evidence::failure` notes the date before it drops old evidence; `Evidence::verdict`
/// loads the date after the evidence; `ExcursionAge` stores or loads the date relaxed.
#[test]
fn old_evidence_is_not_found_with_the_date_of_a_new_failure() {
    model(UNBOUNDED, || {
        let shared = Arc::new(old_evidence(3));
        let [_, found] = race(
            &shared,
            [
                |evidence: &Evidence| {
                    fail(evidence);
                    None
                },
                |evidence: &Evidence| verdict(evidence),
            ],
        );
        assert_eq!(found, None);
        assert_eq!(verdict(&shared), None, "one failure is not enough");
    });
}

/// Fails when: `Evidence::drop_old` loads the date before the evidence, or the evidence relaxed, or
/// stores instead of exchanging.
#[test]
fn of_two_failures_that_find_old_evidence_both_are_weighed() {
    model(preemptions(4), || {
        let weighed = |enough: u32| {
            let evidence = evidence(0.0, budget_for(enough), |moment| moment);
            for _ in 0..2 {
                evidence.failure(FIRST, NOW / 2, || true);
            }
            let shared = Arc::new(evidence);
            race(&shared, [fail, fail]);
            verdict(&shared).is_some()
        };
        assert!(weighed(2), "one is lost");
    });
}

/// An excursion that has ended, so the next one isn't the first.
fn begin_and_end(evidence: &Evidence) {
    evidence.failure(FIRST, NOW - 1, || true);
    end(evidence);
}

/// Fails when: `Evidence::failure` notes the beginning after the exchange.
#[test]
fn who_finds_an_excursion_finds_when_it_began() {
    model(UNBOUNDED, || {
        let shared = Arc::new(tolerant());
        begin_and_end(&shared);
        let [_, within] = race(
            &shared,
            [
                |evidence: &Evidence| {
                    fail(evidence);
                    None
                },
                |evidence: &Evidence| verdict(evidence).map(|verdict| verdict.within),
            ],
        );
        assert!(matches!(within, None | Some(0)), "{within:?}");
    });
}

/// A thread sleeps before it notes when the excursion begins. Another thread begins it meanwhile.
///
/// Fails when: `ExcursionAge::start` stores the time instead of raising it.
#[test]
fn a_late_failure_makes_no_excursion_older() {
    model(preemptions(3).full(5), || {
        let shared = Arc::new(tolerant());
        let [_, found] = race(
            &shared,
            [
                |evidence: &Evidence| {
                    evidence.failure(FIRST, NOW - 1_000, || true);
                    None
                },
                |evidence: &Evidence| {
                    fail(evidence);
                    verdict(evidence)
                },
            ],
        );
        let found = found.expect("any failure is enough");
        // The late failure isn't weighed, so the other one has begun the excursion.
        if found.failures == 1 {
            assert_eq!(found.within, 0);
        }
    });
}

/// A long excursion ended so long ago that it is forgotten, and a short one ends now. A thread that
/// sees an end takes the short one's.
///
/// Fails when: `ExcursionAge` stores or loads relaxed when the last excursion ended.
#[test]
fn what_is_long_forgotten_is_not_remembered_when_another_excursion_ends() {
    model(UNBOUNDED, || {
        const LATER: u64 = 100 * NOW;
        // At a thousand calls per second, one failure is enough in a new excursion. It isn't in one
        // that has lasted for a hundred seconds.
        let wish = AdaptiveConfig {
            tolerate: 0.25,
            false_trip_budget: Duration::from_millis(26),
        };
        // In such a long window, evidence is never too old.
        let evidence = Evidence::new(wish, LATER);
        evidence.look(FIRST, NOW - 1, (0, 0), || 100_000);
        evidence.failure(FIRST, 1, || true);
        evidence.learn(lesson(&evidence), NOW, 0);
        evidence.failure(FIRST, LATER, || true);
        let short = lesson(&evidence);
        evidence.failure(FIRST, LATER, || true);
        let shared = Arc::new((evidence, short));
        let [seen, _] = race(
            &shared,
            [
                |(evidence, _): &(Evidence, Lesson)| evidence.verdict(FIRST, LATER, 0),
                |(evidence, short): &(Evidence, Lesson)| {
                    evidence.learn(*short, LATER, 0);
                    None
                },
            ],
        );
        assert!(seen.is_some(), "the long excursion is remembered");
    });
}

/// Fails when: `Evidence::success` loads the word relaxed.
#[test]
fn who_ends_an_excursion_learns_when_it_began() {
    model(preemptions(3), || {
        let succeed = |evidence: &Evidence| {
            let lessons = (0..2 * successes_to_end(1)).filter_map(|_| evidence.success(FIRST));
            lessons.last()
        };
        let shared = Arc::new(tolerant());
        begin_and_end(&shared);
        let [_, lesson] = race(
            &shared,
            [
                |evidence: &Evidence| {
                    fail(evidence);
                    None
                },
                succeed,
            ],
        );
        let one = tolerant();
        begin_and_end(&one);
        fail(&one);
        let expected = succeed(&one);
        assert!(lesson.is_none() || lesson == expected, "{lesson:?}");
    });
}

/// Fails when: `Stamped::update` or `Stamped::update_own` stores instead of exchanging.
#[test]
fn of_what_is_weighed_at_once_nothing_is_lost() {
    model(preemptions(4), || {
        let succeed = |evidence: &Evidence| {
            evidence.success(FIRST);
        };
        let shared = Arc::new(telling());
        race(&shared, [fail, fail, succeed]);
        let orders = [
            [true, true, false],
            [true, false, true],
            [false, true, true],
        ];
        let allowed = orders.map(|order| {
            let evidence = telling();
            for fails in order {
                if fails {
                    fail(&evidence);
                } else {
                    succeed(&evidence);
                }
            }
            verdict(&evidence)
        });
        let seen = verdict(&shared);
        assert!(seen.is_some() && allowed.contains(&seen), "{seen:?}");
    });
}

/// Asserts that enough successes end the evidence that a race has left. They weigh only if they
/// find a note of evidence.
fn assert_successes_are_weighed(breaker: &Breaker) {
    breaker.succeed(2 * successes_to_end(2), 0);
    breaker.assert_is_tripped_by(3);
}

/// A success ends the evidence while a failure comes.
///
/// Fails when: `GenerationCounter::clear_with` asks for evidence before it loads the word;
/// `View::record_failure` notes evidence before there is any.
#[test]
fn a_failure_while_evidence_ends_leaves_a_note_of_its_own() {
    model(preemptions(3), || {
        let breaker = Breaker::new(enough(3)).with_evidence_that_is_nearly_over();
        let breaker = Arc::new(breaker);
        race(
            &breaker,
            [
                |breaker: &Breaker| breaker.succeed(1, 0),
                |breaker: &Breaker| breaker.fail(1),
            ],
        );
        assert_successes_are_weighed(&breaker);
    });
}

/// Like the model above, with a success after the failure. So the word that notes evidence returns
/// to its former value.
///
/// Fails when: `GenerationCounter::clear_with` doesn't ask again after it has removed a note.
#[test]
fn a_note_that_comes_back_is_not_taken_for_the_former_one() {
    model(preemptions(2), || {
        let breaker = Breaker::new(enough(3)).with_evidence_that_is_nearly_over();
        let breaker = Arc::new(breaker);
        race(
            &breaker,
            [
                |breaker: &Breaker| breaker.succeed(1, 0),
                |breaker: &Breaker| {
                    breaker.fail(1);
                    breaker.succeed(1, 1);
                },
            ],
        );
        assert_successes_are_weighed(&breaker);
    });
}

/// A breaker with evidence and a call in flight is reset, and a call fails. Meanwhile the call in
/// flight ends.
fn come_back_after_a_reset(outcome: Outcome) -> Arc<Breaker> {
    let breaker = Breaker::new(enough(3)).and_a_call_in_flight();
    breaker.fail(0);
    let shared = Arc::new((breaker, outcome));
    race(
        &shared,
        [
            |(breaker, outcome): &(Breaker, Outcome)| breaker.come_back(*outcome),
            |(breaker, _): &(Breaker, Outcome)| breaker.reset_and_fail(),
        ],
    );
    let Ok((breaker, _)) = Arc::try_unwrap(shared) else {
        unreachable!("the racers are done");
    };
    Arc::new(breaker)
}

/// Fails when: `Stamped::update` doesn't ask `is_current`.
#[test]
fn the_late_failure_of_an_ended_generation_is_no_evidence_in_the_new_one() {
    model(preemptions(2).full(3), || {
        come_back_after_a_reset(Outcome::Failure).assert_is_tripped_by(2);
    });
}

/// Fails when: `Excursion::unpack` reads any generation's word.
#[test]
fn the_late_success_of_an_ended_generation_takes_no_evidence_from_the_new_one() {
    model(preemptions(3), || {
        come_back_after_a_reset(Outcome::Success).assert_is_tripped_by(2);
    });
}

/// Fails when: `GenerationCounter::clear_with` doesn't check the word's generation.
#[test]
fn the_late_success_of_an_ended_generation_leaves_the_new_ones_note() {
    model(preemptions(3), || {
        assert_successes_are_weighed(&come_back_after_a_reset(Outcome::Success));
    });
}

/// The weight of one failure and of the next one.
fn weight_of_two_failures(evidence: &Evidence) -> TripEvidence {
    fail(evidence);
    fail(evidence);
    verdict(evidence).expect("any failure is enough")
}

/// Fails when: `Baseline::learn` stores instead of exchanging, or publishes logs without checking
/// whether more was learnt.
#[test]
fn of_two_excursions_that_end_at_once_both_are_learnt() {
    model(preemptions(3).full(5), || {
        let (lesson, other) = (lesson_of(1).1, lesson_of(2).1);
        let shared = Arc::new((telling(), lesson, other));
        race(
            &shared,
            [
                |(evidence, lesson, _): &(Evidence, _, _)| evidence.learn(*lesson, NOW, 0),
                |(evidence, _, other): &(Evidence, _, _)| evidence.learn(*other, NOW, 0),
            ],
        );
        let taught = telling();
        taught.learn(lesson, NOW, 0);
        taught.learn(other, NOW, 0);
        let seen = weight_of_two_failures(&shared.0);
        assert_eq!(seen, weight_of_two_failures(&taught));
    });
}

/// Fails when: `Baseline::logs` loads the word again for each of its parts.
#[test]
fn evidence_is_weighed_by_one_state_of_what_is_usual() {
    model(UNBOUNDED, || {
        // The lesson changes the surprise of both failures.
        let lesson = lesson_of(2).1;
        let before = weight_of_two_failures(&telling()).nats;
        // Its verdict isn't asked for yet: a lesson of what has tripped teaches nothing.
        let shared = Arc::new((telling(), lesson));
        fail(&shared.0);
        fail(&shared.0);
        let [seen, _] = race(
            &shared,
            [
                |(evidence, _): &(Evidence, Lesson)| verdict(evidence),
                |(evidence, lesson): &(Evidence, Lesson)| {
                    evidence.learn(*lesson, NOW, 0);
                    None
                },
            ],
        );
        let after = verdict(&shared.0).expect("any failure is enough").nats;
        let seen = seen.expect("any failure is enough").nats;
        assert!([before, after].contains(&seen), "{before}, {seen}, {after}");
    });
}

/// An overdue call ends while another call begins, whose admission weighs overdue calls. The one
/// call counts as evidence once.
fn come_back_while_another_begins(outcome: Outcome) {
    let breaker = Breaker::timed(of_both_streams(2)).and_a_call_in_flight();
    let shared = Arc::new((breaker, outcome));
    race(
        &shared,
        [
            |(breaker, _): &(Breaker, Outcome)| {
                let ticket = breaker.core.admit(&at(NOW, 1));
                assert!(ticket.is_ok(), "one call tripped it");
            },
            |(breaker, outcome): &(Breaker, Outcome)| breaker.come_back(*outcome),
        ],
    );
    shared.0.assert_is_tripped_by(1);
}

/// Fails when: `InFlight::unwatch` or `CallSlot::charge` ignores that the other was first.
#[test]
fn a_slow_call_that_comes_back_is_evidence_once() {
    model(preemptions(2).full(3), || {
        come_back_while_another_begins(Outcome::Success);
    });
}

/// Fails when: `InFlight::unwatch` or `CallSlot::charge` ignores that the other was first.
#[test]
fn a_slow_failure_that_comes_back_is_evidence_once() {
    model(preemptions(2).full(3), || {
        come_back_while_another_begins(Outcome::Failure);
    });
}

/// Of two timed calls, one is slow while the other fails. Neither is watched.
///
/// Fails when: `View::record_success_slow` weighs the call after it has judged.
#[test]
fn a_slow_call_and_a_failure_that_are_weighed_at_once_trip() {
    model(preemptions(1).full(2), || {
        let mut breaker = Breaker::timed(of_a_sample(2));
        let at_first = at(0, 0);
        // The first call in a period is always watched.
        let watched = breaker.core.admit(&at_first).expect("it is closed");
        breaker
            .core
            .record(watched, Outcome::Success, None, &at_first);
        for _ in 0..2 {
            let ticket = breaker.core.admit(&Unwatched(at_first));
            breaker.tickets.push(ticket.expect("it is closed"));
        }
        let shared = Arc::new(breaker);
        race(
            &shared,
            [
                |breaker: &Breaker| breaker.end_unwatched(0, Outcome::Success),
                |breaker: &Breaker| breaker.end_unwatched(1, Outcome::Failure),
            ],
        );
        assert_eq!(shared.core.state(), State::Open);
    });
}

/// Two failures come, one of them from a thread that slept for long. The other one doesn't get the
/// old date.
///
/// Fails when: `ExcursionAge::note` stores the date instead of raising it.
#[test]
fn a_late_failure_makes_no_other_look_old() {
    model(UNBOUNDED, || {
        let shared = Arc::new(evidence(0.0, budget_for(1), |moment| moment));
        race(
            &shared,
            [
                |evidence: &Evidence| {
                    evidence.failure(FIRST, NOW / 2, || true);
                },
                |evidence: &Evidence| fail(evidence),
            ],
        );
        assert!(verdict(&shared).is_some(), "one failure is enough");
    });
}

/// The generation after `count` transitions.
fn after(count: u32) -> Generation {
    (0..count).fold(FIRST, |generation, _| generation.next())
}

/// The generation in which a ramp closes a breaker that has tripped in the first one.
fn closed() -> Generation {
    after(4)
}

/// Evidence of which a trip takes much. Only what is below that makes it dispersed.
fn patient() -> Evidence {
    untaught(0.0, Duration::from_secs(10 * 365 * 86_400))
}

/// The number of failures in a row whose evidence is above 8 nats, but below what `patient` takes.
/// Two more are below that too.
const FEW: u32 = 4;

/// The number of failures in a row that trip.
const MANY: u32 = 16;

fn fail_in(evidence: &Evidence, generation: Generation, failures: u32) {
    for _ in 0..failures {
        evidence.failure(generation, NOW, || true);
        let _enough = evidence.verdict(generation, NOW, 0);
    }
}

/// The lesson of the excursion of `generation`, when successes end it.
fn lesson_in(evidence: &Evidence, generation: Generation) -> Lesson {
    let lessons = std::iter::repeat_with(|| evidence.success(generation));
    lessons.flatten().next().expect("evidence ends")
}

/// Evidence that has tripped in the first generation and is in the one after its recovery.
fn recovered() -> Evidence {
    let evidence = patient();
    fail_in(&evidence, FIRST, MANY);
    let tripped = verdict(&evidence).expect("so many failures are enough");
    evidence.trip(&tripped, FIRST, NOW, 0, 0);
    evidence.start_generation(closed(), || true);
    evidence
}

fn learn_from_false_trip(evidence: &Evidence) {
    evidence.learn_from_false_trip(closed(), Recovered::AtOnce, NOW);
}

/// Asserts that two evidences have learnt equal dispersions, above 1.
fn assert_as_dispersed(seen: &Evidence, expected: &Evidence) {
    let (seen, expected) = (seen.dispersion(), expected.dispersion());
    assert!(expected > 1.0);
    assert!((seen - expected).abs() < 1e-9, "{seen}, not {expected}");
}

/// Fails when: `Dispersion::rise` stores the height instead of raising it.
#[test]
fn of_two_heights_of_an_excursion_the_higher_one_stays() {
    model(preemptions(3), || {
        let evidence = patient();
        fail_in(&evidence, FIRST, FEW);
        let shared = Arc::new(evidence);
        let fails = |evidence: &Evidence| fail_in(evidence, FIRST, 1);
        race(&shared, [fails, fails]);
        shared.learn(lesson(&shared), NOW, 0);
        let alone = patient();
        fail_in(&alone, FIRST, FEW + 2);
        alone.learn(lesson(&alone), NOW, 0);
        assert_as_dispersed(&shared, &alone);
    });
}

/// Two calls fail in a breaker that may not trip. The second one makes an outage of the excursion.
///
/// Fails when: `Dispersion::rise` stores the height instead of raising it.
#[test]
fn an_outage_teaches_nothing_though_a_height_is_noted_late() {
    model(preemptions(3), || {
        let trips_after = |failures: &u32| {
            let evidence = patient();
            fail_in(&evidence, FIRST, *failures);
            verdict(&evidence).is_some()
        };
        let enough = (FEW..=MANY).find(trips_after).expect("an outage trips");
        let evidence = patient();
        fail_in(&evidence, FIRST, enough - 2);
        let shared = Arc::new(evidence);
        let fails = |evidence: &Evidence| fail_in(evidence, FIRST, 1);
        race(&shared, [fails, fails]);
        shared.learn(lesson(&shared), NOW, 0);
        assert!(shared.dispersion() <= 1.0);
    });
}

/// Fails when: `Dispersion::end` stores zero instead of exchanging the height.
#[test]
fn the_height_of_an_excursion_counts_once_whoever_ends_it() {
    model(preemptions(3), || {
        let risen = || {
            let evidence = patient();
            fail_in(&evidence, FIRST, FEW);
            let lesson = lesson(&evidence);
            (evidence, lesson)
        };
        let shared = Arc::new(risen());
        let learns = |(evidence, lesson): &(Evidence, Lesson)| evidence.learn(*lesson, NOW, 0);
        race(&shared, [learns, learns]);
        let (alone, lesson) = risen();
        alone.learn(lesson, NOW, 0);
        assert_as_dispersed(&shared.0, &alone);
    });
}

/// Fails when: `Dispersion::learn` stores instead of exchanging.
#[test]
fn of_an_excursion_that_ends_and_a_false_trip_both_excesses_are_learnt() {
    model(preemptions(3), || {
        let risen = || {
            let evidence = recovered();
            fail_in(&evidence, closed(), FEW);
            let lesson = lesson_in(&evidence, closed());
            (evidence, lesson)
        };
        let shared = Arc::new(risen());
        race(
            &shared,
            [
                |(evidence, lesson): &(Evidence, Lesson)| evidence.learn(*lesson, NOW, 0),
                |(evidence, _): &(Evidence, Lesson)| learn_from_false_trip(evidence),
            ],
        );
        let (alone, lesson) = risen();
        alone.learn(lesson, NOW, 0);
        learn_from_false_trip(&alone);
        assert_as_dispersed(&shared.0, &alone);
    });
}

/// A thread that has tripped the breaker notes that late, when the recovery from a later trip has
/// closed the breaker.
///
/// Fails when: `Dispersion::false_trip` ignores whose the note is.
#[test]
fn the_note_of_an_earlier_trip_is_not_taken_for_that_of_the_latest() {
    model(preemptions(3), || {
        let evidence = telling();
        fail_in(&evidence, FIRST, MANY);
        let tripped = verdict(&evidence).expect("any failure is enough");
        let shared = Arc::new((evidence, tripped));
        race(
            &shared,
            [
                |(evidence, tripped): &(Evidence, TripEvidence)| {
                    evidence.trip(tripped, FIRST, NOW, 0, 0);
                },
                |(evidence, _): &(Evidence, TripEvidence)| {
                    let later = after(8);
                    evidence.start_generation(later, || true);
                    evidence.learn_from_false_trip(later, Recovered::Soon, NOW);
                },
            ],
        );
        assert!((shared.0.dispersion() - 1.0).abs() < 1e-9);
    });
}

/// Fails when: `Baseline::concede` stores instead of exchanging.
#[test]
fn of_a_lesson_and_a_concession_the_second_builds_on_the_first() {
    model(preemptions(3), || {
        let lesson = lesson_of(2).1;
        let concede = |evidence: &Evidence| evidence.concede(12, 50);
        let shared = Arc::new((telling(), lesson));
        race(
            &shared,
            [
                |(evidence, lesson): &(Evidence, Lesson)| evidence.learn(*lesson, NOW, 0),
                |(evidence, _): &(Evidence, Lesson)| evidence.concede(12, 50),
            ],
        );
        let (former, latter) = (telling(), telling());
        former.learn(lesson, NOW, 0);
        concede(&former);
        concede(&latter);
        latter.learn(lesson, NOW, 0);
        let allowed = [&former, &latter].map(weight_of_two_failures);
        let seen = weight_of_two_failures(&shared.0);
        assert!(allowed.contains(&seen), "{seen:?}, not of {allowed:?}");
    });
}

/// Two threads note openings, the one on a bad shard and a later one on an outage. Either may be
/// the first to note.
///
/// Fails when: an opening that is noted late decides; a note is stored instead of exchanged.
#[test]
fn of_two_openings_the_later_one_decides_which_share_is_tolerated() {
    model(UNBOUNDED, || {
        let shared = Arc::new(tolerant());
        race(
            &shared,
            [
                |evidence| evidence.opened((4, 10), NOW, NOW),
                |evidence| evidence.opened((9, 10), NOW, 2 * NOW),
            ],
        );
        assert!(!shared.tolerates_more());
        let shared = Arc::new(tolerant());
        race(
            &shared,
            [
                |evidence| evidence.opened((9, 10), NOW, NOW),
                |evidence| evidence.opened((4, 10), NOW, 2 * NOW),
            ],
        );
        assert!(shared.tolerates_more());
    });
}

/// The larger share has been in force for two hours. A look ends it while the breaker opens again
/// on a bad shard.
///
/// Fails when: the end of the larger share is stored and not exchanged.
#[test]
fn an_opening_while_the_larger_share_ends_keeps_it_in_force() {
    const LATER: u64 = NOW + 7_200_000_000_000;
    model(UNBOUNDED, || {
        let shared = Arc::new(tolerant());
        shared.opened((4, 10), NOW, NOW);
        assert!(shared.tolerates_more());
        race(
            &shared,
            [
                |evidence| evidence.look(FIRST, LATER, (0, 0), || 100),
                |evidence| evidence.opened((4, 10), LATER, LATER),
            ],
        );
        assert!(shared.tolerates_more());
    });
}
