//! Logs as JSON lines: an object for each call.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::io::BufRead;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::LogError;
use super::column::Column;
use super::gather::Gather;
use super::line::{Cell, Line, Problem};

/// Reads `first`, which is line number `number`, and the lines after it.
pub(super) fn read(
    first: Vec<u8>,
    mut number: u64,
    mut rest: impl BufRead,
    gather: &mut Gather,
) -> Result<(), LogError> {
    let mut names = Names::default();
    let mut text = first;
    while !text.is_empty() {
        let object = text.trim_ascii();
        if !object.is_empty() {
            match parse(object, &mut names) {
                Ok(Object {
                    generated: Some(note),
                    line,
                }) if line.missing().is_some() => gather.note(&note),
                Ok(Object { line, .. }) => {
                    if gather.needs_columns() && line.missing().is_none() {
                        gather.columns(line.names());
                    }
                    gather.add(number, line.entry());
                }
                Err(problem) => gather.add(number, Err(problem)),
            }
        }
        text.clear();
        rest.read_until(b'\n', &mut text)?;
        number += 1;
    }
    Ok(())
}

/// The meanings of the keys met so far. Each line has the same few keys.
#[derive(Default)]
struct Names(HashMap<String, Option<Column>>);

impl Names {
    fn meaning(&mut self, name: &str) -> Option<Column> {
        if let Some(&known) = self.0.get(name) {
            return known;
        }
        let column = Column::named(name);
        // The bound holds even if a log uses keys as values.
        if self.0.len() < 1_000 {
            self.0.insert(name.to_owned(), column);
        }
        column
    }
}

/// The object of one line.
#[derive(Default)]
struct Object<'a> {
    line: Line<'a>,
    /// A generated log's statement that it is generated.
    generated: Option<Cow<'a, str>>,
}

fn parse<'a>(text: &'a [u8], names: &mut Names) -> Result<Object<'a>, Problem> {
    let refuse = |error: serde_json::Error| {
        // The JSON error's own line number is always 1 here, so it is cut off.
        let message = error.to_string();
        let end = message.find(" at line 1 column").unwrap_or(message.len());
        let place = message[end..].replace(" at line 1 column", " at column");
        Problem::Json(format!("{}{place}", &message[..end]))
    };
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let object = Seed(names).deserialize(&mut deserializer).map_err(refuse)?;
    deserializer.end().map_err(refuse)?;
    Ok(object)
}

struct Seed<'n>(&'n mut Names);

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Object<'de>;

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<Object<'de>, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
        let mut object = Object::default();
        while let Some(Key(name)) = map.next_key()? {
            if name == "generated" {
                object.generated = Some(plain(map.next_value()?));
            } else if let Some(column) = self.0.meaning(&name) {
                let text = plain(map.next_value()?);
                object.line.put(Cell { name, column, text });
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(object)
    }
}

/// A key, borrowed unless it contains escapes.
#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// The text of a string without its quotes. Any other value stays as it is.
fn plain(value: &RawValue) -> Cow<'_, str> {
    let text = value.get();
    match serde_json::from_str::<Key<'_>>(text) {
        Ok(Key(string)) => string,
        Err(_) => Cow::Borrowed(text),
    }
}
