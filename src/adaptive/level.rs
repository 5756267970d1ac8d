//! How much evidence there is, and how much a trip takes.

use super::Evidence;
use super::excursion::Excursion;
use super::nats::Nats;
use super::weighed::Weighed;
use crate::state::Generation;

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
        // The date is read first; see `own_verdict`.
        let is_old = self.is_old(now);
        let counted = if is_old {
            Excursion::default()
        } else {
            self.counted(generation)
        };
        let (usual, dispersion) = (self.usual(), self.dispersion.get());
        let own = Weighed {
            nats: usual.evidence(counted),
            needed: self.needed + Nats::new(self.baseline.pace().ln()),
        };
        let own = own.times(dispersion, || usual.most());
        let level = |it: Weighed| EvidenceLevel {
            nats: it.nats.get().max(0.0),
            needed: it.needed.get(),
            calls: counted.failed + counted.succeeded,
        };
        if counted.failed == 0 {
            return level(Weighed {
                nats: Nats::ZERO,
                ..own
            });
        }
        let tolerated = self.tolerance().map(|tolerance| {
            let times = (self.age.began(), since, now);
            let weighed = self.against(tolerance, counted, times);
            level(weighed.times(dispersion, || tolerance.most()))
        });
        // A trip takes both.
        let own = level(own);
        tolerated
            .filter(|it| it.share() < own.share())
            .unwrap_or(own)
    }
}
