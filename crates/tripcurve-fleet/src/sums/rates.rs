//! The announced call rates of the members.
//!
//! Two tables swap roles every minute. A member that announces its rate moves to the newer table.
//! Rates that are left in the older one are dropped with it. So a member that is silent for two
//! minutes is forgotten.

use std::collections::BTreeMap;

use crate::bounds::{MAX_MEMBERS, MAX_SUM};
use crate::message::{Pulse, SHARE};

/// How long a table is the newer one, in ms.
const TURN_MS: u64 = 60_000;

/// The usual share of failures before any member has announced one: 0.01.
const FIRST_NORMAL: u64 = 655;

/// The calls after which an excursion ends: 9 million, in 1/1,000,000.
pub(super) const MAX_EXPECTED: u64 = 9_000_000_000_000;

/// What a member has announced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Announced {
    /// The rate that is counted.
    rate: u64,
    normal: u64,
    /// A rate that the counted one hasn't been below since `since`, and at least half of it.
    floor: u64,
    since: u64,
}

impl Announced {
    /// The calls that the sums expect of this member since `began`, or fewer.
    ///
    /// Fewer are safe: then more of the member's evidence is left out.
    pub(super) fn expected_since(&self, began: u64, now: u64) -> u64 {
        let time = now - began.max(self.since);
        self.floor.saturating_mul(time).min(MAX_EXPECTED)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Table {
    members: BTreeMap<u64, Announced>,
    sum: u64,
    /// The sum of the rates, each times the usual share of failures.
    failing: u64,
}

impl Table {
    fn remove(&mut self, member: u64) -> Option<Announced> {
        let it = self.members.remove(&member)?;
        self.sum -= it.rate;
        self.failing -= it.rate * it.normal;
        Some(it)
    }

    fn insert(&mut self, member: u64, it: Announced) {
        self.sum += it.rate;
        self.failing += it.rate * it.normal;
        self.members.insert(member, it);
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rates {
    newer: Table,
    older: Table,
    /// When the newer table became the newer one.
    turned: u64,
}

impl Rates {
    pub(super) fn begin(&mut self, now: u64) {
        self.turned = now;
    }

    pub(super) fn sum(&self) -> u64 {
        self.newer.sum + self.older.sum
    }

    pub(super) fn members(&self) -> u64 {
        (self.newer.members.len() + self.older.members.len()) as u64
    }

    /// The share of calls that usually fails: the mean, weighted by calls.
    pub(super) fn normal(&self) -> u32 {
        let failing = self.newer.failing + self.older.failing;
        let normal = failing.checked_div(self.sum()).unwrap_or(FIRST_NORMAL);
        u32::try_from(normal).unwrap_or(SHARE)
    }

    /// The calls expected within `ms`, in 1/1,000,000 call.
    pub(super) fn expected(&self, ms: u64) -> u64 {
        self.sum().saturating_mul(ms).min(MAX_EXPECTED)
    }

    /// Drops what is too old.
    pub(super) fn rotate(&mut self, now: u64) {
        let turns = (now - self.turned) / TURN_MS;
        if turns > 0 {
            self.older = std::mem::take(&mut self.newer);
        }
        if turns > 1 {
            self.older = Table::default();
        }
        self.turned += turns * TURN_MS;
    }

    pub(super) fn of(&self, member: u64) -> Option<Announced> {
        let newer = self.newer.members.get(&member);
        newer.or_else(|| self.older.members.get(&member)).copied()
    }

    /// Returns whether the whole rate is counted.
    pub(super) fn announce(&mut self, pulse: &Pulse, now: u64) -> bool {
        let member = pulse.sender.member.0;
        let before = self
            .newer
            .remove(member)
            .or_else(|| self.older.remove(member));
        if self.members() >= MAX_MEMBERS {
            return false;
        }
        let rate = pulse.rate.min(MAX_SUM - self.sum());
        let (floor, since) = match before {
            // Still true of the whole time.
            Some(it) if rate <= 2 * it.floor => (it.floor.min(rate), it.since),
            _ => (rate, now),
        };
        let normal = pulse.normal.into();
        self.newer.insert(
            member,
            Announced {
                rate,
                normal,
                floor,
                since,
            },
        );
        rate == pulse.rate
    }
}

/// Members with their numbers, in the order of the script.
#[cfg(any(all(test, feature = "redis"), feature = "__fuzz"))]
type Members = Vec<(u64, [u64; 4])>;

#[cfg(any(all(test, feature = "redis"), feature = "__fuzz"))]
impl Rates {
    /// When the tables were turned, and the numbers of each, in the order of the script.
    pub(super) fn stored(&self) -> (u64, [[u64; 3]; 2], [Members; 2]) {
        let tables = [&self.newer, &self.older];
        let members = |it: &Table| {
            let numbers = |it: &Announced| [it.rate, it.normal, it.floor, it.since];
            it.members
                .iter()
                .map(|(&member, it)| (member, numbers(it)))
                .collect()
        };
        let sums = tables.map(|it| [it.sum, it.failing, it.members.len() as u64]);
        (self.turned, sums, tables.map(members))
    }
}
