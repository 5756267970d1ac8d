//! When members open as one, and when they don't.

use tripcurve::State;
use tripcurve::events::Cause;

use super::faulty::Faulty;
use super::processes::{Processes, SECOND, store};
use crate::key::{FleetKey, Meaning};
use crate::member::{Fleet, Joined};
use crate::memory::MemoryStore;
use crate::message::{FleetState, FleetView, Member, Pulse, Sender};
use crate::store::Store;
use crate::verdict::{Failures, Judge};

#[tokio::test(start_paused = true)]
async fn a_total_outage_opens_a_hundred_members_as_one() {
    let mut processes = Processes::new(100, 10, &store()).await;
    assert_eq!(processes.all[3].fleet.status().breakers[0].members, 100);
    let took = processes
        .until(State::Open, SECOND / 10, |_, _| false)
        .await;
    // One process with all of the traffic would lose 37.
    assert!(
        processes.failed() <= 60,
        "{} in {took:?}",
        processes.failed()
    );
}

#[tokio::test(start_paused = true)]
async fn one_broken_member_opens_only_itself() {
    let mut processes = Processes::new(20, 10, &store()).await;
    processes.run(20 * SECOND, |number, _| number != 7).await;
    let states = processes.states();
    assert_ne!(states[7], State::Closed);
    assert_eq!(states.iter().filter(|&&it| it == State::Closed).count(), 19);
}

