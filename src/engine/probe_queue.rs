//! Where callers wait for the verdict of the probes.
//!
//! A caller that would be rejected stands in line, counts itself, and then looks once more whether it
//! would. Whoever changes the state, or gives a probe's place back, does so first and then looks whether
//! somebody is counted. Both change the word of the count, the latter by adding nothing, so one of them is
//! first and the other sees what was done before. Therefore nobody waits for what has happened already:
//! either the caller sees the change, or it is counted, in line, and woken.

use std::task::{Context, Poll};
use std::time::Duration;

use crate::error::ConfigError;
use crate::sync::wait_queue::{InLine, Queue};
use crate::sync::{AtomicU64, Ordering};

/// How many wait, and the line they stand in.
#[derive(Debug)]
pub struct ProbeQueue<Q> {
    waiting: AtomicU64,
    max: u32,
    queue: Q,
}

/// What came of the wish to wait.
#[derive(Debug)]
pub enum ProbeQueueEntry<'a, Q: Queue> {
    /// It waits, for what was seen.
    Waits(QueuedCaller<'a, Q>),
    /// So many wait already that there is no room for more.
    Full,
    /// There is nothing to wait for any more.
    Over,
}

impl<Q: Queue> ProbeQueue<Q> {
    const MAX: u32 = 1_000_000;

    /// With room for so many.
    pub fn new(max: u32, queue: Q) -> Self {
        Self {
            waiting: AtomicU64::new(0),
            max,
            queue,
        }
    }

    /// The same, for a builder.
    ///
    /// # Errors
    /// For nobody, or for more than a million.
    pub(crate) fn boxed(max: u32) -> Result<Box<Self>, ConfigError>
    where
        Q: Default,
    {
        if (1..=Self::MAX).contains(&max) {
            Ok(Box::new(Self::new(max, Q::default())))
        } else {
            Err(ConfigError::new(
                "max_waiting",
                max,
                format!("in 1..={}", Self::MAX),
                "as many as the dependency bears at once when it has just recovered",
            ))
        }
    }

    /// How many callers may wait.
    pub(crate) fn max(&self) -> u32 {
        self.max
    }

    /// How many wait, those included who were woken and have not yet left.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        // Relaxed: for who wants to see it; nothing follows from it.
        self.waiting.load(Ordering::Relaxed)
    }

    /// Waits, if there is room and `is_awaited`, asked once the caller can be woken, still says so.
    pub fn enter(&self, is_awaited: impl FnOnce() -> bool) -> ProbeQueueEntry<'_, Q> {
        // In line before it is counted, or who looks would find it counted and nobody in line.
        let listener = self.queue.listen();
        let mut waiter = QueuedCaller {
            probe_queue: self,
            listener: Some(listener),
            is_counted: false,
        };
        // Relaxed: the exchange finds out.
        let mut seen = self.waiting.load(Ordering::Relaxed);
        while seen < u64::from(self.max) {
            // AcqRel: Release so that who finds it counted finds it in line; Acquire so that what was
            // done before somebody looked, and did not find it, is seen by `is_awaited`.
            // Relaxed: tried again.
            let exchanged =
                self.waiting
                    .compare_exchange(seen, seen + 1, Ordering::AcqRel, Ordering::Relaxed);
            match exchanged {
                Ok(_) => {
                    waiter.is_counted = true;
                    return if is_awaited() {
                        ProbeQueueEntry::Waits(waiter)
                    } else {
                        ProbeQueueEntry::Over
                    };
                }
                Err(found) => seen = found,
            }
        }
        ProbeQueueEntry::Full
    }

    /// Wakes all who wait: the state has changed.
    #[inline]
    pub fn wake_all(&self) {
        if self.has_any() {
            self.queue.notify_all();
        }
    }

    /// Wakes the first who waits: a probe has given its place back.
    pub fn wake_one(&self) {
        if self.has_any() {
            self.queue.notify_first();
        }
    }

    /// Whether somebody waits who may have seen nothing of what this thread has done.
    #[inline]
    fn has_any(&self) -> bool {
        // AcqRel: a change of the word, so that it comes before or after that of who begins to wait; see
        // there. A load might miss who is just being counted, and be missed.
        self.waiting.fetch_add(0, Ordering::AcqRel) > 0
    }
}

