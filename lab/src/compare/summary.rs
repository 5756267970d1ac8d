//! What a breaker's lives in a cell come to.

use super::cell::Cell;
use crate::measure::Life;
use crate::statistics::{mean, poisson_interval, quantile};
use crate::time::{number, seconds, seconds_between};

/// A number of trips in so many hours.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FalseTrips {
    /// How many.
    pub count: u64,
    /// In how many hours.
    pub hours: f64,
}

impl FalseTrips {
    /// A rate.
    #[must_use]
    pub fn per_hour(self) -> f64 {
        number(self.count) / self.hours
    }

    /// Between which rates the true one may well be: 95 %.
    #[must_use]
    pub fn interval(self) -> (f64, f64) {
        let (low, high) = poisson_interval(self.count);
        (low / self.hours, high / self.hours)
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            hours: self.hours + other.hours,
        }
    }
}

/// What a breaker's lives in a cell come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Lives in which the breaker was closed at the onset; those in which it wasn't say nothing of how
    /// it trips.
    pub able: u64,
    /// Lives in which it wasn't.
    pub unable: u64,
    /// Of the able ones, those that tripped in the fault.
    pub tripped: u64,
    /// Failed calls let through until the trip, or until the fault was over.
    pub leaked: Option<f64>,
    /// The time to the trip, of those that tripped, in seconds: each.
    pub delays: Vec<f64>,
    /// Calls onto the dead backend as a share of the traffic between the trip and the fault's end.
    pub onto_dead: Option<f64>,
    /// The time from the fault's end to being closed, in seconds: each.
    pub recoveries: Vec<f64>,
    /// Lives that were never closed again.
    pub stayed_open: u64,
    /// Trips after the fault's end, a life.
    pub trips_after: Option<f64>,
    /// Times that the backend was killed, a life.
    pub kills: Option<f64>,
    /// Lost and failed because of the fault, in seconds' worth of traffic.
    pub harm: Option<f64>,
    /// Not answered after the fault's end, in seconds' worth of traffic.
    pub unanswered: Option<f64>,
    /// Trips after the onset.
    pub trips: FalseTrips,
    /// Lost and failed in an hour after the onset, in seconds' worth of traffic.
    pub harm_per_hour: Option<f64>,
    /// Calls that were simulated.
    pub calls: u64,
}

impl Summary {
    /// Of all lives, of which the first `whole` went to the end.
    #[must_use]
    pub fn of(cell: &Cell, lives: &[Life], whole: u64) -> Self {
        let able: Vec<&Life> = lives.iter().filter(|life| life.was_closed).collect();
        let reference = cell.scenario.reference();
        let delay = |life: &&Life| {
            life.tripped_at
                .map(|at| seconds_between(life.onset + reference, at))
        };
        let delays: Vec<f64> = able.iter().filter_map(delay).collect();
        let whole = &lives[..lives
            .len()
            .min(usize::try_from(whole).unwrap_or(usize::MAX))];
        let mean_of =
            |what: &dyn Fn(&Life) -> f64| mean(&whole.iter().map(what).collect::<Vec<_>>());
        let leaked: Vec<f64> = able.iter().map(|life| number(life.leaked)).collect();
        let sum = |what: &dyn Fn(&Life) -> u64| whole.iter().map(what).sum::<u64>();
        let while_tripped = sum(&|life| life.while_tripped);
        let hours: f64 = lives.iter().map(Life::hours).sum();
        let harm = mean_of(&|life| life.harm(cell.rate));
        let recoveries = whole.iter().filter_map(|life| life.closed_after);
        Self {
            able: able.len() as u64,
            unable: (lives.len() - able.len()) as u64,
            tripped: delays.len() as u64,
            leaked: mean(&leaked),
            delays,
            onto_dead: (while_tripped > 0)
                .then(|| number(sum(&|life| life.onto_dead)) / number(while_tripped)),
            recoveries: recoveries.map(seconds).collect(),
            stayed_open: sum(&|life| life.stayed_open.into()),
            trips_after: mean_of(&|life| life.trips_after.into()),
            kills: mean_of(&|life| life.kills.into()),
            harm,
            unanswered: mean_of(&|life| number(life.unanswered) / cell.rate),
            trips: FalseTrips {
                count: lives.iter().map(|life| u64::from(life.trips)).sum(),
                hours,
            },
            harm_per_hour: (hours > 0.0)
                .then(|| whole.iter().map(|life| life.harm(cell.rate)).sum::<f64>() / hours),
            calls: lives.iter().map(|life| life.calls).sum(),
        }
    }

    /// The share of lives that tripped.
    #[must_use]
    pub fn share_tripped(&self) -> Option<f64> {
        (self.able > 0).then(|| number(self.tripped) / number(self.able))
    }

    /// Half of those that tripped took longer, in seconds.
    #[must_use]
    pub fn median_delay(&self) -> Option<f64> {
        quantile(&self.delays, 0.5)
    }
}
