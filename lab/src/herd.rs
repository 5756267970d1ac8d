//! `herd`: many clients of one backend, each with a breaker of its own.
//!
//! All clients see the same outage. The backend's capacity is limited, and overload kills it. It
//! comes back cold or warm.

use std::io::{self, Write};

use clap::Args;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;
use thiserror::Error;
use tripcurve::error::ConfigError;
use tripcurve::handles::OwnedPermit;
use tripcurve::{Recovery, TripPolicy};

use crate::breaker::{Breaker, Nanos, Phase};
use crate::capacity::Capacity;
use crate::completions::Completions;
use crate::ours::Ours;
use crate::statistics::mean;
use crate::table::{Table, percent, short};
use crate::time::{SECOND, nanos, number, seconds};
use crate::traffic::{Draw, Latency, Traffic, seed};

/// The arguments of `herd`.
#[derive(Args, Clone, Debug)]
pub struct Herd {
    /// How many clients share the backend
    #[arg(long, default_value_t = 100)]
    clients: u32,
    /// How many clients each breaker is told of, as `Recovery::clients`; 1 is the default
    #[arg(long, value_delimiter = ',', default_values_t = [1, 100])]
    told: Vec<u32>,
    /// Calls per second of each client
    #[arg(long, value_delimiter = ',', default_values_t = [3.0, 12.0, 50.0, 200.0])]
    rates: Vec<f64>,
    /// How many lives there are of each kind
    #[arg(long, default_value_t = 4)]
    lives: u32,
    /// The seed; equal seeds give equal results
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Why a herd can't be tried.
#[derive(Debug, Error)]
pub enum HerdError {
    /// A number is out of its range.
    #[error("--{setting} is {found}; expected {expected}")]
    Setting {
        /// The option's name.
        setting: &'static str,
        /// The number that was given.
        found: f64,
        /// The numbers that are allowed.
        expected: &'static str,
    },
    /// The crate refuses a setting.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The report can't be written.
    #[error("can't write the report: {0}")]
    Write(#[from] io::Error),
}

/// How the backend comes back after the outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    /// The capacity grows from 20 to 120 % of the traffic within 30 s.
    Cold,
    /// All of the capacity is there at once: 120 % of the traffic.
    Warm,
}

impl Return {
    const ALL: [Self; 2] = [Self::Cold, Self::Warm];

    fn name(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::Warm => "warm",
        }
    }
}

/// One kind of life.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// How many clients there are.
    pub clients: u32,
    /// How many clients each breaker believes there are.
    pub told: u32,
    /// Calls per second of each client.
    pub rate: f64,
    /// How the backend comes back.
    pub back: Return,
}

/// What happened in a life.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// The share of the calls in the outage that were let through.
    pub onto_dead: f64,
    /// The trips of closed breakers after the outage, for each client.
    pub re_trips: f64,
    /// How often overload killed the backend.
    pub kills: f64,
    /// Seconds from the outage's end until a client has closed, on average.
    pub closed_after: f64,
    /// Seconds from the outage's end until the last client has closed.
    pub all_closed_after: f64,
    /// The calls after the outage that found no answer, in seconds' worth of the traffic.
    pub unanswered: f64,
}

impl Herd {
    /// Tries all kinds and writes a table.
    ///
    /// # Errors
    /// Returns an error if a setting is invalid or the report can't be written.
    pub fn run(&self, to: &mut impl Write) -> Result<(), HerdError> {
        self.check()?;
        let mut table = Table::new([
            "calls/s a client, return",
            "told",
            "onto the dead backend",
            "re-trips a client",
            "kills",
            "closed, s",
            "all closed, s",
            "unanswered, s",
        ]);
        for &rate in &self.rates {
            for back in Return::ALL {
                for &told in &self.told {
                    let kind = Kind {
                        clients: self.clients,
                        told,
                        rate,
                        back,
                    };
                    let lives = self.lives(kind)?;
                    let of = |figure: fn(&Figures) -> f64| {
                        mean(&lives.iter().map(figure).collect::<Vec<_>>())
                    };
                    table.row([
                        format!("{rate}, {}", back.name()),
                        told.to_string(),
                        percent(of(|it| it.onto_dead)),
                        short(of(|it| it.re_trips)),
                        short(of(|it| it.kills)),
                        short(of(|it| it.closed_after)),
                        short(of(|it| it.all_closed_after)),
                        short(of(|it| it.unanswered)),
                    ]);
                }
            }
        }
        writeln!(
            to,
            "{} clients, {} lives of each kind, seed {}\n\n{}",
            self.clients,
            self.lives,
            self.seed,
            table.text()
        )?;
        Ok(())
    }

    fn check(&self) -> Result<(), HerdError> {
        let rates = self.rates.iter().map(|rate| ("rates", *rate, 1e4));
        let rates = rates.map(|(name, found, most)| (name, found, most, "above 0, at most 10000"));
        let counts = [
            ("clients", self.clients, 10_000, "in 1..=10000"),
            ("lives", self.lives, 10_000, "in 1..=10000"),
        ];
        let counts = counts.map(|(name, found, most, expected)| {
            (name, f64::from(found), f64::from(most), expected)
        });
        for (setting, found, most, expected) in rates.chain(counts) {
            if !(found > 0.0 && found <= most) {
                return Err(HerdError::Setting {
                    setting,
                    found,
                    expected,
                });
            }
        }
        Ok(())
    }

