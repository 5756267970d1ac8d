//! Words that carry the stamp of their owner. A new owner takes a word over without any cleanup.

use super::{AtomicU64, Ordering, fence};

/// What a writer wants to replace the word with.
pub(crate) enum Next {
    /// The word is this writer's own. This value replaces it.
    Own(u64),
    /// The word belongs to another generation or turn. This value replaces it, if the writer's own
    /// generation or turn is still current.
    Other(u64),
}

/// A word that carries a stamp: the generation, turn or number that its value belongs to.
#[derive(Debug, Default)]
pub(crate) struct Stamped(AtomicU64);

impl Stamped {
    pub(crate) fn new(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }

    /// The word now, stamp and value.
    ///
    /// Relaxed is enough because the stamp says whether the value counts. A reader may also need to
    /// see what the value's writer did before. Such a reader has synchronized elsewhere, or uses
    /// [`acquire`](Self::acquire).
    #[inline]
    #[cfg_attr(tripcurve_loom, track_caller)]
    pub(crate) fn load(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Stores a word that no other thread writes at the same time.
    ///
    /// Relaxed is enough because the next writer of this word takes it over through another word,
    /// which it acquires. Readers go by the stamp.
    #[inline]
    #[cfg_attr(tripcurve_loom, track_caller)]
    pub(crate) fn store_alone(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Replaces `seen` with `new`, and publishes nothing else.
    ///
    /// Relaxed is enough because the exchange checks the whole word, stamp included.
    ///
    /// # Errors
    /// The word that was found instead.
    #[inline]
    #[cfg_attr(tripcurve_loom, track_caller)]
    pub(crate) fn exchange(&self, seen: u64, new: u64) -> Result<(), u64> {
        self.0
            .compare_exchange(seen, new, Ordering::Relaxed, Ordering::Relaxed)
            .map(drop)
    }

    /// The word now, and with it what its writer did and saw before.
    ///
    /// Acquire: pairs with the Releases in [`publish`](Self::publish), [`update`](Self::update) and
    /// [`update_own`](Self::update_own). The site says what would be missed without it, or the
    /// following does. The writer of a younger word had seen the younger clock, state or header. A thread
    /// that finds the word and then reads those finds them no older. Without it a late thread could
    /// take itself for current and replace the younger word.
    #[inline]
    #[cfg_attr(tripcurve_loom, track_caller)]
    pub(crate) fn acquire(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Replaces `seen` with `new`, and publishes what this thread did and saw before.
    ///
    /// Release: pairs with the Acquire in [`acquire`](Self::acquire); see there. Relaxed: after a
    /// failed exchange the caller acquires the word again, or exchanges the found word.
    ///
    /// # Errors
    /// The word that was found instead.
    #[inline]
    #[cfg_attr(tripcurve_loom, track_caller)]
    pub(crate) fn publish(&self, seen: u64, new: u64) -> Result<(), u64> {
        self.0
            .compare_exchange(seen, new, Ordering::Release, Ordering::Relaxed)
            .map(drop)
    }

    /// Orders the reads of stamped words before this call and the reads after it.
    ///
    /// Acquire: pairs with the Releases in [`update`](Self::update) and
    /// [`update_own`](Self::update_own). This thread has read words before. It now sees what their
    /// writers did before they wrote them.
    #[inline]
    #[cfg_attr(tripcurve_loom, track_caller)]
    pub(crate) fn fence() {
        fence(Ordering::Acquire);
    }

    /// The atomic itself, for an access whose ordering has a reason of its own.
    #[inline]
    pub(crate) fn atomic(&self) -> &AtomicU64 {
        &self.0
    }

    /// Replaces the word with what `next` returns for it. Returns the previous word.
    ///
    /// Returns `None` if the word is another owner's and `is_current` says that this writer comes
    /// too late.
    ///
    /// No order among generations or turns is needed, only equality. The writer of a younger word
    /// knew of the younger generation or turn. This writer calls `is_current` after it has read the
    /// word, so it learns of the younger one too. If `is_current` then returns `true`, a word that
    /// isn't its own is an older one. Numbers that wrap do no harm.
    pub(crate) fn update(
        &self,
        next: impl Fn(u64) -> Next,
        is_current: impl Fn() -> bool,
    ) -> Option<u64> {
        // Acquire: pairs with the Release of the exchange below. The writer of the found word had
        // read the younger state or clock. `is_current` runs after this load, so it reads them no
        // older than that. Without it a late writer could take itself for current and replace a
        // younger word.
        let mut seen = self.0.load(Ordering::Acquire);
        loop {
            let new = match next(seen) {
                Next::Own(new) => new,
                Next::Other(new) if is_current() => new,
                Next::Other(_) => return None,
            };
            // AcqRel, Acquire: pairs with itself and with the load above. A thread that adds to the
            // same word acquires what the earlier additions released. Without that two failing
            // threads could miss each other's failures, and a trip would be lost (see
            // `View::record_failure`). The exchange itself must acquire, not only the load, because
            // the word may have changed and come back. If the word changes after `is_current` was
            // called, the exchange fails and `is_current` is called again. If a generation ends
            // between the two, the word of the past generation stays. Nobody reads it.
            match self
                .0
                .compare_exchange(seen, new, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return Some(seen),
                Err(found) => seen = found,
            }
        }
    }

    /// Replaces `seen`, a word of the writer's own, with `new` in one step. Returns `false` if the
    /// word has changed.
    #[inline]
    pub(crate) fn update_own(&self, seen: u64, new: u64) -> bool {
        // Release: pairs with the Acquire fence in `TimeRing::failures_and_slow`. A reader that
        // sees a failure sees the successes that its thread recorded before. Without it the failure
        // rate could come out too high. Relaxed: after a failed exchange the found word isn't used.
        // This read-modify-write also continues the release sequence that `update` began when the
        // current owner took the word over.
        self.0
            .compare_exchange(seen, new, Ordering::Release, Ordering::Relaxed)
            .is_ok()
    }
}
