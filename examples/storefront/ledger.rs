//! The measurements. Every number on the screen comes from here, or from the backend's own count of
//! the calls that reached it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::{CreationError, Histogram};

use crate::script::{LENGTH, Mood, PHASES, phase_at};
use crate::storefront::{Page, Payment, Recommendations};

/// A slower page comes too late: the shopper has left.
pub(crate) const PATIENCE: Duration = Duration::from_millis(500);

/// Live numbers are kept per quarter of a second.
const SLOT: Duration = Duration::from_millis(250);
const SLOTS_A_SECOND: usize = 4;

/// The resolution of the p99's history: two slots.
pub(crate) const HISTORY_STEP: Duration = Duration::from_millis(500);

/// The script, and some time for the last pages.
const SLOTS: usize = (LENGTH.as_millis() / SLOT.as_millis()) as usize + 3 * SLOTS_A_SECOND;

/// Page times in microseconds, to two digits, up to a minute.
type Times = Histogram<u32>;

fn times() -> Result<Times, CreationError> {
    Times::new_with_max(60_000_000, 2)
}

/// The measurements of one storefront.
pub(crate) struct Ledger(Mutex<Books>);

struct Books {
    /// By the time when something was done.
    slots: Vec<Slot>,
    /// By the phase in which the shopper came, whose fault they met.
    phases: Vec<Times>,
    /// By the slot in which the shopper came.
    came: Vec<Came>,
    totals: Totals,
    last_page: Option<Page>,
}

struct Slot {
    pages: Times,
    calls: u64,
    failed: u64,
}

#[derive(Clone, Copy, Default)]
struct Came {
    asked: u64,
    full: u64,
}

/// Counts since the start.
#[derive(Clone, Copy, Default)]
pub(crate) struct Totals {
    pub(crate) asked: u64,
    pub(crate) full: u64,
    pub(crate) fallback: u64,
    pub(crate) too_slow: u64,
    pub(crate) taken: u64,
    pub(crate) declined: u64,
    pub(crate) queued: u64,
    pub(crate) fresh: u64,
    pub(crate) cached: u64,
    pub(crate) popular: u64,
    pub(crate) empty: u64,
    pub(crate) calls: u64,
    pub(crate) failed_calls: u64,
    pub(crate) saved: u64,
}

impl Totals {
    pub(crate) fn served(&self) -> u64 {
        self.full + self.fallback + self.too_slow
    }

    pub(crate) fn in_time(&self) -> u64 {
        self.full + self.fallback
    }
}

/// The last second, and the totals so far.
pub(crate) struct Live {
    pub(crate) totals: Totals,
    pub(crate) calls: u64,
    /// The share of these calls that failed, if there were any.
    pub(crate) failure_rate: Option<f64>,
    pub(crate) median: Option<Duration>,
    pub(crate) p99: Option<Duration>,
}

impl Ledger {
    pub(crate) fn new() -> Result<Self, CreationError> {
        let slot = || {
            Ok(Slot {
                pages: times()?,
                calls: 0,
                failed: 0,
            })
        };
        Ok(Self(Mutex::new(Books {
            slots: (0..SLOTS).map(|_| slot()).collect::<Result<_, _>>()?,
            phases: PHASES.iter().map(|_| times()).collect::<Result<_, _>>()?,
            came: vec![Came::default(); SLOTS],
            totals: Totals::default(),
            last_page: None,
        })))
    }

    pub(crate) fn shopper_came(&self, arrived: Duration) {
        let mut books = self.books();
        books.totals.asked += 1;
        books.came[slot_at(arrived)].asked += 1;
    }

    pub(crate) fn call_made(&self, now: Duration, failed: bool) {
        let mut books = self.books();
        books.totals.calls += 1;
        books.totals.failed_calls += u64::from(failed);
        let slot = &mut books.slots[slot_at(now)];
        slot.calls += 1;
        slot.failed += u64::from(failed);
    }

    pub(crate) fn call_saved(&self) {
        self.books().totals.saved += 1;
    }

