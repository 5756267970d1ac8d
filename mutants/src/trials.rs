//! Tries each change against the tests that come through it.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::parallel;
use crate::tests::Test;

/// A change behind a switch.
pub(crate) struct Tried {
    /// Its number, and the first number of its switch.
    pub(crate) number: u32,
    pub(crate) first: u32,
    pub(crate) file: String,
    pub(crate) function: String,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// This test failed, or took too long.
    Noticed(String),
    /// It passed so many of the tests that come through it.
    Survived { passed: usize, of: usize },
}

/// How often each test has noticed a change of a function, and of a file.
#[derive(Default)]
struct Noticed {
    by_function: HashMap<(String, String), HashMap<usize, usize>>,
    by_file: HashMap<String, HashMap<usize, usize>>,
    /// Tests that failed without a change. They say nothing.
    unreliable: Vec<usize>,
}

/// Tries each change with tests that take this many seconds of CPU time in all.
///
/// The tests that noticed neighbours or are named after the file go first, and of these the shortest
/// and most specific ones.
pub(crate) fn all(
    changes: Vec<Tried>,
    tests: &[Test],
    seconds: f64,
    jobs: usize,
    report: impl Fn(&Tried, &Outcome) + Sync,
) {
    let mut through: HashMap<u32, Vec<usize>> = HashMap::new();
    for (index, test) in tests.iter().enumerate() {
        for first in &test.reached {
            through.entry(*first).or_default().push(index);
        }
    }
    let noticed = Mutex::new(Noticed::default());
    let count = changes.len();
    let survivors = AtomicUsize::new(0);
    parallel::map(changes, jobs, |index, change| {
        let candidates = through.get(&change.first).map_or(&[][..], Vec::as_slice);
        let order = order(&change, candidates, tests, &noticed);
        let outcome = one(&change, &order, tests, seconds, &noticed);
        if matches!(outcome, Outcome::Survived { .. }) {
            survivors.fetch_add(1, Ordering::Relaxed);
        }
        report(&change, &outcome);
        if index % 100 == 99 {
            let survivors = survivors.load(Ordering::Relaxed);
            eprintln!("{} of {count} tried, {survivors} not noticed", index + 1);
        }
    });
}

fn order(
    change: &Tried,
    candidates: &[usize],
    tests: &[Test],
    noticed: &Mutex<Noticed>,
) -> Vec<usize> {
    let noticed = noticed.lock().expect("no thread panicked");
    let place = (change.file.clone(), change.function.clone());
    let by_function = noticed.by_function.get(&place);
    let by_file = noticed.by_file.get(&change.file);
    let times = |counts: Option<&HashMap<usize, usize>>, test: &usize| {
        counts
            .and_then(|counts| counts.get(test))
            .copied()
            .unwrap_or(0)
    };
    let subjects = subjects(&change.file);
    let mut order: Vec<_> = candidates
        .iter()
        .filter(|test| !noticed.unreliable.contains(test))
        .copied()
        .collect();
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    order.sort_by(|one, other| {
        let key = |test: &usize| {
            let cost = (tests[*test].cost() + 0.01) * tests[*test].reached.len() as f64;
            let by_function = times(by_function, test);
            let by_file = times(by_file, test);
            let named = subjects
                .iter()
                .filter(|it| tests[*test].name.contains(**it));
            // A test that noticed much else but takes long is no better than a shorter one.
            let worth = (8 * by_function + by_file + 3 * named.count()) as f64 + 1.0;
            cost / worth / worth
        };
        key(one).total_cmp(&key(other))
    });
    order
}

/// The words of a path after which tests of the file are named: `window` and `shards`.
fn subjects(file: &str) -> Vec<&str> {
    let within = file.split_once("src/").map_or(file, |(_, within)| within);
    let words = within.trim_end_matches(".rs").split('/');
    words
        .filter(|word| !["mod", "lib"].contains(word))
        .collect()
}

fn one(
    change: &Tried,
    order: &[usize],
    tests: &[Test],
    seconds: f64,
    noticed: &Mutex<Noticed>,
) -> Outcome {
    let mut left = seconds;
    let mut passed = 0;
    for index in order {
        let test = &tests[*index];
        if left < test.cost() && passed > 0 {
            // Perhaps a shorter one fits.
            continue;
        }
        left -= test.cost().max(0.005);
        if test.run(change.number).passed {
            passed += 1;
            continue;
        }
        let is_reliable = test.run(0).passed;
        let mut noticed = noticed.lock().expect("no thread panicked");
        if !is_reliable {
            eprintln!("fails without a change too: {}", test.name);
            noticed.unreliable.push(*index);
            continue;
        }
        let place = (change.file.clone(), change.function.clone());
        *noticed
            .by_function
            .entry(place)
            .or_default()
            .entry(*index)
            .or_default() += 1;
        let by_file = noticed.by_file.entry(change.file.clone()).or_default();
        *by_file.entry(*index).or_default() += 1;
        return Outcome::Noticed(test.name.clone());
    }
    let of = order.len();
    Outcome::Survived { passed, of }
}

#[cfg(test)]
mod tests {
    use super::subjects;

    #[test]
    fn the_subjects_of_a_file_are_its_folders_and_its_name() {
        assert_eq!(subjects("src/window/shards.rs"), ["window", "shards"]);
        assert_eq!(subjects("crates/a/src/member/mod.rs"), ["member"]);
    }
}
