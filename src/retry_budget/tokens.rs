//! Tokens of a retry budget, in one word.
//!
//! The word holds the saved tokens, and the time up to which the floor's tokens are among them.

use crate::{sync::SelfContained, sync::field::Field};

/// ```text
///  63             32 31               0
/// +-----------------+-----------------+
/// |    turn, 32     |     saved, 32   |
/// +-----------------+-----------------+
/// ```
///
/// *Saved*: in thousandths of a token. *Turn*: the tenth of a second, counted from the clock's
/// origin, up to which the floor has been added. It wraps after 13 years. If no caller asks for a
/// retry for more than half of that time, the floor's next tokens come that much later.
mod layout {
    use super::Field;

    pub(super) const SAVED: Field = Field::lowest(32);
    pub(super) const TURN: Field = SAVED.then(32);

    const _: () = assert!(TURN.end_bit() == 64);
    // The floor is added before the sum is cut to the full balance, so only that must fit.
    const _: () = assert!(super::Tokens::MAX_BURST as u64 * super::Tokens::TOKEN <= SAVED.max());
}

/// A tenth of a second since the clock's origin, wrapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn(u32);

impl Turn {
    const NANOS: u64 = 100_000_000;

    /// The turn of a time in nanoseconds since the clock's origin.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "it wraps")]
    pub const fn of(nanos: u64) -> Self {
        Self((nanos / Self::NANOS) as u32)
    }

    /// How many turns it is after `other`; 0 if it isn't after it.
    fn after(self, other: Self) -> u32 {
        match self.0.wrapping_sub(other.0) {
            turns @ 0..=0x7FFF_FFFF => turns,
            _ => 0,
        }
    }
}

/// The parts of the word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Balance {
    saved: u64,
    turn: Turn,
}

impl Balance {
    const fn pack(self) -> u64 {
        layout::SAVED.of(self.saved) | layout::TURN.of(self.turn.0 as u64)
    }

    #[allow(clippy::cast_possible_truncation, reason = "32 bits")]
    const fn unpack(word: u64) -> Self {
        Self {
            saved: layout::SAVED.get(word),
            turn: Turn(layout::TURN.get(word) as u32),
        }
    }
}

/// The tokens of a budget. A retry takes one, a success adds a part of one, and time adds the
/// floor.
///
/// Only a caller that wants a retry reads the clock. Successes, which are many, read no clock.
/// While the balance is full they write nothing.
#[derive(Debug)]
pub struct Tokens {
    word: SelfContained,
    /// The thousandths of a token that a success adds.
    share: u64,
    /// The thousandths of a token that a turn adds.
    floor: u64,
    /// The largest balance, in thousandths of a token.
    full: u64,
}

impl Tokens {
    /// One token, in the word's units.
    pub(super) const TOKEN: u64 = 1_000;

    /// Turns in a second.
    const TURNS: u64 = 10;

    /// The largest burst, in tokens.
    pub(super) const MAX_BURST: u32 = 1_000_000;

    /// Makes a full balance. `share` is what a success adds, in thousandths of a token. `floor` is
    /// how many tokens a second adds, and `burst` how many can be saved.
    #[must_use]
    pub fn new(share: u64, floor: u32, burst: u32, now: Turn) -> Self {
        let full = u64::from(burst) * Self::TOKEN;
        let balance = Balance {
            saved: full,
            turn: now,
        };
        Self {
            word: SelfContained::new(balance.pack()),
            share,
            floor: u64::from(floor) * Self::TOKEN / Self::TURNS,
            full,
        }
    }

    /// Adds the share of a success, unless the balance is full.
    #[inline]
    pub fn deposit(&self) {
        let seen = self.word.load();
        if layout::SAVED.get(seen) < self.full {
            self.deposit_to(seen);
        }
    }

    #[cold]
    fn deposit_to(&self, mut seen: u64) {
        loop {
            let balance = Balance::unpack(seen);
            let saved = (balance.saved + self.share).min(self.full);
            let new = Balance { saved, ..balance }.pack();
            match self.word.exchange(seen, new) {
                Ok(()) => return,
                Err(found) => seen = found,
            }
        }
    }

