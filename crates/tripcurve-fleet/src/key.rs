//! The names under which a store keeps the fleets of breakers.

use std::fmt::{self, Write};

/// The longest part of a key that isn't hashed, in bytes.
const LONGEST: usize = 128;

/// A hash of everything that the sums of a fleet depend on.
///
/// Members with different settings have different meanings. So their failures aren't added up.
///
/// ```
/// use std::time::Duration;
/// use tripcurve_fleet::key::Meaning;
///
/// let meaning = Meaning::new(Some(0.25), Some(Duration::from_secs(1)), "5xx");
/// assert_eq!(meaning.to_string().len(), 8);
/// assert_ne!(meaning, Meaning::new(Some(0.2), Some(Duration::from_secs(1)), "5xx"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Meaning(u32);

impl Meaning {
    /// Hashes the tolerated failure rate, the limit of slow calls, and a word for the classifier.
    #[must_use]
    pub fn new(
        tolerated: Option<f64>,
        slow: Option<std::time::Duration>,
        classifier: &str,
    ) -> Self {
        let tolerated = tolerated.unwrap_or(0.0).to_bits();
        let slow = slow.map_or(u128::MAX, |it| it.as_nanos());
        let hash = fnv(format!("{tolerated} {slow} {classifier}").as_bytes());
        // The lower bits are mixed best.
        #[expect(clippy::cast_possible_truncation)]
        let low = hash as u32;
        Self(low)
    }
}

impl fmt::Display for Meaning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// The key of one breaker's fleet in a store.
///
/// All processes with an equal key are members of one fleet. Bytes other than letters, digits, `-`,
/// `_`, `.` and `:` are written as `%XX`. A part of more than 128 bytes is hashed.
///
/// ```
/// use tripcurve_fleet::key::{FleetKey, Meaning};
///
/// let meaning = Meaning::new(None, None, "");
/// let key = FleetKey::new("shop", "eu-1a", "pay ments", meaning);
/// assert_eq!(key.as_str(), format!("tripcurve:1:{{shop/eu-1a/pay%20ments/{meaning}}}"));
/// assert_eq!(key.channel(), "tripcurve:1:shop");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FleetKey {
    key: String,
    channel: String,
}

impl FleetKey {
    /// Makes the key. `zone` is empty for a fleet without zones.
    #[must_use]
    pub fn new(namespace: &str, zone: &str, name: &str, meaning: Meaning) -> Self {
        let [namespace, zone, name] = [namespace, zone, name].map(escaped);
        Self {
            key: format!("tripcurve:1:{{{namespace}/{zone}/{name}/{meaning}}}"),
            channel: format!("tripcurve:1:{namespace}"),
        }
    }

    /// The key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.key
    }

    /// The channel of the namespace, on which changes are announced.
    #[must_use]
    pub fn channel(&self) -> &str {
        &self.channel
    }
}

/// The channel of a namespace; see [`FleetKey::channel`].
pub(crate) fn channel(namespace: &str) -> String {
    format!("tripcurve:1:{}", escaped(namespace))
}

fn escaped(part: &str) -> String {
    let mut escaped = String::new();
    for byte in part.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte) {
            escaped.push(byte.into());
        } else {
            // Writing to a string never fails.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    if escaped.len() > LONGEST {
        // No escaped part begins with this.
        return format!("%{:032x}", fnv(part.as_bytes()));
    }
    escaped
}

/// FNV-1a with 128 bits. It must never change: processes of all versions share the keys.
fn fnv(bytes: &[u8]) -> u128 {
    bytes
        .iter()
        .fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, |hash, &byte| {
            (hash ^ u128::from(byte)).wrapping_mul(0x0100_0000_0000_0000_0000_013b)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_published_one() {
        // From draft-eastlake-fnv, for "a" and "foobar".
        assert_eq!(fnv(b"a"), 0xd228_cb69_6f1a_8caf_7891_2b70_4e4a_8964);
        assert_eq!(fnv(b"foobar"), 0x343e_1662_793c_64bf_6f0d_3597_ba44_6f18);
    }

    #[test]
    fn different_parts_never_share_a_key() {
        let meaning = Meaning::new(None, None, "");
        let key =
            |namespace: &str, zone: &str, name: &str| FleetKey::new(namespace, zone, name, meaning);
        assert_ne!(key("a/b", "c", "d"), key("a", "b/c", "d"));
        assert_ne!(key("}", "", "d"), key("%7D", "", "d"));
        let long = "x".repeat(129);
        let longer = format!("{long}y");
        assert_ne!(key("a", "", &long), key("a", "", &longer));
        assert!(key("a", "", &long).as_str().len() < 128);
    }

    /// Fails when: a process of another version would look for a fleet under another key.
    #[test]
    fn letters_digits_and_four_signs_stand_for_themselves() {
        let meaning = Meaning::new(None, None, "");
        let key = FleetKey::new("Shop-1", "eu_1a", "pay.ments: é", meaning);
        let expected = format!("tripcurve:1:{{Shop-1/eu_1a/pay.ments:%20%C3%A9/{meaning}}}");
        assert_eq!(key.as_str(), expected);
        assert_eq!(key.channel(), "tripcurve:1:Shop-1");
        assert_eq!(channel("Shop 1"), "tripcurve:1:Shop%201");
    }

    #[test]
    fn a_part_is_hashed_only_if_it_takes_more_than_128_bytes() {
        let longest = "x".repeat(128);
        assert_eq!(escaped(&longest), longest);
        assert_eq!(escaped("x"), "x");
        let hashed = escaped(&format!("{longest}x"));
        assert!(hashed.starts_with('%') && hashed.len() == 33, "{hashed}");
    }

    #[test]
    fn the_hash_tag_of_a_cluster_is_the_whole_of_a_key() {
        let key = FleetKey::new("}{", "{", "}", Meaning::new(None, None, ""));
        assert_eq!(key.as_str().matches(['{', '}']).count(), 2);
    }
}
