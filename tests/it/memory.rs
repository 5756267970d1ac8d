//! The memory of a breaker that is built and not called: the bytes on the heap and in the handle.
//! The heap includes the `Arc`'s counts and the policies.
//!
//! The crate `allocation-counter` is this program's allocator. It counts requested bytes, not the
//! system allocator's rounding.

use std::time::Duration;

use tripcurve::recovery::Backoff;
use tripcurve::time::Clock;
use tripcurve::window::{Recording, Window};
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, Recovery, TripPolicy};

/// Measures the bytes on the heap and in the handle, and the number of allocations.
fn measure(what: &str, settings: impl Fn(CircuitBreakerBuilder) -> CircuitBreakerBuilder) -> usize {
    // Values that exist once per process: the clock's origin, the number of cores.
    let clock = Clock::default();
    drop(CircuitBreaker::new("first"));
    let mut breaker = None;
    let heap = allocation_counter::measure(|| {
        let builder = CircuitBreaker::builder("memory").clock(clock.clone());
        breaker = Some(settings(builder).build().unwrap());
    });
    let handle = size_of_val(&breaker.unwrap());
    let bytes = usize::try_from(heap.bytes_current).unwrap() + handle;
    println!("{what}: {bytes} bytes in {} pieces", heap.count_current);
    bytes
}

#[test]
fn a_breaker_with_the_default_window_takes_at_most_4096_bytes() {
    assert!(measure("default", |builder| builder) <= 4_096);
}

/// A builder of a compact breaker with the classic policies.
fn classic(builder: CircuitBreakerBuilder) -> CircuitBreakerBuilder {
    builder.shards(1).trip_when(TripPolicy::classic())
}

#[test]
fn counts_for_eight_threads_take_at_most_six_kibibytes_and_five_with_the_classic_policies() {
    let eight = |builder: CircuitBreakerBuilder| builder.shards(8);
    assert!(measure("default, 8 shards from the start", eight) <= 6_144);
    let eight = |builder| classic(builder).shards(8);
    assert!(measure("classic, 8 shards from the start", eight) <= 5_120);
}

#[test]
fn a_compact_breaker_with_the_classic_policies_takes_at_most_640_bytes() {
    assert!(measure("compact, classic", classic) <= 640);
    let policies = |builder: CircuitBreakerBuilder| {
        builder
            .shards(1)
            .window(Window::time(Duration::from_secs(10), 10))
            .trip_when(TripPolicy::consecutive_failures(5))
            .trip_when(TripPolicy::failure_count(20))
            .trip_when(TripPolicy::failure_rate(0.5))
    };
    assert!(measure("compact, 3 policies", policies) <= 640 + 64);
}

#[test]
fn a_compact_breaker_takes_at_most_1472_bytes() {
    assert!(measure("compact, 10 buckets", |builder| builder.shards(1)) <= 1_472);
}

#[test]
fn an_adaptive_recovery_takes_about_340_bytes_more() {
    let bytes =
        |recovery: Recovery| measure("compact", |builder| classic(builder).recovery(recovery));
    let fixed = bytes(Recovery::fixed(Duration::from_secs(5), 3));
    let more = bytes(Recovery::adaptive()) - fixed;
    assert!((320..=360).contains(&more), "{more}");
}

#[test]
fn open_times_that_grow_take_at_most_128_bytes_more() {
    let bytes = |backoff: Option<Backoff>| {
        measure("compact", |builder| match backoff {
            None => classic(builder),
            Some(backoff) => classic(builder).backoff(backoff),
        })
    };
    let backoff = Backoff::exponential(Duration::from_secs(1), 2.0, Duration::from_secs(60));
    assert!(bytes(Some(backoff)) <= bytes(None) + 128);
}

#[test]
fn a_count_window_takes_half_a_byte_a_call() {
    let bytes = |calls| measure("count", |builder| builder.window(Window::count(calls)));
    let more = bytes(100_000) - bytes(20_000);
    assert!(
        (39_992..=40_008).contains(&more),
        "80,000 calls take {more}"
    );
}

fn slow_rate(builder: CircuitBreakerBuilder) -> CircuitBreakerBuilder {
    builder.trip_when(TripPolicy::slow_rate(0.5).slower_than(Duration::from_secs(2)))
}

