//! What the terminal shows, and the verdict.

use std::fmt;
use std::time::Duration;

use crate::event::{Shown, Side};
use crate::story::count;

/// The most shops of which each has a letter.
const LETTERS: usize = 30;

/// What the letters of a [row] mean.
pub(crate) const LEGEND: &str = "\
. closed   F opened by the fleet   o opened alone, or by a failed probe   h half-open";

/// A row with the states of all breakers.
pub(crate) fn row(time: Duration, states: &[Vec<Shown>; 2], what: &str) -> String {
    let [fleet, alone] = Side::BOTH.map(|side| shown(&states[side as usize]));
    let seconds = time.as_secs_f64();
    let row = format!("{seconds:6.2} s  fleet {fleet}  alone {alone}  {what}");
    row.trim_end().to_owned()
}

fn shown(states: &[Shown]) -> String {
    if states.len() <= LETTERS {
        return states.iter().map(|&it| letter(it)).collect();
    }
    let open = count(states, |it| matches!(it, Shown::Open | Shown::OpenByFleet));
    let half_open = count(states, |it| it == Shown::HalfOpen);
    format!("{open:4} open, {half_open:4} half-open")
}

fn letter(state: Shown) -> char {
    match state {
        Shown::Closed => '.',
        Shown::HalfOpen => 'h',
        Shown::Open => 'o',
        Shown::OpenByFleet => 'F',
    }
}

/// What is measured on one side.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sums {
    /// When 95 % of the shops were cut off, and how many calls had failed by then.
    pub(crate) cut_off: Option<(Duration, u64)>,
    /// The calls that reached the backend in the outage.
    pub(crate) failed: u64,
    /// How long after the outage 95 % of the shops were closed again.
    pub(crate) back: Option<Duration>,
    /// How many shops the fleet opened.
    pub(crate) followed: usize,
}

/// What the run has shown.
pub(crate) struct Figures {
    pub(crate) shops: usize,
    /// The most breakers of the fleet that weren't closed while one shop had no connection.
    pub(crate) opened_by_one: usize,
    pub(crate) sums: [Sums; 2],
}

impl Figures {
    /// Whether the fleet opened as one and lost fewer calls, and one shop couldn't open it.
    pub(crate) fn verdict(&self) -> bool {
        let [fleet, alone] = &self.sums;
        // On a busy machine an answer may take longer than members wait. Then they decide alone.
        fleet.followed > self.shops / 2
            && fleet.failed < alone.failed
            && fleet.back.is_some()
            && self.opened_by_one <= 1
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [fleet, alone] = &self.sums;
        writeln!(f, "{:<40}{:>12}{:>12}", "", "as a fleet", "each alone")?;
        let mut line = |what: &str, of: fn(&Sums) -> String| {
            writeln!(f, "{what:<40}{:>12}{:>12}", of(fleet), of(alone))
        };
        line("calls lost until 95 % are cut off", |it| match it.cut_off {
            Some((_, failed)) => failed.to_string(),
            None => "all".to_owned(),
        })?;
        line("time until 95 % are cut off", |it| {
            time(it.cut_off.map(|(time, _)| time))
        })?;
        line("calls to the dead backend after that", |it| {
            let before = it.cut_off.map_or(it.failed, |(_, failed)| failed);
            (it.failed - before).to_string()
        })?;
        line("time until 95 % are back", |it| time(it.back))?;
        writeln!(
            f,
            "\nThe fleet's order opened {} of {} shops at once. While one shop had no connection, {} \
             of the fleet's breakers opened.",
            fleet.followed, self.shops, self.opened_by_one
        )?;
        let verdict = if self.verdict() {
            "as expected"
        } else {
            "not as expected; is the machine very busy?"
        };
        write!(f, "{verdict}")
    }
}

fn time(time: Option<Duration>) -> String {
    match time {
        Some(time) => format!("{} ms", time.as_millis()),
        None => "never".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLEET: Sums = Sums {
        cut_off: Some((Duration::from_millis(130), 12)),
        failed: 16,
        back: Some(Duration::from_millis(1_200)),
        followed: 20,
    };

    const ALONE: Sums = Sums {
        cut_off: None,
        failed: 160,
        back: None,
        followed: 0,
    };

    fn figures(sums: [Sums; 2]) -> Figures {
        Figures {
            shops: 20,
            opened_by_one: 1,
            sums,
        }
    }

    #[test]
    fn a_row_has_a_letter_for_each_shop() {
        let fleet = vec![Shown::OpenByFleet, Shown::HalfOpen];
        let alone = vec![Shown::Open, Shown::Closed];
        let row = row(
            Duration::from_millis(1_500),
            &[fleet, alone],
            "the backend fails",
        );
        assert_eq!(row, "  1.50 s  fleet Fh  alone o.  the backend fails");
    }

    #[test]
    fn many_shops_are_counted() {
        let fleet = vec![Shown::OpenByFleet; 200];
        let alone = vec![Shown::HalfOpen; 200];
        let row = row(Duration::ZERO, &[fleet, alone], "");
        let expected = "  0.00 s  fleet  200 open,    0 half-open  alone    0 open,  200 half-open";
        assert_eq!(row, expected);
    }

    #[test]
    fn the_table_has_both_sides() {
        let text = figures([FLEET, ALONE]).to_string();
        let lines: Vec<_> = text.lines().map(str::trim_end).collect();
        let head = "                                          as a fleet  each alone";
        assert_eq!(lines[0], head);
        let lost = "calls lost until 95 % are cut off                 12         all";
        assert_eq!(lines[1], lost);
        let after = "calls to the dead backend after that               4           0";
        assert_eq!(lines[3], after);
        assert_eq!(lines.last(), Some(&"as expected"));
    }

    #[test]
    fn a_fleet_that_did_not_open_as_one_is_a_failure() {
        let few = Sums {
            followed: 10,
            ..FLEET
        };
        assert!(figures([FLEET, ALONE]).verdict());
        assert!(!figures([few, ALONE]).verdict());
        assert!(!figures([ALONE, FLEET]).verdict());
    }
}
