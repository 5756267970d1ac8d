//! Some words that one other word publishes.

use super::Payload;

/// Some words that one other word publishes. Each is a [`Payload`].
#[derive(Debug)]
pub(crate) struct Payloads<const N: usize>([Payload; N]);

impl<const N: usize> Payloads<N> {
    #[inline]
    pub(crate) fn store(&self, values: [u64; N]) {
        for (word, value) in self.0.iter().zip(values) {
            word.store(value);
        }
    }

    /// Loads the first `M` words.
    #[inline]
    pub(crate) fn first<const M: usize>(&self) -> [u64; M] {
        std::array::from_fn(|word| self.0[word].load())
    }
}

impl<const N: usize> Default for Payloads<N> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Payload::default()))
    }
}
