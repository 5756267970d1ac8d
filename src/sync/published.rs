//! A value that is published once.

/// A value that the first publisher sets. No thread waits for another.
#[derive(Debug)]
pub(crate) struct PublishedOnce<T>(once_cell::race::OnceBox<T>);

impl<T> PublishedOnce<T> {
    pub(crate) fn new() -> Self {
        Self(once_cell::race::OnceBox::new())
    }

    #[inline]
    pub(crate) fn get(&self) -> Option<&T> {
        #[cfg(tripcurve_traced)]
        super::traced::note(&self.0, false);
        self.0.get()
    }

    /// Publishes `value`, unless another value is already published.
    pub(crate) fn publish(&self, value: T) {
        #[cfg(tripcurve_traced)]
        super::traced::note(&self.0, true);
        let _late = self.0.set(Box::new(value));
    }
}
