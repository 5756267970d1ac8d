//! Answers and announcements of a server that nobody trusts: every number has bounds.

use crate::bounds::MAX_LOUDEST;
use crate::message::{EXACT, FleetState, FleetView, Lease, Leased, Loud, LoudCalls, LoudSums};
use crate::message::{Pulsed, Reported, Resulted, Rounded, Stepped, Sums, Tripped, Weighed};
use crate::store::Announcement;

/// The longest announcement that is read, in bytes.
const LONGEST: usize = 1_024;

/// The numbers of an answer that aren't read yet. More than are read may come: a later version may
/// add some at the end.
pub(super) struct Numbers<'a> {
    left: std::slice::Iter<'a, i64>,
}

type Garbled = &'static str;

impl<'a> Numbers<'a> {
    pub(super) fn new(numbers: &'a [i64]) -> Self {
        Self {
            left: numbers.iter(),
        }
    }

    fn up_to(&mut self, name: Garbled, most: u64) -> Result<u64, Garbled> {
        let value = self.left.next().and_then(|&it| u64::try_from(it).ok());
        value.filter(|&it| it <= most).ok_or(name)
    }

    fn small(&mut self, name: Garbled) -> Result<u32, Garbled> {
        u32::try_from(self.exact(name)?).map_err(|_| name)
    }

    fn exact(&mut self, name: Garbled) -> Result<u64, Garbled> {
        self.up_to(name, EXACT)
    }

    fn flag(&mut self, name: Garbled) -> Result<bool, Garbled> {
        Ok(self.up_to(name, 1)? == 1)
    }
}

