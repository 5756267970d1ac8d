//! Tests with a real server, which `apt-get install redis-server` installs.
//!
//! They are ignored unless they are asked for:
//! `cargo test -p tripcurve-fleet -- --include-ignored`.

mod access;
mod against_sums;
mod cost;
#[cfg(any(feature = "cluster", feature = "tls"))]
mod elsewhere;
mod members;
mod refusals;
mod server;

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::runtime::{Builder, Runtime};

use super::compare::{START, key, over};
use super::*;
use crate::message::{AfterProbe, AfterRound, Alternative, Claim, Sender};
use server::Server;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// A store whose script takes the time from its last argument.
fn with_time(server: &Server) -> (RedisStore, Arc<AtomicU64>) {
    over(Connection::single(&server.address).unwrap())
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

/// Each number just inside and just outside its bounds.
#[test]
#[ignore = "needs redis-server"]
#[expect(clippy::too_many_lines)]
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
                usual: [outage; 3],
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
