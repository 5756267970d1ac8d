//! How much evidence there is, and how much a trip takes.

use super::Evidence;
use super::nats::Nats;
use crate::state::Generation;
use crate::window::rate;

/// The evidence of the excursion that lasts, if any.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct EvidenceLevel {
    /// The evidence, in nats.
    pub nats: f64,
    /// The evidence that a trip takes, in nats.
    pub needed: f64,
    /// The calls of the excursion.
    pub calls: u32,
}

impl EvidenceLevel {
    fn share(self) -> f64 {
        self.nats / self.needed.max(f64::MIN_POSITIVE)
    }
}

impl Evidence {
    /// The evidence at `now`: of all calls or of the watched ones, whichever is nearer to a trip.
    ///
    /// `generation` began at `since`. Unlike [`verdict`](Self::verdict), it tells evidence that is
    /// not enough for a trip too. It is for display.
    #[must_use]
    pub fn level(&self, generation: Generation, now: u64, since: u64) -> EvidenceLevel {
        let own = self.own_level(generation, now, since);
        let watched = self
            .of_watched()
            .map(|it| it.own_level(generation, now, since));
        watched.filter(|it| it.share() > own.share()).unwrap_or(own)
    }

    fn own_level(&self, generation: Generation, now: u64, since: u64) -> EvidenceLevel {
        let pace = Nats::new(self.baseline.pace().ln());
        let needed = self.needed + pace;
        let is_old = self.is_old(now);
        let counted = self.counted(generation);
        if is_old || counted.failed == 0 {
            return EvidenceLevel {
                needed: needed.get(),
                ..EvidenceLevel::default()
            };
        }
        let level = |nats: Nats, needed: Nats| EvidenceLevel {
            nats: nats.get().max(0.0),
            needed: needed.get(),
            calls: counted.failed + counted.succeeded,
        };
        let own = level(self.usual().evidence(counted), needed);
        let tolerated = self.tolerance.as_ref().map(|tolerance| {
            let began = self.age.began();
            let before = self.age.before(began, since);
            let age = now.saturating_sub(began).saturating_add(before).max(1);
            let lasts = rate(age, self.at_once.max(1)).ln().max(0.0);
            let needed = self.needed_at_once + pace + Nats::new(lasts);
            level(tolerance.evidence(counted), needed)
        });
        // A trip takes both.
        tolerated
            .filter(|it| it.share() < own.share())
            .unwrap_or(own)
    }
}
