//! What must hold whatever members send, in whatever order.

mod clocks;
mod deafness;
mod outages;

use proptest::prelude::*;

use super::FleetSums;
use crate::message::{AfterProbe, AfterRound, AskLease, Claim, FleetView, Member};
use crate::message::{ProbeResult, Pulse, Report, Round, SHARE, Sender, Step, Sums, Trip};
use crate::verdict::{Failures, Judge};

const START: u64 = 1_790_000_000_000;

fn judge() -> Judge {
    let breaker = tripcurve::CircuitBreaker::builder("any").build().unwrap();
    Judge::new(breaker.fleet_port().unwrap().rule().unwrap())
}

fn sender(member: u64) -> Sender {
    Sender::new(Member(member))
}

fn report(member: u64, number: u64, failures: u32, each: u32, spread_ms: u32) -> Report {
    let it = Failures {
        failures,
        surprise: failures * each,
        spread_ms,
    };
    judge().report(sender(member), number, it)
}

fn pulse(member: u64, rate: u64) -> Pulse {
    Pulse {
        sender: sender(member),
        rate,
        normal: 655,
    }
}

/// A fleet that has been through something: members with rates, and an excursion that began some
/// time ago.
fn fleets() -> impl Strategy<Value = FleetSums> {
    let step = (0..200_u64, 0..20_u64, 0..5_000_u64, 0..4_u32, 0..2_048_u32);
    prop::collection::vec(step, 0..40).prop_map(|steps| {
        let mut sums = FleetSums::default();
        let mut now = START;
        for member in 0..20 {
            sums.pulse(&pulse(member, 0), now).unwrap();
        }
        for (number, (wait, member, rate, failures, each)) in (1..).zip(steps) {
            now += wait;
            sums.pulse(&pulse(member, rate), now).unwrap();
            if failures > 0 {
                let it = report(member, number, failures, each, 0);
                sums.report(&it, now).unwrap();
            }
        }
        sums
    })
}

/// Reports of different members at one moment.
fn batches() -> impl Strategy<Value = Vec<Report>> {
    let one = (1..=60_u32, 0..=2_048_u32, 0..1_000_u32);
    prop::collection::vec(one, 1..10).prop_map(|them| {
        let reports = (0..).zip(them);
        let number = 1_000;
        reports
            .map(|(at, (failures, each, spread))| report(at, number, failures, each, spread))
            .collect()
    })
}

fn all(mut sums: FleetSums, reports: &[Report], now: u64) -> FleetSums {
    for it in reports {
        sums.report(it, now).unwrap();
    }
    sums
}

