//! The values in a log's cells: times, durations, outcomes.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::Unit;
use super::column::Sense;

/// The expected form, for a value that has another one.
pub(super) type Expected = &'static str;

/// Reads a time in nanoseconds since 1970. Also returns the unit if it was guessed from the
/// number's size.
///
/// A time without an offset counts as UTC. Only differences matter here.
pub(super) fn time(text: &str, unit: Option<Unit>) -> Result<(i64, Option<Unit>), Expected> {
    let (nanos, guessed) = match Number::read(text) {
        Some(number) => {
            let chosen = unit.unwrap_or_else(|| Unit::by_size(number.whole()));
            (number.in_nanos(chosen), unit.is_none().then_some(chosen))
        }
        None => (calendar(text)?.as_nanosecond(), None),
    };
    let nanos = i64::try_from(nanos).map_err(|_| "a time in the years 1678 to 2261")?;
    Ok((nanos, guessed))
}

fn calendar(text: &str) -> Result<Timestamp, Expected> {
    text.parse::<Timestamp>()
        .or_else(|_| {
            let local = text.parse::<DateTime>()?;
            TimeZone::UTC.to_timestamp(local)
        })
        .map_err(|_| {
            "a time such as 2026-03-02T14:05:09.123Z, or a number of seconds, milliseconds, \
             microseconds or nanoseconds since 1970"
        })
}

/// Reads how long a call took, in nanoseconds.
pub(super) fn duration(text: &str, unit: Option<Unit>) -> Result<u64, Expected> {
    let nanos = match (Number::read(text), unit) {
        (Some(number), Some(unit)) => number.in_nanos(unit),
        (Some(_), None) => {
            return Err(
                "a unit: write 12ms, or name the column duration_ms, duration_s, duration_us or \
                 duration_ns",
            );
        }
        (None, _) => text
            .parse::<SignedDuration>()
            .map_err(|_| "a duration such as 12ms, 1.5s or 1m 30s")?
            .as_nanos(),
    };
    match u64::try_from(nanos) {
        Ok(nanos) if nanos <= LONGEST => Ok(nanos),
        _ => Err("a duration of 0 to 30 days"),
    }
}

/// 30 days. No call takes longer, so a longer one has the wrong unit.
pub(super) const LONGEST: u64 = 30 * 86_400 * 1_000_000_000;

/// Reads whether a call succeeded.
///
/// HTTP status codes from 500 on are failures. So is 429, by which a server says that it is
/// overloaded. With any other code the server works, even if it refuses the request.
pub(super) fn succeeded(text: &str, sense: Sense) -> Result<bool, Expected> {
    const SUCCESS: [&str; 5] = ["success", "succeeded", "ok", "pass", "passed"];
    const FAILURE: [&str; 7] = [
        "failure",
        "failed",
        "fail",
        "error",
        "err",
        "timeout",
        "exception",
    ];
    let is = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    let yes = match sense {
        Sense::Words | Sense::Succeeded => true,
        Sense::Failed => false,
    };
    if is(&["true", "yes"]) {
        return Ok(yes);
    }
    if is(&["false", "no"]) {
        return Ok(!yes);
    }
    if is(&SUCCESS) {
        return Ok(true);
    }
    if is(&FAILURE) {
        return Ok(false);
    }
    match (text.parse::<u16>(), sense) {
        (Ok(0 | 1), Sense::Words) => {
            Err("success or failure: 0 and 1 can mean both; name the column success or failed")
        }
        (Ok(number @ (0 | 1)), _) => Ok((number == 1) == yes),
        (Ok(429 | 500..=599), _) => Ok(false),
        (Ok(100..=499), _) => Ok(true),
        _ => Err("success, failure, ok, error, timeout, true, false or a status code of HTTP"),
    }
}

/// An exact decimal number. A 64-bit float would round nanoseconds since 1970 to multiples of 256.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Number {
    Exact { digits: i128, decimals: u32 },
    Float(f64),
}

impl Number {
    fn read(text: &str) -> Option<Self> {
        let (sign, unsigned) = match text.as_bytes().first()? {
            b'-' => (-1, &text[1..]),
            b'+' => (1, &text[1..]),
            _ => (1, text),
        };
        if !unsigned.starts_with(|first: char| first.is_ascii_digit()) {
            return None;
        }
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if is_digits(whole) && is_digits(fraction) && whole.len() <= 20 {
            // The twelfth decimal of a second is a picosecond. Further decimals are cut off.
            let fraction = &fraction[..fraction.len().min(12)];
            let digits: i128 = [whole, fraction].concat().parse().ok()?;
            let decimals = u32::try_from(fraction.len()).ok()?;
            return Some(Self::Exact {
                digits: sign * digits,
                decimals,
            });
        }
        text.parse()
            .ok()
            .filter(|float: &f64| float.is_finite())
            .map(Self::Float)
    }