    /// Takes a token. The floor adds nothing for the time before `since`.
    ///
    /// # Errors
    /// No token is left. The error says how many nanoseconds of the floor make up for the missing
    /// part, if there is a floor.
    pub fn withdraw(&self, now: u64, since: u64) -> Result<(), Option<u64>> {
        let mut seen = self.word.load();
        loop {
            let balance = self.with_floor(Balance::unpack(seen), now, since);
            let Some(saved) = balance.saved.checked_sub(Self::TOKEN) else {
                return Err(self.missing(balance, now));
            };
            let new = Balance { saved, ..balance }.pack();
            match self.word.exchange(seen, new) {
                Ok(()) => return Ok(()),
                Err(found) => seen = found,
            }
        }
    }

    /// The number of tokens, including what the floor adds for the time after `since`.
    pub fn saved(&self, now: u64, since: u64) -> u32 {
        let seen = Balance::unpack(self.word.load());
        let tokens = self.with_floor(seen, now, since).saved / Self::TOKEN;
        u32::try_from(tokens).unwrap_or(u32::MAX)
    }

    /// The balance, including what the floor adds until now.
    ///
    /// A thread that read the clock before another thread adds nothing, and leaves the turn as it
    /// is.
    fn with_floor(&self, balance: Balance, now: u64, since: u64) -> Balance {
        let (now, since) = (Turn::of(now), Turn::of(since));
        let turns = now.after(balance.turn).min(now.after(since));
        if turns == 0 {
            return balance;
        }
        let saved = balance.saved + u64::from(turns) * self.floor;
        Balance {
            saved: saved.min(self.full),
            turn: now,
        }
    }

    /// The nanoseconds until the floor has added the missing part of a token; `None` without a
    /// floor.
    fn missing(&self, balance: Balance, now: u64) -> Option<u64> {
        let missing = Self::TOKEN.saturating_sub(balance.saved);
        let turns = (self.floor > 0).then(|| missing.div_ceil(self.floor))?;
        Some(turns * Turn::NANOS - now % Turn::NANOS)
    }
}

#[cfg(all(test, not(tripcurve_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TENTH: u64 = Turn::NANOS;

    fn empty(share: u64, floor: u32, burst: u32) -> Tokens {
        let tokens = Tokens::new(share, floor, burst, Turn(0));
        (0..burst).for_each(|_| tokens.withdraw(0, 0).unwrap());
        tokens
    }

    #[test]
    fn a_full_purse_is_not_written_to() {
        let tokens = Tokens::new(200, 0, 3, Turn(7));
        let before = tokens.word.load();
        tokens.deposit();
        assert_eq!(tokens.word.load(), before);
    }

    #[test]
    fn what_is_refused_says_when_the_floor_will_pay_for_it() {
        let tokens = empty(200, 1, 1);
        assert_eq!(
            tokens.withdraw(TENTH / 4, 0),
            Err(Some(10 * TENTH - TENTH / 4))
        );
        (0..3).for_each(|_| tokens.deposit());
        assert_eq!(tokens.withdraw(0, 0), Err(Some(4 * TENTH)));
        assert_eq!(tokens.withdraw(4 * TENTH - 1, 0), Err(Some(1)));
        assert_eq!(tokens.withdraw(4 * TENTH, 0), Ok(()));
        assert_eq!(empty(200, 0, 1).withdraw(0, 0), Err(None));
    }

    #[test]
    fn nothing_comes_of_the_time_before_the_breaker_closed() {
        let tokens = empty(200, 10, 100);
        assert_eq!(tokens.saved(600 * TENTH, 597 * TENTH), 3);
        assert_eq!(tokens.saved(600 * TENTH, 600 * TENTH), 0);
    }

    #[test]
    fn a_clock_that_was_read_before_another_adds_nothing_twice() {
        let tokens = empty(200, 10, 100);
        assert_eq!(tokens.withdraw(3 * TENTH, 0), Ok(()));
        assert_eq!(tokens.saved(2 * TENTH, 0), 2);
        assert_eq!(tokens.withdraw(2 * TENTH, 0), Ok(()));
        assert_eq!(tokens.saved(3 * TENTH, 0), 1);
        assert_eq!(tokens.saved(4 * TENTH, 0), 2);
    }

    #[test]
    fn a_turn_that_has_wrapped_comes_after_the_last_one() {
        assert_eq!(Turn(2).after(Turn(u32::MAX)), 3);
        assert_eq!(Turn(u32::MAX).after(Turn(2)), 0);
    }

    proptest! {
        #[test]
        fn a_purse_comes_back_from_its_word(saved: u32, turn: u32) {
            let balance = Balance { saved: saved.into(), turn: Turn(turn) };
            prop_assert_eq!(Balance::unpack(balance.pack()), balance);
        }
    }
}