proptest! {
    #[test]
    fn the_order_of_reports_of_one_moment_changes_nothing(
        sums in fleets(),
        (reports, shuffled) in batches()
            .prop_flat_map(|reports| (Just(reports.clone()), Just(reports).prop_shuffle())),
        later in 0..5_000_u64,
    ) {
        let now = sums.last.max(START) + later;
        prop_assert_eq!(all(sums.clone(), &reports, now), all(sums, &shuffled, now));
    }

    #[test]
    fn a_report_that_is_sent_again_changes_nothing(
        sums in fleets(),
        reports in batches(),
        later in 0..5_000_u64,
    ) {
        let now = sums.last.max(START) + later;
        let once = all(sums, &reports, now);
        prop_assert_eq!(all(once.clone(), &reports, now), once);
    }

    #[test]
    fn a_batch_counts_like_its_parts(
        sums in fleets(),
        (failures, part) in (2..=255_u32).prop_flat_map(|all| (Just(all), 1..all)),
        each in 0..=2_048_u32,
        spread in 0..1_000_u32,
        later in 0..5_000_u64,
    ) {
        let now = sums.last.max(START) + later;
        let whole = all(sums.clone(), &[report(1, 1_001, failures, each, spread)], now);
        let parts = [
            report(1, 1_000, part, each, spread),
            report(1, 1_001, failures - part, each, spread),
        ];
        prop_assert_eq!(all(sums, &parts, now), whole);
    }

    #[test]
    fn a_message_out_of_bounds_changes_nothing(sums in fleets(), later in 0..5_000_000_u64) {
        let now = sums.last.max(START) + later;
        let mut after = sums.clone();
        let mut it = report(1, 1_000, 255, 2_048, 0);
        it.surprise += 1;
        prop_assert!(after.report(&it, now).is_err());
        prop_assert_eq!(after, sums);
    }

    #[test]
    fn more_failures_never_lose_evidence(
        sums in fleets(),
        reports in batches(),
        later in 0..5_000_u64,
    ) {
        let now = sums.last.max(START) + later;
        let before = all(sums, &reports[1..], now);
        let mut after = before.clone();
        let more = after.report(&reports[0], now).unwrap().answer;
        // The same excursion as that of any other report of this moment.
        if before.usual.number == more.usual.excursion {
            prop_assert!(more.usual.failures >= before.usual.sums(now).failures);
            prop_assert!(more.usual.surprise >= before.usual.sums(now).surprise);
        }
    }

    /// The honest failures aren't enough for what must remain: two thirds of the threshold.
    #[test]
    fn two_members_alone_never_trip_the_fleet(
        steps in prop::collection::vec(liars_step(), 1..120),
    ) {
        let judge = judge();
        let mut sums = FleetSums::default();
        let mut now = START;
        for member in 0..6 {
            sums.pulse(&pulse(member, 5_000), now).unwrap();
        }
        sums.report(&report(5, 1, 1, 1_179, 0), now).unwrap();
        for (number, step) in (2..).zip(steps) {
            now += step.wait;
            let liar = step.liar;
            if let Some(rate) = step.rate {
                sums.pulse(&Pulse { normal: step.normal, ..pulse(liar, rate) }, now).unwrap();
            }
            let it = report(liar, number, step.failures, step.each, step.spread);
            sums.report(&it, now).unwrap();
            let weighed = sums.weigh(&judge.weigh(sender(3)), now).unwrap().answer;
            let trip = judge.trip(&weighed, sender(3), 100);
            prop_assert!(trip.is_none(), "{weighed:?}");
        }
    }

    #[test]
    fn epochs_never_repeat_and_one_member_wins(
        steps in prop::collection::vec((0..2_000_u64, 0..12_u8, 0..3_u64), 1..200),
    ) {
        run(steps)?;
    }
}

#[derive(Clone, Copy, Debug)]
struct LiarsStep {
    wait: u64,
    liar: u64,
    rate: Option<u64>,
    normal: u32,
    failures: u32,
    each: u32,
    spread: u32,
}

fn liars_step() -> impl Strategy<Value = LiarsStep> {
    let rate = prop_oneof![Just(0), 1..100_000_u64, Just(crate::message::MAX_RATE)];
    let report = (
        1..=255_u32,
        0..=2_048_u32,
        prop_oneof![Just(0), 0..=60_000_u32],
    );
    let other = (
        prop_oneof![Just(0), 0..3_000_u64],
        0..2_u64,
        prop::option::of(rate),
        0..=SHARE / 4,
    );
    (report, other).prop_map(
        |((failures, each, spread), (wait, liar, rate, normal))| LiarsStep {
            wait,
            liar,
            rate,
            normal,
            failures,
            each,
            spread,
        },
    )
}

