//! Traffic through a breaker to the dependency, event by event.

use crate::backend::{Answer, Backend};
use crate::breaker::{Breaker, Nanos, Phase};
use crate::completions::Completions;
use crate::traffic::{Draw, Traffic};

/// Observes a simulation.
pub trait Witness {
    /// A call was let through or rejected. For a rejected call, `answer` is the answer that it
    /// would have had. Returns whether the simulation continues.
    fn call(&mut self, at: Nanos, answer: &Answer, let_through: bool, backend: &Backend) -> bool;

    /// The breaker's phase has changed.
    fn phase(&mut self, at: Nanos, phase: Phase);
}

/// A call in flight.
struct UnderWay<P> {
    permit: P,
    began: Nanos,
    fails: bool,
}

/// Runs until the witness has seen enough. Returns the number of calls.
///
/// If a call ends when another begins, the end comes first.
pub fn run<B: Breaker, W: Witness>(
    mut breaker: B,
    mut traffic: Traffic,
    backend: &mut Backend,
    witness: &mut W,
) -> u64 {
    let mut under_way: Completions<UnderWay<B::Permit>> = Completions::default();
    let mut phase = breaker.phase(0);
    let mut calls = 0;
    loop {
        let draw = traffic.draw();
        while let Some((now, call)) = under_way.pop_until(draw.at) {
            breaker.record(call.permit, now, !call.fails, now - call.began);
            look(&breaker, now, &mut phase, witness);
        }
        calls += 1;
        if !begin(
            &mut breaker,
            &draw,
            backend,
            witness,
            &mut phase,
            &mut under_way,
        ) {
            return calls;
        }
    }
}

#[inline]
fn begin<B: Breaker, W: Witness>(
    breaker: &mut B,
    draw: &Draw,
    backend: &mut Backend,
    witness: &mut W,
    phase: &mut Phase,
    under_way: &mut Completions<UnderWay<B::Permit>>,
) -> bool {
    let permit = breaker.admit(draw.at);
    look(breaker, draw.at, phase, witness);
    let answer = backend.ask(draw);
    let goes_on = witness.call(draw.at, &answer, permit.is_some(), backend);
    if let Some(permit) = permit {
        backend.serve(draw.at);
        let call = UnderWay {
            permit,
            began: draw.at,
            fails: answer.fails,
        };
        under_way.push(answer.ends, call);
    }
    goes_on
}

#[inline]
fn look<B: Breaker, W: Witness>(breaker: &B, now: Nanos, phase: &mut Phase, witness: &mut W) {
    let found = breaker.phase(now);
    if found != *phase {
        *phase = found;
        witness.phase(now, found);
    }
}
