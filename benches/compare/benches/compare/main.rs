//! tripcurve beside its peers and beside the limit, on the same work.
//!
//! Run through `cargo bench` in the root; `src/bin/table` makes the tables and the chart of
//! BENCHMARKS.md from what is left in `target/criterion`. What each row does and leaves out stands
//! at its type.

mod limit;
mod ours;
mod peers;
mod subject;

use std::hint::{self, black_box};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{
    BenchmarkGroup, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};

use limit::{ClockRead, Increment, PrivateIncrement, RelaxedLoad};
use ours::{Call, CallAsync, TryAcquire};
use peers::{
    CircuitbreakerRs, CircuitbreakerRsAsync, Failsafe, FailsafeAsync, Recloser, RecloserAsync,
    TowerResilience,
};
use subject::{
    CALLS_A_WINDOW, Many, Observed, Rules, Settings, Subject, WINDOW_CALLS, Window, Work,
};

type Group<'a> = BenchmarkGroup<'a, WallTime>;

// The variants of tripcurve that differ in their settings alone. Those of a group that has only one
// of them stand there.

/// For those who would rather have the memory: all threads write to the same bucket.
const ONE_SHARD: Settings = Settings {
    shards: Some(1),
    ..Settings::USUAL
};

/// Of a breaker that gets more calls than its buckets count one by one.
const FULL_BUCKET: Settings = Settings {
    fills: true,
    ..Settings::USUAL
};

/// For those who would rather not read the clock: a thread reads it once a millisecond.
const COARSE_CLOCK: Settings = Settings {
    coarse_clock: true,
    ..Settings::USUAL
};

/// As long as recloser's.
const COUNT_WINDOW: Settings = Settings {
    window: Window::Calls(WINDOW_CALLS),
    ..Settings::USUAL
};

/// Which calls fail: one in so many, the last of them.
#[derive(Clone, Copy)]
struct Failing {
    one_in: u64,
}

impl Failing {
    const NONE: Self = Self { one_in: u64::MAX };
    const ONE_PERCENT: Self = Self { one_in: 100 };
    const ALL: Self = Self { one_in: 1 };
}

/// A success through a closed breaker.
fn closed(criterion: &mut Criterion) {
    let mut group = flat(criterion, "closed");
    row(&mut group, "", Call::closed(&Settings::USUAL));
    row(&mut group, "", TryAcquire::closed(&Settings::USUAL));
    row(&mut group, "", CallAsync::closed(&Settings::USUAL));
    row(&mut group, "/coarse_clock", Call::closed(&COARSE_CLOCK));
    row(
        &mut group,
        "/coarse_clock",
        TryAcquire::closed(&COARSE_CLOCK),
    );
    row(&mut group, "/count_window", Call::closed(&COUNT_WINDOW));
    row(&mut group, "/full_bucket", Call::closed(&FULL_BUCKET));
    row(&mut group, "", RelaxedLoad::closed(&Settings::USUAL));
    row(&mut group, "", ClockRead::closed(&Settings::USUAL));
    row(&mut group, "", PrivateIncrement::closed(&Settings::USUAL));
    row(&mut group, "", Recloser::closed(&Settings::USUAL));
    row(&mut group, "", Failsafe::closed(&Settings::USUAL));
    row(&mut group, "", TowerResilience::closed(&Settings::USUAL));
    row(&mut group, "", CircuitbreakerRs::closed(&Settings::USUAL));
    group.finish();
}

/// A success through a closed breaker that judges the last so many calls.
fn count_window(criterion: &mut Criterion) {
    fn row<S: Subject>(group: &mut Group<'_>) {
        for calls in [100, 1_000] {
            let settings = Settings {
                window: Window::Calls(calls),
                ..Settings::USUAL
            };
            let name = format!("{}/{calls}", S::NAME);
            one_thread(group, &name, S::closed(&settings), Failing::NONE);
        }
    }

    let mut group = flat(criterion, "count_window");
    row::<Call>(&mut group);
    row::<Increment>(&mut group);
    row::<Recloser>(&mut group);
    row::<TowerResilience>(&mut group);
    group.finish();
}

