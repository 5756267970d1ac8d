//! The state as the script of Redis keeps it, to compare the two.

use std::collections::BTreeMap;

use super::FleetSums;
use crate::message::FleetState;

/// What the four keys of a fleet hold.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Stored {
    /// The numbers, without the one that says which table of rates is the newer.
    pub(crate) numbers: Vec<u64>,
    pub(crate) holders: String,
    pub(crate) worst: String,
    pub(crate) entries: BTreeMap<String, String>,
    /// The newer table of rates, then the older one.
    pub(crate) rates: [BTreeMap<String, String>; 2],
}

fn hex(member: u64) -> String {
    format!("{member:016x}")
}

fn text(numbers: &[u64]) -> String {
    let words: Vec<_> = numbers.iter().map(u64::to_string).collect();
    words.join(" ")
}

impl FleetSums {
    /// Whether a member has announced traffic.
    pub(crate) fn knows(&self, member: u64) -> bool {
        self.rates.of(member).is_some()
    }

    pub(crate) fn stored(&self) -> Stored {
        let state = match self.state {
            FleetState::Closed => 0,
            FleetState::Open => 1,
            FleetState::Ramp => 2,
        };
        let (share, round) = (self.share.into(), self.round.into());
        let mut numbers = vec![self.last, self.epoch, state, share, round];
        numbers.extend([self.opened, self.changed]);
        let (turn, holders) = self.turn.stored();
        let (ramp, worst) = self.ramp.stored();
        let (turned, sums, rates) = self.rates.stored();
        numbers.extend(turn);
        numbers.extend(ramp);
        numbers.extend(self.usual.stored());
        numbers.extend(self.tolerated.stored());
        numbers.extend([self.entries.len() as u64, turned]);
        numbers.extend(sums.into_iter().flatten());
        let worst = worst.iter().filter(|it| it.1.bad > 0);
        let worst = worst.map(|it| format!("{} {} {}", hex(it.0), it.1.good, it.1.bad));
        let entries = self.entries.iter();
        Stored {
            numbers,
            holders: holders.iter().map(|&it| hex(it) + ",").collect(),
            worst: worst.collect::<Vec<_>>().join(" "),
            entries: entries
                .map(|(&it, entry)| (hex(it), text(&entry.stored())))
                .collect(),
            rates: rates.map(|table| {
                let members = table.into_iter();
                members
                    .map(|(it, numbers)| (hex(it), text(&numbers)))
                    .collect()
            }),
        }
    }
}
