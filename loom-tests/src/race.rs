//! Threads that run against each other.

use crate::sync::Arc;

/// Runs each of `racers` on its own thread, and the last one on the caller's. Returns their results
/// once all are done.
///
/// # Panics
/// Panics if a racer panics.
pub fn race<S, R, const N: usize>(shared: &Arc<S>, racers: [fn(&S) -> R; N]) -> [R; N]
where
    S: Send + Sync + 'static,
    R: Send + 'static,
{
    let line = std::sync::Arc::new(StartingLine::new(N));
    let [others @ .., last] = &racers[..] else {
        panic!("a race needs racers");
    };
    let others: Vec<_> = others
        .iter()
        .map(|racer| {
            let (shared, racer) = (Arc::clone(shared), *racer);
            let line = std::sync::Arc::clone(&line);
            spawn(move || {
                line.wait();
                racer(&shared)
            })
        })
        .collect();
    line.wait();
    let last = last(shared);
    let mut results: Vec<_> = others
        .into_iter()
        .map(|other| match other.join() {
            Ok(result) => result,
            Err(payload) => std::panic::resume_unwind(payload),
        })
        .collect();
    results.push(last);
    let Ok(results) = results.try_into() else {
        unreachable!("each racer has one result");
    };
    results
}

#[cfg(tripcurve_loom)]
use loom::thread::spawn;
#[cfg(not(tripcurve_loom))]
use std::thread::spawn;

/// The point where real threads wait for each other. Starting a thread takes longer than a racer's
/// work.
#[cfg(not(tripcurve_loom))]
struct StartingLine {
    missing: std::sync::atomic::AtomicUsize,
}

#[cfg(not(tripcurve_loom))]
impl StartingLine {
    fn new(racers: usize) -> Self {
        Self {
            missing: racers.into(),
        }
    }

    fn wait(&self) {
        use std::sync::atomic::Ordering;

        // Relaxed, both: the racers' own accesses must order their work, so this counter mustn't.
        self.missing.fetch_sub(1, Ordering::Relaxed);
        while self.missing.load(Ordering::Relaxed) > 0 {
            std::thread::yield_now();
        }
    }
}

/// Loom needs no common start, because it explores all orders.
#[cfg(tripcurve_loom)]
struct StartingLine;

#[cfg(tripcurve_loom)]
impl StartingLine {
    fn new(_: usize) -> Self {
        Self
    }

    fn wait(&self) {}
}
