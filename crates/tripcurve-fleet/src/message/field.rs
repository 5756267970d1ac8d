//! The numbers of each message with their bounds, in the order in which they are sent.

use std::{error, fmt};

use super::{
    AfterProbe, AfterRound, Alternative, AskLease, Claim, EXACT, FleetState, MAX_RATE, MAX_ROUND,
};
use super::{ProbeResult, Pulse, Report, Round, SHARE, Sender, Step, Trip, Weigh};

/// How far a member's epoch may be above the store's time, in ms: a day.
pub(crate) const MAX_AHEAD_MS: u64 = 86_400_000;

/// A number of a message, with its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub value: i64,
    /// The smallest value that a store accepts.
    pub least: i64,
    /// The largest value that a store accepts.
    pub most: i64,
}

/// A message whose numbers have bounds.
pub trait Message {
    /// The name of the operation in a script.
    const NAME: &'static str;

    /// The sender.
    fn sender(&self) -> &Sender;

    /// The numbers after those of the sender, in the order in which they are sent.
    fn fields(&self) -> Vec<Field>;

    /// Checks the bounds of all numbers, at a time of the store in ms.
    ///
    /// # Errors
    /// A number is out of bounds. The error names the first one.
    fn check(&self, now_ms: u64) -> Result<(), Refused> {
        let mut fields = sender_fields(self.sender());
        fields[0].most = fields[0]
            .most
            .min(signed(now_ms.saturating_add(MAX_AHEAD_MS)));
        fields.extend(self.fields());
        match fields
            .iter()
            .find(|it| !(it.least..=it.most).contains(&it.value))
        {
            None => Ok(()),
            Some(&Field {
                name,
                value,
                least,
                most,
            }) => Err(Refused {
                message: Self::NAME,
                name,
                value,
                least,
                most,
            }),
        }
    }
}

/// A store refused a message, because one of its numbers is out of bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// The name of the message.
    pub message: &'static str,
    /// The name of the number.
    pub name: &'static str,
    /// Its value.
    pub value: i64,
    /// The smallest value that is accepted.
    pub least: i64,
    /// The largest value that is accepted.
    pub most: i64,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            message,
            name,
            value,
            least,
            most,
        } = self;
        write!(f, "{message}: {name} is {value}; expected {least}..={most}")
    }
}

impl error::Error for Refused {}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn field(name: &'static str, value: impl Into<i64>, least: i64, most: i64) -> Field {
    Field {
        name,
        value: value.into(),
        least,
        most,
    }
}

/// A number up to 2⁵³ − 1.
fn exact(name: &'static str, value: u64, least: i64) -> Field {
    field(name, signed(value), least, signed(EXACT))
}

fn rate(name: &'static str, value: u64) -> Field {
    field(name, signed(value), 0, signed(MAX_RATE))
}

fn share(value: u32) -> Field {
    field("share", value, 1, SHARE.into())
}

fn wait(value: u32) -> Field {
    field("wait_ms", value, 1, 60_000)
}

/// The numbers of the sender, then those of the message.
#[cfg(feature = "redis")]
pub(crate) fn all_fields(message: &impl Message) -> Vec<Field> {
    let mut fields = sender_fields(message.sender());
    fields.extend(message.fields());
    fields
}

fn sender_fields(sender: &Sender) -> Vec<Field> {
    let state = match sender.state {
        FleetState::Closed => 0,
        FleetState::Open => 1,
        FleetState::Ramp => 2,
    };
    vec![
        exact("sender.epoch", sender.epoch, 0),
        field("sender.state", state, 0, 2),
        field("sender.share", sender.share, 1, SHARE.into()),
        field("sender.round", sender.round, 1, MAX_ROUND.into()),
    ]
}

/// None is sent as zeros.
fn alternative(fields: &mut Vec<Field>, it: Option<Alternative>) {
    const MOST: i64 = 524_288;
    let Alternative { gain, share } = it.unwrap_or(Alternative { gain: 0, share: 0 });
    let least = i64::from(it.is_some());
    fields.push(field("gain", gain, -MOST, MOST));
    fields.push(field("share", share, least, SHARE.into()));
}

/// None is sent as zeros.
fn claim(fields: &mut Vec<Field>, it: Option<Claim>) {
    let least = i64::from(it.is_some());
    let Claim {
        excursion,
        failures,
        surprise,
    } = it.unwrap_or(Claim {
        excursion: 0,
        failures: 0,
        surprise: 0,
    });
    fields.push(exact("excursion", excursion, least));
    fields.push(exact("failures", failures, least));
    fields.push(exact("surprise", surprise, 0));
}

