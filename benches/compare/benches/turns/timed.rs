//! A subject's part of a turn: calls of one thread, or of a crew of threads at once.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{fs, hint, thread};

use core_affinity::CoreId;
use crossbeam_utils::CachePadded;
use tripcurve_compare::turns::{self, Limit, Part, Row, Times};

use crate::measure::{Failing, call_repeatedly};
use crate::subject::Subject;

/// The calls of a thread in a turn. They take a fraction of a millisecond. So most turns fit
/// between two of the scheduler's interrupts.
pub(crate) const CALLS: u32 = 2_000;

/// The calls of a thread in a turn, where the threads wait for each other's locks.
const FEW_CALLS: u32 = 200;

/// The calls before the time begins. They bring the breaker back into the nearest cache.
const LEAD_IN: u64 = 100;

/// The calls before the first time begins. A bucket of tripcurve counts 131,071 one by one.
const FIRST_LEAD_IN: u64 = 150_000;

/// A thread that makes its calls, and checks that the breaker keeps its state.
struct Caller<S> {
    subject: S,
    failing: Failing,
    calls: u32,
    lead_in: u64,
    admits: bool,
}

impl<S: Subject> Caller<S> {
    fn new(mut subject: S, failing: Failing, calls: u32) -> Self {
        let admits = S::admitted(&subject.call(failing.first()));
        Self {
            subject,
            failing,
            calls,
            lead_in: if calls == CALLS {
                FIRST_LEAD_IN
            } else {
                LEAD_IN
            },
            admits,
        }
    }

    fn lead_in(&mut self) {
        call_repeatedly(&mut self.subject, self.lead_in, self.failing);
        self.lead_in = LEAD_IN;
    }

    fn calls(&mut self) -> (Instant, Instant) {
        let begin = Instant::now();
        call_repeatedly(&mut self.subject, self.calls.into(), self.failing);
        (begin, Instant::now())
    }

    fn check(&mut self) {
        let admits = S::admitted(&self.subject.call(self.failing.first()));
        assert_eq!(admits, self.admits, "{} has changed its state", S::NAME);
    }
}

/// The calls of one thread through one breaker.
pub(crate) fn one_thread<S: Subject>(name: &str, subject: S, failing: Failing) -> Row {
    let mut caller = Caller::new(subject, failing, CALLS);
    Row::new(name, CALLS, move || {
        caller.lead_in();
        let (begin, end) = caller.calls();
        caller.check();
        end - begin
    })
}

/// The calls of one thread, of which the first is as cold as the others.
pub(crate) fn cold<S: Subject>(name: &str, subject: S) -> Row {
    let mut caller = Caller::new(subject, Failing::NONE, CALLS);
    Row::new(name, CALLS, move || {
        let (begin, end) = caller.calls();
        caller.check();
        end - begin
    })
}

/// Threads that stay for all turns, one for each core and at least two. This thread is one of them.
/// They meet before a row's calls, make them at once, and meet again.
///
/// Each is bound to a core. Otherwise a scheduler may put two of them onto one core, because others
/// keep the next core busy.
pub(crate) struct Crew {
    place: Arc<Place>,
    cores: Vec<CoreId>,
    own: Rc<RefCell<Member>>,
    rows: Vec<Row>,
    /// What each of the other threads does in its part of a turn, row by row.
    others: Vec<Vec<Task>>,
}

type Task = Box<dyn FnMut(&mut Member) + Send>;

/// Where the threads meet.
struct Place {
    origin: Instant,
    threads: u32,
    /// How many have come, to all meetings together.
    arrived: CachePadded<AtomicU64>,
    /// The row whose turn it is, or [`NO_ROW`].
    row: AtomicUsize,
    /// The nanoseconds from the origin to the moments when the first and the last thread begin, and
    /// when the last one ends.
    first_begin: AtomicU64,
    last_begin: AtomicU64,
    end: AtomicU64,
    /// How often a thread has lost its core meanwhile.
    removals: AtomicU64,
}

/// The end of all turns.
const NO_ROW: usize = usize::MAX;

/// A thread that has waited for a core begins later than the others. Then they didn't run at once.
/// This delay, or a twentieth of the time, is what a meeting itself may cause.
const LEAST_DELAY: Duration = Duration::from_micros(1);

/// So often, the threads try to run at once.
const TRIES: u32 = 4;

/// A thread spins so often before it leaves its core to others.
const SPINS: u32 = 2_000;

/// A thread at the place.
struct Member {
    place: Arc<Place>,
    /// How many have come when its next meeting is complete.
    complete: u64,
}

impl Member {
    fn of(place: &Arc<Place>) -> Self {
        Self {
            place: Arc::clone(place),
            complete: 0,
        }
    }

    /// Waits for the others. It spins, because threads that are woken one by one don't start
    /// together. From time to time it leaves its core to a thread that can't come otherwise.
    fn meet(&mut self) {
        let mut spins = 0_u32;
        self.meet_and(|| {
            spins += 1;
            if spins.is_multiple_of(SPINS) {
                thread::yield_now();
            } else {
                hint::spin_loop();
            }
        });
    }

    fn meet_and(&mut self, mut wait: impl FnMut()) {
        self.complete += u64::from(self.place.threads);
        // AcqRel, with Acquire below: after the meeting, each reads what the others wrote before.
        self.place.arrived.fetch_add(1, Ordering::AcqRel);
        while self.place.arrived.load(Ordering::Acquire) < self.complete {
            wait();
        }
    }

