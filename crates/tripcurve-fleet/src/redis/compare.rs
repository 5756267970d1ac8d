//! The script against the sums, for tests and for fuzzing.

// Only fuzzing uses all of it.
#![cfg_attr(not(feature = "__fuzz"), allow(dead_code, unreachable_pub))]

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_core::Stream as _;

use super::{Connection, RedisStore, SCRIPT};
use crate::key::{FleetKey, Meaning};
use crate::message::{AfterProbe, AfterRound, Alternative, AskLease, Claim, Member, ProbeResult};
use crate::message::{FleetState, FleetView, Pulse, Report, Round, SHARE, Sender, Step, Sums};
use crate::message::{Trip, Weigh};
use crate::store::{Store as _, StoreError};
use crate::sums::stored::Stored;
use crate::sums::{Applied, FleetSums};

pub(super) const START: u64 = 1_790_000_000_000;

/// The one place where the script reads the time.
const TIME: &str = "time[1] * 1000 + floor(time[2] / 1000)";

pub(super) fn key(name: &str) -> FleetKey {
    FleetKey::new("suite", "", name, Meaning::new(Some(0.25), None, ""))
}

/// Makes a store whose script takes the time from its last argument.
pub(super) fn over(connection: Connection) -> (RedisStore, Arc<AtomicU64>) {
    assert_eq!(SCRIPT.matches(TIME).count(), 1);
    let script = SCRIPT.replace(TIME, "tonumber(ARGV[#ARGV])");
    let mut store = RedisStore::with_script(connection, &script);
    let time = Arc::new(AtomicU64::new(START));
    store.time = Some(Arc::clone(&time));
    (store, time)
}

/// Why a comparison has failed.
#[derive(Debug)]
pub enum Failed {
    /// The server didn't answer in time, so the comparison says nothing.
    Unavailable,
    /// The script and the sums differ.
    Differs(String),
}

/// A server whose script is compared with the sums.
#[derive(Debug)]
pub struct Comparison {
    store: RedisStore,
    time: Arc<AtomicU64>,
    runs: AtomicU64,
}

impl Comparison {
    /// Makes a store in the server at `address`.
    ///
    /// # Panics
    /// The address makes no sense.
    #[must_use]
    pub fn new(address: &str) -> Self {
        let (store, time) = over(Connection::single(address).unwrap());
        let runs = AtomicU64::new(0);
        Self { store, time, runs }
    }

    /// Sends the messages of one fleet to the server and to the sums, and compares the answers, the
    /// announcements and what is kept in the end. Then deletes the fleet.
    ///
    /// # Errors
    /// The first difference. On a busy machine the server may not answer in time.
    pub async fn run(&self, steps: &[Drawn]) -> Result<(), Failed> {
        // Another fleet each time. A message of an earlier one may still be on its way.
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        let key = key(&format!("fuzz-{run}"));
        let result = compare(&self.store, &self.time, &key, steps).await;
        let mut connection = connection_of(&self.store);
        for end in ["", ":m", ":a", ":b"] {
            let mut command = ::redis::cmd("DEL");
            let command = command.arg(format!("{}{end}", key.as_str()));
            while command.query_async::<u64>(&mut connection).await.is_err() {}
        }
        result
    }
}

/// Numbers from which a message is made that fits the state.
#[derive(Clone, Copy, Debug)]
pub struct Drawn {
    /// Milliseconds since the message before.
    pub wait: u64,
    /// The kind of the message, `0..28`.
    pub act: u8,
    /// The sender.
    pub member: u64,
    /// What the numbers of the message are made from.
    pub numbers: [u32; 3],
    /// What is odd about the message, `0..60`. Most numbers stand for nothing.
    pub odd: u8,
}

/// What the last answers were, from which the next message is made.
#[derive(Default)]
struct Seen {
    view: FleetView,
    usual: Sums,
    tolerated: Sums,
    turn: u64,
}

macro_rules! same {
    ($store:ident, $sums:ident, $now:ident, $key:ident, $operation:ident, $it:expr) => {{
        let it = $it;
        let expected = $sums.$operation(&it, $now);
        match ($store.$operation($key, &it).await, expected) {
            (Ok(found), Ok(Applied { answer, announced })) => {
                if found != answer {
                    return Err(Failed::Differs(format!(
                        "{it:?}: {found:?}, expected {answer:?}"
                    )));
                }
                Some((found, announced))
            }
            (Err(StoreError::Unavailable(_)), _) => return Err(Failed::Unavailable),
            (Err(StoreError::Refused(found)), Err(expected)) => {
                // The member checks all but the time before it sends.
                if (found.name, found.value) != (expected.name, expected.value) {
                    return Err(Failed::Differs(format!(
                        "{it:?}: {found:?}, expected {expected:?}"
                    )));
                }
                None
            }
            (found, expected) => {
                return Err(Failed::Differs(format!(
                    "{it:?}: {found:?}, expected {expected:?}"
                )));
            }
        }
    }};
}