impl Message for Report {
    const NAME: &'static str = "report";

    fn sender(&self) -> &Sender {
        &self.sender
    }

    fn fields(&self) -> Vec<Field> {
        let mut fields = vec![
            exact("number", self.number, 1),
            field("failures", self.failures, 1, 255),
            field(
                "surprise",
                self.surprise,
                0,
                2_048 * i64::from(self.failures),
            ),
            field("spread_ms", self.spread_ms, 0, 60_000),
        ];
        for it in self.usual {
            alternative(&mut fields, Some(it));
        }
        alternative(&mut fields, self.tolerated);
        fields
    }
}

impl Message for Weigh {
    const NAME: &'static str = "weigh";

    fn sender(&self) -> &Sender {
        &self.sender
    }

    fn fields(&self) -> Vec<Field> {
        let mut fields = Vec::new();
        for it in self.usual {
            alternative(&mut fields, Some(it));
        }
        for at in 0..4 {
            alternative(&mut fields, self.tolerated.map(|them| them[at]));
        }
        fields
    }
}

impl Message for Pulse {
    const NAME: &'static str = "pulse";

    fn sender(&self) -> &Sender {
        &self.sender
    }

    fn fields(&self) -> Vec<Field> {
        vec![
            rate("rate", self.rate),
            field("normal", self.normal, 0, i64::from(SHARE / 4)),
        ]
    }
}

impl Message for Trip {
    const NAME: &'static str = "trip";

    fn sender(&self) -> &Sender {
        &self.sender
    }

    fn fields(&self) -> Vec<Field> {
        let mut fields = vec![exact("epoch", self.epoch, 0), exact("at_ms", self.at_ms, 0)];
        claim(&mut fields, Some(self.usual));
        claim(&mut fields, self.tolerated);
        fields.push(wait(self.wait_ms));
        fields
    }
}

impl Message for AskLease {
    const NAME: &'static str = "lease";

    fn sender(&self) -> &Sender {
        &self.sender
    }

    fn fields(&self) -> Vec<Field> {
        vec![
            exact("epoch", self.epoch, 0),
            rate("rate", self.rate),
            field("check", self.check, 0, 1),
            wait(self.wait_ms),
        ]
    }
}

impl Message for ProbeResult {
    const NAME: &'static str = "result";

    fn sender(&self) -> &Sender {
        &self.sender
    }

    fn fields(&self) -> Vec<Field> {
        let (good, next) = match self.next {
            AfterProbe::Turn { wait_ms } => (false, wait(wait_ms)),
            AfterProbe::Ramp { share: it } => (true, share(it)),
        };
        vec![
            exact("epoch", self.epoch, 0),
            exact("turn", self.turn, 1),
            field("good", good, 0, 1),
            next,
        ]
    }
}

impl Message for Round {
    const NAME: &'static str = "round";

    fn sender(&self) -> &Sender {
        &self.sender
    }

    fn fields(&self) -> Vec<Field> {
        vec![
            exact("number", self.number, 1),
            exact("epoch", self.epoch, 0),
            field("round", self.round, 1, MAX_ROUND.into()),
            field("good", self.good, 0, 100_000),
            field("bad", self.bad, 0, 100_000),
        ]
    }
}

impl Message for Step {
    const NAME: &'static str = "step";

    fn sender(&self) -> &Sender {
        &self.sender
    }

