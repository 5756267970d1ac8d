//! Tests with a real server, which `apt-get install redis-server` installs.
//!
//! They are ignored unless they are asked for: `cargo test -p tripcurve-fleet -- --include-ignored`.

mod server;

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::runtime::{Builder, Runtime};

use super::*;
use crate::key::Meaning;
use crate::message::{AfterProbe, AfterRound, Alternative, Claim, FleetView, Sender, Sums};
use crate::message::{FleetState, SHARE};
use crate::sums::stored::Stored;
use crate::sums::{Applied, FleetSums};
use server::Server;

const START: u64 = 1_790_000_000_000;

/// The one place where the script reads the time.
const TIME: &str = "time[1] * 1000 + floor(time[2] / 1000)";

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn key(name: &str) -> FleetKey {
    FleetKey::new("suite", "", name, Meaning::new(Some(0.25), None, ""))
}

/// A store whose script takes the time from its last argument.
fn with_time(server: &Server) -> (RedisStore, Arc<AtomicU64>) {
    over(Connection::single(&server.address).unwrap())
}

fn over(connection: Connection) -> (RedisStore, Arc<AtomicU64>) {
    assert_eq!(SCRIPT.matches(TIME).count(), 1);
    let script = SCRIPT.replace(TIME, "tonumber(ARGV[#ARGV])");
    let mut store = RedisStore::with_script(connection, &script);
    let time = Arc::new(AtomicU64::new(START));
    store.time = Some(Arc::clone(&time));
    (store, time)
}

struct Stage {
    server: Server,
    store: RedisStore,
    time: Arc<AtomicU64>,
}

impl crate::suite::Stage for Stage {
    type Store = RedisStore;

    fn store(&self) -> &RedisStore {
        &self.store
    }

    async fn advance(&self, ms: u64) {
        self.time.fetch_add(ms, Ordering::Relaxed);
    }

    async fn clear(&self) {
        self.server.run("FLUSHALL");
    }
}

#[test]
#[ignore = "needs redis-server"]
fn the_redis_store_passes_the_suite() {
    runtime().block_on(async {
        let server = Server::start();
        let (store, time) = with_time(&server);
        crate::suite::check(&Stage {
            server,
            store,
            time,
        })
        .await;
    });
}

#[cfg(feature = "cluster")]
#[test]
#[ignore = "needs redis-server"]
fn the_store_of_a_cluster_passes_the_suite() {
    let folder = Folder::new("cluster");
    let server = Server::start_with(&["--cluster-enabled", "yes", "--dir", folder.path()]);
    server.run("CLUSTER ADDSLOTSRANGE 0 16383");
    while !server.run("CLUSTER INFO").contains("cluster_state:ok") {
        std::thread::yield_now();
    }
    runtime().block_on(async {
        let (store, time) = over(Connection::cluster(&[&server.address]).unwrap());
        crate::suite::check(&Stage {
            server,
            store,
            time,
        })
        .await;
    });
}

#[test]
#[ignore = "needs redis-server"]
fn the_user_of_the_readme_may_do_all_that_a_store_does() {
    let server = Server::start();
    let mut lines = include_str!("../../README.md").lines();
    let user = lines.find(|line| line.starts_with("ACL SETUSER")).unwrap();
    server.run(user);
    let address = server
        .address
        .replace("redis://", "redis://tripcurve:PASSWORD@");
    runtime().block_on(async {
        let (store, time) = over(Connection::single(&address).unwrap());
        crate::suite::check(&Stage {
            server,
            store,
            time,
        })
        .await;
    });
}

