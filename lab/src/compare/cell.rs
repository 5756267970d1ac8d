//! One setting for a comparison of breakers, and the draw of a life in it.

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use tripcurve::error::ConfigError;

use crate::backend::Backend;
use crate::bound::Question;
use crate::breaker::{Breaker, Nanos};
use crate::measure::{Life, Measure, Until};
use crate::peers::Visit;
use crate::policies::Contestant;
use crate::scenario::{Lengths, Scenario};
use crate::simulation;
use crate::time::{SECOND, nanos, seconds};
use crate::traffic::{Latency, Traffic, seed};

/// The purpose of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Outages with a sharp onset, compared to the limit.
    Limit,
    /// Other faults.
    Fault,
    /// Hours in which nothing should trip.
    Quiet,
    /// Outages that begin a minute after the breaker was built.
    Cold,
    /// Settings drawn by chance, on which no policy was tuned.
    Fresh,
}

/// How long the breaker is in service before the fault.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WarmUp {
    /// The longest time in service, in seconds.
    pub longest: f64,
    /// The most calls in service.
    pub calls: f64,
}

/// One setting of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// The purpose of the cell.
    pub role: Role,
    /// What goes wrong.
    pub scenario: Scenario,
    /// Calls per second.
    pub rate: f64,
    /// The failure rate while nothing is wrong.
    pub baseline: f64,
    /// How long calls take.
    pub latency: Latency,
    /// How long the fault lasts.
    pub lengths: Lengths,
    /// The healthy service before the fault.
    pub warm_up: WarmUp,
}

/// A day, in seconds.
pub const DAY: f64 = 86_400.0;

impl Cell {
    /// The cell's name, unique in a comparison. The cell's seed is made of it.
    #[must_use]
    pub fn name(&self) -> String {
        let role = match self.role {
            Role::Cold => "cold ",
            Role::Fresh => "fresh ",
            _ => "",
        };
        let scenario = self.scenario.name();
        format!(
            "{role}{scenario} at {} a second, {} %",
            self.rate,
            round(self.baseline * 100.0)
        )
    }

    /// How long the service is healthy before the fault.
    #[must_use]
    pub fn healthy_time(&self) -> f64 {
        self.warm_up.longest.min(self.warm_up.calls / self.rate)
    }

    /// The question for the sensitive limit: the healthy rate is known, and one false trip a day is
    /// allowed. `None` if the outage begins gradually.
    #[must_use]
    pub fn sensitive(&self) -> Option<Question> {
        self.question(self.baseline, DAY)
    }

    /// The question for the tolerant limit: 25 % failures are tolerated, with one false trip in 120
    /// s of that. `None` if the outage begins gradually.
    #[must_use]
    pub fn tolerant(&self) -> Option<Question> {
        self.question(0.25, 120.0)
    }

    fn question(&self, null: f64, budget: f64) -> Option<Question> {
        Some(Question {
            null,
            outage: self.scenario.sharp_share()?,
            between_false_trips: budget * self.rate,
        })
    }

    /// Runs one life of the cell, given its number, with a new breaker.
    ///
    /// # Errors
    /// Returns an error if the crate refuses the contestant's settings.
    pub fn live(
        &self,
        contestant: &Contestant,
        run_seed: u64,
        number: u64,
        until: Until,
    ) -> Result<Life, ConfigError> {
        let visitor = Living {
            cell: self,
            seed: seed(run_seed, &self.name(), number),
            until,
        };
        contestant.visit(
            seed(run_seed, contestant.name, number),
            self.slow(),
            visitor,
        )
    }

    /// The duration above which a call counts as slow here: five times the median.
    #[must_use]
    pub fn slow(&self) -> Duration {
        Duration::from_secs_f64(5.0 * self.latency.median)
    }

    /// The dependency and the traffic of one life.
    #[must_use]
    pub fn draw(&self, seed_of_life: u64) -> (Backend, Traffic) {
        let part = |name| seed(seed_of_life, name, 0);
        let mut random = Xoshiro256PlusPlus::seed_from_u64(part("fault"));
        // The onset moves by up to 10 s. Otherwise it would always be in step with the breakers'
        // timers.
        let shift = random.random_range(0.0..self.healthy_time().min(10.0));
        let onset = nanos(self.healthy_time() + shift);
        let length = if self.scenario.is_quiet() {
            Self::EVER
        } else {
            self.scenario.length(self.lengths, &mut random)
        };
        let backend = Backend::new(
            self.scenario,
            self.baseline,
            self.rate,
            onset,
            length,
            part("backend"),
        );
        (
            backend,
            Traffic::new(self.rate, self.latency, part("traffic")),
        )
    }

    /// Longer than any life is watched: 30 years.
    const EVER: Nanos = 1_000_000_000 * SECOND;

    /// The approximate number of calls in a life.
    #[must_use]
    pub fn calls(&self, until: Until) -> f64 {
        let fault = match self.scenario {
            Scenario::Blip { .. } => 1.0,
            Scenario::BadShard { .. } => 120.0,
            Scenario::Decline { over } => seconds(over) + 60.0,
            Scenario::Capacity => 90.0,
            _ => f64::midpoint(self.lengths.shortest, self.lengths.longest),
        };
        let watched = match until {
            Until::Trip => fault / 4.0,
            Until::Closed => fault + 10.0,
            Until::Time(time) => seconds(time),
        };
        self.rate * (self.healthy_time() + watched)
    }
}

/// Rounds to two digits.
fn round(percent: f64) -> f64 {
    (percent * 100.0).round() / 100.0
}

struct Living<'a> {
    cell: &'a Cell,
    seed: u64,
    until: Until,
}

impl Visit for Living<'_> {
    type Output = Life;

    fn visit<B: Breaker>(self, breaker: B) -> Life {
        let (mut backend, traffic) = self.cell.draw(self.seed);
        let mut measure = Measure::new(&backend, self.cell.rate, self.until);
        let calls = simulation::run(breaker, traffic, &mut backend, &mut measure);
        measure.finish(calls, &backend)
    }
}
