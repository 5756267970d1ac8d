//! The cost of a snapshot, for the reader and for the callers.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use criterion::Criterion;

use crate::LATENCY;
use crate::measure::{Failing, Group, beside, call_and_empty, call_repeatedly, flat, time_of_one};
use crate::ours::{Call, Reusing};
use crate::peers::{CircuitbreakerRs, TowerResilience};
use crate::subject::{CALLS_A_WINDOW, Observed, Settings, Subject};

/// A reader and a writer of one closed breaker, each with and without the other.
pub(crate) fn snapshot_while_writing(criterion: &mut Criterion) {
    let mut group = flat(criterion, "snapshot_while_writing");
    rows_beside_a_monitor::<Call>(&mut group, "", &Settings::USUAL);
    rows_beside_a_monitor::<Reusing>(&mut group, "/latency", &LATENCY);
    rows(&mut group, "", &TowerResilience::closed(&Settings::USUAL));
    rows(&mut group, "", &CircuitbreakerRs::closed(&Settings::USUAL));
    group.finish();
}

fn rows<S: Observed>(group: &mut Group<'_>, variant: &str, breaker: &S) {
    let name = |what| format!("{}{variant}/{what}", S::NAME);
    let (mut reader, mut recorder) = (breaker.clone(), breaker.clone());
    // A breaker in use: a window that has grown and is full takes longer to read.
    call_and_empty(&mut recorder, CALLS_A_WINDOW, Failing::NONE, CALLS_A_WINDOW);

    group.bench_function(name("snapshot_alone"), |bencher| {
        bencher.iter_custom(|times| time_of_snapshots(&mut reader, times));
    });
    group.bench_function(name("snapshot"), |bencher| {
        bencher.iter_custom(|times| {
            beside(writer(breaker.clone()), || {
                time_of_snapshots(&mut reader, times)
            })
        });
    });
    group.bench_function(name("record_alone"), |bencher| {
        bencher.iter_custom(|calls| time_of_one(&mut recorder, calls, Failing::NONE));
    });
    group.bench_function(name("record"), |bencher| {
        bencher.iter_custom(|calls| {
            let mut reader = breaker.clone();
            let read = move || drop(black_box(reader.snapshot()));
            beside(read, || time_of_one(&mut recorder, calls, Failing::NONE))
        });
    });
}

/// Also measures a writer while a reader takes a snapshot every millisecond. That is as often as
/// any monitor or exporter, and more often than most.
fn rows_beside_a_monitor<S: Observed>(group: &mut Group<'_>, variant: &str, settings: &Settings) {
    const PERIOD: Duration = Duration::from_millis(1);

    let breaker = S::closed(settings);
    rows(group, variant, &breaker);
    let mut recorder = breaker.clone();
    let name = format!("{}{variant}/record_beside_1000_a_second", S::NAME);
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|calls| {
            let mut reader = breaker.clone();
            let mut due = Instant::now();
            // The snapshot comes before the pause, because the measured time begins after a pause.
            // Otherwise a time of two milliseconds would contain only one snapshot.
            let read = move || {
                drop(black_box(reader.snapshot()));
                due += PERIOD;
                thread::sleep(due.saturating_duration_since(Instant::now()));
            };
            beside(read, || time_of_one(&mut recorder, calls, Failing::NONE))
        });
    });
}

/// Makes a hundred calls each time, and empties the window as often as the other rows.
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

fn time_of_snapshots<S: Observed>(subject: &mut S, times: u64) -> Duration {
    let begin = Instant::now();
    for _ in 0..times {
        black_box(&subject.snapshot());
    }
    begin.elapsed()
}
