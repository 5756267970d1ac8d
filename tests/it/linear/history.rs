//! The calls of a history.

use std::fmt::{self, Debug};
use std::sync::atomic::{AtomicU64, Ordering};

/// A call with its answer.
#[derive(Clone, Debug)]
pub(super) struct Event<C, A> {
    pub(super) thread: usize,
    pub(super) call: C,
    pub(super) answer: A,
    /// The number of the moment when the call began. Each moment has its own number.
    pub(super) begin: u64,
    pub(super) end: u64,
}

impl<C, A> Event<C, A> {
    fn overlaps(&self, other: &Self) -> bool {
        self.thread != other.thread && self.begin < other.end && other.begin < self.end
    }
}

/// Numbers the moments of a history.
#[derive(Debug, Default)]
pub(super) struct Moments(AtomicU64);

impl Moments {
    /// Makes a call and notes its moments.
    pub(super) fn around<C: Clone, A>(
        &self,
        thread: usize,
        call: &C,
        work: impl FnOnce(&C) -> A,
    ) -> Event<C, A> {
        // SeqCst, both: a call that begins after another has ended sees all that the other did.
        // Otherwise the order of the moments would promise more than the object does.
        let begin = self.0.fetch_add(1, Ordering::SeqCst);
        let answer = work(call);
        let end = self.0.fetch_add(1, Ordering::SeqCst);
        Event {
            thread,
            call: call.clone(),
            answer,
            begin,
            end,
        }
    }
}

/// How much the histories of a test overlapped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Overlap {
    pub(super) histories: u64,
    /// The histories in which a call overlapped one of another thread.
    pub(super) overlapping: u64,
    pub(super) calls: u64,
    /// The calls that overlapped one of another thread.
    pub(super) overlapping_calls: u64,
}

impl Overlap {
    pub(super) fn add<C, A>(&mut self, history: &[Event<C, A>]) {
        let overlaps = |event: &&Event<C, A>| history.iter().any(|other| event.overlaps(other));
        let overlapping = history.iter().filter(overlaps).count() as u64;
        self.histories += 1;
        self.overlapping += u64::from(overlapping > 0);
        self.calls += history.len() as u64;
        self.overlapping_calls += overlapping;
    }
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            histories,
            overlapping,
            calls,
            overlapping_calls,
        } = self;
        write!(
            f,
            "{histories} histories, {overlapping} overlapped; \
             {calls} calls, {overlapping_calls} overlapped"
        )
    }
}

/// One line for each call, in the order in which they began.
pub(super) fn listing<C: Debug, A: Debug>(history: &[Event<C, A>]) -> String {
    let mut sorted: Vec<_> = history.iter().collect();
    sorted.sort_by_key(|event| event.begin);
    let line = |event: &&Event<C, A>| {
        let Event {
            thread,
            call,
            answer,
            begin,
            end,
        } = event;
        format!("  {begin:>3}..{end:<3} thread {thread}: {call:?} -> {answer:?}\n")
    };
    sorted.iter().map(line).collect()
}

#[test]
fn calls_overlap_if_they_are_of_two_threads_and_neither_ends_before_the_other_begins() {
    let event = |thread, begin, end| Event {
        thread,
        call: (),
        answer: (),
        begin,
        end,
    };
    let mut overlap = Overlap::default();
    overlap.add(&[event(0, 0, 3), event(1, 2, 5), event(0, 6, 7)]);
    overlap.add(&[event(0, 0, 1), event(1, 2, 3)]);
    let expected = Overlap {
        histories: 2,
        overlapping: 1,
        calls: 5,
        overlapping_calls: 2,
    };
    assert_eq!(overlap, expected);
}
