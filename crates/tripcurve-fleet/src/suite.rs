//! Checks that every [`Store`] must pass.
//!
//! [`check`] runs all of them. They panic where the store differs from what
//! [`FleetSums`](crate::sums::FleetSums) computes.
//!
//! ```
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicU64, Ordering};
//! use tripcurve_fleet::{memory::MemoryStore, suite};
//!
//! struct Stage(MemoryStore, Arc<AtomicU64>);
//!
//! impl suite::Stage for Stage {
//!     type Store = MemoryStore;
//!
//!     fn store(&self) -> &MemoryStore {
//!         &self.0
//!     }
//!
//!     async fn advance(&self, ms: u64) {
//!         self.1.fetch_add(ms, Ordering::Relaxed);
//!     }
//!
//!     async fn clear(&self) {
//!         self.0.clear();
//!     }
//! }
//!
//! # let executor = tokio::runtime::Builder::new_current_thread().build()?;
//! # executor.block_on(async {
//! let time = Arc::new(AtomicU64::new(1_000_000));
//! let clock = Arc::clone(&time);
//! let store = MemoryStore::with_clock(move || clock.load(Ordering::Relaxed));
//! suite::check(&Stage(store, time)).await;
//! # });
//! # Ok::<(), std::io::Error>(())
//! ```

use std::future::{Future, poll_fn};
use std::pin::Pin;

use futures_core::Stream;

use crate::key::{FleetKey, Meaning};
use crate::message::{AfterProbe, AfterRound, Alternative, AskLease, Claim, FleetState, FleetView};
use crate::message::{Member, ProbeResult, Pulse, Report, Reported, Round, SHARE, Sender, Step};
use crate::message::{Trip, Tripped, Weigh};
use crate::store::{Announcement, Store, StoreError};

/// A store with a clock that the checks can move.
pub trait Stage {
    /// The store.
    type Store: Store;

    /// The store that is checked.
    fn store(&self) -> &Self::Store;

    /// Moves the store's time forward, by `ms` exactly. Its time stands still otherwise.
    fn advance(&self, ms: u64) -> impl Future<Output = ()>;

    /// Drops all of the store's data.
    fn clear(&self) -> impl Future<Output = ()>;
}

/// The outage that ends an excursion: 0.3 of the calls fail.
const LEAST: Alternative = Alternative {
    gain: -78_903,
    share: 19_661,
};

/// The same beyond a tolerated quarter: half of the calls.
const BEYOND: Alternative = Alternative {
    gain: 45_426,
    share: 16_384,
};

/// Runs all checks.
///
/// # Panics
/// The store fails a check.
pub async fn check(stage: &impl Stage) {
    a_report_counts_once(stage).await;
    rates_replace_each_other_and_fade(stage).await;
    expected_calls_grow_with_time(stage).await;
    a_message_out_of_bounds_changes_nothing(stage).await;
    one_trip_wins_and_is_announced(stage).await;
    a_trip_needs_the_sums_that_it_names(stage).await;
    old_news_do_not_count(stage).await;
    the_loudest_members_are_found(stage).await;
    leases_end_with_their_turn(stage).await;
    leases_suffice_for_two_calls(stage).await;
    the_first_result_ends_a_turn(stage).await;
    a_ramp_goes_up_by_steps_that_one_member_wins(stage).await;
    a_ramp_can_fail(stage).await;
    an_emptied_store_takes_over_what_members_know(stage).await;
    fleets_do_not_mix(stage).await;
}

/// A fleet that no other check uses.
fn key(check: &str) -> FleetKey {
    FleetKey::new("suite", "", check, Meaning::new(Some(0.25), None, ""))
}

fn member(number: u64) -> Sender {
    Sender::new(Member(number))
}

fn failure(sender: Sender, number: u64) -> Report {
    Report {
        sender,
        number,
        failures: 1,
        surprise: 1_179,
        spread_ms: 0,
        usual: LEAST,
        tolerated: Some(BEYOND),
    }
}

