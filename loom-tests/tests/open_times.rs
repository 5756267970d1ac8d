//! Growing open times: among concurrent events, each failed recovery counts once, and nothing else
//! counts.

use std::time::Duration;

use loom_tests::sync::Arc;
use loom_tests::{UNBOUNDED, model, preemptions, race};
use tripcurve::__model::{
    Core, FixedContext, Generation, LatestOpening, OpenTimes, OptionalParts, Parts, Probes, Ring,
    Settings, Streak, Switch, Ticket, TimeRing,
};
use tripcurve::recovery::{Backoff, Jitter};
use tripcurve::{Outcome, State, TripPolicy};

/// The first open time, a whole number of the units in which it is noted.
const FIRST: u64 = 1 << 20;

fn times() -> OpenTimes {
    let (first, longest) = (Duration::from_nanos(FIRST), Duration::from_secs(1));
    let backoff = Backoff::exponential(first, 2.0, longest).jitter(Jitter::None);
    OpenTimes::new(backoff)
}

/// A breaker that trips on one failure, and closes after `probes` successful probes.
fn core(probes: u32) -> Core {
    let settings = Settings {
        name: "model".into(),
        policies: [TripPolicy::failure_count(1)].into(),
        open_for: FIRST,
        probes: Probes::all(probes),
        probe_timeout: FIRST,
        on_cancel: Outcome::Ignored,
        switch: Switch::default(),
    };
    let ring = TimeRing::new(1 << 30, 1, 1, false);
    let beside = OptionalParts {
        open_times: Some(Box::new(times())),
        ..OptionalParts::default()
    }
    .boxed();
    Core::new(
        Parts {
            settings,
            ring: Ring::Time(ring),
            optional: beside,
        },
        None,
        State::Closed,
        0,
    )
}

fn at(nanos: u64) -> FixedContext {
    FixedContext::on_first_thread_slot(nanos)
}

fn call(core: &Core, outcome: Outcome, nanos: u64) {
    if let Ok(ticket) = core.admit(&at(nanos)) {
        core.record(ticket, outcome, None, &at(nanos));
    }
}

/// The open time of a breaker that has just opened, or that opens now.
fn opens_for(core: &Core, nanos: u64) -> u64 {
    call(core, Outcome::Failure, nanos);
    let left = core.snapshot(&at(nanos)).remaining_open();
    u64::try_from(left.expect("it is open").as_nanos()).unwrap()
}

/// A breaker that closed at `3 * FIRST`, after one failed recovery.
fn closed_after_one_failed() -> Core {
    let core = core(1);
    call(&core, Outcome::Failure, 0);
    call(&core, Outcome::Failure, FIRST);
    call(&core, Outcome::Success, 3 * FIRST);
    assert_eq!(core.state(), State::Closed);
    core
}

/// Two threads both find a reason to trip, soon after a recovery.
///
/// Fails when: a thread that doesn't win notes an opening.
#[test]
fn of_two_trips_one_counts() {
    model(preemptions(1).full(2), || {
        let core = Arc::new(closed_after_one_failed());
        let fail = |core: &Core| call(core, Outcome::Failure, 3 * FIRST);
        race(&core, [fail, fail]);
        let open = core.snapshot(&at(3 * FIRST)).remaining_open();
        assert_eq!(open, Some(Duration::from_nanos(4 * FIRST)));
        // The probe after this opening fails, too.
        assert_eq!(opens_for(&core, 7 * FIRST), 8 * FIRST);
    });
}

/// A trip and a reset come soon after a recovery.
///
/// Fails when: a reset clears the openings only after its state change, or only before it.
#[test]
fn a_trip_before_a_reset_counts_nothing_after_it() {
    model(preemptions(2), || {
        let core = Arc::new(closed_after_one_failed());
        race(
            &core,
            [
                |core: &Core| call(core, Outcome::Failure, 3 * FIRST),
                |core: &Core| core.reset(3 * FIRST),
            ],
        );
        let snapshot = core.snapshot(&at(3 * FIRST));
        if snapshot.state() == State::Closed {
            assert_eq!(opens_for(&core, 3 * FIRST), FIRST, "the reset was last");
        } else {
            let open = snapshot.remaining_open();
            assert_eq!(open, Some(Duration::from_nanos(FIRST)), "the trip was last");
            assert_eq!(opens_for(&core, 4 * FIRST), 2 * FIRST);
        }
    });
}

/// An overdue probe fails while the probe that took its place succeeds.
///
/// Fails when: a thread that doesn't win notes an opening.
#[test]
fn a_late_failure_of_a_breaker_that_closes_is_no_failed_recovery() {
    model(preemptions(2), || {
        let core = core(1);
        call(&core, Outcome::Failure, 0);
        let late = core.admit(&at(FIRST)).expect("it is the probe");
        let probe = core.admit(&at(2 * FIRST)).expect("it takes its place");
        let shared = Arc::new((core, [late, probe]));
        race(
            &shared,
            [
                |(core, [late, _]): &Probing| settle(core, *late, Outcome::Failure),
                |(core, [_, probe]): &Probing| settle(core, *probe, Outcome::Success),
            ],
        );
        let core = &shared.0;
        assert_eq!(core.state(), State::Closed);
        assert_eq!(opens_for(core, 2 * FIRST), 2 * FIRST);
    });
}

type Probing = (Core, [Ticket; 2]);

fn settle(core: &Core, ticket: Ticket, outcome: Outcome) {
    core.record(ticket, outcome, None, &at(2 * FIRST));
}

/// Two probes fail.
///
/// Fails when: a thread that doesn't win notes an opening.
#[test]
fn of_two_probes_that_fail_one_counts() {
    model(preemptions(2), || {
        let core = core(2);
        call(&core, Outcome::Failure, 0);
        let probe = || core.admit(&at(FIRST)).expect("it is half-open");
        let probes = [probe(), probe()];
        let shared = Arc::new((core, probes));
        race(
            &shared,
            [
                |(core, [probe, _]): &Probing| settle(core, *probe, Outcome::Failure),
                |(core, [_, probe]): &Probing| settle(core, *probe, Outcome::Failure),
            ],
        );
        let open = shared.0.snapshot(&at(2 * FIRST)).remaining_open();
        assert_eq!(open, Some(Duration::from_nanos(2 * FIRST)));
        assert_eq!(opens_for(&shared.0, 4 * FIRST), 4 * FIRST);
    });
}

fn note(latest: &LatestOpening, generation: Generation, failed: u8) {
    latest.note(
        generation,
        Streak {
            failed,
            wait: FIRST,
        },
    );
}

/// Two winners of successive openings note them in either order.
///
/// Fails when: an opening replaces a later one.
#[test]
fn the_later_of_two_openings_stays_noted() {
    model(UNBOUNDED, || {
        let latest = Arc::new(LatestOpening::new(0));
        race(
            &latest,
            [
                |latest| note(latest, Generation::FIRST.next(), 1),
                |latest| note(latest, Generation::FIRST.next().next(), 2),
            ],
        );
        assert_eq!(latest.get().failed, 2);
    });
}
