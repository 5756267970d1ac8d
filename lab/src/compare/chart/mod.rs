//! Charts of a comparison.

mod limit;
mod noise;
mod time_line;

use std::error::Error;

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

/// A chart as a file.
#[derive(Clone, Debug)]
pub struct Chart {
    /// The name of its file.
    pub file: &'static str,
    /// What it shows.
    pub caption: &'static str,
    /// The picture.
    pub svg: String,
}

/// Draws all charts.
///
/// # Errors
/// Returns an error if a chart can't be drawn.
pub fn draw(
    comparison: &Comparison,
    results: &Results,
    headlines: &[Headline],
) -> Result<Vec<Chart>, Box<dyn Error>> {
    let chart = |file, caption, height, draw: &dyn Fn(&Area<'_>) -> Drawn| {
        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, (960, height)).into_drawing_area();
            area.fill(&WHITE)?;
            draw(&area)?;
            area.present()?;
        }
        Ok::<_, Box<dyn Error>>(Chart { file, caption, svg })
    };
    let lanes = time_line::lanes(comparison)?;
    Ok(vec![
        chart(
            "limit.svg",
            "Failed calls let through in an outage of 50 %, as a multiple of limit B",
            520,
            &|area| limit::draw(area, comparison, results),
        )?,
        chart(
            "noise.svg",
            "How often it trips on noise, and how much it lets through: lower left is better",
            620,
            &|area| noise::draw(area, comparison, headlines),
        )?,
        chart(
            "time-line.svg",
            "One outage of 50 % at 1,000 calls a second, the same for all",
            time_line::height(&lanes),
            &|area| time_line::draw(area, &lanes),
        )?,
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
