//! A chart of times against the number of keys.

use std::error::Error;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::measure::Row;

const SIZE: (u32, u32) = (960, 560);
const FONT: &str = "sans-serif";

/// The labelled times, in nanoseconds. The axis begins and ends at one of them.
const NANOS: [f64; 12] = [
    5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1e3, 2e3, 5e3, 10e3, 20e3,
];

pub(crate) fn draw(rows: &[Row]) -> Result<String, Box<dyn Error>> {
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    draw_on(&area, rows)?;
    drop(area);
    Ok(svg)
}

type Line = (&'static str, RGBColor, fn(&Row) -> f64);

const LINES: [Line; 5] = [
    (
        "three times a lookup in a bare map: the limit",
        RGBColor(208, 215, 222),
        |row| 3.0 * row.bare,
    ),
    ("a lookup in a bare map", RGBColor(140, 149, 159), |row| {
        row.bare
    }),
    (
        "look a breaker up and be let through",
        RGBColor(9, 105, 218),
        |row| row.admitted,
    ),
    (
        "the same, and record a success",
        RGBColor(26, 127, 55),
        |row| row.recorded,
    ),
    (
        "a snapshot, when all are read",
        RGBColor(188, 76, 0),
        |row| row.snapshot,
    ),
];

fn draw_on(area: &DrawingArea<SVGBackend<'_>, Shift>, rows: &[Row]) -> Result<(), Box<dyn Error>> {
    area.fill(&WHITE)?;
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
        return Err("nothing was measured".into());
    };
    let (fewest, most) = (f64::from(first.keys), f64::from(last.keys));
    let times = || {
        let of = |row| LINES.iter().map(move |(_, _, time)| time(row));
        rows.iter().flat_map(of)
    };
    let (shortest, longest) = (
        times().fold(f64::INFINITY, f64::min),
        times().fold(0.0, f64::max),
    );
    let from = NANOS.into_iter().rev().find(|nanos| *nanos <= shortest);
    // There is room above for the legend.
    let until = NANOS.into_iter().find(|nanos| *nanos >= 6.0 * longest);
    let (from, until) = (from.unwrap_or(1.0), until.unwrap_or(1e5));
    let mut labels = NANOS.to_vec();
    labels.retain(|nanos| (from..=until).contains(nanos));

    let mut chart = ChartBuilder::on(area)
        .caption(
            "What a breaker by key costs, by the number of keys",
            (FONT, 22),
        )
        .margin(16)
        .margin_right(36)
        .x_label_area_size(52)
        .y_label_area_size(76)
        .build_cartesian_2d(
            (fewest..most)
                .log_scale()
                .with_key_points(rows.iter().map(|row| f64::from(row.keys)).collect()),
            (from..until).log_scale().with_key_points(labels),
        )?;
    chart
        .configure_mesh()
        .x_desc("keys")
        .y_desc("nanoseconds")
        .x_label_formatter(&|keys| format!("{keys}"))
        .y_label_formatter(&|nanos| format!("{nanos}"))
        .label_style((FONT, 15))
        .axis_desc_style((FONT, 17))
        .draw()?;
    for (label, color, time) in LINES {
        let points = rows.iter().map(|row| (f64::from(row.keys), time(row)));
        chart
            .draw_series(LineSeries::new(points, color.stroke_width(3)))?
            .label(label)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 30, y)], color.stroke_width(3)));
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
