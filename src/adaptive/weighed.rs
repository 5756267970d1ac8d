//! Evidence, compared with what a trip takes.

use super::nats::Nats;

/// The evidence that one test has found, and the evidence that a trip takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weighed {
    pub(super) nats: Nats,
    pub(super) needed: Nats,
}

impl Weighed {
    /// Whether this is enough for a trip.
    pub(super) fn is_enough(self) -> bool {
        self.nats >= self.needed
    }

    /// How much more evidence there is than a trip takes.
    pub(super) fn margin(self) -> Nats {
        self.nats - self.needed
    }

    /// The evidence of both tests, as that of this one: by the test that is further from a trip.
    pub(super) fn height(self, other: Option<Self>) -> Nats {
        match other {
            Some(other) if other.needed > Nats::ZERO => {
                let part = other.nats.get() / other.needed.get();
                self.nats.min(Nats::new(self.needed.get() * part))
            }
            _ => self.nats,
        }
    }

    /// This test where a trip takes `dispersion` times as much evidence. It takes no more than
    /// `most` returns, unless it does anyway.
    pub(super) fn times(self, dispersion: f64, most: impl FnOnce() -> Nats) -> Self {
        if dispersion <= 1.0 || self.needed <= Nats::ZERO {
            return self;
        }
        let needed = Nats::new(self.needed.get() * dispersion);
        Self {
            needed: needed.min(most()).max(self.needed),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weighed(nats: f64, needed: f64) -> Weighed {
        let [nats, needed] = [nats, needed].map(Nats::new);
        Weighed { nats, needed }
    }

    fn needed(of: Weighed, dispersion: f64, most: f64) -> f64 {
        let times = of.times(dispersion, || Nats::new(most));
        times.needed.get()
    }

    /// Fails when: `height` goes by the test that is nearer to a trip.
    #[test]
    fn the_height_goes_by_the_test_that_is_further_from_a_trip() {
        let own = weighed(30.0, 20.0);
        let height = |other| own.height(other).get();
        assert!((height(None) - 30.0).abs() < 0.001);
        assert!((height(Some(weighed(5.0, 10.0))) - 10.0).abs() < 0.001);
        assert!((height(Some(weighed(20.0, 10.0))) - 30.0).abs() < 0.001);
        // A test that needs no evidence is no bound.
        assert!((height(Some(weighed(0.0, -1.0))) - 30.0).abs() < 0.001);
    }

    #[test]
    fn a_trip_takes_so_many_times_as_much_but_no_more_than_outages_come_to() {
        let test = weighed(30.0, 20.0);
        assert!((needed(test, 1.0, 0.0) - 20.0).abs() < 0.001);
        assert!((needed(test, 2.5, 100.0) - 50.0).abs() < 0.001);
        assert!((needed(test, 2.5, 45.0) - 45.0).abs() < 0.001);
        assert!((needed(test, 2.5, 15.0) - 20.0).abs() < 0.001);
        assert!((needed(weighed(0.0, -3.0), 2.0, 0.0) + 3.0).abs() < 0.001);
    }
}
