//! When to probe, by the traffic and by the age of the outage.

use super::clients::Clients;
use crate::state::history::date_of;
use crate::sync::Hint;
use crate::util::random::mixed;

const MILLISECOND: u64 = 1_000_000;

/// The breaker's knowledge of the present outage.
///
/// Waits grow in proportion to the outage's age, and so does the expected delay. The number of
/// probes grows only with the logarithm of the age. Both words are hints: a thread that overwrites
/// them with slightly older values does no harm.
#[derive(Debug)]
pub struct Outage {
    seed: u64,
    clients: Clients,
    /// The date at which the breaker was last closed.
    began: Hint,
    /// Nanoseconds from one call that asks to the next, on average.
    spacing: Hint,
}

impl Outage {
    /// A probe waits for the time of this many calls. The probe and the call after it make a
    /// hundred.
    const CALLS: u64 = 98;
    const SHORTEST: u64 = 100 * MILLISECOND;
    const LONG: u64 = 2_000 * MILLISECOND;
    const LONGEST: u64 = 5_000 * MILLISECOND;
    /// A trip whose first recovery is over within this time may have been false.
    const SHORT: u64 = 10_000 * MILLISECOND;
    /// A run of failures has up to so many calls. Longer ones are outages.
    const LONGEST_RUN: u64 = 64;
    /// With little traffic, a probe waits for the time of this many calls, at most
    /// `LONGEST_FOR_FEW`.
    const FEW_CALLS: u64 = 4;
    /// It bounds the wait of a breaker that takes an idle night for its traffic.
    const LONGEST_FOR_FEW: u64 = 300_000 * MILLISECOND;
    /// A wait is at least the outage's age divided by this, up to `LONGEST`.
    const AGE: u64 = 100;
    /// The assumed spacing while nothing is known: a hundred calls a second.
    pub(super) const USUAL_SPACING: u64 = 10 * MILLISECOND;
    /// The number of calls that the earlier spacing counts for.
    const INERTIA: u64 = 4;

    /// Creates an outage that begins at `now`. `seed` sets its jitter apart from that of other
    /// breakers.
    #[must_use]
    pub fn new(seed: u64, now: u64, clients: Clients) -> Self {
        Self {
            seed,
            clients,
            began: Hint::new(date_of(now)),
            spacing: Hint::new(Self::USUAL_SPACING),
        }
    }

    /// Whether both have equal settings.
    #[must_use]
    pub fn same_config(&self, other: &Self) -> bool {
        self.clients == other.clients
    }

    /// Takes over what `other` knows.
    pub fn inherit(&self, other: &Self) {
        self.began.store(other.began.load());
        self.spacing.store(other.spacing());
    }

    /// Notes that the breaker has tripped at `now`, after `calls` calls in `within` nanoseconds.
    pub fn start(&self, now: u64, calls: u64, within: u64) {
        self.began.store(date_of(now));
        if let Some(spacing) = within.checked_div(calls) {
            self.spacing.store(spacing);
        }
    }

    /// Learns that `calls` calls have asked within `within` nanoseconds.
    pub fn observe(&self, calls: u64, within: u64) {
        let known = self.spacing().saturating_mul(Self::INERTIA);
        let spacing = known.saturating_add(within) / (calls + Self::INERTIA);
        self.spacing.store(spacing);
    }

    /// Saves the outage's age at `now`, and the spacing.
    #[cfg(feature = "serde")]
    pub(crate) fn save(&self, now: u64) -> [u64; 2] {
        [self.age(now), self.spacing()]
    }

    /// Restores what was saved `elapsed` nanoseconds before `now`.
    #[cfg(feature = "serde")]
    pub(crate) fn restore(&mut self, [age, spacing]: [u64; 2], elapsed: u64, now: u64) {
        let began = date_of(now).saturating_sub(age.saturating_add(elapsed));
        (self.began, self.spacing) = (Hint::new(began), Hint::new(spacing));
    }

    fn age(&self, now: u64) -> u64 {
        date_of(now).saturating_sub(self.began.load())
    }

    /// Whether the outage is so short at `now` that its trip may have been false.
    #[must_use]
    pub fn is_young(&self, now: u64) -> bool {
        self.age(now) <= Self::SHORT
    }

    /// Whether the outage is so short at `now` that it may have been a run of failures. A probe may
    /// have failed in it, where calls are rare.
    #[must_use]
    pub fn may_be_a_run(&self, now: u64) -> bool {
        let run = self.spacing().saturating_mul(Self::LONGEST_RUN);
        self.age(now) <= run.min(Self::SHORT)
    }

    /// The mean time between two calls that ask, in nanoseconds.
    #[must_use]
    pub fn spacing(&self) -> u64 {
        self.spacing.load()
    }

    /// How many nanoseconds after `now` to probe. At `now` the generation of this number begins.
    #[must_use]
    pub fn wait(&self, now: u64, generation: u64) -> u64 {
        self.jittered(self.mean_wait(now), now, generation)
    }

