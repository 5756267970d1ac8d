//! Text from a file, as messages show it.

use tripcurve::name::Name;

/// The most characters of a text that a message shows.
const MAX_CHARS: usize = 128;

/// A text as breakers show their names: escaped, and cut after 128 characters.
pub(crate) fn shown(text: &str) -> Name {
    Name::from(text.to_owned())
}

/// The beginning of a text, as long as a message shows it.
pub(crate) fn beginning(text: &str) -> &str {
    let end = text.char_indices().nth(MAX_CHARS);
    end.map_or(text, |(end, _)| &text[..end])
}
