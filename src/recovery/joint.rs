//! The recovery of a fleet: many breakers that probe and ramp as one.

use std::time::Duration;

use super::clients::Clients;
use super::outage::Outage;
use super::verdict::{Pace, Rules, Verdict};
use crate::adaptive::EvidenceRule;
use crate::clock::saturating_nanos;
use crate::state::{RampMode, Round, Share};

/// The rule by which a fleet recovers: that of one breaker with the calls of all members.
///
/// ```
/// use std::time::Duration;
/// use tripcurve::CircuitBreaker;
/// use tripcurve::fleet::{FleetRecovery, FleetVerdict};
///
/// let payments = CircuitBreaker::builder("payments").build()?;
/// let rule = payments.fleet_port()?.rule().expect("the default policy is adaptive");
/// let recovery = FleetRecovery::new(&rule);
///
/// // A thousand calls a second: the first probe is due after a hundred calls' time.
/// assert_eq!(recovery.wait(1_000.0, Duration::ZERO), Duration::from_millis(100));
/// // After a good probe, a sixteenth of the calls is admitted.
/// let round = recovery.first_round(1_000.0);
/// assert_eq!(round.share(), 0.0625);
/// // A round of good calls is followed by a larger share.
/// let verdict = recovery.judge(round, (10, 0), Duration::from_millis(150), 1_000.0);
/// assert_eq!(verdict, FleetVerdict::Next { share: 0.25 });
/// # Ok::<(), tripcurve::error::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FleetRecovery {
    rules: Rules,
}

/// A round of a fleet's ramp: a share of the calls, and what the rounds before have shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FleetRound(Round);

/// What follows a round of a fleet's ramp.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum FleetVerdict {
    /// The round goes on.
    Undecided,
    /// Another round begins.
    Next {
        /// The share of the calls that it admits: above 0.0, at most 1.0.
        share: f64,
    },
    /// All of the traffic is back, so the fleet closes.
    Close,
    /// Too many calls fail, so the fleet opens again.
    Reopen,
}

/// The shortest time that a round takes, in nanoseconds.
const ROUND: u64 = 150_000_000;

/// The longest time until a probe, in nanoseconds. A breaker with little traffic waits longer, but a
/// fleet may have lost sight of its traffic.
const LONGEST_WAIT: u64 = 5_000_000_000;

/// The largest count of a round.
const MOST: u64 = 127;

/// A share that grows at least so many times grows fast.
const FAST: f64 = 2.0;

impl FleetRecovery {
    /// The rule for a breaker that trips by `rule`.
    #[must_use]
    pub fn new(rule: &EvidenceRule) -> Self {
        let config = rule.config();
        let acceptable = config.acceptable();
        let more = config.more().map_or(acceptable, |it| it.max(acceptable));
        Self {
            rules: Rules::new(acceptable, more),
        }
    }

    /// The time until the next probe, without jitter: 100 ms to 5 s.
    ///
    /// `calls_per_second` is the fleet's call rate, and `outage` the time since the fleet opened.
    #[must_use]
    pub fn wait(&self, calls_per_second: f64, outage: Duration) -> Duration {
        let age = saturating_nanos(outage);
        let wait = Outage::wait_of(spacing(calls_per_second), age, Clients::ONE);
        Duration::from_nanos(wait.min(LONGEST_WAIT))
    }

    /// The first round, after a good probe.
    #[must_use]
    pub fn first_round(&self, calls_per_second: f64) -> FleetRound {
        FleetRound(Rules::first(pace(calls_per_second)))
    }

    /// The round with this share, for a member that knows no round before it.
    #[must_use]
    pub fn unknown_round(&self, share: f64) -> FleetRound {
        FleetRound(Round::first(Share::nearest(share), RampMode::Cautious))
    }

    /// Judges a round by the good and the bad calls of all members.
    ///
    /// `lasted` is the time since the round began.
    #[must_use]
    pub fn judge(
        &self,
        round: FleetRound,
        (good, bad): (u64, u64),
        lasted: Duration,
        calls_per_second: f64,
    ) -> FleetVerdict {
        let counted = counted(round.0, good, bad);
        let lasted = saturating_nanos(lasted);
        match self.rules.judge(counted, lasted, pace(calls_per_second)) {
            Verdict::Undecided => FleetVerdict::Undecided,
            Verdict::Next(next) | Verdict::Cut(next) => FleetVerdict::Next {
                share: next.share.as_f64(),
            },
            Verdict::Back => FleetVerdict::Close,
            Verdict::Failed => FleetVerdict::Reopen,
        }
    }
}

impl FleetRound {
    /// The share of the calls that is admitted: above 0.0, at most 1.0.
    #[must_use]
    pub fn share(self) -> f64 {
        self.0.share.as_f64()
    }

    /// This round with another share. The smallest share is a 1,024th.
    #[must_use]
    pub fn with_share(self, share: f64) -> Self {
        Self(Round {
            share: Share::nearest(share),
            ..self.0
        })
    }

    /// How long after the round's beginning a call must end to count.
    ///
    /// The dependency first recovers from the load of the round before.
    #[must_use]
    pub fn settling(self) -> Duration {
        Duration::from_nanos(pace(1.0).settling(self.0))
    }

