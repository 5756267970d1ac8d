//! Numbers in a form that is easy to read.

use jiff::Timestamp;

use crate::breaker::Nanos;

/// Formats a count with separated thousands.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A part of a whole, in percent. It is 0 if the whole is 0.
#[must_use]
#[allow(
    clippy::cast_precision_loss,
    reason = "counts of calls are far below 2⁵³"
)]
pub fn percent(part: u64, of: u64) -> f64 {
    100.0 * part as f64 / of.max(1) as f64
}

/// Converts nanoseconds to seconds, for pictures and rates.
#[must_use]
#[allow(
    clippy::cast_precision_loss,
    reason = "a part in 2⁵³ is less than is shown"
)]
pub fn seconds(nanos: Nanos) -> f64 {
    nanos as f64 / 1e9
}

/// Formats a duration in its two greatest units: `1h 3m`, `12.3 s`, `250 ms`.
#[must_use]
pub fn span(nanos: Nanos) -> String {
    let whole = nanos / 1_000_000_000;
    let pair = |value: u64, unit, rest: u64, smaller| match rest {
        0 => format!("{value}{unit}"),
        _ => format!("{value}{unit} {rest}{smaller}"),
    };
    match nanos {
        0 => "0 s".to_owned(),
        1..1_000_000 => format!("{} µs", nanos / 1_000),
        1_000_000..1_000_000_000 => format!("{} ms", nanos / 1_000_000),
        1_000_000_000..60_000_000_000 => format!("{:.1} s", seconds(nanos - nanos % 100_000_000)),
        _ if whole < 3_600 => pair(whole / 60, "m", whole % 60, "s"),
        _ if whole < 86_400 => pair(whole / 3_600, "h", whole / 60 % 60, "m"),
        _ => pair(whole / 86_400, "d", whole / 3_600 % 24, "h"),
    }
}

/// Formats a time since a log's begin, to the millisecond.
#[must_use]
pub fn since(nanos: Nanos) -> String {
    let millis = nanos / 1_000_000;
    let (hours, minutes) = (millis / 3_600_000, millis / 60_000 % 60);
    let (seconds, millis) = (millis / 1_000 % 60, millis % 1_000);
    format!("{hours}:{minutes:02}:{seconds:02}.{millis:03}")
}

/// Formats a calendar time in UTC, to the second.
#[must_use]
pub fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(count(number), text);
        }
    }

    #[test]
    fn a_span_shows_its_two_greatest_units() {
        for (nanos, text) in [
            (0, "0 s"),
            (1_500, "1 µs"),
            (250_000_000, "250 ms"),
            (12_345_000_000, "12.3 s"),
            (59_999_999_999, "59.9 s"),
            (63_000_000_000, "1m 3s"),
            (3_600_000_000_000, "1h"),
            (90_000_000_000_000, "1d 1h"),
        ] {
            assert_eq!(span(nanos), text);
        }
    }
}
