//! A chart of the failed calls let through, against the limit, by traffic.

use plotters::prelude::*;

use super::{Area, Drawn, FONT, drawn};
use crate::compare::cell::Role;
use crate::compare::run::{Comparison, Results};
use crate::scenario::Scenario;

pub(super) fn draw(area: &Area<'_>, comparison: &Comparison, results: &Results) -> Drawn {
    let lines: Vec<_> = drawn(comparison)
        .into_iter()
        .map(|(place, colour)| {
            let name = comparison.contestants[place].name;
            (name, colour, points(comparison, results, place))
        })
        .collect();
    let all = || {
        lines
            .iter()
            .flat_map(|(_, _, points)| points.iter().copied())
    };
    let most = all().map(|(_, ratio)| ratio).fold(2.0, f64::max);
    let least = all().map(|(_, ratio)| ratio).fold(0.5, f64::min);
    let slowest = all().map(|(rate, _)| rate).fold(1.0, f64::min);
    let fastest = all().map(|(rate, _)| rate).fold(10.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption(
            "Failed calls let through, 50 % outage, as a multiple of limit B",
            (FONT, 18),
        )
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(60)
        .build_cartesian_2d(
            (slowest..fastest * 1.1).log_scale(),
            (least * 0.8..most * 1.3).log_scale(),
        )?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("calls a second")
        .y_desc("times the limit")
        .label_style((FONT, 13))
        .draw()?;
    chart.draw_series(LineSeries::new(
        [(slowest, 1.0), (fastest, 1.0)],
        BLACK.mix(0.4).stroke_width(2),
    ))?;
    for (name, colour, points) in lines {
        chart
            .draw_series(LineSeries::new(points, colour.filled().stroke_width(2)).point_size(3))?
            .label(name)
            .legend(move |(x, y)| Rectangle::new([(x, y - 3), (x + 14, y + 3)], colour.filled()));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.2))
        .label_font((FONT, 13))
        .draw()?;
    Ok(())
}

fn points(comparison: &Comparison, results: &Results, place: usize) -> Vec<(f64, f64)> {
    let cells = comparison.cells.iter().zip(&results[place]);
    cells
        .filter(|(cell, _)| cell.role == Role::Limit && cell.scenario == Scenario::sharp(0.5))
        .filter(|(cell, _)| (cell.baseline - 0.01).abs() < 1e-9)
        .filter_map(|(cell, summary)| {
            let limit = cell.tolerant()?.failed_calls(cell.rate, cell.latency);
            Some((cell.rate, (summary.leaked? / limit).max(1e-3)))
        })
        .collect()
}
