//! Compares tripcurve with its peers and with the limit, on equal work.
//!
//! Run it with `cargo bench` in the root. `src/bin/table` makes the tables and the chart of
//! BENCHMARKS.md from the results in `target/criterion`. The documentation of each row's type says
//! what the row does and leaves out.

mod limit;
mod measure;
mod ours;
mod peers;
mod seatbelt;
mod snapshots;
mod subject;

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};

use limit::{
    ClockRead, Increment, PrivateIncrement, RelaxedLoad, TwoClockReads, TwoPrivateIncrements,
};
use measure::{Failing, Group, all_threads, flat, flat_of_threads, one_thread, row};
use ours::{Call, CallAsync, TryAcquire};
use peers::{
    CircuitbreakerRs, CircuitbreakerRsAsync, Failsafe, FailsafeAsync, Recloser, RecloserAsync,
    TowerResilience,
};
use seatbelt::Seatbelt;
use snapshots::snapshot_while_writing;
use subject::{Many, Rules, Settings, Subject, Timing, WINDOW_CALLS, Window};

// The variants of tripcurve that differ only in settings. A variant that only one group has is
// defined in that group.

/// Saves memory: all threads write to one bucket.
const ONE_SHARD: Settings = Settings {
    shards: Some(1),
    ..Settings::USUAL
};

/// A breaker with more calls than its buckets count one by one.
const FULL_BUCKET: Settings = Settings {
    fills: true,
    ..Settings::USUAL
};

/// Avoids clock readings: a thread reads the clock once a millisecond.
const COARSE_CLOCK: Settings = Settings {
    coarse_clock: true,
    ..Settings::USUAL
};

/// Records the durations of calls.
const LATENCY: Settings = Settings {
    timing: Timing::Histogram,
    ..Settings::USUAL
};

/// A window as long as recloser's.
const COUNT_WINDOW: Settings = Settings {
    window: Window::Calls(WINDOW_CALLS),
    ..Settings::USUAL
};

/// Trips by evidence instead of thresholds.
const ADAPTIVE: Settings = Settings {
    rules: Rules::Evidence,
    ..Settings::USUAL
};

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
    row(&mut group, "/adaptive", Call::closed(&ADAPTIVE));
    row(&mut group, "/count_window", Call::closed(&COUNT_WINDOW));
    row(&mut group, "/full_bucket", Call::closed(&FULL_BUCKET));
    row(&mut group, "", RelaxedLoad::closed(&Settings::USUAL));
    row(&mut group, "", ClockRead::closed(&Settings::USUAL));
    row(&mut group, "", PrivateIncrement::closed(&Settings::USUAL));
    row(&mut group, "", Recloser::closed(&Settings::USUAL));
    row(&mut group, "", Failsafe::closed(&Settings::USUAL));
    row(&mut group, "", TowerResilience::closed(&Settings::USUAL));
    row(&mut group, "", CircuitbreakerRs::closed(&Settings::USUAL));
    row(&mut group, "", Seatbelt::closed(&Settings::USUAL));
    group.finish();
}

/// A success through a closed breaker that measures durations.
fn closed_latency(criterion: &mut Criterion) {
    const BY_OUTCOME: Settings = Settings {
        timing: Timing::HistogramsByOutcome,
        ..Settings::USUAL
    };
    const SLOW_RATE: Settings = Settings {
        timing: Timing::SlowRate,
        ..Settings::USUAL
    };
    const ADAPTIVE_SLOW: Settings = Settings {
        timing: Timing::SlowRate,
        ..ADAPTIVE
    };
    const ALL: Settings = Settings {
        timing: Timing::All,
        ..Settings::USUAL
    };
    /// The variant of another group, with a histogram.
    const fn with_histogram(settings: Settings) -> Settings {
        Settings {
            timing: Timing::Histogram,
            ..settings
        }
    }

    let mut group = flat(criterion, "closed_latency");
    row(&mut group, "", Call::closed(&LATENCY));
    row(&mut group, "", TryAcquire::closed(&LATENCY));
    row(&mut group, "", CallAsync::closed(&LATENCY));
    row(&mut group, "/by_outcome", Call::closed(&BY_OUTCOME));
    row(&mut group, "/slow_rate", Call::closed(&SLOW_RATE));
    row(&mut group, "/adaptive", Call::closed(&ADAPTIVE_SLOW));
    row(&mut group, "/all", Call::closed(&ALL));
    for (variant, settings) in [
        ("/coarse_clock", COARSE_CLOCK),
        ("/count_window", COUNT_WINDOW),
        ("/one_shard", ONE_SHARD),
    ] {
        row(&mut group, variant, Call::closed(&with_histogram(settings)));
    }
    row(&mut group, "", TwoClockReads::closed(&Settings::USUAL));
    row(
        &mut group,
        "",
        TwoPrivateIncrements::closed(&Settings::USUAL),
    );
    // It measures no durations. It is the base of the other groups, so it is here, too.
    row(&mut group, "", Recloser::closed(&Settings::USUAL));
    row(&mut group, "", TowerResilience::closed(&SLOW_RATE));
    group.finish();
}

/// A success through a closed breaker that judges the last n calls.
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

/// Calls through a closed breaker that stays closed. None, some or all of them fail.
fn failing(criterion: &mut Criterion) {
    /// With the usual rules, which one failure in a hundred doesn't satisfy.
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
    // Only some fail here. If all calls of a full window fail, they satisfy any rule about them.
    some::<Call>(&mut group, "/count_window", &COUNT_WINDOW);
    // If all calls fail, evidence trips, too.
    some::<Call>(&mut group, "/adaptive", &ADAPTIVE);
    row::<PrivateIncrement>(&mut group);
    row::<Recloser>(&mut group);
    row::<Failsafe>(&mut group);
    row::<TowerResilience>(&mut group);
    row::<CircuitbreakerRs>(&mut group);

    // How the cost of a failure grows. Each row differs from `tripcurve/all` in one setting.
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
    row(&mut group, "", Seatbelt::open(&Settings::USUAL));
    group.finish();
}

/// Calls that an open breaker rejects, by several threads.
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
    // tower-resilience is missing here. A thread that finds its mutex taken sleeps for a
    // millisecond, on tokio's timer.
    group.finish();
}

/// A success through a closed breaker, of a future that is ready at its first poll.
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

criterion_group! {
    name = benches;
    // These settings suit a shared machine. Most samples of two milliseconds fit between two of the
    // scheduler's interrupts. So a neighbour changes the tail and not the median. All rows of a
    // table run within a minute or two, because the machine's speed changes.
    config = Criterion::default()
        .sample_size(500)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(1))
        .nresamples(10_000);
    targets =
        closed,
        closed_latency,
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
