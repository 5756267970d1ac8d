//! Single values: numbers and strings.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserializer, Error, Unexpected, Visitor};

use crate::read::{At, Read};
use crate::shown::beginning;

impl Read for u32 {
    fn read<'de, D: Deserializer<'de>>(from: D, at: &At<'_>) -> Result<Self, D::Error> {
        struct Whole<'a>(&'a At<'a>);

        impl Visitor<'_> for Whole<'_> {
            type Value = u32;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a whole number, at most {}, at {}", u32::MAX, self.0)
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<u32, E> {
                let found = Unexpected::Unsigned(number);
                u32::try_from(number).map_err(|_| E::invalid_value(found, &self))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<u32, E> {
                let found = Unexpected::Signed(number);
                u32::try_from(number).map_err(|_| E::invalid_value(found, &self))
            }
        }

        from.deserialize_u32(Whole(at))
    }
}

impl Read for bool {
    fn read<'de, D: Deserializer<'de>>(from: D, at: &At<'_>) -> Result<Self, D::Error> {
        struct Either<'a>(&'a At<'a>);

        impl Visitor<'_> for Either<'_> {
            type Value = bool;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "true or false at {}", self.0)
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<bool, E> {
                Ok(value)
            }
        }

        from.deserialize_bool(Either(at))
    }
}

impl Read for f64 {
    const LIST: &'static str = "a list of numbers, as [0.1, 0.5, 1.0],";

    fn read<'de, D: Deserializer<'de>>(from: D, at: &At<'_>) -> Result<Self, D::Error> {
        struct Number<'a>(&'a At<'a>);

        impl Visitor<'_> for Number<'_> {
            type Value = f64;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a number, as 0.5, at {}", self.0)
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<f64, E> {
                Ok(number)
            }

            #[allow(
                clippy::cast_precision_loss,
                reason = "no setting has numbers as large"
            )]
            fn visit_u64<E: Error>(self, number: u64) -> Result<f64, E> {
                Ok(number as f64)
            }

            #[allow(
                clippy::cast_precision_loss,
                reason = "no setting has numbers as large"
            )]
            fn visit_i64<E: Error>(self, number: i64) -> Result<f64, E> {
                Ok(number as f64)
            }
        }

        from.deserialize_f64(Number(at))
    }
}

/// A value that is written as a string.
pub(crate) trait Text: Sized {
    /// Writes what the string must be, for errors.
    fn expected(f: &mut fmt::Formatter<'_>) -> fmt::Result;

    /// The value of the string, or `None` if the string isn't as expected.
    fn of(text: &str) -> Option<Self>;
}

pub(crate) fn read_text<'de, T: Text, D: Deserializer<'de>>(
    from: D,
    at: &At<'_>,
) -> Result<T, D::Error> {
    struct Letters<'a, T>(&'a At<'a>, PhantomData<T>);

    impl<T: Text> Visitor<'_> for Letters<'_, T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            T::expected(f)?;
            write!(f, " at {}", self.0)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
            T::of(text).ok_or_else(|| E::invalid_value(Unexpected::Str(beginning(text)), &self))
        }
    }

    from.deserialize_str(Letters(at, PhantomData))
}

impl Read for String {
    fn read<'de, D: Deserializer<'de>>(from: D, at: &At<'_>) -> Result<Self, D::Error> {
        read_text(from, at)
    }
}

impl Text for String {
    fn expected(f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn of(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}