/// An answer that a server gives as numbers.
pub(super) trait Read: Sized {
    /// Returns the name of the first number that is missing or out of bounds, if there is one.
    fn read(it: &mut Numbers<'_>) -> Result<Self, Garbled>;
}

impl Read for FleetView {
    fn read(it: &mut Numbers<'_>) -> Result<Self, Garbled> {
        let view = Self {
            epoch: it.exact("epoch")?,
            state: match it.up_to("state", 2)? {
                0 => FleetState::Closed,
                1 => FleetState::Open,
                _ => FleetState::Ramp,
            },
            share: it.small("share")?,
            round: it.small("round")?,
            turn: it.exact("turn")?,
            outage_ms: it.exact("outage_ms")?,
            age_ms: it.exact("age_ms")?,
            due_ms: it.exact("due_ms")?,
            members: it.exact("members")?,
            rate: it.exact("rate")?,
            normal: it.small("normal")?,
            at_ms: it.exact("at_ms")?,
        };
        view.check()?;
        Ok(view)
    }
}

impl Read for Sums {
    fn read(it: &mut Numbers<'_>) -> Result<Self, Garbled> {
        let sums = Self {
            excursion: it.exact("excursion")?,
            failures: it.exact("failures")?,
            surprise: it.exact("surprise")?,
            expected: it.exact("expected")?,
            age_ms: it.exact("age_ms")?,
        };
        sums.check()?;
        Ok(sums)
    }
}

impl Read for LoudSums {
    fn read(it: &mut Numbers<'_>) -> Result<Self, Garbled> {
        let sums = Sums::read(it)?;
        let failing = it.exact("failing")?;
        let count = it.up_to("loudest", MAX_LOUDEST as u64)?;
        let loud = |_| {
            Ok(Loud {
                failures: it.exact("failures")?,
                surprise: it.exact("surprise")?,
                expected: it.exact("expected")?,
            })
        };
        let loudest = (0..count).map(loud).collect::<Result<_, Garbled>>()?;
        Ok(Self {
            sums,
            failing,
            loudest,
        })
    }
}

impl Read for Reported {
    fn read(it: &mut Numbers<'_>) -> Result<Self, Garbled> {
        Ok(Self {
            view: FleetView::read(it)?,
            counted: it.flag("counted")?,
            usual: Sums::read(it)?,
            tolerated: Sums::read(it)?,
        })
    }
}

impl Read for Weighed {
    fn read(it: &mut Numbers<'_>) -> Result<Self, Garbled> {
        Ok(Self {
            view: FleetView::read(it)?,
            usual: LoudSums::read(it)?,
            tolerated: LoudSums::read(it)?,
        })
    }
}

impl Read for Pulsed {
    fn read(it: &mut Numbers<'_>) -> Result<Self, Garbled> {
        Ok(Self {
            view: FleetView::read(it)?,
            counted: it.flag("counted")?,
        })
    }
}

impl Read for Tripped {
    fn read(it: &mut Numbers<'_>) -> Result<Self, Garbled> {
        Ok(Self {
            view: FleetView::read(it)?,
            won: it.flag("won")?,
        })
    }
}

impl Read for Leased {
    fn read(it: &mut Numbers<'_>) -> Result<Self, Garbled> {
        let view = FleetView::read(it)?;
        let turn = it.exact("turn")?;
        let ends_ms = it.exact("ends_ms")?;
        let lease = Lease { turn, ends_ms };
        lease.check()?;
        Ok(Self {
            view,
            lease: (turn > 0).then_some(lease),
        })
    }
}

impl Read for Resulted {
    fn read(it: &mut Numbers<'_>) -> Result<Self, Garbled> {
        Ok(Self {
            view: FleetView::read(it)?,
            counted: it.flag("counted")?,
        })
    }
}

impl Read for Rounded {
    fn read(it: &mut Numbers<'_>) -> Result<Self, Garbled> {
        let view = FleetView::read(it)?;
        let counted = it.flag("counted")?;
        let (good, bad) = (it.exact("good")?, it.exact("bad")?);
        let mut calls = || {
            Ok::<_, Garbled>(LoudCalls {
                good: it.exact("good")?,
                bad: it.exact("bad")?,
            })
        };
        let loudest = [calls()?, calls()?];
        Ok(Self {
            view,
            counted,
            good,
            bad,
            loudest,
        })
    }
}

impl Read for Stepped {
    fn read(it: &mut Numbers<'_>) -> Result<Self, Garbled> {
        Ok(Self {
            view: FleetView::read(it)?,
            won: it.flag("won")?,
        })
    }
}

/// Reads a key and the numbers of a state. `None` if they make no sense.
pub(super) fn announcement(payload: &[u8]) -> Option<Announcement> {
    if payload.len() > LONGEST {
        return None;
    }
    let mut words = std::str::from_utf8(payload).ok()?.split(' ');
    let key = words.next()?.to_owned();
    let numbers: Vec<i64> = words.map(str::parse).collect::<Result<_, _>>().ok()?;
    let view = FleetView::read(&mut Numbers::new(&numbers)).ok()?;
    Some(Announcement { key, view })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAIN: &str = "tripcurve:1:{shop//pay/00000000} 7 1 0 0 1 500 500 200 3 1000 655 1700";

    #[test]
    fn an_announcement_is_read() {
        let it = announcement(PLAIN.as_bytes()).unwrap();
        assert_eq!(it.key, "tripcurve:1:{shop//pay/00000000}");
        assert_eq!((it.view.epoch, it.view.at_ms), (7, 1_700));
        // A later version may add to it.
        assert_eq!(announcement(format!("{PLAIN} 5").as_bytes()), Some(it));
    }

    #[test]
    fn an_announcement_out_of_bounds_is_lost() {
        for (number, outside) in [
            (1, "9007199254740992"),
            (2, "3"),
            (3, "65537"),
            (4, "1000000001"),
            (6, "3600001"),
            (7, "3600001"),
            (8, "60001"),
            (9, "100001"),
            (10, "100000000001"),
            (11, "16385"),
            (12, "-1"),
            (5, "x"),
            (5, ""),
        ] {
            let mut words: Vec<_> = PLAIN.split(' ').collect();
            words[number] = outside;
            assert_eq!(
                announcement(words.join(" ").as_bytes()),
                None,
                "{number}: {outside}"
            );
        }
        assert_eq!(announcement(&[0xff; 20]), None);
        assert_eq!(announcement(&vec![b'7'; LONGEST + 1]), None);
        assert_eq!(announcement(b"key 1 2 3"), None);
    }

    proptest! {
        #[test]
        fn no_answer_gives_a_list_of_more_than_eight(
            numbers in prop::collection::vec(prop_oneof![0..9_i64, any::<i64>()], 0..80),
        ) {
            if let Ok(it) = Weighed::read(&mut Numbers::new(&numbers)) {
                prop_assert!(it.usual.loudest.len() <= 8 && it.tolerated.loudest.len() <= 8);
            }
        }
    }
}