/// The bytes of a breaker with this window that records latency, for this many shards.
fn with_latency(recording: Recording, buckets: u32, shards: u32) -> usize {
    let what = format!("{recording:?}, {buckets} buckets, {shards} shards");
    measure(&what, |builder| {
        builder
            .window(Window::time(Duration::from_secs(60), buckets))
            .latency(recording)
            .shards(shards)
    })
}

#[test]
fn a_compact_breaker_that_records_latency_takes_at_most_8192_bytes_and_with_slow_calls_9312() {
    let latency = |builder: CircuitBreakerBuilder| builder.latency(Recording::Combined).shards(1);
    assert!(measure("compact, latency", latency) <= 8_192);
    let both = |builder| slow_rate(latency(builder));
    assert!(measure("compact, latency and slow calls", both) <= 9_312);
    let slow = |builder: CircuitBreakerBuilder| slow_rate(builder.shards(1));
    assert!(measure("compact, slow calls", slow) <= 3_280);
}

#[test]
fn a_breaker_for_eight_threads_that_records_latency_takes_at_most_64_kibibytes() {
    // As much as the default on two cores, after the window has grown and eight threads have
    // recorded.
    let latency = |builder: CircuitBreakerBuilder| builder.latency(Recording::Combined).shards(8);
    assert!(measure("8 shards, latency", latency) <= 65_536);
    let both = |builder| slow_rate(latency(builder));
    assert!(measure("8 shards, latency and slow calls", both) <= 65_536);
}

#[test]
fn latency_takes_as_much_as_its_formula_says() {
    // A header, and words of six bins each, for 434 bins.
    let words = |recording| {
        1 + if recording == Recording::ByOutcome {
            146
        } else {
            73
        }
    };
    for recording in [Recording::Combined, Recording::ByOutcome] {
        let bucket = 8 * words(recording);
        // The histograms that all threads share, plus 24 bytes per bucket for counts.
        let more = with_latency(recording, 50, 1) - with_latency(recording, 10, 1);
        let expected = 40 * (bucket + 24);
        assert!(more.abs_diff(expected) <= 128, "{more}, not {expected}");
        // As much for each thread, plus 16 bytes per bucket for its own counts.
        let more = with_latency(recording, 10, 40) - with_latency(recording, 10, 8);
        let expected = 32 * 10 * (bucket + 16);
        // Each thread's part begins on a new line, and a few words refer to it.
        let rest = more.checked_sub(expected);
        assert!(
            rest.is_some_and(|rest| rest <= 32 * 320),
            "{more}, not {expected}"
        );
    }
}

#[test]
fn latency_of_a_count_window_takes_2_bytes_a_call() {
    let count = |calls| {
        let what = format!("count of {calls}, latency");
        measure(&what, |builder| {
            let builder = builder.latency(Recording::ByOutcome);
            builder.window(Window::count(calls))
        })
    };
    let more = count(100_000) - count(20_000);
    let expected = 80_000 * 5 / 2;
    assert!(more.abs_diff(expected) <= 16, "{more}, not {expected}");
}

