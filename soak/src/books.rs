//! What the callers of a breaker counted themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tripcurve::snapshot::Snapshot;
use tripcurve::{CallError, Outcome};

/// The end of a call, as its caller sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Success,
    Failure,
    TimedOut,
    /// Ignored by the classifier, or dropped while it was made.
    Ignored,
    /// Rejected by the breaker.
    Rejected,
    /// Not made, because the bulkhead was full or its caller left before.
    NotMade,
}

const ENDS: usize = 6;
const NAMES: [&str; ENDS] = [
    "succeeded",
    "failed",
    "timed out",
    "ignored",
    "rejected",
    "not made",
];

impl End {
    /// The end of a call that returned `result`, which the breaker judged as `outcome`.
    pub(crate) fn of<T, E>(result: &Result<T, CallError<E>>, outcome: Outcome) -> Self {
        match result {
            Err(CallError::Rejected(_)) => Self::Rejected,
            Err(CallError::TimedOut(_)) => Self::TimedOut,
            Ok(_) | Err(CallError::Inner(_)) => Self::judged(outcome),
            Err(_full) => Self::NotMade,
        }
    }

    pub(crate) fn judged(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Success => Self::Success,
            Outcome::TimedOut => Self::TimedOut,
            Outcome::Ignored => Self::Ignored,
            _ => Self::Failure,
        }
    }
}

/// Ends of calls by one caller, which adds them to the books later.
#[derive(Debug, Default)]
pub(crate) struct Page {
    ends: [u64; ENDS],
}

impl Page {
    pub(crate) fn note(&mut self, end: End) {
        self.ends[end as usize] += 1;
    }
}

/// The books of one breaker.
#[derive(Debug, Default)]
pub(crate) struct Books {
    asked: AtomicU64,
    ends: [AtomicU64; ENDS],
}

impl Books {
    /// Notes calls before they are made, so that the breaker never knows of more than the books.
    pub(crate) fn ask(&self, calls: u64) {
        self.asked.fetch_add(calls, Ordering::SeqCst);
    }

    pub(crate) fn close(&self, page: &Page) {
        for (own, more) in self.ends.iter().zip(page.ends) {
            own.fetch_add(more, Ordering::SeqCst);
        }
    }

    pub(crate) fn end(&self, end: End) {
        self.ends[end as usize].fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }

    pub(crate) fn ends(&self) -> [u64; ENDS] {
        self.ends.each_ref().map(|it| it.load(Ordering::SeqCst))
    }

    /// Whether each call that was asked for has ended in one way. Only at rest.
    pub(crate) fn are_closed(&self, name: &str) -> Result<(), String> {
        let (asked, ends) = (self.asked(), self.ends());
        let ended: u64 = ends.iter().sum();
        if asked == ended {
            return Ok(());
        }
        Err(format!("{name}: asked {asked}, ended {ended}: {ends:?}"))
    }

    /// Whether the breaker has counted what its callers did. Only at rest.
    pub(crate) fn equal(&self, snapshot: &Snapshot) -> Result<(), String> {
        let name = snapshot.name();
        self.are_closed(name)?;
        let totals = snapshot.totals();
        let totals = [
            totals.successes,
            totals.failures,
            totals.timed_out,
            totals.ignored,
            totals.rejected,
        ];
        let ends = self.ends();
        for ((total, counted), what) in totals.into_iter().zip(ends).zip(NAMES) {
            // A waiting call may find that the place it was told of is taken. Then the breaker
            // counts a rejection, although the call waits on.
            let waits_on = name == "patient" && what == "rejected";
            let surplus = if waits_on { counted / 10_000 } else { 0 };
            if !(counted..=counted + surplus).contains(&total) {
                return Err(format!("{name}: {what} {total}, its callers say {counted}"));
            }
        }
        if snapshot.probes_in_flight() > 0 || snapshot.overdue() > 0 {
            let (probes, overdue) = (snapshot.probes_in_flight(), snapshot.overdue());
            return Err(format!(
                "{name}: {probes} probes in flight, {overdue} overdue"
            ));
        }
        Ok(())
    }
}

/// A call of a task. Its future may be dropped wherever it waits.
pub(crate) struct OpenCall<'a> {
    books: &'a Books,
    /// Whether the call is being made. If it is dropped then, it is ignored.
    pub(crate) made: Arc<AtomicBool>,
    end: Option<End>,
}

impl<'a> OpenCall<'a> {
    pub(crate) fn ask(books: &'a Books) -> Self {
        books.ask(1);
        Self {
            books,
            made: Arc::default(),
            end: None,
        }
    }

    pub(crate) fn ended(mut self, end: End) {
        self.end = Some(end);
    }
}

impl Drop for OpenCall<'_> {
    fn drop(&mut self) {
        let dropped = if self.made.load(Ordering::SeqCst) {
            End::Ignored
        } else {
            End::NotMade
        };
        self.books.end(self.end.unwrap_or(dropped));
    }
}
