//! Measures one row of the table: one number of keys.

use std::fmt;
use std::hint::black_box;
use std::time::Instant;

use papaya::HashMap;
use tripcurve::error::ConfigError;
use tripcurve::registry::Registry;
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, TripPolicy};

/// The lookups of one sample, which takes at least a millisecond. The result is the median of the
/// samples.
const LOOKUPS: usize = 20_000;
const SAMPLES: usize = 51;
/// How often all breakers are read. The result is the median.
const READINGS: usize = 5;

/// One row. Times are in nanoseconds.
pub(crate) struct Row {
    pub(crate) keys: u32,
    /// Bytes per key: of the breaker, of the map, and of the order in which breakers are dropped.
    breaker: f64,
    map: f64,
    order: f64,
    /// A lookup in a plain map.
    pub(crate) bare: f64,
    /// A lookup of a handle, and its drop.
    pub(crate) of: f64,
    /// A lookup, and the breaker lets a call through.
    pub(crate) admitted: f64,
    /// A lookup, and a successful call.
    pub(crate) recorded: f64,
    /// A snapshot of each breaker, per breaker.
    pub(crate) snapshot: f64,
}

fn template() -> CircuitBreakerBuilder {
    CircuitBreaker::builder("compact")
        .trip_when(TripPolicy::classic())
        .shards(1)
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
fn bytes_of(keys: u32, make: impl FnOnce()) -> f64 {
    allocation_counter::measure(make).bytes_current as f64 / f64::from(keys)
}

pub(crate) fn measure(keys: u32) -> Result<Row, ConfigError> {
    // Each breaker, without the pointer to it, which is in the map.
    let mut alone = Vec::with_capacity(1_000);
    let breaker = bytes_of(1_000, || {
        alone.extend((0..1_000).map(|_| template().build()));
    });
    drop(alone);

    let bounded = Registry::<u32>::builder(template())
        .capacity(keys as usize)
        .build()?;
    let with_order = bytes_of(keys, || {
        (0..keys).for_each(|key| drop(bounded.get_or_create(&key)));
    });
    drop(bounded);
    let registry = Registry::<u32>::builder(template()).build()?;
    let without = bytes_of(keys, || {
        (0..keys).for_each(|key| drop(registry.get_or_create(&key)));
    });

    let bare = HashMap::<u32, [u64; 2]>::new();
    for key in 0..keys {
        bare.pin().insert(key, [0; 2]);
    }
    let keys_in_turn = in_no_order(keys);
    let mut samples: [Vec<f64>; 4] = Default::default();
    for _ in 0..SAMPLES {
        // All samples come within milliseconds, so a change of the machine's speed affects all of
        // them.
        samples[0].push(time_of(&keys_in_turn, |key| {
            black_box(bare.pin().get(key));
        }));
        samples[1].push(time_of(&keys_in_turn, |key| {
            black_box(registry.get_or_create(key));
        }));
        samples[2].push(time_of(&keys_in_turn, |key| {
            // The permit is forgotten, so no outcome is recorded. It owns nothing that could leak.
            std::mem::forget(black_box(registry.get_or_create(key).try_acquire()));
        }));
        samples[3].push(time_of(&keys_in_turn, |key| {
            let _ = black_box(registry.get_or_create(key).call(|| Ok::<_, ()>(())));
        }));
    }
    let [bare, of, admitted, recorded] = samples.map(median);

    let readings = (0..READINGS).map(|_| {
        let begin = Instant::now();
        registry.for_each(|key, snapshot| {
            black_box((key, snapshot));
        });
        nanos_since(begin) / f64::from(keys)
    });
    Ok(Row {
        keys,
        breaker,
        map: without - breaker,
        order: with_order - without,
        bare,
        of,
        admitted,
        recorded,
        snapshot: median(readings.collect()),
    })
}

/// The keys of a sample's lookups, in an order that no processor can predict.
fn in_no_order(keys: u32) -> Vec<u32> {
    // Marsaglia 2003, "Xorshift RNGs".
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        u32::try_from(state >> 32).unwrap_or(0)
    };
    (0..LOOKUPS).map(|_| next() % keys).collect()
}

fn time_of(keys: &[u32], mut lookup: impl FnMut(&u32)) -> f64 {
    let begin = Instant::now();
    keys.iter().for_each(&mut lookup);
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    let lookups = keys.len() as f64;
    nanos_since(begin) / lookups
}

fn nanos_since(begin: Instant) -> f64 {
    begin.elapsed().as_secs_f64() * 1e9
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

impl Row {
    pub(crate) const HEAD: &str = "\
| keys | bytes: breaker | map | order | bare lookup, ns | look up | and admit | ÷ bare | and record | snapshot of each, ns |
|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|";
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            keys,
            breaker,
            map,
            order,
            bare,
            of,
            admitted,
            recorded,
            snapshot,
        } = self;
        let ratio = admitted / bare;
        write!(
            f,
            "| {keys} | {breaker:.0} | {map:.0} | {order:.0} | {bare:.1} | {of:.1} | {admitted:.1} | \
             {ratio:.2} | {recorded:.1} | {snapshot:.0} |"
        )
    }
}
