//! Words that say whose they are, and how one owner succeeds another without anybody clearing up.

use super::{AtomicU64, Ordering};

/// What a writer makes of the word it has found.
pub(crate) enum Next {
    /// The word is this writer's own: it becomes this.
    Own(u64),
    /// The word is another generation's or turn's: it is replaced by this, if the writer's own is
    /// still the current one.
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
    /// Relaxed is enough because the stamp says whether the value counts. A reader that must also see
    /// what the value's writer did before has synchronized elsewhere, or uses [`atomic`](Self::atomic).
    #[inline]
    #[cfg_attr(tripcurve_loom, track_caller)]
    pub(crate) fn load(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Stores a word that no other thread writes meanwhile.
    ///
    /// Relaxed is enough because the next thread that writes the word gets it through another one,
    /// which it acquires. Readers go by the stamp.
    #[inline]
    #[cfg_attr(tripcurve_loom, track_caller)]
    pub(crate) fn store_alone(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Replaces `seen` by `new`, and publishes nothing else.
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

    /// The atomic itself, for an access whose ordering has a reason of its own.
    #[inline]
    pub(crate) fn atomic(&self) -> &AtomicU64 {
        &self.0
    }

    /// Changes the word to what `next` makes of it and returns what it was before, or `None` if the word
    /// is another's and `is_current` says that this writer comes too late.
    ///
    /// No order among generations or turns is needed, only equality: a word is younger than the
    /// writer's own only if somebody has written it who knew of the younger generation or turn; then
    /// this writer, who asks after it has read the word, is told of it as well. So a word that is not
    /// the writer's own, and was read before the writer was found current, is an older one. That
    /// numbers wrap does no harm.
    pub(crate) fn update(
        &self,
        next: impl Fn(u64) -> Next,
        is_current: impl Fn() -> bool,
    ) -> Option<u64> {
        // Acquire: pairs with the Release below, whose writer had read the younger state or clock; so
        // `is_current`, asked after this load, reads them no older than that.
        let mut seen = self.0.load(Ordering::Acquire);
        loop {
            let new = match next(seen) {
                Next::Own(new) => new,
                Next::Other(new) if is_current() => new,
                Next::Other(_) => return None,
            };
            // AcqRel, Acquire: pairs with itself and with the load above. Whoever adds to the same word
            // acquires what those before it have done; the failing path rests on it (see
            // `Core::record_failure`). The exchange itself must acquire, not only the load: the word
            // may have changed and come back meanwhile. If it has changed since `is_current` was asked,
            // the exchange fails and it is asked again. A generation that ends between the two leaves a
            // word of the past behind, which nobody reads.
            match self
                .0
                .compare_exchange(seen, new, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return Some(seen),
                Err(found) => seen = found,
            }
        }
    }

    /// Changes a word that was found to be the writer's own in one step; `false` if it has changed.
    #[inline]
    pub(crate) fn update_own(&self, seen: u64, new: u64) -> bool {
        // Release: pairs with the Acquire fence in `TimeRing::failures_and_slow`. A reader that sees a
        // failure sees the successes that its thread recorded before. Relaxed: the word says whose it
        // is. As a read-modify-write this also continues the release sequence that `update` began when
        // the current owner took the word over.
        self.0
            .compare_exchange(seen, new, Ordering::Release, Ordering::Relaxed)
            .is_ok()
    }
}