fn pulse(sender: Sender, rate: u64) -> Pulse {
    Pulse {
        sender,
        rate,
        normal: 655,
    }
}

fn claims(it: &Reported) -> Trip {
    let claim = |sums: crate::message::Sums| Claim {
        excursion: sums.excursion,
        failures: sums.failures,
        surprise: sums.surprise,
    };
    Trip {
        sender: member(1),
        epoch: it.view.epoch,
        at_ms: it.view.at_ms,
        usual: claim(it.usual),
        tolerated: Some(claim(it.tolerated)),
        wait_ms: 500,
    }
}

async fn report(stage: &impl Stage, key: &FleetKey, it: &Report) -> Reported {
    stage.store().report(key, it).await.expect("an answer")
}

async fn view(stage: &impl Stage, key: &FleetKey, sender: Sender, rate: u64) -> FleetView {
    let pulsed = stage.store().pulse(key, &pulse(sender, rate)).await;
    pulsed.expect("an answer").view
}

/// Opens a fleet. The first probe is due after 500 ms.
async fn open(stage: &impl Stage, key: &FleetKey) -> FleetView {
    let reported = report(stage, key, &failure(member(1), 1)).await;
    let Tripped { view, won } = stage
        .store()
        .trip(key, &claims(&reported))
        .await
        .expect("an answer");
    assert!(won, "{view:?}");
    view
}

/// Opens a fleet and begins a ramp.
async fn ramp(stage: &impl Stage, key: &FleetKey, share: u32) -> FleetView {
    let open = open(stage, key).await;
    stage.advance(500).await;
    let it = lease(stage, key, 1, open.epoch, 10_000)
        .await
        .expect("a lease");
    let result = ProbeResult {
        sender: member(1),
        epoch: open.epoch,
        turn: it,
        next: AfterProbe::Ramp { share },
    };
    let resulted = stage.store().result(key, &result).await.expect("an answer");
    assert!(resulted.counted);
    resulted.view
}

/// Returns the turn of the lease.
async fn lease(
    stage: &impl Stage,
    key: &FleetKey,
    number: u64,
    epoch: u64,
    rate: u64,
) -> Option<u64> {
    let ask = AskLease {
        sender: member(number),
        epoch,
        rate,
        check: false,
        wait_ms: 200,
    };
    let leased = stage.store().lease(key, &ask).await.expect("an answer");
    leased.lease.map(|it| it.turn)
}

async fn next<S: Stream<Item = Announcement> + Unpin>(announcements: &mut S) -> Announcement {
    let it = poll_fn(|context| Pin::new(&mut *announcements).poll_next(context)).await;
    it.expect("an announcement")
}

/// A report that is sent again changes nothing.
///
/// # Panics
/// The store fails the check.
pub async fn a_report_counts_once(stage: &impl Stage) {
    let key = key("once");
    let first = report(stage, &key, &failure(member(1), 1)).await;
    assert!(first.counted);
    assert_eq!((first.usual.failures, first.usual.surprise), (1, 1_179));
    assert_eq!((first.tolerated.failures, first.tolerated.surprise), (1, 0));
    let again = report(stage, &key, &failure(member(1), 1)).await;
    assert!(!again.counted);
    assert_eq!(
        (again.usual, again.tolerated),
        (first.usual, first.tolerated)
    );
    let second = report(stage, &key, &failure(member(2), 1)).await;
    assert_eq!((second.counted, second.usual.failures), (true, 2));
}

/// A member's newest rate counts, for one to two minutes.
///
/// # Panics
/// The store fails the check.
pub async fn rates_replace_each_other_and_fade(stage: &impl Stage) {
    let key = key("rates");
    view(stage, &key, member(1), 1_000).await;
    view(stage, &key, member(1), 3_000).await;
    let both = view(stage, &key, member(2), 1_000).await;
    assert_eq!((both.members, both.rate, both.normal), (2, 4_000, 655));
    stage.advance(59_999).await;
    assert_eq!(view(stage, &key, member(2), 500).await.rate, 3_500);
    stage.advance(60_001).await;
    let one = view(stage, &key, member(2), 500).await;
    assert_eq!((one.members, one.rate), (1, 500));
    stage.advance(120_000).await;
    assert_eq!(view(stage, &key, member(3), 7).await.members, 1);
}

