//! Probes by lease, and the rounds of a ramp.

use super::{Stage, key, lease, member, open, ramp};
use crate::message::{
    AfterProbe, AfterRound, FleetState, Member, ProbeResult, Round, SHARE, Sender, Step,
};
use crate::store::Store;

/// After its end, a turn without a result gives way to another.
pub(super) async fn leases_end_with_their_turn(stage: &impl Stage) {
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
    assert_eq!(
        lease(stage, &key, 1, open.epoch, 10_000).await,
        Some(open.turn)
    );
    assert_eq!(
        lease(stage, &key, 2, open.epoch, 10_000).await,
        None,
        "one suffices"
    );
    assert_eq!(
        lease(stage, &key, 1, open.epoch, 10_000).await,
        Some(open.turn),
        "asked again"
    );
    stage.advance(999).await;
    assert_eq!(lease(stage, &key, 2, open.epoch, 10_000).await, None);
    stage.advance(1).await;
    assert_eq!(
        lease(stage, &key, 2, open.epoch, 10_000).await,
        Some(open.turn + 1)
    );
    let late = ProbeResult {
        sender: member(1),
        epoch: open.epoch,
        turn: open.turn,
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
    let over = ProbeResult {
        turn: open.turn + 1,
        ..late
    };
    assert!(!counted(&over).await, "the turn is over");
}

/// Leases are granted until their holders make two calls within the wait, 64 at most.
pub(super) async fn leases_suffice_for_two_calls(stage: &impl Stage) {
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
pub(super) async fn the_first_result_ends_a_turn(stage: &impl Stage) {
    let key = key("result");
    let open = open(stage, &key).await;
    stage.advance(500).await;
    assert_eq!(lease(stage, &key, 1, open.epoch, 1).await, Some(open.turn));
    let failed = ProbeResult {
        sender: member(1),
        epoch: open.epoch,
        turn: open.turn,
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
    assert_eq!(
        (resulted.view.turn, resulted.view.due_ms),
        (open.turn + 1, 300)
    );
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
pub(super) async fn a_ramp_goes_up_by_steps_that_one_member_wins(stage: &impl Stage) {
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
pub(super) async fn a_ramp_can_fail(stage: &impl Stage) {
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
        (FleetState::Open, open.at_ms, 2_000)
    );
    assert_eq!((open.outage_ms, open.age_ms), (600, 0));
    assert!(open.epoch > ramp.epoch);
}