/// The test starts itself again as the process that trusts the server's certificate.
#[cfg(feature = "tls")]
#[test]
#[ignore = "needs redis-server and openssl"]
fn a_server_is_reached_over_tls() {
    const ADDRESS: &str = "TRIPCURVE_FLEET_TEST_ADDRESS";
    if let Ok(address) = std::env::var(ADDRESS) {
        let pulsed = runtime().block_on(async {
            let store = RedisStore::open(&address).unwrap();
            store.announcements("suite").await.unwrap();
            store.pulse(&key("tls"), &pulse(1)).await
        });
        assert_eq!(pulsed.unwrap().view.members, 1);
        return;
    }
    let folder = Folder::new("tls");
    let [config, cert, secret] = ["config", "cert", "key"].map(|it| folder.file(it));
    let text = "[req]\ndistinguished_name=n\nx509_extensions=x\nprompt=no\n[n]\nCN=test\n\
        [x]\nbasicConstraints=critical,CA:FALSE\nsubjectAltName=IP:127.0.0.1\n";
    std::fs::write(&config, text).unwrap();
    let made = std::process::Command::new("openssl")
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-config", &config,
        ])
        .args(["-keyout", &secret, "-out", &cert])
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    // The one port speaks TLS.
    let files = [
        "--tls-cert-file",
        &cert,
        "--tls-key-file",
        &secret,
        "--tls-ca-cert-file",
        &cert,
    ];
    let server = Server::start_tls(&files);
    let address = format!("rediss://127.0.0.1:{}/", server.port);
    let run = |certificates: &str| {
        let test = std::env::current_exe().unwrap();
        std::process::Command::new(test)
            .args([
                "--exact",
                "redis::tests::a_server_is_reached_over_tls",
                "--include-ignored",
            ])
            .env(ADDRESS, &address)
            .env("SSL_CERT_FILE", certificates)
            .output()
            .unwrap()
    };
    let trusting = run(&cert);
    assert!(
        trusting.status.success(),
        "{}",
        String::from_utf8_lossy(&trusting.stdout)
    );
    assert!(
        !run("/dev/null").status.success(),
        "a certificate that nobody trusts"
    );
}