// Other features or words of another size make a breaker smaller.
#[cfg(all(
    target_pointer_width = "64",
    feature = "async",
    feature = "bulkhead",
    feature = "fleet",
    feature = "metrics",
    feature = "tracing"
))]
#[test]
fn each_form_of_a_breaker_takes_the_bytes_that_the_table_says() {
    type Settings = fn(CircuitBreakerBuilder) -> CircuitBreakerBuilder;
    const LATENCY: Recording = Recording::Combined;

    /// The table under "Memory" in BENCHMARKS.md: what stands in a row, and its bytes.
    fn published() -> Vec<(String, usize)> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/BENCHMARKS.md");
        let page = std::fs::read_to_string(path).unwrap();
        let (_, table) = page.split_once("| breaker | bytes |").unwrap();
        let rows = table.trim_start().lines().skip(1);
        let rows = rows.take_while(|line| line.starts_with("| "));
        rows.filter_map(|row| {
            let (what, bytes) = row
                .strip_prefix("| ")?
                .strip_suffix(" |")?
                .split_once(" | ")?;
            Some((what.to_owned(), bytes.replace(',', "").parse().ok()?))
        })
        .collect()
    }

    let forms: [Settings; 14] = [
        |builder| builder.shards(1),
        |builder| builder.shards(1).latency(LATENCY),
        classic,
        |builder| classic(builder).recovery(Recovery::adaptive()),
        |builder| {
            let (base, longest) = (Duration::from_secs(1), Duration::from_secs(60));
            classic(builder).backoff(Backoff::exponential(base, 2.0, longest))
        },
        |builder| {
            builder
                .shards(1)
                .window(Window::time(Duration::from_secs(10), 10))
                .trip_when(TripPolicy::consecutive_failures(5))
                .trip_when(TripPolicy::failure_count(20))
                .trip_when(TripPolicy::failure_rate(0.5))
        },
        |builder| slow_rate(builder.shards(1)),
        |builder| slow_rate(builder.shards(1).latency(LATENCY)),
        |builder| builder.shards(8),
        |builder| builder.shards(8).latency(LATENCY),
        |builder| classic(builder).shards(8),
        |builder| slow_rate(builder.shards(8).latency(LATENCY)),
        |builder| builder.window(Window::count(20_000)),
        |builder| builder.window(Window::count(20_000)).latency(LATENCY),
    ];
    let published = published();
    assert!(published.len() >= forms.len(), "{published:?}");
    let measured = published.iter().zip(forms).map(|((what, _), form)| {
        let bytes = measure(what, form);
        (what.clone(), bytes)
    });
    assert_eq!(measured.collect::<Vec<_>>(), published[..forms.len()]);
}

/// The bytes that a registry needs for each of `keys` breakers, in addition to the breaker's own.
#[cfg(feature = "registry")]
fn beside_each(what: &str, keys: u32, capacity: Option<usize>) -> f64 {
    use tripcurve::registry::Registry;

    let compact = || classic(CircuitBreaker::builder("memory"));
    let alone = measure("compact", classic);
    let registry = Registry::<u64>::builder(compact());
    let registry = match capacity {
        Some(capacity) => registry.capacity(capacity),
        None => registry,
    };
    let registry = registry.build().unwrap();
    let heap = allocation_counter::measure(|| {
        for key in 0..keys {
            registry.get_or_create(&key.into());
        }
    });
    assert_eq!(registry.len(), keys as usize);
    let beside = heap.bytes_current - i64::from(keys) * i64::try_from(alone).unwrap();
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    let beside = beside as f64 / f64::from(keys);
    println!("{what}, {keys} keys: {beside:.1} bytes beside each breaker");
    beside
}

#[cfg(feature = "registry")]
#[test]
fn the_breakers_of_a_registry_take_at_most_640_bytes_each_and_their_places_little() {
    const KEYS: u32 = 100_000;

    // The breaker's bytes include the handle, which is in its entry here.
    assert!(measure("compact", classic) <= 640);
    assert!(beside_each("no capacity", KEYS, None) <= 48.0);
    assert!(beside_each("capacity", KEYS, Some(KEYS as usize)) <= 72.0);
}

#[cfg(feature = "registry")]
#[test]
fn what_a_registry_drops_is_freed() {
    use tripcurve::registry::Registry;

    let template = CircuitBreaker::builder("memory").shards(1);
    let registry = Registry::<u64>::builder(template).capacity(100);
    let registry = registry.build().unwrap();
    let heap = allocation_counter::measure(|| {
        for key in 0..20_000_u64 {
            registry.get_or_create(&key);
        }
    });
    let bytes = heap.bytes_current;
    println!("100 of 20,000 keys: {bytes} bytes");
    assert!(bytes <= 200_000, "{bytes}");
}