    fn fields(&self) -> Vec<Field> {
        let (kind, next) = match self.next {
            AfterRound::Round { share: it } => (0, share(it)),
            AfterRound::Close => (1, field("none", 0, 0, 0)),
            AfterRound::Open { wait_ms } => (2, wait(wait_ms)),
        };
        vec![
            exact("epoch", self.epoch, 0),
            field("round", self.round, 1, MAX_ROUND.into()),
            field("next", kind, 0, 2),
            next,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Member;

    const NOW_MS: u64 = 1_790_000_000_000;

    fn claim(excursion: u64) -> Claim {
        Claim {
            excursion,
            failures: 3,
            surprise: 4,
        }
    }

    fn trip() -> Trip {
        Trip {
            sender: Sender::new(Member(7)),
            epoch: 1,
            at_ms: 2,
            usual: claim(5),
            tolerated: None,
            wait_ms: 60_000,
        }
    }

    fn lease() -> AskLease {
        AskLease {
            sender: Sender::new(Member(7)),
            epoch: 1,
            rate: 2,
            check: true,
            wait_ms: 1,
        }
    }

    fn step(next: AfterRound) -> Step {
        Step {
            sender: Sender::new(Member(7)),
            epoch: 1,
            round: 2,
            next,
        }
    }

    fn result(next: AfterProbe) -> ProbeResult {
        ProbeResult {
            sender: Sender::new(Member(7)),
            epoch: 1,
            turn: 2,
            next,
        }
    }

    fn sent(message: &impl Message) -> Vec<(&'static str, i64)> {
        let fields = message.fields().into_iter();
        fields.map(|it| (it.name, it.value)).collect()
    }

    #[test]
    fn a_message_sends_its_numbers_in_the_order_of_the_script() {
        let with = |tolerated| {
            sent(&Trip {
                tolerated,
                ..trip()
            })
        };
        let (usual, wait) = (
            [("excursion", 5), ("failures", 3), ("surprise", 4)],
            ("wait_ms", 60_000),
        );
        let begin = [("epoch", 1), ("at_ms", 2)];
        let none = [("excursion", 0), ("failures", 0), ("surprise", 0)];
        assert_eq!(with(None), [&begin[..], &usual, &none, &[wait]].concat());
        let second = [("excursion", 6), ("failures", 3), ("surprise", 4)];
        let all = [&begin[..], &usual, &second, &[wait]].concat();
        assert_eq!(with(Some(claim(6))), all);
        let asked = [("epoch", 1), ("rate", 2), ("check", 1), ("wait_ms", 1)];
        assert_eq!(sent(&lease()), asked);
        let end = |next| sent(&step(next))[2..].to_vec();
        let another = end(AfterRound::Round { share: 9 });
        assert_eq!(another, [("next", 0), ("share", 9)]);
        assert_eq!(end(AfterRound::Close), [("next", 1), ("none", 0)]);
        let open = end(AfterRound::Open { wait_ms: 8 });
        assert_eq!(open, [("next", 2), ("wait_ms", 8)]);
        let after = |next| sent(&result(next))[2..].to_vec();
        let failed = after(AfterProbe::Turn { wait_ms: 8 });
        assert_eq!(failed, [("good", 0), ("wait_ms", 8)]);
        let good = after(AfterProbe::Ramp { share: 9 });
        assert_eq!(good, [("good", 1), ("share", 9)]);
    }

    #[test]
    fn a_number_out_of_bounds_is_refused_by_its_name() {
        let refused = |it: Result<(), Refused>| it.unwrap_err().to_string();
        assert_eq!(trip().check(NOW_MS), Ok(()));
        let soon = Trip {
            wait_ms: 0,
            ..trip()
        };
        let error = refused(soon.check(NOW_MS));
        assert_eq!(error, "trip: wait_ms is 0; expected 1..=60000");
        let none = Trip {
            tolerated: Some(claim(0)),
            ..trip()
        };
        let error = refused(none.check(NOW_MS));
        assert_eq!(error, "trip: excursion is 0; expected 1..=9007199254740991");
        assert_eq!(lease().check(NOW_MS), Ok(()));
        let late = AskLease {
            wait_ms: 60_001,
            ..lease()
        };
        let error = refused(late.check(NOW_MS));
        assert_eq!(error, "lease: wait_ms is 60001; expected 1..=60000");
        let ahead = |epoch| {
            let sender = Sender {
                epoch,
                ..trip().sender
            };
            Trip { sender, ..trip() }.check(NOW_MS)
        };
        assert_eq!(ahead(NOW_MS + MAX_AHEAD_MS), Ok(()));
        let error = refused(ahead(NOW_MS + MAX_AHEAD_MS + 1));
        assert!(
            error.starts_with("trip: sender.epoch is 1790086400001; "),
            "{error}"
        );
        for next in [
            AfterRound::Round { share: 0 },
            AfterRound::Open { wait_ms: 0 },
        ] {
            assert!(step(next).check(NOW_MS).is_err(), "{next:?}");
        }
        for next in [
            AfterProbe::Ramp { share: 0 },
            AfterProbe::Turn { wait_ms: 0 },
        ] {
            assert!(result(next).check(NOW_MS).is_err(), "{next:?}");
        }
    }
}
