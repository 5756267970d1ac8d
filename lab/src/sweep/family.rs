//! The families of a sweep: what is varied, and what is measured.

use tripcurve::error::ConfigError;

use crate::breaker::{Breaker, Nanos};
use crate::compare::{Cell, Role, WarmUp};
use crate::measure::{Life, Measure, Until};
use crate::peers::Visit;
use crate::policies::Contestant;
use crate::scenario::{Lengths, Scenario};
use crate::simulation;
use crate::statistics::{largest, mean};
use crate::time::{SECOND, nanos, number, seconds};
use crate::traffic::{Latency, seed};

/// A fault of which one property is varied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// A tenth of the calls fails, in runs. The length of the runs is varied.
    Runs,
    /// A twentieth of the calls is slow. The duration of the slow calls is varied.
    SlowCalls,
    /// All calls fail for a while, and the traffic falls. The fall is varied.
    FallTotal,
    /// Like `FallTotal`, where 70 % of the calls fail.
    FallPartial,
}

/// How much is simulated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Depth {
    /// Lives for each value, in which nothing should trip.
    pub quiet_lives: u64,
    /// Calls in such a life.
    pub quiet_calls: f64,
    /// Lives with an outage for each value.
    pub outages: u64,
    /// Calls before an outage.
    pub warm_up: f64,
}

impl Depth {
    /// The depth of a full or of a quick sweep, with its lives multiplied by `effort`.
    #[must_use]
    pub fn new(quick: bool, effort: u32) -> Self {
        let (quiet_lives, quiet_calls, outages, warm_up) = if quick {
            (3, 20e3, 10, 2e3)
        } else {
            (10, 200e3, 100, 20e3)
        };
        let effort = u64::from(effort.max(1));
        Self {
            quiet_lives: quiet_lives * effort,
            quiet_calls,
            outages: outages * effort,
            warm_up,
        }
    }
}

/// The figures of a contestant at one value of the varied property.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// The varied property.
    pub value: f64,
    /// Trips per hour, or the mean recovery time in seconds. `None` if no life had a recovery.
    pub main: Option<f64>,
    /// The share of good calls that were rejected, or the longest recovery time in seconds.
    pub second: Option<f64>,
    /// The least number that could have been found above zero.
    pub least: f64,
}

/// Calls per second, where the traffic doesn't fall.
const RATE: f64 = 100.0;

/// Calls per second before the traffic falls.
const BEFORE: f64 = 200.0;

impl Family {
    /// All families.
    pub const ALL: [Self; 4] = [
        Self::Runs,
        Self::SlowCalls,
        Self::FallTotal,
        Self::FallPartial,
    ];