    /// The round that follows this one with the given share.
    ///
    /// Members hear the share only. How the next round is judged follows from how the share has
    /// changed. So all members judge alike. The share that failed before a cut follows only roughly:
    /// a cut is between a quarter and a whole, whatever has failed.
    #[must_use]
    pub fn followed_by(self, share: f64) -> Self {
        let (before, share) = (self.0, Share::nearest(share));
        let factor = share.as_f64() / before.share.as_f64();
        let cut = share < before.share;
        let mode = if cut {
            RampMode::Cautious
        } else if share == before.share {
            RampMode::Tolerant
        } else if share == Share::ALL {
            before.mode
        } else if factor < FAST {
            RampMode::Cautious
        } else if before.mode == RampMode::Cautious {
            RampMode::Tolerant
        } else {
            before.mode
        };
        Self(Round {
            number: before.number.wrapping_add(1),
            at_cut: if cut {
                Rules::failing_at_cut(factor)
            } else {
                0
            },
            settles: cut,
            ..Round::first(share, mode)
        })
    }
}

/// The time between two calls, in nanoseconds.
fn spacing(calls_per_second: f64) -> u64 {
    let seconds = 1.0 / calls_per_second.max(1e-9);
    saturating_nanos(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

fn pace(calls_per_second: f64) -> Pace {
    Pace {
        spacing: spacing(calls_per_second),
        round: ROUND,
        dispersion: 1.0,
        clients: Clients::ONE,
        tolerates_more: false,
    }
}

/// The round with its counts, halved until each fits.
fn counted(round: Round, good: u64, bad: u64) -> Round {
    let (mut good, mut bad) = (good, bad);
    while good.max(bad) > MOST {
        (good, bad) = (good / 2, bad / 2);
    }
    let narrow = |count| u8::try_from(count).unwrap_or(u8::MAX);
    Round {
        good: narrow(good),
        bad: narrow(bad),
        ..round
    }
}

#[cfg(all(test, not(tripcurve_loom)))]
mod tests {
    use super::*;
    use crate::adaptive::AdaptiveConfig;

    const ROUND: Duration = Duration::from_millis(150);

    fn recovery() -> FleetRecovery {
        FleetRecovery::new(&EvidenceRule::of(AdaptiveConfig {
            tolerate: 0.25,
            false_trip_budget: Duration::from_secs(86_400),
        }))
    }

    /// Goes on with good calls until the ramp is over. Returns the shares.
    fn shares(mut round: FleetRound, rate: f64) -> Vec<f64> {
        let mut shares = vec![round.share()];
        loop {
            match recovery().judge(round, (1_000, 0), 4 * ROUND, rate) {
                FleetVerdict::Next { share } => {
                    shares.push(share);
                    round = round.followed_by(share);
                }
                FleetVerdict::Close => return shares,
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn good_calls_bring_all_of_the_traffic_back() {
        let first = recovery().first_round(1_000.0);
        assert_eq!(shares(first, 1_000.0), [0.0625, 0.25, 1.0]);
        assert_eq!(shares(recovery().first_round(10.0), 10.0), [1.0]);
    }

    #[test]
    fn too_many_bad_calls_cut_the_share_and_then_it_grows_with_care() {
        let round = recovery().first_round(1_000.0).followed_by(0.25);
        let FleetVerdict::Next { share } = recovery().judge(round, (50, 50), ROUND, 1_000.0) else {
            panic!("no next round")
        };
        assert!(share < 0.25, "{share}");
        let cut = round.followed_by(share);
        assert_eq!(cut.settling(), 2 * ROUND);
        let FleetVerdict::Next { share: next } = recovery().judge(cut, (50, 0), 4 * ROUND, 1_000.0)
        else {
            panic!("no next round")
        };
        assert!((1.2..1.3).contains(&(next / share)), "{next}, {share}");
    }

    #[test]
    fn a_dependency_that_is_down_opens_the_fleet_again() {
        let first = recovery().first_round(1_000.0);
        let verdict = recovery().judge(first, (0, 10), ROUND, 1_000.0);
        assert_eq!(verdict, FleetVerdict::Reopen);
    }

    /// Fails when: a member that only hears shares judges otherwise than the one that decided.
    #[test]
    fn how_a_round_is_judged_follows_from_the_shares() {
        let rules = recovery().rules;
        let mut seed = 1_u64;
        let mut rounds = 0;
        for start in 0..200 {
            let mut known = Rules::first(pace(1_000.0));
            let mut heard = FleetRound(known);
            for _ in 0..20 {
                seed = crate::util::random::mixed(seed + start);
                let (good, bad) = (1 + seed % 100, (seed >> 32) % 100);
                let verdict =
                    rules.judge(counted(known, good, bad), 10 * 150_000_000, pace(1_000.0));
                let (Verdict::Next(next) | Verdict::Cut(next)) = verdict else {
                    break;
                };
                rounds += 1;
                (known, heard) = (next, heard.followed_by(next.share.as_f64()));
                assert_eq!(heard.0.mode, known.mode, "{next:?}");
                assert_eq!(heard.0.settles, known.settles, "{next:?}");
                assert_eq!(heard.0.at_cut > 0, known.at_cut > 0, "{next:?}");
            }
        }
        assert!(rounds > 100, "{rounds}");
    }

    #[test]
    fn counts_that_do_not_fit_are_halved_together() {
        let round = Round::first(Share::ALL, RampMode::Ordered);
        let fitting = |good, bad| {
            let counted = counted(round, good, bad);
            (counted.good, counted.bad)
        };
        assert_eq!(fitting(127, 3), (127, 3));
        assert_eq!(fitting(128, 4), (64, 2));
        assert_eq!(fitting(1_000, 100), (125, 12));
        assert_eq!(fitting(10, 2_000), (0, 125));
    }
}