/// Calls through a closed breaker that stays closed, of which none, some or all fail.
fn failing(criterion: &mut Criterion) {
    /// With the usual rules, which a failure in a hundred doesn't satisfy.
    fn some<S: Subject>(group: &mut Group<'_>, variant: &str, settings: &Settings) {
        for (share, failing) in [
            ("none", Failing::NONE),
            ("one_percent", Failing::ONE_PERCENT),
        ] {
            let name = format!("{}{variant}/{share}", S::NAME);
            one_thread(group, &name, S::closed(settings), failing);
        }
    }
    fn all<S: Subject>(group: &mut Group<'_>, variant: &str, settings: &Settings) {
        let name = format!("{}/all{variant}", S::NAME);
        one_thread(group, &name, S::closed(settings), Failing::ALL);
    }
    fn row<S: Subject>(group: &mut Group<'_>) {
        some::<S>(group, "", &Settings::USUAL);
        all::<S>(group, "", &Settings::OUT_OF_REACH);
    }

    let mut group = flat(criterion, "failing");
    row::<Call>(&mut group);
    // Not all: a rule about the calls of a full window is never out of reach when all of them fail.
    some::<Call>(&mut group, "/count_window", &COUNT_WINDOW);
    row::<PrivateIncrement>(&mut group);
    row::<Recloser>(&mut group);
    row::<Failsafe>(&mut group);
    row::<TowerResilience>(&mut group);
    row::<CircuitbreakerRs>(&mut group);

    // How the cost of a failure grows. One thing differs from the row `tripcurve/all`.
    for buckets in [1, 60, 600] {
        let settings = Settings {
            window: Window::Time { buckets },
            ..Settings::OUT_OF_REACH
        };
        all::<Call>(&mut group, &format!("/buckets_{buckets}"), &settings);
    }
    for shards in [1, 8, 64] {
        let settings = Settings {
            shards: Some(shards),
            ..Settings::OUT_OF_REACH
        };
        all::<Call>(&mut group, &format!("/shards_{shards}"), &settings);
    }
    for policies in [1, 8, 32] {
        let settings = Settings {
            rules: Rules::OutOfReach { policies },
            ..Settings::OUT_OF_REACH
        };
        all::<Call>(&mut group, &format!("/policies_{policies}"), &settings);
    }
    group.finish();
}

/// A call that an open breaker rejects.
fn open(criterion: &mut Criterion) {
    let mut group = flat(criterion, "open");
    row(&mut group, "", Call::open(&Settings::USUAL));
    row(&mut group, "", TryAcquire::open(&Settings::USUAL));
    row(&mut group, "", CallAsync::open(&Settings::USUAL));
    row(&mut group, "/full_bucket", Call::open(&FULL_BUCKET));
    row(&mut group, "", RelaxedLoad::open(&Settings::USUAL));
    row(&mut group, "", ClockRead::open(&Settings::USUAL));
    row(&mut group, "", Recloser::open(&Settings::USUAL));
    row(&mut group, "", Failsafe::open(&Settings::USUAL));
    row(&mut group, "", TowerResilience::open(&Settings::USUAL));
    row(&mut group, "", CircuitbreakerRs::open(&Settings::USUAL));
    group.finish();
}

/// The same by several threads through one breaker.
fn rejected(criterion: &mut Criterion) {
    fn row<S: Subject>(group: &mut Group<'_>, variant: &str, settings: &Settings) {
        all_threads(group, variant, &S::open(settings), Failing::NONE);
    }

    let mut group = flat_of_threads(criterion, "rejected");
    row::<Call>(&mut group, "", &Settings::USUAL);
    row::<Call>(&mut group, "/one_shard", &ONE_SHARD);
    row::<ClockRead>(&mut group, "", &Settings::USUAL);
    row::<Recloser>(&mut group, "", &Settings::USUAL);
    row::<Failsafe>(&mut group, "", &Settings::USUAL);
    row::<CircuitbreakerRs>(&mut group, "", &Settings::USUAL);
    // Not tower-resilience: whoever finds its mutex taken sleeps for a millisecond, on tokio's timer.
    group.finish();
}

/// A success through a closed breaker, of a future that is ready when it is first polled.
fn futures(criterion: &mut Criterion) {
    fn row<S: Subject>(group: &mut Group<'_>, name: &str) {
        one_thread(group, name, S::closed(&Settings::USUAL), Failing::NONE);
    }

    let mut group = flat(criterion, "async");
    row::<CallAsync>(&mut group, CallAsync::NAME);
    row::<Call>(&mut group, "tripcurve/call");
    row::<PrivateIncrement>(&mut group, PrivateIncrement::NAME);
    row::<RecloserAsync>(&mut group, RecloserAsync::NAME);
    row::<FailsafeAsync>(&mut group, FailsafeAsync::NAME);
    row::<TowerResilience>(&mut group, TowerResilience::NAME);
    row::<CircuitbreakerRsAsync>(&mut group, CircuitbreakerRsAsync::NAME);
    group.finish();
}

