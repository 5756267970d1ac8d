//! What comes in: calls at random times, each with its luck and its latency.

use rand::{Rng, RngExt, SeedableRng};
use rand_distr::{Distribution, Exp1, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::breaker::Nanos;
use crate::time::nanos;

/// How long calls take: lognormal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latency {
    /// Half of the calls take longer, in seconds.
    pub median: f64,
    /// The standard deviation of the logarithm.
    pub sigma: f64,
}

impl Latency {
    /// Median 20 ms, sigma 0.5.
    pub const USUAL: Self = Self {
        median: 0.020,
        sigma: 0.5,
    };

    /// The mean, in seconds.
    #[must_use]
    pub fn mean(self) -> f64 {
        self.median * (self.sigma * self.sigma / 2.0).exp()
    }

    /// When calls that come in evenly, from now on, have ended for so long: the time t up to which the
    /// share that has ended by then integrates to `ended`, in seconds.
    #[must_use]
    pub fn time_until_ended(self, ended: f64) -> f64 {
        let (mut low, mut high) = (ended, ended + self.mean());
        for _ in 0..50 {
            let middle = f64::midpoint(low, high);
            if self.ended_by(middle) < ended {
                low = middle;
            } else {
                high = middle;
            }
        }
        high
    }

    /// The integral of the share of calls that takes less than a time, up to `time`.
    fn ended_by(self, time: f64) -> f64 {
        let deviations = (time / self.median).ln() / self.sigma;
        time * normal(deviations) - self.mean() * normal(deviations - self.sigma)
    }
}

/// The share of normally distributed values below so many standard deviations, to 10⁻⁷ (Abramowitz and
/// Stegun 7.1.26).
fn normal(deviations: f64) -> f64 {
    let x = deviations.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let polynomial = [
        1.061_405_429,
        -1.453_152_027,
        1.421_413_741,
        -0.284_496_736,
        0.254_829_592,
    ]
    .into_iter()
    .fold(0.0, |sum, coefficient| (sum + coefficient) * t);
    let beyond = polynomial * (-x * x).exp() / 2.0;
    if deviations < 0.0 {
        beyond
    } else {
        1.0 - beyond
    }
}

/// A call before anything has become of it. It is the same for all breakers of a cell, whatever they
/// did with the calls before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Draw {
    /// When it begins.
    pub at: Nanos,
    /// It fails if this is below the share of calls that fail; uniform in 0..1.
    pub luck: f64,
    /// How long it takes when nothing is wrong.
    pub took: Nanos,
}

/// Poisson arrivals without end.
#[derive(Clone, Debug)]
pub struct Traffic {
    random: Xoshiro256PlusPlus,
    at: Nanos,
    gap: f64,
    latency: Latency,
}

impl Traffic {
    /// So many calls a second.
    #[must_use]
    pub fn new(rate: f64, latency: Latency, seed: u64) -> Self {
        Self {
            random: Xoshiro256PlusPlus::seed_from_u64(seed),
            at: 0,
            gap: 1.0 / rate,
            latency,
        }
    }

    /// The next call.
    #[inline]
    pub fn draw(&mut self) -> Draw {
        let gap: f64 = Exp1.sample(&mut self.random);
        self.at += nanos(gap * self.gap);
        let deviation: f64 = StandardNormal.sample(&mut self.random);
        let took = self.latency.median * (self.latency.sigma * deviation).exp();
        Draw {
            at: self.at,
            luck: self.random.random(),
            took: nanos(took).max(1),
        }
    }
}

/// A number between two, each decade as likely as another.
pub fn log_uniform(random: &mut impl Rng, low: f64, high: f64) -> f64 {
    random.random_range(low.ln()..high.ln()).exp()
}

/// The seed of a part of a run: by the run's seed, what the part is, and its number.
#[must_use]
pub fn seed(run: u64, part: &str, number: u64) -> u64 {
    // FNV-1a over the part's name, then the finisher of SplitMix64 over all three.
    let name = part.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mix = |seed: u64| {
        let seed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let seed = (seed ^ (seed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        seed ^ (seed >> 31)
    };
    mix(mix(run.wrapping_add(0x9e37_79b9_7f4a_7c15)) ^ mix(name) ^ number)
}
