//! Repeated races on real threads.

use std::any::Any;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::effort;

pub(crate) const THREADS: u32 = 4;

/// Starts threads at the same time.
///
/// The threads spin while they wait. So threads with a core of their own start within a few
/// nanoseconds of each other. The standard library's barrier wakes threads one by one. Its first
/// thread has often finished before the second one starts.
struct StartingLine {
    parties: u32,
    /// How often a thread looks before it yields its core.
    looks: u32,
    arrived: AtomicU32,
    turn: AtomicU32,
}

impl StartingLine {
    fn wait(&self) {
        let turn = self.turn.load(Ordering::SeqCst);
        if self.arrived.fetch_add(1, Ordering::SeqCst) + 1 == self.parties {
            self.arrived.store(0, Ordering::SeqCst);
            self.turn.store(turn.wrapping_add(1), Ordering::SeqCst);
            return;
        }
        let mut looks = 0_u32;
        while self.turn.load(Ordering::SeqCst) == turn {
            looks = looks.wrapping_add(1);
            if looks.is_multiple_of(self.looks) {
                std::thread::yield_now();
            } else {
                std::hint::spin_loop();
            }
        }
    }
}

/// Like [`in_rounds_of`], on the usual number of threads.
pub(crate) fn in_rounds(rounds: u32, work: impl Fn(u32) + Sync, check: impl FnMut(u32)) {
    in_rounds_of(THREADS, rounds, work, check);
}

/// Runs `work` on this many threads at once, `rounds` times or the share of them that
/// [`effort`](crate::effort) says. This thread is the first of them. After each round, when all
/// threads are done, runs `check` on this thread. A panic in either ends the race, and leaves no
/// thread waiting. Only one race runs at a time, because races need the cores.
///
/// Thousands of rounds are few. On two busy cores, a state that is stored instead of exchanged
/// shows in about one of a thousand rounds.
pub(crate) fn in_rounds_of(
    threads: u32,
    rounds: u32,
    work: impl Fn(u32) + Sync,
    mut check: impl FnMut(u32),
) {
    race(threads, rounds, &work, &mut check);
}

/// Like [`in_rounds_of`], and compiled once.
fn race(threads: u32, rounds: u32, work: &(dyn Fn(u32) + Sync), check: &mut dyn FnMut(u32)) {
    static RACE: Mutex<()> = Mutex::new(());

    let _alone = RACE.lock().unwrap_or_else(PoisonError::into_inner);
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let line = StartingLine {
        parties: threads,
        // With too few cores, a thread that spins long keeps another from the line. Other tests
        // run too, so a thread yields at some time even if there are enough cores.
        looks: if cores < threads as usize { 16 } else { 256 },
        arrived: AtomicU32::new(0),
        turn: AtomicU32::new(0),
    };
    // Only this thread sets the flag, and only between two rounds. The other threads must agree on
    // whether there is another round.
    let is_over = AtomicBool::new(false);
    let failure: Mutex<Option<Box<dyn Any + Send>>> = Mutex::new(None);
    let guarded = |part: &mut dyn FnMut()| {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(part)) {
            failure.lock().unwrap().get_or_insert(panic);
        }
    };
    let has_failed = || failure.lock().unwrap().is_some();
    std::thread::scope(|scope| {
        for thread in 1..threads {
            let (line, work, is_over, guarded) = (&line, &work, &is_over, &guarded);
            scope.spawn(move || {
                loop {
                    line.wait();
                    if is_over.load(Ordering::SeqCst) {
                        return;
                    }
                    guarded(&mut || work(thread));
                    line.wait();
                }
            });
        }
        for round in 0..effort::share_of(rounds) {
            line.wait();
            guarded(&mut || work(0));
            line.wait();
            if has_failed() {
                break;
            }
            guarded(&mut || check(round));
            if has_failed() {
                break;
            }
        }
        is_over.store(true, Ordering::SeqCst);
        line.wait();
    });
    if let Some(panic) = failure.into_inner().unwrap() {
        resume_unwind(panic);
    }
}
