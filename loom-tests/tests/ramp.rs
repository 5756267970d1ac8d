//! The ramp of an adaptive recovery: its share is exact for any callers, each round ends once, and
//! late reports change nothing.

use loom_tests::sync::Arc;
use loom_tests::{UNBOUNDED, model, preemptions, race};
use tripcurve::__model::{
    Ask, AtomicState, Clients, Generation, Moment, Phase, Ramp, RampMode, RampReport, Round, Share,
    StateWord, date_of,
};

const FIRST: Generation = Generation::FIRST;

/// Nanoseconds between two calls: a hundred calls per second.
const SPACING: u64 = 10_000_000;

/// Longer than a round.
const LATER: u64 = 1_000_000_000;

const OPEN: fn() -> Phase = || Phase::Open {
    until: Moment::at(2 * LATER),
};

fn half() -> Round {
    Round::first(Share::nearest(0.5), RampMode::Fast)
}

/// A round that one more good call makes clean.
fn almost_clean() -> Round {
    Round { good: 3, ..half() }
}

/// A ramp in this round. As many callers have asked as come at the spacing.
fn ramp_in(round: Round) -> Arc<(AtomicState, Ramp)> {
    let ramp = Ramp::new(0.25, 0.45, Clients::ONE);
    for _ in 0..LATER / SPACING {
        ask(&ramp);
    }
    Arc::new((AtomicState::new(Phase::Ramp(round.pack())), ramp))
}

fn ask(ramp: &Ramp) -> bool {
    ramp.ask(half(), LATER, u64::MAX, SPACING) == Ask::Admitted
}

fn ticket(generation: Generation, round: Round) -> StateWord {
    StateWord::new(generation, Phase::Ramp(round.without_counts().pack()))
}

fn report((state, ramp): &(AtomicState, Ramp), ticket: StateWord, is_good: bool) {
    let report = RampReport {
        ticket,
        is_good,
        began: LATER,
        now: LATER,
        spacing: SPACING,
        dispersion: 1.0,
        tolerates_more: false,
    };
    ramp.report(state, report, OPEN);
}

fn report_of_the_first(shared: &(AtomicState, Ramp), is_good: bool) {
    report(shared, ticket(FIRST, half()), is_good);
}

fn round(state: &AtomicState) -> Round {
    match state.load().phase() {
        Phase::Ramp(round) => round.unpack(),
        phase => panic!("{phase:?}"),
    }
}

/// Two callers ask a ramp that admits half of the calls.
///
/// Fails when: the sum of the shares is loaded and then stored.
#[test]
fn of_two_that_ask_for_a_half_one_is_let_through() {
    model(UNBOUNDED, || {
        let shared = ramp_in(half());
        let asks = race(&shared, [|(_, ramp)| ask(ramp), |(_, ramp)| ask(ramp)]);
        assert_eq!(asks.iter().filter(|ask| **ask).count(), 1);
    });
}

/// Two calls end, and each of them makes the round clean.
///
/// Fails when: reports of an earlier round count; a thread that is about to begin a round moves the
/// begin of the current one.
#[test]
fn two_reports_that_both_complete_a_round_end_it_once() {
    model(preemptions(3), || {
        let shared = ramp_in(almost_clean());
        race(
            &shared,
            [
                |shared| report_of_the_first(shared, true),
                |shared| report_of_the_first(shared, true),
            ],
        );
        let next = Round::first(Share::ALL, RampMode::Fast);
        assert_eq!(round(&shared.0), Round { number: 1, ..next });
        assert_eq!(shared.0.load().generation(), FIRST);
    });
}

/// A call makes the round clean while another one reports a failure.
///
/// Fails when: reports of an earlier round count.
#[test]
fn a_failure_belongs_to_its_round_or_changes_nothing() {
    model(UNBOUNDED, || {
        let shared = ramp_in(almost_clean());
        race(
            &shared,
            [
                |shared| report_of_the_first(shared, true),
                |shared| report_of_the_first(shared, false),
            ],
        );
        let next = Round::first(Share::ALL, RampMode::Fast);
        let ended = Round { number: 1, ..next };
        let spoilt = Round {
            good: 4,
            bad: 1,
            ..half()
        };
        let there = round(&shared.0);
        assert!(there == ended || there == spoilt, "{there:?}");
    });
}

