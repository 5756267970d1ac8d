//! A chart of the distributions: the durations of the fastest calls, on an axis that gives each
//! further nine equal room.

use std::error::Error;
use std::time::Duration;

use hdrhistogram::Histogram;
use plotters::coord::Shift;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use tripcurve::snapshot::Latency;

use crate::breaker::SLOWER_THAN;

const SIZE: (u32, u32) = (960, 600);
const FONT: &str = "sans-serif";

/// The labelled parts of the calls, by the rest: half, nine of ten, 99 of a hundred. In this form,
/// a logarithmic axis gives each nine equal room. The axis goes from the first to the last.
const ONE_IN: [f64; 7] = [1.0, 2.0, 4.0, 10.0, 20.0, 100.0, 1_000.0];
const END: f64 = ONE_IN[ONE_IN.len() - 1];

/// The labelled times, in milliseconds. The axis begins and ends at one of them.
const MILLIS: [f64; 15] = [
    0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1e3, 2e3, 5e3, 10e3, 20e3,
];

/// The length of a dash and of the gap after it.
type Dash = (i32, i32);
const SOLID: Dash = (10_000, 0);
const DASHED: Dash = (9, 5);

/// One distribution, and its style.
pub(crate) struct Curve {
    pub(crate) name: String,
    pub(crate) latency: Latency,
    pub(crate) color: RGBColor,
    pub(crate) is_computed: bool,
}

/// Draws the curves as an SVG.
pub(crate) fn draw(title: &str, curves: &[Curve]) -> Result<String, Box<dyn Error>> {
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    draw_on(&area, title, curves)?;
    drop(area);
    Ok(svg)
}

fn draw_on(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    title: &str,
    curves: &[Curve],
) -> Result<(), Box<dyn Error>> {
    area.fill(&WHITE)?;
    let times = times(curves);
    let mut labels = MILLIS.to_vec();
    labels.retain(|ms| (times.start..=times.end).contains(ms));
    let mut chart = ChartBuilder::on(area)
        .caption(title, (FONT, 22))
        .margin(16)
        .margin_right(36)
        .x_label_area_size(52)
        .y_label_area_size(76)
        .build_cartesian_2d(
            (ONE_IN[0]..END)
                .log_scale()
                .with_key_points(ONE_IN.to_vec()),
            times.log_scale().with_key_points(labels),
        )?;
    chart
        .configure_mesh()
        .x_desc("part of the calls, the fastest first")
        .y_desc("took at most")
        .x_label_formatter(&|one_in| part(*one_in))
        .y_label_formatter(&|millis| time(*millis))
        .label_style((FONT, 15))
        .axis_desc_style((FONT, 17))
        .draw()?;

    let limit = SLOWER_THAN.as_secs_f64() * 1e3;
    let limits = [(ONE_IN[0], limit), (END, limit)];
    let mut line = |points: Vec<(f64, f64)>, style: ShapeStyle, dash: Dash, label: String| {
        chart
            .draw_series(DashedLineSeries::new(points, dash.0, dash.1, style))
            .map(|series| {
                series.label(label).legend(move |(x, y)| {
                    DashedPathElement::new([(x, y), (x + 30, y)], dash.0, dash.1, style)
                });
            })
    };
    let label = format!("slow is what takes longer than {}", time(limit));
    line(
        limits.to_vec(),
        BLACK.mix(0.6).stroke_width(2),
        SOLID,
        label,
    )?;
    for curve in curves {
        let dash = if curve.is_computed { DASHED } else { SOLID };
        let label = format!("{}: {}", curve.name, curve.latency);
        let steps = steps(curve.latency.histogram());
        line(steps, curve.color.stroke_width(3), dash, label)?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .margin(12)
        .label_font((FONT, 14))
        .legend_area_size(40)
        .background_style(WHITE.mix(0.9))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    area.present()?;
    Ok(())
}

/// All but one in this many, in percent.
fn part(one_in: f64) -> String {
    let percent = 100.0 - 100.0 / one_in;
    // Rounded to a label's precision. Otherwise 99.9 could be 99.90000000000001.
    format!("{} %", (percent * 1e3).round() / 1e3)
}

fn time(millis: f64) -> String {
    format!("{:?}", Duration::from_secs_f64(millis / 1e3))
}

/// The range of the times, with room above for the legend.
fn times(curves: &[Curve]) -> std::ops::Range<f64> {
    let millis = |time: Option<Duration>| time.unwrap_or(SLOWER_THAN).as_secs_f64() * 1e3;
    let shortest = curves.iter().map(|curve| millis(curve.latency.min()));
    let longest = curves.iter().map(|curve| millis(curve.latency.max()));
    let (shortest, longest) = (
        shortest.fold(f64::INFINITY, f64::min),
        longest.fold(0.0, f64::max),
    );
    let (first, last) = (MILLIS[0], MILLIS[MILLIS.len() - 1]);
    let from = MILLIS.into_iter().rev().find(|ms| *ms <= shortest);
    let until = MILLIS.into_iter().find(|ms| *ms >= 6.0 * longest);
    from.unwrap_or(first)..until.unwrap_or(last)
}

/// The distribution as steps. Each recorded time has a step as long as the share of calls that took
/// it, up to the end of the axis.
fn steps(histogram: &Histogram<u64>) -> Vec<(f64, f64)> {
    let mut steps = Vec::new();
    let mut from = ONE_IN[0];
    for recorded in histogram.iter_recorded() {
        let millis = Duration::from_nanos(recorded.value_iterated_to()).as_secs_f64() * 1e3;
        // No calls are slower than the slowest ones, so their step has no end.
        let until = (1.0 / (1.0 - recorded.quantile())).min(END);
        steps.extend([(from, millis), (until, millis)]);
        if until >= END {
            break;
        }
        from = until;
    }
    steps
}
