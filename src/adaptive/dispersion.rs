//! How far evidence rises while nothing is wrong.
//!
//! Evidence takes failures for independent, apart from runs. Failures that come in company, such as
//! those of one burst, make it rise higher. So the evidence that a trip takes is multiplied by the
//! *dispersion*: by how much further evidence has risen than that of independent failures does.

use super::baseline::Learnt;
use super::excursion::Excursion;
use super::nats::{Nats, WHOLE_UNITS};
use crate::state::Generation;
use crate::sync::SelfContained;
use crate::sync::field::Field;

/// The fields of packed `Excesses`.
///
/// ```text
///  63     31 30      7 6      0
/// +---------+---------+--------+
/// | zero, 33| sum, 24 |count, 7|
/// +---------+---------+--------+
/// ```
///
/// The sum is in units of 1/8,192 nat.
mod excesses {
    use super::Field;

    pub(super) const COUNT: Field = Field::lowest(7);
    pub(super) const SUM: Field = COUNT.then(24);
}

/// The fields of the note of a trip.
///
/// ```text
///  63        43 42    34 33        25 24     16 15      0
/// +------------+--------+------------+---------+---------+
/// |generation21|pairs, 9|succeeded, 9|failed, 9|height,16|
/// +------------+--------+------------+---------+---------+
/// ```
///
/// The height is in 16ths of a nat. It is zero if there was no trip.
mod tripped {
    use super::Field;

    pub(super) const HEIGHT: Field = Field::lowest(16);
    pub(super) const FAILED: Field = HEIGHT.then(9);
    pub(super) const SUCCEEDED: Field = FAILED.then(9);
    pub(super) const PAIRS: Field = SUCCEEDED.then(9);
    pub(super) const GENERATION: Field = PAIRS.then(21);

    const _: () = assert!(GENERATION.end_bit() == 64);
}

/// How a recovery from a false trip goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovered {
    /// No probe and no ramp has failed.
    AtOnce,
    /// One probe or one ramp may have failed.
    Soon,
}

/// How far the evidence of excursions that were no outage has risen above [`Dispersion::LOW`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Excesses {
    sum: Nats,
    count: u32,
}

impl Excesses {
    /// The number of excursions of independent failures that are believed beforehand. Each of them
    /// exceeds by one nat.
    const BELIEVED: f64 = 32.0;
    /// Above this number, both are halved.
    const MEMORY: u32 = 64;
    /// The sum goes no higher. So high excursions are forgotten once as many others have come.
    const MOST: Nats = Nats::whole(512);
    const LARGEST: f64 = 4.0;

    #[allow(clippy::cast_possible_truncation, reason = "seven bits")]
    fn unpack(word: u64) -> Self {
        Self {
            sum: Nats(excesses::SUM.get(word).cast_signed()),
            count: excesses::COUNT.get(word) as u32,
        }
    }

    fn pack(self) -> u64 {
        excesses::SUM.of(self.sum.0.cast_unsigned()) | excesses::COUNT.of(self.count.into())
    }

    fn plus(self, excess: Nats, count: u32) -> Self {
        let sum = (self.sum + excess).min(Self::MOST);
        let count = self.count + count;
        if count > Self::MEMORY {
            Self {
                sum: Nats(sum.0 / 2),
                count: count / 2,
            }
        } else {
            Self { sum, count }
        }
    }

    fn dispersion(self) -> f64 {
        let mean = (Self::BELIEVED + self.sum.get()) / (Self::BELIEVED + f64::from(self.count));
        mean.clamp(1.0, Self::LARGEST)
    }
}

/// The dispersion, and what it is learnt from.
///
/// ```text
/// excesses: those of all excursions that were no outage; it outlasts generations
/// highest:  the highest evidence of the present excursion, in units; all ones if it is an outage
/// tripped:  the excursion that the latest trip has ended, until the trip is judged
/// ```
///
/// Each word holds a whole value. A thread that slept may add a height to the next excursion.
#[derive(Debug, Default)]
pub(super) struct Dispersion {
    excesses: SelfContained,
    highest: SelfContained,
    tripped: SelfContained,
}

