//! A client that calls with ever other keys.

use super::*;
use tripcurve::TripPolicy;
use tripcurve::registry::Registry;
use tripcurve::window::Window;

/// Calls with so many keys, of which every tenth call fails, and checks the bounds.
fn flood(keys: u64, capacity: usize) {
    // What needs a breaker is at most a sixteenth of the capacity, and as many have a second
    // chance.
    let most = capacity + 2 * (capacity / 16) + 100;
    let (clock, hand) = Clock::mock();
    let template = CircuitBreaker::builder("key")
        .window(Window::time(60 * SECOND, 1))
        .trip_when(TripPolicy::classic())
        .shards(1)
        .clock(clock);
    let registry = Registry::<String>::builder(template).capacity(capacity);
    let registry = registry.build().unwrap();
    let heap = allocation_counter::measure(|| {
        for key in 0..keys {
            hand.advance(MILLI);
            let breaker = registry.get_or_create(&format!("user {key}"));
            let permit = breaker.try_acquire().unwrap();
            match key % 10 {
                0 => permit.failure(),
                _ => permit.success(),
            }
            assert!(registry.len() <= most, "{} breakers", registry.len());
        }
    });
    // A breaker, its entry, its key and the reserve of the map and the queue.
    let bytes = u64::try_from(most * 900).unwrap();
    assert!(heap.bytes_max <= bytes, "{heap:?}");
}

#[test]
fn a_client_with_many_keys_takes_the_memory_of_the_capacity() {
    flood(3_000, 200);
}

#[test]
#[ignore = "some seconds: cargo test --release --all-features --test it -- faults --ignored"]
fn a_client_with_a_million_keys_takes_the_memory_of_the_capacity() {
    flood(1_000_000, 10_000);
}