/// A thread that sees the next round ends it at once if it seems to have begun long ago.
///
/// Fails when: the begin of a round is noted after the round was begun.
#[test]
fn who_sees_a_round_sees_when_it_began() {
    model(UNBOUNDED, || {
        let shared = ramp_in(almost_clean());
        race(
            &shared,
            [
                |shared| report_of_the_first(shared, true),
                |shared| {
                    let seen = round(&shared.0);
                    if seen.number == 1 {
                        for _ in 0..8 {
                            report(shared, ticket(FIRST, seen), true);
                        }
                    }
                },
            ],
        );
        assert_eq!(shared.0.load().generation(), FIRST, "not closed yet");
        assert_eq!(round(&shared.0).number, 1);
    });
}

/// A failure cuts a ramp. A thread that sees the cut round finds the date of the cut. It may trip
/// the breaker next, and goes by that date.
///
/// Fails when: the cut is noted after its round was begun.
#[test]
fn who_sees_a_cut_sees_when_it_was() {
    model(UNBOUNDED, || {
        let almost_cut = Round { bad: 2, ..half() };
        let shared = ramp_in(almost_cut);
        race(
            &shared,
            [
                |shared| report_of_the_first(shared, false),
                |(state, ramp)| {
                    if round(state).at_cut > 0 {
                        assert_eq!(ramp.latest_cut(), date_of(LATER));
                    }
                },
            ],
        );
        assert!(round(&shared.0).at_cut > 0);
    });
}

/// A call of a ramp ends while the ramp is ended and another one begins.
///
/// Fails when: reports of an earlier generation count.
#[test]
fn a_report_of_an_earlier_ramp_changes_nothing() {
    model(preemptions(3), || {
        let shared = ramp_in(half());
        race(
            &shared,
            [
                |shared| report_of_the_first(shared, false),
                |shared| assert!(start(shared, LATER)),
            ],
        );
        let there = round(&shared.0);
        assert_eq!(there, there.without_counts());
        let third = FIRST.next().next().next();
        assert_eq!(shared.0.load().generation(), third);
    });
}

/// Two callers find that no call has reported.
///
/// Fails when: a thread ends a ramp of an ended generation.
#[test]
fn of_two_that_end_a_ramp_one_does() {
    model(UNBOUNDED, || {
        let shared = ramp_in(half());
        let leave = |(state, _): &(AtomicState, Ramp)| state.leave(FIRST, OPEN()).is_some();
        let left = race(&shared, [leave, leave]);
        assert_eq!(left.iter().filter(|left| **left).count(), 1);
        assert_eq!(shared.0.load().generation(), FIRST.next());
    });
}

/// A probe is forced and starts a ramp.
fn start((state, ramp): &(AtomicState, Ramp), now: u64) -> bool {
    state.force(OPEN());
    let probing = state.force(Phase::PROBING).generation;
    let probe = RampReport {
        ticket: ticket(probing, half()),
        is_good: true,
        began: now,
        now,
        spacing: SPACING,
        dispersion: 1.0,
        tolerates_more: false,
    };
    ramp.start(state, probe, 0).is_some()
}

fn report_at((state, ramp): &(AtomicState, Ramp), now: u64) {
    let report = RampReport {
        ticket: ticket(state.load().generation(), round(state)),
        is_good: true,
        began: now,
        now,
        spacing: SPACING,
        dispersion: 1.0,
        tolerates_more: false,
    };
    ramp.report(state, report, OPEN);
}

