//! A chart of each library's plain row, as a multiple of the group's limit.

use std::error::Error;
use std::fmt::Write as _;

use crate::measured::{Group, Measured, Median};

/// The contents of a panel.
struct Panel {
    group: &'static str,
    title: &'static str,
    /// Our row. The peers' rows have no variant.
    ours: &'static str,
    limit: &'static str,
    /// The part after the last slash of the names.
    column: Column,
}

enum Column {
    None,
    Named(&'static str),
    /// As many threads as there were cores.
    Threads,
}

const PANELS: [Panel; 9] = [
    Panel {
        group: "closed",
        title: "a success",
        ours: "tripcurve",
        limit: "limit/private_increment",
        column: Column::None,
    },
    Panel {
        group: "closed_latency",
        title: "a success and its time (recloser takes none)",
        ours: "tripcurve",
        limit: "limit/two_private_increments",
        column: Column::None,
    },
    Panel {
        group: "count_window",
        title: "a success, the last 100 calls",
        ours: "tripcurve",
        limit: "limit/increment",
        column: Column::Named("/100"),
    },
    Panel {
        group: "failing",
        title: "1 % of the calls fail",
        ours: "tripcurve",
        limit: "limit/private_increment",
        column: Column::Named("/one_percent"),
    },
    Panel {
        group: "failing",
        title: "all calls fail, closed nevertheless",
        ours: "tripcurve",
        limit: "limit/private_increment",
        column: Column::Named("/all"),
    },
    Panel {
        group: "open",
        title: "a rejection",
        ours: "tripcurve",
        limit: "limit/clock_read",
        column: Column::None,
    },
    Panel {
        group: "async",
        title: "a success, of a future",
        ours: "tripcurve/call_async",
        limit: "limit/private_increment",
        column: Column::None,
    },
    Panel {
        group: "contended",
        title: "a success, all cores on one breaker",
        ours: "tripcurve",
        limit: "limit/private_increment",
        column: Column::Threads,
    },
    Panel {
        group: "many_breakers",
        title: "a success, one of 10,000 breakers",
        ours: "tripcurve",
        limit: "limit/private_increment",
        column: Column::None,
    },
];

const PEERS: [&str; 4] = [
    "recloser",
    "failsafe",
    "tower_resilience",
    "circuitbreaker_rs",
];

// In the picture's own pixels.
const WIDTH: f64 = 800.0;
const LEFT: f64 = 190.0;
const RIGHT: f64 = 760.0;
const TOP: f64 = 74.0;
const BAR: f64 = 18.0;
const GAP: f64 = 34.0;

/// A panel's title, and its named bars.
type Bars = (String, Vec<(&'static str, Median)>);

pub(crate) fn of(measured: &[Measured]) -> Result<String, Box<dyn Error>> {
    let mut panels = Vec::new();
    for panel in &PANELS {
        if let Some(group) = Group::new(panel.group, measured)? {
            panels.push(panel.bars(&group)?);
        }
    }
    Ok(draw(&panels)?)
}

impl Panel {
    fn bars(&self, group: &Group<'_>) -> Result<Bars, String> {
        let column = match self.column {
            Column::None => String::new(),
            Column::Named(name) => name.to_owned(),
            Column::Threads => {
                let numbers = group.numbers();
                numbers
                    .last()
                    .map_or(String::new(), |most| format!("/{most}"))
            }
        };
        let limit = group.median(&format!("{}{column}", self.limit))?;
        let mut bars = Vec::new();
        for row in [self.ours].into_iter().chain(PEERS) {
            // Some peers don't have every row.
            if let Some(&median) = group.medians.get(format!("{row}{column}").as_str()) {
                bars.push((row, median / limit));
            }
        }
        let title = format!("{}{column}: {}, ÷ {}", self.group, self.title, self.limit);
        Ok((title, bars))
    }
}

fn draw(panels: &[Bars]) -> Result<String, std::fmt::Error> {
    let ratios = || panels.iter().flat_map(|(_, bars)| bars);
    let least = ratios().map(|(_, ratio)| ratio.point).fold(1.0, f64::min);
    let most = ratios().map(|(_, ratio)| ratio.point).fold(10.0, f64::max);
    // Room for the numbers on both sides of the bars.
    let (from, to) = ((least / 2.0).ln(), (most * 2.0).ln());
    let x = |ratio: f64| LEFT + (ratio.ln() - from) / (to - from) * (RIGHT - LEFT);
    let tall = |bars: usize| GAP + BAR * f64::from(u32::try_from(bars).unwrap_or(u32::MAX));
    let bottom = TOP + panels.iter().map(|(_, bars)| tall(bars.len())).sum::<f64>();
    let height = bottom + 30.0;

    let mut svg = String::new();
    writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\" role=\"img\" aria-labelledby=\"title desc\" \
         font-family=\"system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif\" \
         font-size=\"13\" fill=\"#1f2328\">\n  \
         <title id=\"title\">The time of a call, as a multiple of its limit</title>"
    )?;
    write!(svg, "  <desc id=\"desc\">")?;
    for (title, bars) in panels {
        write!(svg, "{title}:")?;
        for (name, ratio) in bars {
            write!(svg, " {name} {:.*};", ratio.digits(), ratio.point)?;
        }
        write!(svg, " ")?;
    }
    writeln!(svg, "</desc>")?;
    // The picture has its own background, so it is legible on light and dark pages.
    writeln!(
        svg,
        "  <rect x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"10\" fill=\"#ffffff\" \
         stroke=\"#d0d7de\"/>\n  \
         <text x=\"24\" y=\"34\" font-size=\"16\" font-weight=\"600\">The time of a call, as a \
         multiple of its limit</text>\n  \
         <text x=\"24\" y=\"54\" fill=\"#57606a\">Logarithmic; shorter is better. The limit is \
         what the path can't do without, measured in the same run.</text>",
        WIDTH - 1.0,
        height - 1.0,
    )?;

    for tick in [1.0, 10.0, 100.0, 1_000.0, 10_000.0] {
        if tick > most * 2.0 {
            break;
        }
        let (at, color) = (x(tick), if tick > 1.0 { "#d0d7de" } else { "#57606a" });
        writeln!(
            svg,
            "  <path d=\"M{at:.1},{:.1} V{bottom:.1}\" stroke=\"{color}\"/>\n  \
             <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#57606a\">{tick}</text>",
            TOP + GAP,
            bottom + 17.0
        )?;
    }

    let mut y = TOP;
    for (title, bars) in panels {
        // These are drawn over the lines, on the background's colour.
        writeln!(
            svg,
            "  <rect x=\"20\" y=\"{:.1}\" width=\"740\" height=\"20\" fill=\"#ffffff\"/>\n  \
             <text x=\"24\" y=\"{:.1}\" font-weight=\"600\">{title}</text>",
            y + 8.0,
            y + 23.0
        )?;
        y += GAP;
        for (name, ratio) in bars {
            let (limit, end) = (x(1.0), x(ratio.point));
            let ours = name.starts_with("tripcurve");
            let (color, weight) = if ours {
                ("#0969da", 600)
            } else {
                ("#8c959f", 400)
            };
            let (number, anchor) = if end < limit {
                (end - 5.0, "end")
            } else {
                (end + 5.0, "start")
            };
            writeln!(
                svg,
                "  <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" \
                 font-weight=\"{weight}\">{name}</text>\n  \
                 <rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"12\" fill=\"{color}\"/>\n  \
                 <text x=\"{number:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\" \
                 font-weight=\"{weight}\">{:.*}</text>",
                LEFT - 10.0,
                y + 11.0,
                limit.min(end),
                y + 1.0,
                (end - limit).abs(),
                y + 11.0,
                ratio.digits(),
                ratio.point,
            )?;
            y += BAR;
        }
    }
    writeln!(svg, "</svg>")?;
    Ok(svg)
}
