//! What calls pay while the page is open in ten browsers, at 100 breakers.
//!
//! ```text
//! cargo bench --package tripcurve-dashboard
//! ```
//!
//! A thread calls through the breakers in turn. Slices of time with ten open pages alternate with
//! slices without a page. A page is a stream that asks for the details of 40 cards, as a large
//! screen does. The cost of a call is the thread's own processor time. It contains what the sampler
//! does to the caches, but not the time of other threads. It is a ratio of two medians. The
//! last column is what the sampler and the streams take of a core, with the ten readers.
//! `--quick` takes some seconds.

use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tripcurve::CircuitBreaker;
use tripcurve::registry::Roster;
use tripcurve_dashboard::Dashboard;

const BREAKERS: usize = 100;
const PAGES: usize = 10;

/// How long a slice takes. The sampler looks once in each.
const LENGTH: Duration = Duration::from_secs(1);

type Failure = Box<dyn Error + Send + Sync>;

/// The processor time of a thread, by its folder in `/proc`.
fn time_of(thread: &Path) -> Result<Duration, Failure> {
    let stat = fs::read_to_string(thread.join("schedstat"))?;
    let nanos = stat.split(' ').next().unwrap_or_default().parse()?;
    Ok(Duration::from_nanos(nanos))
}

/// The processor time of this thread.
fn thread_time() -> Result<Duration, Failure> {
    time_of(Path::new("/proc/thread-self"))
}

/// The processor time of all threads. None ends during the measurement.
fn process_time() -> Result<Duration, Failure> {
    let mut sum = Duration::ZERO;
    for thread in fs::read_dir("/proc/self/task")? {
        sum += time_of(&thread?.path())?;
    }
    Ok(sum)
}

/// A slice of time: nanoseconds for each call, and the cores that all but the caller took.
#[derive(Clone, Copy)]
struct Slice {
    call: f64,
    others: f64,
}

/// Calls through the breakers for some time.
fn slice(breakers: &[CircuitBreaker]) -> Result<Slice, Failure> {
    let begin = Instant::now();
    let (thread_before, process_before) = (thread_time()?, process_time()?);
    let mut calls = 0_u32;
    while begin.elapsed() < LENGTH {
        for breaker in breakers.iter().cycle().take(10_000) {
            let answer = breaker.call(|| black_box(Ok::<_, ()>(1)));
            black_box(answer).ok();
        }
        calls += 10_000;
    }
    let thread = thread_time()?.saturating_sub(thread_before);
    let process = process_time()?.saturating_sub(process_before);
    let others = process.saturating_sub(thread).as_secs_f64() / begin.elapsed().as_secs_f64();
    Ok(Slice {
        call: thread.as_secs_f64() * 1e9 / f64::from(calls),
        others,
    })
}

/// Opens a page, and reads its stream until the task is aborted.
async fn page(address: SocketAddr) -> Result<(), Failure> {
    let shown: Vec<String> = (1..=40).map(|id| id.to_string()).collect();
    let path = format!("/api/stream?show={}", shown.join(","));
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut buffer = vec![0; 1 << 16];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

async fn serve(router: Router) -> Result<SocketAddr, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() -> Result<(), Failure> {
    let is_quick = std::env::args().any(|it| it == "--quick");
    let pairs = if is_quick { 5 } else { 60 };
    let roster = Roster::new();
    let build = |number| {
        let name = format!("dependency-{number:02}");
        CircuitBreaker::builder(name).enlist(&roster).build()
    };
    let breakers = (0..BREAKERS).map(build).collect::<Result<Vec<_>, _>>()?;
    let runtime = Runtime::new()?;
    let address = runtime.block_on(async { serve(Dashboard::new(&roster).router()).await })?;
    let stop = Arc::new(AtomicBool::new(false));
    // A second thread keeps the counts of the breakers shared.
    let other = {
        let (breakers, stop) = (breakers.clone(), Arc::clone(&stop));
        thread::spawn(move || {
            // Relaxed: the flag guards nothing else.
            while !stop.load(Ordering::Relaxed) {
                for breaker in &breakers {
                    breaker.call(|| Ok::<_, ()>(())).ok();
                }
                thread::sleep(Duration::from_millis(1));
            }
        })
    };
    slice(&breakers)?;
    let (mut closed, mut open) = (Vec::new(), Vec::new());
    for pair in 0..pairs {
        // Each second pair has the other order, so that a drift counts for neither.
        for is_open in [pair % 2 == 0, pair % 2 != 0] {
            let mut pages = Vec::<JoinHandle<_>>::new();
            if is_open {
                pages.extend((0..PAGES).map(|_| runtime.spawn(page(address))));
            }
            thread::sleep(Duration::from_millis(300));
            let slice = slice(&breakers)?;
            let slices = if is_open { &mut open } else { &mut closed };
            slices.push(slice);
            for page in pages {
                page.abort();
            }
        }
    }
    // Relaxed: as above.
    stop.store(true, Ordering::Relaxed);
    other.join().map_err(|_| "the other thread panicked")?;
    let call = |slices: &[Slice]| median(slices.iter().map(|it| it.call));
    let others = |slices: &[Slice]| median(slices.iter().map(|it| it.others));
    let ratios = open
        .iter()
        .zip(&closed)
        .map(|(open, closed)| open.call / closed.call);
    let mut ratios: Vec<f64> = ratios.collect();
    ratios.sort_by(f64::total_cmp);
    let (low, high) = (ratios[ratios.len() / 4], ratios[ratios.len() * 3 / 4]);
    println!("{BREAKERS} breakers, {pairs} pairs of slices of {LENGTH:?}");
    println!("a call without a page      {:.2} ns", call(&closed));
    println!("a call with {PAGES} open pages  {:.2} ns", call(&open));
    println!(
        "ratio                      {:.4}",
        call(&open) / call(&closed)
    );
    println!("ratios of pairs            {low:.4} to {high:.4} (quartiles)");
    let cores = others(&open) - others(&closed);
    println!(
        "sampler and streams        {:.2} % of a core",
        100.0 * cores
    );
    Ok(())
}
