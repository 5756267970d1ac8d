//! The script against the sums: answers, announcements and what is kept.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::*;
use crate::message::{FleetView, Sums};
use crate::sums::stored::Stored;
use crate::sums::{Applied, FleetSums};

#[test]
#[ignore = "needs redis-server"]
fn the_script_computes_what_the_sums_do() {
    let (runtime, server) = (runtime(), Server::start());
    let (store, time) = runtime.block_on(async { with_time(&server) });
    let cases = AtomicU64::new(0);
    let test = |steps: Vec<Drawn>| {
        let name = format!("case-{}", cases.fetch_add(1, Ordering::Relaxed));
        runtime.block_on(compare(&store, &time, &key(&name), &steps))
    };
    let steps = prop::collection::vec(drawn(), 1..120);
    TestRunner::default().run(&steps, test).unwrap();
}

/// Numbers from which a message is made that fits the state.
#[derive(Clone, Copy, Debug)]
struct Drawn {
    wait: u64,
    act: u8,
    member: u64,
    numbers: [u32; 3],
    odd: u8,
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let wait = prop_oneof![
        6 => Just(0),
        20 => 0..700_u64,
        4 => 0..70_000_u64,
        1 => prop_oneof![Just(60_000_u64), Just(120_000), 3_500_000..3_700_000_u64],
    ];
    // The largest is an odd number that no honest member has.
    let member = prop_oneof![20 => 0..9_u64, 1 => Just(u64::MAX)];
    (wait, 0..28_u8, member, any::<[u32; 3]>(), 0..60_u8).prop_map(
        |(wait, act, member, numbers, odd)| Drawn {
            wait,
            act,
            member,
            numbers,
            odd,
        },
    )
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
                prop_assert_eq!(&found, &answer, "{:?}", it);
                Some((found, announced))
            }
            (Err(StoreError::Refused(found)), Err(expected)) => {
                // The member checks all but the time before it sends.
                prop_assert_eq!((found.name, found.value), (expected.name, expected.value));
                None
            }
            (found, expected) => {
                prop_assert!(false, "{it:?}: {found:?}, expected {expected:?}");
                None
            }
        }
    }};
}

async fn compare(
    store: &RedisStore,
    time: &AtomicU64,
    key: &FleetKey,
    steps: &[Drawn],
) -> Result<(), TestCaseError> {
    let mut announcements = store.announcements("suite").await.unwrap();
    let mut sums = FleetSums::default();
    let mut now = START;
    let mut seen = Seen::default();
    for (number, step) in (1..).zip(steps) {
        now += step.wait;
        // Now and then the clock goes back.
        let at = if step.odd == 1 { now - 500 } else { now };
        time.store(at, Ordering::Relaxed);
        let told = apply(store, key, &mut sums, at, &mut seen, number, *step).await?;
        for view in told.into_iter().flatten() {
            let next = poll_fn(|context| Pin::new(&mut announcements).poll_next(context));
            let next = next.await.unwrap();
            prop_assert_eq!((&*next.key, next.view), (key.as_str(), view));
        }
    }
    let kept = stored(store, key).await;
    // A first message that was refused has left no key.
    if sums != FleetSums::default() {
        prop_assert_eq!(kept, sums.stored());
    }
    Ok(())
}

/// Where the script keeps which table of rates is the newer.
const NEWER: usize = 28;

async fn stored(store: &RedisStore, key: &FleetKey) -> Stored {
    let mut connection = match &store.connection {
        Connection::Single(connection, _) => connection.clone(),
        #[cfg(feature = "cluster")]
        Connection::Cluster(_) => panic!("one server"),
    };
    let mut tables: Vec<BTreeMap<String, String>> = Vec::new();
    for end in ["", ":m", ":a", ":b"] {
        let table = ::redis::cmd("HGETALL")
            .arg(format!("{}{end}", key.as_str()))
            .to_owned();
        tables.push(table.query_async(&mut connection).await.unwrap());
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
    Stored {
        numbers,
        holders: text("h"),
        worst: text("w"),
        entries,
        rates: if newer == 0 { [a, b] } else { [b, a] },
    }
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
) -> Result<[Option<FleetView>; 2], TestCaseError> {
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
                usual: usual[0],
                tolerated: beyond.then_some(tolerated[0]),
            };
            if let Some((it, announced)) = same!(store, sums, now, key, report, it) {
                (seen.view, seen.usual, seen.tolerated) = (it.view, it.usual, it.tolerated);
                told[0] = announced;
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

#[test]
#[ignore = "needs redis-server"]
fn the_script_holds_as_many_members_as_the_sums() {
    runtime().block_on(async {
        let server = Server::start();
        let (store, _) = with_time(&server);
        let (key, mut sums) = (key("many"), FleetSums::default());
        let usual = [Alternative {
            gain: -78_903,
            share: 19_661,
        }; 4];
        for member in 0..2_100 {
            let sender = Sender::new(Member(member));
            let it = Report {
                sender,
                number: 1,
                failures: 1,
                surprise: 2_048,
                spread_ms: 0,
                usual: usual[0],
                tolerated: None,
            };
            let expected = sums.report(&it, START).unwrap().answer;
            assert_eq!(store.report(&key, &it).await.unwrap(), expected, "{member}");
            if member == 2_047 {
                let it = Weigh {
                    sender,
                    usual,
                    tolerated: None,
                };
                let expected = sums.weigh(&it, START).unwrap().answer;
                assert_eq!(expected.usual.failing, 2_048);
                assert_eq!(store.weigh(&key, &it).await.unwrap(), expected);
            }
        }
    });
}

#[test]
#[ignore = "needs redis-server"]
fn the_script_has_the_caps_of_the_sums() {
    runtime().block_on(async {
        let server = Server::start();
        let (store, _) = with_time(&server);
        let (key, mut sums) = (key("caps"), FleetSums::default());
        // Twelve members announce more calls than are counted.
        for member in 0..12 {
            let rate = crate::message::MAX_RATE;
            let it = Pulse {
                rate,
                ..pulse(member)
            };
            let expected = sums.pulse(&it, START).unwrap().answer;
            assert_eq!(store.pulse(&key, &it).await.unwrap(), expected);
            assert_eq!(expected.counted, member < 10);
        }
        // One reports more failures than are counted.
        for number in 1..=400 {
            let outage = Alternative {
                gain: -78_903,
                share: 19_661,
            };
            let it = Report {
                sender: Sender::new(Member(1)),
                number,
                failures: 255,
                surprise: 255 * 2_048,
                spread_ms: 0,
                usual: outage,
                tolerated: Some(outage),
            };
            let expected = sums.report(&it, START).unwrap().answer;
            assert_eq!(store.report(&key, &it).await.unwrap(), expected);
        }
        assert_eq!(stored(&store, &key).await, sums.stored());
    });
}
