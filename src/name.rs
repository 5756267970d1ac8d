//! Names of breakers.

pub(crate) mod label;

use std::fmt;
use std::sync::Arc;

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

    /// The characters of the shown text. Each character of the original becomes one or more.
    fn escaped(self, quoted: bool) -> impl Iterator<Item = char> {
        let text = beginning(self.0);
        let ellipsis = (text.len() < self.0.len()).then_some('…');
        let letters = text.chars().flat_map(move |letter| escaped(letter, quoted));
        letters.chain(ellipsis)
    }
}

/// The part of a text that is shown.
pub(crate) fn beginning(text: &str) -> &str {
    let end = text.char_indices().nth(Shown::CHARS);
    end.map_or(text, |(end, _)| &text[..end])
}

/// One character, escaped unless it can be shown directly.
fn escaped(letter: char, quoted: bool) -> impl Iterator<Item = char> {
    let is_plain = match letter {
        '\'' => true,
        '"' => !quoted,
        _ => false,
    };
    let plain = is_plain.then_some(letter);
    // A letter comes first, so that a combining accent isn't escaped.
    let mut behind_a_letter = [b'a'; 5];
    let length = letter.encode_utf8(&mut behind_a_letter[1..]).len();
    let text = std::str::from_utf8(&behind_a_letter[..=length]).unwrap_or("a");
    // The longest escape has six digits, such as `\u{10ffff}`.
    let mut all = ['\0'; 12];
    let mut count = 0;
    for (place, letter) in all.iter_mut().zip(text.escape_debug().skip(1)) {
        *place = letter;
        count += 1;
    }
    let count = if is_plain { 0 } else { count };
    plain.into_iter().chain(all.into_iter().take(count))
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;

        if f.width().is_some() || f.precision().is_some() {
            return f.pad(&self.escaped(false).collect::<String>());
        }
        self.escaped(false)
            .try_for_each(|letter| f.write_char(letter))
    }
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;

        f.write_char('"')?;
        self.escaped(true)
            .try_for_each(|letter| f.write_char(letter))?;
        f.write_char('"')
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
