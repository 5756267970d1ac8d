//! The tables: which subjects take turns with each other, and which of them the others are divided
//! by.

use tripcurve_compare::turns::{self, Limit, Row, Times};

use crate::alone::{ClockAlone, WorkAlone};
use crate::measure::Failing;
use crate::ours::{Call, TryAcquire};
use crate::peers::{CircuitbreakerRs, Failsafe, Recloser, TowerResilience};
use crate::seatbelt::Seatbelt;
use crate::subject::{Many, Rules, Settings, Subject, Timing, WINDOW_CALLS, Window};
use crate::timed::{CALLS, Crew, cold, one_thread};

/// The peer that all rows are divided by.
const PEER: &str = Recloser::NAME;
/// Its closed breaker, where the other rows reject or fail.
const CLOSED_PEER: &str = "recloser, a success";

const CLASSIC: &str = "tripcurve/classic";
const CLASSIC_PERMIT: &str = "tripcurve/classic/try_acquire";
const ADAPTIVE: &str = "tripcurve/adaptive";
const ADAPTIVE_PERMIT: &str = "tripcurve/adaptive/try_acquire";
const SLOWER_THAN: &str = "tripcurve/adaptive/slower_than";
const HISTOGRAM: &str = "tripcurve/classic/histogram";
const COUNT_WINDOW: &str = "tripcurve/classic/count_window";
const ONE_SHARD: &str = "tripcurve/classic/one_shard";
const RATE_ONLY: &str = "tripcurve/rate_only";

/// The classic pair of policies: failures in a row, and a failure rate.
const USUAL: &Settings = &Settings::USUAL;

/// Trips by evidence.
const BY_EVIDENCE: &Settings = &Settings {
    rules: Rules::Evidence,
    ..Settings::USUAL
};

/// Slow calls are evidence, too.
const SLOW_BY_EVIDENCE: &Settings = &Settings {
    timing: Timing::SlowRate,
    ..*BY_EVIDENCE
};

const WITH_HISTOGRAM: &Settings = &Settings {
    timing: Timing::Histogram,
    ..Settings::USUAL
};

/// The window is as long as recloser's.
const LAST_CALLS: &Settings = &Settings {
    window: Window::Calls(WINDOW_CALLS),
    ..Settings::USUAL
};

const SAVING_MEMORY: &Settings = &Settings {
    shards: Some(1),
    ..Settings::USUAL
};

/// The classic pair, out of reach.
const NEVER_TRIPS: &Settings = &Settings::OUT_OF_REACH;

/// Only the rule on the window, out of reach. No policy looks at the failures in a row.
const NEVER_TRIPS_BY_RATE: &Settings = &Settings {
    rules: Rules::OutOfReach { policies: 1 },
    ..Settings::USUAL
};

/// A table before it is measured.
pub(crate) struct Section {
    pub(crate) title: &'static str,
    /// The part of the whole time, in percent.
    pub(crate) share: u32,
    /// The names of the rows that the others are divided by.
    pub(crate) bases: &'static [&'static str],
    pub(crate) measure: fn(usize, Limit) -> Measured,
}

/// The times of a table, and how its calls were made.
pub(crate) struct Measured {
    pub(crate) times: Times,
    pub(crate) threads: u32,
    pub(crate) calls: u32,
}

pub(crate) const ALL: [Section; 6] = [
    Section {
        title: "One thread, a success",
        share: 25,
        bases: &[PEER],
        measure: success,
    },
    Section {
        title: "One thread, a rejected call",
        share: 12,
        bases: &[PEER, CLOSED_PEER],
        measure: rejection,
    },
    Section {
        title: "One thread, nothing but failures",
        share: 12,
        bases: &[PEER, CLOSED_PEER],
        measure: failure,
    },
    Section {
        title: "All cores at once, a success",
        share: 20,
        bases: &[PEER],
        measure: success_by_all,
    },
    Section {
        title: "All cores at once, nothing but failures",
        share: 18,
        bases: &[PEER, CLOSED_PEER],
        measure: failure_by_all,
    },
    Section {
        title: "One thread, one of 10,000 breakers",
        share: 13,
        bases: &[PEER],
        measure: one_of_many,
    },
];

fn success(round: usize, limit: Limit) -> Measured {
    fn row<S: Subject>(name: &str, settings: &Settings) -> Row {
        one_thread(name, S::closed(settings), Failing::NONE)
    }
    by_one(
        round,
        limit,
        vec![
            row::<Call>(CLASSIC, USUAL),
            row::<TryAcquire>(CLASSIC_PERMIT, USUAL),
            row::<Call>(ADAPTIVE, BY_EVIDENCE),
            row::<TryAcquire>(ADAPTIVE_PERMIT, BY_EVIDENCE),
            row::<Call>(SLOWER_THAN, SLOW_BY_EVIDENCE),
            row::<Call>(HISTOGRAM, WITH_HISTOGRAM),
            row::<Call>(COUNT_WINDOW, LAST_CALLS),
            row::<Recloser>(PEER, USUAL),
            row::<Failsafe>(Failsafe::NAME, USUAL),
            row::<TowerResilience>(TowerResilience::NAME, USUAL),
            row::<CircuitbreakerRs>(CircuitbreakerRs::NAME, USUAL),
            row::<Seatbelt>(Seatbelt::NAME, USUAL),
            row::<WorkAlone>(WorkAlone::NAME, USUAL),
            row::<ClockAlone>(ClockAlone::NAME, USUAL),
        ],
    )
}

/// A success of the peer, to which rejections and failures are compared too.
fn closed_peer() -> Row {
    one_thread(CLOSED_PEER, Recloser::closed(USUAL), Failing::NONE)
}

