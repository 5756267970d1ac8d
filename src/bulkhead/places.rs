//! Who has a place, who waits for one, and how a place goes from hand to hand.
//!
//! A caller who finds no place stands in line first, and then counts itself as waiting, if still there
//! is no place. Whoever leaves while somebody is counted offers its place to the head of the line and
//! lets it go only if nobody took it. The compare-exchange that lets it go fails if somebody began to
//! wait meanwhile, since that changes the word. Therefore:
//!
//! *A place is free only while nobody waits for one*, that is, while everybody who is in line and counted
//! has been given a place. So a caller who finds a free place may take it, and overtakes nobody.

use std::time::Duration;

use super::word::PlacesWord;
use crate::sync::wait_queue::{InLine, Queue};
use crate::sync::{AtomicU64, Ordering};

/// The word, and the line for those who wait.
#[derive(Debug)]
pub struct Places<Q> {
    word: AtomicU64,
    queue: Q,
    max: u32,
}

impl<Q: Queue> Places<Q> {
    /// So many places, all of them free.
    pub fn new(max: u32, queue: Q) -> Self {
        Self {
            word: AtomicU64::new(PlacesWord::EMPTY.bits()),
            queue,
            max,
        }
    }

    /// How many places there are.
    pub fn max(&self) -> u32 {
        self.max
    }

    /// How many are taken, and how many wait.
    #[inline]
    pub fn load(&self) -> PlacesWord {
        // Acquire: pairs with the Release of whoever changed the word. Who sees a waiter counted then
        // finds it in line, and who sees a place free sees what was done by the one who left it.
        PlacesWord::from_bits(self.word.load(Ordering::Acquire))
    }

    #[inline]
    fn exchange(&self, seen: PlacesWord, new: PlacesWord) -> Result<(), PlacesWord> {
        // AcqRel, Acquire: as in `load`. Release is for that load, and for the exchanges of those who
        // find it changed.
        self.word
            .compare_exchange(seen.bits(), new.bits(), Ordering::AcqRel, Ordering::Acquire)
            .map(drop)
            .map_err(PlacesWord::from_bits)
    }

    /// Takes a place, if one is free.
    ///
    /// # Errors
    /// None is; so the word was.
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

    /// Gives a place to the first who waits, or frees it.
    #[inline]
    pub fn leave(&self) {
        let mut seen = self.load();
        loop {
            if seen.waiting() > 0 && self.queue.notify_first() {
                return;
            }
            // Whoever was in line and counted has a place by now, or has left the line. If somebody
            // has begun to wait since, the word is another one.
            match self.exchange(seen, seen.left()) {
                Ok(()) => return,
                Err(found) => seen = found,
            }
        }
    }

    /// Takes a place, or stands in line for one: then there is a waiter.
    ///
    /// # Errors
    /// There is no place, and more wait than the word can count; so it was.
    pub fn enter_or_wait(&self) -> Result<Option<Waiter<'_, Q>>, PlacesWord> {
        // In line before it is counted, or the place that is meant for it would find nobody.
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

    /// Leaves the line; if a place was given to this listener, somebody else gets it.
    fn step_out(&self, listener: Q::InLine) {
        if listener.discard() {
            self.leave();
        }
    }
}

/// A caller in line, counted. Dropped, it leaves the line, and no place is lost.
pub struct Waiter<'a, Q: Queue> {
    places: &'a Places<Q>,
    /// Gone once it is out of the line.
    listener: Option<Q::InLine>,
}

impl<Q: Queue> Waiter<'_, Q> {
    /// Waits no longer than this, if there is a bound; says whether it was given a place.
    pub fn wait(mut self, at_most: Option<Duration>) -> bool {
        let was_given = match self.listener.take() {
            Some(listener) => listener.wait(at_most),
            None => return false,
        };
        self.count_out();
        was_given
    }

    /// Leaves the line; says whether it had been given a place, which then is the caller's.
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
        // Relaxed: it hands nothing on, and what the changes before it have released is still seen by who
        // acquires this one. What was done before a place was given comes with the notification.
        self.places
            .word
            .fetch_add(PlacesWord::ONE_WAITS_NO_MORE, Ordering::Relaxed);
    }
}

impl<Q: Queue<InLine: std::future::Future + Unpin>> Waiter<'_, Q> {
    /// Ready when it was given a place.
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
