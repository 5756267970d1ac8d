//! Tables whose keys are names.

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserializer, Error, MapAccess, Visitor};

use crate::read::{At, Read, Reader, twice};
use crate::shown::shown;

/// The most characters of a name, the same as for any breaker's name.
pub(crate) const MAX_NAME_CHARS: usize = 1_024;

/// Entries by name, in the order of the file.
#[derive(Clone, PartialEq)]
pub(crate) struct Named<T> {
    all: Vec<(String, T)>,
    /// The index of each name in `all`.
    places: HashMap<String, usize>,
}

impl<T> Named<T> {
    /// The most entries that are accepted.
    pub(crate) const MOST: usize = 100_000;

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, (String, T)> {
        self.all.iter()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&T> {
        let (_, found) = self.all.get(*self.places.get(name)?)?;
        Some(found)
    }
}

impl<T: fmt::Debug> fmt::Debug for Named<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.iter().map(|(name, value)| (shown(name), value));
        f.debug_map().entries(all).finish()
    }
}

/// Refuses a name at `at` that is too long.
pub(crate) fn check_name<E: Error>(name: &str, at: &At<'_>) -> Result<(), E> {
    if name.chars().nth(MAX_NAME_CHARS).is_none() {
        return Ok(());
    }
    Err(E::custom(format_args!(
        "{at}: has a name of {} bytes, expected at most {} characters; choose one that people can \
         read",
        name.len(),
        MAX_NAME_CHARS
    )))
}

impl<T: Read> Read for Named<T> {
    fn read<'de, D: Deserializer<'de>>(from: D, at: &At<'_>) -> Result<Self, D::Error> {
        struct Names<'a, T>(&'a At<'a>, PhantomData<T>);

        impl<'de, T: Read> Visitor<'de> for Names<'_, T> {
            type Value = Named<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(
                    f,
                    "names with their settings, as {{ payments = {{ open_for = \"5s\" }} }}, at {}",
                    self.0
                )
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Named<T>, A::Error> {
                let mut all = Vec::new();
                let mut places = HashMap::new();
                while let Some(name) = map.next_key_seed(Reader::<String>::at(self.0))? {
                    let at = self.0.key(&name);
                    check_name(&name, &at)?;
                    if all.len() == Named::<T>::MOST {
                        return Err(A::Error::custom(format_args!(
                            "{}: has more than {most}, expected at most {most}; keep them in several \
                             files, or breakers by key in a registry",
                            self.0,
                            most = Named::<T>::MOST
                        )));
                    }
                    if places.insert(name.clone(), all.len()).is_some() {
                        return Err(twice(&at));
                    }
                    let value = map.next_value_seed(Reader::at(&at))?;
                    all.push((name, value));
                }
                Ok(Named { all, places })
            }
        }

        from.deserialize_map(Names(at, PhantomData))
    }
}

impl<T: serde::Serialize> serde::Serialize for Named<T> {
    fn serialize<W: serde::Serializer>(&self, to: W) -> Result<W::Ok, W::Error> {
        to.collect_map(self.iter().map(|(name, value)| (name, value)))
    }
}
