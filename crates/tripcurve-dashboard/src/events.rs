//! Events: transitions of breakers, and actions of users.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_queue::ArrayQueue;
use serde::Serialize;
use tripcurve::State;
use tripcurve::events::{Cause, Opening, Transition};

use crate::clock::{self, Millis};

/// How many events a dashboard keeps.
const MOST: usize = 2_000;

/// How many transitions wait for the sampler. It takes them at least once in ten seconds.
const WAITING: usize = 4_096;

/// An event, as the API shows it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Event {
    /// Events are numbered from 1 since the dashboard was made.
    pub(crate) id: u64,
    pub(crate) at_ms: Millis,
    /// The breaker's key, or the group's name.
    pub(crate) name: Arc<str>,
    #[serde(flatten)]
    pub(crate) what: What,
}

/// What has happened.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum What {
    /// A breaker changed its state.
    Transition {
        from: State,
        to: State,
        generation: u64,
        cause: Cause,
        label: Option<String>,
        missed: u64,
    },
    /// The breaker had opened before the dashboard knew it.
    OpenedBefore {
        from: State,
        to: State,
        generation: u64,
        cause: Cause,
    },
    /// A user acted.
    Action {
        action: &'static str,
        on: &'static str,
        actor: String,
        seconds: Option<f64>,
    },
}

impl What {
    /// How a breaker had opened, if that was long before now.
    pub(crate) fn opened_before(opening: &Opening) -> Self {
        Self::OpenedBefore {
            from: opening.from(),
            to: opening.to(),
            generation: opening.generation(),
            cause: opening.cause(),
        }
    }
}

/// A transition that a listener was told of.
#[derive(Debug)]
struct Told {
    key: Option<Arc<str>>,
    transition: Transition,
}

/// The way of transitions from the threads that make them to the log. No thread waits.
#[derive(Debug)]
pub(crate) struct Feed(ArrayQueue<Told>);

impl Default for Feed {
    fn default() -> Self {
        Self(ArrayQueue::new(WAITING))
    }
}

impl Feed {
    /// Puts a transition into the feed. If the feed is full, the oldest one is lost.
    pub(crate) fn tell(&self, key: Option<Arc<str>>, transition: &Transition) {
        let transition = transition.clone();
        self.0.force_push(Told { key, transition });
    }
}

/// The latest events.
#[derive(Debug, Default)]
pub(crate) struct Log(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    events: VecDeque<Arc<Event>>,
    last: u64,
}

impl Log {
    fn with<T>(&self, act: impl FnOnce(&mut Entries) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds an event.
    pub(crate) fn add(&self, name: impl Into<Arc<str>>, at_ms: Millis, what: What) -> u64 {
        let name = name.into();
        self.with(|entries| {
            entries.last += 1;
            let id = entries.last;
            if entries.events.len() == MOST {
                entries.events.pop_front();
            }
            entries.events.push_back(Arc::new(Event {
                id,
                at_ms,
                name,
                what,
            }));
            id
        })
    }

    /// Takes the transitions from the feed.
    pub(crate) fn take(&self, feed: &Feed) {
        while let Some(Told { key, transition }) = feed.0.pop() {
            let what = What::Transition {
                from: transition.from(),
                to: transition.to(),
                generation: transition.generation(),
                cause: transition.cause(),
                label: transition.label().map(|it| it.as_str().to_owned()),
                missed: transition.missed(),
            };
            let name = key.unwrap_or_else(|| transition.name().into());
            self.add(name, clock::since_1970(transition.system_time()), what);
        }
    }

    /// The number of the last event.
    pub(crate) fn last(&self) -> u64 {
        self.with(|entries| entries.last)
    }

    /// The events after number `seen`, at most `most`, the oldest first.
    pub(crate) fn after(&self, seen: u64, most: usize) -> Vec<Arc<Event>> {
        self.with(|entries| {
            let first = entries.events.partition_point(|event| event.id <= seen);
            entries.events.range(first..).take(most).cloned().collect()
        })
    }

    /// The latest events that `wanted` accepts, at most `most`, the oldest first.
    pub(crate) fn latest(&self, most: usize, wanted: impl Fn(&Event) -> bool) -> Vec<Arc<Event>> {
        let mut found: Vec<_> = self.with(|entries| {
            let events = entries.events.iter().rev();
            let found = events.filter(|it| wanted(it)).take(most);
            found.cloned().collect()
        });
        found.reverse();
        found
    }
}

#[cfg(test)]
mod tests {
    use super::{Log, MOST, What};

    fn action() -> What {
        What::Action {
            action: "reset",
            on: "breaker",
            actor: "ann".to_owned(),
            seconds: None,
        }
    }

    #[test]
    fn the_log_keeps_the_latest_events_and_numbers_all() {
        let log = Log::default();
        for _ in 0..MOST + 5 {
            log.add("payments", 1, action());
        }
        let all = log.latest(usize::MAX, |_| true);
        assert_eq!((all.len(), all[0].id), (MOST, 6));
        let two = log.latest(2, |_| true);
        assert_eq!(two[1].id, log.last());
    }

    #[test]
    fn events_are_read_on_from_a_number() {
        let log = Log::default();
        for _ in 0..9 {
            log.add("payments", 1, action());
        }
        let ids = |seen, most| {
            let events = log.after(seen, most);
            events.iter().map(|event| event.id).collect::<Vec<_>>()
        };
        assert_eq!(ids(4, 3), [5, 6, 7]);
        assert_eq!(ids(8, 3), [9]);
        assert!(ids(9, 3).is_empty() && ids(99, 3).is_empty());
    }

    #[test]
    fn an_action_is_written_with_its_actor() {
        let log = Log::default();
        log.add("payments", 7, action());
        let text = serde_json::to_string(&log.latest(1, |_| true)[0]).unwrap();
        assert_eq!(
            text,
            "{\"id\":1,\"at_ms\":7,\"name\":\"payments\",\"kind\":\"action\",\"action\":\"reset\",\
             \"on\":\"breaker\",\"actor\":\"ann\",\"seconds\":null}"
        );
    }
}
