//! The script of the fleet's store computes what the sums in Rust do, whatever members send.
//!
//! It needs `redis-server`, and starts one on a free port of loopback.
#![no_main]

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::LazyLock;

use arbitrary::{Result, Unstructured};
use libfuzzer_sys::{Corpus, fuzz_target};
use tokio::runtime::{Builder, Runtime};
use tripcurve_fleet::__fuzz::{Comparison, Drawn, Failed};

const LONGEST_RUN: usize = 120;

fuzz_target!(|data: &[u8]| -> Corpus {
    let Ok(steps) = steps(&mut Unstructured::new(data)) else {
        return Corpus::Reject;
    };
    let stage = &*STAGE;
    match stage.runtime.block_on(stage.comparison.run(&steps)) {
        Ok(()) => Corpus::Keep,
        Err(Failed::Unavailable) => Corpus::Reject,
        Err(Failed::Differs(how)) => panic!("{how}\nafter {steps:#?}"),
    }
});

/// The numbers from which messages are made. Most stand close to what honest members send.
fn steps(bytes: &mut Unstructured<'_>) -> Result<Vec<Drawn>> {
    let mut steps = Vec::new();
    while !bytes.is_empty() && steps.len() < LONGEST_RUN {
        steps.push(Drawn {
            wait: match bytes.int_in_range(0..=31_u8)? {
                0..=5 => 0,
                6..=26 => bytes.int_in_range(0..=699)?,
                27..=29 => bytes.int_in_range(0..=69_999)?,
                30 => *bytes.choose(&[60_000, 120_000])?,
                _ => bytes.int_in_range(3_500_000..=3_700_000)?,
            },
            act: bytes.int_in_range(0..=27)?,
            member: match bytes.int_in_range(0..=20_u8)? {
                20 => u64::MAX,
                _ => bytes.int_in_range(0..=8)?,
            },
            numbers: bytes.arbitrary()?,
            odd: bytes.int_in_range(0..=59)?,
        });
    }
    Ok(steps)
}

struct Stage {
    runtime: Runtime,
    comparison: Comparison,
    /// The server ends when this is closed, however the fuzzer ends.
    _lifeline: ChildStdin,
}

static STAGE: LazyLock<Stage> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let (lifeline, address) = (0..10)
        .find_map(|_| start())
        .expect("redis-server starts on a free port; `apt-get install redis-server` installs it");
    let comparison = runtime.block_on(async { Comparison::new(&address) });
    Stage {
        runtime,
        comparison,
        _lifeline: lifeline,
    }
});

/// Starts a server that ends with this process. Returns `None` if another process took its port.
fn start() -> Option<(ChildStdin, String)> {
    // The port is free again when the listener is dropped.
    let port = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
    let port = port.unwrap().port();
    let script =
        format!("redis-server --port {port} --bind 127.0.0.1 --save '' & cat >/dev/null; kill $!");
    let mut process = Command::new("sh")
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lifeline = process.stdin.take()?;
    let mut lines = BufReader::new(process.stdout.take()?).lines();
    let mut lines = lines.by_ref().map_while(std::io::Result::ok);
    if !lines.any(|line| line.contains("Ready to accept connections")) {
        return None;
    }
    Some((lifeline, format!("redis://127.0.0.1:{port}/")))
}