    /// How many nanoseconds after `now` to probe, without jitter.
    #[must_use]
    pub fn mean_wait(&self, now: u64) -> u64 {
        Self::wait_of(self.spacing(), self.age(now), self.clients)
    }

    /// How many nanoseconds to wait in an outage of this age, where calls have this spacing.
    pub(super) fn wait_of(spacing: u64, age: u64, clients: Clients) -> u64 {
        let by_traffic = spacing
            .saturating_mul(Self::CALLS)
            .clamp(Self::SHORTEST, Self::LONG);
        let by_traffic = clients.probes_wait(by_traffic);
        let by_age = (age / Self::AGE).min(Self::LONGEST);
        let for_few = spacing.saturating_mul(Self::FEW_CALLS);
        let for_few = for_few.min(Self::LONGEST_FOR_FEW);
        by_traffic.max(by_age).max(for_few)
    }

    /// Varies the wait by up to a fifth.
    fn jittered(&self, wait: u64, now: u64, generation: u64) -> u64 {
        let random = mixed(self.seed ^ mixed(now ^ mixed(generation)));
        let spread = (u128::from(wait / 5 * 2) * u128::from(random)) >> 64;
        wait - wait / 5 + u64::try_from(spread).unwrap_or(0)
    }
}

#[cfg(all(test, not(tripcurve_loom)))]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000 * MILLISECOND;

    fn outage(calls: u64, within: u64) -> Outage {
        let outage = Outage::new(0, 0, Clients::ONE);
        outage.start(0, calls, within);
        outage
    }

    /// Checks that the wait is the expected one, give or take a fifth.
    fn check(outage: &Outage, now: u64, expected: u64) {
        let wait = outage.wait(now, 1);
        let range = expected * 4 / 5..=expected * 6 / 5;
        assert!(range.contains(&wait), "{wait} is not about {expected}");
    }

    #[test]
    fn the_first_wait_is_the_time_of_a_hundred_calls_within_bounds() {
        check(&outage(100, SECOND), 0, SECOND);
        check(&outage(500, SECOND), 0, SECOND / 5);
        check(&outage(1_000_000, SECOND), 0, SECOND / 10);
        check(&outage(10, SECOND), 0, 2 * SECOND);
        check(&outage(1, SECOND), 0, 4 * SECOND);
        check(&outage(1, 60 * SECOND), 0, 240 * SECOND);
        check(&outage(1, u64::MAX), 0, 300 * SECOND);
        check(&Outage::new(0, 0, Clients::ONE), 0, SECOND);
    }

    #[test]
    fn later_waits_are_a_hundredth_of_the_outages_age() {
        let outage = outage(1_000, SECOND);
        check(&outage, 5 * SECOND, SECOND / 10);
        check(&outage, 60 * SECOND, SECOND * 6 / 10);
        check(&outage, 100_000 * SECOND, 5 * SECOND);
        check(&outage, u64::MAX, 5 * SECOND);
    }

    #[test]
    fn what_is_seen_while_open_corrects_what_was_believed() {
        let outage = outage(1, 10_000 * SECOND);
        outage.observe(0, 0);
        outage.observe(50_000, 50 * SECOND);
        outage.observe(50_000, 50 * SECOND);
        check(&outage, 0, SECOND / 10);
        outage.observe(u64::MAX / 2, u64::MAX);
        let _no_overflow = outage.wait(u64::MAX, u64::MAX);
    }

    #[test]
    fn jitter_spreads_over_the_whole_range_and_differs_by_seed_time_and_generation() {
        let mut waits = Vec::new();
        for seed in 100..110 {
            let outage = Outage::new(mixed(seed), 0, Clients::ONE);
            outage.start(0, 100, SECOND);
            for generation in 0..10 {
                for now in 0..10 {
                    waits.push(outage.wait(now, generation));
                }
            }
        }
        waits.sort_unstable();
        let wait = Outage::CALLS * SECOND / 100;
        let (first, last) = (waits[0], waits[waits.len() - 1]);
        assert!(first >= wait * 80 / 100 && last <= wait * 120 / 100);
        assert!(first < wait * 81 / 100 && last > wait * 119 / 100);
        let middle = waits[waits.len() / 2];
        assert!(middle.abs_diff(wait) < wait / 50, "{middle}");
        waits.dedup();
        assert!(waits.len() > 990);
    }

    #[test]
    fn an_outage_may_be_a_run_for_the_time_of_64_calls_and_at_most_ten_seconds() {
        let run = outage(100, SECOND);
        assert!(run.may_be_a_run(640 * MILLISECOND));
        assert!(!run.may_be_a_run(640 * MILLISECOND + 1));
        let rare = outage(1, SECOND);
        assert!(rare.may_be_a_run(10 * SECOND) && rare.is_young(10 * SECOND));
        assert!(!rare.may_be_a_run(10 * SECOND + 1) && !rare.is_young(10 * SECOND + 1));
    }
}
