//! A bound on the events in a second.

use crate::sync::SelfContained;

/// Bounds the events in a second, and counts those that it leaves out.
#[derive(Debug)]
pub struct EventLimit {
    per_second: u32,
    /// The second, above the number of events in it.
    told: SelfContained,
    /// The events that were left out since the last one.
    left_out: SelfContained,
}

impl EventLimit {
    /// Admits so many events in each second.
    #[must_use]
    pub fn new(per_second: u32) -> Self {
        Self {
            per_second,
            told: SelfContained::new(0),
            left_out: SelfContained::new(0),
        }
    }

    /// Admits an event at this time, and returns how many were left out before it. Otherwise counts
    /// it as left out.
    pub fn admit(&self, nanos: u64) -> Option<u64> {
        if self.has_room(nanos) {
            return Some(self.take_left_out());
        }
        self.left_out.add(1);
        None
    }

    fn has_room(&self, nanos: u64) -> bool {
        // The lowest bits of a second are enough to tell it from the one before.
        let second = (nanos / 1_000_000_000) << 32;
        let mut seen = self.told.load();
        loop {
            let told = if seen >> 32 << 32 == second {
                seen - second
            } else {
                0
            };
            if told >= u64::from(self.per_second) {
                return false;
            }
            match self.told.exchange(seen, second + told + 1) {
                Ok(()) => return true,
                Err(found) => seen = found,
            }
        }
    }

    fn take_left_out(&self) -> u64 {
        let mut seen = self.left_out.load();
        while let Err(found) = self.left_out.exchange(seen, 0) {
            seen = found;
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::thread;

    use super::EventLimit;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn each_second_has_its_events() {
        let limit = EventLimit::new(2);
        let admit = |nanos| limit.admit(nanos);
        assert_eq!([0, 1, 2].map(admit), [Some(0), Some(0), None]);
        assert_eq!([SECOND - 1, SECOND].map(admit), [None, Some(2)]);
        let later = [9 * SECOND, 9 * SECOND + 5, 9 * SECOND + 6];
        assert_eq!(later.map(admit), [Some(0), Some(0), None]);
        assert_eq!([u64::MAX; 3].map(admit), [Some(1), Some(0), None]);
    }

    #[test]
    fn threads_share_the_events_of_a_second() {
        let limit = EventLimit::new(1_000);
        let (told, left_out) = (AtomicU64::new(0), AtomicU64::new(0));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        if let Some(before) = limit.admit(7 * SECOND) {
                            told.fetch_add(1, Ordering::Relaxed);
                            left_out.fetch_add(before, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(told.into_inner(), 1_000);
        let rest = limit.admit(8 * SECOND).unwrap();
        assert_eq!(left_out.into_inner() + rest, 39_000);
    }
}