    #[allow(
        clippy::cast_possible_truncation,
        reason = "a conversion to i128 saturates; what is out of range is refused later"
    )]
    fn whole(self) -> i128 {
        match self {
            Self::Exact { digits, decimals } => digits / 10_i128.pow(decimals),
            Self::Float(float) => float as i128,
        }
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "as above; units are powers of ten below 10⁹"
    )]
    fn in_nanos(self, unit: Unit) -> i128 {
        match self {
            Self::Exact { digits, decimals } => digits * unit.nanos() / 10_i128.pow(decimals),
            Self::Float(float) => (float * unit.nanos() as f64).round() as i128,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_the_same_in_every_form() {
        let nanos = 1_772_460_309_123_000_000;
        for text in [
            "2026-03-02T14:05:09.123Z",
            "2026-03-02T15:05:09.123+01:00",
            "2026-03-02 14:05:09.123",
            "1772460309.123",
            "1772460309123",
            "1772460309123000",
            "1772460309123000000",
        ] {
            assert_eq!(time(text, None).map(|(time, _)| time), Ok(nanos), "{text}");
        }
    }

    #[test]
    fn the_unit_of_a_bare_time_is_told_by_its_size_unless_the_column_says_it() {
        assert_eq!(time("5", None), Ok((5_000_000_000, Some(Unit::Seconds))));
        assert_eq!(
            time("1772460309123", None),
            Ok((1_772_460_309_123_000_000, Some(Unit::Milliseconds)))
        );
        assert_eq!(time("5", Some(Unit::Milliseconds)), Ok((5_000_000, None)));
    }

    #[test]
    fn nanoseconds_since_1970_are_read_to_the_last() {
        let text = "1772460309123456789";
        assert_eq!(
            time(text, None).map(|(time, _)| time),
            Ok(1_772_460_309_123_456_789)
        );
    }

    #[test]
    fn a_number_may_have_an_exponent() {
        assert_eq!(
            time("1.7724603e9", None).map(|(time, _)| time),
            Ok(1_772_460_300_000_000_000)
        );
        assert_eq!(duration("25e-3", Some(Unit::Seconds)), Ok(25_000_000));
    }

    #[test]
    fn a_duration_carries_its_unit_or_its_column_does() {
        assert_eq!(duration("12ms", None), Ok(12_000_000));
        assert_eq!(duration("12 ms", None), Ok(12_000_000));
        assert_eq!(duration("1.5s", None), Ok(1_500_000_000));
        assert_eq!(duration("1m 30s", None), Ok(90_000_000_000));
        assert_eq!(duration("250µs", None), Ok(250_000));
        assert_eq!(duration("0.25", Some(Unit::Milliseconds)), Ok(250_000));
        assert_eq!(duration("2", Some(Unit::Seconds)), Ok(2_000_000_000));
        assert_eq!(duration("3s", Some(Unit::Milliseconds)), Ok(3_000_000_000));
        assert!(duration("12", None).unwrap_err().starts_with("a unit"));
        assert!(duration("-3ms", None).is_err());
        assert!(duration("31d", None).is_err());
    }

    #[test]
    fn an_outcome_is_a_word_or_a_status_code() {
        for text in ["ok", "Success", "TRUE", "200", "301", "404"] {
            assert_eq!(succeeded(text, Sense::Words), Ok(true), "{text}");
        }
        for text in ["error", "FAILURE", "false", "timeout", "500", "503", "429"] {
            assert_eq!(succeeded(text, Sense::Words), Ok(false), "{text}");
        }
        for text in ["1", "0", "", "maybe", "600", "-1"] {
            assert!(succeeded(text, Sense::Words).is_err(), "{text}");
        }
    }

    #[test]
    fn what_true_means_depends_on_what_the_column_asks() {
        for text in ["true", "1", "yes"] {
            assert_eq!(succeeded(text, Sense::Succeeded), Ok(true), "{text}");
            assert_eq!(succeeded(text, Sense::Failed), Ok(false), "{text}");
        }
        for text in ["false", "0", "no"] {
            assert_eq!(succeeded(text, Sense::Succeeded), Ok(false), "{text}");
            assert_eq!(succeeded(text, Sense::Failed), Ok(true), "{text}");
        }
    }
}