/// What three members do: each knows the state of its last answer. The store may lose its data.
#[expect(clippy::too_many_lines)]
fn run(steps: Vec<(u64, u8, u64)>) -> Result<(), TestCaseError> {
    let mut sums = FleetSums::default();
    let mut now = START;
    let mut known = [FleetView::default(); 3];
    let mut seen: Vec<FleetView> = Vec::new();
    for (number, (wait, act, member)) in (1..).zip(steps) {
        now += wait;
        let at = usize::try_from(member).unwrap();
        let view = known[at];
        let sender = Sender::knowing(Member(member), &view);
        let (epoch, round) = (view.epoch, view.round.max(1));
        let step = |next| Step {
            sender,
            epoch,
            round,
            next,
        };
        let (announced, after) = match act {
            0..=2 => {
                let it = report(member, number, 1, 1_000, 0);
                let it = Report { sender, ..it };
                let reported = sums.report(&it, now).unwrap();
                let claim = |sums: Sums| Claim {
                    excursion: sums.excursion,
                    failures: sums.failures,
                    surprise: sums.surprise,
                };
                let trip = Trip {
                    sender,
                    epoch: reported.answer.view.epoch,
                    at_ms: reported.answer.view.at_ms,
                    usual: claim(reported.answer.usual),
                    tolerated: None,
                    wait_ms: 100,
                };
                let mut announced: Vec<_> = reported.announced.into_iter().collect();
                if act == 0 && trip.usual.excursion > 0 && trip.usual.failures > 0 {
                    let first = sums.trip(&trip, now).unwrap();
                    let second = sums.trip(&trip, now).unwrap();
                    prop_assert!(!second.answer.won);
                    announced.extend(first.announced);
                }
                (announced, reported.answer.view)
            }
            3..=5 => {
                let ask = AskLease {
                    sender,
                    epoch,
                    rate: 5_000,
                    check: act == 3,
                    wait_ms: 200,
                };
                let leased = sums.lease(&ask, now).unwrap();
                let mut announced: Vec<_> = leased.announced.into_iter().collect();
                let mut after = leased.answer.view;
                if let Some(lease) = leased.answer.lease {
                    prop_assert!((1..=1_000).contains(&lease.ends_ms), "a lease ends");
                    let next = if act == 4 {
                        AfterProbe::Turn { wait_ms: 100 }
                    } else {
                        AfterProbe::Ramp { share: 655 }
                    };
                    let result = ProbeResult {
                        sender,
                        epoch,
                        turn: lease.turn,
                        next,
                    };
                    let first = sums.result(&result, now).unwrap();
                    let second = sums.result(&result, now).unwrap();
                    prop_assert!(first.answer.counted && !second.answer.counted);
                    announced.extend(first.announced);
                    after = second.answer.view;
                }
                (announced, after)
            }
            6..=9 => {
                let next = match act {
                    6 => AfterRound::Close,
                    7 => AfterRound::Open { wait_ms: 100 },
                    _ => AfterRound::Round { share: 6_554 },
                };
                let calls = Round {
                    sender,
                    number,
                    epoch,
                    round,
                    good: 5,
                    bad: 1,
                };
                let rounded = sums.round(&calls, now).unwrap();
                let first = sums.step(&step(next), now).unwrap();
                let second = sums.step(&step(next), now).unwrap();
                prop_assert!(!second.answer.won, "one step wins");
                let announced = rounded
                    .announced
                    .into_iter()
                    .chain(first.announced)
                    .collect();
                (announced, second.answer.view)
            }
            10 => {
                sums = FleetSums::default();
                continue;
            }
            _ => {
                let it = Pulse {
                    sender,
                    ..pulse(member, 1_000)
                };
                let pulsed = sums.pulse(&it, now).unwrap();
                (pulsed.announced.into_iter().collect(), pulsed.answer.view)
            }
        };
        for view in announced {
            // Epoch, state, round and turn say what the fleet does, for ever.
            let order = |it: &FleetView| (it.epoch, it.round, it.turn);
            for before in &seen {
                if before.epoch == view.epoch {
                    prop_assert_eq!(before.state, view.state);
                }
                if order(before) == order(&view) {
                    prop_assert_eq!(before.share, view.share);
                }
            }
            seen.push(view);
            // All members hear it, if nothing is lost.
            known = [view; 3];
        }
        known[at] = after;
    }
    Ok(())
}

#[test]
fn time_never_goes_back() {
    let mut sums = FleetSums::default();
    sums.pulse(&pulse(1, 1_000), START).unwrap();
    sums.report(&report(1, 1, 1, 2_048, 0), START).unwrap();
    let back = sums
        .report(&report(1, 2, 1, 2_048, 0), START - 5_000)
        .unwrap()
        .answer;
    assert_eq!((back.view.at_ms, back.usual.expected), (START, 0));
}

#[test]
fn an_hour_without_messages_empties_a_fleet() {
    let mut sums = FleetSums::default();
    sums.report(&report(1, 1, 1, 2_048, 0), START).unwrap();
    let later = START + super::LIFETIME_MS;
    let pulsed = sums.pulse(&pulse(2, 1_000), later).unwrap().answer;
    let mut fresh = FleetSums::default();
    assert_eq!(fresh.pulse(&pulse(2, 1_000), later).unwrap().answer, pulsed);
    assert_eq!(fresh, sums);
}

#[test]
fn too_many_failing_members_begin_anew() {
    let mut sums = FleetSums::default();
    for member in 0..3_000 {
        sums.pulse(&pulse(member, 0), START).unwrap();
        sums.report(&report(member, 1, 1, 2_048, 0), START).unwrap();
    }
    assert_eq!(sums.entries.len(), 3_000 - super::MAX_ENTRIES);
    assert_eq!(sums.usual.sums(START).failures, 3_000 - 2_048);
}