    fn calls<S: Subject>(&mut self, caller: &mut Caller<S>) {
        let removals = removals();
        caller.lead_in();
        // Leaving the core would count as a removal.
        self.meet_and(hint::spin_loop);
        let (begin, end) = caller.calls();
        let removals = self::removals() - removals;
        let nanos = |instant: Instant| {
            let nanos = (instant - self.place.origin).as_nanos();
            u64::try_from(nanos).expect("less than a century")
        };
        let (begin, end) = (nanos(begin), nanos(end));
        // Relaxed: these commute, and the meetings order them with all others.
        self.place.first_begin.fetch_min(begin, Ordering::Relaxed);
        self.place.last_begin.fetch_max(begin, Ordering::Relaxed);
        self.place.end.fetch_max(end, Ordering::Relaxed);
        self.place.removals.fetch_add(removals, Ordering::Relaxed);
        self.meet();
    }

    /// Leads the others through one row. The time lasts from the first call to the end of the last
    /// one. If not all threads ran at once, they try again.
    fn lead<S: Subject>(&mut self, row: usize, caller: &mut Caller<S>) -> Part {
        let mut part = self.try_to_lead(row, caller);
        for _ in 1..TRIES {
            if part.is_good {
                break;
            }
            part = self.try_to_lead(row, caller);
        }
        caller.check();
        part
    }

    fn try_to_lead<S: Subject>(&mut self, row: usize, caller: &mut Caller<S>) -> Part {
        self.announce(row);
        self.calls(caller);
        let read = |word: &AtomicU64| word.load(Ordering::Relaxed);
        let begin = read(&self.place.first_begin);
        let time = Duration::from_nanos(read(&self.place.end) - begin);
        let delay = Duration::from_nanos(read(&self.place.last_begin) - begin);
        Part {
            time,
            is_good: delay <= LEAST_DELAY.max(time / 20) && read(&self.place.removals) == 0,
        }
    }

    fn announce(&mut self, row: usize) {
        // Relaxed: the others read it after the meeting.
        self.place.row.store(row, Ordering::Relaxed);
        self.place.first_begin.store(u64::MAX, Ordering::Relaxed);
        self.place.last_begin.store(0, Ordering::Relaxed);
        self.place.end.store(0, Ordering::Relaxed);
        self.place.removals.store(0, Ordering::Relaxed);
        self.meet();
    }

    fn follow(&mut self, mut tasks: Vec<Task>) {
        loop {
            self.meet();
            let row = self.place.row.load(Ordering::Relaxed);
            match tasks.get_mut(row) {
                Some(task) => task(self),
                None => return,
            }
        }
    }
}

impl Crew {
    pub(crate) fn new() -> Self {
        let cores = core_affinity::get_core_ids().unwrap_or_default();
        let threads = cores.len().max(2);
        let place = Arc::new(Place {
            origin: Instant::now(),
            threads: u32::try_from(threads).expect("fewer cores than that"),
            arrived: CachePadded::default(),
            row: AtomicUsize::new(NO_ROW),
            first_begin: AtomicU64::new(0),
            last_begin: AtomicU64::new(0),
            end: AtomicU64::new(0),
            removals: AtomicU64::new(0),
        });
        Self {
            own: Rc::new(RefCell::new(Member::of(&place))),
            rows: Vec::new(),
            others: (1..threads).map(|_| Vec::new()).collect(),
            cores,
            place,
        }
    }

    pub(crate) fn threads(&self) -> u32 {
        self.place.threads
    }

    /// Adds the calls of all threads through one breaker. The time of a call is the total time
    /// divided by the calls of all threads.
    pub(crate) fn add<S: Subject>(&mut self, name: &str, subject: &S, failing: Failing) {
        self.add_calls(name, subject, failing, CALLS);
    }

    /// Adds fewer calls, for a breaker with a lock. Its calls can take microseconds, and the part
    /// must end before the system takes a thread off its core.
    pub(crate) fn add_few<S: Subject>(&mut self, name: &str, subject: &S, failing: Failing) {
        self.add_calls(name, subject, failing, FEW_CALLS);
    }

    fn add_calls<S: Subject>(&mut self, name: &str, subject: &S, failing: Failing, calls: u32) {
        for tasks in &mut self.others {
            let mut caller = Caller::new(subject.clone(), failing, calls);
            tasks.push(Box::new(move |member| member.calls(&mut caller)));
        }
        let mut caller = Caller::new(subject.clone(), failing, calls);
        let own = Rc::clone(&self.own);
        let row = self.rows.len();
        let time = move || own.borrow_mut().lead(row, &mut caller);
        self.rows.push(Row::new(name, calls * self.threads(), time));
    }

    /// This thread stays bound to its core.
    pub(crate) fn take_turns(mut self, round: usize, limit: Limit) -> Times {
        let mut cores = self.cores.into_iter();
        bind_to(cores.next());
        thread::scope(|scope| {
            for tasks in self.others {
                let mut member = Member::of(&self.place);
                let core = cores.next();
                scope.spawn(move || {
                    bind_to(core);
                    member.follow(tasks);
                });
            }
            // Also if a call panics: the scope ends when all threads have.
            let _dismissal = Dismissal(&self.own);
            turns::take(&mut self.rows, round, limit)
        })
    }
}

/// Dismisses the other threads.
struct Dismissal<'a>(&'a RefCell<Member>);

impl Drop for Dismissal<'_> {
    fn drop(&mut self) {
        self.0.borrow_mut().announce(NO_ROW);
    }
}

/// Where binding isn't possible, the thread runs anywhere.
fn bind_to(core: Option<CoreId>) {
    if let Some(core) = core {
        core_affinity::set_for_current(core);
    }
}

/// How often the system has taken this thread off its core, where the system says so.
fn removals() -> u64 {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let mut lines = status.lines();
    lines
        .find_map(|line| line.strip_prefix("nonvoluntary_ctxt_switches:"))
        .and_then(|count| count.trim().parse().ok())
        .unwrap_or(0)
}
