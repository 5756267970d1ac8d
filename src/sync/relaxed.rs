//! Words whose accesses are all relaxed. Each type stands for one reason why that is enough.
//!
//! - [`Hint`]: any value will do.
//! - [`SelfContained`]: the word is all there is.
//! - [`Payload`]: another word publishes it.
//!
//! A word that needs more, on one of its accesses, is an [`AtomicU64`] with a comment at each access,
//! or a [`Stamped`](super::stamped::Stamped) word.

use super::{AtomicU64, Ordering};

/// A word that guides and decides nothing.
///
/// Relaxed is enough because the code is correct whatever value it reads. An old value, or an update
/// that is lost, costs a little time or precision.
#[derive(Debug, Default)]
pub(crate) struct Hint(AtomicU64);

/// A word that holds a whole value by itself.
///
/// Relaxed is enough because no other memory is read on the strength of it. Every thread sees the
/// changes of one word in one order. An exchange checks that the word is still what was read, and an
/// addition or a maximum loses nothing.
#[derive(Debug, Default)]
pub(crate) struct SelfContained(AtomicU64);

/// A word that another word publishes.
///
/// Relaxed is enough because the other word orders it. A writer writes this word first, and then the
/// other one with Release. A reader reads the other word first, with Acquire, and then finds here what
/// was written, or something later. The owner's field says which word publishes it.
#[derive(Debug, Default)]
pub(crate) struct Payload(AtomicU64);

macro_rules! relaxed {
    ($($name:ident),*) => {$(
        #[allow(dead_code, reason = "all of them have the same methods")]
        impl $name {
            pub(crate) fn new(value: u64) -> Self {
                Self(AtomicU64::new(value))
            }

            #[inline]
            #[cfg_attr(tripcurve_loom, track_caller)]
            pub(crate) fn load(&self) -> u64 {
                // Relaxed, here and in the other methods: see the type.
                self.0.load(Ordering::Relaxed)
            }

            #[inline]
            #[cfg_attr(tripcurve_loom, track_caller)]
            pub(crate) fn store(&self, value: u64) {
                self.0.store(value, Ordering::Relaxed);
            }

            /// Replaces the value by `value` if that is greater. Returns the value before.
            #[inline]
            #[cfg_attr(tripcurve_loom, track_caller)]
            pub(crate) fn raise(&self, value: u64) -> u64 {
                self.0.fetch_max(value, Ordering::Relaxed)
            }

            /// Adds to the value, which wraps. Returns the value before.
            #[inline]
            #[cfg_attr(tripcurve_loom, track_caller)]
            pub(crate) fn add(&self, value: u64) -> u64 {
                self.0.fetch_add(value, Ordering::Relaxed)
            }

            /// Replaces `seen` by `new`.
            ///
            /// # Errors
            /// The value that was found instead.
            #[inline]
            #[cfg_attr(tripcurve_loom, track_caller)]
            pub(crate) fn exchange(&self, seen: u64, new: u64) -> Result<(), u64> {
                self.0
                    .compare_exchange(seen, new, Ordering::Relaxed, Ordering::Relaxed)
                    .map(drop)
            }
        }
    )*};
}

relaxed!(Hint, SelfContained, Payload);
