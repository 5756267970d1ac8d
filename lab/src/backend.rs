//! The dependency: how it answers each call.

use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Exp1};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::breaker::Nanos;
use crate::capacity::Capacity;
use crate::scenario::Scenario;
use crate::time::{nanos, seconds};
use crate::traffic::Draw;

/// How the dependency answers a call that is let through.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answer {
    /// Whether the call fails.
    pub fails: bool,
    /// Whether the call would fail without the fault, too.
    pub fails_anyway: bool,
    /// When the call ends.
    pub ends: Nanos,
}

/// The dependency. A fault begins at a given time and lasts a given time.
#[derive(Clone, Debug)]
pub struct Backend {
    scenario: Scenario,
    baseline: f64,
    onset: Nanos,
    end: Nanos,
    capacity: Capacity,
    /// How many more calls of the current run fail.
    run: u32,
    stalls: Stalls,
}

impl Backend {
    /// A dependency whose calls fail at the rate `baseline` while nothing is wrong.
    #[must_use]
    pub fn new(
        scenario: Scenario,
        baseline: f64,
        rate: f64,
        onset: Nanos,
        length: Nanos,
        seed: u64,
    ) -> Self {
        let end = onset.saturating_add(length);
        Self {
            scenario,
            baseline,
            onset,
            end,
            capacity: Capacity::new(rate, end),
            run: 0,
            stalls: Stalls::new(scenario, onset, seed),
        }
    }

    /// When the fault begins.
    #[must_use]
    pub fn onset(&self) -> Nanos {
        self.onset
    }

    /// When the fault ends. A slow return of capacity comes after this time.
    #[must_use]
    pub fn end(&self) -> Nanos {
        self.end
    }

    /// How many times the backend was killed.
    #[must_use]
    pub fn kills(&self) -> u32 {
        self.capacity.kills()
    }

    /// Whether the fault is over, including a slow return of capacity.
    #[must_use]
    pub fn has_recovered(&self, at: Nanos) -> bool {
        at >= self.end && (self.scenario != Scenario::Capacity || self.capacity.is_whole(at))
    }

    /// Returns how the dependency would answer this call.
    #[inline]
    pub fn ask(&mut self, draw: &Draw) -> Answer {
        let Draw { at, luck, took } = *draw;
        let during = at >= self.onset && at < self.end;
        let usual = luck < self.baseline;
        let ends = at + took;
        let fault = |share: f64| Answer {
            fails: luck
                < if during {
                    share.max(self.baseline)
                } else {
                    self.baseline
                },
            fails_anyway: usual,
            ends,
        };
        match self.scenario {
            Scenario::Outage { share, onset: 0 } => fault(share),
            Scenario::Outage { share, onset } => {
                let passed = at.saturating_sub(self.onset);
                fault(share * (seconds(passed) / seconds(onset)).min(1.0))
            }
            Scenario::Decline { over } => {
                let passed = at.saturating_sub(self.onset);
                fault(0.01 + 0.99 * (seconds(passed) / seconds(over)).min(1.0))
            }
            Scenario::Flapping { half } => {
                let is_down = (at.saturating_sub(self.onset) / half).is_multiple_of(2);
                fault(if is_down { 1.0 } else { 0.0 })
            }
            Scenario::BadShard { of } | Scenario::LastingShard { of } => {
                let bad = 1.0 / f64::from(of);
                fault(bad + (1.0 - bad) * self.baseline)
            }
            Scenario::BrownOut { factor, limit } => {
                let took = if during {
                    nanos(seconds(took) * factor)
                } else {
                    took
                };
                let limit = limit.unwrap_or(Nanos::MAX);
                Answer {
                    fails: usual || took > limit,
                    fails_anyway: usual,
                    ends: at + took.min(limit),
                }
            }
            Scenario::Capacity if at >= self.end => {
                let served = self.capacity.share_served(at);
                Answer {
                    fails: luck < 1.0 - (1.0 - self.baseline) * served,
                    fails_anyway: usual,
                    ends,
                }
            }
            Scenario::Blip { .. } | Scenario::Capacity => fault(1.0),
            Scenario::Healthy => fault(0.0),
            Scenario::Poison { run } => self.poison(run, draw),
            Scenario::Persistent { share } => {
                let fails = luck < share;
                Answer {
                    fails,
                    fails_anyway: fails,
                    ends,
                }
            }
            Scenario::Stalls { .. } => Answer {
                ends: self.stalls.held_up(at, took),
                ..fault(0.0)
            },
            Scenario::SlowShare { share, takes } => Answer {
                // The luckiest calls are slow. So slow calls and failed calls are different ones.
                ends: at + if luck >= 1.0 - share { takes } else { took },
                ..fault(0.0)
            },
        }
    }

    /// Counts a call that was let through as load on the backend.
    #[inline]
    pub fn serve(&mut self, at: Nanos) {
        if self.scenario == Scenario::Capacity && at >= self.end {
            self.capacity.serve(at);
        }
    }

    fn poison(&mut self, run: u32, draw: &Draw) -> Answer {
        let fails = if self.run > 0 {
            self.run -= 1;
            true
        } else {
            // With this probability, runs and the calls between them fail at the usual rate
            // overall.
            let run = f64::from(run);
            let begins = draw.luck < self.baseline / (run - (run - 1.0) * self.baseline);
            if begins {
                self.run = match self.scenario {
                    Scenario::Poison { run } => run - 1,
                    _ => 0,
                };
            }
            begins
        };
        Answer {
            fails,
            fails_anyway: fails,
            ends: draw.at + draw.took,
        }
    }
}

/// The times at which all calls are held up.
#[derive(Clone, Debug)]
struct Stalls {
    random: Xoshiro256PlusPlus,
    every: Nanos,
    length: Nanos,
    /// The latest stall that a call may meet, and the next one.
    begins: [Nanos; 2],
}

impl Stalls {
    fn new(scenario: Scenario, onset: Nanos, seed: u64) -> Self {
        let (every, length) = match scenario {
            Scenario::Stalls { every, length } => (every, length),
            _ => (Nanos::MAX, 0),
        };
        let mut stalls = Self {
            random: Xoshiro256PlusPlus::seed_from_u64(seed),
            every,
            length,
            begins: [onset; 2],
        };
        if length > 0 {
            stalls.begins[1] = stalls.after(onset);
        }
        stalls
    }

    /// When the stall after this one begins. The gap is at least half of `every`, which is longer
    /// than a call.
    fn after(&mut self, begin: Nanos) -> Nanos {
        let extra: f64 = Exp1.sample(&mut self.random);
        let jitter = self.random.random_range(0.5..0.6);
        begin + self.length + nanos(seconds(self.every) * (jitter + 0.45 * extra))
    }

    /// When the call ends, including the stalls that it meets.
    fn held_up(&mut self, at: Nanos, took: Nanos) -> Nanos {
        while at >= self.begins[1] {
            self.begins = [self.begins[1], self.after(self.begins[1])];
        }
        let [last, next] = self.begins;
        if at < last {
            return at + took;
        }
        // A call that begins in a stall waits for its end. A call that is in flight when a stall
        // begins is held up for all of it.
        let ends = at.max(last + self.length) + took;
        if ends > next {
            ends + self.length
        } else {
            ends
        }
    }
}