/// Calls of several threads through one closed breaker.
fn contended(criterion: &mut Criterion) {
    fn row<S: Subject>(group: &mut Group<'_>, variant: &str, settings: &Settings) {
        all_threads(group, variant, &S::closed(settings), Failing::NONE);
    }
    fn all_fail<S: Subject>(group: &mut Group<'_>) {
        let subject = S::closed(&Settings::OUT_OF_REACH);
        all_threads(group, "/all_fail", &subject, Failing::ALL);
    }

    let mut group = flat_of_threads(criterion, "contended");
    row::<Call>(&mut group, "", &Settings::USUAL);
    row::<Call>(&mut group, "/one_shard", &ONE_SHARD);
    row::<Call>(&mut group, "/count_window", &COUNT_WINDOW);
    row::<Call>(&mut group, "/full_bucket", &FULL_BUCKET);
    all_fail::<Call>(&mut group);
    row::<PrivateIncrement>(&mut group, "", &Settings::USUAL);
    row::<Recloser>(&mut group, "", &Settings::USUAL);
    all_fail::<Recloser>(&mut group);
    row::<Failsafe>(&mut group, "", &Settings::USUAL);
    row::<TowerResilience>(&mut group, "", &Settings::USUAL);
    row::<CircuitbreakerRs>(&mut group, "", &Settings::USUAL);
    group.finish();
}

/// A success through one of many closed breakers, which isn't in the nearest cache.
fn many_breakers(criterion: &mut Criterion) {
    let mut group = flat(criterion, "many_breakers");
    row(&mut group, "", Many::<Call>::closed(&Settings::USUAL));
    row(&mut group, "/one_shard", Many::<Call>::closed(&ONE_SHARD));
    row(
        &mut group,
        "",
        Many::<PrivateIncrement>::closed(&Settings::USUAL),
    );
    row(&mut group, "", Many::<Recloser>::closed(&Settings::USUAL));
    row(&mut group, "", Many::<Failsafe>::closed(&Settings::USUAL));
    row(
        &mut group,
        "",
        Many::<TowerResilience>::closed(&Settings::USUAL),
    );
    row(
        &mut group,
        "",
        Many::<CircuitbreakerRs>::closed(&Settings::USUAL),
    );
    group.finish();
}

/// A reader of one closed breaker and a writer, each with and without the other.
fn snapshot_while_writing(criterion: &mut Criterion) {
    fn row<S: Observed>(group: &mut Group<'_>) {
        let name = |variant| format!("{}{variant}", S::NAME);
        let breaker = S::closed(&Settings::USUAL);

        let mut reader = breaker.clone();
        group.bench_function(name("/snapshot_alone"), |bencher| {
            bencher.iter_custom(|times| time_of_snapshots(&mut reader, times));
        });
        group.bench_function(name("/snapshot"), |bencher| {
            bencher.iter_custom(|times| {
                beside(writer(breaker.clone()), || {
                    time_of_snapshots(&mut reader, times)
                })
            });
        });

        let mut writer = breaker.clone();
        group.bench_function(name("/record_alone"), |bencher| {
            bencher.iter_custom(|calls| time_of_one(&mut writer, calls, Failing::NONE));
        });
        group.bench_function(name("/record"), |bencher| {
            bencher.iter_custom(|calls| {
                let mut reader = breaker.clone();
                let read = move || drop(black_box(reader.snapshot()));
                beside(read, || time_of_one(&mut writer, calls, Failing::NONE))
            });
        });
    }
    /// Makes a hundred calls more each time, and empties the window as often as the others.
    fn writer<S: Subject>(mut subject: S) -> impl FnMut() + Send {
        const BATCH: u64 = 100;
        let mut calls = 0;
        move || {
            if calls % CALLS_A_WINDOW == 0 {
                subject.empty_window();
            }
            call_repeatedly(&mut subject, BATCH, Failing::NONE);
            calls += BATCH;
        }
    }

    let mut group = flat(criterion, "snapshot_while_writing");
    row::<Call>(&mut group);
    row::<TowerResilience>(&mut group);
    row::<CircuitbreakerRs>(&mut group);
    group.finish();
}

/// Successes by one thread, or what becomes of them.
fn row<S: Subject>(group: &mut Group<'_>, variant: &str, subject: S) {
    let name = format!("{}{variant}", S::NAME);
    one_thread(group, &name, subject, Failing::NONE);
}

fn flat<'a>(criterion: &'a mut Criterion, name: &str) -> Group<'a> {
    let mut group = criterion.benchmark_group(name);
    group.sampling_mode(SamplingMode::Flat);
    group
}

