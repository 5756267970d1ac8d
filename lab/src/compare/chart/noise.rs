//! A chart of speed against false trips, with a point for each contestant.

use plotters::prelude::*;

use super::{Area, COLOURS, Drawn, FONT};
use crate::compare::headline::Headline;
use crate::compare::run::Comparison;
use crate::compare::summary::FalseTrips;
use crate::labels::{self, Sides};

/// The position of points whose rate can't be told from zero.
const LEAST: f64 = 1e-3;

/// The margin on the right, in pixels.
const MARGIN: i32 = 130;

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
        .margin_right(MARGIN)
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
    let labels: Vec<_> = points
        .iter()
        .map(|&(trips, ratio, name, _)| (name, chart.backend_coord(&(trips, ratio))))
        .collect();
    // Names may stand in the margin on the right, but not on the axes.
    let (across, down) = chart.plotting_area().get_pixel_range();
    let picture = labels::Area {
        from: (across.start + 1, down.start),
        to: (across.end + MARGIN, down.end - 1),
    };
    let places = labels::place(&labels, picture, Sides::Both);
    let circles = points.iter().map(|&(trips, ratio, _, colour)| {
        EmptyElement::at((trips, ratio)) + Circle::new((0, 0), 4, colour.filled())
    });
    chart.draw_series(circles)?;
    for ((name, point), placed) in labels.into_iter().zip(places) {
        super::draw_label(area, name, point, placed, BLACK)?;
    }
    Ok(())
}
