//! Members in one process, with a real server and real time.

use std::time::Duration;

use tripcurve::events::Cause;
use tripcurve::{CircuitBreaker, State};

use super::server::Server;
use super::{RedisStore, runtime};
use crate::member::{Fleet, StoreStatus};

const MEMBERS: usize = 10;

pub(super) struct Member {
    breaker: CircuitBreaker,
    fleet: Fleet,
}

pub(super) async fn members_at(address: &str) -> Vec<Member> {
    let mut members = Vec::new();
    for _ in 0..MEMBERS {
        // Each has a connection of its own, as a process has.
        let store = RedisStore::open(address).unwrap();
        let fleet = Fleet::builder("shop").store(store).spawn().unwrap();
        let breaker = CircuitBreaker::builder("payments").build().unwrap();
        fleet.join(&breaker).unwrap().await;
        members.push(Member { breaker, fleet });
    }
    members
}

/// Calls with each member some twenty times a second, until all are as `done` says. Returns how many
/// calls failed.
async fn call(members: &[Member], is_good: bool, done: impl Fn(&Member) -> bool) -> usize {
    let mut failed = 0;
    while !members.iter().all(&done) {
        for member in members {
            if let Ok(permit) = member.breaker.try_acquire() {
                if is_good {
                    permit.success();
                } else {
                    permit.failure();
                    failed += 1;
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    failed
}

fn is_connected(member: &Member) -> bool {
    member.fleet.status().store == StoreStatus::Connected
}

#[test]
#[ignore = "needs redis-server"]
fn members_trip_and_recover_as_one_over_a_real_server() {
    runtime().block_on(async {
        let mut server = Server::start();
        let members = members_at(&server.address).await;
        assert!(members.iter().all(is_connected));
        open_as_one(&members).await;

        server.kill();
        call(&members, true, |it| !is_connected(it)).await;
        server.restart();
        open_as_one(&members).await;
    });
}

/// Lets the dependency fail and work again.
pub(super) async fn open_as_one(members: &[Member]) {
    // On a busy machine an answer may take longer than members wait. Then they decide alone.
    for _attempt in 0..5 {
        // The members have announced what they measured.
        let rate = |it: &Member| it.fleet.status().breakers[0].calls_per_second;
        let know = |_: &Member| {
            members.iter().all(is_connected) && members.iter().any(|it| rate(it) > 80.0)
        };
        call(members, true, know).await;
        let failed = call(members, false, |it| it.breaker.state() == State::Open).await;
        let by_fleet = |it: &&Member| {
            let opening = it.breaker.snapshot().latest_opening();
            matches!(opening.map(|it| it.cause()), Some(Cause::Fleet { .. }))
        };
        let followed = members.iter().filter(by_fleet).count();
        println!("{failed} calls failed, and {followed} of {MEMBERS} members followed");
        call(members, true, |it| it.breaker.state() == State::Closed).await;
        if followed > MEMBERS / 2 {
            return;
        }
    }
    panic!("the members never opened as one");
}
