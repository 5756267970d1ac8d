//! How another template reaches all breakers of a registry.
//!
//! Templates and breakers come in any order, and nobody waits. Who brings a template makes it known, draws a
//! line under the breakers that were begun before, and then goes to all that are in the map. Who makes a breaker
//! takes a number first and reads the template then, puts the breaker into the map, and then looks where the line is. So a
//! number above the line says that the breaker is as the template says; and of one that isn't, either of the
//! two sees the other: the one finds it in the map, or the other finds the line above it. Who has brought a breaker
//! into line looks again whether the template still is the latest: so all end as the latest says.

use std::sync::Arc;

use crate::sync::{AtomicU64, Ordering, Replaceable, fence};

/// The templates of a registry, of which the latest holds.
#[derive(Debug)]
pub struct Templates<T> {
    latest: Replaceable<T>,
    /// How many breakers were begun.
    begun: AtomicU64,
    /// Of these so many may have been made from a template that is not the latest.
    line: AtomicU64,
}

impl<T> Templates<T> {
    /// The first one.
    pub fn new(first: T) -> Self {
        Self {
            latest: Replaceable::new(Arc::new(first)),
            begun: AtomicU64::new(0),
            line: AtomicU64::new(0),
        }
    }

    /// Shows the latest one.
    pub fn with<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(self.latest.load().get())
    }

    /// Makes a breaker, which gets a number of its own, from one on.
    pub fn make<R>(&self, make: impl FnOnce(&T, u64) -> R) -> R {
        // Acquire: pairs with the Release in `replace`. A breaker whose number is above the line came after
        // the line was drawn, and finds the template that was published before.
        let number = self.begun.fetch_add(1, Ordering::Acquire) + 1;
        self.with(|template| make(template, number))
    }
}

impl<T> Templates<T> {
    /// Makes another known. Then all breakers must be brought into [line](Self::align).
    pub fn replace(&self, change: impl Fn(&T) -> T) {
        loop {
            let seen = self.latest.load();
            if self.latest.replace(&seen, Arc::new(change(seen.get()))) {
                break;
            }
        }
        // Release: pairs with the Acquire in `make`. It changes nothing, but has a place among the breakers
        // that begin.
        let begun = self.begun.fetch_add(0, Ordering::Release);
        // Relaxed: the fence orders it, as it does the reading of the map that follows.
        self.line.fetch_max(begun, Ordering::Relaxed);
        // SeqCst: pairs with itself in `follow`. Either this thread finds the breaker that has just been put into the map, or
        // who did so finds the line.
        fence(Ordering::SeqCst);
    }

    /// Brings one into line that has just been put into the map, if it may have been made from an earlier
    /// template.
    pub fn follow(&self, number: u64, bring: impl FnMut(&T)) {
        // SeqCst: pairs with itself in `replace`.
        fence(Ordering::SeqCst);
        // Relaxed: the fence orders it.
        if number <= self.line.load(Ordering::Relaxed) {
            self.align(bring);
        }
    }

    /// Brings a breaker into line with the latest template.
    pub fn align(&self, mut bring: impl FnMut(&T)) {
        let mut seen = self.latest.load();
        loop {
            bring(seen.get());
            // SeqCst: pairs with itself in `replace`. Either this thread finds the later template, or who has brought it
            // finds the breaker as it is now.
            fence(Ordering::SeqCst);
            let found = self.latest.load();
            if Arc::ptr_eq(found.get(), seen.get()) {
                return;
            }
            seen = found;
        }
    }
}
