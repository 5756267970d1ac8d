//! The traffic: calls at random times, each with its luck and its latency.

use rand::{Rng, RngExt, SeedableRng};
use rand_distr::{Distribution, Exp1, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::breaker::Nanos;
use crate::time::nanos;

/// The latency of calls: a lognormal distribution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latency {
    /// The median, in seconds.
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

    /// The time until as many calls have ended as arrive in `ended` seconds, if they arrive evenly.
    ///
    /// Up to this time, the share of calls that take less than a given time integrates to `ended`.
    /// All times are in seconds.
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

    /// The integral over `0..time` of the share of calls that take less than a given time.
    fn ended_by(self, time: f64) -> f64 {
        let deviations = (time / self.median).ln() / self.sigma;
        time * normal(deviations) - self.mean() * normal(deviations - self.sigma)
    }
}

/// The standard normal distribution function, to 10⁻⁷ (Abramowitz and Stegun 7.1.26).
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

/// A call before its outcome is known. All breakers of a cell meet equal calls, whatever they did
/// with earlier ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Draw {
    /// When it begins.
    pub at: Nanos,
    /// The call fails if this is below the failure rate. It is uniform in `0.0..1.0`.
    pub luck: f64,
    /// How long the call takes while nothing is wrong.
    pub took: Nanos,
}

/// An endless stream of Poisson arrivals.
#[derive(Clone, Debug)]
pub struct Traffic {
    random: Xoshiro256PlusPlus,
    at: Nanos,
    gap: f64,
    latency: Latency,
    /// When the gap changes, and the gap from then on.
    change: Option<(Nanos, f64)>,
}

impl Traffic {
    /// Traffic of this many calls per second.
    #[must_use]
    pub fn new(rate: f64, latency: Latency, seed: u64) -> Self {
        Self {
            random: Xoshiro256PlusPlus::seed_from_u64(seed),
            at: 0,
            gap: 1.0 / rate,
            latency,
            change: None,
        }
    }

    /// Changes to `rate` calls per second at the first call from `at` on.
    #[must_use]
    pub fn changing_to(mut self, rate: f64, at: Nanos) -> Self {
        self.change = Some((at, 1.0 / rate));
        self
    }

    /// The next call.
    #[inline]
    pub fn draw(&mut self) -> Draw {
        if let Some((at, gap)) = self.change
            && self.at >= at
        {
            (self.gap, self.change) = (gap, None);
        }
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

/// A random number in a range. Each decade is equally likely.
pub fn log_uniform(random: &mut impl Rng, low: f64, high: f64) -> f64 {
    random.random_range(low.ln()..high.ln()).exp()
}

/// The seed of a part of a run, made of the run's seed, the part's name and the part's number.
#[must_use]
pub fn seed(run: u64, part: &str, number: u64) -> u64 {
    // FNV-1a of the part's name, then SplitMix64's finisher over all three.
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
