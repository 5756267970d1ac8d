//! How many lines a breaker takes.

use std::{fs, path::Path};

/// The most lines that a file may have, whatever is in them.
const LONGEST: usize = 60;

/// The lines of a program without a breaker, and with one.
fn lines(client: &str) -> [Vec<String>; 2] {
    ["without", "with"].map(|form| {
        let path = Path::new(client).join(form).with_extension("rs");
        let text = fs::read_to_string(&path).unwrap();
        let all: Vec<_> = text.lines().map(str::trim).map(str::to_string).collect();
        assert!(all.len() <= LONGEST, "{} is too long", path.display());
        all
    })
}

/// Whether a line counts: neither blank nor a comment.
fn counts(line: &str) -> bool {
    !line.is_empty() && !line.starts_with("//")
}

/// How many lines two programs have in common, in this order.
fn common(without: &[&String], with: &[&String]) -> usize {
    let mut row = vec![0; with.len() + 1];
    for line in without {
        let above = row.clone();
        for (at, other) in with.iter().enumerate() {
            row[at + 1] = if line == other {
                above[at] + 1
            } else {
                row[at].max(above[at + 1])
            };
        }
    }
    row[with.len()]
}

/// Counts the lines that are in one program only. A line that has changed is in both, so it counts
/// twice.
#[track_caller]
fn differs_by_at_most(most: usize, client: &str) {
    let [without, with] = lines(client);
    let without: Vec<_> = without.iter().filter(|line| counts(line)).collect();
    let with: Vec<_> = with.iter().filter(|line| counts(line)).collect();
    let differing = without.len() + with.len() - 2 * common(&without, &with);
    println!("{client}: {differing} lines");
    assert!((1..=most).contains(&differing), "{client}: {differing}");
}

#[test]
fn a_layer_takes_five_lines() {
    for client in ["axum", "hyper", "reqwest", "tonic"] {
        differs_by_at_most(5, client);
    }
}

#[test]
fn a_permit_takes_twelve_lines() {
    for client in ["redis", "reqwest-middleware"] {
        differs_by_at_most(12, client);
    }
}

#[test]
fn a_classifier_of_statuses_takes_twenty_five_lines() {
    differs_by_at_most(25, "tonic-status");
}
