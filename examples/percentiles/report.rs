//! The results of the run: a log and a chart.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use plotters::style::RGBColor;
use tripcurve::snapshot::{Latency, Snapshot};

use crate::chart::{self, Curve};
use crate::log::Log;
use crate::script::Mood;

/// For the corrected view: how often a user calls if the previous call was answered.
const CALLS_EVERY: Duration = Duration::from_millis(50);

const BLUE: RGBColor = RGBColor(0, 114, 178);
const ORANGE: RGBColor = RGBColor(230, 159, 0);
const VERMILION: RGBColor = RGBColor(213, 94, 0);

/// The notes of a run.
pub(crate) struct Notes {
    log: Log,
    healthy: Option<Latency>,
    slow: Option<Latency>,
}

impl Notes {
    pub(crate) fn new(window: Duration) -> Self {
        Self {
            log: Log::new(window),
            healthy: None,
            slow: None,
        }
    }

    /// Notes the breaker's window at `at`.
    pub(crate) fn add(&mut self, at: Duration, mood: Mood, snapshot: &Snapshot) {
        self.log.add(at, snapshot);
        // The last one of a phase remains.
        let curve = match mood {
            Mood::Healthy => &mut self.healthy,
            Mood::Slow => &mut self.slow,
            Mood::Hanging | Mood::Recovering => return,
        };
        *curve = snapshot
            .latency_of_successes()
            .filter(|latency| latency.count() > 0)
            .cloned();
    }

    /// Writes both files into `folder`. Returns where they are and how to open them.
    ///
    /// # Errors
    ///
    /// Returns which file could not be written, and why.
    pub(crate) fn write(&self, folder: &Path) -> Result<String, Box<dyn Error>> {
        let log = folder.join("percentiles.hlog");
        save(&log, &self.log.encode()?)?;
        let mut text = format!(
            "{}: {} intervals. Open it with\n  \
             https://hdrhistogram.github.io/HdrHistogramJSDemo/logparser.html (it stays on your machine).\n",
            log.display(),
            self.log.intervals()
        );
        let curves = self.curves();
        if curves.is_empty() {
            text.push_str("No call was answered in time for a chart.\n");
        } else {
            let chart = folder.join("percentiles.svg");
            let title = "How long calls took that succeeded, as the breaker's window had it";
            save(&chart, chart::draw(title, &curves)?.as_bytes())?;
            // Writing to a String never fails.
            _ = writeln!(text, "{}: open it with a browser.", chart.display());
        }
        Ok(text)
    }

    fn curves(&self) -> Vec<Curve> {
        let curve = |name: &str, latency: &Latency, color| Curve {
            name: name.to_owned(),
            latency: latency.clone(),
            color,
            is_computed: false,
        };
        let healthy = self.healthy.iter().map(|l| curve("healthy", l, BLUE));
        let slow = self.slow.iter().map(|l| curve("slow", l, ORANGE));
        // Our clients don't wait for one another, so the curve has all of their calls. Users who
        // wait make fewer calls the longer they wait. The correction adds the calls that they would
        // have made.
        let corrected = self.slow.iter().map(|l| Curve {
            is_computed: true,
            ..curve(
                &format!("slow, corrected for users who wait and call every {CALLS_EVERY:?}"),
                &l.corrected(CALLS_EVERY),
                VERMILION,
            )
        });
        healthy.chain(slow).chain(corrected).collect()
    }
}

/// Makes sure that the folder for the files exists before the run begins.
pub(crate) fn create(folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|error| {
        format!(
            "cannot create the folder {}: {error}; choose another one with --out",
            folder.display()
        )
    })
}

fn save(path: &Path, what: &[u8]) -> Result<(), String> {
    fs::write(path, what).map_err(|error| {
        format!(
            "cannot write {}: {error}; choose another folder with --out",
            path.display()
        )
    })
}
