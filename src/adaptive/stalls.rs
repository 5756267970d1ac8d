//! Stalls of the client: times in which nothing of it made progress.
//!
//! A client may be paused, by a garbage collector, a debugger or a busy machine. The calls in
//! flight then look slow, though the dependency answered in time. So the time of a stall counts for
//! no call. While a dependency hangs, calls go on to begin, so a hang is no stall.

use crate::sync::{Hint, Payload, Publisher};

/// The latest stall, and the latest sign of life.
///
/// ```text
/// alive:    the latest time at which a watched call began or ended
/// answered: the latest time at which one succeeded in time
/// to:       when the latest stall ended; `alive` publishes it
/// from:     when the latest stall began; `to` and `alive` publish it
/// ```
///
/// The first two are exact to within a 32nd of the limit. All are nanoseconds that never go back. A
/// thread that finds a stall writes it down first and raises `alive` last. So a thread that no
/// longer finds the gap finds the stall.
#[derive(Debug, Default)]
pub struct Stalls {
    alive: Publisher,
    answered: Hint,
    to: Publisher,
    from: Payload,
}

impl Stalls {
    /// `alive` and `answered` are written at most once in this part of the limit.
    const PRECISION: u64 = 32;
    /// A time without progress is a stall from this part of the limit on.
    const PART: u64 = 2;
    /// It is also longer than this many usual spacings of calls.
    const SPACINGS: u64 = 20;

    /// Notes at `now` that a watched call begins or ends.
    ///
    /// `limit` is the limit above which calls are slow. `since` returns since when calls are
    /// watched, and `spacing` the usual time from one call to the next, before a gap of so many
    /// nanoseconds. Both are seldom called.
    #[inline]
    pub fn note(
        &self,
        now: u64,
        limit: u64,
        since: impl FnOnce() -> u64,
        spacing: impl FnOnce(u64) -> u64,
    ) {
        // A thread that finds another thread's sign of life also finds the stall before it.
        // Otherwise it would charge its call with the time of the stall.
        let alive = self.alive.load();
        if now > alive.saturating_add(limit / Self::PRECISION) {
            self.note_slow(now, limit, alive.max(since()), spacing);
        }
    }

    #[cold]
    #[inline(never)]
    fn note_slow(&self, now: u64, limit: u64, alive: u64, spacing: impl FnOnce(u64) -> u64) {
        let gap = now.saturating_sub(alive);
        let is_stall =
            gap > limit / Self::PART && gap > spacing(gap).saturating_mul(Self::SPACINGS);
        if is_stall && self.is_apart(alive) {
            // `to` publishes it.
            self.from.raise(alive);
            // A reader of this end finds its beginning, or a later one. Otherwise the stall would
            // look longer than it was.
            self.to.raise(now);
        }
        // A reader of this sign of life finds the stall before it.
        self.alive.raise(now);
    }

    /// Notes at `now` that a watched call has succeeded in time.
    #[inline]
    pub fn answer(&self, now: u64, limit: u64) {
        // A reader that misses this takes the next stall for a hang.
        if now > self.answered.load().saturating_add(limit / Self::PRECISION) {
            self.answered.raise(now);
        }
    }

    /// Whether a time without progress since `from` may be a stall. It is none if the dependency
    /// hasn't answered since the stall before, or has never answered. Otherwise workers that all
    /// wait for a dependency that hangs would not see it for long.
    fn is_apart(&self, from: u64) -> bool {
        let (before, ended) = self.latest();
        let answered = self.answered.load();
        // Another thread may have noted this stall already. The time zero stands for no stall, and
        // for no answer.
        (ended > 0 && before == from) || (answered > 0 && answered >= ended)
    }

    fn latest(&self) -> (u64, u64) {
        // The beginning is that of this end or of a later one. If it is a later one, the stall
        // looks shorter than it was.
        let to = self.to.load();
        (self.from.load(), to)
    }

    /// How many nanoseconds from `began` to `now` weren't in the latest stall.
    #[must_use]
    pub fn awake(&self, began: u64, now: u64) -> u64 {
        let (from, to) = self.latest();
        let in_stall = to.min(now).saturating_sub(from.max(began));
        now.saturating_sub(began).saturating_sub(in_stall)
    }
}

#[cfg(all(test, not(tripcurve_loom)))]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const LIMIT: u64 = 100 * MS;

    /// A client whose dependency answered at 1,000 ms.
    fn stalls() -> Stalls {
        let stalls = Stalls::default();
        answer(&stalls, 1_000);
        stalls
    }

    fn note(stalls: &Stalls, at: u64) {
        stalls.note(at * MS, LIMIT, || 900 * MS, |_| MS);
    }

    fn answer(stalls: &Stalls, at: u64) {
        note(stalls, at);
        stalls.answer(at * MS, LIMIT);
    }

    fn awake(stalls: &Stalls, began: u64, now: u64) -> u64 {
        stalls.awake(began * MS, now * MS) / MS
    }

    /// Fails when: `awake` counts time outside of the stall, or outside of the call.
    #[test]
    fn the_time_of_a_stall_counts_for_no_call() {
        let stalls = stalls();
        note(&stalls, 3_000);
        assert_eq!(awake(&stalls, 950, 3_000), 50);
        assert_eq!(awake(&stalls, 950, 3_200), 250);
        assert_eq!(awake(&stalls, 2_000, 3_100), 100);
        assert_eq!(awake(&stalls, 900, 990), 90);
        assert_eq!(awake(&stalls, 3_010, 3_200), 190);
        assert_eq!(awake(&stalls, 950, 2_000), 50, "a clock reading of before");
    }

    /// Fails when: `note_slow` ignores the limit or the spacing of calls.
    #[test]
    fn a_short_time_without_calls_or_one_that_is_usual_is_no_stall() {
        let stalls = self::stalls();
        note(&stalls, 1_050);
        assert_eq!(awake(&stalls, 1_000, 1_050), 50);
        stalls.note(3_000 * MS, LIMIT, || 0, |gap| gap / 20);
        assert_eq!(awake(&stalls, 1_000, 3_000), 2_000);
    }

    /// Fails when: `note` leaves out `since`.
    #[test]
    fn the_time_before_calls_were_watched_is_no_stall() {
        let stalls = Stalls::default();
        note(&stalls, 940);
        assert_eq!(awake(&stalls, 0, 940), 940);
    }

    /// Fails when: `is_apart` takes no answer for one at the beginning.
    #[test]
    fn before_the_first_answer_there_is_no_stall() {
        let stalls = Stalls::default();
        note(&stalls, 1_000);
        note(&stalls, 3_000);
        assert_eq!(awake(&stalls, 1_000, 3_000), 2_000);
        let from_the_origin = Stalls::default();
        from_the_origin.note(2_000 * MS, LIMIT, || 0, |_| MS);
        assert_eq!(awake(&from_the_origin, 0, 2_000), 2_000);
    }

    /// Fails when: `is_apart` is always true.
    #[test]
    fn before_the_dependency_has_answered_there_is_no_second_stall() {
        let stalls = stalls();
        note(&stalls, 3_000);
        note(&stalls, 5_000);
        assert_eq!(awake(&stalls, 3_000, 5_000), 2_000);
        for now in (5_010..5_300).step_by(10) {
            answer(&stalls, now);
        }
        note(&stalls, 7_000);
        assert_eq!(awake(&stalls, 5_250, 7_000), 40);
    }
}
