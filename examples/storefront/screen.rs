//! The view for a terminal: both sides next to each other, ten times a second.

use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossterm::event::{self, Event as Input, KeyCode, KeyModifiers};
use crossterm::style::{Color, PrintStyledContent, Stylize as _};
use crossterm::terminal::{self, ClearType};
use crossterm::{cursor, execute, queue};
use tripcurve::State;

use crate::ledger::{HISTORY_STEP, Live, PATIENCE};
use crate::script::{LENGTH, PHASES};
use crate::stage::{Event, Side, Stage, describe, state};
use crate::text;

/// The width that the layout needs. On narrower terminals, the program prints lines.
const WIDTH: u16 = 80;
const HEIGHT: u16 = 24;

/// The columns left of the numbers.
const LABEL: usize = 24;
/// The columns of each side.
const SIDE: usize = 28;
/// The columns left of the history, which is one column per step.
const MARGIN: usize = 9;

/// Rows above the events.
const ROWS: usize = 20;

/// Whether this terminal has room for the view.
pub(crate) fn fits() -> bool {
    terminal::size().is_ok_and(|(width, height)| width >= WIDTH && height >= HEIGHT)
}

pub(crate) struct Screen {
    recent: VecDeque<Event>,
}

impl Screen {
    pub(crate) fn open() -> io::Result<Self> {
        // `Drop` also runs in a panic. But the message would be drawn on the alternate screen,
        // which vanishes then.
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            restore();
            report(panic);
        }));
        let screen = Self {
            recent: VecDeque::new(),
        };
        TAKEN.store(true, Ordering::Relaxed);
        // In raw mode, keys don't show, and don't wait for the shell.
        terminal::enable_raw_mode()?;
        execute!(io::stdout(), terminal::EnterAlternateScreen, cursor::Hide)?;
        Ok(screen)
    }

    pub(crate) fn update(&mut self, stage: &Stage) -> io::Result<()> {
        let (width, height) = terminal::size()?;
        let (width, height) = (usize::from(width), usize::from(height));
        self.recent.extend(stage.events.try_iter());
        let room = height.saturating_sub(ROWS);
        let surplus = self.recent.len().saturating_sub(room.max(1));
        self.recent.drain(..surplus);

        let mut lines = body(stage);
        lines.extend(self.recent.iter().map(event_line));
        lines.truncate(height);
        lines.resize_with(height, Line::default);

        let mut frame = Vec::new();
        queue!(frame, terminal::BeginSynchronizedUpdate)?;
        for (row, line) in (0..).zip(&lines) {
            queue!(frame, cursor::MoveTo(0, row))?;
            line.draw(&mut frame, width)?;
            queue!(frame, terminal::Clear(ClearType::UntilNewLine))?;
        }
        queue!(frame, terminal::EndSynchronizedUpdate)?;
        let mut stdout = io::stdout();
        stdout.write_all(&frame)?;
        stdout.flush()
    }
}