/// A caller that waits. Dropped, it leaves the line, and the next one hears what was meant for it.
pub struct QueuedCaller<'a, Q: Queue> {
    probe_queue: &'a ProbeQueue<Q>,
    /// Gone once it is out of the line.
    listener: Option<Q::InLine>,
    is_counted: bool,
}

impl<Q: Queue> QueuedCaller<'_, Q> {
    /// Waits until it is woken, no longer than this if there is a bound.
    pub fn wait(mut self, at_most: Option<Duration>) {
        if let Some(listener) = self.listener.take() {
            let _was_woken = listener.wait(at_most);
        }
    }
}

impl<Q: Queue<InLine: Future + Unpin>> QueuedCaller<'_, Q> {
    /// Ready when it is woken.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let Some(listener) = &mut self.listener {
            std::task::ready!(std::pin::Pin::new(listener).poll(context));
            self.listener = None;
        }
        Poll::Ready(())
    }
}

impl<Q: Queue> Drop for QueuedCaller<'_, Q> {
    fn drop(&mut self) {
        if self.is_counted {
            // Relaxed: it hands nothing on, and what the changes before it have released is still seen
            // by who acquires this one.
            self.probe_queue
                .waiting
                .fetch_add(1_u64.wrapping_neg(), Ordering::Relaxed);
        }
        // A place that it was told of may be wanted by the next.
        if let Some(listener) = self.listener.take()
            && listener.discard()
        {
            self.probe_queue.queue.notify_first();
        }
    }
}

impl<Q: Queue> std::fmt::Debug for QueuedCaller<'_, Q> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiter").finish_non_exhaustive()
    }
}

#[cfg(all(test, not(tripcurve_loom)))]
mod tests {
    use super::*;
    use crate::sync::wait_queue::EventQueue;

    fn probe_queue(max: u32) -> ProbeQueue<EventQueue> {
        ProbeQueue::new(max, EventQueue::default())
    }

    #[test]
    fn who_finds_nothing_to_wait_for_is_not_counted() {
        let probe_queue = probe_queue(1);
        assert!(matches!(probe_queue.enter(|| false), ProbeQueueEntry::Over));
        assert_eq!(probe_queue.waiting(), 0);
    }

    #[test]
    fn no_more_wait_than_there_is_room_for() {
        let probe_queue = probe_queue(2);
        let first = probe_queue.enter(|| true);
        let second = probe_queue.enter(|| true);
        assert!(matches!(
            (&first, &second),
            (ProbeQueueEntry::Waits(_), ProbeQueueEntry::Waits(_))
        ));
        assert!(matches!(probe_queue.enter(|| true), ProbeQueueEntry::Full));
        drop(first);
        assert_eq!(probe_queue.waiting(), 1);
        assert!(matches!(
            probe_queue.enter(|| true),
            ProbeQueueEntry::Waits(_)
        ));
    }

    #[test]
    fn room_for_nobody_and_for_too_many_is_refused() {
        let error = |max| {
            ProbeQueue::<EventQueue>::boxed(max)
                .unwrap_err()
                .to_string()
        };
        let rest = "is not in 1..=1000000; as many as the dependency bears at once when it has just recovered";
        assert_eq!(error(0), format!("max_waiting: 0 {rest}"));
        assert_eq!(error(1_000_001), format!("max_waiting: 1000001 {rest}"));
        assert!(ProbeQueue::<EventQueue>::boxed(1).is_ok());
        assert!(ProbeQueue::<EventQueue>::boxed(1_000_000).is_ok());
    }
}
