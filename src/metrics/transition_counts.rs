//! How many transitions of each kind a breaker has made.

use crate::events::Transition;
use crate::state::State;
use crate::sync::{PublishedOnce, SelfContained};

/// What the labels of a transition say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct TransitionLabels {
    pub(super) from: State,
    pub(super) to: State,
    pub(super) reason: &'static str,
}

impl From<&Transition> for TransitionLabels {
    fn from(transition: &Transition) -> Self {
        Self {
            from: transition.from(),
            to: transition.to(),
            reason: transition.cause().kind(),
        }
    }
}

/// A list that only grows: one link for each kind of transition that a breaker has made.
///
/// A listener adds to it and allocates for the first transition of a kind. No thread waits.
#[derive(Default)]
pub(super) struct TransitionCounts(PublishedOnce<Link>);

struct Link {
    labels: TransitionLabels,
    count: SelfContained,
    next: TransitionCounts,
}

impl TransitionCounts {
    /// Counts a transition.
    pub(super) fn add(&self, labels: TransitionLabels) {
        let mut rest = self;
        loop {
            match rest.0.get() {
                Some(link) if link.labels == labels => {
                    link.count.add(1);
                    return;
                }
                Some(link) => rest = &link.next,
                // The next look finds this link, or the one of a faster thread.
                None => rest.0.publish(Link {
                    labels,
                    count: SelfContained::new(0),
                    next: Self::default(),
                }),
            }
        }
    }

    /// The counts, each kind at the same place in every call.
    pub(super) fn iter(&self) -> impl Iterator<Item = (TransitionLabels, u64)> {
        let mut rest = self;
        std::iter::from_fn(move || {
            let link = rest.0.get()?;
            rest = &link.next;
            Some((link.labels, link.count.load()))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::{TransitionCounts, TransitionLabels};
    use crate::state::State;

    #[test]
    fn transitions_of_all_threads_are_counted_by_kind() {
        let counts = TransitionCounts::default();
        let labels = |reason| TransitionLabels {
            from: State::Closed,
            to: State::Open,
            reason,
        };
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for reason in ["manual", "failure_rate", "isolated"].repeat(100) {
                        counts.add(labels(reason));
                    }
                });
            }
        });
        let mut all: Vec<_> = counts.iter().collect();
        all.sort_by_key(|(labels, _)| labels.reason);
        let expected = ["failure_rate", "isolated", "manual"].map(|it| (labels(it), 400));
        assert_eq!(all, expected);
    }
}