pub(super) async fn compare(
    store: &RedisStore,
    time: &AtomicU64,
    key: &FleetKey,
    steps: &[Drawn],
) -> Result<(), Failed> {
    let announcements = store.announcements("suite").await;
    let mut announcements = announcements.map_err(|_| Failed::Unavailable)?;
    let mut sums = FleetSums::default();
    let mut now = START;
    let mut seen = Seen::default();
    for (number, step) in (1..).zip(steps) {
        now += step.wait;
        // Now and then the clock goes back, for one message or for good.
        let at = if step.odd == 1 { now - 500 } else { now };
        if step.odd == 13 {
            now -= u64::from(step.numbers[0] % 20_000);
        }
        time.store(at, Ordering::Relaxed);
        let told = apply(store, key, &mut sums, at, &mut seen, number, *step).await?;
        for view in told.into_iter().flatten() {
            let next = loop {
                let next = poll_fn(|context| Pin::new(&mut announcements).poll_next(context));
                let next = next.await.ok_or(Failed::Unavailable)?;
                if *next.key == *key.as_str() {
                    break next;
                }
            };
            if next.view != view {
                return Err(Failed::Differs(format!(
                    "announced {next:?}, expected {view:?}"
                )));
            }
        }
    }
    let kept = stored(store, key).await?;
    // A first message that was refused has left no key.
    if sums != FleetSums::default() {
        let expected = sums.stored();
        if kept != expected {
            return Err(Failed::Differs(format!(
                "kept {kept:?}, expected {expected:?}"
            )));
        }
    }
    Ok(())
}

/// Where the script keeps which table of rates is the newer.
const NEWER: usize = 28;

fn connection_of(store: &RedisStore) -> ::redis::aio::ConnectionManager {
    match &store.connection {
        Connection::Single(it) => it.connection(),
        #[cfg(feature = "cluster")]
        Connection::Cluster(_) => panic!("one server"),
    }
}

pub(super) async fn stored(store: &RedisStore, key: &FleetKey) -> Result<Stored, Failed> {
    let mut connection = connection_of(store);
    let mut tables: Vec<BTreeMap<String, String>> = Vec::new();
    for end in ["", ":m", ":a", ":b"] {
        let table = ::redis::cmd("HGETALL")
            .arg(format!("{}{end}", key.as_str()))
            .to_owned();
        let read = table.query_async(&mut connection).await;
        tables.push(read.map_err(|_| Failed::Unavailable)?);
    }
    let [state, entries, a, b] = tables.try_into().unwrap();
    let text = |name: &str| state.get(name).cloned().unwrap_or_default();
    let numbers = text("s");
    let mut numbers: Vec<u64> = numbers
        .split_whitespace()
        .map(|it| it.parse().unwrap())
        .collect();
    let newer = if numbers.len() > NEWER {
        numbers.remove(NEWER)
    } else {
        0
    };
    Ok(Stored {
        numbers,
        holders: text("h"),
        worst: text("w"),
        entries,
        rates: if newer == 0 { [a, b] } else { [b, a] },
    })
}

fn sender(seen: &Seen, step: Drawn) -> Sender {
    let view = &seen.view;
    let mut sender = Sender::knowing(Member(step.member), view);
    match step.odd {
        2 => sender = Sender::new(sender.member),
        3 => sender.epoch += 1 + u64::from(step.numbers[0] % 3),
        4 => {
            sender.epoch += 2;
            sender.state = FleetState::Ramp;
            sender.share = 1 + step.numbers[1] % SHARE;
            sender.round = 1 + step.numbers[2] % 5;
        }
        5 => sender.epoch += 200_000_000_000_000,
        6 => {
            sender.epoch += 1;
            sender.state = FleetState::Open;
        }
        _ => {}
    }
    sender
}