#[cfg(feature = "registry")]
#[test]
fn a_flood_of_failing_keys_takes_little_memory_and_spares_an_open_breaker_in_use() {
    use tripcurve::State;
    use tripcurve::registry::Registry;

    const CAPACITY: usize = 10_000;
    const KEYS: u32 = 80_000;
    // The slack for breakers that count something, and a sixteenth for those with a second chance.
    const MOST: usize = CAPACITY + 2 * (CAPACITY / 16) + 100;

    let clock = Clock::mock().0;
    // One bucket is read faster than ten.
    let window = Window::time(Duration::from_secs(60), 1);
    let template = classic(CircuitBreaker::builder("memory").window(window));
    let template = template.clock(clock);
    let registry = Registry::<u64>::builder(template).capacity(CAPACITY);
    let registry = registry.build().unwrap();
    let in_use = u64::MAX;
    registry
        .get_or_create(&in_use)
        .trip(Duration::from_secs(3_600));
    let keys = crate::effort::share_of(KEYS).max(KEYS / 4);
    let heap = allocation_counter::measure(|| {
        for key in 0..u64::from(keys) {
            registry
                .get_or_create(&key)
                .try_acquire()
                .unwrap()
                .failure();
            if key % 100 == 0 {
                assert_eq!(registry.get_or_create(&in_use).state(), State::Open);
            }
            assert!(registry.len() <= MOST, "{}", registry.len());
        }
    });
    // A breaker, its entry, and the reserve of the map and the queue.
    let most = u64::try_from(MOST * 784).unwrap();
    println!("{} keys: {} bytes", registry.len(), heap.bytes_current);
    assert!(heap.bytes_max <= most, "{heap:?}");
    assert_eq!(registry.get_or_create(&in_use).state(), State::Open);
}

#[cfg(feature = "registry")]
#[test]
fn a_registry_that_is_dropped_leaves_nothing_behind() {
    use tripcurve::registry::{ControlGroup, Registry};

    // Values that exist once per thread.
    drop(Registry::<u64>::builder(CircuitBreaker::builder("first")).build());
    let heap = allocation_counter::measure(|| {
        let group = ControlGroup::new();
        let registry = Registry::<u64>::builder(CircuitBreaker::builder("memory"))
            .capacity(100)
            .control_group(&group)
            .build()
            .unwrap();
        for key in 0..1_000 {
            registry.get_or_create(&key);
        }
        group.isolate();
    });
    println!("{} left", heap.count_current);
    assert_eq!(heap.count_current, 0);
}

#[test]
fn a_breaker_that_is_dropped_leaves_nothing_behind() {
    let listening = || {
        CircuitBreaker::builder(String::from("memory"))
            .on_transition(|_| {})
            .build()
            .unwrap()
    };
    // What a thread has once: it tells listeners.
    listening().reset();
    let heap = allocation_counter::measure(|| {
        let breaker = listening();
        breaker.on_transition(|_| {}).remove();
        let permit = breaker.clone().try_acquire_owned();
        breaker.reset();
        drop(permit);
    });
    assert_eq!(heap.count_current, 0);
}

#[cfg(feature = "async")]
#[test]
fn callers_that_may_wait_take_at_most_256_bytes_more() {
    let bytes = |waiting: Option<u32>| {
        measure("compact", |builder| match waiting {
            None => builder.shards(1),
            Some(calls) => builder.shards(1).max_waiting(calls),
        })
    };
    // A million waiting calls take no more than one.
    assert!(bytes(Some(1_000_000)) <= bytes(None) + 256);
}

#[test]
fn a_thousand_reconfigurations_leave_nothing_behind() {
    let second = Duration::from_secs(1);
    // Each configuration has all parts that a breaker can have, and another window.
    let settings = |number: u32| {
        CircuitBreaker::builder("memory")
            .window(Window::time(10 * second, 10 + number % 2))
            .trip_when(TripPolicy::adaptive().slower_than(second))
            .recovery(Recovery::adaptive().backoff(Backoff::exponential(
                second,
                2.0,
                (60 + number % 2) * second,
            )))
            .max_retry_after((1 + number % 2) * second)
            .latency(Recording::ByOutcome)
            .shards(2)
    };
    let breaker = settings(0).build().unwrap();
    let reconfigure = |number: u32| {
        let held = breaker.try_acquire().unwrap();
        breaker.reconfigure(settings(number)).unwrap();
        held.success();
        breaker.call(|| Ok::<_, ()>(())).unwrap();
    };
    // The first reconfigurations leave a replacement for the built parts, and this thread's place
    // among the readers.
    for number in 1..=2 {
        reconfigure(number);
    }
    let heap = allocation_counter::measure(|| (3..=1_002).for_each(reconfigure));
    assert!(heap.count_total > 10_000, "{heap:?}");
    assert_eq!((heap.bytes_current, heap.count_current), (0, 0));
}