    /// The family's name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Runs => "runs",
            Self::SlowCalls => "slow-calls",
            Self::FallTotal => "fall-total",
            Self::FallPartial => "fall-partial",
        }
    }

    /// What happens, as a title.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Runs => "10 % of 100 calls a second fail, in runs",
            Self::SlowCalls => "5 % of 100 calls a second are slow",
            Self::FallTotal => {
                "Recovery from a total outage while the traffic falls from 200 a second"
            }
            Self::FallPartial => {
                "Recovery from an outage of 70 % while the traffic falls from 200 a second"
            }
        }
    }

    /// The varied property and its unit.
    #[must_use]
    pub fn varied(self) -> &'static str {
        match self {
            Self::Runs => "failures in a run",
            Self::SlowCalls => "duration of a slow call, s",
            Self::FallTotal | Self::FallPartial => "the traffic falls to one part in",
        }
    }

    /// The main figure and its unit.
    #[must_use]
    pub fn main(self) -> &'static str {
        match self {
            Self::Runs | Self::SlowCalls => "trips an hour",
            Self::FallTotal | Self::FallPartial => "mean time from the outage's end to closed, s",
        }
    }

    /// What a figure on the lowest line of the picture means, if it can be there.
    #[must_use]
    pub fn zero(self) -> Option<&'static str> {
        match self {
            Self::Runs | Self::SlowCalls => Some("stands for none"),
            Self::FallTotal | Self::FallPartial => None,
        }
    }

    /// The second figure and its unit.
    #[must_use]
    pub fn second(self) -> &'static str {
        match self {
            Self::Runs | Self::SlowCalls => "good calls rejected, %",
            Self::FallTotal | Self::FallPartial => {
                "longest time from the outage's end to closed, s"
            }
        }
    }

    /// The values of the varied property.
    #[must_use]
    pub fn values(self) -> &'static [f64] {
        match self {
            Self::Runs => &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0],
            Self::SlowCalls => &[0.15, 0.3, 1.0, 3.0, 10.0, 20.0],
            Self::FallTotal | Self::FallPartial => &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0],
        }
    }

    /// The policies that are drawn unless others are asked for.
    #[must_use]
    pub fn policies(self) -> &'static [&'static str] {
        match self {
            Self::Runs => &[
                "adaptive",
                "adaptive-sensitive",
                "classic",
                "error-rate",
                "hystrix",
                "r4j-time10-tuned",
                "finagle",
                "semian-adaptive",
            ],
            // The others don't look at durations.
            Self::SlowCalls => &[
                "adaptive",
                "adaptive-sensitive",
                "r4j-slow-tuned",
                "sentinel-slow-tuned",
            ],
            Self::FallTotal | Self::FallPartial => &[
                "adaptive",
                "adaptive-sensitive",
                "classic",
                "hystrix-tuned",
                "r4j-time10-tuned",
                "polly-tuned",
                "error-rate",
                "semian-adaptive",
            ],
        }
    }

    /// Simulates the lives of a contestant at one value.
    ///
    /// # Errors
    /// Returns an error if the crate refuses the contestant's settings.
    pub fn figures(
        self,
        contestant: &Contestant,
        value: f64,
        depth: &Depth,
        run_seed: u64,
    ) -> Result<Figures, ConfigError> {
        let lives: Result<Vec<Life>, _> = (0..self.lives(depth))
            .map(|number| {
                let living = self.living(value, depth, run_seed, number);
                let own = seed(run_seed, contestant.name, number);
                let slow = living.cell.slow();
                contestant.visit(own, slow, living)
            })
            .collect();
        Ok(match self {
            Self::Runs | Self::SlowCalls => quiet(value, &lives?),
            Self::FallTotal | Self::FallPartial => recovery(value, &lives?),
        })
    }

    fn lives(self, depth: &Depth) -> u64 {
        match self {
            Self::Runs | Self::SlowCalls => depth.quiet_lives,
            Self::FallTotal | Self::FallPartial => depth.outages,
        }
    }

    fn living(self, value: f64, depth: &Depth, run_seed: u64, number: u64) -> Living {
        let (scenario, baseline, fall) = match self {
            Self::Runs => (Scenario::Poison { run: whole(value) }, 0.1, None),
            Self::SlowCalls => {
                let takes = nanos(value);
                (Scenario::SlowShare { share: 0.05, takes }, 0.0, None)
            }
            Self::FallTotal => (Scenario::TOTAL, 0.01, Some(value)),
            Self::FallPartial => (Scenario::sharp(0.7), 0.01, Some(value)),
        };
        let cell = Cell {
            role: if fall.is_some() {
                Role::Fault
            } else {
                Role::Quiet
            },
            scenario,
            rate: if fall.is_some() { BEFORE } else { RATE },
            baseline,
            latency: Latency::USUAL,
            lengths: Lengths::USUAL,
            // A quiet life shows how the breaker learns, so it begins with a new breaker.
            warm_up: if fall.is_some() {
                WarmUp {
                    longest: f64::INFINITY,
                    calls: depth.warm_up,
                }
            } else {
                WarmUp {
                    longest: 1.0,
                    calls: f64::INFINITY,
                }
            },
        };
        Living {
            seed: seed(run_seed, &cell.name(), number),
            until: match fall {
                Some(_) => Until::Closed,
                None => Until::Time(nanos(depth.quiet_calls / RATE)),
            },
            fall,
            cell,
        }
    }
}

/// How long after the outage's begin the traffic falls. By then, most policies have tripped.
const FALLS_AFTER: Nanos = 10 * SECOND;

struct Living {
    cell: Cell,
    seed: u64,
    until: Until,
    fall: Option<f64>,
}

impl Visit for Living {
    type Output = Life;

    fn visit<B: Breaker>(self, breaker: B) -> Life {
        let (mut backend, traffic) = self.cell.draw(self.seed);
        let rate = self.cell.rate / self.fall.unwrap_or(1.0);
        let traffic = traffic.changing_to(rate, backend.onset() + FALLS_AFTER);
        let mut measure = Measure::new(&backend, rate, self.until);
        let calls = simulation::run(breaker, traffic, &mut backend, &mut measure);
        measure.finish(calls, &backend)
    }
}

fn quiet(value: f64, lives: &[Life]) -> Figures {
    let hours: f64 = lives.iter().map(Life::hours).sum();
    let trips: u64 = lives.iter().map(|life| u64::from(life.trips)).sum();
    let lost: u64 = lives.iter().map(|life| life.lost).sum();
    let calls: u64 = lives.iter().map(|life| life.calls).sum();
    Figures {
        value,
        main: Some(number(trips) / hours),
        second: Some(100.0 * number(lost) / number(calls.max(1))),
        least: 1.0 / hours,
    }
}

fn recovery(value: f64, lives: &[Life]) -> Figures {
    let times = lives.iter().filter_map(|life| life.closed_after);
    let times: Vec<f64> = times.map(seconds).collect();
    Figures {
        value,
        main: mean(&times),
        second: largest(times.iter().copied()),
        least: 0.1,
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the lengths of runs are small whole numbers"
)]
fn whole(value: f64) -> u32 {
    value as u32
}
