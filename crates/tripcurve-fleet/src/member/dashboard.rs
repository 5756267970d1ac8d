//! What a dashboard shows of a member.

use std::sync::Arc;

use tripcurve_dashboard::fleet::{FleetState, FleetTest, JoinedBreaker, MemberStatus};

use super::handle::Fleet;
use super::status::{BreakerStatus, FleetStatus, StoreStatus};
use crate::judge::REMAINING;
use crate::message;
use crate::standing::TestStanding;

impl Fleet {
    /// Returns a function for `Dashboard::fleet` of `tripcurve-dashboard`.
    ///
    /// It doesn't keep the member's task alive. When the task has ended, it tells of no breaker.
    ///
    /// ```
    /// use tripcurve::CircuitBreaker;
    /// use tripcurve::registry::Roster;
    /// use tripcurve_dashboard::Dashboard;
    /// use tripcurve_fleet::Fleet;
    /// use tripcurve_fleet::memory::MemoryStore;
    ///
    /// # let executor = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    /// # executor.block_on(async {
    /// let roster = Roster::new();
    /// let payments = CircuitBreaker::builder("payments").enlist(&roster).build()?;
    /// let fleet = Fleet::builder("shop").store(MemoryStore::new()).spawn()?;
    /// fleet.join(&payments)?.await;
    /// let dashboard = Dashboard::new(&roster).fleet(fleet.for_dashboard());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn for_dashboard(&self) -> impl Fn() -> MemberStatus + Send + Sync + 'static {
        let shared = Arc::downgrade(self.shared());
        move || {
            let shared = shared.upgrade();
            shared.map_or_else(MemberStatus::default, |it| shown(&it.status()))
        }
    }
}

fn shown(status: &FleetStatus) -> MemberStatus {
    let mut shown = MemberStatus::new(status.breakers.iter().map(joined).collect());
    if let StoreStatus::LocalOnly { reason } = &status.store {
        shown.local_only = Some(Arc::clone(reason));
    }
    shown
}

fn joined(breaker: &BreakerStatus) -> JoinedBreaker {
    let mut shown = JoinedBreaker::new(Arc::clone(&breaker.name));
    shown.state = match breaker.state {
        message::FleetState::Closed => FleetState::Closed,
        message::FleetState::Open => FleetState::Open,
        message::FleetState::Ramp => FleetState::Ramp,
    };
    shown.members = breaker.members;
    shown.calls_per_second = breaker.calls_per_second;
    shown.share = breaker.share;
    if let Some(standing) = &breaker.standing {
        shown.left_out = standing.left_out;
        shown.tests = [
            ("usual", Some(&standing.usual)),
            ("tolerated", standing.beyond_tolerated.as_ref()),
        ]
        .into_iter()
        .filter_map(|(against, test)| Some(of_test(against, test?)))
        .collect();
    }
    shown
}

fn of_test(against: &'static str, test: &TestStanding) -> FleetTest {
    let mut shown = FleetTest::new(against, test.needed, test.needed * REMAINING);
    shown.failures = test.failures;
    shown.evidence = test.evidence;
    shown.without_loudest = test.without_loudest;
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::standing::Standing;

    fn test(evidence: f64) -> TestStanding {
        TestStanding {
            failures: 4,
            expected_calls: 1.0,
            evidence,
            without_loudest: Some(2.0),
            needed: 9.0,
        }
    }

    #[test]
    fn a_dashboard_is_told_all_that_a_member_knows() {
        let breaker = BreakerStatus {
            name: "payments".into(),
            state: message::FleetState::Ramp,
            for_time: std::time::Duration::ZERO,
            share: 0.25,
            members: 20,
            calls_per_second: 80.0,
            standing: Some(Standing {
                usual: test(9.5),
                beyond_tolerated: Some(test(9.25)),
                left_out: 2,
            }),
        };
        let status = FleetStatus {
            store: StoreStatus::LocalOnly {
                reason: "the store is gone".into(),
            },
            for_time: std::time::Duration::ZERO,
            breakers: vec![breaker],
        };
        let shown = shown(&status);
        assert_eq!(shown.local_only.as_deref(), Some("the store is gone"));
        let mut expected = JoinedBreaker::new("payments");
        expected.state = FleetState::Ramp;
        expected.share = 0.25;
        expected.members = 20;
        expected.calls_per_second = 80.0;
        expected.left_out = 2;
        for (against, evidence) in [("usual", 9.5), ("tolerated", 9.25)] {
            let mut test = FleetTest::new(against, 9.0, 6.0);
            test.failures = 4;
            test.evidence = evidence;
            test.without_loudest = Some(2.0);
            expected.tests.push(test);
        }
        assert_eq!(shown.breakers, [expected]);
    }

    #[tokio::test]
    async fn a_dashboard_does_not_keep_the_member_alive() {
        let store = crate::memory::MemoryStore::new();
        let fleet = Fleet::builder("shop").store(store).spawn().unwrap();
        let breaker = tripcurve::CircuitBreaker::builder("payments")
            .build()
            .unwrap();
        fleet.join(&breaker).unwrap().await;
        let tell = fleet.for_dashboard();
        assert_eq!(tell().breakers.len(), 1);
        drop(fleet);
        while !tell().breakers.is_empty() {
            tokio::task::yield_now().await;
        }
    }
}
