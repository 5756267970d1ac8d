//! The invented calls: how they end in each phase of the storefront's script.

use std::sync::Arc;
use std::time::Duration;

use tripcurve::Outcome;

use crate::dice::Dice;
use crate::script::{LENGTH, Mood, PHASES, Script, phase_at};

/// The result of an invented call that didn't succeed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    Refused,
    /// Says nothing about the dependency.
    Invalid,
    GivenUp,
}

pub(crate) type Answer = Result<(), Fault>;
pub(crate) type Judge = fn(&Answer) -> Outcome;

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "a classifier takes a reference"
)]
pub(crate) fn judge(answer: &Answer) -> Outcome {
    match answer {
        Ok(()) => Outcome::Success,
        Err(Fault::Refused) => Outcome::Failure,
        Err(Fault::Invalid) => Outcome::Ignored,
        Err(Fault::GivenUp) => Outcome::TimedOut,
    }
}

/// A dependency with the script's faults.
#[derive(Clone)]
pub(crate) struct Faults {
    script: Script,
    pub(crate) dice: Arc<Dice>,
}

impl Faults {
    pub(crate) fn new(script: Script, seed: u64) -> Self {
        let dice = Arc::new(Dice::new(seed));
        Self { script, dice }
    }

    /// Another dependency with the same times of faults.
    pub(crate) fn another(&self) -> Self {
        Self::new(self.script, self.dice.roll())
    }

    /// Whether the callers should stop.
    pub(crate) fn are_over(&self) -> bool {
        self.script.elapsed() >= LENGTH
    }

    pub(crate) fn mood(&self) -> Mood {
        PHASES[phase_at(self.script.elapsed())].mood
    }

    pub(crate) fn answer_in(&self, mood: Mood) -> Answer {
        let [failing, given_up] = match mood {
            Mood::Healthy => [0.004, 0.001],
            Mood::Errors => [0.8, 0.0],
            Mood::Hanging => [0.1, 0.85],
            Mood::Recovering => [0.1, 0.02],
        };
        match self.dice.fraction() {
            it if it < failing => Err(Fault::Refused),
            it if it < failing + given_up => Err(Fault::GivenUp),
            it if it > 0.999 => Err(Fault::Invalid),
            _ => Ok(()),
        }
    }

    /// An asynchronous call. While the dependency hangs, most don't return.
    pub(crate) async fn call(&self) -> Answer {
        let mood = self.mood();
        let took = match mood {
            Mood::Hanging if self.dice.fraction() < 0.8 => Duration::from_secs(5),
            Mood::Recovering => Duration::from_millis(40),
            _ => Duration::from_millis(2),
        };
        if self.dice.fraction() < 0.9 {
            tokio::time::sleep(took.mul_f64(0.5 + self.dice.fraction())).await;
        }
        self.answer_in(mood)
    }
}
