//! The dependency: what it would make of a call.

use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Exp1};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::breaker::Nanos;
use crate::capacity::Capacity;
use crate::scenario::Scenario;
use crate::time::{nanos, seconds};
use crate::traffic::Draw;

/// What becomes of a call that is let through.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answer {
    /// It fails.
    pub fails: bool,
    /// It would also fail if nothing were wrong.
    pub fails_anyway: bool,
    /// When it ends.
    pub ends: Nanos,
}

/// The dependency, with a fault that begins at a moment and lasts so long.
#[derive(Clone, Debug)]
pub struct Backend {
    scenario: Scenario,
    baseline: f64,
    onset: Nanos,
    end: Nanos,
    capacity: Capacity,
    /// How many more of a run fail.
    run: u32,
    stalls: Stalls,
}

impl Backend {
    /// A dependency of which a share of `baseline` fails when nothing is wrong.
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

    /// When it ends; what follows of a capacity that comes back slowly is not part of it.
    #[must_use]
    pub fn end(&self) -> Nanos {
        self.end
    }

    /// How often it was killed.
    #[must_use]
    pub fn kills(&self) -> u32 {
        self.capacity.kills()
    }

    /// Whether nothing is wrong any more.
    #[must_use]
    pub fn has_recovered(&self, at: Nanos) -> bool {
        at >= self.end && (self.scenario != Scenario::Capacity || self.capacity.is_whole(at))
    }

    /// What would become of a call.
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
        }
    }

    /// The call was made: that is load.
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
            // So that runs and what lies between them come to the usual share.
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

/// When all calls are held up.
#[derive(Clone, Debug)]
struct Stalls {
    random: Xoshiro256PlusPlus,
    every: Nanos,
    length: Nanos,
    /// Those that a call may meet, and the next one.
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

    /// When the stall after this one begins: half of `every` at least, which is longer than a call.
    fn after(&mut self, begin: Nanos) -> Nanos {
        let extra: f64 = Exp1.sample(&mut self.random);
        let jitter = self.random.random_range(0.5..0.6);
        begin + self.length + nanos(seconds(self.every) * (jitter + 0.45 * extra))
    }

    /// When a call ends that meets a stall or not.
    fn held_up(&mut self, at: Nanos, took: Nanos) -> Nanos {
        while at >= self.begins[1] {
            self.begins = [self.begins[1], self.after(self.begins[1])];
        }
        let [last, next] = self.begins;
        if at < last {
            return at + took;
        }
        // One that begins in a stall waits for its end, one that is under way when it begins is held up
        // for all of it.
        let ends = at.max(last + self.length) + took;
        if ends > next {
            ends + self.length
        } else {
            ends
        }
    }
}
