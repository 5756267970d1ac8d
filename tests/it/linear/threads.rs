//! Makes histories and checks them.

use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};

use super::checker::{Specification, is_linearizable};
use super::history::{Event, Moments, Overlap, listing};

/// The object that the threads share.
pub(super) trait Subject: Send + Sync + 'static {
    /// What a thread holds between its calls.
    type Held: Default + Send;
    type Call: Clone + Debug + Send + Sync;
    type Answer: Debug + Send + Sync;

    fn make(&self, held: &mut Self::Held, call: &Self::Call) -> Self::Answer;

    /// The steps of a call that isn't one step. Other threads' calls may come between them. All
    /// steps have the moments of the call.
    fn steps(event: Event<Self::Call, Self::Answer>) -> Vec<Event<Self::Call, Self::Answer>> {
        vec![event]
    }
}

/// One scenario.
pub(super) struct Scenario<O: Subject, S> {
    pub(super) subject: O,
    pub(super) specification: S,
    /// The calls before the threads start, each with the thread that it is made for.
    pub(super) before: Vec<(usize, O::Call)>,
    /// The calls of each thread.
    pub(super) threads: Vec<Vec<O::Call>>,
    /// The calls when all threads are done.
    pub(super) after: Vec<O::Call>,
}

/// A small generator of numbers: `SplitMix64`. A scenario belongs to its seed, on all threads.
pub(super) struct Draw(u64);

impl Draw {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ mixed >> 31) % bound as u64).expect("less than a usize")
    }

    pub(super) fn one_of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }
}

type EventOf<O> = Event<<O as Subject>::Call, <O as Subject>::Answer>;

/// A scenario under way.
struct Run<O: Subject, S> {
    scenario: Scenario<O, S>,
    moments: Moments,
    /// What each thread holds, and what it has called so far. Only that thread locks it.
    parts: Vec<Mutex<Part<O>>>,
}

struct Part<O: Subject> {
    held: O::Held,
    events: Vec<EventOf<O>>,
}

impl<O, S> Run<O, S>
where
    O: Subject,
    S: Specification<Call = O::Call, Answer = O::Answer>,
{
    /// The calls before the threads start have been made.
    fn start(scenario: Scenario<O, S>) -> Self {
        let part = |_| {
            Mutex::new(Part {
                held: O::Held::default(),
                events: Vec::new(),
            })
        };
        let run = Self {
            parts: (0..scenario.threads.len()).map(part).collect(),
            moments: Moments::default(),
            scenario,
        };
        for (thread, call) in &run.scenario.before {
            run.make(*thread, std::slice::from_ref(call));
        }
        run
    }

    fn make(&self, thread: usize, calls: &[O::Call]) {
        let part = &self.parts[thread];
        let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
        let Part { held, events } = &mut *part;
        let make = |call| {
            let work = |call: &O::Call| self.scenario.subject.make(held, call);
            self.moments.around(thread, call, work)
        };
        events.extend(calls.iter().map(make));
    }

    fn work(&self, thread: usize) {
        self.make(thread, &self.scenario.threads[thread]);
    }

    /// Makes the last calls.
    fn end(&self, seed: u64) -> Finished<O, S> {
        self.make(0, &self.scenario.after);
        let mut history = Vec::new();
        for part in &self.parts {
            let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
            history.append(&mut part.events);
        }
        Finished {
            specification: self.scenario.specification.clone(),
            history,
            seed,
        }
    }
}

/// A history that nobody has checked yet.
struct Finished<O: Subject, S> {
    specification: S,
    history: Vec<EventOf<O>>,
    seed: u64,
}

impl<O, S> Finished<O, S>
where
    O: Subject,
    S: Specification<Call = O::Call, Answer = O::Answer>,
{
    fn check(self, name: &str, overlap: &mut Overlap) {
        let Self {
            specification,
            history,
            seed,
        } = self;
        overlap.add(&history);
        let listing = listing(&history);
        let steps: Vec<_> = history.into_iter().flat_map(O::steps).collect();
        assert!(
            is_linearizable(&specification, &steps),
            "{name}, scenario {seed}: no order of these calls explains the answers\n{listing}"
        );
    }
}

/// How many threads make histories.
const THREADS: [u32; 4] = [2, 3, 4, 8];

/// How many calls each of so many threads makes. More would have too many orders.
pub(super) const fn calls_of_each(threads: usize) -> usize {
    match threads {
        0..4 => 6,
        4..8 => 4,
        _ => 3,
    }
}

const fn seed(threads: u32, number: u32) -> u64 {
    (threads as u64) << 32 | number as u64
}

