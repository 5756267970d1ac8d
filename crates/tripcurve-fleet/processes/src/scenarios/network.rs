//! What lies between members and the store is slow, loses or swallows.

use std::time::Duration;

use super::{Script, connected_since, lost_since};
use crate::backend::Treats;
use crate::event::now;
use crate::proxy::Does;
use crate::report::Row;
use crate::stage::{Process, Stage};

impl Script {
    fn network(stage: &Stage, does: Does) {
        for it in &stage.members {
            it.proxy.set(does);
        }
    }

    pub(super) fn slow_network(&mut self, row: &mut Row) {
        let begun = now();
        // In each direction.
        Self::network(&self.stage, Does::Delay(Duration::from_millis(50)));
        self.hold();
        // Report, weighing, trip and announcement take 350 ms. Busy members decide sooner alone.
        self.outage(row, Treats::Badly);
        let lost = self
            .stage
            .members
            .iter()
            .filter_map(lost_since(begun))
            .count();
        row.remark(format!("{lost} lost the store"));
        Self::network(&self.stage, Does::Pass);
    }

    pub(super) fn too_slow_network(&mut self, row: &mut Row) {
        self.without_store(
            row,
            |stage| Self::network(stage, Does::Delay(Duration::from_millis(150))),
            |stage| Self::network(stage, Does::Pass),
        );
    }

    pub(super) fn loses(&mut self, row: &mut Row) {
        self.without_store(
            row,
            |stage| Self::network(stage, Does::Lose),
            |stage| Self::network(stage, Does::Pass),
        );
    }

    /// The connections are dead, and nobody says so. Only new ones work.
    pub(super) fn swallows(&mut self, row: &mut Row) {
        let begun = now();
        for it in &self.stage.members {
            it.proxy.forget();
        }
        self.lost(row, begun);
        self.stage
            .all("the members to connect again", connected_since(begun));
    }

    pub(super) fn partition(&mut self, row: &mut Row) {
        let half = self.half();
        let begun = now();
        for it in &self.stage.members[..half] {
            it.proxy.set(Does::Hold);
        }
        let lost = || {
            self.stage.members[..half]
                .iter()
                .filter_map(lost_since(begun))
        };
        self.stage
            .until("half to lose the store", || lost().count() == half);
        row.said = lost().collect();
        let outage = self.open(row, Treats::Badly);
        let by_fleet = |them: &[Process]| {
            let openings = them.iter().filter_map(|it| it.opening(outage));
            openings.filter(|it| it.1).count()
        };
        let (away, near) = self.stage.members.split_at(half);
        let (away, near) = (by_fleet(away), by_fleet(near));
        row.expect(away == 0, "members without a store opened by the fleet");
        row.remark(format!(
            "{near} of the {} others opened by the fleet",
            self.stage.members.len() - half
        ));
        let back = now();
        for it in &self.stage.members[..half] {
            it.proxy.set(Does::Pass);
        }
        self.stage.until("half to connect", || {
            self.stage.members[..half].iter().all(connected_since(back))
        });
        self.stay_open(row);
        self.close(row);
    }
}