/// A report makes a round clean, but sleeps until another ramp is in its second round.
///
/// Fails when: `Ramp::report` stores the begin of the next round instead of raising it.
#[test]
fn a_report_that_slept_makes_no_later_round_older() {
    model(preemptions(2), || {
        const MUCH_LATER: u64 = 4 * LATER;
        let shared = ramp_in(almost_clean());
        race(
            &shared,
            [
                |shared| report_of_the_first(shared, true),
                |shared| {
                    start(shared, LATER);
                    while round(&shared.0).number == 0 {
                        report_at(shared, MUCH_LATER);
                    }
                },
            ],
        );
        (0..8).for_each(|_| report_at(&shared, MUCH_LATER));
        assert_eq!(round(&shared.0).number, 1, "it has just begun");
    });
}

/// Two calls make a round clean, and one of the callers asks again in the next round. That call
/// counts in the next round, though the other report comes late.
///
/// Fails when: the sum of the shares is loaded after the state; a caller that asks publishes
/// nothing.
#[test]
fn a_call_that_asks_in_a_round_counts_in_it() {
    model(preemptions(3), || {
        let shared = ramp_in(almost_clean());
        race(
            &shared,
            [
                |shared| report_of_the_first(shared, true),
                |shared| {
                    report_of_the_first(shared, true);
                    let next = round(&shared.0);
                    assert_eq!(next.number, 1);
                    assert_eq!(shared.1.ask(next, LATER, u64::MAX, SPACING), Ask::Admitted);
                },
            ],
        );
        assert_eq!(shared.1.asked_in(round(&shared.0)), 1);
    });
}

/// Two calls of different durations end. The ramp then waits for its calls as long as the slower
/// one needs.
///
/// Fails when: `Ramp::learn` stores instead of raising.
#[test]
fn of_two_calls_that_come_back_the_slower_one_counts() {
    model(UNBOUNDED, || {
        const TIMEOUT: u64 = 1_000;
        let shared = ramp_in(half());
        assert!((0..2).any(|_| ask(&shared.1)));
        race(
            &shared,
            [
                |(_, ramp)| ramp.learn(2 * TIMEOUT),
                |(_, ramp)| ramp.learn(3 * TIMEOUT),
            ],
        );
        let asked = shared.1.ask(half(), LATER + 5 * TIMEOUT, TIMEOUT, SPACING);
        assert_ne!(asked, Ask::Overdue);
    });
}

/// A round with so little of the load that it isn't to blame for failures, but with enough for the
/// traffic.
fn little() -> Round {
    Round::first(Share::nearest(0.09), RampMode::Cautious)
}

/// When a ramp that began at zero has lasted long.
const LONG: u64 = 9 * LATER;

/// Reports that many good calls of an earlier round at `now`. The ramp counts them; the round
/// doesn't. So many calls ask that the traffic hasn't fallen.
fn report_earlier((state, ramp): &(AtomicState, Ramp), calls: u32, now: u64) {
    let all = Round::first(Share::ALL, RampMode::Fast);
    for _ in 0..50 {
        ramp.ask(all, now, u64::MAX, SPACING);
    }
    let earlier = Round {
        number: 200,
        ..little()
    };
    for _ in 0..calls {
        let report = RampReport {
            ticket: ticket(state.load().generation(), earlier),
            is_good: true,
            began: now,
            now,
            spacing: SPACING,
            dispersion: 1.0,
            tolerates_more: false,
        };
        ramp.report(state, report, OPEN);
    }
}

/// A call of the round fails at `now`. One failure decides nothing.
fn report_bad((state, ramp): &(AtomicState, Ramp), generation: Generation, now: u64) {
    let report = RampReport {
        ticket: ticket(generation, little()),
        is_good: false,
        began: now,
        now,
        spacing: SPACING,
        dispersion: 1.0,
        tolerates_more: false,
    };
    ramp.report(state, report, OPEN);
}

fn is_closed(state: &AtomicState) -> bool {
    state.load().phase() == Phase::Closed
}

/// A long ramp is over with its hundredth report.
///
/// Fails when: `Ramp::count` stores instead of exchanging.
#[test]
fn of_two_reports_of_a_long_ramp_both_are_counted() {
    model(preemptions(3), || {
        let shared = ramp_in(little());
        report_earlier(&shared, 98, LONG);
        assert!(!is_closed(&shared.0));
        race(
            &shared,
            [
                |shared| report_bad(shared, FIRST, LONG),
                |shared| report_bad(shared, FIRST, LONG),
            ],
        );
        assert!(is_closed(&shared.0), "one of the hundred is lost");
    });
}