/// The calls of an excursion are the announced rates times its age.
///
/// # Panics
/// The store fails the check.
pub async fn expected_calls_grow_with_time(stage: &impl Stage) {
    let key = key("calls");
    view(stage, &key, member(1), 10_000).await;
    let batch = Report {
        failures: 4,
        surprise: 4 * 2_048,
        spread_ms: 100,
        ..failure(member(1), 1)
    };
    let first = report(stage, &key, &batch).await.usual;
    // The batch was spread over 100 ms, in which one call was expected.
    assert_eq!((first.age_ms, first.expected), (100, 1_000_000));
    stage.advance(1_000).await;
    let second = report(stage, &key, &failure(member(2), 1)).await.usual;
    assert_eq!((second.failures, second.expected), (5, 11_000_000));
    assert_eq!(second.excursion, first.excursion);
    // After 500 expected calls no evidence is left.
    stage.advance(50_000).await;
    let third = report(stage, &key, &failure(member(2), 2)).await.usual;
    assert_eq!((third.failures, third.expected), (1, 0));
    assert!(third.excursion > second.excursion);
}

/// A message with one number out of bounds is refused whole.
///
/// # Panics
/// The store fails the check.
pub async fn a_message_out_of_bounds_changes_nothing(stage: &impl Stage) {
    let key = key("bounds");
    let before = report(stage, &key, &failure(member(1), 1)).await;
    let fine = failure(member(1), 2);
    let outside = [
        Report {
            failures: 0,
            surprise: 0,
            ..fine
        },
        Report {
            failures: 256,
            ..fine
        },
        Report {
            surprise: 2_049,
            ..fine
        },
        Report {
            spread_ms: 60_001,
            ..fine
        },
        Report {
            number: 1 << 53,
            ..fine
        },
        Report {
            usual: Alternative {
                share: SHARE + 1,
                ..LEAST
            },
            ..fine
        },
        Report {
            usual: Alternative {
                gain: 524_289,
                ..LEAST
            },
            ..fine
        },
        Report {
            sender: Sender {
                epoch: (1 << 53) - 1,
                ..fine.sender
            },
            ..fine
        },
        Report {
            sender: Sender {
                share: 0,
                ..fine.sender
            },
            ..fine
        },
    ];
    for it in outside {
        let answer = stage.store().report(&key, &it).await;
        assert!(
            matches!(answer, Err(StoreError::Refused(_))),
            "{it:?}: {answer:?}"
        );
    }
    let after = report(stage, &key, &failure(member(1), 1)).await;
    assert_eq!(
        (after.usual, after.view.epoch),
        (before.usual, before.view.epoch)
    );
}

/// Of two members that judge the same sums, one opens the fleet, and all are told.
///
/// # Panics
/// The store fails the check.
pub async fn one_trip_wins_and_is_announced(stage: &impl Stage) {
    let key = key("trip");
    let mut announcements = stage
        .store()
        .announcements("suite")
        .await
        .expect("a stream");
    let trip = claims(&report(stage, &key, &failure(member(1), 1)).await);
    let first = stage.store().trip(&key, &trip).await.expect("an answer");
    let second = stage.store().trip(&key, &trip).await.expect("an answer");
    assert!(first.won && !second.won);
    assert_eq!(first.view.state, FleetState::Open);
    assert_eq!(
        (first.view.share, first.view.turn, first.view.due_ms),
        (0, 1, 500)
    );
    assert!(first.view.epoch > trip.epoch);
    assert_eq!(second.view, first.view);
    let announcement = next(&mut announcements).await;
    assert_eq!(
        (&*announcement.key, announcement.view),
        (key.as_str(), first.view)
    );
}