fn rejection(round: usize, limit: Limit) -> Measured {
    fn row<S: Subject>(name: &str, settings: &Settings) -> Row {
        one_thread(name, S::open(settings), Failing::NONE)
    }
    let mut rows = vec![
        row::<Call>(CLASSIC, USUAL),
        row::<TryAcquire>(CLASSIC_PERMIT, USUAL),
        row::<Call>(ADAPTIVE, BY_EVIDENCE),
        row::<Recloser>(PEER, USUAL),
        row::<Failsafe>(Failsafe::NAME, USUAL),
        row::<TowerResilience>(TowerResilience::NAME, USUAL),
        row::<CircuitbreakerRs>(CircuitbreakerRs::NAME, USUAL),
        row::<Seatbelt>(Seatbelt::NAME, USUAL),
    ];
    rows.push(closed_peer());
    by_one(round, limit, rows)
}

fn failure(round: usize, limit: Limit) -> Measured {
    fn row<S: Subject>(name: &str, settings: &Settings) -> Row {
        one_thread(name, S::closed(settings), Failing::ALL)
    }
    let mut rows = vec![
        row::<Call>(CLASSIC, NEVER_TRIPS),
        row::<Call>(RATE_ONLY, NEVER_TRIPS_BY_RATE),
        row::<Recloser>(PEER, NEVER_TRIPS),
        row::<Failsafe>(Failsafe::NAME, NEVER_TRIPS),
        row::<TowerResilience>(TowerResilience::NAME, NEVER_TRIPS),
        row::<CircuitbreakerRs>(CircuitbreakerRs::NAME, NEVER_TRIPS),
        row::<Seatbelt>(Seatbelt::NAME, NEVER_TRIPS),
    ];
    rows.push(closed_peer());
    by_one(round, limit, rows)
}

fn success_by_all(round: usize, limit: Limit) -> Measured {
    fn row<S: Subject>(crew: &mut Crew, name: &str, settings: &Settings) {
        crew.add(name, &S::closed(settings), Failing::NONE);
    }
    fn with_a_lock<S: Subject>(crew: &mut Crew) {
        crew.add_few(S::NAME, &S::closed(USUAL), Failing::NONE);
    }
    let mut crew = Crew::new();
    row::<Call>(&mut crew, CLASSIC, USUAL);
    row::<Call>(&mut crew, ADAPTIVE, BY_EVIDENCE);
    row::<Call>(&mut crew, SLOWER_THAN, SLOW_BY_EVIDENCE);
    row::<Call>(&mut crew, HISTOGRAM, WITH_HISTOGRAM);
    row::<Call>(&mut crew, COUNT_WINDOW, LAST_CALLS);
    row::<Recloser>(&mut crew, PEER, USUAL);
    with_a_lock::<Failsafe>(&mut crew);
    with_a_lock::<TowerResilience>(&mut crew);
    with_a_lock::<CircuitbreakerRs>(&mut crew);
    with_a_lock::<Seatbelt>(&mut crew);
    row::<WorkAlone>(&mut crew, WorkAlone::NAME, USUAL);
    by_all(round, limit, crew)
}

fn failure_by_all(round: usize, limit: Limit) -> Measured {
    fn row<S: Subject>(crew: &mut Crew, name: &str, settings: &Settings) {
        crew.add(name, &S::closed(settings), Failing::ALL);
    }
    fn with_a_lock<S: Subject>(crew: &mut Crew) {
        crew.add_few(S::NAME, &S::closed(NEVER_TRIPS), Failing::ALL);
    }
    let mut crew = Crew::new();
    row::<Call>(&mut crew, CLASSIC, NEVER_TRIPS);
    row::<Call>(&mut crew, RATE_ONLY, NEVER_TRIPS_BY_RATE);
    row::<Recloser>(&mut crew, PEER, NEVER_TRIPS);
    with_a_lock::<Failsafe>(&mut crew);
    with_a_lock::<TowerResilience>(&mut crew);
    with_a_lock::<CircuitbreakerRs>(&mut crew);
    with_a_lock::<Seatbelt>(&mut crew);
    crew.add(CLOSED_PEER, &Recloser::closed(USUAL), Failing::NONE);
    by_all(round, limit, crew)
}

/// The generator of [`Many`] goes on from turn to turn, so each turn draws other breakers.
fn one_of_many(round: usize, limit: Limit) -> Measured {
    fn row<S: Subject>(name: &str, settings: &Settings) -> Row {
        cold(name, Many::<S>::closed(settings))
    }
    by_one(
        round,
        limit,
        vec![
            row::<Call>(CLASSIC, USUAL),
            row::<Call>(ONE_SHARD, SAVING_MEMORY),
            row::<Call>(ADAPTIVE, BY_EVIDENCE),
            row::<Recloser>(PEER, USUAL),
            row::<Failsafe>(Failsafe::NAME, USUAL),
            row::<TowerResilience>(TowerResilience::NAME, USUAL),
            row::<CircuitbreakerRs>(CircuitbreakerRs::NAME, USUAL),
            row::<Seatbelt>(Seatbelt::NAME, USUAL),
        ],
    )
}

fn by_one(round: usize, limit: Limit, mut rows: Vec<Row>) -> Measured {
    Measured {
        times: turns::take(&mut rows, round, limit),
        threads: 1,
        calls: CALLS,
    }
}

fn by_all(round: usize, limit: Limit, crew: Crew) -> Measured {
    Measured {
        threads: crew.threads(),
        times: crew.take_turns(round, limit),
        calls: CALLS,
    }
}
