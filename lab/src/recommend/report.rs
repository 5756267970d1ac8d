//! A recommendation as text and numbers.

use std::io::{self, Write};
use std::time::Duration;

use super::Advice;
use super::choice::{Score, Tried};
use super::outages::{Baseline, Outage, outages, p99};
use crate::breaker::Nanos;
use crate::log::{Call, Log};
use crate::replay::{Bad, Policy, Tally};
use crate::table::Table;
use crate::words;

/// The number of outages and policies that are listed.
const SHOWN: usize = 8;

/// Writes what the log shows before any policy is tried.
pub(super) fn what_happened(
    to: &mut impl Write,
    log: &Log,
    found: &[Outage],
    baseline: &Baseline,
    score: &Score,
) -> io::Result<()> {
    let word = score.bad.word();
    if let Some(limit) = score.bad.slower_than {
        writeln!(
            to,
            "Bad are calls that failed or took longer than {limit:?}."
        )?;
    }
    writeln!(
        to,
        "\nUsually {:.2} calls a second, {:.2} % {word}, the longest run of such calls {}; 99 of 100 take at \
         most {}.",
        baseline.rate,
        100.0 * baseline.bad,
        baseline.longest_run,
        words::span(baseline.p99)
    )?;
    if found.is_empty() {
        writeln!(to, "There is no outage in this log.")?;
    } else {
        writeln!(
            to,
            "Outages, in which clearly more calls {}:",
            score.bad.verb()
        )?;
    }
    for outage in found.iter().take(SHOWN) {
        let (from, until) = span(&log.calls, outage);
        let calls = outage.calls.len() as u64;
        writeln!(
            to,
            "  {} for {}: {} of {} calls {}, {:.1} %",
            words::moment(log.calendar(from)),
            words::span(until - from),
            words::count(outage.bad),
            words::count(calls),
            score.bad.verb(),
            words::percent(outage.bad, calls)
        )?;
    }
    if found.len() > SHOWN {
        writeln!(to, "  and {} more", found.len() - SHOWN)?;
    }
    hint_at_slowness(to, log, found, score.bad)
}

fn span(calls: &[Call], outage: &Outage) -> (Nanos, Nanos) {
    let from = calls[outage.calls.start].began;
    (from, calls[outage.calls.end - 1].began.max(from))
}

/// Suggests to count slow calls. They count only on request, because a late answer may still be
/// useful.
fn hint_at_slowness(to: &mut impl Write, log: &Log, found: &[Outage], bad: Bad) -> io::Result<()> {
    if bad.slower_than.is_some() {
        return Ok(());
    }
    let limit = round_up(3 * p99(&log.calls));
    let slow = Bad {
        slower_than: Some(limit),
    };
    let overlaps = |stretch: &Outage| {
        found.iter().any(|outage| {
            stretch.calls.start < outage.calls.end && outage.calls.start < stretch.calls.end
        })
    };
    let stretches = outages(&log.calls, slow);
    let Some(slow) = stretches.iter().find(|stretch| !overlaps(stretch)) else {
        return Ok(());
    };
    let (from, until) = span(&log.calls, slow);
    writeln!(
        to,
        "From {} on for {}, {} of {} calls failed or took longer than {limit:?}, three times what is usual; \
         whoever wants to trip on that says --slower-than {limit:?}.",
        words::moment(log.calendar(from)),
        words::span(until - from),
        words::count(slow.bad),
        words::count(slow.calls.len() as u64)
    )
}

/// Rounds up to the next 1, 2 or 5 followed by zeros.
fn round_up(nanos: Nanos) -> Duration {
    let nanos = nanos.clamp(1_000, 3_600_000_000_000);
    let ten = 10_u64.pow(nanos.ilog10());
    let rounded = [1, 2, 5, 10]
        .into_iter()
        .map(|factor| factor * ten)
        .find(|rounded| *rounded >= nanos);
    Duration::from_nanos(rounded.unwrap_or(nanos))
}

/// Whether the best policy did better than no breaker by more than chance.
pub(super) fn helps(advice: &Advice, score: &Score) -> bool {
    let none = score.of(&advice.none.0);
    score.of(&advice.best.chosen) + Score::noise(none) < none
}

/// Writes which policy did best, and why.
pub(super) fn advice(to: &mut impl Write, advice: &Advice, score: &Score) -> io::Result<()> {
    let word = score.bad.word();
    writeln!(
        to,
        "\n{} policies were tried. Score = {word} calls made + {} × good calls lost; the lower, the better. \
         Of scores that differ\nby no more than chance ({:.0}) the policy wins that needs fewer numbers.",
        advice.tried.len(),
        score.lost_weighs,
        Score::noise(score.of(&advice.best.chosen)),
    )?;
    match &advice.split.check {
        Some(check) => writeln!(
            to,
            "Chosen on the first {} calls, checked on the other {}.\n",
            words::count(advice.split.choose.len() as u64),
            words::count(check.len() as u64)
        )?,
        None => writeln!(
            to,
            "Chosen on the whole log; with one outage there is nothing to check the choice on.\n"
        )?,
    }
    rows(to, advice, score)?;
    if helps(advice, score) {
        writeln!(to, "\nRecommended: {}", advice.best.policy)?;
        reason(to, advice, score)
    } else {
        writeln!(
            to,
            "\nNo policy does clearly better than no breaker here: too many calls still succeed while the \
             others fail."
        )
    }
}

