//! The current percentiles: on a terminal one line that changes, otherwise a new line each time.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use crossterm::style::{Color, PrintStyledContent, Stylize as _};
use crossterm::terminal::{self, ClearType};
use crossterm::{cursor, queue};
use tripcurve::State;
use tripcurve::snapshot::{Latency, Snapshot};

const HEAD: &str =
    " time  state     calls/s     p50     p90     p99     max  slow overdue rejected";

pub(crate) struct Screen {
    is_terminal: bool,
    row: String,
    color: Color,
}

impl Screen {
    pub(crate) fn open(window: Duration) -> io::Result<Self> {
        let mut stdout = io::stdout();
        writeln!(
            stdout,
            "Percentiles are of the calls of the last {window:.1?} that succeeded.\n\n{HEAD}"
        )?;
        Ok(Self {
            is_terminal: stdout.is_terminal(),
            row: String::new(),
            color: Color::Reset,
        })
    }

    /// Prints an event on a line that remains.
    pub(crate) fn tell(&self, line: &str) -> io::Result<()> {
        self.above(|out| writeln!(out, "{line}"))
    }

    /// Shows the breaker's window.
    pub(crate) fn show(
        &mut self,
        at: Duration,
        snapshot: &Snapshot,
        calls_a_second: f64,
    ) -> io::Result<()> {
        self.row = row(at, snapshot, calls_a_second);
        self.color = match snapshot.state() {
            State::Closed => Color::Green,
            State::HalfOpen => Color::Yellow,
            _ => Color::Red,
        };
        if self.is_terminal {
            self.above(|_| Ok(()))
        } else {
            writeln!(io::stdout(), "{}", self.row)
        }
    }

    /// Leaves the last line on the screen.
    pub(crate) fn close(self) -> io::Result<()> {
        if self.is_terminal {
            writeln!(io::stdout())?;
        }
        Ok(())
    }

    /// Writes in place of the changing line, and draws that line below.
    fn above(&self, write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> io::Result<()> {
        let mut out = Vec::new();
        if self.is_terminal {
            queue!(
                out,
                cursor::MoveToColumn(0),
                terminal::Clear(ClearType::CurrentLine)
            )?;
        }
        write(&mut out)?;
        if self.is_terminal {
            // One column less than the terminal's width, because some terminals would begin another
            // line. A terminal that doesn't know its size reports zero.
            let known = terminal::size().ok().filter(|(width, _)| *width > 0);
            let width = known.map_or(80, |(width, _)| usize::from(width));
            let row: String = self.row.chars().take(width - 1).collect();
            queue!(out, PrintStyledContent(row.with(self.color)))?;
        }
        let mut stdout = io::stdout();
        stdout.write_all(&out)?;
        stdout.flush()
    }
}

fn row(at: Duration, snapshot: &Snapshot, calls_a_second: f64) -> String {
    let latency = snapshot.latency_of_successes();
    let percentile = |percentile| time(latency.and_then(|all| all.percentile(percentile)));
    format!(
        "{:>5.1}  {:<9} {calls_a_second:>7.0} {:>7} {:>7} {:>7} {:>7} {:>5} {:>7} {:>8}",
        at.as_secs_f64(),
        snapshot.state().to_string(),
        percentile(50.0),
        percentile(90.0),
        percentile(99.0),
        time(latency.and_then(Latency::max)),
        snapshot.slow(),
        snapshot.overdue(),
        snapshot.rejected(),
    )
}

fn time(time: Option<Duration>) -> String {
    time.map_or("-".to_owned(), |time| format!("{time:.1?}"))
}
