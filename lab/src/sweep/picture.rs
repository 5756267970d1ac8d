//! The picture of a sweep: a line for each contestant, with its name at the line's end.

use std::path::Path;

use plotters::prelude::*;

use super::{Figures, Swept};
use crate::compare::chart::{COLOURS, Drawn, FONT, draw_label};
use crate::labels::{self, Sides};

const SIZE: (u32, u32) = (960, 520);

/// The margin on the right for names, in pixels.
const MARGIN: i32 = 150;

pub(super) fn draw(path: &Path, swept: &Swept) -> Drawn {
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let figures = || swept.lines.iter().flat_map(|(_, line)| line);
    let least = figures().map(|found| found.least).fold(f64::MAX, f64::min);
    let most = figures().filter_map(|found| found.main);
    let most = most.fold(10.0 * least, f64::max);
    // The values are drawn at equal distances.
    let values = swept.family.values();
    let end = i32::try_from(values.len())? - 1;
    let value = |place: &i32| {
        let value = usize::try_from(*place).ok().and_then(|at| values.get(at));
        value.map(f64::to_string).unwrap_or_default()
    };
    let main = match swept.family.zero() {
        Some(meaning) => format!("{}; the lowest line {meaning}", swept.family.main()),
        None => swept.family.main().to_owned(),
    };
    let mut chart = ChartBuilder::on(&area)
        .caption(swept.family.title(), (FONT, 18))
        .margin(12)
        .margin_right(MARGIN)
        .x_label_area_size(44)
        .y_label_area_size(60)
        .build_cartesian_2d(0..end, (least * 0.8..most * 1.5).log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc(swept.family.varied())
        .x_labels(values.len())
        .x_label_formatter(&value)
        .y_desc(main)
        .label_style((FONT, 13))
        .draw()?;
    let colours = COLOURS.into_iter().cycle();
    let mut ends = Vec::new();
    // The first contestants are drawn last, over the others.
    let mut lines: Vec<_> = swept.lines.iter().zip(colours).collect();
    lines.reverse();
    for ((name, line), colour) in lines {
        let points = points(line, least);
        if let Some(&end) = points.last() {
            ends.push((*name, chart.backend_coord(&end), colour));
        }
        let style = colour.filled().stroke_width(2);
        chart.draw_series(LineSeries::new(points, style).point_size(3))?;
    }
    let names: Vec<_> = ends.iter().map(|&(name, end, _)| (name, end)).collect();
    let (across, down) = chart.plotting_area().get_pixel_range();
    let picture = labels::Area {
        from: (across.start, down.start - 20),
        to: (across.end + MARGIN, down.end + 20),
    };
    let places = labels::place(&names, picture, Sides::Right);
    for ((name, end, colour), placed) in ends.into_iter().zip(places) {
        draw_label(&area, name, end, placed, colour)?;
    }
    area.present()?;
    Ok(())
}

/// The points of a line. A figure below `least` is drawn there.
fn points(line: &[Figures], least: f64) -> Vec<(i32, f64)> {
    let point = |(place, found): (i32, &Figures)| Some((place, found.main?.max(least)));
    (0..).zip(line).filter_map(point).collect()
}
