//! Numbers in a form that is easy to read.

use std::time::Duration;

/// The text where there is nothing to show.
pub(crate) const NOTHING: &str = "-";

/// Formats `12345` as `12 345`.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// How long a shopper waited.
pub(crate) fn wait(time: Option<Duration>) -> String {
    match time {
        None => NOTHING.to_owned(),
        Some(time) if time < Duration::from_millis(10) => {
            format!("{:.1} ms", time.as_secs_f64() * 1e3)
        }
        Some(time) if time < Duration::from_secs(1) => format!("{} ms", time.as_millis()),
        Some(time) => seconds(time),
    }
}

/// A time of the script, or a span of it.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// A share as a percentage.
pub(crate) fn percent(share: Option<f64>) -> String {
    share.map_or(NOTHING.to_owned(), |share| {
        format!("{:.1} %", share * 100.0)
    })
}
