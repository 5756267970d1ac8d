//! Reads values together with their places, so that every error can name the place.
//!
//! Serde's derive would report "unknown field `bucket`", but not in which breaker.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Unexpected, Visitor};

use crate::shown::{beginning, shown};

/// The place of a value in the file.
#[derive(Clone, Copy)]
pub(crate) enum At<'a> {
    File,
    Key(&'a At<'a>, &'a str),
    Item(&'a At<'a>, usize),
}

impl<'a> At<'a> {
    pub(crate) fn key(&'a self, key: &'a str) -> Self {
        Self::Key(self, key)
    }
}

/// Writes the place in TOML's form: `breakers.payments.trip_when[0].min_calls`.
impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => f.write_str("the file"),
            Self::Key(Self::File, key) => write_key(f, key),
            Self::Key(above, key) => {
                write!(f, "{above}.")?;
                write_key(f, key)
            }
            Self::Item(above, index) => write!(f, "{above}[{index}]"),
        }
    }
}

/// Writes a key, with quotes if needed. A dot within a name must not look like one between two
/// names.
fn write_key(f: &mut fmt::Formatter<'_>, key: &str) -> fmt::Result {
    let is_bare = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '-';
    let shown = shown(key);
    if !key.is_empty() && key.chars().all(is_bare) {
        write!(f, "{shown}")
    } else {
        write!(f, "{shown:?}")
    }
}

/// A value that can be read at a place.
pub(crate) trait Read: Sized {
    /// The name of a list of such values in errors.
    const LIST: &'static str = "a list";

    /// The largest number of items in a list, and the hint for a longer one.
    const MOST: (usize, &'static str) = (usize::MAX, "");

    fn read<'de, D: Deserializer<'de>>(from: D, at: &At<'_>) -> Result<Self, D::Error>;
}

/// A seed that passes the place to the value that is read there.
pub(crate) struct Reader<'a, T>(&'a At<'a>, PhantomData<T>);

impl<'a, T: Read> Reader<'a, T> {
    pub(crate) fn at(at: &'a At<'a>) -> Self {
        Self(at, PhantomData)
    }
}

impl<'de, T: Read> DeserializeSeed<'de> for Reader<'_, T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<T, D::Error> {
        T::read(from, self.0)
    }
}

impl<T: Read> Read for Box<T> {
    fn read<'de, D: Deserializer<'de>>(from: D, at: &At<'_>) -> Result<Self, D::Error> {
        T::read(from, at).map(Self::new)
    }
}

impl<T: Read> Read for Vec<T> {
    fn read<'de, D: Deserializer<'de>>(from: D, at: &At<'_>) -> Result<Self, D::Error> {
        struct List<'a, T>(&'a At<'a>, PhantomData<T>);

        impl<'de, T: Read> Visitor<'de> for List<'_, T> {
            type Value = Vec<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{} at {}", T::LIST, self.0)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
                let (most, how_to_have_fewer) = T::MOST;
                let mut read = Vec::new();
                while let Some(item) =
                    items.next_element_seed(Reader::at(&At::Item(self.0, read.len())))?
                {
                    if read.len() == most {
                        return Err(A::Error::custom(format_args!(
                            "{}: has more than {most}, expected at most {most}; {how_to_have_fewer}",
                            self.0
                        )));
                    }
                    read.push(item);
                }
                Ok(read)
            }
        }

        from.deserialize_seq(List(at, PhantomData))
    }
}

/// A table of the file with its own keys, all of them optional.
pub(crate) trait Section: Default + 'static {
    const KEYS: &'static [&'static str];

    /// Whether the key has a value.
    fn has(&self, key: &str) -> bool;

    /// These values, with those of `other` where there are none.
    fn or(&self, other: &Self) -> Self;

    /// Reads the value of one of the [`KEYS`](Self::KEYS).
    fn take<'de, A: MapAccess<'de>>(
        &mut self,
        key: &str,
        map: &mut A,
        at: &At<'_>,
    ) -> Result<(), A::Error>;
}

