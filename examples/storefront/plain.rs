//! The view for a pipe or a log: one line per second, and one per event.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::Duration;

use crate::script::{PHASES, phase_at};
use crate::stage::{Side, Stage};
use crate::text;

const EVERY: Duration = Duration::from_secs(1);

pub(crate) struct Plain {
    next: Duration,
}

impl Plain {
    pub(crate) fn new(stage: &Stage) -> io::Result<Self> {
        writeln!(
            io::stdout(),
            "{} shoppers a second at each of two storefronts, one with breakers, one without.\n\
             A line is the last second: calls to the backend that failed, shoppers waiting, page p99.",
            stage.rate
        )?;
        Ok(Self { next: EVERY })
    }

    pub(crate) fn update(&mut self, stage: &Stage) -> io::Result<()> {
        let mut lines = String::new();
        for event in stage.events.try_iter() {
            // Writing to a String never fails.
            _ = writeln!(lines, "{:>6}  * {}", text::seconds(event.at), event.what);
        }
        let now = stage.script.elapsed();
        if now >= self.next {
            self.next += EVERY;
            _ = writeln!(
                lines,
                "{:>6}  {:<10} | with {} | without {}",
                text::seconds(now),
                PHASES[phase_at(now)].mood.name(),
                side(&stage.protected, now),
                side(&stage.bare, now),
            );
        }
        io::stdout().write_all(lines.as_bytes())
    }
}

fn side(side: &Side, now: Duration) -> String {
    let live = side.storefront.ledger.live(now);
    let mut shown = String::new();
    if let Some(breakers) = &side.storefront.breakers {
        shown = format!(
            "pay {}, rec {}, {} saved, ",
            breakers.payments.state(),
            breakers.recommendations.state(),
            text::count(live.totals.saved)
        );
    }
    _ = write!(
        shown,
        "{} failed, {} waiting, p99 {}",
        text::percent(live.failure_rate),
        text::count(live.totals.asked - live.totals.served()),
        text::wait(live.p99)
    );
    shown
}
