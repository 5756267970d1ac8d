//! The right to one of a bulkhead's places.

use std::fmt;
use std::sync::Arc;

use super::places::Places;
use crate::sync::wait_queue::EventQueue;

/// What clones of a bulkhead and its permits share.
pub(crate) type SharedBulkhead = Places<EventQueue>;

/// One of a [`Bulkhead`](crate::Bulkhead)'s places, which goes back when this is dropped: at the end
/// of a call, by a panic, or with a future that is cancelled.
///
/// Cost of the drop: a load and a compare-exchange. If somebody waits, the place is handed to the first
/// who does, and waking it takes a lock of `event-listener`.
///
/// ```
/// use tripcurve::bulkhead::Bulkhead;
///
/// let reports = Bulkhead::new(1)?;
/// let permit = reports.try_acquire().unwrap();
/// assert!(reports.try_acquire().is_err());
/// drop(permit);
/// assert!(reports.try_acquire().is_ok());
/// # Ok::<(), tripcurve::error::ConfigError>(())
/// ```
#[must_use = "the place goes back when the permit is dropped"]
pub struct BulkheadPermit<'a> {
    /// Gone once the place is another permit's.
    places: Option<&'a Arc<SharedBulkhead>>,
}

impl<'a> BulkheadPermit<'a> {
    #[inline]
    pub(super) fn new(places: &'a Arc<SharedBulkhead>) -> Self {
        Self {
            places: Some(places),
        }
    }

    /// The same place, for a permit that outlives the handle it came from, to be sent to another thread
    /// or task.
    ///
    /// Cost: one reference more to the bulkhead, on a counter that all callers share.
    ///
    /// ```
    /// use tripcurve::bulkhead::Bulkhead;
    ///
    /// let reports = Bulkhead::new(1)?;
    /// let permit = reports.try_acquire().unwrap().into_owned();
    /// std::thread::spawn(move || drop(permit)).join().unwrap();
    /// assert_eq!(reports.in_flight(), 0);
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    pub fn into_owned(mut self) -> OwnedBulkheadPermit {
        OwnedBulkheadPermit {
            places: self.places.take().map(Arc::clone),
        }
    }
}

impl Drop for BulkheadPermit<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(places) = self.places {
            places.leave();
        }
    }
}

/// A [`BulkheadPermit`] that owns its share of the bulkhead and can be kept or sent anywhere.
///
/// Made by [`BulkheadPermit::into_owned`].
#[must_use = "the place goes back when the permit is dropped"]
pub struct OwnedBulkheadPermit {
    places: Option<Arc<SharedBulkhead>>,
}

impl Drop for OwnedBulkheadPermit {
    fn drop(&mut self) {
        if let Some(places) = &self.places {
            places.leave();
        }
    }
}

impl fmt::Debug for BulkheadPermit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BulkheadPermit").finish_non_exhaustive()
    }
}

impl fmt::Debug for OwnedBulkheadPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedBulkheadPermit")
            .finish_non_exhaustive()
    }
}