/// Defines a [`Section`]: a struct whose fields are the optional keys, in the order in which they
/// are written.
///
/// An editor shows the doc comment of a key, and the limits behind its type.
macro_rules! section {
    (
        $(#[$about:meta])*
        $visibility:vis struct $section:ident $(and $besides:ident: $besides_type:ty)? {
            $(
                $(#[doc = $doc:literal])+
                $key_visibility:vis $key:ident $(= $name:literal)?: $value:ty
                    $({ $($limits:tt)* })?,
            )+
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, Default, PartialEq)]
        $visibility struct $section {
            $($besides: $besides_type,)?
            $(
                $(#[doc = $doc])+
                $key_visibility $key: Option<$value>,
            )+
        }

        impl $crate::read::Section for $section {
            const KEYS: &'static [&'static str] =
                &[$($crate::read::key!($key $($name)?)),+];

            fn has(&self, key: &str) -> bool {
                match key {
                    $($crate::read::key!($key $($name)?) => self.$key.is_some(),)+
                    _ => false,
                }
            }

            fn or(&self, other: &Self) -> Self {
                Self {
                    $($besides: self.$besides,)?
                    $($key: self.$key.as_ref().or(other.$key.as_ref()).cloned(),)+
                }
            }

            fn take<'de, A: ::serde::de::MapAccess<'de>>(
                &mut self,
                key: &str,
                map: &mut A,
                at: &$crate::read::At<'_>,
            ) -> ::std::result::Result<(), A::Error> {
                match key {
                    $($crate::read::key!($key $($name)?) => {
                        self.$key = Some(map.next_value_seed($crate::read::Reader::at(at))?);
                    })+
                    _ => {}
                }
                Ok(())
            }
        }

        impl ::serde::Serialize for $section {
            fn serialize<W: ::serde::Serializer>(&self, to: W) -> ::std::result::Result<W::Ok, W::Error> {
                use ::serde::ser::SerializeMap;
                use $crate::read::Section;

                let keys = Self::KEYS.iter().filter(|key| self.has(key)).count();
                let mut map = to.serialize_map(Some(keys))?;
                $(if let Some(value) = &self.$key {
                    map.serialize_entry($crate::read::key!($key $($name)?), value)?;
                })+
                map.end()
            }
        }

        #[cfg(feature = "schema")]
        impl $crate::schema::Described for $section {
            const NAME: &'static str = stringify!($section);

            fn describe(
                generator: &mut ::schemars::SchemaGenerator,
            ) -> ::std::vec::Vec<(&'static str, ::schemars::Schema)> {
                ::std::vec![$((
                    $crate::read::key!($key $($name)?),
                    $crate::schema::described(
                        generator.subschema_for::<$value>(),
                        &[$($doc),+],
                        ::schemars::json_schema!({ $($($limits)*)? }),
                    ),
                )),+]
            }
        }
    };
}
pub(crate) use section;

/// The name of a key in the file. It may be one that isn't a valid field name in Rust.
macro_rules! key {
    ($key:ident) => {
        stringify!($key)
    };
    ($key:ident $name:literal) => {
        $name
    };
}
pub(crate) use key;

/// Reads a section whose only meaning is its keys. `what` is its name in errors.
pub(crate) fn read_section<'de, S: Section, D: Deserializer<'de>>(
    from: D,
    what: &str,
    at: &At<'_>,
) -> Result<S, D::Error> {
    struct Keys<'a, S>(&'a str, &'a At<'a>, PhantomData<S>);

    impl<'de, S: Section> Visitor<'de> for Keys<'_, S> {
        type Value = S;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{} at {}", self.0, self.1)
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<S, A::Error> {
            read_keys(map, self.1, &[])
        }
    }

    from.deserialize_map(Keys(what, at, PhantomData))
}

/// Reads the keys of a section. Each may occur once, and no others may occur.
///
/// `short` are the words that may replace the keys. They are for errors.
fn read_keys<'de, S: Section, A: MapAccess<'de>>(
    mut map: A,
    at: &At<'_>,
    short: &'static [Short<S>],
) -> Result<S, A::Error> {
    let mut section = S::default();
    while let Some(key) = map.next_key_seed(Key {
        section: &section,
        at,
        short,
    })? {
        section.take(key, &mut map, &at.key(key))?;
    }
    Ok(section)
}

/// Reads the next key of a section.
///
/// It reports its own errors, so the reader points at the key and not at the whole section.
struct Key<'a, S: 'static> {
    section: &'a S,
    at: &'a At<'a>,
    short: &'static [Short<S>],
}

impl<'de, S: Section> DeserializeSeed<'de> for Key<'_, S> {
    type Value = &'static str;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<&'static str, D::Error> {
        from.deserialize_str(self)
    }
}

