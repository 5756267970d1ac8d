//! Charts of a comparison.

mod limit;
mod noise;
mod time_line;

use std::error::Error;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

use super::headline::Headline;
use super::run::{Comparison, Results};
use crate::labels::{self, Pixel, Placed};

pub(crate) const FONT: &str = "sans-serif";

// Colours by Okabe and Ito, which colour-blind readers can tell apart.
pub(crate) const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(230, 159, 0),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(120, 120, 120),
    RGBColor(0, 0, 0),
];

/// The contestants that are drawn if they take part. More lines could not be told apart.
const DRAWN: [&str; 8] = [
    "adaptive",
    "adaptive-sensitive",
    "classic",
    "r4j-time10-tuned",
    "hystrix",
    "polly-def",
    "r4j-count100",
    "sentinel",
];

pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub(crate) type Drawn = Result<(), Box<dyn Error>>;

/// Draws all charts into a folder. Returns the file name and a caption of each.
///
/// # Errors
/// Returns an error if a chart can't be written.
pub fn draw(
    folder: &Path,
    comparison: &Comparison,
    results: &Results,
    headlines: &[Headline],
) -> Result<Vec<(&'static str, &'static str)>, Box<dyn Error>> {
    std::fs::create_dir_all(folder)?;
    let to_file = |name: &str, height: u32, draw: &dyn Fn(&Area<'_>) -> Drawn| -> Drawn {
        let path = folder.join(name);
        let area = SVGBackend::new(&path, (960, height)).into_drawing_area();
        area.fill(&WHITE)?;
        draw(&area)?;
        area.present()?;
        Ok(())
    };
    to_file("limit.svg", 520, &|area| {
        limit::draw(area, comparison, results)
    })?;
    to_file("noise.svg", 620, &|area| {
        noise::draw(area, comparison, headlines)
    })?;
    let lanes = time_line::lanes(comparison)?;
    to_file("time-line.svg", time_line::height(&lanes), &|area| {
        time_line::draw(area, &lanes)
    })?;
    Ok(vec![
        (
            "limit.svg",
            "Failed calls let through in an outage of 50 %, as a multiple of limit B",
        ),
        (
            "noise.svg",
            "How often it trips on noise, and how much it lets through: lower left is better",
        ),
        (
            "time-line.svg",
            "One outage of 50 % at 1,000 calls a second, the same for all",
        ),
    ])
}

/// The contestants that are drawn, each with its index and its colour.
fn drawn(comparison: &Comparison) -> Vec<(usize, RGBColor)> {
    let place = |name: &&str| {
        let mut contestants = comparison.contestants.iter();
        contestants.position(|contestant| contestant.name == *name)
    };
    let mut places: Vec<usize> = DRAWN.iter().filter_map(place).collect();
    if places.is_empty() {
        places = (0..comparison.contestants.len()).collect();
    }
    places.into_iter().zip(COLOURS).collect()
}

/// Writes a point's label at its place, with a line to the point if it stands apart.
pub(crate) fn draw_label(
    area: &Area<'_>,
    text: &str,
    point: Pixel,
    placed: Placed,
    colour: RGBColor,
) -> Drawn {
    if let Some(begin) = placed.leader {
        area.draw(&PathElement::new([begin, point], colour.mix(0.3)))?;
    }
    let font = (FONT, labels::SIZE).into_font().color(&colour);
    area.draw(&Text::new(text.to_owned(), placed.corner, font))?;
    Ok(())
}
