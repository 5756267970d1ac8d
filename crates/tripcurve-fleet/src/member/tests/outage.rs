//! When members open as one, and when they don't.

use tripcurve::State;

use super::town::{SECOND, Town, store};

#[tokio::test(start_paused = true)]
async fn a_total_outage_opens_a_hundred_members_as_one() {
    let mut town = Town::new(100, 10, &store()).await;
    assert_eq!(town.processes[3].fleet.status().breakers[0].members, 100);
    let took = town.until(State::Open, SECOND / 10, |_, _| false).await;
    // One process with all of the traffic would lose 37.
    assert!(town.failed() <= 60, "{} in {took:?}", town.failed());
}

#[tokio::test(start_paused = true)]
async fn one_broken_member_opens_only_itself() {
    let mut town = Town::new(20, 10, &store()).await;
    town.run(20 * SECOND, |number, _| number != 7).await;
    let states = town.states();
    assert_ne!(states[7], State::Closed);
    assert_eq!(states.iter().filter(|&&it| it == State::Closed).count(), 19);
}

#[tokio::test(start_paused = true)]
async fn members_recover_as_one() {
    let mut town = Town::new(100, 10, &store()).await;
    town.until(State::Open, SECOND / 10, |_, _| false).await;
    let before = town.failed();
    town.run(10 * SECOND, |_, _| false).await;
    let probes = town.failed() - before;
    println!("{probes} probes");
    let took = town.until(State::Closed, 10 * SECOND, |_, _| true).await;
    println!("{took:?}");
}
