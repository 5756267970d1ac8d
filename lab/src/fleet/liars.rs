//! Members that report failures which never happened.

use tripcurve::CircuitBreaker;
use tripcurve_fleet::key::{FleetKey, Meaning};
use tripcurve_fleet::message::{FleetView, Member, Pulse, Sender};
use tripcurve_fleet::store::Store;
use tripcurve_fleet::verdict::{Failures, Judge};

use super::FleetError;
use super::crowd::Call;
use super::world::{World, ready};
use crate::breaker::Nanos;
use crate::time::SECOND;

/// Members that report 255 failures of the highest surprise four times a second.
///
/// They know the fleet's epoch, and announce one call a second each.
#[derive(Debug)]
pub struct Liars {
    members: Vec<Member>,
    key: FleetKey,
    judge: Judge,
    number: u64,
}

/// How often they lie.
const EVERY: Nanos = SECOND / 4;

impl Liars {
    /// Adds liars to a world.
    ///
    /// # Errors
    /// The crates refuse a setting.
    pub fn new(liars: u64, world: &World) -> Result<Self, FleetError> {
        let tolerated = world.setting.tolerated;
        let breaker = CircuitBreaker::builder("fleet")
            .trip_when(tripcurve::TripPolicy::adaptive().tolerate(tolerated))
            .build()?;
        let rule = breaker.fleet_port()?.rule();
        let tolerated = rule
            .as_ref()
            .and_then(tripcurve::fleet::EvidenceRule::tolerated);
        Ok(Self {
            members: (1..=liars).map(Member).collect(),
            key: FleetKey::new("lab", "", "fleet", Meaning::new(tolerated, None, "")),
            judge: Judge::new(rule.ok_or(FleetError::NotAdaptive)?),
            number: 0,
        })
    }

    /// Lets time pass, in which they lie.
    ///
    /// # Errors
    /// The store refuses a lie.
    pub fn lie(
        &mut self,
        world: &mut World,
        time: Nanos,
        failing: &mut dyn FnMut(&Call, f64) -> f64,
    ) -> Result<(), FleetError> {
        let end = world.now() + time;
        while world.now() < end {
            self.number += 1;
            let mut view = FleetView::default();
            for &member in &self.members {
                let pulse = Pulse {
                    sender: Sender::new(member),
                    rate: 1_000,
                    normal: 655,
                };
                view = ready(world.store.pulse(&self.key, &pulse))?.view;
            }
            for &member in &self.members {
                let failures = Failures {
                    failures: 255,
                    surprise: 255 * 2_048,
                    spread_ms: 0,
                };
                let sender = Sender::knowing(member, &view);
                let report = self.judge.report(sender, self.number, failures);
                ready(world.store.report(&self.key, &report))?;
            }
            world.publish();
            world.run(EVERY.min(end - world.now()), failing);
        }
        Ok(())
    }
}