/// Sums that have shrunk, another excursion and another epoch open nothing.
///
/// # Panics
/// The store fails the check.
pub async fn a_trip_needs_the_sums_that_it_names(stage: &impl Stage) {
    let key = key("claims");
    let trip = claims(&report(stage, &key, &failure(member(1), 1)).await);
    let tolerated = trip.tolerated.expect("a quarter is tolerated");
    let wrong = [
        Trip {
            epoch: trip.epoch + 1,
            ..trip
        },
        Trip {
            usual: Claim {
                excursion: trip.usual.excursion + 1,
                ..trip.usual
            },
            ..trip
        },
        Trip {
            usual: Claim {
                failures: 2,
                ..trip.usual
            },
            ..trip
        },
        Trip {
            usual: Claim {
                surprise: 1_180,
                ..trip.usual
            },
            ..trip
        },
        Trip {
            tolerated: Some(Claim {
                failures: 2,
                ..tolerated
            }),
            ..trip
        },
        Trip {
            at_ms: trip.at_ms + 1,
            ..trip
        },
    ];
    for it in wrong {
        let tripped = stage.store().trip(&key, &it).await.expect("an answer");
        assert!(!tripped.won, "{it:?}");
    }
    stage.advance(1_001).await;
    assert!(
        !stage
            .store()
            .trip(&key, &trip)
            .await
            .expect("an answer")
            .won
    );
    // More failures since then are no obstacle.
    let trip = claims(&report(stage, &key, &failure(member(2), 1)).await);
    report(stage, &key, &failure(member(3), 1)).await;
    assert!(
        stage
            .store()
            .trip(&key, &trip)
            .await
            .expect("an answer")
            .won
    );
}

/// Failures from before the current epoch don't count, nor do those of an open fleet.
///
/// # Panics
/// The store fails the check.
pub async fn old_news_do_not_count(stage: &impl Stage) {
    let key = key("old");
    let open = open(stage, &key).await;
    let knowing = Sender::knowing(Member(2), &open);
    assert!(!report(stage, &key, &failure(knowing, 1)).await.counted);
    let old = report(stage, &key, &failure(member(2), 1)).await;
    assert_eq!((old.counted, old.view.state), (false, FleetState::Open));
}

/// For each outage, the two members that add most evidence are listed.
///
/// # Panics
/// The store fails the check.
pub async fn the_loudest_members_are_found(stage: &impl Stage) {
    let key = key("loudest");
    for number in 1..=6 {
        view(stage, &key, member(number), 1_000).await;
    }
    for number in 1..=6 {
        let failures = if number == 3 { 9 } else { 1 };
        let surprise = if number == 5 { 2_048 } else { 600 * failures };
        report(
            stage,
            &key,
            &Report {
                failures,
                surprise,
                ..failure(member(number), 1)
            },
        )
        .await;
    }
    stage.advance(100).await;
    let outage = |gain, share| Alternative { gain, share };
    let weigh = Weigh {
        sender: member(1),
        usual: [
            LEAST,
            outage(-45_426, 32_768),
            outage(-14_624, 52_429),
            outage(0, SHARE),
        ],
        tolerated: Some([BEYOND; 4]),
    };
    let weighed = stage.store().weigh(&key, &weigh).await.expect("an answer");
    assert_eq!(weighed.usual.failing, 6);
    assert_eq!(weighed.usual.sums.failures, 14);
    let listed = |it: &crate::message::LoudSums| {
        it.loudest
            .iter()
            .map(|it| (it.failures, it.surprise))
            .collect::<Vec<_>>()
    };
    assert_eq!(listed(&weighed.usual), [(9, 5_400), (1, 2_048)]);
    assert_eq!(weighed.usual.loudest[0].expected, 100_000);
    assert_eq!(listed(&weighed.tolerated), [(9, 0), (1, 0)]);
}

