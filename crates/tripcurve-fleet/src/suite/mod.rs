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

mod adding;
mod recovery;

use std::future::{Future, poll_fn};
use std::pin::Pin;

use futures_core::Stream;

use crate::key::{FleetKey, Meaning};
use crate::message::{
    AfterProbe, Alternative, AskLease, Claim, FleetView, Member, ProbeResult, Pulse, Report,
    Reported, Sender, Sums, Trip, Tripped,
};
use crate::store::{Announcement, Store};

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

/// The smallest outage: 0.3 of the calls fail.
const LEAST: Alternative = Alternative {
    gain: -78_903,
    share: 19_661,
};

/// An outage of half of the calls, where a quarter is tolerated.
const BEYOND: Alternative = Alternative {
    gain: 45_426,
    share: 16_384,
};

/// Runs all checks.
///
/// # Panics
/// The store fails a check.
pub async fn check(stage: &impl Stage) {
    let asked = stage.store().ping("suite").await;
    asked.expect("a store that works answers a ping");
    adding::a_report_counts_once(stage).await;
    adding::a_report_without_announced_traffic_does_not_count(stage).await;
    adding::rates_replace_each_other_and_fade(stage).await;
    adding::expected_calls_grow_with_time(stage).await;
    adding::an_excursion_lasts_while_any_outage_has_evidence(stage).await;
    adding::a_message_out_of_bounds_changes_nothing(stage).await;
    adding::one_trip_wins_and_is_announced(stage).await;
    adding::a_trip_needs_the_sums_that_it_names(stage).await;
    adding::old_news_do_not_count(stage).await;
    adding::the_loudest_members_are_found(stage).await;
    recovery::leases_end_with_their_turn(stage).await;
    recovery::leases_suffice_for_two_calls(stage).await;
    recovery::the_first_result_ends_a_turn(stage).await;
    recovery::a_ramp_goes_up_by_steps_that_one_member_wins(stage).await;
    recovery::a_ramp_can_fail(stage).await;
    adding::an_emptied_store_takes_over_what_members_know(stage).await;
    adding::fleets_do_not_mix(stage).await;
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
        usual: [LEAST; 3],
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
    let claim = |sums: Sums| Claim {
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

/// Announces members that make no calls. Failures of a member that has announced nothing don't
/// count.
async fn announce(stage: &impl Stage, key: &FleetKey, members: impl IntoIterator<Item = u64>) {
    for number in members {
        view(stage, key, member(number), 0).await;
    }
}

/// Opens a fleet. The first probe is due after 500 ms.
async fn open(stage: &impl Stage, key: &FleetKey) -> FleetView {
    announce(stage, key, [1]).await;
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
