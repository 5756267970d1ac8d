//! Runs a model: under loom, or many times on real threads.

#[cfg(not(tripcurve_loom))]
use crate::effort;

/// The bound on preemptions: how many times loom may interrupt a thread that could continue.
///
/// Most races need few preemptions. Each further one multiplies the orders by about the number of
/// accesses.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(tripcurve_loom),
    allow(dead_code, reason = "real threads need no bound")
)]
pub struct Preemptions {
    quick: Option<usize>,
    full: Option<usize>,
}

/// All orders, even in a quick run.
pub const UNBOUNDED: Preemptions = Preemptions {
    quick: None,
    full: None,
};

/// At most this many preemptions in a quick run, any number in a full one.
#[must_use]
pub const fn preemptions(quick: usize) -> Preemptions {
    Preemptions {
        quick: Some(quick),
        full: None,
    }
}

impl Preemptions {
    /// At most this many preemptions in a full run, for a model that would take hours without a
    /// bound.
    #[must_use]
    pub const fn full(self, full: usize) -> Self {
        Self {
            full: Some(full),
            ..self
        }
    }

    /// The bound of this run. `TRIPCURVE_LOOM` is `full`, or a number to try another bound.
    #[cfg(tripcurve_loom)]
    fn bound(self) -> Option<usize> {
        match std::env::var("TRIPCURVE_LOOM") {
            Ok(wish) if wish == "full" => self.full,
            Ok(wish) => Some(wish.parse().expect("TRIPCURVE_LOOM is `full` or a number")),
            Err(_) => self.quick,
        }
    }
}

/// Runs `scenario` in all orders within the bound on preemptions, and reports the number of orders.
///
/// Only the bound can be set. `LOOM_MAX_DURATION` and `LOOM_MAX_PERMUTATIONS`, which end a model
/// early and call it passed, have no effect.
#[cfg(tripcurve_loom)]
pub fn model(preemptions: Preemptions, scenario: impl Fn() + Send + Sync + 'static) {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Reports the run when dropped, even if the model has failed.
    struct Report {
        bound: Option<usize>,
        begin: std::time::Instant,
        executions: Arc<AtomicU64>,
    }

    impl Drop for Report {
        fn drop(&mut self) {
            let thread = std::thread::current();
            let name = thread.name().unwrap_or("a model");
            let bound = match self.bound {
                Some(bound) => format!("at most {bound} preemptions"),
                None => "all orders".to_owned(),
            };
            // Relaxed: this thread has done the counting itself.
            let executions = self.executions.load(Ordering::Relaxed);
            let verdict = if std::thread::panicking() {
                ", the last of them FAILED"
            } else {
                ""
            };
            let time = self.begin.elapsed();
            eprintln!("{name}: {executions} executions, {bound}, {time:.1?}{verdict}");
        }
    }

    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions.bound();
    builder.max_duration = None;
    builder.max_permutations = None;
    builder.max_branches = 5_000;
    let executions = Arc::new(AtomicU64::new(0));
    let _report = Report {
        bound: builder.preemption_bound,
        begin: std::time::Instant::now(),
        executions: Arc::clone(&executions),
    };
    builder.check(move || {
        // Relaxed: loom runs its threads in turns on one thread.
        executions.fetch_add(1, Ordering::Relaxed);
        scenario();
    });
}

/// Runs `scenario` some hundred times on real threads, or the share of them that [`effort`] says.
///
/// Loom explores the interleavings. Real threads find few of them, however often they run, and show
/// that the models hold outside loom too.
#[cfg(not(tripcurve_loom))]
pub fn model(_: Preemptions, scenario: impl Fn() + Send + Sync + 'static) {
    for _ in 0..effort::share_of(500) {
        scenario();
    }
}
