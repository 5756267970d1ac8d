//! Names of breakers.

pub(crate) mod label;

use std::{fmt, sync::Arc};

/// A name that a rejection can take along without copying it.
///
/// # Shown
///
/// `name()` returns a name as it was given. All other output escapes its control and format
/// characters, and cuts it after 128 characters. This holds for `Display` and `Debug` of errors,
/// snapshots, transitions, permits and breakers. So a name from a request can't forge a line of a
/// log, and an error stays short.
///
/// # Length
///
/// A name has at most 1,024 characters.
/// [`CircuitBreakerBuilder::build`](crate::CircuitBreakerBuilder::build) refuses a longer one, and
/// so does a file. [`CircuitBreaker::new`](crate::CircuitBreaker::new) and a registry, for the
/// names of its keys, can't refuse a name. They accept a longer one.
///
/// A literal costs nothing. Any other name is shared: each rejection then adds one reference, on a
/// counter that all callers share.
#[derive(Clone)]
pub struct Name(Text);

#[derive(Clone)]
enum Text {
    Literal(&'static str),
    Shared(Arc<str>),
}

impl Name {
    /// The maximum length of a name, in characters.
    pub(crate) const CHARS: usize = 1_024;

    /// Whether a name has more than [`CHARS`](Self::CHARS) characters.
    pub(crate) fn is_too_long(name: &str) -> bool {
        name.len() > Self::CHARS && name.chars().nth(Self::CHARS).is_some()
    }

    /// The name as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Text::Literal(name) => name,
            Text::Shared(name) => name,
        }
    }
}

/// Compares the texts, wherever they are kept.
impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Name {}

impl From<&'static str> for Name {
    fn from(name: &'static str) -> Self {
        Self(Text::Literal(name))
    }
}

impl From<String> for Name {
    fn from(name: String) -> Self {
        Self(Text::Shared(name.into()))
    }
}

impl From<Arc<str>> for Name {
    fn from(name: Arc<str>) -> Self {
        Self(Text::Shared(name))
    }
}

/// Shows the name escaped, and cut after 128 characters.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Shown(self.as_str()).fmt(f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&Shown(self.as_str()), f)
    }
}

/// A text from outside, shown safely in a message.
///
/// `Shown` escapes characters that steer a terminal, a log or the direction of the text, as
/// `str::escape_debug` does: control characters, line ends, format characters. It escapes quotation
/// marks only within quotation marks. It cuts a text longer than [`Shown::CHARS`], and ends it with
/// an ellipsis.
#[derive(Clone, Copy)]
pub(crate) struct Shown<'a>(pub(crate) &'a str);

impl Shown<'_> {
    /// The maximum number of characters shown.
    pub(crate) const CHARS: usize = 128;

    /// Writes the shown text. Each character of the original becomes one or more.
    fn write(self, quoted: bool, out: &mut impl fmt::Write) -> fmt::Result {
        let text = beginning(self.0);
        for letter in text.chars() {
            write_escaped(letter, quoted, out)?;
        }
        let ellipsis = if text.len() < self.0.len() { "…" } else { "" };
        out.write_str(ellipsis)
    }
}

/// The part of a text that is shown.
pub(crate) fn beginning(text: &str) -> &str {
    let end = text.char_indices().nth(Shown::CHARS);
    end.map_or(text, |(end, _)| &text[..end])
}

/// Writes one character, escaped unless it can be shown directly.
fn write_escaped(letter: char, quoted: bool, out: &mut impl fmt::Write) -> fmt::Result {
    if letter == '\'' || letter == '"' && !quoted {
        return out.write_char(letter);
    }
    // A letter comes first, so that a combining accent isn't escaped.
    let mut behind_a_letter = [b'a'; 5];
    let length = letter.encode_utf8(&mut behind_a_letter[1..]).len();
    let text = std::str::from_utf8(&behind_a_letter[..=length]).unwrap_or("a");
    let mut escaped = text.escape_debug().skip(1);
    escaped.try_for_each(|letter| out.write_char(letter))
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.width().is_none() && f.precision().is_none() {
            return self.write(false, f);
        }
        let mut text = String::new();
        self.write(false, &mut text)?;
        f.pad(&text)
    }
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        self.write(true, f)?;
        f.write_str("\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn display(text: &str) -> String {
        Shown(text).to_string()
    }

    #[test]
    fn ordinary_text_is_shown_as_it_is() {
        for text in [
            "payments",
            "",
            "Zürich 支付 платежи",
            "e\u{301}te\u{301}",
            "it's \"quoted\"",
            "/v1/items?id=7&all#top",
            "🦀",
        ] {
            assert_eq!(display(text), text);
        }
        assert_eq!(format!("{:?}", Shown("it's \"it\"")), r#""it's \"it\"""#);
        assert_eq!(
            format!(
                "[{:>5}|{:<5}|{:.2}]",
                Shown("ab"),
                Shown("ab"),
                Shown("abc")
            ),
            "[   ab|ab   |ab]"
        );
    }

    #[test]
    fn what_steers_a_terminal_or_a_log_is_escaped() {
        for (text, shown) in [
            ("a\nb\r\t", r"a\nb\r\t"),
            ("\u{1b}[31m\0", r"\u{1b}[31m\0"),
            ("\u{7f}\u{9b}\u{85}", r"\u{7f}\u{9b}\u{85}"),
            (
                "\u{202e}\u{2066}\u{200f}\u{200b}",
                r"\u{202e}\u{2066}\u{200f}\u{200b}",
            ),
            ("\u{2028}\u{feff}\u{e0041}", r"\u{2028}\u{feff}\u{e0041}"),
            ("\u{10ffff}", r"\u{10ffff}"),
            (r"C:\n", r"C:\\n"),
        ] {
            assert_eq!(display(text), shown);
            assert_eq!(format!("{:?}", Shown(text)), format!("\"{shown}\""));
        }
    }

    #[test]
    fn what_is_long_is_cut_after_128_characters() {
        let just = "ü".repeat(128);
        assert_eq!(display(&just), just);
        assert_eq!(display(&format!("{just}ü")), format!("{just}…"));
        let megabyte = "\u{10ffff}".repeat(250_000);
        assert_eq!(display(&megabyte).chars().count(), 128 * 10 + 1);
    }
}
