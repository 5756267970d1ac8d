//! A replay as a page of HTML: the traffic, and for each policy its lane and its trips in words.

use std::fmt::Write as _;

use plotters::coord::ranged1d::ValueFormatter;

use super::axis::Axis;
use super::binned::{Bin, Binned};
use super::course::{Course, Trip};
use super::lane::{columns, runs};
use super::report::{self, Bad, Played};
use crate::breaker::{Nanos, Phase};
use crate::html::{self, escaped};
use crate::log::Log;
use crate::words;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 136.0;

/// The page. `file` is the log's name, and at most `most_trips` of each policy's trips are listed.
pub(super) fn write(
    file: &str,
    log: &Log,
    results: &[Played],
    bad: Bad,
    most_trips: usize,
) -> String {
    let axis = Axis {
        origin: log.origin,
        length: log.length().max(1),
    };
    let mut content = head(log, bad);
    let _ = write!(
        content,
        "<section class=\"panel\"><h3>What each policy would have done</h3>\n<div class=\"scroll\">{}</div>\n\
         <p class=\"note\">A rejected call counts as saved if it was {} in the log, as lost if not. What a spared \
         dependency would have done better is not in the log.</p></section>\n",
        report::table(log, results, bad).html(),
        bad.word()
    );
    traffic(&mut content, log, axis, bad);
    for result in results {
        policy(&mut content, log, result, axis, bad, most_trips);
    }
    html::page(&format!("A replay of {file}"), content)
}

/// The log in numbers, and what it says of itself.
fn head(log: &Log, bad: Bad) -> String {
    let calls = log.calls.len() as u64;
    let failed = log.calls.iter().filter(|call| bad.is(call)).count() as u64;
    let mut tiles = String::new();
    for note in &log.notes {
        let _ = writeln!(
            tiles,
            "<p class=\"note\">This log says of itself: {}</p>",
            escaped(note)
        );
    }
    tiles += "<dl class=\"tiles\">\n";
    tiles += &html::tile("calls", &words::count(calls));
    let share = format!("{:.2} %", words::percent(failed, calls));
    tiles += &html::tile(bad.word(), &share);
    tiles += &html::tile("length", &words::span(log.length()));
    let from = words::moment(log.calendar(0));
    let (date, time) = from.split_once(' ').unwrap_or((&from, ""));
    tiles += &html::tile(&format!("from {date} (UTC)"), time);
    tiles + "</dl>\n"
}

/// The place of a bin's value in the chart: to the right by time, upwards by `share` of the most.
fn place(at: f64, share: f64, axis: Axis) -> String {
    let x = at / words::seconds(axis.length) * WIDTH;
    let y = HEIGHT * (1.0 - share.clamp(0.0, 1.0));
    format!("{x:.1} {y:.1}")
}

/// An area in steps, because a bin's rate holds from its begin to its end.
fn area(binned: &Binned, axis: Axis, most: f64, of: fn(&Bin) -> f64) -> String {
    let width = words::seconds(binned.width);
    let end = words::seconds(axis.length);
    let mut path = format!("M{}", place(0.0, 0.0, axis));
    for (at, rate) in binned.points(|bin| Some(of(bin))) {
        let until = (at + width).min(end);
        let _ = write!(path, "L{}", place(at, rate / most, axis));
        let _ = write!(path, "L{}", place(until, rate / most, axis));
    }
    let _ = write!(path, "L{}Z", place(end, 0.0, axis));
    path
}

/// A line through the bins that have a value, by the logarithm of the value.
fn line(binned: &Binned, axis: Axis, range: (f64, f64), of: fn(&Bin) -> Option<f64>) -> String {
    let (low, high) = (range.0.ln(), range.1.ln());
    let points: Vec<_> = binned
        .points(of)
        .map(|(at, took)| place(at, (took.max(1e-9).ln() - low) / (high - low), axis))
        .collect();
    format!("M{}", points.join("L"))
}

