//! Callers that come while a probe is in flight. They wait for its verdict instead of being
//! rejected.
//!
//! ```text
//! cargo run --release --features async,tokio --example patience
//! ```
//!
//! It exits by itself and checks what it shows.

use std::error::Error;
use std::thread;
use std::time::Duration;

use tripcurve::handles::Handle;
use tripcurve::{CircuitBreaker, State};

const CALLERS: u32 = 9;

fn main() -> Result<(), Box<dyn Error>> {
    let breaker = CircuitBreaker::builder("search")
        .probes(1)
        .max_waiting(100)
        .build()?;
    let patient = breaker.waiting(Duration::from_secs(10))?;
    breaker.trip(Duration::from_millis(1));
    thread::sleep(Duration::from_millis(10));

    // The first call after the open time is the probe.
    let probe = breaker.try_acquire()?;
    assert_eq!(breaker.state(), State::HalfOpen);
    let rejected = (0..CALLERS).filter(|_| breaker.try_acquire().is_err());
    println!(
        "while the probe is under way {} of {CALLERS} callers are rejected at once",
        rejected.count()
    );

    let served = thread::scope(|scope| {
        let call = || patient.call(|| Ok::<_, std::io::Error>("results")).is_ok();
        let callers: Vec<_> = (0..CALLERS).map(|_| scope.spawn(call)).collect();
        while patient.queued() < CALLERS {
            thread::yield_now();
        }
        println!("{CALLERS} callers wait for its verdict");
        probe.success();
        let served = callers.into_iter().filter_map(|caller| caller.join().ok());
        served.filter(|served| *served).count()
    });
    println!("the probe has succeeded, and {served} of them are served");
    assert_eq!(served, CALLERS as usize);
    Ok(())
}
