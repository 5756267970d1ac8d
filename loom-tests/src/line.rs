//! A queue of waiters for models, in place of `event-listener`'s.
//!
//! It notifies waiters in the order of their arrival. Before it takes its lock, it reads the count
//! of waiters that haven't been notified. It also detects that all remaining racers wait, which
//! means a lost notification, and lets them go. (Loom's own deadlock detection would end the
//! process.)

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use tripcurve::__model::{InLine, Queue};

use crate::sync::{Arc, AtomicU64, Condvar, Mutex, Ordering};

#[derive(Default)]
struct Members {
    next: u64,
    /// The waiters that haven't been notified, the first at the head.
    unnotified: VecDeque<u64>,
    notified: Vec<u64>,
    /// The racers that may still give a place back, and those of them that wait.
    racing: usize,
    waiting: usize,
    is_stuck: bool,
}

impl Members {
    fn look_whether_all_wait(&mut self) {
        self.is_stuck |=
            self.waiting > 0 && self.waiting == self.racing && self.notified.is_empty();
    }
}

struct Line {
    /// The number of waiters that haven't been notified. It is stored under the lock.
    unnotified: AtomicU64,
    members: Mutex<Members>,
    bell: Condvar,
}

/// A cloneable handle to the queue, like those of the listeners.
#[derive(Clone)]
pub struct SharedLine(Arc<Line>);

impl fmt::Debug for SharedLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedLine").finish_non_exhaustive()
    }
}

/// One waiter in the queue.
#[derive(Debug)]
pub struct Member {
    line: SharedLine,
    number: u64,
}

impl SharedLine {
    /// A queue for a race of `racing` racers.
    #[must_use]
    pub fn new(racing: usize) -> Self {
        Self(Arc::new(Line {
            unnotified: AtomicU64::new(0),
            members: Mutex::new(Members {
                racing,
                ..Members::default()
            }),
            bell: Condvar::new(),
        }))
    }

    fn with<R>(&self, work: impl FnOnce(&mut Members) -> R) -> R {
        let mut members = self.0.members.lock().unwrap();
        let result = work(&mut members);
        let count = members.unnotified.len() as u64;
        // Release: pairs with the Acquire in `notify`. This queue has exactly event-listener's
        // orderings; a stronger one could hide a lost notification.
        self.0.unnotified.store(count, Ordering::Release);
        result
    }
}

impl SharedLine {
    /// Notes that a racer is done. Each racer ends with this call.
    ///
    /// # Panics
    /// Panics if a racer has panicked while it held the lock.
    pub fn has_done(&self) {
        let line = &self.0;
        let mut members = line.members.lock().unwrap();
        members.racing -= 1;
        members.look_whether_all_wait();
        drop(members);
        line.bell.notify_all();
    }

    /// Whether a waiter would wait for ever.
    ///
    /// # Panics
    /// Panics if a racer has panicked while it held the lock.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.0.members.lock().unwrap().is_stuck
    }

    fn notify(&self, at_most: usize) -> bool {
        // Acquire: pairs with the Release in `with`. This queue has exactly event-listener's
        // orderings; a stronger one could hide a lost notification.
        if self.0.unnotified.load(Ordering::Acquire) == 0 {
            return false;
        }
        let found = self.with(|members| {
            let count = members.unnotified.len().min(at_most);
            let first = members.unnotified.drain(..count);
            members.notified.extend(first);
            count > 0
        });
        if found {
            self.0.bell.notify_all();
        }
        found
    }
}

impl Queue for SharedLine {
    type InLine = Member;

    fn listen(&self) -> Member {
        let number = self.with(|members| {
            members.next += 1;
            members.unnotified.push_back(members.next);
            members.next
        });
        Member {
            line: self.clone(),
            number,
        }
    }

    fn notify_first(&self) -> bool {
        self.notify(1)
    }

    fn notify_all(&self) {
        self.notify(usize::MAX);
    }
}

impl InLine for Member {
    fn wait(self, at_most: Option<Duration>) -> bool {
        assert!(at_most.is_none(), "a model has no time; it gives up");
        let line = &self.line.0;
        let mut members = line.members.lock().unwrap();
        members.waiting += 1;
        while !members.notified.contains(&self.number) && !members.is_stuck {
            members.look_whether_all_wait();
            if members.is_stuck {
                line.bell.notify_all();
            } else {
                members = line.bell.wait(members).unwrap();
            }
        }
        members.waiting -= 1;
        members.notified.retain(|number| *number != self.number);
        !members.is_stuck
    }

    fn discard(self) -> bool {
        self.line.with(|members| {
            let before = members.notified.len();
            members.notified.retain(|number| *number != self.number);
            members.unnotified.retain(|number| *number != self.number);
            members.notified.len() < before
        })
    }
}
