//! The saved form of the evidence.

use serde::{Deserialize, Serialize};

use super::Evidence;
use super::baseline::Baseline;
use super::excursion::Excursion;
use super::excursion_age::ExcursionAge;
use crate::error::ConfigError;
use crate::state::Generation;
use crate::sync::stamped::Stamped;
use crate::util::checksum::summed;

/// The saved findings of a breaker with the adaptive policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedEvidence {
    /// How surprising a failure is against the tolerated share, in units, if any share is
    /// tolerated. Counts against another tolerated share mean nothing.
    tolerated: Option<u64>,
    excursion: [u32; 6],
    /// How long ago the latest excursion began, in nanoseconds.
    began: Option<u64>,
    /// How long ago the latest failure was weighed, in nanoseconds.
    latest: Option<u64>,
    lasted: u64,
    /// How long ago the excursion before it ended, in nanoseconds.
    ended: Option<u64>,
    usual: SavedBaseline,
}

summed!(SavedEvidence {
    tolerated,
    excursion,
    began,
    latest,
    lasted,
    ended,
    usual,
});

/// The saved form of the usual behaviour.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SavedBaseline {
    /// The counts of calls, failures, pairs, starts, and calls inside of excursions.
    pub(super) learnt: [u64; 5],
    /// How long ago the last call was learnt, in nanoseconds.
    pub(super) learnt_until: Option<u64>,
    /// Calls per second, as the bits of an `f64`, so that no reader can round it.
    pub(super) pace: u64,
    /// How long ago the pace was measured, in nanoseconds.
    pub(super) paced_at: Option<u64>,
}

summed!(SavedBaseline {
    learnt,
    learnt_until,
    pace,
    paced_at,
});

/// Converts moments to ages and back. Zero means no moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ages {
    /// The present time, in nanoseconds.
    pub(super) now: u64,
    /// How many nanoseconds ago the ages were saved.
    pub(super) elapsed: u64,
}

impl Ages {
    /// The largest age that every format can write.
    const MOST: u64 = i64::MAX as u64;

    pub(super) fn of(self, moment: u64) -> Option<u64> {
        (moment > 0).then(|| self.now.saturating_sub(moment).min(Self::MOST))
    }

    pub(super) fn moment(self, age: Option<u64>) -> u64 {
        let ago = |age: u64| self.now.saturating_sub(age.saturating_add(self.elapsed));
        age.map_or(0, |age| ago(age).max(1))
    }
}

impl SavedEvidence {
    /// Checks that a breaker can have found out these values.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let fields = self.excursion.iter().zip(Excursion::MOST);
        for (found, most) in fields {
            ConfigError::check_saved("evidence.excursion", (*found).into(), 0..=most)?;
        }
        let fields = self.usual.learnt.iter().zip(Baseline::MOST);
        for (found, most) in fields {
            ConfigError::check_saved("evidence.usual.learnt", *found, 0..=most)?;
        }
        let excursion = Excursion::restore(self.excursion);
        if !excursion.is_possible() {
            return Err(ConfigError::damaged(
                "evidence.excursion",
                format!("{:?}", self.excursion),
                "counts that go together",
            ));
        }
        if excursion.failed > 0 && self.began.is_none() {
            return Err(ConfigError::damaged(
                "evidence.began",
                "left out",
                "said, as there is evidence",
            ));
        }
        if !Baseline::can_have_learnt(self.usual.learnt) {
            return Err(ConfigError::damaged(
                "evidence.usual.learnt",
                format!("{:?}", self.usual.learnt),
                "counts that go together",
            ));
        }
        let pace = f64::from_bits(self.usual.pace);
        if !(f64::MIN_POSITIVE..=Baseline::FASTEST).contains(&pace) {
            return Err(ConfigError::damaged(
                "evidence.usual.pace",
                pace,
                "a number of calls a second",
            ));
        }
        Ok(())
    }
}

impl Evidence {
    /// How surprising a failure is against the tolerated share that is in force.
    fn saved_tolerance(&self) -> Option<u64> {
        u64::try_from(self.tolerance()?.surprise.failure.0).ok()
    }

    /// Saves what is known in `generation` at `now`.
    pub(crate) fn save(&self, generation: Generation, now: u64) -> SavedEvidence {
        let ages = Ages { now, elapsed: 0 };
        // The counts are loaded before the times that belong to them.
        let excursion = self.counted(generation);
        let (began, latest, lasted, ended) = self.age.save(ages);
        SavedEvidence {
            tolerated: self.saved_tolerance(),
            excursion: excursion.save(),
            began,
            latest,
            lasted: lasted.min(Ages::MOST),
            ended,
            // A restored breaker must know what share of slow calls is usual.
            usual: self.of_slow_calls().baseline.save(ages),
        }
    }

    /// Continues in `generation` at `now` from what was saved `elapsed` nanoseconds ago.
    ///
    /// What is usual holds for every tolerated share. Counts against another tolerated share are
    /// dropped. At first the larger tolerated share isn't in force.
    pub(crate) fn restore(
        &mut self,
        saved: &SavedEvidence,
        generation: Generation,
        now: u64,
        elapsed: u64,
    ) {
        let ages = Ages { now, elapsed };
        self.baseline = Baseline::restore(&saved.usual, ages);
        for stream in self.other_streams() {
            // What is usual is saved once, and each stream begins with it.
            stream.baseline.inherit(&self.baseline);
        }
        let excursion = if saved.tolerated == self.saved_tolerance() {
            let age = (saved.began, saved.latest, saved.lasted, saved.ended);
            self.age = ExcursionAge::restore(age, ages);
            Excursion::restore(saved.excursion)
        } else {
            Excursion::default()
        };
        self.word = Stamped::new(excursion.pack(generation));
    }
}

#[cfg(all(test, not(tripcurve_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_as_old_as_it_was_and_what_has_passed_since() {
        let saved = Ages {
            now: 1_000,
            elapsed: 0,
        };
        let restored = Ages {
            now: 500,
            elapsed: 30,
        };
        assert_eq!(restored.moment(saved.of(900)), 370);
        assert_eq!(restored.moment(saved.of(0)), 0, "never");
        assert_eq!(restored.moment(saved.of(1)), 1, "too long ago to be told");
        let end = Ages {
            now: u64::MAX,
            elapsed: 0,
        };
        assert_eq!(end.of(1), Some(i64::MAX as u64));
    }
}
