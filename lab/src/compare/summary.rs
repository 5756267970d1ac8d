//! The summary of a breaker's lives in a cell.

use super::cell::Cell;
use crate::measure::Life;
use crate::statistics::{mean, poisson_interval, quantile};
use crate::time::{number, seconds, seconds_between};

/// A number of trips, and the hours in which they came.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FalseTrips {
    /// The number of trips.
    pub count: u64,
    /// The number of hours.
    pub hours: f64,
}

impl FalseTrips {
    /// The trips per hour.
    #[must_use]
    pub fn per_hour(self) -> f64 {
        number(self.count) / self.hours
    }

    /// The 95 % confidence interval of the trips per hour.
    #[must_use]
    pub fn interval(self) -> (f64, f64) {
        let (low, high) = poisson_interval(self.count);
        (low / self.hours, high / self.hours)
    }

    /// The sum of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            hours: self.hours + other.hours,
        }
    }
}

/// The summary of a breaker's lives in a cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Lives in which the breaker was closed at the onset. The others don't show how it trips.
    pub able: u64,
    /// Lives in which the breaker wasn't closed at the onset.
    pub unable: u64,
    /// The able lives that tripped in the fault.
    pub tripped: u64,
    /// The mean number of failed calls let through until the trip or until the fault's end.
    pub leaked: Option<f64>,
    /// The time to the trip in each life that tripped, in seconds.
    pub delays: Vec<f64>,
    /// Calls let through to the dead backend, as a share of the traffic between the trip and the
    /// fault's end.
    pub onto_dead: Option<f64>,
    /// The time from the fault's end until the breaker closed, in each life, in seconds.
    pub recoveries: Vec<f64>,
    /// Lives in which the breaker never closed again.
    pub stayed_open: u64,
    /// Trips after the fault's end, per life.
    pub trips_after: Option<f64>,
    /// Kills of the backend, per life.
    pub kills: Option<f64>,
    /// Calls lost and calls failed because of the fault, in seconds' worth of traffic.
    pub harm: Option<f64>,
    /// Unanswered calls after the fault's end, in seconds' worth of traffic.
    pub unanswered: Option<f64>,
    /// Trips after the onset.
    pub trips: FalseTrips,
    /// Calls lost and calls failed in an hour after the onset, in seconds' worth of traffic.
    pub harm_per_hour: Option<f64>,
    /// The number of simulated calls.
    pub calls: u64,
}

impl Summary {
    /// Summarizes all lives. The first `whole` of them ran to the end.
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

    /// The median time to the trip, in seconds.
    #[must_use]
    pub fn median_delay(&self) -> Option<f64> {
        quantile(&self.delays, 0.5)
    }
}
