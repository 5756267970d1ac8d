//! Requests that take several attempts and count once.

use crate::breaker::permit::PermitGuard;
use crate::breaker::shared::SharedBreaker;
use crate::name::label::Label;
use crate::outcome::{Classify, Outcome, Report};

/// A request between its attempts. It is recorded once: by the attempt that ends it, or when it is
/// dropped.
#[derive(Debug, Default)]
pub(crate) struct Request<'a> {
    /// The permit that records the request. `None` before the first attempt and after the end.
    permit: Option<PermitGuard<&'a SharedBreaker>>,
    /// What the ended attempts say. With `None` the request counts like a dropped call.
    report: Option<Report>,
}

// All of it is inline. So programs without attempts have no further place that records, which would
// make the compiler inline less on the closed path (`cargo instructions` shows it).
impl<'a> Request<'a> {
    /// Runs `operation`. In a half-open request, calls of the breaker within it are parts of it.
    #[inline]
    pub(crate) fn run_within<R>(&self, operation: impl FnOnce() -> R) -> R {
        match &self.permit {
            Some(permit) => permit.run(operation),
            None => operation(),
        }
    }

    /// Begins an attempt that the breaker has let through with `next`.
    #[inline]
    pub(crate) fn begin(&mut self, next: PermitGuard<&'a SharedBreaker>) {
        // An ignored attempt says nothing if another one follows.
        self.report.take_if(|it| it.outcome == Outcome::Ignored);
        self.permit = Some(match self.permit.take() {
            Some(permit) => permit.continued_by(next),
            None => next,
        });
    }

    /// Runs an attempt, or polls its future once. If it panics, it has failed.
    #[inline]
    pub(crate) fn run<R>(&mut self, operation: impl FnOnce() -> R) -> R {
        let before = self.report.replace(Report::failure());
        let returned = self.run_within(operation);
        self.report = before;
        returned
    }

    /// Ends an attempt with its result. If the classifier panics, the attempt counts as ignored.
    #[inline]
    pub(crate) fn conclude<T, E>(
        &mut self,
        classifier: &impl Classify<T, E>,
        result: &Result<T, E>,
    ) {
        self.end(Outcome::Ignored, None);
        let outcome = classifier.classify(result);
        if outcome.counts_against()
            && let Some(retry_after) = classifier.retry_after(result)
            && let Some(permit) = &self.permit
        {
            permit.note_retry_after(retry_after);
        }
        let label = if outcome.counts_against() {
            classifier.label(result)
        } else {
            None
        };
        self.end(outcome, label);
    }

    /// Ends an attempt. A success and a trip end the request too.
    #[inline]
    pub(crate) fn end(&mut self, outcome: Outcome, label: Option<Label>) {
        match outcome {
            Outcome::Success | Outcome::Trip => {
                self.report = None;
                if let Some(permit) = self.permit.take() {
                    permit.finish_with(outcome, None, label);
                }
            }
            Outcome::Failure | Outcome::TimedOut => {
                let took = self.permit.as_ref().and_then(PermitGuard::elapsed);
                let retry_after = None;
                self.report = Some(Report {
                    outcome,
                    took,
                    retry_after,
                    label,
                });
            }
            Outcome::Ignored => {
                self.report.get_or_insert(Report::ignored());
            }
        }
    }
}

impl Drop for Request<'_> {
    #[inline]
    fn drop(&mut self) {
        if let (Some(permit), Some(report)) = (self.permit.take(), self.report) {
            permit.finish_with(report.outcome, report.took, report.label);
        }
    }
}
