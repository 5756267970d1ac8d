//! A backend whose capacity returns slowly after an outage. Overload kills it.

use crate::breaker::Nanos;
use crate::time::{MILLISECOND, SECOND, nanos, number, seconds};

/// The backend's capacity, and the load that it has seen.
#[derive(Clone, Debug)]
pub struct Capacity {
    rate: f64,
    /// When the capacity began to return. While the backend is dead, this is in the future.
    back_since: Nanos,
    /// Calls served in each part of the window, and the part of the latest one.
    served: [u32; Self::PARTS],
    last_part: u64,
    part: Nanos,
    overloaded_since: Option<Nanos>,
    kills: u32,
    /// Whether all of the capacity returns at once.
    is_warm: bool,
}

impl Capacity {
    /// The capacity at first: 20 % of the traffic.
    const FIRST: f64 = 0.2;
    /// The capacity at last: 120 % of the traffic.
    const WHOLE: f64 = 1.2;
    /// How long the capacity takes from the first to the last.
    const TIME: Nanos = 30 * SECOND;
    /// A load of this many times the capacity kills the backend if it lasts for `DEADLY_FOR`.
    const DEADLY: f64 = 1.5;
    const DEADLY_FOR: Nanos = 500 * MILLISECOND;
    /// How long the backend is dead then.
    const DEAD_FOR: Nanos = 5 * SECOND;
    /// The length of the load's window. With little traffic it is longer, so that it holds twenty
    /// calls.
    const WINDOW: Nanos = 200 * MILLISECOND;
    const PARTS: usize = 10;

    /// A backend whose capacity returns from `back_since` on. All traffic is `rate` calls per
    /// second.
    #[must_use]
    pub fn new(rate: f64, back_since: Nanos) -> Self {
        let window = Self::WINDOW.max(nanos(20.0 / rate));
        Self {
            rate,
            back_since,
            served: [0; Self::PARTS],
            last_part: 0,
            part: window / number_of_parts(),
            overloaded_since: None,
            kills: 0,
            is_warm: false,
        }
    }

    /// Like [`new`](Self::new), for a backend whose whole capacity returns at once.
    #[must_use]
    pub fn warm(rate: f64, back_since: Nanos) -> Self {
        Self {
            is_warm: true,
            ..Self::new(rate, back_since)
        }
    }

    /// How many times the backend was killed.
    #[must_use]
    pub fn kills(&self) -> u32 {
        self.kills
    }

    /// Whether the capacity has returned completely.
    #[must_use]
    pub fn is_whole(&self, at: Nanos) -> bool {
        at >= self.back_since.saturating_add(Self::TIME)
    }

    /// The share of all traffic that the backend can serve now; 0 while it is dead.
    #[must_use]
    pub fn of_traffic(&self, at: Nanos) -> f64 {
        let passed = at.checked_sub(self.back_since);
        passed.map_or(0.0, |passed| {
            if self.is_warm {
                Self::WHOLE
            } else {
                Self::after(passed)
            }
        })
    }

    /// The share of all traffic that the backend can serve this long after its return began.
    #[must_use]
    pub fn after(passed: Nanos) -> f64 {
        let done = (seconds(passed) / seconds(Self::TIME)).min(1.0);
        Self::FIRST + (Self::WHOLE - Self::FIRST) * done
    }

    /// The share of calls that the backend serves under its present load.
    pub fn share_served(&mut self, at: Nanos) -> f64 {
        let capacity = self.of_traffic(at);
        let load = self.load(at);
        if load <= Self::DEADLY * capacity || at < self.back_since {
            self.overloaded_since = None;
        } else if at - *self.overloaded_since.get_or_insert(at) >= Self::DEADLY_FOR {
            self.overloaded_since = None;
            self.kills += 1;
            self.back_since = at + Self::DEAD_FOR;
            return 0.0;
        }
        if load > capacity {
            capacity / load
        } else {
            1.0
        }
    }

    /// Counts a call as load.
    pub fn serve(&mut self, at: Nanos) {
        self.roll(at);
        self.served[self.place(self.last_part)] += 1;
    }

    /// The served calls as a share of all traffic. The unfinished part counts up to now.
    fn load(&mut self, at: Nanos) -> f64 {
        self.roll(at);
        let calls: u32 = self.served.iter().sum();
        let whole_parts = number(self.part * (number_of_parts() - 1));
        let time = (whole_parts + number(at % self.part)) / 1e9;
        f64::from(calls) / (time * self.rate)
    }

    fn roll(&mut self, at: Nanos) {
        let part = at / self.part;
        let first_new = (self.last_part + 1).max((part + 1).saturating_sub(number_of_parts()));
        for new in first_new..=part {
            let place = self.place(new);
            self.served[place] = 0;
        }
        self.last_part = part;
    }

    #[allow(
        clippy::cast_possible_truncation,
        reason = "the remainder is below ten"
    )]
    fn place(&self, part: u64) -> usize {
        (part % self.served.len() as u64) as usize
    }

    /// The harm that no policy can avoid: the traffic beyond the capacity, in seconds' worth of
    /// traffic. The backend isn't killed here.
    #[must_use]
    pub fn missing() -> f64 {
        Self::integral(|capacity| 1.0 - capacity)
    }

    /// The least possible sum of failed calls and of rejected calls that would have succeeded.
    ///
    /// Each rejected call is judged alone. So a load slightly above the capacity makes this sum
    /// less than [`missing`](Self::missing). At that load, some of the rejected calls would have
    /// failed.
    #[must_use]
    pub fn least_harm() -> f64 {
        Self::integral(|capacity| {
            // At a load l above the capacity c, l - c fail; of the rejected calls, c/l would have
            // succeeded.
            let load = capacity.sqrt().min(Self::DEADLY * capacity);
            load - capacity + (1.0 - load) * capacity / load
        })
    }

    fn integral(harm: impl Fn(f64) -> f64) -> f64 {
        let steps = 30_000;
        let step = seconds(Self::TIME) / f64::from(steps);
        (0..steps)
            .map(|index| Self::after(nanos((f64::from(index) + 0.5) * step)))
            .filter(|capacity| *capacity < 1.0)
            .map(|capacity| harm(capacity) * step)
            .sum()
    }
}

fn number_of_parts() -> u64 {
    Capacity::PARTS as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_traffic_beyond_the_capacity_is_that_of_a_triangle() {
        // 80 % is missing at first, nothing after 24 s.
        assert!((Capacity::missing() - 0.8 * 24.0 / 2.0).abs() < 0.01);
        assert!(Capacity::least_harm() < Capacity::missing());
    }

    #[test]
    fn all_traffic_at_once_kills_it_after_half_a_second_again_and_again() {
        let mut capacity = Capacity::new(1_000.0, 0);
        for millis in 0..20_000 {
            let at = millis * MILLISECOND;
            capacity.share_served(at);
            capacity.serve(at);
        }
        // The backend dies after half a second and is back after five.
        assert_eq!(capacity.kills(), 4);
    }

    #[test]
    fn as_much_as_it_can_bear_does_not_kill_it() {
        let mut capacity = Capacity::new(1_000.0, 0);
        let mut failed = 0.0;
        let mut due = 0.0;
        for millis in 0..40_000 {
            let at = millis * MILLISECOND;
            let served = capacity.share_served(at);
            due += capacity.of_traffic(at).min(1.0);
            if due >= 1.0 {
                due -= 1.0;
                failed += 1.0 - served;
                capacity.serve(at);
            }
        }
        assert_eq!(capacity.kills(), 0);
        assert!(failed < 1_000.0, "{failed}");
    }
}
