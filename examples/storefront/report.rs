//! The benefit of the breakers, from the measurements.

use std::fmt::Write as _;
use std::time::Duration;

use crate::ledger::{PATIENCE, Totals, share};
use crate::script::{Mood, PHASES};
use crate::stage::{Side, Stage};
use crate::text;

const LABEL: usize = 41;
const SIDE: usize = 18;

/// The table and the conclusion.
pub(crate) fn report(stage: &Stage, lasted: Duration) -> String {
    let [with, without] = stage.sides().map(Outcome::of);
    let mut table = Table::default();

    table.title(&format!(
        "What the breakers were worth in {}",
        text::seconds(lasted)
    ));
    table.row("", &[&with, &without], |side| side.name.to_owned());
    let all = [&with, &without];
    table.count("pages asked for", all, |t| t.asked);
    table.count("  served in full, in time", all, |t| t.full);
    table.count("  served with a fallback, in time", all, |t| t.fallback);
    let late = format!("  too late, after more than {}", text::wait(Some(PATIENCE)));
    table.count(&late, all, |t| t.too_slow);
    table.count("  still waiting at the end", all, |t| t.asked - t.served());
    table.count("payments taken", all, |t| t.taken);
    table.count("  declined by the bank", all, |t| t.declined);
    table.count("  queued for later", all, |t| t.queued);
    table.count("recommendations fresh", all, |t| t.fresh);
    table.count("  from the shopper's cache", all, |t| t.cached);
    table.count("  popular ones", all, |t| t.popular);
    table.count("  none", all, |t| t.empty);
    table.count("calls to the backend", all, |t| t.calls);
    table.count("  failed", all, |t| t.failed_calls);
    table.row("  reached it in errors, hang or recovery", &all, |side| {
        text::count(side.in_trouble)
    });
    table.count("calls saved (turned away by a breaker)", all, |t| t.saved);
    let slow = format!(
        "seconds with a page p99 over {}",
        text::wait(Some(PATIENCE))
    );
    table.row(&slow, &all, |side| side.seconds_too_slow.to_string());
    table.row("full pages again, after the hang ended", &all, |side| {
        side.recovery.map_or("not seen".to_owned(), text::seconds)
    });

    table.title("Page time, p50 / p99, by when the shopper came");
    for (index, phase) in PHASES.iter().enumerate() {
        let label = format!(
            "{:>2} to {:>2} s  {}",
            phase.from().as_secs(),
            phase.until().as_secs(),
            phase.mood.name()
        );
        table.row(&label, &all, |side| {
            let times = side.phases[index];
            times.map_or(text::NOTHING.to_owned(), |(median, p99)| {
                format!("{} / {}", text::wait(Some(median)), text::wait(Some(p99)))
            })
        });
    }
    format!("{}\n{}\n", table.0, conclusion(&with, &without))
}

/// The results of one side.
struct Outcome {
    name: &'static str,
    totals: Totals,
    in_trouble: u64,
    seconds_too_slow: usize,
    recovery: Option<Duration>,
    phases: [Option<(Duration, Duration)>; PHASES.len()],
}

impl Outcome {
    fn of(side: &Side) -> Self {
        let ledger = &side.storefront.ledger;
        let down = PHASES.iter().zip(side.backend.arrivals());
        let in_trouble = down.filter(|(phase, _)| phase.mood != Mood::Healthy);
        Self {
            name: match side.storefront.breakers {
                Some(_) => "with breakers",
                None => "without",
            },
            totals: ledger.totals(),
            in_trouble: in_trouble.map(|(_, calls)| calls).sum(),
            seconds_too_slow: ledger.seconds_too_slow(),
            recovery: ledger.recovery(),
            phases: std::array::from_fn(|phase| ledger.phase(phase)),
        }
    }
}

/// One sentence on the benefit, and one on the cost.
fn conclusion(with: &Outcome, without: &Outcome) -> String {
    if (with.in_trouble, without.in_trouble) == (0, 0) {
        return "No call met a backend in trouble, so the breakers had nothing to do.".to_owned();
    }
    let in_time = |side: &Outcome| share(side.totals.in_time(), side.totals.asked);
    let saved = i128::from(without.in_trouble) - i128::from(with.in_trouble);
    let mut text = format!(
        "With breakers {} of the shoppers got a page in time, without them {};\n\
         the backend in trouble was sent {} calls instead of {}, {} {}.",
        text::percent(in_time(with)),
        text::percent(in_time(without)),
        text::count(with.in_trouble),
        text::count(without.in_trouble),
        text::percent(share(
            u64::try_from(saved.unsigned_abs()).unwrap_or(u64::MAX),
            without.in_trouble
        )),
        if saved >= 0 { "fewer" } else { "more" },
    );
    // A breaker also rejects calls that would have succeeded.
    let taken = (with.totals.taken, without.totals.taken);
    _ = match taken.0.cmp(&taken.1) {
        std::cmp::Ordering::Less => write!(
            text,
            "\nThe price: {} fewer payments were taken at once; they were queued.",
            text::count(taken.1 - taken.0)
        ),
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => write!(
            text,
            "\nAnd {} more payments were taken at once.",
            text::count(taken.0 - taken.1)
        ),
    };
    text
}

#[derive(Default)]
struct Table(String);

impl Table {
    fn title(&mut self, text: &str) {
        // Writing to a String never fails, here and below.
        _ = writeln!(self.0, "\n{text}");
    }

    fn row(&mut self, label: &str, sides: &[&Outcome; 2], show: impl Fn(&Outcome) -> String) {
        _ = write!(self.0, "  {label:<LABEL$}");
        for side in sides {
            _ = write!(self.0, "{:>SIDE$}", show(side));
        }
        self.0.push('\n');
    }

    fn count(&mut self, label: &str, sides: [&Outcome; 2], count: impl Fn(&Totals) -> u64) {
        self.row(label, &sides, |side| text::count(count(&side.totals)));
    }
}
