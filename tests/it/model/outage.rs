//! An outage as a recovery with a ramp knows it: its age, and how far calls are apart.

use std::ops::RangeInclusive;

use super::date;

const MILLISECOND: u64 = 1_000_000;

/// The present outage.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outage {
    /// The date at which the breaker last tripped, or was built.
    began: u64,
    /// The mean time in nanoseconds from one call that asks to the next.
    pub(super) spacing: u64,
    /// The date at which a ramp last had too many failures.
    pub(super) cut: Option<u64>,
}

impl Outage {
    /// A hundred calls a second are assumed while nothing is known.
    pub(super) fn new(now: u64) -> Self {
        Self {
            began: date(now),
            spacing: 10 * MILLISECOND,
            cut: None,
        }
    }

    /// The breaker trips. So many calls came within so many nanoseconds before.
    pub(super) fn start(&mut self, now: u64, calls: u64, within: u64) {
        self.began = date(now);
        if let Some(spacing) = within.checked_div(calls) {
            self.spacing = spacing;
        }
    }

    /// So many calls asked an open breaker within so many nanoseconds. What was known weighs as
    /// four calls.
    pub(super) fn observe(&mut self, calls: u64, within: u64) {
        let known = self.spacing.saturating_mul(4);
        self.spacing = known.saturating_add(within) / (calls + 4);
    }

    /// The recovery of a new process or of other settings knows no cut of a former one.
    pub(super) fn restart(&mut self) {
        self.cut = None;
    }

    fn age(self, now: u64) -> u64 {
        date(now).saturating_sub(self.began)
    }

    /// Whether the outage lasts ten seconds at most.
    pub(super) fn is_young(self, now: u64) -> bool {
        self.age(now) <= 10_000 * MILLISECOND
    }

    /// Whether it also lasts no longer than 64 calls take.
    pub(super) fn may_be_a_run(self, now: u64) -> bool {
        self.is_young(now) && self.age(now) <= self.spacing.saturating_mul(64)
    }

    /// How long a probe waits, without jitter: the time of 98 calls, 0.1 s to 2 s, and longer with
    /// more clients. It is at least a hundredth of the outage's age, up to 5 s. And it is at least
    /// the time of four calls, up to 300 s.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "as the breaker does"
    )]
    pub(super) fn mean_wait(self, now: u64, clients: u32) -> u64 {
        let by_traffic = self.spacing.saturating_mul(98);
        let by_traffic = by_traffic.clamp(100 * MILLISECOND, 2_000 * MILLISECOND);
        let for_all = (by_traffic as f64 * spread(clients)) as u64;
        let by_age = (self.age(now) / 100).min(5_000 * MILLISECOND);
        let four = self.spacing.saturating_mul(4).min(300_000 * MILLISECOND);
        for_all.max(by_age).max(four)
    }

    /// The possible waits: they vary by a fifth.
    pub(super) fn waits(self, now: u64, clients: u32) -> RangeInclusive<u64> {
        let mean = self.mean_wait(now, clients);
        mean - mean / 5..=mean - mean / 5 + mean / 5 * 2
    }
}

/// One, and one more for each tenfold number of clients.
pub(super) fn spread(clients: u32) -> f64 {
    1.0 + f64::from(clients).log10()
}
