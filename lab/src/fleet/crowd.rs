//! Who calls, and when.

use std::cmp::Reverse;

use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Exp1, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::breaker::Nanos;
use crate::time::nanos;
use crate::traffic::Latency;

/// How the calls are divided among the members.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// All members make equally many calls.
    Equal,
    /// The member of rank *r* makes 1/*r* as many calls as the first.
    Zipf,
    /// The first member makes half of all calls, and the others share the rest equally.
    OneHasHalf,
}

impl Shape {
    /// What a table says about this shape.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::Zipf => "Zipf",
            Self::OneHasHalf => "one has half",
        }
    }

    fn weight(self, rank: u32, members: u32) -> f64 {
        match self {
            Self::Zipf => 1.0 / f64::from(rank + 1),
            Self::OneHasHalf if rank == 0 => f64::from(members.max(2) - 1),
            Self::Equal | Self::OneHasHalf => 1.0,
        }
    }
}

/// A call before it is known whether it is admitted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Call {
    /// When it begins.
    pub at: Nanos,
    /// The member that makes it.
    pub member: usize,
    /// Uniform in `0.0..1.0`: the call fails if this is below the failure rate.
    pub luck: f64,
    /// How long it takes.
    pub took: Nanos,
}

/// Poisson arrivals of all members.
///
/// The times, the luck and the latencies don't depend on the number of members. So one process with
/// all the traffic meets the calls that a thousand processes meet.
#[derive(Clone, Debug)]
pub struct Crowd {
    random: Xoshiro256PlusPlus,
    members: Xoshiro256PlusPlus,
    /// Sums of the weights up to each member.
    sums: Vec<f64>,
    per_second: f64,
    /// How many calls come together, from one member.
    clump: u32,
    /// When the last clump began.
    begun: Nanos,
    /// The calls of clumps that have begun, the first one last.
    waiting: Vec<Call>,
    next: Call,
}

impl Crowd {
    /// The time within which the calls of a clump begin.
    const CLUMP: f64 = 0.02;

    /// A crowd that makes so many calls a second in all.
    #[must_use]
    pub fn new(members: u32, shape: Shape, per_second: f64, clump: u32, seed: u64) -> Self {
        let mut sum = 0.0;
        let sums = (0..members).map(|rank| {
            sum += shape.weight(rank, members);
            sum
        });
        let mut crowd = Self {
            sums: sums.collect(),
            random: Xoshiro256PlusPlus::seed_from_u64(seed),
            members: Xoshiro256PlusPlus::seed_from_u64(seed ^ 1),
            per_second,
            clump,
            begun: 0,
            waiting: Vec::new(),
            next: Call {
                at: 0,
                member: 0,
                luck: 0.0,
                took: 0,
            },
        };
        crowd.draw();
        crowd
    }

    /// Makes so many calls a second from now on.
    pub fn set_rate(&mut self, per_second: f64) {
        self.per_second = per_second;
    }

    /// The share of all calls that a member makes.
    #[must_use]
    pub fn share(&self, member: usize) -> f64 {
        let before = member.checked_sub(1).map_or(0.0, |it| self.sums[it]);
        let all = self.sums.last().copied().unwrap_or(1.0);
        (self.sums[member] - before) / all
    }

    /// The next call.
    #[must_use]
    pub fn next(&self) -> Call {
        self.next
    }

    /// Replaces the next call by the one after it.
    pub fn draw(&mut self) {
        // The next clump may begin before a call that comes after the beginning of the last one.
        while self.waiting.last().is_none_or(|it| it.at > self.begun) {
            self.begin_clump();
        }
        if let Some(next) = self.waiting.pop() {
            self.next = next;
        }
    }

    fn begin_clump(&mut self) {
        let member = self.member();
        self.begun += self.gap(f64::from(self.clump) / self.per_second);
        let mut at = self.begun;
        for call in 0..self.clump {
            if call > 0 {
                at += self.gap(Self::CLUMP / f64::from(self.clump));
            }
            let deviation: f64 = StandardNormal.sample(&mut self.random);
            let Latency { median, sigma } = Latency::USUAL;
            self.waiting.push(Call {
                at,
                member,
                luck: self.random.random(),
                took: nanos(median * (sigma * deviation).exp()).max(1),
            });
        }
        self.waiting.sort_by_key(|it| Reverse(it.at));
    }

    /// A random time. `mean` is in seconds.
    fn gap(&mut self, mean: f64) -> Nanos {
        let gap: f64 = Exp1.sample(&mut self.random);
        nanos(gap * mean)
    }

    fn member(&mut self) -> usize {
        let all = self.sums.last().copied().unwrap_or_default();
        let at = self.members.random_range(0.0..all);
        self.sums.partition_point(|&sum| sum <= at)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn members_call_as_often_as_their_shares_say() {
        for shape in [Shape::Equal, Shape::Zipf, Shape::OneHasHalf] {
            let mut crowd = Crowd::new(10, shape, 1_000.0, 1, 7);
            let mut calls = [0.0; 10];
            for _ in 0..100_000 {
                calls[crowd.next().member] += 1e-5;
                crowd.draw();
            }
            for (member, calls) in calls.into_iter().enumerate() {
                let share = crowd.share(member);
                assert!((calls - share).abs() < 0.01, "{shape:?} {calls} {share}");
            }
        }
    }

    #[test]
    fn clumps_overlap_and_make_as_many_calls_as_single_calls() {
        let mut crowd = Crowd::new(1_000, Shape::Equal, 1_000.0, 10, 7);
        let (mut last, mut changes) = (crowd.next(), 0);
        for _ in 0..100_000 {
            crowd.draw();
            assert!(crowd.next().at >= last.at);
            changes += u32::from(crowd.next().member != last.member);
            last = crowd.next();
        }
        let seconds = Duration::from_nanos(last.at).as_secs_f64();
        assert!((95.0..105.0).contains(&seconds), "{seconds}");
        // Without any overlap there were 10,000.
        assert!(changes > 30_000, "{changes}");
    }

    #[test]
    fn the_calls_are_those_of_one_process() {
        let calls = |members| {
            let mut crowd = Crowd::new(members, Shape::Zipf, 100.0, 3, 7);
            let call = |_| {
                crowd.draw();
                let it = crowd.next();
                (it.at, it.took)
            };
            (0..100).map(call).collect::<Vec<_>>()
        };
        assert_eq!(calls(1), calls(1_000));
    }
}
