//! The bounds of a store's answers. A member trusts no store with a number beyond them.

use crate::message::Weighed;
use crate::message::{
    EXACT, FleetView, Lease, LoudSums, MAX_ROUND, Reported, Rounded, SHARE, Sums,
};
use crate::sums::LIFETIME_MS;

/// The call rate of a fleet, in 1/1000 call per second: 10⁸ calls per second. Its product with a
/// share is exact.
pub(crate) const MAX_SUM: u64 = 100_000_000_000;

/// How many members of a fleet are counted.
pub(crate) const MAX_MEMBERS: u64 = 100_000;

/// How many members a list of the loudest has at most: two for each of four outages.
pub(crate) const MAX_LOUDEST: usize = 8;

/// The longest turn, and the longest time until a probe is due, in ms.
const MAX_WAIT_MS: u64 = 60_000;

/// The name of the first number that is out of bounds, if there is one.
pub(crate) type Checked = Result<(), &'static str>;

fn up_to<const N: usize>(most: u64, numbers: [(&'static str, u64); N]) -> Checked {
    match numbers.into_iter().find(|it| it.1 > most) {
        Some((name, _)) => Err(name),
        None => Ok(()),
    }
}

impl FleetView {
    pub(crate) fn check(&self) -> Checked {
        let (epoch, turn) = (("epoch", self.epoch), ("turn", self.turn));
        up_to(EXACT, [epoch, turn, ("at_ms", self.at_ms)])?;
        up_to(SHARE.into(), [("share", self.share.into())])?;
        up_to((SHARE / 4).into(), [("normal", self.normal.into())])?;
        up_to(MAX_ROUND.into(), [("round", self.round.into())])?;
        let outage = ("outage_ms", self.outage_ms);
        up_to(LIFETIME_MS, [outage, ("age_ms", self.age_ms)])?;
        up_to(MAX_WAIT_MS, [("due_ms", self.due_ms)])?;
        up_to(MAX_MEMBERS, [("members", self.members)])?;
        up_to(MAX_SUM, [("rate", self.rate)])
    }
}

impl Sums {
    pub(crate) fn check(&self) -> Checked {
        let (failures, surprise) = (("failures", self.failures), ("surprise", self.surprise));
        let expected = ("expected", self.expected);
        up_to(
            EXACT,
            [("excursion", self.excursion), failures, surprise, expected],
        )?;
        up_to(LIFETIME_MS, [("age_ms", self.age_ms)])
    }
}

impl LoudSums {
    pub(crate) fn check(&self) -> Checked {
        self.sums.check()?;
        up_to(EXACT, [("failing", self.failing)])?;
        if self.loudest.len() > MAX_LOUDEST {
            return Err("loudest");
        }
        for it in &self.loudest {
            let (failures, surprise) = (("failures", it.failures), ("surprise", it.surprise));
            up_to(EXACT, [failures, surprise, ("expected", it.expected)])?;
        }
        Ok(())
    }
}

impl Reported {
    pub(crate) fn check(&self) -> Checked {
        self.view.check()?;
        self.usual.check()?;
        self.tolerated.check()
    }
}

impl Weighed {
    pub(crate) fn check(&self) -> Checked {
        self.view.check()?;
        self.usual.check()?;
        self.tolerated.check()
    }
}

impl Lease {
    pub(crate) fn check(&self) -> Checked {
        up_to(EXACT, [("turn", self.turn)])?;
        up_to(MAX_WAIT_MS, [("ends_ms", self.ends_ms)])
    }
}

impl Rounded {
    pub(crate) fn check(&self) -> Checked {
        self.view.check()?;
        up_to(EXACT, [("good", self.good), ("bad", self.bad)])?;
        for it in &self.loudest {
            up_to(EXACT, [("good", it.good), ("bad", it.bad)])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Loud;

    #[test]
    fn an_answer_lists_eight_members_at_most() {
        let list = |length| LoudSums {
            loudest: vec![Loud::default(); length],
            ..LoudSums::default()
        };
        assert_eq!(list(MAX_LOUDEST - 1).check(), Ok(()));
        assert_eq!(list(MAX_LOUDEST).check(), Ok(()));
        assert_eq!(list(MAX_LOUDEST + 1).check(), Err("loudest"));
    }

    /// Fails when: a number of a member in the list has no bound.
    #[test]
    fn each_number_in_the_list_of_the_loudest_has_a_bound() {
        let most = Loud {
            failures: EXACT,
            surprise: EXACT,
            expected: EXACT,
        };
        let check = |it| {
            let loudest = vec![Loud::default(), it];
            let sums = LoudSums {
                loudest,
                ..LoudSums::default()
            };
            sums.check()
        };
        assert_eq!(check(most), Ok(()));
        let (failures, surprise, expected) = (EXACT + 1, EXACT + 1, EXACT + 1);
        assert_eq!(check(Loud { failures, ..most }), Err("failures"));
        assert_eq!(check(Loud { surprise, ..most }), Err("surprise"));
        assert_eq!(check(Loud { expected, ..most }), Err("expected"));
        assert_eq!(EXACT, 9_007_199_254_740_991);
    }
}
