//! Words whose accesses are all relaxed. Each type stands for one reason why relaxed is enough.
//!
//! - [`Hint`]: any value will do.
//! - [`SelfContained`]: the word holds the whole value.
//! - [`Payload`]: another word publishes it.
//!
//! A word with an access that needs more is a [`Publisher`](super::Publisher), a
//! [`Stamped`](super::stamped::Stamped) word or an [`AtomicU64`]. An [`AtomicU64`] has a comment at each access.

use super::{AtomicU64, Ordering};

/// A word that guides and decides nothing.
///
/// Relaxed is enough because the code is correct whatever value it reads. An old value or a lost
/// update costs a little time or precision.
#[derive(Debug, Default)]
pub(crate) struct Hint(AtomicU64);

/// A word that holds a whole value by itself.
///
/// Relaxed is enough because no thread reads other memory because of this value. Every thread sees
/// the changes of one word in one order. An exchange checks that the word is still what was read.
/// An addition or a maximum loses nothing.
#[derive(Debug, Default)]
pub(crate) struct SelfContained(AtomicU64);

/// A word that another word publishes.
///
/// Relaxed is enough because the other word orders it. A writer writes this word first, and then
/// the other word with Release. A reader reads the other word first, with Acquire. It then finds
/// here what was written, or something later. The owner's field says which word publishes it.
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
                // Relaxed, here and in the other methods: the type's documentation gives the
                // reason.
                self.0.load(Ordering::Relaxed)
            }

            #[inline]
            #[cfg_attr(tripcurve_loom, track_caller)]
            pub(crate) fn store(&self, value: u64) {
                self.0.store(value, Ordering::Relaxed);
            }

            /// Replaces the value with `value` if `value` is greater. Returns the previous value.
            #[inline]
            #[cfg_attr(tripcurve_loom, track_caller)]
            pub(crate) fn raise(&self, value: u64) -> u64 {
                self.0.fetch_max(value, Ordering::Relaxed)
            }

            /// Adds to the value, which wraps. Returns the previous value.
            #[inline]
            #[cfg_attr(tripcurve_loom, track_caller)]
            pub(crate) fn add(&self, value: u64) -> u64 {
                self.0.fetch_add(value, Ordering::Relaxed)
            }

            /// Replaces `seen` with `new`.
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
