//! A replay as a picture: the traffic, how long calls took, and a lane for each policy.

use std::error::Error;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

use super::axis::Axis;
use super::binned::{Bin, Binned};
use super::lane::{COLUMNS, columns, runs};
use super::report::{Bad, Played};
use crate::breaker::Phase;
use crate::log::Log;
use crate::words;

const WIDTH: u32 = 1_200;
const CURVES: u32 = 210;
const LANE: u32 = 42;
const AXIS: u32 = 46;
const FOOT: u32 = 40;
const FONT: &str = "sans-serif";

// Colours by Okabe and Ito, which colour-blind readers can tell apart.
const BLUE: RGBColor = RGBColor(0, 114, 178);
const VERMILLION: RGBColor = RGBColor(213, 94, 0);
const ORANGE: RGBColor = RGBColor(230, 159, 0);
const GREEN: RGBColor = RGBColor(0, 158, 115);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn Error>>;

/// Draws the picture into a file.
pub(super) fn draw(path: &Path, log: &Log, results: &[Played], bad: Bad) -> Drawn {
    let lanes = LANE * u32::try_from(results.len())?;
    let height = 2 * CURVES + lanes + AXIS + FOOT;
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        area.fill(&WHITE)?;
        let (rates, rest) = area.split_vertically(CURVES);
        let (latencies, rest) = rest.split_vertically(CURVES);
        let (lanes, foot) = rest.split_vertically(lanes + AXIS);
        let length = log.length().max(1);
        let binned = Binned::new(&log.calls, length, bad, 600);
        let axis = Axis {
            origin: log.origin,
            length,
        };
        draw_rates(&rates, &binned, &axis, bad)?;
        draw_latencies(&latencies, &binned, &axis)?;
        draw_lanes(&lanes, results, &axis)?;
        draw_foot(&foot)?;
        area.present()?;
    }
    std::fs::write(path, svg)?;
    Ok(())
}

fn panel<'a, 'b>(area: &'a Area<'b>, caption: &str) -> ChartBuilder<'a, 'b, SVGBackend<'b>> {
    let mut builder = ChartBuilder::on(area);
    builder
        .margin(8)
        .margin_right(28)
        .caption(caption, (FONT, 16))
        .y_label_area_size(72);
    builder
}

fn draw_rates(area: &Area<'_>, binned: &Binned, axis: &Axis, bad: Bad) -> Drawn {
    let most = binned.bins.iter().map(|bin| bin.calls).fold(0.0, f64::max);
    let caption = format!(
        "calls a second (blue), {} ones among them (red); bins of {}",
        bad.word(),
        words::span(binned.width)
    );
    let mut chart = panel(area, &caption).build_cartesian_2d(*axis, 0.0..1.1 * most.max(1e-9))?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .x_labels(0)
        .y_labels(5)
        .label_style((FONT, 13))
        .draw()?;
    let width = words::seconds(binned.width);
    let bars = binned
        .points(|bin| Some(bin.bad))
        .filter(|&(_, rate)| rate > 0.0)
        .map(|(at, rate)| Rectangle::new([(at, 0.0), (at + width, rate)], VERMILLION.filled()));
    chart.draw_series(bars)?;
    let line = binned.points(|bin| Some(bin.calls));
    chart.draw_series(LineSeries::new(line, BLUE.stroke_width(1)))?;
    Ok(())
}

