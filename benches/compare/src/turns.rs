//! Times subjects by turns. Each subject runs in each turn, so a change of the machine's speed
//! affects all of them. The ratio of two subjects is taken turn by turn.

use std::time::{Duration, Instant};

use crate::statistics::Summary;

/// The turns before the first one that counts.
const UNCOUNTED: usize = 10;

/// A subject, and how to time its part of a turn.
pub struct Row {
    name: String,
    time: Box<dyn FnMut() -> Part>,
    calls: f64,
}

impl Row {
    /// `time` makes this many calls.
    pub fn new<P: Into<Part>>(
        name: impl Into<String>,
        calls: u32,
        mut time: impl FnMut() -> P + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            time: Box::new(move || time().into()),
            calls: f64::from(calls),
        }
    }

    fn seconds(&mut self) -> (f64, bool) {
        let Part { time, is_good } = (self.time)();
        (time.as_secs_f64() / self.calls, is_good)
    }
}

/// A subject's part of a turn.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    pub time: Duration,
    /// Whether it measured what it should. If one part of a turn didn't, the turn doesn't count.
    pub is_good: bool,
}

impl From<Duration> for Part {
    fn from(time: Duration) -> Self {
        Self {
            time,
            is_good: true,
        }
    }
}

/// How many turns are taken: as many as fit into the time, within the bounds.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    pub time: Duration,
    pub most: usize,
    /// So many turns count even if they take longer.
    pub least: usize,
}

/// The times of all turns.
///
/// They come from one round or several. Each round makes new subjects, at other addresses.
pub struct Times {
    names: Vec<String>,
    /// The seconds of a call, for each round, each subject and each turn.
    rounds: Vec<Vec<Vec<f64>>>,
    left_out: usize,
    doubtful: usize,
}

/// Takes the turns of a round. Each turn begins with another subject, so none always comes after a
/// pause. The first turn begins with the subject of the round's number.
///
/// When the time is over and too few turns have counted, the next ones count whatever they
/// measured.
pub fn take(rows: &mut [Row], round: usize, limit: Limit) -> Times {
    let begin = Instant::now();
    for _ in 0..UNCOUNTED {
        for row in &mut *rows {
            row.seconds();
        }
        if begin.elapsed() > limit.time / 5 {
            break;
        }
    }

    let mut times = Times {
        names: rows.iter().map(|row| row.name.clone()).collect(),
        rounds: vec![vec![Vec::new(); rows.len()]],
        left_out: 0,
        doubtful: 0,
    };
    for number in round.. {
        let is_late = begin.elapsed() > limit.time;
        let turns = times.turns();
        if turns >= limit.most || turns >= limit.least && is_late {
            break;
        }
        let mut turn = vec![0.0; rows.len()];
        let mut is_good = true;
        for place in 0..rows.len() {
            let at = (place + number) % rows.len();
            let (seconds, part_is_good) = rows[at].seconds();
            turn[at] = seconds;
            is_good &= part_is_good;
        }
        if is_good || is_late {
            times.add(&turn);
            times.doubtful += usize::from(!is_good);
        } else {
            times.left_out += 1;
        }
    }
    times
}

impl Times {
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The number of turns that count.
    #[must_use]
    pub fn turns(&self) -> usize {
        self.rounds.iter().map(|subjects| subjects[0].len()).sum()
    }

    #[must_use]
    pub fn rounds(&self) -> usize {
        self.rounds.len()
    }

    /// The number of turns that don't count.
    #[must_use]
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// The number of turns that count although a part of them isn't good.
    #[must_use]
    pub fn doubtful(&self) -> usize {
        self.doubtful
    }

    /// Adds the rounds of the same subjects.
    pub fn append(&mut self, mut others: Self) {
        self.rounds.append(&mut others.rounds);
        self.left_out += others.left_out;
        self.doubtful += others.doubtful;
    }

    fn add(&mut self, turn: &[f64]) {
        let subjects = self.rounds.iter_mut().flatten();
        for (seconds, &time) in subjects.zip(turn) {
            seconds.push(time);
        }
    }

