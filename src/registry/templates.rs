//! Brings a new template to all breakers of a registry.
//!
//! Templates and breakers come in any order, and no thread waits.
//!
//! - A thread that brings a template publishes it. Then it draws a line above the numbers of all
//!   breakers begun so far, and visits all breakers in the map.
//! - A thread that makes a breaker takes a number and then reads the template. It puts the breaker
//!   into the map and then reads the line.
//!
//! A number above the line means that the breaker follows the template. For any other breaker at
//! least one of the two sees the other. Either the first thread finds the breaker in the map, or
//! the second one finds the line at or above the breaker's number. A thread that has aligned a
//! breaker checks whether the template is still the latest. So all breakers end as the latest
//! template says.

use std::sync::Arc;

use crate::sync::{AtomicU64, Ordering, Replaceable, fence};

/// The templates of a registry. Only the latest one holds.
#[derive(Debug)]
pub struct Templates<T> {
    latest: Replaceable<T>,
    /// The number of breakers begun.
    begun: AtomicU64,
    /// Breakers up to this number may have been made from an earlier template.
    line: AtomicU64,
}

impl<T> Templates<T> {
    /// Starts with one template.
    pub fn new(first: T) -> Self {
        Self {
            latest: Replaceable::new(Arc::new(first)),
            begun: AtomicU64::new(0),
            line: AtomicU64::new(0),
        }
    }

    /// Shows the latest template to `look`.
    pub fn with<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(self.latest.load().get())
    }

    /// Makes a breaker with its own number. Numbers start at one.
    pub fn make<R>(&self, make: impl FnOnce(&T, u64) -> R) -> R {
        // Acquire: pairs with the Release in `replace`. A breaker whose number is above the line
        // was begun after the line was read, and so finds the template published before it. Without
        // it the breaker could have the earlier template, and `follow` would leave it so.
        let number = self.begun.fetch_add(1, Ordering::Acquire) + 1;
        self.with(|template| make(template, number))
    }
}

impl<T> Templates<T> {
    /// Publishes another template. The caller must then [align](Self::align) all breakers.
    pub fn replace(&self, change: impl Fn(&T) -> T) {
        loop {
            let seen = self.latest.load();
            if self.latest.replace(&seen, Arc::new(change(seen.get()))) {
                break;
            }
        }
        // Release: pairs with the Acquire in `make`, so that breakers with later numbers find the
        // new template. It adds 0, only to take a place in the order of the breakers begun.
        let begun = self.begun.fetch_add(0, Ordering::Release);
        // Relaxed: the fence below orders it, and also the later visit of the map.
        self.line.fetch_max(begun, Ordering::Relaxed);
        // SeqCst: pairs with the fences in `follow` and `align`. Either this thread finds the new
        // breaker in the map as it is now, or the other thread finds the line and the template.
        // Without it both could miss, and a breaker would keep an earlier template.
        fence(Ordering::SeqCst);
    }

    /// Aligns a breaker that was just put into the map, if it may have an earlier template.
    pub fn follow(&self, number: u64, bring: impl FnMut(&T)) {
        // SeqCst: pairs with the fence in `replace`. The breaker was put into the map before.
        // Either the other thread finds it there, or this one finds the line. Without it both could
        // miss, and the breaker would keep an earlier template.
        fence(Ordering::SeqCst);
        // Relaxed: the fence orders it after the insertion into the map.
        if number <= self.line.load(Ordering::Relaxed) {
            self.align(bring);
        }
    }

    /// Brings a breaker into line with the latest template.
    pub fn align(&self, mut bring: impl FnMut(&T)) {
        let mut seen = self.latest.load();
        loop {
            bring(seen.get());
            // SeqCst: pairs with the fence in `replace`. Either this thread finds the later
            // template, or the thread that brought it finds the breaker as it is now. Without it
            // the breaker could end with an earlier template.
            fence(Ordering::SeqCst);
            let found = self.latest.load();
            if Arc::ptr_eq(found.get(), seen.get()) {
                return;
            }
            seen = found;
        }
    }
}
