//! The breaker's window over time, as a log that `HdrHistogram`'s tools read.

use std::io;
use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use tripcurve::snapshot::{Latency, Snapshot};

/// Failed calls have separate lines with this tag.
const FAILURES: &str = "failures";

/// The log. It stays in memory until the end, so no disk delays the clients.
pub(crate) struct Log {
    began: SystemTime,
    window: Duration,
    intervals: Vec<Interval>,
}

struct Interval {
    from: Duration,
    until: Duration,
    all: Histogram<u64>,
    failures: Histogram<u64>,
}

impl Log {
    pub(crate) fn new(window: Duration) -> Self {
        Self {
            began: SystemTime::now(),
            window,
            intervals: Vec::new(),
        }
    }

    /// Adds the window's calls at `until`, the time since the log's begin.
    pub(crate) fn add(&mut self, until: Duration, snapshot: &Snapshot) {
        let both = (snapshot.latency(), snapshot.latency_of_failures());
        // They are missing only if the breaker doesn't record them.
        let (Some(all), Some(failures)) = both else {
            return;
        };
        let copy = |latency: &Latency| latency.histogram().clone();
        self.intervals.push(Interval {
            from: self.intervals.last().map_or(Duration::ZERO, |i| i.until),
            until,
            all: copy(all),
            failures: copy(failures),
        });
    }

    pub(crate) fn intervals(&self) -> usize {
        self.intervals.len()
    }

    /// The log, in the compressed V2 format.
    pub(crate) fn encode(&self) -> io::Result<Vec<u8>> {
        let comment = format!(
            "[Histogram log format version 1.3]\n\
             Written by the example 'percentiles' of tripcurve. Times in nanoseconds, maxima in ms.\n\
             An interval has what the breaker's sliding window held when it ended: the calls of the\n\
             last {:.1?} (of fewer since the breaker last changed its state, which empties the window).\n\
             So a call is in several intervals in a row; who adds them up counts it as often.\n\
             Lines without a tag have all calls, those with 'Tag={FAILURES}' the ones that failed.",
            self.window
        );
        let mut log = Vec::new();
        let mut serializer = V2DeflateSerializer::new();
        let mut writer = IntervalLogWriterBuilder::new()
            .add_comment(&comment)
            .with_start_time(self.began)
            .with_base_time(self.began)
            .with_max_value_divisor(1e6)
            .begin_log_with(&mut log, &mut serializer)?;
        for interval in &self.intervals {
            let lasted = interval.until.saturating_sub(interval.from);
            for (histogram, tag) in [
                (&interval.all, None),
                (&interval.failures, Tag::new(FAILURES)),
            ] {
                writer
                    .write_histogram(histogram, interval.from, lasted, tag)
                    .map_err(|error| io::Error::other(error.to_string()))?;
            }
        }
        Ok(log)
    }
}