/// A sample starts threads, and the moment in which not all of them run must not count.
fn flat_of_threads<'a>(criterion: &'a mut Criterion, name: &str) -> Group<'a> {
    let mut group = flat(criterion, name);
    group
        .sample_size(300)
        .measurement_time(Duration::from_secs(2))
        .throughput(Throughput::Elements(1));
    group
}

/// Calls by one thread.
fn one_thread<S: Subject>(group: &mut Group<'_>, name: &str, mut subject: S, failing: Failing) {
    let admits = S::admitted(&subject.call(Work::SUCCEEDS));
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|calls| time_of_one(&mut subject, calls, failing));
    });
    assert_same_state(&mut subject, admits);
}

/// Calls by several threads at once. The time of a call is the time of all divided by the calls of
/// all, so it halves with twice the threads where they don't hinder each other.
fn all_threads<S: Subject>(group: &mut Group<'_>, variant: &str, subject: &S, failing: Failing) {
    let mut probe = subject.clone();
    let admits = S::admitted(&probe.call(Work::SUCCEEDS));
    for threads in thread_counts() {
        let name = format!("{}{variant}/{threads}", S::NAME);
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|calls| time_of_all(subject, threads, calls, failing) / threads);
        });
    }
    assert_same_state(&mut probe, admits);
}

fn assert_same_state<S: Subject>(subject: &mut S, admitted: bool) {
    let admits = S::admitted(&subject.call(Work::SUCCEEDS));
    assert_eq!(admits, admitted, "{} has changed its state", S::NAME);
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

/// Calls `calls` times.
///
/// Not inlined, so that all groups run the same machine code, with the call inlined in one place.
#[inline(never)]
fn call_repeatedly<S: Subject>(subject: &mut S, calls: u64, failing: Failing) {
    let mut number = 0;
    for _ in 0..calls {
        number += 1;
        let fails = number == failing.one_in;
        if fails {
            number = 0;
        }
        // By reference: the reply has to be there as a whole, but nothing is copied.
        black_box(&subject.call(Work::that_fails(fails)));
    }
}

/// The same, and empties the window each time it has got `calls_a_window` more.
fn call_and_empty<S: Subject>(subject: &mut S, calls: u64, failing: Failing, calls_a_window: u64) {
    let mut left = calls;
    while left > 0 {
        let batch = left.min(calls_a_window);
        subject.empty_window();
        call_repeatedly(subject, batch, failing);
        left -= batch;
    }
}

/// The time that one thread takes.
fn time_of_one<S: Subject>(subject: &mut S, calls: u64, failing: Failing) -> Duration {
    let begin = Instant::now();
    call_and_empty(subject, calls, failing, CALLS_A_WINDOW);
    begin.elapsed()
}

/// From the moment the first of `threads` threads begins to the moment the last has made its
/// `calls` calls.
fn time_of_all<S: Subject>(subject: &S, threads: u32, calls: u64, failing: Failing) -> Duration {
    let arrived = &AtomicU32::new(0);
    let spans: Vec<(Instant, Instant)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                let mut subject = subject.clone();
                scope.spawn(move || {
                    // What a library does once per thread isn't part of the time.
                    call_and_empty(&mut subject, 1, failing, 1);
                    // Spins, because threads that are woken one by one don't begin together.
                    arrived.fetch_add(1, Ordering::Relaxed);
                    while arrived.load(Ordering::Relaxed) < threads {
                        hint::spin_loop();
                    }
                    let calls_a_window = CALLS_A_WINDOW / u64::from(threads);
                    let begin = Instant::now();
                    call_and_empty(&mut subject, calls, failing, calls_a_window);
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

fn time_of_snapshots<S: Observed>(subject: &mut S, times: u64) -> Duration {
    let begin = Instant::now();
    for _ in 0..times {
        black_box(&subject.snapshot());
    }
    begin.elapsed()
}

/// What `time` answers while another thread does `meanwhile` again and again.
fn beside(mut meanwhile: impl FnMut() + Send, time: impl FnOnce() -> Duration) -> Duration {
    let (begun, ended) = (&AtomicBool::new(false), &AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                meanwhile();
                begun.store(true, Ordering::Relaxed);
            }
        });
        while !begun.load(Ordering::Relaxed) {
            hint::spin_loop();
        }
        let time = time();
        ended.store(true, Ordering::Relaxed);
        time
    })
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
    targets =
        closed,
        count_window,
        failing,
        open,
        rejected,
        futures,
        contended,
        many_breakers,
        snapshot_while_writing,
}
criterion_main!(benches);
