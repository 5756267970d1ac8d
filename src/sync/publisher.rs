//! A word that publishes what its writer did before.

use super::{AtomicU64, Ordering};

/// A word that publishes what its writer did before, such as a [`Payload`](super::Payload).
///
/// A thread that reads a value with [`load`](Self::load) or a successful exchange sees what the
/// value's writer did before. The methods differ in what else the caller needs. A site's comment
/// says what is published there.
#[derive(Debug, Default)]
pub(crate) struct Publisher(AtomicU64);

impl Publisher {
    pub(crate) fn new(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }

    /// Acquire: pairs with the Release of every method that writes. The caller sees what the
    /// writer of the found value did before.
    #[inline]
    #[cfg_attr(tripcurve_loom, track_caller)]
    pub(crate) fn load(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Relaxed: the caller reads nothing on the strength of the value. An exchange checks it
    /// afterwards, or a fence at the site orders the load.
    #[inline]
    #[cfg_attr(tripcurve_loom, track_caller)]
    pub(crate) fn peek(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Release: pairs with the Acquire of readers and exchanges.
    #[inline]
    #[cfg_attr(tripcurve_loom, track_caller)]
    pub(crate) fn publish(&self, value: u64) {
        self.0.store(value, Ordering::Release);
    }

    /// Replaces the value with `value` if `value` is greater.
    ///
    /// Release: pairs with the Acquire of readers and exchanges.
    #[inline]
    #[cfg_attr(tripcurve_loom, track_caller)]
    pub(crate) fn raise(&self, value: u64) {
        self.0.fetch_max(value, Ordering::Release);
    }

    /// Adds to the value, which wraps. Returns the previous value.
    ///
    /// Release: pairs with the Acquire of readers and exchanges.
    #[inline]
    #[cfg_attr(tripcurve_loom, track_caller)]
    pub(crate) fn add(&self, value: u64) -> u64 {
        self.0.fetch_add(value, Ordering::Release)
    }

    /// Replaces `seen` with `new` for a caller that takes over, and publishes nothing.
    ///
    /// Acquire: pairs with the Release of every method that writes. The winner sees what the former
    /// owner did before. Relaxed: a caller that fails only retries or gives up.
    ///
    /// # Errors
    /// The word that was found instead.
    #[inline]
    #[cfg_attr(tripcurve_loom, track_caller)]
    pub(crate) fn claim(&self, seen: u64, new: u64) -> Result<(), u64> {
        self.0
            .compare_exchange(seen, new, Ordering::Acquire, Ordering::Relaxed)
            .map(drop)
    }

    /// Replaces `seen` with `new`, and publishes what the caller did before.
    ///
    /// Release: pairs with the Acquire of readers and exchanges. Relaxed: a caller that fails only
    /// retries.
    ///
    /// # Errors
    /// The word that was found instead.
    #[inline]
    #[cfg_attr(tripcurve_loom, track_caller)]
    pub(crate) fn hand_over(&self, seen: u64, new: u64) -> Result<(), u64> {
        self.0
            .compare_exchange(seen, new, Ordering::Release, Ordering::Relaxed)
            .map(drop)
    }

    /// Replaces `seen` with `new` for a caller whose readers need nothing that it did before.
    ///
    /// Relaxed: the value is all that readers take from this exchange. The caller that fails does
    /// nothing more.
    ///
    /// # Errors
    /// The word that was found instead.
    #[inline]
    #[cfg_attr(tripcurve_loom, track_caller)]
    pub(crate) fn replace(&self, seen: u64, new: u64) -> Result<(), u64> {
        self.0
            .compare_exchange(seen, new, Ordering::Relaxed, Ordering::Relaxed)
            .map(drop)
    }

    /// Replaces `seen` with `new`. Both the winner and a caller that fails go on from what they
    /// find.
    ///
    /// `AcqRel`, Acquire: pairs with itself and with the other methods. The winner also publishes what
    /// it did before.
    ///
    /// # Errors
    /// The word that was found instead.
    #[inline]
    #[cfg_attr(tripcurve_loom, track_caller)]
    pub(crate) fn exchange(&self, seen: u64, new: u64) -> Result<(), u64> {
        self.0
            .compare_exchange(seen, new, Ordering::AcqRel, Ordering::Acquire)
            .map(drop)
    }
}