    pub(crate) fn page_served(&self, arrived: Duration, now: Duration, page: Page) {
        let took = now.saturating_sub(arrived);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let mut books = self.books();
        books.slots[slot_at(now)].pages.saturating_record(micros);
        books.phases[phase_at(arrived)].saturating_record(micros);
        let totals = &mut books.totals;
        match page.payment {
            Payment::Taken => totals.taken += 1,
            Payment::Declined => totals.declined += 1,
            Payment::Queued => totals.queued += 1,
        }
        match page.recommendations {
            Recommendations::Fresh(_) => totals.fresh += 1,
            Recommendations::Cached(_) => totals.cached += 1,
            Recommendations::Popular(_) => totals.popular += 1,
            Recommendations::Empty => totals.empty += 1,
        }
        if took > PATIENCE {
            totals.too_slow += 1;
        } else if page.is_full() {
            totals.full += 1;
            books.came[slot_at(arrived)].full += 1;
        } else {
            totals.fallback += 1;
        }
        books.last_page = Some(page);
    }

    pub(crate) fn totals(&self) -> Totals {
        self.books().totals
    }

    /// The last full second before `now`.
    pub(crate) fn live(&self, now: Duration) -> Live {
        let books = self.books();
        let end = slot_at(now);
        let slots = &books.slots[end.saturating_sub(SLOTS_A_SECOND)..end];
        let calls = slots.iter().map(|slot| slot.calls).sum();
        let failed = slots.iter().map(|slot| slot.failed).sum();
        Live {
            totals: books.totals,
            calls,
            failure_rate: share(failed, calls),
            median: quantile(slots, 0.5),
            p99: quantile(slots, 0.99),
        }
    }

    /// The p99 of each [`HISTORY_STEP`] up to `now`. It is `None` if no page was served.
    pub(crate) fn history(&self, now: Duration) -> Vec<Option<Duration>> {
        self.p99s(now.min(LENGTH), 2)
    }

    /// The number of seconds of the script in which the p99 exceeded [`PATIENCE`].
    pub(crate) fn seconds_too_slow(&self) -> usize {
        let seconds = self.p99s(LENGTH, SLOTS_A_SECOND);
        seconds.iter().flatten().filter(|p| **p > PATIENCE).count()
    }

    fn p99s(&self, until: Duration, slots: usize) -> Vec<Option<Duration>> {
        self.books().slots[..slot_at(until)]
            .chunks_exact(slots)
            .map(|slots| quantile(slots, 0.99))
            .collect()
    }

    /// The p50 and p99 of the shoppers that came in a phase, if any did.
    pub(crate) fn phase(&self, phase: usize) -> Option<(Duration, Duration)> {
        let books = self.books();
        let pages = &books.phases[phase];
        (!pages.is_empty()).then(|| (at(pages, 0.5), at(pages, 0.99)))
    }

    /// The time from the end of the hang until 19 of 20 shoppers got full pages again, and kept
    /// getting them.
    pub(crate) fn recovery(&self) -> Option<Duration> {
        let hang = PHASES.iter().find(|phase| phase.mood == Mood::Hanging)?;
        let books = self.books();
        let came = &books.came[slot_at(hang.until())..slot_at(LENGTH)];
        // Half-seconds contain enough shoppers, so a few of them decide nothing.
        let bad = |slots: &[Came]| {
            let asked: u64 = slots.iter().map(|slot| slot.asked).sum();
            let full: u64 = slots.iter().map(|slot| slot.full).sum();
            asked == 0 || full * 20 < asked * 19
        };
        let steps = came.chunks_exact(2);
        let all = steps.len();
        let last_bad = steps.clone().rposition(bad);
        let recovered = last_bad.map_or(0, |step| step + 1);
        (recovered < all).then(|| HISTORY_STEP * u32::try_from(recovered).unwrap_or(u32::MAX))
    }

    /// Reads the last page that was served, for display.
    pub(crate) fn with_last_page<T>(&self, read: impl FnOnce(&Page) -> T) -> Option<T> {
        self.books().last_page.as_ref().map(read)
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn slot_at(at: Duration) -> usize {
    let slot = at.as_millis() / SLOT.as_millis();
    usize::try_from(slot).map_or(SLOTS - 1, |slot| slot.min(SLOTS - 1))
}

fn quantile(slots: &[Slot], quantile: f64) -> Option<Duration> {
    let mut slots = slots.iter().filter(|slot| !slot.pages.is_empty());
    let mut all = slots.next()?.pages.clone();
    for slot in slots {
        all += &slot.pages;
    }
    Some(at(&all, quantile))
}

fn at(pages: &Times, quantile: f64) -> Duration {
    Duration::from_micros(pages.value_at_quantile(quantile))
}

#[expect(clippy::cast_precision_loss, reason = "counts of one minute are small")]
pub(crate) fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
