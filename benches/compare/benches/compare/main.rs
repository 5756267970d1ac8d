//! tripcurve beside its peers and beside the limit, on the same work.
//!
//! Run through `cargo bench` in the root; `src/bin/table.rs` makes the tables of BENCHMARKS.md from
//! what is left in `target/criterion`. What each row does and leaves out stands at its type.

mod limit;
mod ours;
mod peers;
mod subject;

use std::hint::{self, black_box};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group,
    criterion_main,
};

use limit::{ClockRead, PrivateIncrement, RelaxedLoad};
use ours::{Call, CallAsync, CountWindow, FullBucket, OneShard, TimeWindow, TryAcquire};
use peers::{CircuitbreakerRs, Failsafe, Recloser, TowerResilience};
use subject::{CALLS_A_WINDOW, Subject, Work};

/// A success through a closed breaker, one thread.
fn closed(criterion: &mut Criterion) {
    fn row<S: Subject>(group: &mut BenchmarkGroup<'_, WallTime>) {
        let mut subject = S::closed();
        group.bench_function(S::NAME, |bencher| {
            bencher.iter_custom(|calls| time_of_one(&mut subject, calls));
        });
        assert!(
            S::admitted(&subject.call(Work::SUCCEEDS)),
            "{} didn't stay closed",
            S::NAME
        );
    }

    let mut group = criterion.benchmark_group("closed");
    group.sampling_mode(SamplingMode::Flat);
    row::<Call<TimeWindow>>(&mut group);
    row::<TryAcquire>(&mut group);
    row::<CallAsync>(&mut group);
    row::<Call<CountWindow>>(&mut group);
    row::<Call<FullBucket>>(&mut group);
    row::<RelaxedLoad>(&mut group);
    row::<ClockRead>(&mut group);
    row::<PrivateIncrement>(&mut group);
    row::<Recloser>(&mut group);
    row::<Failsafe>(&mut group);
    row::<TowerResilience>(&mut group);
    row::<CircuitbreakerRs>(&mut group);
    group.finish();
}

/// A call that an open breaker rejects, one thread.
fn open(criterion: &mut Criterion) {
    fn row<S: Subject>(group: &mut BenchmarkGroup<'_, WallTime>) {
        let mut subject = S::open();
        group.bench_function(S::NAME, |bencher| {
            bencher.iter_custom(|calls| time_of_one(&mut subject, calls));
        });
        assert!(
            !S::admitted(&subject.call(Work::SUCCEEDS)),
            "{} didn't stay open",
            S::NAME
        );
    }

    let mut group = criterion.benchmark_group("open");
    group.sampling_mode(SamplingMode::Flat);
    row::<Call<TimeWindow>>(&mut group);
    row::<TryAcquire>(&mut group);
    row::<CallAsync>(&mut group);
    row::<Call<FullBucket>>(&mut group);
    row::<RelaxedLoad>(&mut group);
    row::<ClockRead>(&mut group);
    row::<Recloser>(&mut group);
    row::<Failsafe>(&mut group);
    row::<TowerResilience>(&mut group);
    row::<CircuitbreakerRs>(&mut group);
    group.finish();
}

/// Successes of several threads through one closed breaker. The time of a call is the time of all
/// divided by the calls of all, so it halves with twice the threads where they don't hinder each
/// other.
fn contended(criterion: &mut Criterion) {
    fn row<S: Subject>(group: &mut BenchmarkGroup<'_, WallTime>) {
        let mut subject = S::closed();
        for threads in thread_counts() {
            group.bench_function(BenchmarkId::new(S::NAME, threads), |bencher| {
                bencher.iter_custom(|calls| time_of_all(&subject, threads, calls) / threads);
            });
        }
        assert!(
            S::admitted(&subject.call(Work::SUCCEEDS)),
            "{} didn't stay closed",
            S::NAME
        );
    }

    let mut group = criterion.benchmark_group("contended");
    group.sampling_mode(SamplingMode::Flat);
    // A sample starts threads, and the moment in which not all of them run must not count.
    group
        .sample_size(300)
        .measurement_time(Duration::from_secs(2));
    group.throughput(Throughput::Elements(1));
    row::<Call<TimeWindow>>(&mut group);
    row::<Call<OneShard>>(&mut group);
    row::<Call<CountWindow>>(&mut group);
    row::<Call<FullBucket>>(&mut group);
    row::<PrivateIncrement>(&mut group);
    row::<Recloser>(&mut group);
    row::<Failsafe>(&mut group);
    row::<TowerResilience>(&mut group);
    row::<CircuitbreakerRs>(&mut group);
    group.finish();
}

/// 1, 2, 4 and so on up to the cores of the machine, and their number.
fn thread_counts() -> impl Iterator<Item = u32> {
    let cores = thread::available_parallelism().map_or(1, |cores| {
        u32::try_from(cores.get()).expect("fewer cores than that")
    });
    let powers = (0..u32::BITS).map(|shift| 1 << shift);
    powers
        .take_while(move |&threads| threads < cores)
        .chain([cores])
}

/// Calls `calls` times, and empties the window each time it has got `calls_a_window` more.
///
/// Not inlined, so that all groups run the same machine code, with the call inlined in one place.
#[inline(never)]
fn call_repeatedly<S: Subject>(subject: &mut S, calls: u64, calls_a_window: u64) {
    let mut left = calls;
    while left > 0 {
        let batch = left.min(calls_a_window);
        subject.empty_window();
        for _ in 0..batch {
            // By reference: the reply has to be there as a whole, but nothing is copied.
            black_box(&subject.call(Work::SUCCEEDS));
        }
        left -= batch;
    }
}

/// The time that one thread takes.
fn time_of_one<S: Subject>(subject: &mut S, calls: u64) -> Duration {
    let begin = Instant::now();
    call_repeatedly(subject, calls, CALLS_A_WINDOW);
    begin.elapsed()
}

/// From the moment the first of `threads` threads begins to the moment the last has made its
/// `calls` calls.
fn time_of_all<S: Subject>(subject: &S, threads: u32, calls: u64) -> Duration {
    let arrived = &AtomicU32::new(0);
    let spans: Vec<(Instant, Instant)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                let mut subject = subject.clone();
                scope.spawn(move || {
                    // What a library does once per thread isn't part of the time.
                    call_repeatedly(&mut subject, 1, 1);
                    // Spins, because threads that are woken one by one don't begin together.
                    arrived.fetch_add(1, Ordering::Relaxed);
                    while arrived.load(Ordering::Relaxed) < threads {
                        hint::spin_loop();
                    }
                    let begin = Instant::now();
                    call_repeatedly(&mut subject, calls, CALLS_A_WINDOW / u64::from(threads));
                    (begin, Instant::now())
                })
            })
            .collect();
        let join = |worker: thread::ScopedJoinHandle<'_, _>| worker.join().expect("no call panics");
        workers.into_iter().map(join).collect()
    });
    let begin = spans.iter().map(|span| span.0).min();
    let end = spans.iter().map(|span| span.1).max();
    begin
        .zip(end)
        .map_or(Duration::ZERO, |(begin, end)| end - begin)
}

criterion_group! {
    name = benches;
    // For a shared machine. Samples of two milliseconds: most of them fit between two of the
    // scheduler's, so that a neighbour moves the tail and not the median. And all rows of a table
    // within a minute or two of each other, because the machine changes its pace.
    config = Criterion::default()
        .sample_size(500)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(1))
        .nresamples(10_000);
    targets = closed, open, contended
}
criterion_main!(benches);