impl Dispersion {
    /// Evidence up to this is usual. What is above counts.
    pub(super) const LOW: Nats = Nats::whole(8);
    /// The height of an outage. No evidence is as high.
    const OUTAGE: u64 = u64::MAX;
    /// From the generation that trips to the one in which a ramp has closed the breaker: open,
    /// half-open, the ramp and closed.
    const AT_ONCE: u64 = 4;
    /// The units in a 16th of a nat.
    const SIXTEENTH: i64 = WHOLE_UNITS / 16;

    /// Takes over the excesses of `other`.
    pub(super) fn inherit(&self, other: &Self) {
        self.excesses.store(other.excesses.load());
    }

    /// How many times as much evidence a trip takes: 1 to 4.
    pub(super) fn get(&self) -> f64 {
        Excesses::unpack(self.excesses.load()).dispersion()
    }

    /// Notes how high the evidence of the present excursion is.
    pub(super) fn rise(&self, height: Nats) {
        let height = height.max(Nats::ZERO).0.cast_unsigned();
        // During an outage the height soon stays. Then no thread takes the line from another.
        if height > Self::LOW.0.cast_unsigned() && height > self.highest.load() {
            self.highest.raise(height);
        }
    }

    /// Notes that the present excursion is an outage. The breaker trips, unless it may not.
    pub(super) fn outage(&self) {
        // During a long outage only the first failure writes.
        if self.highest.load() != Self::OUTAGE {
            self.highest.raise(Self::OUTAGE);
        }
    }

    /// Notes that the excursion ends otherwise than by itself.
    pub(super) fn forget(&self) {
        self.highest.store(0);
    }

    /// Learns from an excursion that has ended by itself. Returns whether it was an outage, which
    /// teaches nothing.
    pub(super) fn end(&self) -> bool {
        let mut height = self.highest.load();
        // Another thread that ends an excursion at the same time may take the height instead.
        while height > 0 {
            match self.highest.exchange(height, 0) {
                Ok(()) if height == Self::OUTAGE => return true,
                Ok(()) => {
                    self.learn(Nats(height.cast_signed()) - Self::LOW, 1);
                    return false;
                }
                Err(found) => height = found,
            }
        }
        false
    }

    fn learn(&self, excess: Nats, count: u32) {
        let mut seen = self.excesses.load();
        loop {
            let new = Excesses::unpack(seen).plus(excess, count);
            match self.excesses.exchange(seen, new.pack()) {
                Ok(()) => return,
                Err(found) => seen = found,
            }
        }
    }

    /// Notes that the excursion `counted` ends with a trip of `generation`, at `height`.
    pub(super) fn trip(&self, counted: Excursion, height: Nats, generation: Generation) {
        self.forget();
        let height = u64::try_from(height.0 / Self::SIXTEENTH).unwrap_or(0);
        let word = tripped::HEIGHT.of(height.clamp(1, tripped::HEIGHT.max()))
            | tripped::FAILED.of(counted.failed.into())
            | tripped::SUCCEEDED.of(counted.succeeded.into())
            | tripped::PAIRS.of(counted.pairs.into())
            | tripped::GENERATION.of(generation.number());
        self.tripped.store(word);
    }

    /// Learns from the latest trip, which was false. Its recovery went as `after` says, and has
    /// begun the generation `closed`. Returns what the trip's excursion teaches.
    ///
    /// Learns nothing if the note is of another trip, because a thread came late. At least eight
    /// generations lie between a trip and the end of the next trip's recovery.
    #[allow(clippy::cast_possible_truncation, reason = "nine bits")]
    pub(super) fn false_trip(&self, closed: Generation, after: Recovered) -> Option<Learnt> {
        let word = self.tripped.load();
        let get = |field: Field| field.get(word);
        let tripped = tripped::GENERATION.of(get(tripped::GENERATION));
        let passed = tripped::GENERATION
            .of(closed.number())
            .wrapping_sub(tripped);
        let most = match after {
            Recovered::AtOnce => Self::AT_ONCE,
            Recovered::Soon => 2 * Self::AT_ONCE - 1,
        };
        let is_its = (Self::AT_ONCE..=most).contains(&tripped::GENERATION.get(passed));
        if get(tripped::HEIGHT) == 0 || !is_its || self.tripped.exchange(word, 0).is_err() {
            return None;
        }
        let height = Nats(get(tripped::HEIGHT).cast_signed() * Self::SIXTEENTH);
        // The excursion would have gone on. So it adds to the sum alone.
        self.learn((height - Self::LOW).max(Nats::ZERO), 0);
        let counted = Excursion {
            failed: get(tripped::FAILED) as u32,
            succeeded: get(tripped::SUCCEEDED) as u32,
            pairs: get(tripped::PAIRS) as u32,
            run: 1,
            ..Excursion::default()
        };
        Some(counted.lesson())
    }
}

