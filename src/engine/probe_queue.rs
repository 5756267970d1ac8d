//! The queue of callers that wait for the verdict of the probes.
//!
//! A caller that would be rejected enters the queue, counts itself, and then checks the state
//! again. A thread that changes the state, or gives a probe's place back, does so first. Then it
//! checks whether a caller is counted.
//!
//! Both threads write the count; the second kind of thread adds zero. So one write comes first, and
//! the later thread sees everything that the earlier one did before. Therefore no caller waits for
//! something that has already happened. Either the caller sees the change, or the thread finds the
//! caller counted and queued, and wakes it.

use std::task::{Context, Poll};
use std::time::Duration;

use crate::error::ConfigError;
use crate::sync::wait_queue::{InLine, Queue};
use crate::sync::{AtomicU64, Ordering};

/// The callers that wait, and their number.
#[derive(Debug)]
pub struct ProbeQueue<Q> {
    waiting: AtomicU64,
    max: u32,
    queue: Q,
}

/// The result of [`ProbeQueue::enter`].
#[derive(Debug)]
pub enum ProbeQueueEntry<'a, Q: Queue> {
    /// The caller waits for the verdict.
    Waits(QueuedCaller<'a, Q>),
    /// The queue has no room left.
    Full,
    /// The caller has nothing to wait for any more.
    Over,
}

impl<Q: Queue> ProbeQueue<Q> {
    const MAX: u32 = 1_000_000;

    /// A queue with room for `max` callers.
    pub fn new(max: u32, queue: Q) -> Self {
        Self {
            waiting: AtomicU64::new(0),
            max,
            queue,
        }
    }

    /// Like [`new`](Self::new), for a builder: checks `max` and returns a box.
    ///
    /// # Errors
    /// `max` is zero or more than a million.
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

    /// How many callers wait, including those that were woken and haven't left yet.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        // Relaxed: pairs with nothing. The number is only shown; no decision depends on it.
        self.waiting.load(Ordering::Relaxed)
    }

    /// Enters the queue, if there is room and `is_awaited` still holds.
    ///
    /// `is_awaited` is asked when the caller can already be woken.
    pub fn enter(&self, is_awaited: impl FnOnce() -> bool) -> ProbeQueueEntry<'_, Q> {
        // The caller enters the queue before it is counted. Otherwise a thread could find it
        // counted and wake an empty queue.
        let listener = self.queue.listen();
        let mut waiter = QueuedCaller {
            probe_queue: self,
            listener: Some(listener),
            is_counted: false,
        };
        // Relaxed: the compare-exchange checks the value.
        let mut seen = self.waiting.load(Ordering::Relaxed);
        while seen < u64::from(self.max) {
            // AcqRel: pairs with the `fetch_add` in `has_any`. Release: a thread that finds this
            // caller counted finds it in the queue. Otherwise it would wake nobody. Acquire: if
            // that thread looked first, `is_awaited` sees its change. Otherwise this caller would
            // miss the change and not be woken for it.
            // Relaxed: a failed exchange is tried again.
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

    /// Wakes all waiting callers, after the state has changed.
    #[inline]
    pub fn wake_all(&self) {
        if self.has_any() {
            self.queue.notify_all();
        }
    }

    /// Wakes the first waiting caller, after a probe has given its place back.
    pub fn wake_one(&self) {
        if self.has_any() {
            self.queue.notify_first();
        }
    }

    /// Whether a caller waits that may not have seen this thread's change.
    #[inline]
    fn has_any(&self) -> bool {
        // AcqRel: pairs with the compare-exchange in `enter`. Adding zero is a write of the count,
        // so it comes before or after that of a new caller. If before, the caller sees this
        // thread's change. If after, this thread sees the caller. A load could miss a caller that
        // is just being counted, and that caller could miss the change too.
        self.waiting.fetch_add(0, Ordering::AcqRel) > 0
    }
}

/// A caller that waits. When dropped, it leaves the queue and passes an unused wake-up on to the
/// next caller.
pub struct QueuedCaller<'a, Q: Queue> {
    probe_queue: &'a ProbeQueue<Q>,
    /// `None` once the caller has left the queue.
    listener: Option<Q::InLine>,
    is_counted: bool,
}

impl<Q: Queue> QueuedCaller<'_, Q> {
    /// Waits until the caller is woken, at most for `at_most` if given.
    pub fn wait(mut self, at_most: Option<Duration>) {
        if let Some(listener) = self.listener.take() {
            let _was_woken = listener.wait(at_most);
        }
    }
}

impl<Q: Queue<InLine: Future + Unpin>> QueuedCaller<'_, Q> {
    /// Is ready when the caller is woken.
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
            // Relaxed: leaving the count publishes nothing of this thread. The write continues the
            // release sequence of the earlier changes. So a thread that acquires it still sees what
            // those changes released.
            self.probe_queue
                .waiting
                .fetch_add(1_u64.wrapping_neg(), Ordering::Relaxed);
        }
        // The next caller may need the wake-up that this one didn't use.
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
    use std::sync::atomic::AtomicBool;

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

    /// Fails when: a caller comes back before it is woken.
    #[test]
    fn a_caller_waits_until_it_is_woken() {
        let probe_queue = probe_queue(1);
        let is_woken = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| {
                let ProbeQueueEntry::Waits(caller) = probe_queue.enter(|| true) else {
                    panic!("there is room");
                };
                caller.wait(None);
                assert!(is_woken.load(Ordering::SeqCst), "it came back too early");
            });
            while probe_queue.waiting() == 0 && !waits.is_finished() {
                std::thread::yield_now();
            }
            is_woken.store(true, Ordering::SeqCst);
            probe_queue.wake_all();
        });
        assert_eq!(probe_queue.waiting(), 0);
    }
}
