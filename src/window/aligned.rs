//! Words that start on a cache-line boundary.

/// How many words two cache lines have. Processors fetch adjacent lines in pairs.
pub(super) const WORDS_A_LINE: usize = 16;

/// A slice of words that starts on a cache-line boundary.
///
/// The words are contiguous, so finding one takes little arithmetic. Nothing follows the last one.
#[derive(Debug)]
pub(super) struct Aligned<T> {
    values: Vec<T>,
    /// The index of the first word that starts a line.
    first: usize,
}

impl<T: Default> Aligned<T> {
    pub(super) fn new(count: usize) -> Self {
        let mut values: Vec<T> = Vec::with_capacity(count + WORDS_A_LINE);
        let address = values.as_ptr().addr() / size_of::<T>();
        let first = address.next_multiple_of(WORDS_A_LINE) - address;
        values.resize_with(first + count, T::default);
        Self { values, first }
    }

    #[inline]
    pub(super) fn get(&self, word: usize) -> Option<&T> {
        self.values.get(self.first + word)
    }
}
