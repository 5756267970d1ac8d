//! Words that say whose they are, and how one owner succeeds another without anybody clearing up.

use crate::sync::{AtomicU64, Ordering};

/// What a writer makes of the word it has found.
pub(crate) enum Next {
    /// The word is this writer's own: it becomes this.
    Own(u64),
    /// The word is another generation's or turn's: it is replaced by this, if the writer's own is
    /// still the current one.
    Other(u64),
}

/// Changes `word` to what `next` makes of it and returns what it was before, or `None` if the word
/// is another's and `is_current` says that this writer comes too late.
///
/// No order among generations or turns is needed, only equality: a word is younger than the
/// writer's own only if somebody has written it who knew of the younger generation or turn; then
/// this writer, who asks after it has read the word, is told of it as well. So a word that is not
/// the writer's own, and was read before the writer was found current, is an older one. That
/// numbers wrap does no harm.
pub(crate) fn update(
    word: &AtomicU64,
    next: impl Fn(u64) -> Next,
    is_current: impl Fn() -> bool,
) -> Option<u64> {
    // Acquire: pairs with the Release below, whose writer had read the younger state or clock; so
    // `is_current`, asked after this load, reads them no older than that.
    let mut seen = word.load(Ordering::Acquire);
    loop {
        let new = match next(seen) {
            Next::Own(new) => new,
            Next::Other(new) if is_current() => new,
            Next::Other(_) => return None,
        };
        // AcqRel, Acquire: as above, and whoever adds to the same word acquires what those before it
        // have done; the failing path rests on it (see `Core::record_failure`). The exchange itself
        // must acquire, not only the load: the word may have changed and come back meanwhile. If it
        // has changed since `is_current` was asked, the exchange fails and it is asked again. A generation that ends between the two leaves a
        // word of the past behind, which nobody reads.
        match word.compare_exchange(seen, new, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return Some(seen),
            Err(found) => seen = found,
        }
    }
}

/// Changes a word that was found to be the writer's own in one step; `false` if it has changed.
#[inline]
pub(crate) fn update_own(word: &AtomicU64, seen: u64, new: u64) -> bool {
    // Release: pairs with the Acquire fence in `TimeRing::failures_and_slow`; who sees a failure sees the successes
    // that its thread recorded before. Relaxed: the word says whose it is, and as a
    // read-modify-write this also continues the release sequence that `update` began when the
    // present owner took the word over.
    word.compare_exchange(seen, new, Ordering::Release, Ordering::Relaxed)
        .is_ok()
}
