//! A chart of speed against false trips, with a point for each contestant.

use plotters::prelude::*;

use super::{Area, COLOURS, Drawn, FONT};
use crate::compare::headline::Headline;
use crate::compare::run::Comparison;
use crate::compare::summary::FalseTrips;

/// The position of points whose rate can't be told from zero.
const LEAST: f64 = 1e-3;

pub(super) fn draw(area: &Area<'_>, comparison: &Comparison, headlines: &[Headline]) -> Drawn {
    let mut points: Vec<(f64, f64, &str, RGBColor)> = Vec::new();
    for (contestant, headline) in comparison.contestants.iter().zip(headlines) {
        let noises = [&headline.healthy, &headline.poison, &headline.persistent];
        let worst = noises.iter().filter_map(|noise| noise.worst);
        let worst = worst.map(FalseTrips::per_hour).fold(LEAST, f64::max);
        if let Some(ratio) = headline.limit.tolerant.geometric_mean {
            let colour = COLOURS[usize::from(!contestant.is_ours())];
            points.push((worst, ratio, contestant.name, colour));
        }
    }
    let most =
        |of: fn(&(f64, f64, &str, RGBColor)) -> f64| points.iter().map(of).fold(1.0, f64::max);
    let (noisiest, slowest) = (most(|point| point.0), most(|point| point.1));
    let mut chart = ChartBuilder::on(area)
        .caption("Blue is ours. Lower left is better", (FONT, 18))
        .margin(12)
        .margin_right(130)
        .x_label_area_size(44)
        .y_label_area_size(60)
        .build_cartesian_2d(
            (LEAST * 0.7..noisiest * 2.0).log_scale(),
            (0.5..slowest * 1.5).log_scale(),
        )?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc(
            "false trips an hour in the worst healthy, bursty or 25 % cell; 0.001 stands for none",
        )
        .y_desc("failed calls let through, times limit B")
        .label_style((FONT, 13))
        .draw()?;
    for (number, (trips, ratio, name, colour)) in points.into_iter().enumerate() {
        // The names of neighbouring points are spread.
        let shift = [0, 10, -10][number % 3];
        chart.draw_series(std::iter::once(
            EmptyElement::at((trips, ratio))
                + Circle::new((0, 0), 4, colour.filled())
                + Text::new(name, (7, shift - 5), (FONT, 11)),
        ))?;
    }
    Ok(())
}
