//! Places of a bulkhead, the callers that wait for them, and how a place changes hands.
//!
//! A caller that finds no place enters the line first. If there still is no place, it then counts
//! itself as waiting. A call that leaves while a waiter is counted offers its place to the head of
//! the line. It frees the place only if no waiter took it. The compare-exchange that frees the
//! place fails if a caller began to wait meanwhile, because that changes the word. So this holds:
//!
//! *A place is free only if no caller waits for one*: each caller in line that was counted has been
//! given a place. So a caller that finds a free place may take it, and overtakes no waiter.

use std::time::Duration;

use super::word::PlacesWord;
use crate::sync::wait_queue::{InLine, Queue};
use crate::sync::{AtomicU64, Ordering};

/// The word that counts places and waiters, and the line of waiters.
#[derive(Debug)]
pub struct Places<Q> {
    word: AtomicU64,
    queue: Q,
    max: u32,
}

impl<Q: Queue> Places<Q> {
    /// Makes `max` places, all of them free.
    pub fn new(max: u32, queue: Q) -> Self {
        Self {
            word: AtomicU64::new(PlacesWord::EMPTY.bits()),
            queue,
            max,
        }
    }

    /// The number of places.
    pub fn max(&self) -> u32 {
        self.max
    }

    /// How many places are taken, and how many callers wait.
    #[inline]
    pub fn load(&self) -> PlacesWord {
        // Acquire: pairs with the Release in `exchange`. Without it a call that leaves could see a
        // counted waiter, but not find it in line, and the waiter would sleep on. And a caller
        // could see a free place, but not what the former call in this place did.
        PlacesWord::from_bits(self.word.load(Ordering::Acquire))
    }

    #[inline]
    fn exchange(&self, seen: PlacesWord, new: PlacesWord) -> Result<(), PlacesWord> {
        // AcqRel, Acquire: the Release pairs with the Acquire in `load` and with those of other
        // exchanges. It publishes the waiter's entry in the line, or what a call did in its place.
        // The Acquire is needed because the caller acts on the word as after `load`: without it a
        // call could miss a counted waiter in the line, or the work of the former call in its
        // place.
        self.word
            .compare_exchange(seen.bits(), new.bits(), Ordering::AcqRel, Ordering::Acquire)
            .map(drop)
            .map_err(PlacesWord::from_bits)
    }

    /// Takes a place, if one is free.
    ///
    /// # Errors
    /// No place is free. The error is the word that was seen.
    #[inline]
    pub fn enter(&self) -> Result<(), PlacesWord> {
        let mut seen = self.load();
        while let Some(new) = seen.entered(self.max) {
            match self.exchange(seen, new) {
                Ok(()) => return Ok(()),
                Err(found) => seen = found,
            }
        }
        Err(seen)
    }

    /// Hands a place to the first waiter, or frees it.
    #[inline]
    pub fn leave(&self) {
        let mut seen = self.load();
        loop {
            if seen.waiting() > 0 && self.queue.notify_first() {
                return;
            }
            // Each caller that was in line and counted has a place by now, or has left the line. If
            // a caller has begun to wait since, the word differs and the exchange fails.
            match self.exchange(seen, seen.left()) {
                Ok(()) => return,
                Err(found) => seen = found,
            }
        }
    }

    /// Takes a place, or enters the line and returns a waiter.
    ///
    /// # Errors
    /// No place is free, and the word can count no more waiters. The error is the word that was
    /// seen.
    pub fn enter_or_wait(&self) -> Result<Option<Waiter<'_, Q>>, PlacesWord> {
        // Enter the line before being counted. Otherwise the place for this waiter would find an
        // empty line.
        let listener = self.queue.listen();
        loop {
            let Err(full) = self.enter() else {
                self.step_out(listener);
                return Ok(None);
            };
            let Some(new) = full.arrived() else {
                self.step_out(listener);
                return Err(full);
            };
            if self.exchange(full, new).is_ok() {
                return Ok(Some(Waiter {
                    places: self,
                    listener: Some(listener),
                }));
            }
        }
    }

    /// Leaves the line. If the listener was given a place, the place goes on to the next caller.
    fn step_out(&self, listener: Q::InLine) {
        if listener.discard() {
            self.leave();
        }
    }
}

/// A counted caller in line. If it is dropped, it leaves the line, and no place is lost.
pub struct Waiter<'a, Q: Queue> {
    places: &'a Places<Q>,
    /// `None` once it is out of the line.
    listener: Option<Q::InLine>,
}

impl<Q: Queue> Waiter<'_, Q> {
    /// Waits, for `at_most` if there is a bound. Returns whether it was given a place.
    pub fn wait(mut self, at_most: Option<Duration>) -> bool {
        let was_given = match self.listener.take() {
            Some(listener) => listener.wait(at_most),
            None => return false,
        };
        self.count_out();
        was_given
    }

    /// Leaves the line. Returns whether it was given a place, which the caller then owns.
    pub fn give_up(mut self) -> bool {
        self.leave_line()
    }

    fn leave_line(&mut self) -> bool {
        let Some(listener) = self.listener.take() else {
            return false;
        };
        let was_given = listener.discard();
        self.count_out();
        was_given
    }

    fn count_out(&self) {
        // Relaxed: it publishes nothing of its own. As a read-modify-write it continues the release
        // sequence of the exchanges before it. So a `load` that reads its word still sees what they
        // published. The notification orders what was done before a place was given.
        self.places
            .word
            .fetch_add(PlacesWord::ONE_WAITS_NO_MORE, Ordering::Relaxed);
    }
}

impl<Q: Queue<InLine: std::future::Future + Unpin>> Waiter<'_, Q> {
    /// Becomes ready when the waiter was given a place.
    pub fn poll(&mut self, context: &mut std::task::Context<'_>) -> std::task::Poll<()> {
        if let Some(listener) = &mut self.listener {
            std::task::ready!(std::pin::Pin::new(listener).poll(context));
            self.listener = None;
            self.count_out();
        }
        std::task::Poll::Ready(())
    }
}

impl<Q: Queue> Drop for Waiter<'_, Q> {
    fn drop(&mut self) {
        if self.leave_line() {
            self.places.leave();
        }
    }
}

impl<Q: Queue> std::fmt::Debug for Waiter<'_, Q> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiter").finish_non_exhaustive()
    }
}
