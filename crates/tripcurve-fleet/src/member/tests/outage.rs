//! When members open as one, and when they don't.

use super::town::{SECOND, Town, store};
use crate::message::FleetState;

#[tokio::test(start_paused = true)]
async fn a_total_outage_opens_a_hundred_members_as_one() {
    let mut town = Town::new(100, 10, &store()).await;
    assert_eq!(town.processes[3].fleet.status().breakers[0].members, 100);
    town.run(SECOND / 10, |_, _| false).await;
    let states: Vec<_> = (0..100).map(|it| town.fleet_state(it)).collect();
    assert!(
        states.iter().all(|&it| it == FleetState::Open),
        "{states:?} {:?}",
        town.processes[0].fleet.status()
    );
    println!("{}", town.failed());
}
