//! Measures a row.

use std::hint::{self, black_box};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode, Throughput};

use crate::subject::{CALLS_A_WINDOW, Subject, Work};

pub(crate) type Group<'a> = BenchmarkGroup<'a, WallTime>;

/// Which calls fail: the last one in each group of this many.
#[derive(Clone, Copy)]
pub(crate) struct Failing {
    one_in: u64,
}

impl Failing {
    pub(crate) const NONE: Self = Self { one_in: u64::MAX };
    pub(crate) const ONE_PERCENT: Self = Self { one_in: 100 };
    pub(crate) const ALL: Self = Self { one_in: 1 };

    /// The work of the first call.
    pub(crate) fn first(self) -> Work {
        Work::that_fails(self.one_in == 1)
    }
}

/// Measures one thread's successes, or their rejections.
pub(crate) fn row<S: Subject>(group: &mut Group<'_>, variant: &str, subject: S) {
    let name = format!("{}{variant}", S::NAME);
    one_thread(group, &name, subject, Failing::NONE);
}

pub(crate) fn flat<'a>(criterion: &'a mut Criterion, name: &str) -> Group<'a> {
    let mut group = criterion.benchmark_group(name);
    group.sampling_mode(SamplingMode::Flat);
    group
}

/// A group with few samples. Each sample starts threads, and the time in which not all of them run
/// must not count.
pub(crate) fn flat_of_threads<'a>(criterion: &'a mut Criterion, name: &str) -> Group<'a> {
    let mut group = flat(criterion, name);
    group
        .sample_size(300)
        .measurement_time(Duration::from_secs(2))
        .throughput(Throughput::Elements(1));
    group
}

/// Calls by one thread.
pub(crate) fn one_thread<S: Subject>(
    group: &mut Group<'_>,
    name: &str,
    mut subject: S,
    failing: Failing,
) {
    let admits = S::admitted(&subject.call(failing.first()));
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|calls| time_of_one(&mut subject, calls, failing));
    });
    assert_same_state(&mut subject, failing, admits);
}

/// Measures calls by several threads at once. The time of a call is the total time divided by the
/// calls of all threads. So it halves with twice the threads if they don't slow each other down.
pub(crate) fn all_threads<S: Subject>(
    group: &mut Group<'_>,
    variant: &str,
    subject: &S,
    failing: Failing,
) {
    let mut probe = subject.clone();
    let admits = S::admitted(&probe.call(failing.first()));
    for threads in thread_counts() {
        let name = format!("{}{variant}/{threads}", S::NAME);
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|calls| time_of_all(subject, threads, calls, failing) / threads);
        });
    }
    assert_same_state(&mut probe, failing, admits);
}

fn assert_same_state<S: Subject>(subject: &mut S, failing: Failing, admitted: bool) {
    let admits = S::admitted(&subject.call(failing.first()));
    assert_eq!(admits, admitted, "{} has changed its state", S::NAME);
}

/// 1, 2, 4 and so on up to the machine's cores, and the number of cores.
fn thread_counts() -> impl Iterator<Item = u32> {
    let cores = thread::available_parallelism().map_or(1, |cores| {
        u32::try_from(cores.get()).expect("fewer cores than that")
    });
    let powers = (0..u32::BITS).map(|shift| 1 << shift);
    powers
        .take_while(move |&threads| threads < cores)
        .chain([cores])
}

/// Makes this many calls.
///
/// It isn't inlined, so all groups run equal machine code, with the call inlined in one place.
#[inline(never)]
pub(crate) fn call_repeatedly<S: Subject>(subject: &mut S, calls: u64, failing: Failing) {
    let mut number = 0;
    for _ in 0..calls {
        number += 1;
        let fails = number == failing.one_in;
        if fails {
            number = 0;
        }
        // By reference, so the reply must exist as a whole, but isn't copied.
        black_box(&subject.call(Work::that_fails(fails)));
    }
}

/// Makes calls, and empties the window after every `calls_a_window` of them.
pub(crate) fn call_and_empty<S: Subject>(
    subject: &mut S,
    calls: u64,
    failing: Failing,
    calls_a_window: u64,
) {
    let mut left = calls;
    while left > 0 {
        let batch = left.min(calls_a_window);
        subject.empty_window();
        call_repeatedly(subject, batch, failing);
        left -= batch;
    }
}

/// The time that one thread needs for its calls.
pub(crate) fn time_of_one<S: Subject>(subject: &mut S, calls: u64, failing: Failing) -> Duration {
    let begin = Instant::now();
    call_and_empty(subject, calls, failing, CALLS_A_WINDOW);
    begin.elapsed()
}

/// The time from the begin of the first thread to the end of the last one. Each makes `calls`
/// calls.
fn time_of_all<S: Subject>(subject: &S, threads: u32, calls: u64, failing: Failing) -> Duration {
    let arrived = &AtomicU32::new(0);
    let spans: Vec<(Instant, Instant)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                let mut subject = subject.clone();
                scope.spawn(move || {
                    // A library's work per thread isn't part of the time.
                    call_and_empty(&mut subject, 1, failing, 1);
                    // The threads spin, because threads that are woken one by one don't start
                    // together.
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

/// Returns the result of `time`, while another thread repeats `meanwhile`.
pub(crate) fn beside(
    mut meanwhile: impl FnMut() + Send,
    time: impl FnOnce() -> Duration,
) -> Duration {
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