/// After its end, a turn without a result gives way to another.
///
/// # Panics
/// The store fails the check.
pub async fn leases_end_with_their_turn(stage: &impl Stage) {
    let key = key("lease");
    let open = open(stage, &key).await;
    assert_eq!(
        lease(stage, &key, 1, open.epoch, 10_000).await,
        None,
        "not due"
    );
    stage.advance(500).await;
    assert_eq!(
        lease(stage, &key, 1, open.epoch + 1, 10_000).await,
        None,
        "another epoch"
    );
    assert_eq!(lease(stage, &key, 1, open.epoch, 10_000).await, Some(1));
    assert_eq!(
        lease(stage, &key, 2, open.epoch, 10_000).await,
        None,
        "one suffices"
    );
    assert_eq!(
        lease(stage, &key, 1, open.epoch, 10_000).await,
        Some(1),
        "asked again"
    );
    stage.advance(999).await;
    assert_eq!(lease(stage, &key, 2, open.epoch, 10_000).await, None);
    stage.advance(1).await;
    assert_eq!(lease(stage, &key, 2, open.epoch, 10_000).await, Some(2));
    let late = ProbeResult {
        sender: member(1),
        epoch: open.epoch,
        turn: 1,
        next: AfterProbe::Ramp { share: 100 },
    };
    let counted = async |it: &ProbeResult| {
        let resulted = stage.store().result(&key, it).await.expect("an answer");
        resulted.counted
    };
    assert!(!counted(&late).await, "it holds no lease");
    let late = ProbeResult {
        sender: member(2),
        ..late
    };
    assert!(!counted(&late).await, "another turn");
    stage.advance(1_000).await;
    let over = ProbeResult { turn: 2, ..late };
    assert!(!counted(&over).await, "the turn is over");
}

/// Leases are granted until their holders make two calls within the wait, 64 at most.
///
/// # Panics
/// The store fails the check.
pub async fn leases_suffice_for_two_calls(stage: &impl Stage) {
    let calls = key("calls-enough");
    let epoch = open(stage, &calls).await.epoch;
    stage.advance(500).await;
    // In 200 ms each makes half a call.
    for number in 1..=4 {
        assert!(lease(stage, &calls, number, epoch, 2_500).await.is_some());
    }
    assert_eq!(lease(stage, &calls, 5, epoch, 2_500).await, None);
    let idle = key("calls-rare");
    let epoch = open(stage, &idle).await.epoch;
    stage.advance(500).await;
    for number in 1..=64 {
        assert!(lease(stage, &idle, number, epoch, 0).await.is_some());
    }
    assert_eq!(lease(stage, &idle, 65, epoch, 0).await, None);
}

/// Only the first result of a holder counts. A failed probe starts another turn.
///
/// # Panics
/// The store fails the check.
pub async fn the_first_result_ends_a_turn(stage: &impl Stage) {
    let key = key("result");
    let open = open(stage, &key).await;
    stage.advance(500).await;
    assert_eq!(lease(stage, &key, 1, open.epoch, 1).await, Some(1));
    let failed = ProbeResult {
        sender: member(1),
        epoch: open.epoch,
        turn: 1,
        next: AfterProbe::Turn { wait_ms: 300 },
    };
    let stranger = ProbeResult {
        sender: member(9),
        ..failed
    };
    assert!(
        !stage
            .store()
            .result(&key, &stranger)
            .await
            .expect("an answer")
            .counted
    );
    let resulted = stage
        .store()
        .result(&key, &failed)
        .await
        .expect("an answer");
    assert!(resulted.counted);
    assert_eq!((resulted.view.turn, resulted.view.due_ms), (2, 300));
    assert_eq!(resulted.view.epoch, open.epoch);
    assert!(
        !stage
            .store()
            .result(&key, &failed)
            .await
            .expect("an answer")
            .counted
    );
}

