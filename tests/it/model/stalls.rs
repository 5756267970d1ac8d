//! Stalls of the client: long times in which no watched call began or ended.

/// The latest stall, and the latest progress. All times are in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stalls {
    alive: u64,
    answered: u64,
    latest: Option<(u64, u64)>,
}

impl Stalls {
    /// A watched call begins or ends. `since` is when the generation began, and `spacing` the usual
    /// time from one call to the next, before a gap. Progress is noted at most once in a 32nd of the
    /// limit.
    pub(super) fn progress(
        &mut self,
        now: u64,
        limit: u64,
        since: u64,
        spacing: impl Fn(u64) -> u64,
    ) {
        if now <= self.alive.saturating_add(limit / 32) {
            return;
        }
        let from = self.alive.max(since);
        let gap = now.saturating_sub(from);
        // Without an answer since the latest stall, or any at all, the dependency hangs.
        let ended = self.latest.map_or(1, |(_, to)| to.max(1));
        let is_apart = self.answered >= ended;
        if gap > limit / 2 && gap > spacing(gap).saturating_mul(20) && is_apart {
            self.latest = Some((from, now));
        }
        self.alive = now;
    }

    /// A watched call succeeds in time.
    pub(super) fn answer(&mut self, now: u64, limit: u64) {
        if now > self.answered.saturating_add(limit / 32) {
            self.answered = now;
        }
    }

    /// The time from `began` to `now` without the latest stall.
    pub(super) fn awake(self, began: u64, now: u64) -> u64 {
        let (from, to) = self.latest.unwrap_or_default();
        let in_stall = to.min(now).saturating_sub(from.max(began));
        (now - began).saturating_sub(in_stall)
    }
}