#[expect(clippy::too_many_lines)]
async fn apply(
    store: &RedisStore,
    key: &FleetKey,
    sums: &mut FleetSums,
    now: u64,
    seen: &mut Seen,
    number: u64,
    step: Drawn,
) -> Result<[Option<FleetView>; 2], Failed> {
    let sender = sender(seen, step);
    let [a, b, c] = step.numbers;
    let epoch = seen.view.epoch + u64::from(step.odd == 7);
    let round = seen.view.round.max(1) + u32::from(step.odd == 8);
    let number = if step.odd == 9 {
        number.saturating_sub(5).max(1)
    } else {
        number
    };
    let outage = |share: u32, gain: i32| Alternative { gain, share };
    let usual = [
        outage(19_661, -78_903),
        outage(32_768, -45_426),
        outage(52_429, -14_624),
        outage(65_536, 0),
    ];
    let tolerated = [
        outage(16_384, 45_426),
        outage(36_045, 70_000),
        outage(46_695, 86_000),
        outage(49_152, 90_852),
    ];
    let beyond = step.odd != 10;
    let pulse = |rate| Pulse {
        sender,
        rate,
        normal: b % 16_385,
    };
    let mut told = [None; 2];
    match step.act {
        0..=8 => {
            // Without announced traffic nothing counts.
            if !sums.knows(step.member) && !step.odd.is_multiple_of(7) {
                let it = pulse(u64::from(c % 20_000));
                if let Some((it, announced)) = same!(store, sums, now, key, pulse, it) {
                    seen.view = it.view;
                    told[0] = announced;
                }
            }
            // Alone, many, or refused.
            let failures = match step.odd {
                11 => 256,
                it if it.is_multiple_of(3) => 1 + a % 255,
                _ => 1 + a % 3,
            };
            let it = Report {
                sender,
                number,
                failures,
                surprise: failures * (b % 2_049) + u32::from(step.odd == 12) * 2_048,
                spread_ms: if step.odd.is_multiple_of(4) {
                    c % 60_001
                } else {
                    0
                },
                usual: [usual[0], usual[1], usual[2]],
                tolerated: beyond.then_some(tolerated[0]),
            };
            if let Some((it, announced)) = same!(store, sums, now, key, report, it) {
                (seen.view, seen.usual, seen.tolerated) = (it.view, it.usual, it.tolerated);
                told[1] = announced;
            }
        }
        9..=13 => {
            let rate = match step.odd % 5 {
                0 => 0,
                1 => crate::message::MAX_RATE - u64::from(a % 3),
                2 => u64::from(a % 10),
                _ => u64::from(a % 20_000),
            };
            if let Some((it, announced)) = same!(store, sums, now, key, pulse, pulse(rate)) {
                seen.view = it.view;
                told[0] = announced;
            }
        }
        14..=17 => {
            let it = Weigh {
                sender,
                usual,
                tolerated: beyond.then_some(tolerated),
            };
            if let Some((it, announced)) = same!(store, sums, now, key, weigh, it) {
                seen.view = it.view;
                (seen.usual, seen.tolerated) = (it.usual.sums, it.tolerated.sums);
                told[0] = announced;
            }
        }
        18 => {
            let claim = |sums: Sums| Claim {
                excursion: sums.excursion.max(1),
                failures: sums.failures.max(1) + u64::from(step.odd == 13),
                surprise: sums.surprise,
            };
            let it = Trip {
                sender,
                epoch,
                at_ms: seen.view.at_ms,
                usual: claim(seen.usual),
                tolerated: beyond.then(|| claim(seen.tolerated)),
                wait_ms: 1 + a % 2_000,
            };
            if let Some((it, announced)) = same!(store, sums, now, key, trip, it) {
                seen.view = it.view;
                told[0] = announced;
            }
        }
        19..=20 => {
            let rate = u64::from(b % 30_000);
            let check = step.odd.is_multiple_of(4);
            let it = AskLease {
                sender,
                epoch,
                rate,
                check,
                wait_ms: 1 + a % 2_000,
            };
            if let Some((it, announced)) = same!(store, sums, now, key, lease, it) {
                seen.view = it.view;
                seen.turn = it.lease.map_or(seen.turn, |it| it.turn);
                told[0] = announced;
            }
        }
        21..=22 => {
            let next = if a.is_multiple_of(2) {
                AfterProbe::Ramp {
                    share: 1 + b % SHARE,
                }
            } else {
                AfterProbe::Turn {
                    wait_ms: 1 + b % 2_000,
                }
            };
            let it = ProbeResult {
                sender,
                epoch,
                turn: seen.turn.max(1),
                next,
            };
            if let Some((it, announced)) = same!(store, sums, now, key, result, it) {
                seen.view = it.view;
                told[0] = announced;
            }
        }
        23..=26 => {
            let (good, bad) = (a % 100, b % 4);
            let it = Round {
                sender,
                number,
                epoch,
                round,
                good,
                bad,
            };
            if let Some((it, announced)) = same!(store, sums, now, key, round, it) {
                seen.view = it.view;
                told[0] = announced;
            }
        }
        _ => {
            let next = match a % 4 {
                0 => AfterRound::Close,
                1 => AfterRound::Open {
                    wait_ms: 1 + b % 2_000,
                },
                _ => AfterRound::Round {
                    share: 1 + b % SHARE,
                },
            };
            let it = Step {
                sender,
                epoch,
                round,
                next,
            };
            if let Some((it, announced)) = same!(store, sums, now, key, step, it) {
                seen.view = it.view;
                told[0] = announced;
            }
        }
    }
    Ok(told)
}
