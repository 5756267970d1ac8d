//! What a member announces of a breaker's traffic, and when.

use std::time::Duration;

use super::random::Random;
use super::traffic::{MARGIN, Traffic};

/// The mean time between two pulses.
const MEAN: Duration = Duration::from_secs(30);

/// The mean time between two pulses while the fleet isn't closed.
const MEAN_IN_OUTAGE: Duration = Duration::from_secs(5);

/// A store keeps what was announced for so long at least.
const KEPT: Duration = Duration::from_secs(60);

/// What a member has announced of a breaker's traffic.
#[derive(Debug, Default)]
pub(super) struct Pulses {
    due: Duration,
    /// In calls per second.
    announced: f64,
    /// Whether none was announced because the breaker is open by its own decision.
    silent: bool,
    /// Whether no pulse was sent because there were no calls.
    idle: bool,
    /// When the store last answered a pulse.
    answered_at: Duration,
    /// Whether the store has answered a pulse since it works.
    pub(super) answered: bool,
}

impl Pulses {
    /// When the next regular pulse is due.
    pub(super) fn due(&self) -> Duration {
        self.due
    }

    /// Whether the store must hear at once of the traffic.
    ///
    /// `is_silent` says whether the breaker's calls must not be expected now.
    pub(super) fn changed(&self, traffic: &Traffic, is_silent: bool) -> bool {
        if self.silent != is_silent {
            return true;
        }
        let resumes = self.idle && traffic.has_calls();
        let rises = || traffic.rise(self.announced).is_some();
        !is_silent && (resumes || rises())
    }

    /// The call rate to announce now, which is a little high. `own` is what the breaker has
    /// measured.
    pub(super) fn announce(&mut self, traffic: &Traffic, own: f64, is_silent: bool) -> f64 {
        (self.silent, self.idle) = (is_silent, false);
        self.announced = if is_silent {
            0.0
        } else {
            let rise = traffic.rise(self.announced).unwrap_or_default();
            traffic.regular().unwrap_or(own).max(rise)
        };
        MARGIN * self.announced
    }

    /// Leaves a pulse out, because there are no calls.
    pub(super) fn skip(&mut self) {
        (self.announced, self.idle) = (0.0, true);
    }

    pub(super) fn plan(&mut self, in_outage: bool, now: Duration, random: &mut Random) {
        let mean = if in_outage { MEAN_IN_OUTAGE } else { MEAN };
        self.due = now + random.about(mean);
    }

    /// The store has answered a pulse.
    pub(super) fn answered(&mut self, now: Duration) {
        (self.answered, self.answered_at) = (true, now);
    }

    /// Whether the store may have forgotten what was announced. Then failures don't count.
    pub(super) fn is_forgotten(&self, now: Duration) -> bool {
        now.saturating_sub(self.answered_at) >= KEPT
    }

    /// Makes a pulse due at once.
    pub(super) fn hurry(&mut self) {
        self.due = Duration::ZERO;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn pulses_come_every_half_minute_and_every_five_seconds_in_an_outage() {
        let (mut pulses, mut random) = (Pulses::default(), Random::new(1));
        for (in_outage, mean) in [(false, 30 * SECOND), (true, 5 * SECOND)] {
            for _ in 0..100 {
                pulses.plan(in_outage, SECOND, &mut random);
                let wait = pulses.due().saturating_sub(SECOND);
                assert!((mean * 4 / 5..=mean * 6 / 5).contains(&wait), "{wait:?}");
            }
        }
    }

    #[test]
    fn a_breaker_that_opens_or_closes_is_announced_at_once() {
        let (mut pulses, traffic) = (Pulses::default(), Traffic::default());
        let announced = pulses.announce(&traffic, 10.0, false);
        assert!((announced - 10.0 * MARGIN).abs() < 1e-9);
        assert!(!pulses.changed(&traffic, false) && pulses.changed(&traffic, true));
        assert!(pulses.announce(&traffic, 10.0, true).abs() < 1e-9);
        assert!(pulses.changed(&traffic, false) && !pulses.changed(&traffic, true));
    }

    #[test]
    fn after_a_minute_without_a_pulse_the_store_may_have_forgotten_it() {
        let mut pulses = Pulses::default();
        pulses.answered(SECOND);
        assert!(pulses.answered && !pulses.is_forgotten(60 * SECOND));
        assert!(pulses.is_forgotten(61 * SECOND));
    }

    #[test]
    fn the_first_calls_after_idle_time_are_announced_at_once() {
        let (mut pulses, mut traffic) = (Pulses::default(), Traffic::default());
        pulses.announce(&traffic, 10.0, false);
        pulses.skip();
        traffic.count(5, SECOND);
        assert!(!pulses.changed(&traffic, false));
        traffic.count(6, 2 * SECOND);
        assert!(pulses.changed(&traffic, false));
    }
}
