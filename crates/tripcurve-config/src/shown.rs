//! Text from a file, in the form that messages show.

use tripcurve::name::Name;

/// The most characters of a text that a message shows.
const MAX_CHARS: usize = 128;

/// Formats a text like a breaker's name: escaped, and cut after 128 characters.
pub(crate) fn shown(text: &str) -> Name {
    Name::from(text.to_owned())
}

/// The part of a text that a message shows.
pub(crate) fn beginning(text: &str) -> &str {
    let end = text.char_indices().nth(MAX_CHARS);
    end.map_or(text, |(end, _)| &text[..end])
}
