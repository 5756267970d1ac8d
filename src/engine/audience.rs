//! Who wants to know of transitions: listeners, and tasks that check the dependency's health. With them what
//! a breaker gets in the course of its life, if at all.

use std::sync::Arc;

use crate::engine::parts::Overrides;
use crate::events::listeners::{Listeners, LogEntry};
use crate::name::Name;
#[cfg(feature = "async")]
use crate::recovery::HealthChecks;
#[cfg(feature = "async")]
use crate::state::State;
use crate::sync::LateBox;
#[cfg(feature = "async")]
use crate::sync::{Ordering, fence};
use crate::sync::{PublishedOnce, Replaceable};

/// Nobody, at first; one word.
#[derive(Debug)]
pub(crate) struct Audience(LateBox<Seats>);

#[derive(Debug, Default)]
struct Seats {
    listeners: Option<Box<Listeners>>,
    #[cfg(feature = "async")]
    checks: LateBox<HealthChecks>,
    later: PublishedOnce<Replaceable<Overrides>>,
}

impl Audience {
    pub(crate) fn new(listeners: Option<Box<Listeners>>) -> Self {
        let audience = Self(LateBox::new());
        if listeners.is_some() {
            let seats = Seats {
                listeners,
                #[cfg(feature = "async")]
                checks: LateBox::new(),
                later: PublishedOnce::new(),
            };
            audience.0.get_or_init(|| Box::new(seats));
        }
        audience
    }

    /// Goes on after `generation`, before anybody else knows of the breaker.
    #[cfg(feature = "serde")]
    pub(crate) fn go_on_after(&self, generation: u64) {
        if let Some(listeners) = self.0.get().and_then(|seats| seats.listeners.as_deref()) {
            listeners.go_on_after(generation);
        }
    }

    /// Tells a transition that was made.
    pub(crate) fn tell(&self, name: &Name, entry: &LogEntry) {
        #[cfg(feature = "async")]
        if entry.to == State::Open {
            // SeqCst: pairs with the fence of `HealthChecks::listen`. Either the first task, which has just made
            // the checks, sees that the breaker is open, or this thread sees the checks.
            fence(Ordering::SeqCst);
            if let Some(checks) = self.checks() {
                checks.ring();
            }
        }
        if let Some(listeners) = self.0.get().and_then(|seats| seats.listeners.as_deref()) {
            listeners.tell(name, entry);
        }
    }

    /// The tasks that check the dependency's health, if there has ever been one.
    #[cfg(feature = "async")]
    pub(crate) fn checks(&self) -> Option<&HealthChecks> {
        self.0.get()?.checks.get()
    }

    /// The same for a task that may be the first.
    #[cfg(feature = "async")]
    pub(crate) fn checks_from_now_on(&self) -> &HealthChecks {
        let seats = self.0.get_or_init(Box::default);
        seats.checks.get_or_init(Box::default)
    }

    /// What another configuration has put in the place of what the breaker was built with, if there has ever
    /// been another.
    #[inline]
    pub(crate) fn later(&self) -> Option<&Replaceable<Overrides>> {
        self.0.get()?.later.get()
    }

    /// Makes another configuration known, unless another is already.
    pub(crate) fn publish(&self, overrides: Arc<Overrides>) {
        let seats = self.0.get_or_init(Box::default);
        seats.later.publish(Replaceable::new(overrides));
    }
}
