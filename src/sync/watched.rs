//! An atomic that tells a watcher of each access before it is made.

use super::Ordering;
#[cfg(tripcurve_loom)]
use super::explored::Watcher;
#[cfg(all(tripcurve_shuttle, not(tripcurve_loom)))]
use super::scheduled::{Scheduled as Watcher, failure_ordering, ordering};
#[cfg(tripcurve_loom)]
use super::sites::{failure_ordering, ordering};
#[cfg(not(any(tripcurve_loom, tripcurve_shuttle)))]
use super::traced::{Tracer as Watcher, failure_ordering, ordering};
#[cfg(not(tripcurve_loom))]
use core::sync::atomic;
#[cfg(tripcurve_loom)]
use loom::sync::atomic;

#[derive(Debug)]
pub(crate) struct AtomicU64 {
    word: atomic::AtomicU64,
    watcher: Watcher,
}

/// Each caller of these methods is a site whose ordering a check may weaken.
impl AtomicU64 {
    #[cfg(tripcurve_loom)]
    pub(crate) fn new(value: u64) -> Self {
        let (word, watcher) = (atomic::AtomicU64::new(value), Watcher::new());
        Self { word, watcher }
    }

    /// Under loom `new` can't be `const`. The other atomics allow it.
    #[cfg(not(tripcurve_loom))]
    pub(crate) const fn new(value: u64) -> Self {
        let (word, watcher) = (atomic::AtomicU64::new(value), Watcher::new());
        Self { word, watcher }
    }

    #[cfg_attr(tripcurve_loom, track_caller)]
    pub(crate) fn load(&self, written: Ordering) -> u64 {
        self.watcher.before_read(&self.word);
        self.word.load(ordering("load", written))
    }

    #[cfg_attr(tripcurve_loom, track_caller)]
    pub(crate) fn store(&self, value: u64, written: Ordering) {
        self.watcher.before_write(&self.word);
        self.word.store(value, ordering("store", written));
    }

    #[cfg_attr(tripcurve_loom, track_caller)]
    pub(crate) fn compare_exchange(
        &self,
        seen: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        self.watcher.before_write(&self.word);
        let success = ordering("compare_exchange", success);
        let failure = failure_ordering("compare_exchange", failure);
        self.word.compare_exchange(seen, new, success, failure)
    }

    #[cfg_attr(tripcurve_loom, track_caller)]
    pub(crate) fn fetch_add(&self, value: u64, written: Ordering) -> u64 {
        self.watcher.before_write(&self.word);
        self.word.fetch_add(value, ordering("fetch_add", written))
    }

    #[cfg_attr(tripcurve_loom, track_caller)]
    pub(crate) fn fetch_max(&self, value: u64, written: Ordering) -> u64 {
        self.watcher.before_write(&self.word);
        self.word.fetch_max(value, ordering("fetch_max", written))
    }
}

impl Default for AtomicU64 {
    fn default() -> Self {
        Self::new(0)
    }
}
