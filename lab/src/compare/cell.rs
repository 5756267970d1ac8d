//! One setting in which breakers are compared, and how a life is drawn in it.

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

/// What a cell is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Outages with a sharp onset, compared to the limit.
    Limit,
    /// Other faults.
    Fault,
    /// Nothing that should trip, for hours.
    Quiet,
    /// Outages a minute after the breaker was made.
    Cold,
    /// Drawn by chance: nobody has tuned anything on it.
    Fresh,
}

/// How long the breaker has been in service before the fault.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WarmUp {
    /// At most so long, in seconds.
    pub longest: f64,
    /// At most so many calls.
    pub calls: f64,
}

/// One setting.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// What it is for.
    pub role: Role,
    /// What goes wrong.
    pub scenario: Scenario,
    /// Calls a second.
    pub rate: f64,
    /// The share of calls that fails when nothing is wrong.
    pub baseline: f64,
    /// How long calls take.
    pub latency: Latency,
    /// How long the fault lasts.
    pub lengths: Lengths,
    /// What came before.
    pub warm_up: WarmUp,
}

/// A day, in seconds.
pub const DAY: f64 = 86_400.0;

impl Cell {
    /// Its name, which its seed is made of; that of no other cell.
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

    /// How long the service is healthy first.
    #[must_use]
    pub fn healthy_time(&self) -> f64 {
        self.warm_up.longest.min(self.warm_up.calls / self.rate)
    }

    /// What the limit for the sensitive is an answer to: the healthy share is known, and a false trip a
    /// day allowed. None if the outage doesn't begin from one moment to the next.
    #[must_use]
    pub fn sensitive(&self) -> Option<Question> {
        self.question(self.baseline, DAY)
    }

    /// The same if a failing quarter is to be tolerated, with a false trip in 120 s of that.
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

    /// Lets a new breaker live the life of this number.
    ///
    /// # Errors
    /// The crate refuses the contestant's settings.
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

    /// What a user would call slow here: five times what half of the calls take.
    #[must_use]
    pub fn slow(&self) -> Duration {
        Duration::from_secs_f64(5.0 * self.latency.median)
    }

    /// The dependency and the traffic of a life.
    #[must_use]
    pub fn draw(&self, seed_of_life: u64) -> (Backend, Traffic) {
        let part = |name| seed(seed_of_life, name, 0);
        let mut random = Xoshiro256PlusPlus::seed_from_u64(part("fault"));
        // Up to some seconds later, or the onset would always be in step with the breakers' timers.
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

    /// Longer than anything is watched: 30 years.
    const EVER: Nanos = 1_000_000_000 * SECOND;

    /// About how many calls a life has.
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

/// Two digits.
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