/// Fails when: `Ramp::count` adds to the counts of any ramp.
#[test]
fn a_long_ramp_is_not_over_by_the_reports_of_an_earlier_one() {
    model(preemptions(3), || {
        let shared = ramp_in(little());
        report_earlier(&shared, 98, LONG);
        let next = shared.0.force(Phase::Ramp(little().pack())).generation;
        assert_eq!(next, FIRST.next());
        race(
            &shared,
            [
                |shared| report_bad(shared, FIRST, LONG),
                |shared| report_bad(shared, FIRST.next(), LONG),
            ],
        );
        assert!(!is_closed(&shared.0));
    });
}

/// A probe of the first generation comes back at `now`. Returns whether it begins a ramp.
fn begin_little((state, ramp): &(AtomicState, Ramp), now: u64) -> bool {
    let probe = RampReport {
        ticket: ticket(FIRST, little()),
        is_good: true,
        began: now,
        now,
        spacing: SPACING,
        dispersion: 1.0,
        tolerates_more: false,
    };
    ramp.start(state, probe, 0).is_some()
}

/// Fails when: `Ramp::start` stores when the ramp begins instead of raising it.
#[test]
fn a_probe_that_comes_late_makes_no_ramp_look_long() {
    model(preemptions(3), || {
        let shared = Arc::new((
            AtomicState::new(Phase::PROBING),
            Ramp::new(0.25, 0.45, Clients::ONE),
        ));
        let [_, has_begun] = race(
            &shared,
            [
                |shared| begin_little(shared, 1),
                |shared| begin_little(shared, LONG),
            ],
        );
        // The ramp goes on with little of the load.
        shared.0.force(Phase::Ramp(little().pack()));
        report_earlier(&shared, 120, LONG);
        report_bad(&shared, shared.0.load().generation(), LONG);
        assert!(!has_begun || !is_closed(&shared.0), "it has just begun");
    });
}

/// Two probes come back. The caller of one of them asks in the ramp, and its call counts there,
/// though the other probe comes late.
///
/// Fails when: the sum of the shares is loaded after the state.
#[test]
fn a_probe_that_comes_late_hides_no_call_that_asked() {
    model(preemptions(3), || {
        let shared = Arc::new((
            AtomicState::new(Phase::PROBING),
            Ramp::new(0.25, 0.45, Clients::ONE),
        ));
        race(
            &shared,
            [
                |shared| {
                    begin_little(shared, LATER);
                },
                |shared| {
                    begin_little(shared, LATER);
                    shared.1.ask(round(&shared.0), LATER, u64::MAX, SPACING);
                },
            ],
        );
        assert_eq!(shared.1.asked_in(round(&shared.0)), 1);
    });
}

/// A thread that finds the fleet's round takes the ramp over, unless another has.
fn take_over((state, ramp): &(AtomicState, Ramp)) {
    let seen = state.load();
    if let Phase::Ramp(led) = seen.phase()
        && led.unpack().is_ordered()
    {
        let _taken_by_another = ramp.take_over(state, (seen, led.unpack()), LATER);
    }
}

/// A fleet's order ends, and two threads go on with the ramp. One of them then asks in the first
/// own round, and its call counts there, though the other thread comes late.
///
/// Fails when: `take_over` loads the sum of the shares relaxed; it doesn't look at the state again.
#[test]
fn a_thread_that_takes_over_late_hides_no_call_that_asked() {
    model(preemptions(3), || {
        let led = Round::ordered(1, Share::nearest(0.5));
        let shared = Arc::new((
            AtomicState::new(Phase::Ramp(led.pack())),
            Ramp::new(0.25, 0.45, Clients::ONE),
        ));
        race(
            &shared,
            [take_over, |shared| {
                take_over(shared);
                shared.1.ask(round(&shared.0), LATER, u64::MAX, SPACING);
            }],
        );
        assert_eq!(shared.1.asked_in(round(&shared.0)), 1);
    });
}
