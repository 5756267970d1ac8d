//! Words that begin at the beginning of a cache line.

/// How many words a cache line has; two lines, as adjacent ones are fetched in pairs.
pub(super) const WORDS_A_LINE: usize = 16;

/// So many words in one piece, from the beginning of a line.
///
/// In one piece, so that a word is found with little arithmetic. Nothing stands behind the last one.
#[derive(Debug)]
pub(super) struct Aligned<T> {
    values: Vec<T>,
    /// The first word that begins a line.
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
