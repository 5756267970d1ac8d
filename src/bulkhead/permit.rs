//! Permits for a bulkhead's places.

use std::{fmt, sync::Arc};

use super::places::Places;
use crate::sync::wait_queue::EventQueue;

/// The part that clones of a bulkhead and its permits share.
pub(crate) type SharedBulkhead = Places<EventQueue>;

/// One of a [`Bulkhead`](crate::Bulkhead)'s places. Dropping the permit gives the place back.
///
/// The drop may come at the end of a call, by a panic, or with a cancelled future. It costs a load
/// and a compare-exchange. If callers wait, the drop hands the place to the first of them. Waking
/// it takes a lock of `event-listener`.
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
    /// `None` once another permit has the place.
    places: Option<&'a Arc<SharedBulkhead>>,
}

impl<'a> BulkheadPermit<'a> {
    #[inline]
    pub(super) fn new(places: &'a Arc<SharedBulkhead>) -> Self {
        Self {
            places: Some(places),
        }
    }

    /// Turns this into a permit that outlives its handle and can be sent to another thread or task.
    ///
    /// Cost: one more reference to the bulkhead, on a counter that all callers share.
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

/// A [`BulkheadPermit`] that owns a reference to the bulkhead and can be kept or sent anywhere.
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
