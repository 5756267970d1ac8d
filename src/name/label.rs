//! Labels of failures: short texts that are copied and never allocated.

use std::fmt;

use super::Shown;

/// A short text for the kind of a failure, such as `timeout` or `http_503`.
///
/// It holds at most 24 bytes of UTF-8 and is copied like a number. A longer text is cut at the end
/// of a character. An empty label counts as no label. Trailing NUL characters are left out.
///
/// `Display` and `Debug` escape characters that steer a terminal or a log, as those of a breaker's
/// [`Name`](crate::name::Name) do. So a label may come from a response.
///
/// ```
/// use tripcurve::outcome::Label;
///
/// const TIMEOUT: Label = Label::new("timeout");
/// assert_eq!(TIMEOUT.as_str(), "timeout");
/// assert_eq!(Label::new("a text of more than 24 bytes").as_str(), "a text of more than 24 b");
/// assert_eq!(Label::new("two\nlines").to_string(), r"two\nlines");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Label([u8; Label::BYTES]);

impl Label {
    /// The maximum length of a label, in bytes.
    pub const BYTES: usize = 24;

    /// The label of a failure without one.
    pub(crate) const NONE: Self = Self([0; Self::BYTES]);

    /// Makes a label of the beginning of `text`. Never panics.
    #[must_use]
    pub const fn new(text: &str) -> Self {
        let mut end = text.len();
        if end > Self::BYTES {
            end = Self::BYTES;
            while !text.is_char_boundary(end) {
                end -= 1;
            }
        }
        let mut bytes = [0; Self::BYTES];
        let mut place = 0;
        while place < end {
            bytes[place] = text.as_bytes()[place];
            place += 1;
        }
        Self(bytes)
    }

    /// The text as it was given, cut to 24 bytes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let end = self.0.iter().rposition(|byte| *byte != 0);
        let text = &self.0[..end.map_or(0, |end| end + 1)];
        std::str::from_utf8(text).unwrap_or_default()
    }

    /// Whether the label has no text.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        *self == Self::NONE
    }

    /// The label, or `None` for an empty one.
    pub(crate) fn non_empty(self) -> Option<Self> {
        (!self.is_empty()).then_some(self)
    }

    /// The label in three words.
    pub(crate) fn words(self) -> [u64; 3] {
        let mut words = [0; 3];
        for (word, bytes) in words.iter_mut().zip(self.0.as_chunks().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        words
    }

    /// The label that [`words`](Self::words) packed.
    pub(crate) fn of_words(words: [u64; 3]) -> Self {
        let mut bytes = [0; Self::BYTES];
        for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
            *bytes = word.to_le_bytes();
        }
        Self(bytes)
    }
}

impl From<&str> for Label {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Shown(self.as_str()).fmt(f)
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&Shown(self.as_str()), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_label_is_cut_at_the_end_of_a_character() {
        let text = "eins zwei drei vier fünf";
        assert_eq!(text.len(), 25);
        assert_eq!(Label::new(text).as_str(), "eins zwei drei vier fün");
        assert_eq!(Label::new(&"ü".repeat(20)).as_str(), "ü".repeat(12));
        assert_eq!(Label::new(&"🦀".repeat(9)).as_str(), "🦀".repeat(6));
        assert_eq!(
            Label::new(&format!("{}ü", "a".repeat(23))).as_str(),
            "a".repeat(23)
        );
    }

    proptest! {
        #[test]
        fn a_label_is_a_beginning_of_its_text_and_comes_back_from_its_words(text: String) {
            let text = text.trim_end_matches('\0');
            let label = Label::new(text);
            prop_assert!(text.starts_with(label.as_str().trim_end_matches('\0')));
            prop_assert!(text.len() > Label::BYTES || label.as_str() == text);
            prop_assert_eq!(Label::of_words(label.words()), label);
            prop_assert_eq!(label.is_empty(), label.as_str().is_empty());
        }
    }
}