/// A good probe begins a ramp. Its rounds add up, and end by the first step.
///
/// # Panics
/// The store fails the check.
pub async fn a_ramp_goes_up_by_steps_that_one_member_wins(stage: &impl Stage) {
    let key = key("ramp");
    let ramp = ramp(stage, &key, 655).await;
    assert_eq!(
        (ramp.state, ramp.share, ramp.round),
        (FleetState::Ramp, 655, 1)
    );
    assert_eq!(ramp.outage_ms, 500);
    let calls = |number, good, bad| Round {
        sender: Sender::knowing(Member(number), &ramp),
        number: 7,
        epoch: ramp.epoch,
        round: 1,
        good,
        bad,
    };
    for (number, good, bad) in [(1, 10, 1), (2, 20, 3), (3, 30, 2), (3, 30, 2), (4, 40, 0)] {
        stage
            .store()
            .round(&key, &calls(number, good, bad))
            .await
            .expect("an answer");
    }
    let rounded = stage
        .store()
        .round(&key, &calls(5, 1, 0))
        .await
        .expect("an answer");
    assert_eq!((rounded.counted, rounded.good, rounded.bad), (true, 101, 6));
    let worst = rounded.loudest.map(|it| (it.good, it.bad));
    assert_eq!(worst, [(20, 3), (30, 2)]);

    let step = Step {
        sender: member(1),
        epoch: ramp.epoch,
        round: 1,
        next: AfterRound::Round { share: 6_554 },
    };
    let first = stage.store().step(&key, &step).await.expect("an answer");
    let second = stage.store().step(&key, &step).await.expect("an answer");
    assert!(first.won && !second.won);
    assert_eq!((first.view.share, first.view.round), (6_554, 2));
    assert!(
        !stage
            .store()
            .round(&key, &calls(6, 1, 0))
            .await
            .expect("an answer")
            .counted
    );
    let close = Step {
        round: 2,
        next: AfterRound::Close,
        ..step
    };
    let closed = stage.store().step(&key, &close).await.expect("an answer");
    assert!(closed.won && closed.view.epoch > ramp.epoch);
    assert_eq!(
        (closed.view.state, closed.view.share),
        (FleetState::Closed, SHARE)
    );
}

/// A ramp that fails opens the fleet again, and the outage goes on.
///
/// # Panics
/// The store fails the check.
pub async fn a_ramp_can_fail(stage: &impl Stage) {
    let key = key("fall");
    let ramp = ramp(stage, &key, 655).await;
    stage.advance(100).await;
    let step = Step {
        sender: member(2),
        epoch: ramp.epoch,
        round: 1,
        next: AfterRound::Open { wait_ms: 2_000 },
    };
    let open = stage
        .store()
        .step(&key, &step)
        .await
        .expect("an answer")
        .view;
    assert_eq!(
        (open.state, open.turn, open.due_ms),
        (FleetState::Open, 1, 2_000)
    );
    assert_eq!((open.outage_ms, open.age_ms), (600, 0));
    assert!(open.epoch > ramp.epoch);
}

/// A store without data goes on from the newest state that a member knows.
///
/// # Panics
/// The store fails the check.
pub async fn an_emptied_store_takes_over_what_members_know(stage: &impl Stage) {
    let key = key("emptied");
    let ramp = ramp(stage, &key, 655).await;
    stage.clear().await;
    let mut announcements = stage
        .store()
        .announcements("suite")
        .await
        .expect("a stream");
    let taken = view(stage, &key, Sender::knowing(Member(3), &ramp), 1_000).await;
    let same = |it: &FleetView| (it.epoch, it.state, it.share, it.round);
    assert_eq!(same(&taken), same(&ramp));
    assert_eq!(next(&mut announcements).await.view.epoch, ramp.epoch);
    // One who knows less learns of it.
    assert_eq!(
        same(&view(stage, &key, member(4), 1_000).await),
        same(&ramp)
    );
    // If nobody knows it, its epochs don't come again.
    stage.clear().await;
    stage.advance(10).await;
    assert!(open(stage, &key).await.epoch > ramp.epoch);
}

/// What one fleet does changes no other.
///
/// # Panics
/// The store fails the check.
pub async fn fleets_do_not_mix(stage: &impl Stage) {
    let (one, other) = (key("one"), key("other"));
    open(stage, &one).await;
    let view = view(stage, &other, member(1), 1_000).await;
    assert_eq!((view.state, view.members), (FleetState::Closed, 1));
}
