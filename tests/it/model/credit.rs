//! Successes that are counted without a clock reading, as the documentation of windows describes
//! them.

use tripcurve::window::Recording;

use super::pair::has_own_counts;
use super::{Call, Config, Model};

/// The successes of the driving thread in the bucket of the latest clock reading.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Credit {
    /// The number of that bucket, if the clock was read in this generation.
    latest: Option<u64>,
    own: u64,
}

/// The number of successes in a bucket after which a thread needs fewer clock readings.
const DENSE: u64 = 1_024;

/// Of this many successes, one needs a clock reading.
const STEPS: u64 = 16;

impl Credit {
    /// Whether the next success needs no clock reading. The last of `STEPS` needs one.
    fn goes_on(self) -> bool {
        self.own >= DENSE && !(self.own + 1).is_multiple_of(STEPS)
    }

    /// The successes that a pause carries over: those since the thread's latest clock reading,
    /// counted by the pair.
    fn carried(self) -> u64 {
        if self.own >= DENSE {
            (self.own % STEPS).next_multiple_of(2)
        } else {
            0
        }
    }
}

impl Config {
    /// The width of a bucket, if successes may go without a clock reading. The threads must have
    /// counts of their own, and calls must not be timed.
    fn lending_width(&self) -> Option<u64> {
        let is_timed = self.limit().is_some() || self.recording != Recording::Off;
        let has_own_counts = self.window.buckets().is_some() && has_own_counts(self.shards);
        let (width, _) = self.window.ticks()?;
        (has_own_counts && !is_timed).then_some(width)
    }
}

impl Model {
    /// The time as of which a success of the driving thread counts.
    pub(super) fn counts_at(&mut self) -> u64 {
        let Some(width) = self.config.lending_width() else {
            return self.now;
        };
        let goes_on = self.credit.goes_on() && !self.is_on_another_thread;
        let at = match self.credit.latest {
            Some(latest) if goes_on => latest * width,
            _ => {
                self.read_clock();
                self.now
            }
        };
        self.credit.own += u64::from(!self.is_on_another_thread);
        at
    }

    /// The breaker reads the clock for a call of this generation.
    ///
    /// If the bucket before has ended for longer than 1/64 of a bucket, its last successes may be
    /// younger than it is. They count once more, from now on.
    pub(super) fn read_clock(&mut self) {
        let Some(width) = self.config.lending_width() else {
            return;
        };
        let tick = self.now / width;
        let Credit { latest, .. } = self.credit;
        if latest == Some(tick) {
            return;
        }
        let is_soon =
            latest.is_some_and(|latest| tick == latest + 1) && self.now % width <= width / 64;
        if !is_soon {
            let carried = self.credit.carried();
            self.carried += carried;
            let again = (0..carried).map(|_| Call::carried(self.now));
            self.calls.extend(again);
        }
        self.credit = Credit {
            latest: Some(tick),
            own: 0,
        };
    }
}

impl Call {
    /// A success that counts again. It ends no run of failures.
    fn carried(at: u64) -> Self {
        Self {
            at,
            failed: false,
            took: 0,
            weight: Some(0),
            is_timed: false,
            given_up: false,
            ends_run: false,
        }
    }
}
