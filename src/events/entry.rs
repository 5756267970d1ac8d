//! A transition as the engine notes it, and its packing into words.

use crate::events::Cause;
use crate::name::label::Label;
use crate::state::State;
use crate::sync::field::Field;
use crate::window::{Counts, rate};

/// The counts that a window held when it tripped the breaker.
///
/// A count above 4,294,967,295 reads as that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowCounts {
    pub(crate) calls: u64,
    pub(crate) failures: u64,
    pub(crate) slow: u64,
}

impl WindowCounts {
    /// The calls that succeeded or failed.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// The calls that failed.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// The calls that were slow; 0 without a [`slow_rate`](crate::TripPolicy::slow_rate) policy.
    #[must_use]
    pub fn slow(&self) -> u64 {
        self.slow
    }

    /// The share of the calls that failed, 0 to 1; `None` if there was no call.
    #[must_use]
    pub fn failure_rate(&self) -> Option<f64> {
        (self.calls > 0).then(|| rate(self.failures, self.calls))
    }
}

impl From<Counts> for WindowCounts {
    fn from(counts: Counts) -> Self {
        Self {
            calls: counts.calls(),
            failures: counts.failures,
            slow: counts.slow_of_calls(),
        }
    }
}

/// Why a transition is made, and what is known of the call that made it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reason {
    /// Why the transition is made.
    pub cause: Cause,
    /// The window's counts, if they tripped the breaker.
    pub counts: Option<WindowCounts>,
    /// The label of the failure that decided it; empty if there is none.
    pub label: Label,
}

/// A cause without counts and label.
impl From<Cause> for Reason {
    fn from(cause: Cause) -> Self {
        Self {
            cause,
            counts: None,
            label: Label::NONE,
        }
    }
}

impl Reason {
    /// The reason of a transition that a call with this label decided.
    pub(crate) fn of_call(cause: Cause, label: Label) -> Self {
        Self {
            label,
            ..cause.into()
        }
    }
}

/// A transition as the engine notes it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogEntry {
    /// The full number of the generation that was entered; at least 1.
    pub generation: u64,
    /// The state that was left.
    pub from: State,
    /// The state that was entered.
    pub to: State,
    /// When the transition was made, in nanoseconds of the breaker's clock.
    pub at: u64,
    /// Why the transition was made.
    pub reason: Reason,
}

/// The first of the words behind the cause.
///
/// ```text
///  63              32 31         7    6     5    3 2     0
/// +------------------+------------+-------+-------+-------+
/// |     calls, 32    |     0      |count,1|from, 3| to, 3 |
/// +------------------+------------+-------+-------+-------+
/// ```
///
/// *Count*: whether the transition has counts. The next word holds the failures and the slow calls,
/// 32 bits each.
mod layout {
    use super::Field;

    pub(super) const TO: Field = Field::lowest(3);
    pub(super) const FROM: Field = TO.then(3);
    pub(super) const HAS_COUNTS: Field = FROM.then(1);
    pub(super) const CALLS: Field = HAS_COUNTS.then(25).then(32);
    pub(super) const FAILURES: Field = Field::lowest(32);
    pub(super) const SLOW: Field = FAILURES.then(32);

    const _: () = assert!(CALLS.end_bit() == 64 && SLOW.end_bit() == 64);
}

impl LogEntry {
    /// The number of words that an entry takes: the cause, the states and the counts, the time, and
    /// the label.
    pub(super) const WORDS: usize = 10;

    /// Packs the entry into words, all but the generation.
    pub(super) fn pack(&self) -> [u64; Self::WORDS] {
        let Reason {
            cause,
            counts,
            label,
        } = self.reason;
        let cut = |field: Field, count: u64| field.of(count.min(field.max()));
        let mut states = layout::TO.of(self.to as u64) | layout::FROM.of(self.from as u64);
        let mut failed = 0;
        if let Some(counts) = counts {
            states |= layout::HAS_COUNTS.of(1) | cut(layout::CALLS, counts.calls);
            failed = cut(layout::FAILURES, counts.failures) | cut(layout::SLOW, counts.slow);
        }
        let mut words = [0; Self::WORDS];
        words[..4].copy_from_slice(&cause.encode());
        words[4..7].copy_from_slice(&[states, failed, self.at]);
        words[7..].copy_from_slice(&label.words());
        words
    }

    /// Unpacks what [`pack`](Self::pack) returned.
    pub(super) fn unpack(words: [u64; Self::WORDS], generation: u64) -> Self {
        let [.., states, failed, at, _, _, _] = words;
        let has_counts = layout::HAS_COUNTS.get(states) == 1;
        let counts = has_counts.then(|| WindowCounts {
            calls: layout::CALLS.get(states),
            failures: layout::FAILURES.get(failed),
            slow: layout::SLOW.get(failed),
        });
        Self {
            generation,
            from: state_of(layout::FROM.get(states)),
            to: state_of(layout::TO.get(states)),
            at,
            reason: Reason {
                cause: Cause::decode(std::array::from_fn(|word| words[word])),
                counts,
                label: Label::of_words(std::array::from_fn(|word| words[word + 7])),
            },
        }
    }
}

/// The state with this discriminant.
fn state_of(code: u64) -> State {
    match code {
        1 => State::Open,
        2 => State::HalfOpen,
        3 => State::ForcedOpen,
        4 => State::Disabled,
        5 => State::MetricsOnly,
        _ => State::Closed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_state() -> impl Strategy<Value = State> {
        (0..6_u64).prop_map(state_of)
    }

    fn any_counts() -> impl Strategy<Value = WindowCounts> {
        let count = 0..1_u64 << 32;
        (count.clone(), count.clone(), count).prop_map(|(calls, failures, slow)| WindowCounts {
            calls,
            failures,
            slow,
        })
    }

    proptest! {
        #[test]
        fn an_entry_comes_back_from_its_words(
            generation: u64,
            (from, to) in (any_state(), any_state()),
            at: u64,
            counts in proptest::option::of(any_counts()),
            label: String,
        ) {
            let reason = Reason { cause: Cause::ProbeFailed, counts, label: Label::new(&label) };
            let entry = LogEntry { generation, from, to, at, reason };
            prop_assert_eq!(LogEntry::unpack(entry.pack(), generation), entry);
        }
    }

    #[test]
    fn a_count_that_is_too_large_is_cut() {
        let counts = |count| WindowCounts {
            calls: count,
            failures: count,
            slow: count,
        };
        let entry = |count| LogEntry {
            generation: 1,
            from: State::Closed,
            to: State::Open,
            at: 7,
            reason: Reason {
                counts: Some(counts(count)),
                ..Cause::ProbeFailed.into()
            },
        };
        let most = u64::from(u32::MAX);
        assert_eq!(LogEntry::unpack(entry(u64::MAX).pack(), 1), entry(most));
    }
}
