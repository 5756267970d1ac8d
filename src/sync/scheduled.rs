//! Lets a scheduler of the tests choose which thread makes the next access to an atomic.
//!
//! The scheduler runs the threads one at a time. So the accesses come one after another, in the
//! order that it chooses. This build shows no order of weak memory; loom's does.

use core::sync::atomic::{self, Ordering};
use std::sync::OnceLock;

/// The scheduler.
#[derive(Clone, Copy, Debug)]
pub struct Scheduler {
    /// Lets other threads run. The crate calls it before each access.
    pub before_access: fn(),
    /// The number of the calling thread among those that run. All of the scheduler's threads may
    /// run on one thread of the operating system, so they can't have thread-local words.
    pub thread: fn() -> u32,
}

static SCHEDULER: OnceLock<Scheduler> = OnceLock::new();

/// Installs the scheduler. The first one stays.
pub fn schedule_by(scheduler: Scheduler) {
    let _later = SCHEDULER.set(scheduler);
}

/// The number of the calling thread, if a scheduler runs it.
pub(super) fn thread() -> Option<u32> {
    SCHEDULER.get().map(|scheduler| (scheduler.thread)())
}

fn let_others_run() {
    if let Some(scheduler) = SCHEDULER.get() {
        (scheduler.before_access)();
    }
}

/// A watcher of size zero.
#[derive(Debug)]
pub(super) struct Scheduled;

#[allow(clippy::unused_self, reason = "as the other watchers")]
impl Scheduled {
    pub(super) const fn new() -> Self {
        Self
    }

    pub(super) fn before_read(&self, _word: &atomic::AtomicU64) {
        let_others_run();
    }

    pub(super) fn before_write(&self, _word: &atomic::AtomicU64) {
        let_others_run();
    }
}

/// Every access keeps its ordering here.
pub(super) const fn ordering(_operation: &str, written: Ordering) -> Ordering {
    written
}

/// Every access keeps its ordering here.
pub(super) const fn failure_ordering(_operation: &str, written: Ordering) -> Ordering {
    written
}