/// Whether the user has pressed a key to leave. In raw mode, Ctrl-C is a key like any other.
pub(crate) fn leave_pressed() -> io::Result<bool> {
    while event::poll(Duration::ZERO)? {
        if let Input::Key(key) = event::read()? {
            let control = key.modifiers.contains(KeyModifiers::CONTROL);
            match key.code {
                KeyCode::Char('c') if control => return Ok(true),
                KeyCode::Char('q') | KeyCode::Esc => return Ok(true),
                _ => {}
            }
        }
    }
    Ok(false)
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// Whether the terminal is in our mode. Leaving the alternate screen twice would move the cursor
/// up, over a panic's message.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Restores the terminal.
fn restore() {
    if !TAKEN.swap(false, Ordering::Relaxed) {
        return;
    }
    // If the terminal doesn't accept this, nothing else can be done.
    _ = execute!(io::stdout(), cursor::Show, terminal::LeaveAlternateScreen);
    _ = terminal::disable_raw_mode();
}

fn body(stage: &Stage) -> Vec<Line> {
    let now = stage.script.elapsed().min(LENGTH);
    let lives = stage.sides().map(|side| side.storefront.ledger.live(now));
    let row = |label: &str, show: &dyn Fn(&Live) -> (String, Tone)| {
        let mut line = Line::of(format!(" {label:<0$}", LABEL - 1), Tone::Dim);
        for live in &lives {
            let (text, tone) = show(live);
            line.add(format!("{text:<SIDE$}"), tone);
        }
        line
    };
    let plain = |text: String| (text, Tone::Plain);
    vec![
        title(stage, now),
        Line::default(),
        script_line(now),
        history_line("with", &stage.protected, now),
        history_line("without", &stage.bare, now),
        Line::default(),
        Line::of(
            format!(
                "{:LABEL$}{:<SIDE$}{:<SIDE$}",
                "", "with breakers", "without breakers"
            ),
            Tone::Strong,
        ),
        breaker_line(stage, "payments", |side| {
            side.storefront
                .breakers
                .as_ref()
                .map(|b| state(&b.payments))
        }),
        breaker_line(stage, "recommendations", |side| {
            let breakers = side.storefront.breakers.as_ref();
            breakers.map(|b| state(&b.recommendations))
        }),
        row("backend calls a second", &|live| {
            plain(text::count(live.calls))
        }),
        row("  failed", &|live| {
            let bad = live.failure_rate.is_some_and(|rate| rate >= 0.1);
            (
                text::percent(live.failure_rate),
                if bad { Tone::Bad } else { Tone::Plain },
            )
        }),
        row("calls saved so far", &|live| {
            plain(text::count(live.totals.saved))
        }),
        row("shoppers waiting", &|live| {
            plain(text::count(live.totals.asked - live.totals.served()))
        }),
        row("page time, p50", &|live| {
            (text::wait(live.median), tone_of(live.median))
        }),
        row("page time, p99", &|live| {
            (text::wait(live.p99), tone_of(live.p99))
        }),
        row("pages in full so far", &|live| {
            plain(text::count(live.totals.full))
        }),
        row("  with a fallback", &|live| {
            plain(text::count(live.totals.fallback))
        }),
        row("  too late", &|live| {
            plain(text::count(live.totals.too_slow))
        }),
        page_line(stage),
        Line::default(),
    ]
}

fn title(stage: &Stage, now: Duration) -> Line {
    let mut line = Line::of(" tripcurve storefront".to_owned(), Tone::Strong);
    line.add(
        format!(
            "   {} of {}   {} shoppers a second each   q: leave",
            text::seconds(now),
            text::seconds(LENGTH),
            stage.rate
        ),
        Tone::Dim,
    );
    line
}

/// The names of the phases, each as wide as its share of the time.
fn script_line(now: Duration) -> Line {
    let mut line = Line::of(format!(" {:<1$}", "backend", MARGIN - 1), Tone::Dim);
    for phase in &PHASES {
        let width = steps(phase.until()) - steps(phase.from());
        let name = format!("|{:<1$}", phase.mood.name(), width - 1);
        let playing = phase.from() <= now && now < phase.until();
        line.add(name, if playing { Tone::Strong } else { Tone::Dim });
    }
    line
}

fn steps(time: Duration) -> usize {
    usize::try_from(time.as_millis() / HISTORY_STEP.as_millis()).unwrap_or(usize::MAX)
}

/// The p99 so far, one character per step, on a logarithmic scale. A tenfold time is two or three
/// steps higher.
fn history_line(name: &str, side: &Side, now: Duration) -> Line {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    const UP_TO_MS: [u128; 7] = [4, 10, 25, 60, 150, 400, 800];
    let mut line = Line::of(format!(" {name:<0$}", MARGIN - 1), Tone::Dim);
    for p99 in side.storefront.ledger.history(now) {
        let bar = p99.map_or(' ', |p99| {
            let height = UP_TO_MS.iter().position(|ms| p99.as_millis() < *ms);
            BARS[height.unwrap_or(BARS.len() - 1)]
        });
        line.add(bar.to_string(), tone_of(p99));
    }
    line
}

fn breaker_line(
    stage: &Stage,
    name: &str,
    show: impl Fn(&Side) -> Option<(State, String)>,
) -> Line {
    let mut line = Line::of(format!(" {name:<0$}", LABEL - 1), Tone::Dim);
    for side in stage.sides() {
        let (text, tone) = show(side)
            .map_or(("no breaker".to_owned(), Tone::Dim), |(state, text)| {
                (text, tone_of_state(state))
            });
        line.add(format!("{text:<SIDE$}"), tone);
    }
    line
}

fn page_line(stage: &Stage) -> Line {
    let mut line = Line::of(format!(" {:<1$}", "a page just now", LABEL - 1), Tone::Dim);
    for side in stage.sides() {
        let page = side.storefront.ledger.with_last_page(describe);
        let page = page.unwrap_or_default();
        line.add(format!("{page:<SIDE$.0$}", SIDE - 1), Tone::Plain);
    }
    line
}

fn event_line(event: &Event) -> Line {
    let mut line = Line::of(format!(" {:>6}  ", text::seconds(event.at)), Tone::Dim);
    line.add(event.what.clone(), tone_of_state(event.to));
    line
}

fn tone_of_state(state: State) -> Tone {
    match state {
        State::Closed => Tone::Good,
        State::HalfOpen => Tone::Warn,
        _ => Tone::Bad,
    }
}

fn tone_of(wait: Option<Duration>) -> Tone {
    match wait {
        None => Tone::Dim,
        Some(wait) if wait > PATIENCE => Tone::Bad,
        Some(wait) if wait > PATIENCE / 5 => Tone::Warn,
        Some(_) => Tone::Good,
    }
}

#[derive(Clone, Copy)]
enum Tone {
    Plain,
    Dim,
    Strong,
    Good,
    Warn,
    Bad,
}

/// A row of the screen: texts, each in one tone.
#[derive(Default)]
struct Line(Vec<(String, Tone)>);

impl Line {
    fn of(text: String, tone: Tone) -> Self {
        Self(vec![(text, tone)])
    }

    fn add(&mut self, text: String, tone: Tone) {
        self.0.push((text, tone));
    }

    /// Draws as much as fits. Every character used here is one column wide.
    fn draw(&self, frame: &mut Vec<u8>, width: usize) -> io::Result<()> {
        let mut room = width;
        for (text, tone) in &self.0 {
            let text: String = text.chars().take(room).collect();
            room -= text.chars().count();
            let styled = match tone {
                Tone::Plain => text.stylize(),
                Tone::Dim => text.with(Color::DarkGrey),
                Tone::Strong => text.bold(),
                Tone::Good => text.with(Color::Green),
                Tone::Warn => text.with(Color::Yellow),
                Tone::Bad => text.with(Color::Red),
            };
            queue!(frame, PrintStyledContent(styled))?;
        }
        Ok(())
    }
}