fn rows(to: &mut impl Write, advice: &Advice, score: &Score) -> io::Result<()> {
    let mut order: Vec<_> = advice.tried.iter().collect();
    order.sort_by(|a, b| score.of(&a.chosen).total_cmp(&score.of(&b.chosen)));
    order.retain(|tried| tried.policy != advice.best.policy);
    order.truncate(SHOWN - 1);
    order.insert(0, &advice.best);
    if !order
        .iter()
        .any(|tried| tried.policy == advice.defaults.policy)
    {
        order.push(&advice.defaults);
    }
    let checked = advice.split.check.is_some();
    let row = |name: String, chosen: &Tally, check: &Tally, trips: String, delay: String| {
        [
            name,
            format!("{:.0}", score.of(chosen)),
            words::count(chosen.bad_made),
            words::count(chosen.good_lost),
            if checked {
                format!("{:.0}", score.of(check))
            } else {
                "-".to_owned()
            },
            trips,
            delay,
        ]
    };
    let mut rows: Vec<_> = order
        .into_iter()
        .map(|tried| {
            let delay = tried.delay.map_or("-".to_owned(), words::span);
            let trips = words::count(tried.trips as u64);
            row(
                tried.policy.to_string(),
                &tried.chosen,
                &tried.checked,
                trips,
                delay,
            )
        })
        .collect();
    rows.push(row(
        "no breaker".to_owned(),
        &advice.none.0,
        &advice.none.1,
        "-".to_owned(),
        "-".to_owned(),
    ));
    let made = match score.bad.slower_than {
        Some(_) => "bad made",
        None => "failed made",
    };
    let mut table = Table::new([
        "policy",
        "score",
        made,
        "good lost",
        "check score",
        "trips",
        "trips after",
    ]);
    for row in rows {
        table.row(row);
    }
    write!(to, "{}", table.text())
}

fn reason(to: &mut impl Write, advice: &Advice, score: &Score) -> io::Result<()> {
    let Tried {
        chosen,
        checked,
        trips,
        delay,
        ..
    } = &advice.best;
    let word = score.bad.word();
    let outages = match advice.outages.len() {
        1 => "the outage".to_owned(),
        several => format!("the {several} outages"),
    };
    writeln!(
        to,
        "  It makes {} of {} {word} calls and loses {} of {} good ones: score {:.0}, against {:.0} of the \
         crate's defaults and {:.0} without a breaker.",
        words::count(chosen.bad_made),
        words::count(chosen.bad()),
        words::count(chosen.good_lost),
        words::count(chosen.good()),
        score.of(chosen),
        score.of(&advice.defaults.chosen),
        score.of(&advice.none.0),
    )?;
    match delay {
        Some(delay) => writeln!(
            to,
            "  It trips {}, on average {} after the begin of {outages}.",
            times(*trips),
            words::span(*delay)
        )?,
        None => writeln!(
            to,
            "  It trips {}, and not in each of {outages}.",
            times(*trips)
        )?,
    }
    if advice.split.check.is_some() {
        let (own, none) = (score.of(checked), score.of(&advice.none.1));
        let verdict = if own + Score::noise(none) < none {
            "the choice holds"
        } else {
            "the choice does not hold there; a longer log would tell"
        };
        writeln!(
            to,
            "  On the calls that it was not chosen on: score {own:.0}, against {:.0} of the defaults and \
             {none:.0} without a breaker; {verdict}.",
            score.of(&advice.defaults.checked)
        )?;
    }
    Ok(())
}

/// Formats a count: `once`, `3 times`.
pub(super) fn times(number: usize) -> String {
    match number {
        0 => "never".to_owned(),
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        _ => format!("{} times", words::count(number as u64)),
    }
}

/// Writes code and a configuration file for such a breaker.
pub(super) fn snippet(to: &mut impl Write, policy: &Policy, name: &str) -> io::Result<()> {
    let code = policy.snippet(name);
    writeln!(to)?;
    if code.contains("Duration::") {
        writeln!(to, "use std::time::Duration;")?;
    }
    let mut uses = vec!["CircuitBreaker"];
    uses.extend(
        ["TripPolicy", "Window"]
            .into_iter()
            .filter(|name| code.contains(&format!("{name}::"))),
    );
    match &uses[..] {
        [only] => writeln!(to, "use tripcurve::{only};")?,
        several => writeln!(to, "use tripcurve::{{{}}};", several.join(", "))?,
    }
    writeln!(to, "\nlet breaker = {code};")?;
    writeln!(
        to,
        "\nOr in a file, which tripcurve_config::Config reads:\n\n{}",
        policy.toml(name).trim_end()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_rounded_up_to_a_number_that_is_easy_to_say() {
        for (nanos, expected) in [
            (192_000_000, Duration::from_millis(200)),
            (200_000_000, Duration::from_millis(200)),
            (1_100_000_000, Duration::from_secs(2)),
            (7_000_000, Duration::from_millis(10)),
            (0, Duration::from_micros(1)),
        ] {
            assert_eq!(round_up(nanos), expected);
        }
    }
}
