//! Cache line transfers of a breaker that decides by evidence.

use std::time::Duration;

use tripcurve::__model::{
    AdaptiveConfig, Core, Evidence, OptionalParts, Parts, Probes, Ring, Settings, Switch,
    ThreadSlot, TimeRing,
};
use tripcurve::{Outcome, State, TripPolicy};

use super::{
    BUCKETS, CALLS, SELDOM, Subject, WIDTH, bytes_of, check, failure, seldom_failure, success,
};

fn subject_that(config: AdaptiveConfig) -> Subject {
    let settings = Settings {
        name: "cache lines".into(),
        policies: [TripPolicy::from(TripPolicy::adaptive())].into(),
        open_for: u64::MAX,
        probes: Probes::all(3),
        probe_timeout: u64::MAX,
        on_cancel: Outcome::Ignored,
        switch: Switch::default(),
    };
    let evidence = Box::new(Evidence::new(config, u64::from(BUCKETS) * WIDTH));
    // Both are separate allocations. Only calls that weigh evidence read the fields of the first,
    // so not every call does. Their further accesses to words are noted.
    let words = bytes_of(&*evidence);
    let beside = OptionalParts {
        evidence: Some(evidence),
        ..OptionalParts::default()
    }
    .boxed();
    let bytes = bytes_of(beside.as_deref().unwrap());
    let ring = Ring::Time(TimeRing::new(WIDTH, BUCKETS, ThreadSlot::OWNED, false));
    ring.grow();
    let core = Core::new(
        Parts {
            settings,
            ring,
            optional: beside,
        },
        None,
        State::Closed,
        0,
    );
    let mut subject = Subject::of(core);
    subject.plain.push(bytes.clone());
    subject.loose.extend([bytes, words]);
    subject
}

/// A grown window, and the default policy.
pub(super) fn subject() -> Subject {
    subject_that(AdaptiveConfig {
        tolerate: 0.25,
        false_trip_budget: Duration::from_secs(86_400),
    })
}

/// A grown window, and an adaptive policy whose budget no evidence reaches.
pub(super) fn never_tripping() -> Subject {
    subject_that(AdaptiveConfig {
        tolerate: 0.99,
        false_trip_budget: Duration::MAX,
    })
}

/// Fails when: `Core::after_success` restarts the run of failures even if there is none.
#[test]
fn a_success_without_evidence_transfers_no_line_however_many_cores_there_are() {
    check(subject, success, &[CALLS], |_| 0);
}

/// Four lines for a failure that isn't weighed, plus the excursion and the date of the latest
/// failure, each read and then written. While the evidence still rises, its height is written too.
///
/// Fails when: each failure measures the traffic.
#[test]
fn a_failure_that_is_weighed_transfers_at_most_eight_lines_however_many_cores_there_are() {
    check(never_tripping, failure, &[CALLS], |_| {
        8 * CALLS + CALLS / 50
    });
}

/// Eight lines for the failure, and those of some ten successes that are weighed against it: the
/// excursion, read and then written, and the baseline. Then come the lesson, and one line for each
/// core that checks for evidence.
///
/// Fails when: the note stays after the evidence has ended; each failure measures the traffic.
#[test]
fn a_seldom_failure_that_is_weighed_transfers_four_dozen_lines_and_one_to_each_core() {
    let failures = CALLS.div_ceil(SELDOM);
    let allowed = |cores| failures * (cores + 48);
    check(subject, seldom_failure, &[CALLS], allowed);
}
