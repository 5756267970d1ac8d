//! Outages, and what they cost until the members are cut off.

use rayon::prelude::*;

use super::FleetError;
use super::liars::Liars;
use super::setting::{Setting, warm_up};
use super::world::World;
use crate::breaker::Nanos;
use crate::statistics::{mean, quantile};
use crate::time::{SECOND, number, seconds};
use crate::traffic::seed;

/// What happens shortly before an outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// Nothing.
    Quiet,
    /// A third of the members is restarted, 5 s before.
    Restarts,
    /// The traffic doubles within a second, 5 s before.
    Doubling,
    /// Two members lie all the time.
    Liars,
}

/// Outages of one kind, each in a life of its own.
#[derive(Clone, Copy, Debug)]
pub struct Outages {
    /// The members and their calls. Each life has another seed.
    pub setting: Setting,
    /// The share of calls that fails.
    pub share: f64,
    /// How long an outage lasts at most.
    pub lasts: Nanos,
    /// What happens before.
    pub before: Before,
}

/// What outages cost, on average.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// The failed calls until all members were cut off.
    pub failed: f64,
    /// The median time in seconds until 95 % of the members were cut off. Infinite if they weren't.
    pub cut_off: f64,
    /// The messages to the store until then.
    pub messages: f64,
}

impl Outages {
    /// An outage of a share of the calls, out of the blue.
    #[must_use]
    pub fn new(setting: Setting, share: f64) -> Self {
        Self {
            setting,
            share,
            lasts: 60 * SECOND,
            before: Before::Quiet,
        }
    }

    /// Simulates some lives.
    ///
    /// # Errors
    /// The crates refuse a setting.
    pub fn cost(&self, lives: u32) -> Result<Cost, FleetError> {
        let lives: Result<Vec<_>, _> = (0..lives)
            .into_par_iter()
            .with_max_len(1)
            .map(|life| {
                let seed = seed(self.setting.seed, "outage", life.into());
                self.live(Setting {
                    seed,
                    ..self.setting
                })
            })
            .collect();
        let lives = lives?;
        let of = |figure: fn(&Cost) -> f64| lives.iter().map(figure).collect::<Vec<_>>();
        Ok(Cost {
            failed: mean(&of(|it| it.failed)).unwrap_or_default(),
            cut_off: quantile(&of(|it| it.cut_off), 0.5).unwrap_or_default(),
            messages: mean(&of(|it| it.messages)).unwrap_or_default(),
        })
    }

    fn live(&self, setting: Setting) -> Result<Cost, FleetError> {
        let mut world = World::new(setting)?;
        let mut usually = |_: &_, usual| usual;
        world.run(warm_up(&setting), &mut usually);
        let mut liars = None;
        match self.before {
            Before::Quiet => {}
            Before::Liars => {
                let mut it = Liars::new(2, &world)?;
                it.lie(&mut world, 20 * SECOND, &mut usually)?;
                liars = Some(it);
            }
            Before::Restarts => {
                for member in (0..world.processes.len()).step_by(3) {
                    world.restart(member)?;
                }
                world.run(5 * SECOND, &mut usually);
            }
            Before::Doubling => {
                for tenth in 1..=10 {
                    let more = 1.0 + f64::from(tenth) / 10.0;
                    world.crowd.set_rate(setting.per_second * more);
                    world.run(SECOND / 10, &mut usually);
                }
                world.run(4 * SECOND, &mut usually);
            }
        }
        world.mark();
        let end = world.now() + self.lasts;
        let share = self.share;
        let mut fails = move |_: &_, _| share;
        match liars {
            None => world.run_while(end, &mut fails, |it| it.tally.cut_off[3].is_none()),
            Some(mut liars) => {
                while world.now() < end && world.tally.cut_off[3].is_none() {
                    liars.lie(&mut world, SECOND / 4, &mut fails)?;
                }
            }
        }
        let tally = &world.tally;
        Ok(Cost {
            failed: number(tally.failed_before_cut),
            cut_off: tally.cut_off[2].map_or(f64::INFINITY, seconds),
            messages: number(tally.messages),
        })
    }
}
