//! Runs a test's future on a runtime of its own.
//!
//! The runtime sees every future through a pointer. So tokio's scheduler is compiled once for each
//! output, instead of once for each of a hundred futures.

use std::pin::{Pin, pin};

use tokio::runtime::Builder;

/// Builds a runtime and runs the future on it.
fn run<F: Future>(runtime: &mut Builder, future: F) -> F::Output {
    let future: Pin<&mut dyn Future<Output = F::Output>> = pin!(future);
    runtime.build().unwrap().block_on(future)
}

/// Runs a future on a runtime of one thread, without timers and connections.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    run(&mut Builder::new_current_thread(), future)
}

/// Runs a test on a runtime of one thread, in real time, with connections.
pub(crate) fn on_loopback<F: Future>(test: F) -> F::Output {
    run(Builder::new_current_thread().enable_all(), test)
}

/// Runs a test on a runtime whose time is paused, and moves on when nothing else is to do.
pub(crate) fn paused<F: Future>(test: F) -> F::Output {
    let mut runtime = Builder::new_current_thread();
    run(runtime.enable_all().start_paused(true), test)
}
