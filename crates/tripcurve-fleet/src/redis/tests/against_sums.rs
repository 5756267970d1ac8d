//! The script against the sums: answers, announcements and what is kept.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::*;
use crate::redis::compare::{Drawn, compare, stored};
use crate::sums::FleetSums;

#[test]
#[ignore = "needs redis-server"]
fn the_script_computes_what_the_sums_do() {
    let (runtime, server) = (runtime(), Server::start());
    let (store, time) = runtime.block_on(async { with_time(&server) });
    let cases = AtomicU64::new(0);
    let test = |steps: Vec<Drawn>| {
        let name = format!("case-{}", cases.fetch_add(1, Ordering::Relaxed));
        let compared = runtime.block_on(compare(&store, &time, &key(&name), &steps));
        compared.map_err(|failed| TestCaseError::fail(format!("{failed:?}")))
    };
    let steps = prop::collection::vec(drawn(), 1..120);
    TestRunner::default().run(&steps, test).unwrap();
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
            let it = pulse(member);
            let expected = sums.pulse(&it, START).unwrap().answer;
            assert_eq!(store.pulse(&key, &it).await.unwrap(), expected);
            let it = Report {
                sender,
                number: 1,
                failures: 1,
                surprise: 2_048,
                spread_ms: 0,
                usual: [usual[0]; 3],
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
                usual: [outage; 3],
                tolerated: Some(outage),
            };
            let expected = sums.report(&it, START).unwrap().answer;
            assert_eq!(store.report(&key, &it).await.unwrap(), expected);
        }
        assert_eq!(stored(&store, &key).await.unwrap(), sums.stored());
    });
}