fn traffic(content: &mut String, log: &Log, axis: Axis, bad: Bad) {
    let binned = Binned::new(&log.calls, axis.length, bad, 600);
    let most = binned.bins.iter().map(|bin| bin.calls).fold(1e-9, f64::max);
    let longest = |of: fn(&Bin) -> Option<f64>| binned.bins.iter().filter_map(of);
    let low = longest(|bin| bin.p50)
        .fold(f64::INFINITY, f64::min)
        .max(1e-7);
    let high = longest(|bin| bin.p99).fold(0.0, f64::max).max(2.0 * low);
    let duration = |seconds: f64| format!("{:.2?}", std::time::Duration::from_secs_f64(seconds));
    let _ = write!(
        content,
        "<section class=\"panel\"><h3>The traffic</h3>\n\
         <svg class=\"chart traffic\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"Calls a second, at most {most:.1}, and the {word} ones among them.\">\
         <path class=\"calls\" d=\"{calls}\"/><path class=\"bad\" d=\"{bad}\"/></svg>\n{ticks}\
         <p class=\"legend\"><span class=\"key calls\">calls a second, at most {most:.1}</span>\
         <span class=\"key bad\">{word} ones among them</span><span>bins of {width}</span></p>\n\
         <svg class=\"chart traffic\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"How long calls took: half of them at least {low}, 99 of 100 at most {high}.\">\
         <path class=\"p99\" d=\"{p99}\"/><path class=\"p50\" d=\"{p50}\"/></svg>\n{ticks}\
         <p class=\"legend\"><span class=\"key p50\">what half of the calls took at most</span>\
         <span class=\"key p99\">what 99 of 100 took at most</span><span>{low} to {high}, logarithmic</span></p>\
         </section>\n",
        word = bad.word(),
        width = words::span(binned.width),
        calls = area(&binned, axis, most, |bin| bin.calls),
        bad = area(&binned, axis, most, |bin| bin.bad),
        p99 = line(&binned, axis, (low, high), |bin| bin.p99),
        p50 = line(&binned, axis, (low, high), |bin| bin.p50),
        ticks = ticks(axis),
        low = duration(low),
        high = duration(high),
    );
}

/// Round times of the clock under a chart: the first, the middle and the last ones.
fn ticks(axis: Axis) -> String {
    let label = |at: Nanos| format!("<span>{}</span>", axis.format_ext(&words::seconds(at)));
    let marks: String = [
        0,
        axis.length / 4,
        axis.length / 2,
        axis.length / 4 * 3,
        axis.length,
    ]
    .map(label)
    .concat();
    format!("<p class=\"axis\" aria-hidden=\"true\">{marks}</p>\n")
}

fn policy(
    content: &mut String,
    log: &Log,
    result: &Played,
    axis: Axis,
    bad: Bad,
    most_trips: usize,
) {
    let course = &result.course;
    let _ = writeln!(
        content,
        "<section class=\"panel policy\"><h2>{}</h2>",
        escaped(&result.name)
    );
    if let Some(settings) = result.settings {
        let _ = writeln!(content, "<p class=\"note\">{}</p>", escaped(settings));
    }
    lane(content, course, axis);
    if course.trips.is_empty() {
        *content += "<p class=\"note\">It never trips.</p></section>\n";
        return;
    }
    let length = log.length();
    let not_closed: Nanos = course
        .trips
        .iter()
        .map(|trip| trip.closed.unwrap_or(length).saturating_sub(trip.at))
        .sum();
    let count = match course.trips.len() {
        1 => "1 trip".to_owned(),
        trips => format!("{} trips", words::count(trips as u64)),
    };
    let _ = write!(
        content,
        "<details open><summary>{count}, not closed for {}</summary>\n<ol class=\"events\">\n",
        words::span(not_closed)
    );
    for trip in course.trips.iter().take(most_trips) {
        event(content, log, course, trip, bad);
    }
    *content += "</ol>\n";
    if course.trips.len() > most_trips {
        let more = words::count((course.trips.len() - most_trips) as u64);
        let all = course.trips.len();
        let _ = writeln!(
            content,
            "<p class=\"note\">and {more} trips more; --trips {all} shows them all</p>"
        );
    }
    *content += "</details></section>\n";
}

fn lane(content: &mut String, course: &Course, axis: Axis) {
    let length = words::seconds(axis.length);
    let _ = write!(
        content,
        "<svg class=\"chart lane\" viewBox=\"0 0 {WIDTH} 30\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"When it was closed, open and recovering. The trips are listed below.\">"
    );
    for (from, until, phase) in runs(&columns(course, axis.length), length) {
        let (name, y, height) = match phase {
            Phase::Closed => ("closed", 18, 10),
            Phase::Recovering => ("recovering", 10, 18),
            Phase::Open => ("open", 2, 26),
        };
        let (x, width) = (from / length * WIDTH, (until - from) / length * WIDTH);
        let _ = write!(
            content,
            "<rect class=\"strip {name}\" x=\"{x:.1}\" y=\"{y}\" width=\"{width:.2}\" height=\"{height}\"/>"
        );
    }
    let _ = write!(
        content,
        "</svg>\n{}<p class=\"legend\"><span class=\"key closed\">closed (low)</span>\
         <span class=\"key recovering\">recovering</span><span class=\"key open\">open (high)</span></p>\n",
        ticks(axis)
    );
}

fn event(content: &mut String, log: &Log, course: &Course, trip: &Trip, bad: Bad) {
    let _ = writeln!(
        content,
        "<li class=\"event\"><time>{}</time><span class=\"reason\">{}<br>\
         <span class=\"note\">{} after the begin; {}</span></span></li>",
        words::moment(log.calendar(trip.at)),
        escaped(trip.cause.as_deref().unwrap_or("by its rule")),
        words::since(trip.at),
        escaped(&report::after(log, course, trip, bad)),
    );
}