/// Makes histories of 2, 3, 4 and 8 threads, and checks each. Every scenario has its own seed.
///
/// `histories` is the number for each number of threads. `TRIPCURVE_HISTORIES` multiplies it.
pub(super) fn check_histories<O, S, F>(name: &'static str, histories: u32, scenario: F)
where
    O: Subject,
    S: Specification<Call = O::Call, Answer = O::Answer> + Send + Sync + 'static,
    F: Fn(&mut Draw, usize) -> Scenario<O, S> + Send + Sync + 'static,
{
    let overlap = histories_of(name, histories * times(), scenario);
    eprintln!("{name}: {overlap}");
}

/// On real threads, which overlap as the cores and the other tests let them.
#[cfg(not(tripcurve_shuttle))]
fn histories_of<O, S, F>(name: &'static str, histories: u32, scenario: F) -> Overlap
where
    O: Subject,
    S: Specification<Call = O::Call, Answer = O::Answer> + Send + Sync + 'static,
    F: Fn(&mut Draw, usize) -> Scenario<O, S> + Send + Sync + 'static,
{
    use std::sync::atomic::{AtomicU32, Ordering};

    let mut overlap = Overlap::default();
    for threads in THREADS {
        for batch in 0..histories.div_ceil(BATCH) {
            let first = batch * BATCH;
            let seeds = first..histories.min(first + BATCH);
            let start = |number| {
                let mut draw = Draw::new(seed(threads, number));
                Run::start(scenario(&mut draw, threads as usize))
            };
            let runs: Vec<_> = seeds.clone().map(start).collect();
            let round = AtomicU32::new(0);
            crate::race::in_rounds_of(
                threads,
                seeds.len().try_into().expect("at most a batch"),
                // SeqCst, both: the starting line orders the rounds. This changes no result.
                |thread| runs[round.load(Ordering::SeqCst) as usize].work(thread as usize),
                |done| round.store(done + 1, Ordering::SeqCst),
            );
            for (run, number) in runs.iter().zip(seeds) {
                run.end(seed(threads, number)).check(name, &mut overlap);
            }
        }
    }
    overlap
}

/// On shuttle's threads. Half of the histories have a thread drawn before each access. In the other
/// half, a thread runs on until one of a few drawn accesses.
#[cfg(tripcurve_shuttle)]
fn histories_of<O, S, F>(name: &'static str, histories: u32, scenario: F) -> Overlap
where
    O: Subject,
    S: Specification<Call = O::Call, Answer = O::Answer> + Send + Sync + 'static,
    F: Fn(&mut Draw, usize) -> Scenario<O, S> + Send + Sync + 'static,
{
    use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
    use shuttle::thread;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn this_thread() -> Option<u32> {
        let task = shuttle::current::try_get_current_task()?;
        usize::from(task).try_into().ok()
    }

    fn let_others_run() {
        // A panic ends the run, and what it drops must not wait for others.
        if this_thread().is_some() && !std::thread::panicking() {
            // Without a length of time, shuttle only draws the next thread. `yield_now` would also
            // put this thread behind the others.
            thread::sleep(std::time::Duration::ZERO);
        }
    }

    tripcurve::__model::schedule_by(tripcurve::__model::Scheduler {
        before_access: let_others_run,
        thread: || this_thread().unwrap_or(0),
    });
    let mut overlap = Overlap::default();
    let scenario = Arc::new(scenario);
    for threads in THREADS {
        let half = (histories as usize).div_ceil(2);
        let schedulers: [Box<dyn Scheduler + Send>; 2] = [
            Box::new(RandomScheduler::new_from_seed(threads.into(), half)),
            Box::new(PctScheduler::new_from_seed(threads.into(), 3, half)),
        ];
        let number = Arc::new(AtomicU32::new(0));
        // Checked when shuttle is done, because its threads have small stacks.
        let finished = Arc::new(Mutex::new(Vec::new()));
        for scheduler in schedulers {
            let (finished, scenario) = (Arc::clone(&finished), Arc::clone(&scenario));
            let number = Arc::clone(&number);
            let runner = shuttle::Runner::new(scheduler, shuttle::Config::new());
            runner.run(move || {
                // SeqCst: shuttle runs one execution at a time. Any ordering would do.
                let seed = seed(threads, number.fetch_add(1, Ordering::SeqCst));
                let mut draw = Draw::new(seed);
                let run = Arc::new(Run::start(scenario(&mut draw, threads as usize)));
                let others: Vec<_> = (1..threads as usize)
                    .map(|thread| {
                        let run = Arc::clone(&run);
                        thread::spawn(move || run.work(thread))
                    })
                    .collect();
                run.work(0);
                others.into_iter().for_each(|it| it.join().unwrap());
                finished.lock().unwrap().push(run.end(seed));
            });
        }
        let finished = std::mem::take(&mut *finished.lock().unwrap());
        finished
            .into_iter()
            .for_each(|it| it.check(name, &mut overlap));
    }
    assert!(
        overlap.overlapping * 3 >= overlap.histories * 2,
        "{name}: {overlap}"
    );
    overlap
}

/// How many scenarios exist at the same time.
#[cfg(not(tripcurve_shuttle))]
const BATCH: u32 = 100;

/// How many times as many histories as usual are wanted.
fn times() -> u32 {
    let times = std::env::var("TRIPCURVE_HISTORIES");
    times.map_or(1, |times| {
        times.parse().expect("TRIPCURVE_HISTORIES is a number")
    })
}
