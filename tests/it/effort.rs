//! How much of their work the tests do that repeat a race, generate cases or simulate lives.
//!
//! The environment variable `TEST_EFFORT` is the share in percent. CI sets it to 100. Without it,
//! the share is a twentieth, so that `cargo test` in a fresh clone takes less than four minutes on
//! two cores. A test that could no longer fail with so little does more.

const UNLESS_SET: u32 = 5;

/// The share of `whole` rounds, cases or lives. At least one.
pub(crate) fn share_of(whole: u32) -> u32 {
    let set = std::env::var("TEST_EFFORT").ok();
    let percent = set.map_or(UNLESS_SET, |text| {
        parsed(&text).unwrap_or_else(|error| panic!("{error}"))
    });
    (whole * percent / 100).max(1)
}

fn parsed(text: &str) -> Result<u32, String> {
    let percent = text.parse().ok();
    percent
        .filter(|percent| (1..=100).contains(percent))
        .ok_or_else(|| format!("TEST_EFFORT is {text:?}; expected percent, 1 to 100"))
}

#[test]
fn an_effort_that_is_no_percentage_is_refused_by_its_value() {
    assert_eq!(parsed("50"), Ok(50));
    for text in ["", "0", "101", "-1", "0.5", "whole"] {
        let error = parsed(text).unwrap_err();
        assert!(error.contains(&format!("{text:?}")), "{error}");
    }
}
