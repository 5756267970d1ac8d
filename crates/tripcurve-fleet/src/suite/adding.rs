//! Reports, rates, trips, and a store that lost its data.

use super::{BEYOND, LEAST, Stage, announce, claims, failure, key, member, next, open, ramp};
use super::{report, view};
use crate::message::{
    Alternative, Claim, FleetState, FleetView, LoudSums, Member, Report, SHARE, Sender, Trip, Weigh,
};
use crate::store::{Store, StoreError};

/// A report that is sent again changes nothing.
pub(super) async fn a_report_counts_once(stage: &impl Stage) {
    let key = key("once");
    announce(stage, &key, [1, 2]).await;
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

/// Failures of a member without announced traffic can't be compared with its calls.
pub(super) async fn a_report_without_announced_traffic_does_not_count(stage: &impl Stage) {
    let key = key("unannounced");
    announce(stage, &key, [2]).await;
    let first = report(stage, &key, &failure(member(1), 1)).await;
    assert_eq!((first.counted, first.usual.failures), (false, 0));
    announce(stage, &key, [1]).await;
    // Its number hasn't been counted.
    let second = report(stage, &key, &failure(member(1), 1)).await;
    assert_eq!((second.counted, second.usual.failures), (true, 1));
    stage.clear().await;
    assert!(!report(stage, &key, &failure(member(1), 2)).await.counted);
}

/// A member's newest rate counts, for one to two minutes.
pub(super) async fn rates_replace_each_other_and_fade(stage: &impl Stage) {
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
pub(super) async fn expected_calls_grow_with_time(stage: &impl Stage) {
    let key = key("calls");
    view(stage, &key, member(1), 10_000).await;
    announce(stage, &key, [2]).await;
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

/// An excursion lasts while there is evidence for any outage, also if the smallest has none.
pub(super) async fn an_excursion_lasts_while_any_outage_has_evidence(stage: &impl Stage) {
    let key = key("any");
    view(stage, &key, member(1), 10_000).await;
    // A failure that surprises by 1.2 nats is no evidence for an outage of 0.3.
    let batch = |number| Report {
        failures: 10,
        surprise: 10 * 307,
        usual: with_last(62_259, -3_362),
        ..failure(member(1), number)
    };
    let first = report(stage, &key, &batch(1)).await.usual;
    stage.advance(500).await;
    let second = report(stage, &key, &batch(2)).await.usual;
    assert_eq!((second.excursion, second.failures), (first.excursion, 20));
    stage.advance(500).await;
    let least = Report {
        usual: [LEAST; 3],
        ..batch(3)
    };
    let third = report(stage, &key, &least).await.usual;
    assert!(third.excursion > first.excursion && third.failures == 10);
}

fn with_last(share: u32, gain: i32) -> [Alternative; 3] {
    [LEAST, LEAST, Alternative { gain, share }]
}

/// A message with one number out of bounds is refused whole.
pub(super) async fn a_message_out_of_bounds_changes_nothing(stage: &impl Stage) {
    let key = key("bounds");
    announce(stage, &key, [1]).await;
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
            usual: with_last(SHARE + 1, LEAST.gain),
            ..fine
        },
        Report {
            usual: with_last(LEAST.share, 524_289),
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
pub(super) async fn one_trip_wins_and_is_announced(stage: &impl Stage) {
    let key = key("trip");
    let mut announcements = stage
        .store()
        .announcements("suite")
        .await
        .expect("a stream");
    announce(stage, &key, [1]).await;
    let trip = claims(&report(stage, &key, &failure(member(1), 1)).await);
    let first = stage.store().trip(&key, &trip).await.expect("an answer");
    let second = stage.store().trip(&key, &trip).await.expect("an answer");
    assert!(first.won && !second.won);
    assert_eq!(first.view.state, FleetState::Open);
    assert_eq!(
        (first.view.share, first.view.turn, first.view.due_ms),
        (0, first.view.at_ms, 500)
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
pub(super) async fn a_trip_needs_the_sums_that_it_names(stage: &impl Stage) {
    let key = key("claims");
    announce(stage, &key, 1..=3).await;
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
pub(super) async fn old_news_do_not_count(stage: &impl Stage) {
    let key = key("old");
    let open = open(stage, &key).await;
    let knowing = Sender::knowing(Member(2), &open);
    assert!(!report(stage, &key, &failure(knowing, 1)).await.counted);
    let old = report(stage, &key, &failure(member(2), 1)).await;
    assert_eq!((old.counted, old.view.state), (false, FleetState::Open));
}

/// For each outage, the two members that add most evidence are listed.
pub(super) async fn the_loudest_members_are_found(stage: &impl Stage) {
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
    let listed = |it: &LoudSums| {
        it.loudest
            .iter()
            .map(|it| (it.failures, it.surprise))
            .collect::<Vec<_>>()
    };
    assert_eq!(listed(&weighed.usual), [(9, 5_400), (1, 2_048)]);
    assert_eq!(weighed.usual.loudest[0].expected, 100_000);
    assert_eq!(listed(&weighed.tolerated), [(9, 0), (1, 0)]);
}

/// A store without data goes on from the newest state that a member knows.
pub(super) async fn an_emptied_store_takes_over_what_members_know(stage: &impl Stage) {
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
pub(super) async fn fleets_do_not_mix(stage: &impl Stage) {
    let (one, other) = (key("one"), key("other"));
    open(stage, &one).await;
    let view = view(stage, &other, member(1), 1_000).await;
    assert_eq!((view.state, view.members), (FleetState::Closed, 1));
}