    /// The nanoseconds of a call of a subject.
    ///
    /// # Panics
    ///
    /// If no subject has this name.
    #[must_use]
    pub fn nanos(&self, name: &str) -> Summary {
        let at = self.at(name);
        let rounds = self.rounds.iter().map(|subjects| {
            let seconds = subjects[at].iter();
            seconds.map(|time| time * 1e9).collect()
        });
        Summary::of_rounds(rounds.collect())
    }

    /// The ratios of two subjects, turn by turn.
    ///
    /// # Panics
    ///
    /// If no subject has one of the names.
    #[must_use]
    pub fn ratios(&self, name: &str, base: &str) -> Summary {
        let (at, base) = (self.at(name), self.at(base));
        let rounds = self.rounds.iter().map(|subjects| {
            let pairs = subjects[at].iter().zip(&subjects[base]);
            pairs.map(|(time, base)| time / base).collect()
        });
        Summary::of_rounds(rounds.collect())
    }

    fn at(&self, name: &str) -> usize {
        let at = self.names.iter().position(|it| it == name);
        at.unwrap_or_else(|| panic!("no row `{name}`"))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    const SOME_TURNS: Limit = Limit {
        time: Duration::from_hours(1),
        most: 15,
        least: 11,
    };

    /// A machine that is slower from turn to turn, and whose slowness all subjects share.
    fn on_a_slowing_machine(limit: Limit) -> (Times, String) {
        let order = Rc::new(RefCell::new(String::new()));
        let row = |name: &'static str, work: u32| {
            let order = Rc::clone(&order);
            let mut turn = 0;
            Row::new(name, 10, move || {
                turn += 1;
                order.borrow_mut().push_str(name);
                Duration::from_micros(10) * work * turn
            })
        };
        let mut rows = [row("a", 1), row("b", 2), row("c", 3)];
        let times = take(&mut rows, 1, limit);
        let order = order.take().split_off(rows.len() * UNCOUNTED);
        (times, order)
    }

    #[test]
    fn each_turn_begins_with_the_next_subject() {
        let (times, order) = on_a_slowing_machine(SOME_TURNS);
        assert_eq!(times.turns(), SOME_TURNS.most);
        assert!(order.starts_with("bcacababcbca"), "{order}");
    }

    #[test]
    fn ratios_are_of_one_turn() {
        let (times, _) = on_a_slowing_machine(SOME_TURNS);
        let ratios = times.ratios("c", "b");
        let (lowest, highest) = ratios.interval;
        assert!(lowest > 1.49 && highest < 1.51, "{ratios:?}");
        let nanos = times.nanos("a");
        assert!(nanos.quartiles.0 < nanos.quartiles.1, "{nanos:?}");
    }

    #[test]
    fn rounds_are_put_together() {
        let (mut times, _) = on_a_slowing_machine(SOME_TURNS);
        times.append(on_a_slowing_machine(SOME_TURNS).0);
        assert_eq!((times.rounds(), times.turns()), (2, 2 * SOME_TURNS.most));
    }

    #[test]
    fn a_few_turns_are_taken_even_without_time() {
        let none = Limit {
            time: Duration::ZERO,
            ..SOME_TURNS
        };
        let part = Part {
            time: Duration::from_nanos(1),
            is_good: false,
        };
        let times = take(&mut [Row::new("a", 1, move || part)], 0, none);
        assert_eq!((times.turns(), times.left_out()), (SOME_TURNS.least, 0));
        assert_eq!(times.doubtful(), SOME_TURNS.least);
    }

    #[test]
    fn a_turn_with_a_bad_part_is_left_out() {
        let mut number = 0;
        let every_third_is_bad = move || {
            number += 1;
            Part {
                time: Duration::from_nanos(1),
                is_good: number % 3 != 2,
            }
        };
        let mut rows = [
            Row::new("a", 1, every_third_is_bad),
            Row::new("b", 1, || Duration::from_nanos(1)),
        ];
        let times = take(&mut rows, 0, SOME_TURNS);
        assert_eq!(times.turns(), SOME_TURNS.most);
        assert_eq!(times.left_out(), SOME_TURNS.most.div_ceil(2));
        assert_eq!(times.doubtful(), 0);
    }
}