fn draw_latencies(area: &Area<'_>, binned: &Binned, axis: &Axis) -> Drawn {
    let of = |take: fn(&Bin) -> Option<f64>| binned.points(take).map(|(_, took)| took);
    let shortest = of(|bin| bin.p50).fold(f64::INFINITY, f64::min).max(1e-7);
    let longest = of(|bin| bin.p99).fold(0.0, f64::max).max(2.0 * shortest);
    let caption = "what half (blue) and 99 of 100 (orange) of the calls took at most";
    let range = (shortest / 1.5..longest * 1.5).log_scale();
    let mut chart = panel(area, caption).build_cartesian_2d(*axis, range)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .x_labels(0)
        .y_labels(6)
        .y_label_formatter(&|&seconds| format!("{:?}", rounded(seconds)))
        .label_style((FONT, 13))
        .draw()?;
    for (color, take) in [
        (ORANGE, (|bin| bin.p99) as fn(&Bin) -> Option<f64>),
        (BLUE, |bin| bin.p50),
    ] {
        let points = binned.points(take).map(|(at, took)| (at, took.max(1e-7)));
        chart.draw_series(LineSeries::new(points, color.stroke_width(1)))?;
    }
    Ok(())
}

/// Rounds to two digits, which is enough for a label.
fn rounded(seconds: f64) -> std::time::Duration {
    let step = 10_f64.powf(seconds.log10().floor() - 1.0);
    std::time::Duration::from_nanos(nanos((seconds / step).round() * step))
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "times of a log are positive and far below 2⁵³ ns"
)]
fn nanos(seconds: f64) -> u64 {
    (seconds * 1e9).round() as u64
}

fn draw_lanes(area: &Area<'_>, results: &[Played], axis: &Axis) -> Drawn {
    let lanes = u32::try_from(results.len())?;
    let mut chart = ChartBuilder::on(area)
        .margin_left(8)
        .margin_right(28)
        .x_label_area_size(AXIS)
        .y_label_area_size(72)
        .build_cartesian_2d(*axis, 0.0..f64::from(lanes))?;
    chart
        .configure_mesh()
        .disable_mesh()
        .disable_y_axis()
        .y_labels(0)
        .x_labels(11)
        .x_desc(format!("UTC, from {}", words::moment(axis.calendar(0))))
        .label_style((FONT, 13))
        .axis_desc_style((FONT, 13))
        .draw()?;
    for (place, result) in (0..lanes).rev().zip(results) {
        let floor = f64::from(place);
        let (low, high) = (floor + 0.08, floor + 0.5);
        let columns = columns(&result.course, axis.length);
        let bars = runs(&columns, words::seconds(axis.length)).map(|(from, until, phase)| {
            let color = color(phase).filled();
            Rectangle::new([(from, low), (until, high)], color)
        });
        chart.draw_series(bars)?;
        let marks = result
            .course
            .trips
            .iter()
            .take(COLUMNS as usize)
            .map(|trip| {
                let at = words::seconds(trip.at);
                PathElement::new([(at, low), (at, floor + 0.6)], BLACK.stroke_width(1))
            });
        chart.draw_series(marks)?;
        let trips = result.course.trips.len();
        let name = match trips {
            0 => format!("{}: never trips", result.name),
            1 => format!("{}: 1 trip", result.name),
            _ => format!("{}: {} trips", result.name, words::count(trips as u64)),
        };
        chart.draw_series([Text::new(name, (0.0, floor + 0.95), (FONT, 14))])?;
    }
    Ok(())
}

fn draw_foot(area: &Area<'_>) -> Drawn {
    let mut left = 82;
    for (phase, name) in [
        (Phase::Closed, "closed"),
        (Phase::Recovering, "recovering"),
        (Phase::Open, "open"),
    ] {
        let square = [(left, 12), (left + 14, 24)];
        area.draw(&Rectangle::new(square, color(phase).filled()))?;
        area.draw(&Text::new(name, (left + 20, 12), (FONT, 14)))?;
        left += 120;
    }
    area.draw(&PathElement::new([(left, 8), (left, 26)], BLACK))?;
    area.draw(&Text::new("trip", (left + 8, 12), (FONT, 14)))?;
    Ok(())
}

fn color(phase: Phase) -> RGBColor {
    match phase {
        Phase::Closed => GREEN,
        Phase::Recovering => ORANGE,
        Phase::Open => VERMILLION,
    }
}