/// A folder that is deleted after the test.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("tripcurve-fleet-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    fn file(&self, name: &str) -> String {
        format!("{}/{name}", self.path())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

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
                it if it % 3 == 0 => 1 + a % 255,
                _ => 1 + a % 3,
            };
            let it = Report {
                sender,
                number,
                failures,
                surprise: failures * (b % 2_049) + u32::from(step.odd == 12) * 2_048,
                spread_ms: if step.odd % 4 == 0 { c % 60_001 } else { 0 },
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
            let check = step.odd % 4 == 0;
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
            let next = if a % 2 == 0 {
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

/// Each number just inside and just outside its bounds.
#[test]
#[ignore = "needs redis-server"]
fn the_script_checks_the_bounds_that_the_messages_have() {
    runtime().block_on(async {
        let server = Server::start();
        let (store, _) = with_time(&server);
        let sender = Sender::new(Member(1));
        let outage = Alternative { gain: 0, share: 1 };
        let claim = Claim {
            excursion: 1,
            failures: 1,
            surprise: 0,
        };
        let (epoch, wait_ms) = (0, 1);
        check_bounds(
            &store,
            &Report {
                sender,
                number: 1,
                failures: 1,
                surprise: 0,
                spread_ms: 0,
                usual: outage,
                tolerated: None,
            },
        )
        .await;
        check_bounds(
            &store,
            &Weigh {
                sender,
                usual: [outage; 4],
                tolerated: None,
            },
        )
        .await;
        check_bounds(
            &store,
            &Pulse {
                sender,
                rate: 0,
                normal: 0,
            },
        )
        .await;
        check_bounds(
            &store,
            &Trip {
                sender,
                epoch,
                at_ms: 0,
                usual: claim,
                tolerated: None,
                wait_ms,
            },
        )
        .await;
        check_bounds(
            &store,
            &AskLease {
                sender,
                epoch,
                rate: 0,
                check: false,
                wait_ms,
            },
        )
        .await;
        for next in [AfterProbe::Turn { wait_ms }, AfterProbe::Ramp { share: 1 }] {
            check_bounds(
                &store,
                &ProbeResult {
                    sender,
                    epoch,
                    turn: 1,
                    next,
                },
            )
            .await;
        }
        check_bounds(
            &store,
            &Round {
                sender,
                number: 1,
                epoch,
                round: 1,
                good: 0,
                bad: 0,
            },
        )
        .await;
        let open = AfterRound::Open { wait_ms };
        for next in [AfterRound::Close, open, AfterRound::Round { share: 1 }] {
            check_bounds(
                &store,
                &Step {
                    sender,
                    epoch,
                    round: 1,
                    next,
                },
            )
            .await;
        }
        let unknown = store
            .send(&key("bounds"), "unknown", Member(1), std::iter::empty())
            .await;
        assert_eq!(unknown.unwrap_err().code(), Some("UNKNOWN"));
    });
}

async fn check_bounds<M: Message>(store: &RedisStore, it: &M) {
    let key = key("bounds");
    let fields = all_fields(it);
    for (at, field) in fields.iter().enumerate() {
        let inside = match field.name {
            // Decides on the bounds of the next number.
            "good" | "next" if field.most < 3 => [field.value; 2],
            // A higher one needs a state.
            "sender.epoch" => [0; 2],
            _ => [field.least, field.most],
        };
        let outside = [field.least - 1, field.most + 1];
        for value in inside.into_iter().chain(outside) {
            let mut values: Vec<_> = fields.iter().map(|field| field.value).collect();
            values[at] = value;
            let values = values.into_iter();
            let answer = store.send(&key, M::NAME, Member(1), values).await;
            let inside = (field.least..=field.most).contains(&value);
            let found = answer.map_err(|error| error.code().map(str::to_owned));
            match found {
                Ok(_) => assert!(inside, "{}: {} is {value}", M::NAME, field.name),
                Err(code) => {
                    assert_eq!(
                        code.as_deref(),
                        Some("REFUSED"),
                        "{}: {}",
                        M::NAME,
                        field.name
                    );
                    assert!(!inside, "{}: {} is {value}", M::NAME, field.name);
                }
            }
        }
    }
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

fn pulse(member: u64) -> Pulse {
    Pulse {
        sender: Sender::new(Member(member)),
        rate: 1_000,
        normal: 655,
    }
}

#[test]
#[ignore = "needs redis-server"]
fn the_time_is_that_of_the_server_and_keys_expire() {
    runtime().block_on(async {
        let server = Server::start();
        let store = RedisStore::open(&server.address).unwrap();
        let key = key("time");
        let first = store.pulse(&key, &pulse(1)).await.unwrap().view;
        let second = store.pulse(&key, &pulse(2)).await.unwrap().view;
        assert!(second.at_ms >= first.at_ms && first.at_ms > 1_700_000_000_000);
        let seconds: u64 = server
            .run(&format!("TTL {}", key.as_str()))
            .parse()
            .unwrap();
        assert!((3_500..=3_600).contains(&seconds), "{seconds}");
    });
}

#[test]
#[ignore = "needs redis-server"]
fn a_script_that_the_server_forgot_is_loaded_again() {
    runtime().block_on(async {
        let server = Server::start();
        let store = RedisStore::open(&server.address).unwrap();
        for member in 1..4 {
            let pulsed = store.pulse(&key("script"), &pulse(member)).await.unwrap();
            assert_eq!(pulsed.view.members, member);
            server.run("SCRIPT FLUSH");
        }
    });
}

#[test]
#[ignore = "needs redis-server"]
fn a_server_that_hangs_or_is_gone_is_unavailable_until_it_is_back() {
    runtime().block_on(async {
        let mut server = Server::start();
        let store = RedisStore::open(&server.address).unwrap();
        let key = key("gone");
        store.pulse(&key, &pulse(1)).await.unwrap();
        let mut announcements = store.announcements("suite").await.unwrap();
        server.stop();
        let unanswered = store.pulse(&key, &pulse(1)).await;
        assert!(
            matches!(unanswered, Err(StoreError::Unavailable(_))),
            "{unanswered:?}"
        );
        server.kill();
        let gone = store.pulse(&key, &pulse(1)).await;
        assert!(matches!(gone, Err(StoreError::Unavailable(_))), "{gone:?}");
        let end = poll_fn(|context| Pin::new(&mut announcements).poll_next(context)).await;
        assert_eq!(end, None);
        assert!(store.announcements("suite").await.is_err());
        server.restart();
        while store.pulse(&key, &pulse(1)).await.is_err() {
            tokio::task::yield_now().await;
        }
        store.announcements("suite").await.unwrap();
    });
}

#[test]
#[ignore = "needs redis-server"]
fn an_answer_that_makes_no_sense_is_garbled() {
    runtime().block_on(async {
        let server = Server::start();
        for (script, garbled) in [
            ("return {1, 2}", true),
            ("return {0,0,65537,0,0,0,0,0,0,0,0,1,1}", true),
            ("return 'text'", false),
            ("return redis.error_reply('READONLY no')", false),
        ] {
            let connection = Connection::single(&server.address).unwrap();
            let store = RedisStore::with_script(connection, script);
            let answer = store.pulse(&key("garbled"), &pulse(1)).await;
            match answer {
                Err(StoreError::Garbled(_)) => assert!(garbled, "{script}"),
                Err(StoreError::Unavailable(_)) => assert!(!garbled, "{script}"),
                other => panic!("{script}: {other:?}"),
            }
        }
    });
}
