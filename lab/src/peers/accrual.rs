//! Failure accrual: Finagle's policies, which failsafe-rs has adopted.

use crate::breaker::Nanos;

use super::MILLISECOND;

/// The waits after the trips.
pub(super) trait Waits {
    /// The wait after one more trip.
    fn next(&mut self) -> Nanos;

    /// Starts again with the wait of a first trip.
    fn restart(&mut self);
}

/// An exponential moving average of successes. Its clock counts whole milliseconds.
#[derive(Clone, Debug)]
struct MovingAverage {
    window: u64,
    last: Option<u64>,
    value: f64,
    zero_is_never: bool,
}

impl MovingAverage {
    fn update(&mut self, stamp: u64, value: f64) -> f64 {
        if let Some(last) = self.last {
            let weight = (-milliseconds(stamp - last) / milliseconds(self.window)).exp();
            self.value = value * (1.0 - weight) + self.value * weight;
        } else {
            self.value = value;
        }
        self.last = (stamp > 0 || !self.zero_is_never).then_some(stamp);
        self.value
    }
}

/// Times above 49 days count as infinite, with a weight of 0.
fn milliseconds(count: u64) -> f64 {
    u32::try_from(count).unwrap_or(u32::MAX).into()
}

const SLICES: usize = 5;

/// Requests of the last window, in slices.
///
/// A slice begins with the first request after the previous slice's end, not on a grid.
#[derive(Clone, Debug)]
struct Requests {
    slice: u64,
    slices: [u32; SLICES],
    newest: usize,
    began: Nanos,
}

impl Requests {
    fn add(&mut self, now: Nanos) {
        let turns = (now - self.began) / MILLISECOND / self.slice;
        if turns > 0 {
            for _ in 0..turns.min(5) {
                self.newest = (self.newest + 1) % SLICES;
                self.slices[self.newest] = 0;
            }
            self.began = now;
        }
        self.slices[self.newest] += 1;
    }

    fn sum(&self) -> u32 {
        self.slices.iter().sum()
    }
}

/// Marks the backend dead when the moving average of successes is too low.
#[derive(Clone, Debug)]
pub(super) struct SuccessRate {
    required: f64,
    minimum: u32,
    window: u64,
    since: Nanos,
    average: MovingAverage,
    requests: Requests,
}

impl SuccessRate {
    /// A policy over a window.
    ///
    /// With `zero_is_never`, a result in the first millisecond is forgotten when the next one
    /// comes. This is the behaviour of failsafe-rs.
    pub(super) fn new(required: f64, minimum: u32, window: Nanos, zero_is_never: bool) -> Self {
        let window = (window / MILLISECOND).max(1);
        let average = MovingAverage {
            window,
            last: None,
            value: 0.0,
            zero_is_never,
        };
        let requests = Requests {
            slice: (window / 5).max(1),
            slices: [0; SLICES],
            newest: 0,
            began: 0,
        };
        Self {
            required,
            minimum,
            window,
            since: 0,
            average,
            requests,
        }
    }

    fn succeed(&mut self, now: Nanos) {
        let stamp = (now - self.since) / MILLISECOND;
        self.average.update(stamp, 1.0);
        self.requests.add(now);
    }

    fn is_dead_after_failure(&mut self, now: Nanos) -> bool {
        let stamp = (now - self.since) / MILLISECOND;
        let rate = self.average.update(stamp, 0.0);
        self.requests.add(now);
        stamp >= self.window && rate < self.required && self.requests.sum() >= self.minimum
    }

    fn revive(&mut self, now: Nanos) {
        self.since = now;
        self.average.last = None;
        self.requests.slices = [0; SLICES];
        self.requests.began = now;
    }
}

/// Marks the backend dead when this many calls failed in a row.
#[derive(Clone, Debug)]
pub(super) struct ConsecutiveFailures {
    threshold: u32,
    failures: u32,
}

impl ConsecutiveFailures {
    /// A policy that has seen no failure.
    pub(super) fn new(threshold: u32) -> Self {
        Self {
            threshold,
            failures: 0,
        }
    }

    fn is_dead_after_failure(&mut self) -> bool {
        self.failures += 1;
        self.failures >= self.threshold
    }
}

/// One policy or both. Each has its own waits. If both trip, the longer wait counts.
#[derive(Clone, Debug)]
pub(super) struct Accrual<W> {
    pub(super) success_rate: Option<(SuccessRate, W)>,
    pub(super) consecutive: Option<(ConsecutiveFailures, W)>,
}

impl<W: Waits> Accrual<W> {
    /// A call succeeded.
    pub(super) fn succeed(&mut self, now: Nanos) {
        if let Some((policy, _)) = &mut self.success_rate {
            policy.succeed(now);
        }
        if let Some((policy, _)) = &mut self.consecutive {
            policy.failures = 0;
        }
    }

    /// A call failed. If the backend is dead now, returns how long to stay away.
    pub(super) fn fail(&mut self, now: Nanos) -> Option<Nanos> {
        let by_rate = self
            .success_rate
            .as_mut()
            .and_then(|(policy, waits)| policy.is_dead_after_failure(now).then(|| waits.next()));
        let by_run = self
            .consecutive
            .as_mut()
            .and_then(|(policy, waits)| policy.is_dead_after_failure().then(|| waits.next()));
        // `None` is less than any wait.
        by_rate.max(by_run)
    }

    /// A probe succeeded, so all history is forgotten.
    pub(super) fn revive(&mut self, now: Nanos) {
        if let Some((policy, waits)) = &mut self.success_rate {
            policy.revive(now);
            waits.restart();
        }
        if let Some((policy, waits)) = &mut self.consecutive {
            policy.failures = 0;
            waits.restart();
        }
    }
}
