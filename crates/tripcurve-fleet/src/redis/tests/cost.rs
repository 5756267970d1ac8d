//! What members cost a server. The guide gives these figures.

use super::server::Server;
use super::{RedisStore, key, pulse, runtime};
use crate::message::{Alternative, Member, Report, Sender};
use crate::store::Store;

const MEMBERS: u32 = 1_000;

/// What a server has spent: microseconds of a core, bytes read and bytes written.
fn spent(server: &Server) -> [f64; 3] {
    let sum = |section: &str, names: &[&str]| -> f64 {
        let text = server.run(&format!("INFO {section}"));
        let values = text.lines().filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            names.contains(&name).then(|| value.parse::<f64>().unwrap())
        });
        values.sum()
    };
    [
        1e6 * sum("cpu", &["used_cpu_sys", "used_cpu_user"]),
        sum("stats", &["total_net_input_bytes"]),
        sum("stats", &["total_net_output_bytes"]),
    ]
}

/// Lets each member send a message. Checks the bytes of a message and of its answer.
async fn check(server: &Server, what: &str, [read, written]: [f64; 2], send: impl AsyncFn(u64)) {
    let before = spent(server);
    for member in 0..MEMBERS {
        send(member.into()).await;
    }
    let after = spent(server);
    let each = [0, 1, 2].map(|it| (after[it] - before[it]) / f64::from(MEMBERS));
    println!(
        "a {what}: {:.0} µs, {:.0} bytes, and {:.0} of the answer",
        each[0], each[1], each[2]
    );
    assert!(each[1] < read && each[2] < written, "{what}: {each:?}");
}

#[test]
#[ignore = "needs redis-server"]
fn messages_have_at_most_the_bytes_that_the_guide_gives() {
    let server = Server::start();
    runtime().block_on(async {
        let store = RedisStore::open(&server.address).unwrap();
        let key = key("cost");
        check(&server, "pulse", [400.0, 100.0], async |member| {
            store.pulse(&key, &pulse(member)).await.unwrap();
        })
        .await;
        check(&server, "report", [500.0, 200.0], async |member| {
            let report = Report {
                sender: Sender::new(Member(member)),
                number: 1,
                failures: 1,
                surprise: 600,
                spread_ms: 0,
                usual: [(-78_904, 19_661), (-33_477, 39_322), (-3_362, 62_259)]
                    .map(|(gain, share)| Alternative { gain, share }),
                tolerated: Some(Alternative {
                    gain: 45_393,
                    share: 16_368,
                }),
            };
            store.report(&key, &report).await.unwrap();
        })
        .await;
    });
}
