//! Equal seeds give equal results, whatever else differs.

use std::sync::LazyLock;

use crate::effort;
use indicatif::ProgressBar;
use tripcurve_lab::compare::{Comparison, Depth, Results};
use tripcurve_lab::policies;

fn comparison(seed: u64, names: &[&str]) -> Comparison {
    let depth = Depth {
        rates: vec![100.0],
        baselines: vec![0.02],
        repetitions: 2,
        calls: 5e2,
        quiet_calls: 5e2,
        persistent: 0.0,
        warm_up: 5e2,
        fresh: 2,
    };
    let contestants = policies::all()
        .into_iter()
        .filter(|one| names.contains(&one.name))
        .collect();
    let cells = depth.cells(seed);
    let some = effort::share_of(u32::try_from(cells.len()).unwrap());
    let step = cells.len() / some as usize;
    let cells = cells.into_iter().step_by(step).collect();
    Comparison {
        seed,
        depth,
        contestants,
        cells,
    }
}

fn run(comparison: &Comparison, threads: usize) -> Results {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .unwrap();
    pool.install(|| comparison.run(&ProgressBar::hidden()))
        .unwrap()
}

const NAMES: [&str; 4] = ["adaptive", "classic", "finagle", "sre-k2"];

/// The results on one thread. Each test compares other ones with them.
static RESULTS: LazyLock<Results> = LazyLock::new(|| run(&comparison(7, &NAMES), 1));

#[test]
fn the_number_of_threads_changes_nothing() {
    assert_eq!(*RESULTS, run(&comparison(7, &NAMES), 3));
}

#[test]
fn another_seed_gives_other_results() {
    let other = run(&comparison(8, &["classic"]), 2);
    assert!(!RESULTS.contains(&other[0]));
}

#[test]
fn who_else_takes_part_changes_nothing() {
    let alone = run(&comparison(7, &["classic"]), 2);
    assert!(RESULTS.contains(&alone[0]));
}