#[tokio::test(start_paused = true)]
async fn members_recover_as_one() {
    let mut processes = Processes::new(100, 10, &store()).await;
    processes
        .until(State::Open, SECOND / 10, |_, _| false)
        .await;
    let before = processes.failed();
    processes.run(10 * SECOND, |_, _| false).await;
    let probes = processes.failed() - before;
    // About one in ten of the wait's calls: 10,000 asked.
    assert!((20..=120).contains(&probes), "{probes}");
    let took = processes
        .until(State::Closed, 10 * SECOND, |_, _| true)
        .await;
    assert!(took <= 3 * SECOND, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn two_members_that_lie_open_nobody() {
    let store = store();
    let mut processes = Processes::new(20, 10, &store).await;
    let key = FleetKey::new("shop", "", "payments", Meaning::new(Some(0.25), None, ""));
    let rule = processes.all[0].breaker.fleet_port().unwrap().rule();
    let judge = Judge::new(rule.unwrap());
    for number in 1..=40 {
        for liar in [1, 2] {
            let failures = Failures {
                failures: 255,
                surprise: 255 * 2_048,
                spread_ms: 0,
            };
            let epoch = store_view(&store, &key).await;
            let sender = Sender::knowing(Member(liar), &epoch);
            let pulse = Pulse {
                sender,
                rate: 1_000,
                normal: 655,
            };
            store.pulse(&key, &pulse).await.unwrap();
            let report = judge.report(sender, number, failures);
            assert!(store.report(&key, &report).await.unwrap().counted);
        }
        // One call in a hundred fails.
        processes
            .run(SECOND / 4, |number, time| {
                !(time / 100 * 7 + number as u64 * 13).is_multiple_of(100)
            })
            .await;
    }
    assert!(processes.states().iter().all(|&it| it == State::Closed));
    let standing = processes.all.iter().find_map(|it| {
        let status = it.fleet.status();
        status.breakers[0].standing
    });
    assert!(standing.is_some());
}

async fn store_view(store: &MemoryStore, key: &FleetKey) -> FleetView {
    let sender = Sender::new(Member(3));
    let pulse = Pulse {
        sender,
        rate: 0,
        normal: 0,
    };
    store.pulse(key, &pulse).await.unwrap().view
}

#[tokio::test(start_paused = true)]
async fn a_process_that_starts_during_an_outage_knows_before_its_first_call() {
    let store = store();
    let mut processes = Processes::new(20, 10, &store).await;
    processes.until(State::Open, SECOND, |_, _| false).await;
    let breaker = processes.breaker("payments");
    let fleet = Fleet::builder("shop").store(store).spawn().unwrap();
    let joined = fleet.join(&breaker).unwrap().await;
    assert_eq!(joined, Joined::Answered(FleetState::Open));
    assert!(breaker.try_acquire().is_err());
    let rejected = breaker.try_acquire().unwrap_err();
    assert!(matches!(
        breaker.opening_of(&rejected).map(|it| it.cause()),
        Some(Cause::Fleet { members: 20.., .. })
    ));
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_leaves_recovers_by_itself_and_its_calls_are_no_longer_expected() {
    let mut processes = Processes::new(20, 10, &store()).await;
    processes.until(State::Open, SECOND, |_, _| false).await;
    let leaver = &processes.all[3];
    assert!(leaver.fleet.leave(&leaver.breaker));
    assert!(!leaver.fleet.leave(&leaver.breaker));
    assert!(leaver.fleet.status().breakers.is_empty());
    processes.run(8 * SECOND, |number, _| number == 3).await;
    assert_eq!(processes.states()[3], State::Closed);
    assert_ne!(processes.states()[4], State::Closed);
    let rate = processes.all[4].fleet.status().breakers[0].calls_per_second;
    assert!((170.0..205.0).contains(&rate), "{rate}");
}

#[tokio::test(start_paused = true)]
async fn a_member_that_is_cut_off_is_forgotten_after_two_minutes() {
    let memory = store();
    let mut processes = Processes::new(3, 1, &memory).await;
    let faulty = Faulty::new(&memory);
    processes.enter(1, faulty.clone());
    processes.run(40 * SECOND, |_, _| true).await;
    assert_eq!(processes.all[0].fleet.status().breakers[0].members, 4);
    faulty.kill();
    processes.run(160 * SECOND, |_, _| true).await;
    assert_eq!(processes.all[0].fleet.status().breakers[0].members, 3);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_opens_by_itself_says_at_once_that_it_makes_no_calls() {
    let mut processes = Processes::new(10, 10, &store()).await;
    // One member has half of the traffic.
    processes.all[0].rate = 90;
    processes.run(5 * SECOND, |_, _| true).await;
    processes.run(40 * SECOND, |number, _| number > 0).await;
    assert_ne!(processes.states()[0], State::Closed);
    let status = processes.all[5].fleet.status();
    assert_eq!(status.breakers[0].state, FleetState::Closed);
    assert!(status.breakers[0].calls_per_second < 110.0, "{status:?}");
}

#[tokio::test(start_paused = true)]
async fn a_member_sends_two_hundred_messages_a_second_at_most() {
    let faulty = Faulty::new(&store());
    let processes = Processes::empty();
    let fleet = Fleet::builder("shop")
        .store(faulty.clone())
        .spawn()
        .unwrap();
    let breakers: Vec<_> = (0..300)
        .map(|it| processes.breaker(&format!("dependency {it}")))
        .collect();
    for breaker in &breakers {
        let _joining = fleet.join(breaker).unwrap();
    }
    let mut sent = vec![0];
    for round in 0..100 {
        if round > 50 {
            for breaker in &breakers {
                if let Ok(permit) = breaker.try_acquire() {
                    permit.failure();
                }
            }
        }
        tokio::time::sleep(SECOND / 10).await;
        sent.push(faulty.messages());
    }
    for second in sent.windows(11) {
        // The subscription isn't counted.
        assert!(second[10] - second[0] <= 201, "{sent:?}");
    }
    // All of them have joined meanwhile.
    assert!(sent[50] >= 300 && *sent.last().unwrap() > 600, "{sent:?}");
}

#[tokio::test(start_paused = true)]
async fn the_task_ends_with_the_last_handle() {
    let memory = store();
    let processes = Processes::empty();
    let breaker = processes.breaker("payments");
    let fleet = Fleet::builder("shop")
        .store(memory.clone())
        .spawn()
        .unwrap();
    fleet.join(&breaker).unwrap().await;
    let metrics = tokio::runtime::Handle::current().metrics();
    assert_eq!(metrics.num_alive_tasks(), 1);
    let clone = fleet.clone();
    drop(fleet);
    tokio::time::sleep(SECOND).await;
    assert_eq!(metrics.num_alive_tasks(), 1);
    drop(clone);
    tokio::time::sleep(SECOND).await;
    assert_eq!(metrics.num_alive_tasks(), 0);
    // Its calls are no longer expected.
    let key = FleetKey::new("shop", "", "payments", Meaning::new(Some(0.25), None, ""));
    assert_eq!(store_view(&memory, &key).await.rate, 0);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_without_calls_sends_one_pulse() {
    let faulty = Faulty::new(&store());
    let mut processes = Processes::empty();
    processes.enter(0, faulty.clone());
    processes.run(100 * SECOND, |_, _| true).await;
    assert_eq!(faulty.pulses(), 1);
    processes.all[0].rate = 1;
    processes.run(3 * SECOND, |_, _| true).await;
    assert_eq!(faulty.pulses(), 2);
}