#[cfg(all(test, not(tripcurve_loom)))]
impl Dispersion {
    /// Adds this excess of no excursion.
    pub(super) fn teach(&self, excess: Nats) {
        self.learn(excess, 0);
    }
}

#[cfg(all(test, not(tripcurve_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn excursion(dispersion: &Dispersion, height: f64) {
        dispersion.rise(Nats::new(height));
        dispersion.end();
    }

    fn generation(number: u64) -> Generation {
        (0..number).fold(Generation::FIRST, |generation, _| generation.next())
    }

    const COUNTED: Excursion = Excursion {
        failed: 20,
        succeeded: 30,
        pairs: 15,
        run: 4,
        tolerated: crate::adaptive::nats::Outcomes {
            failed: 0,
            succeeded: 0,
        },
    };

    /// Fails when: `rise` keeps the latest height and not the highest.
    #[test]
    fn it_is_the_mean_excess_of_what_was_believed_and_what_was_seen() {
        let dispersion = Dispersion::default();
        excursion(&dispersion, 8.0);
        assert!((dispersion.get() - 1.0).abs() < 1e-9, "8 nats are usual");
        dispersion.rise(Nats::new(21.0));
        excursion(&dispersion, 12.0);
        assert!((dispersion.get() - (32.0 + 13.0) / 33.0).abs() < 1e-9);
        dispersion.rise(Nats::new(100.0));
        dispersion.forget();
        dispersion.end();
        assert!((dispersion.get() - (32.0 + 13.0) / 33.0).abs() < 1e-9);
    }

    /// Fails when: `plus` doesn't halve, or has no bound.
    #[test]
    fn it_is_at_most_four_and_is_forgotten_when_failures_come_alone_again() {
        let dispersion = Dispersion::default();
        for _ in 0..1_000 {
            excursion(&dispersion, 1_000.0);
        }
        assert!((dispersion.get() - 4.0).abs() < 1e-9);
        for _ in 0..200 {
            excursion(&dispersion, 9.0);
        }
        assert!(dispersion.get() < 2.0, "{}", dispersion.get());
        for _ in 0..1_000 {
            excursion(&dispersion, 8.5);
        }
        assert!((dispersion.get() - 1.0).abs() < 1e-9);
    }

    /// Fails when: `false_trip` learns from the trip of any generation, or counts an excursion.
    #[test]
    fn a_false_trip_teaches_once_and_only_if_its_own_recovery_went_well() {
        let learnt = |closed, after| {
            let dispersion = Dispersion::default();
            dispersion.trip(COUNTED, Nats::new(24.0), generation(7));
            let learnt = dispersion.false_trip(generation(closed), after);
            let again = dispersion.false_trip(generation(closed), after);
            assert_eq!(again, None, "once");
            (learnt, dispersion.get())
        };
        for (after, closed) in [(Recovered::AtOnce, 11..=11), (Recovered::Soon, 11..=14)] {
            for generation in 7..30 {
                let (learnt, dispersion) = learnt(generation, after);
                if closed.contains(&generation) {
                    assert_eq!(learnt, Some(COUNTED.lesson()));
                    assert!((dispersion - (32.0 + 16.0) / 32.0).abs() < 1e-9);
                } else {
                    assert_eq!((learnt, dispersion), (None, 1.0), "{generation}");
                }
            }
        }
        assert_eq!(
            Dispersion::default().false_trip(generation(4), Recovered::Soon),
            None,
            "there was no trip"
        );
    }

    proptest! {
        #[test]
        fn excesses_come_back_as_they_were_packed(sum in 0..=Excesses::MOST.0, count in 0..=64_u32) {
            let excesses = Excesses { sum: Nats(sum), count };
            prop_assert_eq!(Excesses::unpack(excesses.pack()), excesses);
            let dispersion = excesses.dispersion();
            prop_assert!((1.0..=4.0).contains(&dispersion));
        }
    }
}