    fn lives(&self, kind: Kind) -> Result<Vec<Figures>, ConfigError> {
        (0..self.lives)
            .into_par_iter()
            .map(|life| live(kind, seed(self.seed, "herd", life.into())))
            .collect()
    }
}

/// Tries one life of a herd. Equal seeds give equal calls, whatever the breakers are told.
///
/// # Errors
/// The crate refuses what the breakers are told.
pub fn live(kind: Kind, seed: u64) -> Result<Figures, ConfigError> {
    let mut herd = Life::new(kind, seed)?;
    let all = kind.rate * f64::from(kind.clients);
    let mut traffic = Traffic::new(all, Latency::USUAL, seed);
    loop {
        let draw = traffic.draw();
        herd.end_until(draw.at);
        if draw.at >= herd.outage.1 + Life::AFTER {
            return Ok(herd.figures());
        }
        herd.call(draw);
    }
}

/// A call in flight.
struct UnderWay {
    client: usize,
    permit: OwnedPermit,
    began: Nanos,
    succeeds: bool,
}

struct Client {
    breaker: Ours,
    phase: Phase,
    /// When the breaker closed for the last time.
    closed: Nanos,
}

/// A life: some minutes in service, an outage, and a minute after it.
struct Life {
    kind: Kind,
    clients: Vec<Client>,
    random: Xoshiro256PlusPlus,
    /// When the outage begins and ends.
    outage: (Nanos, Nanos),
    capacity: Capacity,
    in_flight: Completions<UnderWay>,
    in_outage: u64,
    onto_dead: u64,
    re_trips: u64,
    unanswered: u64,
}

impl Life {
    /// The share of the calls that usually fails.
    const BASELINE: f64 = 0.005;
    /// Calls of each client before the outage.
    const BEFORE: f64 = 500.0;
    const AFTER: Nanos = 60 * SECOND;

    fn new(kind: Kind, seed: u64) -> Result<Self, ConfigError> {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed ^ 1);
        let client = |_| {
            let breaker = Ours::new("herd", |builder| {
                builder
                    .trip_when(TripPolicy::adaptive())
                    .recovery(Recovery::adaptive().clients(kind.told))
            })?;
            Ok(Client {
                breaker,
                phase: Phase::Closed,
                closed: 0,
            })
        };
        let begin = nanos(Self::BEFORE / kind.rate);
        let end = begin + nanos(random.random_range(30.0..90.0));
        let all = kind.rate * f64::from(kind.clients);
        Ok(Self {
            kind,
            clients: (0..kind.clients).map(client).collect::<Result<_, _>>()?,
            random,
            outage: (begin, end),
            capacity: match kind.back {
                Return::Cold => Capacity::new(all, end),
                Return::Warm => Capacity::warm(all, end),
            },
            in_flight: Completions::default(),
            in_outage: 0,
            onto_dead: 0,
            re_trips: 0,
            unanswered: 0,
        })
    }

    fn call(&mut self, draw: Draw) {
        let Draw { at, luck, took } = draw;
        let client = self.random.random_range(0..self.clients.len());
        let permit = self.clients[client].breaker.admit(at);
        self.look(client, at);
        let (begin, end) = self.outage;
        let is_admitted = permit.is_some();
        let served = if at < begin {
            1.0
        } else if at < end {
            self.in_outage += 1;
            self.onto_dead += u64::from(is_admitted);
            0.0
        } else {
            self.capacity.share_served(at)
        };
        let succeeds = luck < (1.0 - Self::BASELINE) * served;
        if at >= end {
            self.unanswered += u64::from(!(succeeds && is_admitted));
        }
        let Some(permit) = permit else {
            return;
        };
        if at >= end {
            self.capacity.serve(at);
        }
        let call = UnderWay {
            client,
            permit,
            began: at,
            succeeds,
        };
        self.in_flight.push(at + took, call);
    }

    /// Ends the calls that have ended by `at`.
    fn end_until(&mut self, at: Nanos) {
        while let Some((now, call)) = self.in_flight.pop_until(at) {
            let UnderWay {
                client,
                permit,
                began,
                succeeds,
            } = call;
            let breaker = &mut self.clients[client].breaker;
            breaker.record(permit, now, succeeds, now - began);
            self.look(client, now);
        }
    }

    /// Notes how the client's breaker has changed.
    fn look(&mut self, client: usize, now: Nanos) {
        let client = &mut self.clients[client];
        let phase = client.breaker.phase(now);
        match (client.phase, phase) {
            (Phase::Closed, Phase::Open) if now >= self.outage.1 => self.re_trips += 1,
            (Phase::Open | Phase::Recovering, Phase::Closed) => client.closed = now,
            _ => {}
        }
        client.phase = phase;
    }

    fn figures(&self) -> Figures {
        let (_, end) = self.outage;
        let closed = |client: &Client| match client.phase {
            Phase::Closed => seconds(client.closed.saturating_sub(end)),
            _ => seconds(Self::AFTER),
        };
        let closed: Vec<f64> = self.clients.iter().map(closed).collect();
        let clients = f64::from(self.kind.clients);
        Figures {
            onto_dead: number(self.onto_dead) / number(self.in_outage.max(1)),
            re_trips: number(self.re_trips) / clients,
            kills: self.capacity.kills().into(),
            closed_after: mean(&closed).unwrap_or_default(),
            all_closed_after: closed.iter().copied().fold(0.0, f64::max),
            unanswered: number(self.unanswered) / (self.kind.rate * clients),
        }
    }
}
