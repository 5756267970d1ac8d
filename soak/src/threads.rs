//! Threads that call without a pause.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use tripcurve::handles::Handle;
use tripcurve::outcome::Report;

use crate::books::{End, Page};
use crate::faults::{Answer, Faults, judge};
use crate::parts::{Line, Parts};

/// How many calls a thread notes in advance.
const BATCH: u64 = 64;

/// The number of different keys.
const KEYS: u64 = 5_000;

/// Calls all breakers by turns until the script is over.
pub(crate) fn call_all(parts: &Parts, faults: &Faults) {
    while !faults.are_over() {
        for line in &parts.plain {
            call_plain(line, faults);
        }
        call_guarded(parts, faults);
        call_keys(parts, faults);
    }
}

fn call_plain(line: &Line, faults: &Faults) {
    line.books.ask(BATCH);
    let mood = faults.mood();
    let mut page = Page::default();
    for _ in 0..BATCH {
        let answer = faults.answer_in(mood);
        page.note(match faults.dice.roll() % 1_000 {
            0 => call_that_panics(line),
            1..10 => dropped_permit(line),
            10..300 => by_permit(line, answer, faults),
            _ => by_call(line, answer),
        });
    }
    line.books.close(&page);
}

fn by_call(line: &Line, answer: Answer) -> End {
    let result = line.breaker.call(|| answer);
    End::of(&result, judge(&answer))
}

/// A call by a permit, with a made-up duration.
fn by_permit(line: &Line, answer: Answer, faults: &Faults) -> End {
    let Ok(permit) = line.breaker.try_acquire() else {
        return End::Rejected;
    };
    let outcome = judge(&answer);
    let took = Duration::from_millis(200).mul_f64(faults.dice.fraction().powi(4) * 4.0);
    permit.record(Report::from(outcome).took(took));
    End::judged(outcome)
}

fn dropped_permit(line: &Line) -> End {
    line.breaker.try_acquire().map_or(End::Rejected, |permit| {
        drop(permit);
        End::Ignored
    })
}

fn call_that_panics(line: &Line) -> End {
    // It prints no message.
    let panics = || -> Answer { resume_unwind(Box::new("as it should")) };
    let caught = catch_unwind(AssertUnwindSafe(|| line.breaker.call(panics)));
    caught.map_or(End::Failure, |_| End::Rejected)
}

/// A call with a place of a bulkhead that has fewer places than there are threads.
fn call_guarded(parts: &Parts, faults: &Faults) {
    let line = &parts.guarded;
    line.books.ask(1);
    let answer = faults.answer_in(faults.mood());
    let result = line.breaker.call(|| {
        std::thread::yield_now();
        answer
    });
    line.books.end(End::of(&result, judge(&answer)));
}

/// Calls with keys of which one in sixteen always fails.
fn call_keys(parts: &Parts, faults: &Faults) {
    let books = &parts.keys_books;
    books.ask(BATCH);
    let mut page = Page::default();
    for _ in 0..BATCH {
        // Squared, so that some keys come often.
        let fraction = faults.dice.fraction().powi(2);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            clippy::cast_sign_loss,
            reason = "it lies between 0 and KEYS"
        )]
        let key = (fraction * KEYS as f64) as u32;
        let answer = if key % 16 == 3 {
            Err(crate::faults::Fault::Refused)
        } else {
            Ok(())
        };
        let result = parts.keys.get_or_create(&key).call(|| answer);
        page.note(End::of(&result, judge(&answer)));
    }
    books.close(&page);
}
