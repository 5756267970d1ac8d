//! What members do while their store has a fault.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tripcurve::State;
use tripcurve::time::Clock;
use tripcurve::{CircuitBreaker, events::Transition};

use super::faulty::{Fault, Faulty};
use super::processes::{Processes, SECOND, store};
use crate::member::{Fleet, Joined, Notice, StoreStatus};
use crate::message::FleetState;
use crate::store::Store;

fn is_connected(processes: &Processes, number: usize) -> bool {
    processes.all[number].fleet.status().store == StoreStatus::Connected
}

fn tells_local_only(processes: &Processes, number: usize) -> bool {
    let notices = processes.all[number].notices.lock().unwrap();
    matches!(
        notices.last(),
        Some(Notice::Store(StoreStatus::LocalOnly { .. }))
    )
}

#[tokio::test(start_paused = true)]
async fn a_killed_store_is_known_within_a_second_and_each_breaker_decides_for_itself() {
    let store = Faulty::new(&store());
    let mut processes = Processes::new(20, 10, &store).await;
    store.kill();
    processes.run(SECOND, |_, _| true).await;
    for number in 0..20 {
        assert!(!is_connected(&processes, number) && tells_local_only(&processes, number));
    }
    processes.run(SECOND, |number, _| number > 1).await;
    let states = processes.states();
    assert_eq!(states.iter().filter(|&&it| it == State::Closed).count(), 18);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_is_known_within_a_second_of_the_first_failure() {
    let store = Faulty::new(&store());
    let mut processes = Processes::new(20, 10, &store).await;
    store.set(Fault::Hangs);
    let before = store.messages();
    processes.run(SECOND, |_, time| time % 3 > 0).await;
    assert!(
        (0..20).all(|it| !is_connected(&processes, it)),
        "{:?}",
        processes.all[0].fleet.status()
    );
    // One request at a time: the first, and the one that makes sure.
    let sent = store.messages() - before;
    assert!(sent <= 20 * 3, "{sent}");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_is_known_within_a_second_by_members_that_have_nothing_to_say() {
    let store = Faulty::new(&store());
    let mut processes = Processes::new(20, 10, &store).await;
    for wait in [0, 130, 390] {
        processes
            .run(Duration::from_millis(wait), |_, _| true)
            .await;
        store.set(Fault::Hangs);
        processes.run(SECOND, |_, _| true).await;
        for number in 0..20 {
            assert!(!is_connected(&processes, number) && tells_local_only(&processes, number));
        }
        store.set(Fault::None);
        processes.run(7 * SECOND, |_, _| true).await;
        assert!((0..20).all(|it| is_connected(&processes, it)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_answers_nothing_but_pings_is_gone_with_the_second_message() {
    let store = Faulty::new(&store());
    let mut processes = Processes::new(20, 10, &store).await;
    store.set(Fault::RefusesMessages);
    processes.run(SECOND, |_, time| time % 3 > 0).await;
    for number in 0..20 {
        assert!(!is_connected(&processes, number) && tells_local_only(&processes, number));
    }
}

#[tokio::test(start_paused = true)]
async fn pings_are_sent_for_lack_of_messages_only() {
    let store = Faulty::new(&store());
    let mut processes = Processes::new(10, 100, &store).await;
    let pings = |store: &Faulty, before: u64| store.pings() - before;
    let before = store.pings();
    processes.run(10 * SECOND, |_, _| true).await;
    let silent = pings(&store, before);
    // Each of 10 members, 2.5 times a second.
    assert!((230..=250).contains(&silent), "{silent}");
    let before = store.pings();
    // One call in twenty fails, so there are four reports a second.
    processes.run(10 * SECOND, |_, time| time % 200 >= 10).await;
    let busy = pings(&store, before);
    assert!(busy < silent / 10, "{busy}");
}

#[tokio::test(start_paused = true)]
async fn with_a_slow_store_failures_form_batches_and_members_open_as_one() {
    let store = Faulty::new(&store());
    let mut processes = Processes::new(20, 10, &store).await;
    store.set(Fault::Slow);
    let before = store.messages();
    let took = processes.until(State::Open, SECOND, |_, _| false).await;
    assert!((0..20).all(|it| is_connected(&processes, it)));
    assert!((0..20).all(|it| processes.fleet_state(it) == FleetState::Open));
    // One request in flight for each member.
    let most = 20 * (u64::try_from(took.as_millis()).unwrap() / 100 + 1);
    assert!(store.messages() - before <= most, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn without_a_store_the_hold_is_dropped_and_each_breaker_recovers_by_itself() {
    let store = Faulty::new(&store());
    let mut processes = Processes::new(20, 10, &store).await;
    processes.until(State::Open, SECOND, |_, _| false).await;
    assert_eq!(processes.fleet_state(0), FleetState::Open);
    store.kill();
    processes
        .until(State::Closed, 15 * SECOND, |_, _| true)
        .await;
}

#[tokio::test(start_paused = true)]
async fn members_whose_store_is_back_join_an_outage_as_one() {
    let store = Faulty::new(&store());
    let mut processes = Processes::new(20, 10, &store).await;
    store.kill();
    processes.run(2 * SECOND, |_, _| true).await;
    // These failures are no news when the store is back.
    processes.run(SECOND / 5, |number, _| number > 8).await;
    store.set(Fault::None);
    processes.run(6 * SECOND, |_, _| true).await;
    assert!((0..20).all(|it| is_connected(&processes, it)));
    assert!((0..20).all(|it| processes.fleet_state(it) == FleetState::Closed));
    processes.until(State::Open, SECOND, |_, _| false).await;
    assert!((0..20).all(|it| processes.fleet_state(it) == FleetState::Open));
}

#[tokio::test(start_paused = true)]
async fn a_member_whose_store_is_back_follows_an_open_fleet() {
    let shared = store();
    let mut processes = Processes::new(20, 10, &shared).await;
    let cut_off = Faulty::new(&shared);
    let late = processes.enter(10, cut_off.clone());
    processes.run(10 * SECOND, |_, _| true).await;
    cut_off.kill();
    processes.run(SECOND, |_, _| true).await;
    // The dependency works for the member that is cut off.
    processes.run(3 * SECOND, |number, _| number == late).await;
    assert_eq!(processes.states()[late], State::Closed);
    cut_off.set(Fault::None);
    processes.run(6 * SECOND, |number, _| number == late).await;
    assert!(is_connected(&processes, late));
    assert_ne!(processes.states()[late], State::Closed);
    processes
        .until(State::Closed, 15 * SECOND, |_, _| true)
        .await;
}

#[tokio::test(start_paused = true)]
async fn an_emptied_store_learns_of_an_open_fleet_from_its_members() {
    let memory = store();
    let mut processes = Processes::new(20, 10, &memory).await;
    processes.until(State::Open, SECOND, |_, _| false).await;
    memory.clear();
    processes.run(8 * SECOND, |_, _| false).await;
    assert!((0..20).all(|it| processes.fleet_state(it) == FleetState::Open));
    assert!(processes.states().iter().all(|&it| it != State::Closed));
    processes
        .until(State::Closed, 20 * SECOND, |_, _| true)
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_emptied_while_calls_usually_fail_opens_nobody() {
    for usually in [10, 50, 200] {
        let memory = store();
        let mut processes = Processes::empty();
        for _ in 0..100 {
            processes.enter(10, memory.clone());
        }
        // Each member has other calls that fail.
        let mut random = 1_u64;
        let mut is_good = move |_: usize, _: u64| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % 1_000 >= usually
        };
        processes.run(60 * SECOND, &mut is_good).await;
        for _ in 0..3 {
            memory.clear();
            for _ in 0..100 {
                processes.run(SECOND / 10, &mut is_good).await;
                let opened = processes.all.iter().any(|it| {
                    let status = it.fleet.status();
                    status.breakers[0].state != FleetState::Closed
                });
                assert!(!opened, "{usually} in 1,000");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_announcement_is_made_up_for_by_the_next_pulse() {
    let store = Faulty::new(&store());
    let mut processes = Processes::new(20, 10, &store).await;
    processes.until(State::Open, SECOND, |_, _| false).await;
    store.set(Fault::LosesAnnouncements);
    let took = processes
        .until(State::Closed, 60 * SECOND, |_, _| true)
        .await;
    assert!(took > SECOND, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_report_whose_answer_is_lost_counts_once() {
    let memory = store();
    let mut processes = Processes::new(5, 10, &memory).await;
    let faulty = Faulty::new(&memory);
    let sixth = processes.enter(10, faulty.clone());
    processes.run(5 * SECOND, |_, _| true).await;
    faulty.set(Fault::LosesAnswers);
    // Two failures, of which the first is reported and then reported again.
    let mut fails = 1;
    processes
        .run(SECOND / 10, |number, _| {
            let bad = number == sixth && fails > 0;
            fails -= u32::from(bad);
            !bad
        })
        .await;
    processes.run(SECOND / 5, |_, _| true).await;
    faulty.set(Fault::None);
    processes.run(SECOND / 2, |_, _| true).await;
    let mut fails = 1;
    processes
        .run(SECOND / 5, |number, _| {
            let bad = number == 0 && fails > 0;
            fails -= u32::from(bad);
            !bad
        })
        .await;
    let standing = processes.all[0].fleet.status().breakers[0].standing;
    assert!(standing.unwrap().usual.failures <= 2, "{standing:?}");
}

/// What a breaker does in a run that is always the same.
async fn transitions(store: Option<impl Store>) -> Vec<String> {
    let (clock, hand) = Clock::mock();
    let breaker = CircuitBreaker::builder("payments")
        .clock(clock)
        .build()
        .unwrap();
    let fleet = store.map(|store| Fleet::builder("shop").store(store).spawn().unwrap());
    let _joining = fleet.as_ref().map(|it| it.join(&breaker).unwrap());
    let all = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&all);
    let _listening = breaker.on_transition(move |it: &Transition| {
        told.lock().unwrap().push(format!("{:?} {it}", it.at()));
    });
    let mut random = 1_u64;
    for step in 0..60_000_u64 {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let outage = step % 20_000 > 15_000 && step % 20_000 < 18_000;
        let fails = if outage { 90 } else { 2 };
        if let Ok(permit) = breaker.try_acquire() {
            if (random >> 33) % 100 < fails {
                permit.failure();
            } else {
                permit.success();
            }
        }
        hand.advance(Duration::from_nanos(1_000_000 + (random >> 40) % 1_000));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let all = all.lock().unwrap();
    all.clone()
}

#[tokio::test(start_paused = true)]
async fn without_a_store_a_breaker_decides_what_it_decides_without_a_fleet() {
    let alone = transitions(None::<Faulty>).await;
    assert!(alone.len() >= 6, "{alone:?}");
    for fault in [
        Fault::Refuses,
        Fault::Panics,
        Fault::Hangs,
        Fault::LosesAnswers,
    ] {
        let faulty = Faulty::new(&store());
        faulty.set(fault);
        assert_eq!(transitions(Some(faulty)).await, alone, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn joining_ends_within_two_seconds_whatever_the_store_does() {
    for fault in [
        Fault::None,
        Fault::Refuses,
        Fault::Hangs,
        Fault::LosesAnswers,
    ] {
        let faulty = Faulty::new(&store());
        faulty.set(fault);
        let fleet = Fleet::builder("shop").store(faulty).spawn().unwrap();
        let breaker = CircuitBreaker::builder("payments").build().unwrap();
        let begun = tokio::time::Instant::now();
        let joined = fleet.join(&breaker).unwrap().await;
        let expected = match fault {
            Fault::None => Joined::Answered(FleetState::Closed),
            _ => Joined::LocalOnly,
        };
        assert_eq!(joined, expected);
        assert!(
            begun.elapsed() <= 2 * SECOND,
            "{fault:?}: {:?}",
            begun.elapsed()
        );
    }
}