impl<S: Section> Visitor<'_> for Key<'_, S> {
    type Value = &'static str;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a key at {}", self.at)
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<&'static str, E> {
        let at = self.at.key(key);
        let Some(known) = S::KEYS.iter().find(|known| **known == key) else {
            // Only editors use `$schema`, so the error doesn't list it.
            let known = Words(S::KEYS.iter().filter(|key| !key.starts_with('$')));
            let remedy = match (self.at, self.short) {
                (At::File, _) => "; breakers stand there by name, as breakers.payments".to_owned(),
                (_, []) => String::new(),
                (_, short) => {
                    let words = short.iter().map(|short| format!("{:?}", short.word));
                    let words: Vec<_> = words.collect();
                    format!(", or {} instead of them all", words.join(" or "))
                }
            };
            return Err(E::custom(format_args!(
                "{at}: unknown key, expected one of {known}{remedy}"
            )));
        };
        if self.section.has(key) {
            return Err(twice(&at));
        }
        Ok(known)
    }
}

pub(crate) fn twice<E: Error>(at: &At<'_>) -> E {
    E::custom(format_args!("{at}: is there twice; leave one out"))
}

/// Formats possible words as a list.
pub(crate) struct Words<I>(pub(crate) I);

impl<I> Words<I> {
    /// The largest number of words in the list.
    const MOST: usize = 20;
}

impl<T: fmt::Display, I: Iterator<Item = T> + Clone> fmt::Display for Words<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, word) in self.0.clone().take(Self::MOST).enumerate() {
            write!(f, "{}{word}", if index > 0 { ", " } else { "" })?;
        }
        match self.0.clone().skip(Self::MOST).count() {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// A combination of keys.
pub(crate) struct Form {
    pub(crate) needs: &'static [&'static str],
    pub(crate) may: &'static [&'static str],
}

/// A word that replaces some keys.
pub(crate) struct Short<S> {
    pub(crate) word: &'static str,
    pub(crate) keys: fn() -> S,
}

/// A section with a meaning, or the word that replaces it.
pub(crate) trait Meaning: Section + PartialEq {
    /// The section's meaning.
    type Value;

    /// The name of the section in errors.
    const WHAT: &'static str;

    /// The name of a list of such sections in errors.
    const LIST: &'static str = "a list";

    /// The largest number of items in a list, and the hint for a longer one; see [`Read::MOST`].
    const MOST: (usize, &'static str) = (usize::MAX, "");

    /// The combinations of keys that have a meaning. No keys fit two of them.
    const FORMS: &'static [Form];

    /// The words that may replace some keys.
    const SHORT: &'static [Short<Self>] = &[];

    /// The meaning of these keys, or the reason why they have none.
    fn meaning(&self) -> Result<Self::Value, String>;

    /// The word that replaces these keys, if there is one.
    fn word(&self) -> Option<&'static str> {
        let mut all = Self::SHORT.iter();
        let short = all.find(|short| *self == (short.keys)())?;
        Some(short.word)
    }
}

/// The keys as they were written, to be written again, and their meaning.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Written<S: Meaning> {
    keys: S,
    value: S::Value,
}

impl<S: Meaning> Written<S> {
    pub(crate) fn keys(&self) -> &S {
        &self.keys
    }

    pub(crate) fn value(&self) -> &S::Value {
        &self.value
    }

    /// Finds the meaning of the keys, or the reason why they have none.
    pub(crate) fn new(keys: S) -> Result<Self, String> {
        let value = keys.meaning()?;
        Ok(Self { keys, value })
    }

    fn at<E: Error>(keys: S, at: &At<'_>) -> Result<Self, E> {
        Self::new(keys).map_err(|reason| E::custom(format_args!("{at}: {reason}")))
    }
}

impl<S: Meaning> Read for Written<S> {
    const LIST: &'static str = S::LIST;

    const MOST: (usize, &'static str) = S::MOST;

    fn read<'de, D: Deserializer<'de>>(from: D, at: &At<'_>) -> Result<Self, D::Error> {
        struct Keys<'a, S>(&'a At<'a>, PhantomData<S>);

        impl<'de, S: Meaning> Visitor<'de> for Keys<'_, S> {
            type Value = Written<S>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{} at {}", S::WHAT, self.0)
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<Written<S>, E> {
                match S::SHORT.iter().find(|short| short.word == word) {
                    Some(short) => Written::at((short.keys)(), self.0),
                    None => Err(E::invalid_value(Unexpected::Str(beginning(word)), &self)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Written<S>, A::Error> {
                Written::at(read_keys(map, self.0, S::SHORT)?, self.0)
            }
        }

        from.deserialize_any(Keys(at, PhantomData))
    }
}

impl<S: Meaning + serde::Serialize> serde::Serialize for Written<S> {
    fn serialize<W: serde::Serializer>(&self, to: W) -> Result<W::Ok, W::Error> {
        match self.keys.word() {
            Some(word) => to.serialize_str(word),
            None => self.keys.serialize(to),
        }
    }
}
