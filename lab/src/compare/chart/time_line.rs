//! A chart of one outage through several breakers.

use std::error::Error;

use plotters::prelude::*;

use super::{Area, COLOURS, Drawn, FONT, drawn};
use crate::backend::{Answer, Backend};
use crate::breaker::{Breaker, Nanos, Phase};
use crate::compare::cell::{Cell, Role, WarmUp};
use crate::compare::run::Comparison;
use crate::peers::Visit;
use crate::scenario::{Lengths, Scenario};
use crate::simulation::{self, Witness};
use crate::time::{SECOND, seconds_between};
use crate::traffic::{Latency, Traffic};
use crate::words;

/// The course of one breaker through the outage.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    name: &'static str,
    phases: Vec<(Nanos, Phase)>,
    failed: u64,
    lost: u64,
    onset: Nanos,
    end: Nanos,
    until: Nanos,
}

/// The time drawn before the onset and after the end.
const BEFORE: Nanos = 5 * SECOND;
const AFTER: Nanos = 70 * SECOND;

pub(super) fn lanes(comparison: &Comparison) -> Result<Vec<Lane>, Box<dyn Error>> {
    let cell = Cell {
        role: Role::Limit,
        scenario: Scenario::sharp(0.5),
        rate: 1_000.0,
        baseline: 0.01,
        latency: Latency::USUAL,
        lengths: Lengths {
            shortest: 39.0,
            longest: 41.0,
        },
        warm_up: WarmUp {
            longest: 100.0,
            calls: f64::INFINITY,
        },
    };
    let mut lanes = Vec::new();
    for (place, _) in drawn(comparison) {
        let contestant = &comparison.contestants[place];
        let (backend, traffic) = cell.draw(comparison.seed);
        let watching = Watching {
            name: contestant.name,
            backend,
            traffic,
        };
        lanes.push(contestant.visit(comparison.seed, cell.slow(), watching)?);
    }
    Ok(lanes)
}

struct Watching {
    name: &'static str,
    backend: Backend,
    traffic: Traffic,
}

impl Visit for Watching {
    type Output = Lane;

    fn visit<B: Breaker>(self, breaker: B) -> Lane {
        let Self {
            name,
            mut backend,
            traffic,
        } = self;
        let mut lane = Lane {
            name,
            phases: vec![(0, Phase::Closed)],
            failed: 0,
            lost: 0,
            onset: backend.onset(),
            end: backend.end(),
            until: backend.end() + AFTER,
        };
        simulation::run(breaker, traffic, &mut backend, &mut lane);
        lane
    }
}

impl Witness for Lane {
    fn call(&mut self, at: Nanos, answer: &Answer, let_through: bool, _: &Backend) -> bool {
        if at >= self.onset {
            let by_the_fault = answer.fails && !answer.fails_anyway;
            self.failed += u64::from(let_through && by_the_fault);
            self.lost += u64::from(!let_through && !answer.fails);
        }
        at < self.until
    }

    fn phase(&mut self, at: Nanos, phase: Phase) {
        self.phases.push((at, phase));
    }
}

const LANE: u32 = 52;

pub(super) fn height(lanes: &[Lane]) -> u32 {
    120 + LANE * u32::try_from(lanes.len()).unwrap_or(1)
}

pub(super) fn draw(area: &Area<'_>, lanes: &[Lane]) -> Drawn {
    let Some(first) = lanes.first() else {
        return Ok(());
    };
    let since_onset = |at: Nanos| seconds_between(first.onset, at);
    let begin = -seconds_between(0, BEFORE);
    let until = since_onset(first.until);
    let count = f64::from(u32::try_from(lanes.len())?);
    let mut chart = ChartBuilder::on(area)
        .caption(
            "Half of the calls fail (grey). Blue: closed, red: open, orange: probing",
            (FONT, 18),
        )
        .margin(12)
        .x_label_area_size(44)
        .build_cartesian_2d(begin..until, 0.0..count)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .light_line_style(TRANSPARENT)
        .x_desc("seconds since the outage began")
        .label_style((FONT, 13))
        .draw()?;
    chart.draw_series([Rectangle::new(
        [(0.0, 0.0), (since_onset(first.end), count)],
        BLACK.mix(0.12).filled(),
    )])?;
    for (number, lane) in (0_u32..).zip(lanes) {
        let top = count - f64::from(number);
        let ends = lane.phases.iter().skip(1).map(|(at, _)| *at);
        for (&(from, phase), to) in lane.phases.iter().zip(ends.chain([lane.until])) {
            let colour = match phase {
                Phase::Closed => COLOURS[0],
                Phase::Open => COLOURS[1],
                Phase::Recovering => COLOURS[3],
            };
            let (from, to) = (since_onset(from).max(begin), since_onset(to).min(until));
            if to > from {
                let bar = [(from, top - 0.75), (to.max(from + 0.1), top - 0.5)];
                chart.draw_series([Rectangle::new(bar, colour.filled())])?;
            }
        }
        let failed = words::count(lane.failed);
        let lost = words::count(lane.lost);
        let text = format!("{}: {failed} failed, {lost} lost", lane.name);
        chart.draw_series([Text::new(text, (begin + 0.5, top - 0.15), (FONT, 13))])?;
    }
    Ok(())
}
