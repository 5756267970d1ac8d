//! Criterion's results, and their groups.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::fs;
use std::ops::Div;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::Value;

/// Two rows further apart than this aren't from one run.
const LONGEST_RUN: Duration = Duration::from_mins(30);

/// One benchmark.
pub(crate) struct Measured {
    group: String,
    /// The library's name, with variants after slashes.
    name: String,
    median: Median,
    at: SystemTime,
}

/// A median in nanoseconds and its confidence interval, or a ratio of two medians.
#[derive(Clone, Copy)]
pub(crate) struct Median {
    pub(crate) lower: f64,
    pub(crate) point: f64,
    pub(crate) upper: f64,
}

impl Median {
    /// Three digits are already more than the spread justifies.
    pub(crate) fn digits(self) -> usize {
        match self.point {
            ..10.0 => 2,
            ..100.0 => 1,
            _ => 0,
        }
    }
}

impl Div for Median {
    type Output = Self;

    fn div(self, by: Self) -> Self {
        Self {
            lower: self.lower / by.upper,
            point: self.point / by.point,
            upper: self.upper / by.lower,
        }
    }
}

impl fmt::Display for Median {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.digits();
        let Self {
            lower,
            point,
            upper,
        } = self;
        write!(
            f,
            "**{point:.digits$}** ({lower:.digits$}–{upper:.digits$})"
        )
    }
}

pub(crate) fn all(criterion: &Path) -> Result<Vec<Measured>, Box<dyn Error>> {
    let place = criterion.display();
    let mut measured = Vec::new();
    collect(criterion, &mut measured)
        .map_err(|error| format!("{error} in {place}; `cargo bench` comes first"))?;
    if measured.is_empty() {
        return Err(format!("no measurement in {place}").into());
    }
    Ok(measured)
}

/// Collects the results. Every `new` directory below `directory` is a benchmark. `benchmark.json`
/// names it, and `estimates.json` has the measurements.
fn collect(directory: &Path, measured: &mut Vec<Measured>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if !path.is_dir() {
            continue;
        }
        if path.file_name().is_some_and(|name| name == "new") {
            measured.push(read(&path)?);
        } else {
            collect(&path, measured)?;
        }
    }
    Ok(())
}

fn read(directory: &Path) -> Result<Measured, Box<dyn Error>> {
    let json = |name: &str| -> Result<Value, Box<dyn Error>> {
        let path = directory.join(name);
        let text =
            fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(serde_json::from_str(&text)?)
    };
    let benchmark = json("benchmark.json")?;
    let estimates = json("estimates.json")?;

    let text = |key: &str| benchmark[key].as_str().unwrap_or_default().to_owned();
    let number = |pointer: &str| {
        estimates
            .pointer(pointer)
            .and_then(Value::as_f64)
            .ok_or_else(|| format!("no number at {pointer} in {}", directory.display()))
    };
    Ok(Measured {
        group: text("group_id"),
        name: text("function_id"),
        median: Median {
            lower: number("/median/confidence_interval/lower_bound")?,
            point: number("/median/point_estimate")?,
            upper: number("/median/confidence_interval/upper_bound")?,
        },
        at: fs::metadata(directory.join("estimates.json"))?.modified()?,
    })
}

/// A group's medians by the names of its benchmarks.
pub(crate) struct Group<'a> {
    pub(crate) name: &'static str,
    pub(crate) medians: BTreeMap<&'a str, Median>,
}

impl<'a> Group<'a> {
    /// The group, or `None` if it wasn't measured.
    pub(crate) fn new(
        name: &'static str,
        measured: &'a [Measured],
    ) -> Result<Option<Self>, String> {
        let of_group = || measured.iter().filter(|one| one.group == name);
        let oldest = of_group().min_by_key(|one| one.at);
        let newest = of_group().max_by_key(|one| one.at);
        let (Some(oldest), Some(newest)) = (oldest, newest) else {
            return Ok(None);
        };
        if newest.at.duration_since(oldest.at).unwrap_or_default() > LONGEST_RUN {
            return Err(format!(
                "{name}/{} is of another run than {name}/{}, and a ratio of two runs says nothing; \
                 `cargo bench -- '^{name}/'` measures the group again, and what is no longer \
                 measured must go from criterion's directory",
                oldest.name, newest.name,
            ));
        }
        let medians = of_group()
            .map(|one| (one.name.as_str(), one.median))
            .collect();
        Ok(Some(Self { name, medians }))
    }

    pub(crate) fn median(&self, name: &str) -> Result<Median, String> {
        let median = self.medians.get(name).copied();
        median.ok_or_else(|| format!("{}/{name} wasn't measured", self.name))
    }

    /// The numbers after the last slash of the benchmarks' names, in increasing order.
    pub(crate) fn numbers(&self) -> Vec<u32> {
        let mut numbers: Vec<_> = self
            .medians
            .keys()
            .filter_map(|name| name.rsplit_once('/')?.1.parse().ok())
            .collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }
}
