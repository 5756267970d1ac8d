//! The failures of a breaker that its fleet hasn't been told of yet.

use std::time::Duration;

use crate::sync::field::Field;
use crate::sync::wait_queue::{EventQueue, Queue};
use crate::sync::{LateBox, Ordering, SelfContained, fence};

/// The layout of the word. It is zero while nothing is unreported.
///
/// ```text
///  63                  35 34                    12 11           0
/// +----------------------+------------------------+--------------+
/// | first, in ms         | surprise, in 1/256 nat | failures     |
/// +----------------------+------------------------+--------------+
/// ```
const FAILURES: Field = Field::lowest(12);
const SURPRISE: Field = FAILURES.then(23);
const FIRST: Field = SURPRISE.then(29);

/// The most that one failure surprises: nearly 8 nats.
const MOST: u64 = 2_047;
const MILLISECOND: u64 = 1_000_000;

const _: () = assert!(FAILURES.max() * MOST <= SURPRISE.max());
const _: () = assert!(FIRST.end_bit() == 64);

/// Failures of a breaker, with their surprise, of which its fleet wasn't told before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnreportedFailures {
    failures: u32,
    surprise: u32,
    spread: Duration,
}

impl UnreportedFailures {
    /// The calls that failed or took too long: 1 to 4,095.
    ///
    /// The breaker counts no more than 4,095 between two takings.
    #[must_use]
    pub fn failures(self) -> u32 {
        self.failures
    }

    /// The sum of the surprises of these failures, in 1/256 nat: at most 2,047 for each.
    ///
    /// The surprise of a failure is minus the logarithm of its usual chance. That depends on
    /// whether the failure came first, after a success, or after another failure. Where failures
    /// usually follow one another, all but the first also have up to one nat: the share of calls by
    /// which more fail right after a failure than usual. A fleet needs it, because it compares the
    /// failures with the usual share of all calls.
    #[must_use]
    pub fn surprise(self) -> u32 {
        self.surprise
    }

    /// The time from the first of these failures until they were taken, in whole milliseconds: less
    /// than six days.
    #[must_use]
    pub fn spread(self) -> Duration {
        self.spread
    }

    fn unpack(word: u64, now: u64) -> Option<Self> {
        let millis =
            FIRST.get((now / MILLISECOND).wrapping_sub(FIRST.get(word)) << FIRST.first_bit());
        // Each field has at most 29 bits.
        let get = |field: Field| u32::try_from(field.get(word)).unwrap_or(u32::MAX);
        (word != 0).then(|| Self {
            failures: get(FAILURES),
            surprise: get(SURPRISE),
            spread: Duration::from_millis(millis),
        })
    }
}

/// The word of unreported failures of a breaker in a fleet, and the tasks that wait for them.
#[derive(Debug, Default)]
pub struct UnreportedWord {
    word: SelfContained,
    /// An empty queue would allocate when it is notified, so it is made for the first task.
    tasks: LateBox<EventQueue>,
}

impl UnreportedWord {
    /// Adds a failure that ended at the date `now` and surprises so many 1/256 nat, at most 2,047.
    /// Wakes the tasks if nothing was unreported before.
    #[inline]
    pub fn add(&self, surprise: u64, now: u64) {
        debug_assert!(
            surprise <= MOST,
            "{surprise} is more than a failure can surprise"
        );
        let mut seen = self.word.load();
        loop {
            let new = match seen {
                0 => FIRST.of(now / MILLISECOND) | SURPRISE.of(surprise) | FAILURES.of(1),
                // A full word stays. So many failures are a verdict by themselves.
                _ if FAILURES.get(seen) == FAILURES.max() => return,
                _ => seen + SURPRISE.of(surprise) + FAILURES.of(1),
            };
            match self.word.exchange(seen, new) {
                Ok(()) => break,
                Err(found) => seen = found,
            }
        }
        if seen == 0 {
            self.wake();
        }
    }

    #[cold]
    #[inline(never)]
    fn wake(&self) {
        // SeqCst: pairs with the fence in `listen`. Either this thread finds the task in the queue,
        // or the task finds the failure. Otherwise the task could wait while a failure is
        // unreported.
        fence(Ordering::SeqCst);
        if let Some(tasks) = self.tasks.get() {
            tasks.notify_all();
        }
    }

    /// Takes all unreported failures at the date `now`. Each failure is taken once.
    pub fn take(&self, now: u64) -> Option<UnreportedFailures> {
        let mut word = self.word.load();
        while let Err(found) = self.word.exchange(word, 0) {
            word = found;
        }
        UnreportedFailures::unpack(word, now)
    }

    /// A place among the tasks that wait, or `None` if something is unreported already.
    pub fn listen(&self) -> Option<<EventQueue as Queue>::InLine> {
        let listener = self.tasks.get_or_init(Box::default).listen();
        // SeqCst: pairs with the fence in `wake`, which describes it.
        fence(Ordering::SeqCst);
        (self.word.load() == 0).then_some(listener)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000 * MILLISECOND;

    fn taken(failures: u32, surprise: u32, millis: u64) -> UnreportedFailures {
        let spread = Duration::from_millis(millis);
        UnreportedFailures {
            failures,
            surprise,
            spread,
        }
    }

    #[test]
    fn failures_are_taken_once_with_their_surprise_and_the_time_since_the_first() {
        let word = UnreportedWord::default();
        assert_eq!(word.take(SECOND), None);
        word.add(1_152, SECOND);
        word.add(256, 2 * SECOND);
        assert_eq!(
            word.take(2 * SECOND + 46 * MILLISECOND),
            Some(taken(2, 1_408, 1_046))
        );
        assert_eq!(word.take(3 * SECOND), None);
        // A failure at the beginning of time, and without surprise.
        word.add(0, 0);
        assert_eq!(word.take(0), Some(taken(1, 0, 0)));
    }

    #[test]
    fn a_word_that_is_full_stays() {
        let word = UnreportedWord::default();
        for _ in 0..5_000 {
            word.add(MOST, 0);
        }
        assert_eq!(word.take(0), Some(taken(4_095, 4_095 * 2_047, 0)));
    }

    #[test]
    fn the_time_of_the_first_failure_may_wrap() {
        let word = UnreportedWord::default();
        let wraps = (FIRST.max() + 1) * MILLISECOND;
        word.add(0, wraps - 2 * MILLISECOND);
        assert_eq!(word.take(wraps + 3 * MILLISECOND), Some(taken(1, 0, 5)));
    }

    #[test]
    fn a_task_waits_only_while_nothing_is_unreported() {
        let word = UnreportedWord::default();
        let listener = word.listen().unwrap();
        word.add(0, 0);
        event_listener::Listener::wait(listener);
        assert!(word.listen().is_none());
        word.take(0);
        assert!(word.listen().is_some());
    }
}
