//! The shop's other dependencies, with invented calls. Each one has its own bad time.

use std::sync::Arc;
use std::time::Duration;

use tripcurve::error::ConfigError;
use tripcurve::events::Transition;
use tripcurve::outcome::{Label, Report};
use tripcurve::registry::{Registry, Roster};
use tripcurve::window::{Recording, Window};
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, Recovery, TripPolicy};

use crate::dice::Dice;
use crate::script::{LENGTH, Script};

/// How a dependency behaves.
#[derive(Clone, Copy)]
struct Habits {
    /// Calls a second.
    rate: f64,
    /// How long a call usually takes.
    usual: Duration,
    /// The share of calls that always fails.
    fails: f64,
    /// The seconds of the script in which most calls fail.
    bad: (f64, f64),
    /// The share that fails then.
    fails_then: f64,
}

/// A dependency with its breaker.
struct Neighbour {
    breaker: CircuitBreaker,
    habits: Habits,
}

/// The other dependencies of the shop.
pub(crate) struct Neighbours {
    all: Vec<Neighbour>,
    tenants: Registry<u32>,
}

impl Neighbours {
    /// Makes the breakers, and puts them on the roster.
    pub(crate) fn new(
        roster: &Roster,
        listener: impl Fn(&Transition) + Send + Sync + 'static,
    ) -> Result<Self, ConfigError> {
        let millis = Duration::from_millis;
        let habits = |rate, usual, fails, bad, fails_then| Habits {
            rate,
            usual: millis(usual),
            fails,
            bad,
            fails_then,
        };
        let window = Window::time(Duration::from_secs(10), 10);
        let breaker = |name: &'static str| {
            let builder = CircuitBreaker::builder(name).window(window.clone());
            builder.latency(Recording::Combined)
        };
        let adaptive = || TripPolicy::adaptive().slower_than(Duration::from_secs(1));
        let rate = |share| TripPolicy::failure_rate(share).min_calls(20);
        let ramp = || Recovery::adaptive();
        let all: [(CircuitBreakerBuilder, Habits); 12] = [
            (
                breaker("search").trip_when(adaptive()).recovery(ramp()),
                habits(90.0, 21, 0.01, (8.0, 13.0), 0.8),
            ),
            (
                breaker("stock").trip_when(rate(0.5)),
                habits(60.0, 6, 0.02, (16.0, 21.0), 0.44),
            ),
            (
                breaker("shipping").trip_when(adaptive()).recovery(ramp()),
                habits(25.0, 45, 0.02, (19.0, 27.0), 0.7),
            ),
            (
                breaker("fraud-check").trip_when(rate(0.3)),
                habits(30.0, 80, 0.18, (0.0, 35.0), 0.2),
            ),
            (
                breaker("sessions.redis").trip_when(rate(0.5)),
                habits(400.0, 1, 0.0, (0.0, 0.0), 0.0),
            ),
            (
                breaker("catalog.postgres").trip_when(adaptive()),
                habits(140.0, 4, 0.005, (24.0, 26.0), 0.3),
            ),
            (
                breaker("images").trip_when(rate(0.6)),
                habits(70.0, 30, 0.03, (0.0, 0.0), 0.0),
            ),
            (
                breaker("reviews").trip_when(TripPolicy::consecutive_failures(10)),
                habits(20.0, 35, 0.05, (28.0, 31.0), 0.6),
            ),
            (
                breaker("emails").metrics_only(true),
                habits(4.0, 120, 0.1, (5.0, 11.0), 0.6),
            ),
            (
                breaker("loyalty").trip_when(adaptive()),
                habits(15.0, 60, 0.08, (0.0, 0.0), 0.0),
            ),
            (
                breaker("translations").trip_when(rate(0.5)),
                habits(12.0, 15, 0.0, (0.0, 0.0), 0.0),
            ),
            (
                breaker("exchange-rates").trip_when(rate(0.5)),
                habits(3.0, 200, 0.0, (12.0, 30.0), 1.0),
            ),
        ];
        let build = |(builder, habits): (CircuitBreakerBuilder, _)| {
            let breaker = builder.enlist(roster).build()?;
            Ok(Neighbour { breaker, habits })
        };
        let all = all.into_iter().map(build).collect::<Result<_, _>>()?;
        let template = CircuitBreaker::builder("warehouses").on_transition(listener);
        let tenants = Registry::builder(template)
            .name_with(|number| format!("warehouse-{number}"))
            .enlist(roster)
            .build()?;
        Ok(Self { all, tenants })
    }

    /// Calls all of them until the script is over.
    pub(crate) async fn play(self: Arc<Self>, script: Script, seed: u64) {
        let dice = Dice::new(seed);
        let step = Duration::from_millis(20);
        while script.elapsed() < LENGTH {
            let now = script.elapsed().as_secs_f64();
            for Neighbour { breaker, habits } in &self.all {
                let mut calls = habits.rate * step.as_secs_f64();
                while dice.fraction() < calls {
                    habits.call(breaker, now, &dice);
                    calls -= 1.0;
                }
            }
            let warehouse = u32::try_from(dice.roll() % 180).unwrap_or(0);
            let breaker = self.tenants.get_or_create(&warehouse);
            let is_down = warehouse % 60 == 0 && (6.0..28.0).contains(&now);
            let _ = breaker.call(|| if is_down { Err("unplugged") } else { Ok(()) });
            tokio::time::sleep(step).await;
        }
    }
}

impl Habits {
    fn call(&self, breaker: &CircuitBreaker, now: f64, dice: &Dice) {
        let Ok(permit) = breaker.try_acquire() else {
            return;
        };
        let is_bad = (self.bad.0..self.bad.1).contains(&now);
        let share = if is_bad { self.fails_then } else { self.fails };
        // Most calls take about as long as usual, a few much longer.
        let slow = (-(1.0 - dice.fraction()).ln()).powi(2);
        let took = self.usual.mul_f64(0.5 + 0.4 * slow + 0.3 * dice.fraction());
        let report = if dice.fraction() < share {
            Report::failure().label(Label::new("timeout"))
        } else {
            Report::success()
        };
        permit.record(report.took(took));
    }
}
