//! tripcurve beside its peers and beside the limit, on the same work.
//!
//! Run through `cargo bench` in the root; `src/bin/table.rs` makes the tables of BENCHMARKS.md from
//! what is left in `target/criterion`. What each row does and leaves out stands at its type.

mod limit;
mod ours;
mod peers;
mod subject;

use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group,
    criterion_main,
};

use limit::{ClockRead, PrivateIncrement, RelaxedLoad};
use ours::{Call, CallAsync, CountWindow, OneShard, TimeWindow, TryAcquire};
use peers::{CircuitbreakerRs, Failsafe, Recloser, TowerResilience};
use subject::{SUCCESS, Subject};

/// A success through a closed breaker, one thread.
fn closed(criterion: &mut Criterion) {
    fn row<S: Subject>(group: &mut BenchmarkGroup<'_, WallTime>) {
        let mut subject = S::closed();
        group.bench_function(S::NAME, |bencher| {
            bencher.iter(|| subject.call(black_box(SUCCESS)));
        });
        assert!(
            S::admitted(&subject.call(SUCCESS)),
            "{} didn't stay closed",
            S::NAME
        );
    }

    let mut group = criterion.benchmark_group("closed");
    row::<Call<TimeWindow>>(&mut group);
    row::<TryAcquire>(&mut group);
    row::<CallAsync>(&mut group);
    row::<Call<CountWindow>>(&mut group);
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
            bencher.iter(|| subject.call(black_box(SUCCESS)));
        });
        assert!(
            !S::admitted(&subject.call(SUCCESS)),
            "{} didn't stay open",
            S::NAME
        );
    }

    let mut group = criterion.benchmark_group("open");
    row::<Call<TimeWindow>>(&mut group);
    row::<TryAcquire>(&mut group);
    row::<CallAsync>(&mut group);
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
            S::admitted(&subject.call(SUCCESS)),
            "{} didn't stay closed",
            S::NAME
        );
    }

    let mut group = criterion.benchmark_group("contended");
    // A sample starts threads, so all samples are made long: the first microseconds, in which not
    // all of them run yet, must not count.
    group.sampling_mode(SamplingMode::Flat);
    group.throughput(Throughput::Elements(1));
    row::<Call<TimeWindow>>(&mut group);
    row::<Call<OneShard>>(&mut group);
    row::<Call<CountWindow>>(&mut group);
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

/// From the moment the first of `threads` threads begins to the moment the last has made its
/// `calls` calls.
fn time_of_all<S: Subject>(subject: &S, threads: u32, calls: u64) -> Duration {
    let started = &Barrier::new(threads as usize);
    let spans: Vec<(Instant, Instant)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                let mut subject = subject.clone();
                scope.spawn(move || {
                    // What a library does once per thread isn't part of the time.
                    black_box(subject.call(SUCCESS));
                    started.wait();
                    let begin = Instant::now();
                    for _ in 0..calls {
                        black_box(subject.call(black_box(SUCCESS)));
                    }
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
    // Shorter than criterion's default, so that all rows of a table are measured within minutes of
    // each other: a shared machine changes its pace.
    config = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3));
    targets = closed, open, contended
}
criterion_main!(benches);
