//! Spans of calls. Handles that make none have `()`, which costs nothing.

use std::{future::Future, time::Duration};

use crate::error::CallError;
use crate::name::label::Label;
use crate::outcome::{Classify, Outcome};

/// How a call ended, as its span shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanOutcome {
    /// The call counted as a success.
    Success,
    /// The call counted against the dependency.
    Failure,
    /// The handle didn't let the call through.
    Rejected,
}

impl SpanOutcome {
    /// The outcome of a call that was made. An ignored call has none.
    fn of(outcome: Outcome) -> Option<Self> {
        match outcome {
            Outcome::Success => Some(Self::Success),
            Outcome::Failure | Outcome::TimedOut | Outcome::Trip => Some(Self::Failure),
            Outcome::Ignored => None,
        }
    }
}

/// The span of a call, or nothing.
pub trait CallSpan {
    /// Runs a part of the call within the span.
    fn within<R>(&self, part: impl FnOnce() -> R) -> R;

    /// Polls a part of the call within the span.
    fn around<F: Future>(&self, part: F) -> impl Future<Output = F::Output>;

    /// Notes how the call ended.
    fn note(&self, outcome: SpanOutcome);

    /// Runs the operation, or polls its future once. A panic is noted as a failure.
    fn run<R>(&self, operation: impl FnOnce() -> R) -> R;

    /// Notes the outcome of a call that was made.
    #[inline]
    fn note_outcome(&self, outcome: Outcome) {
        if let Some(outcome) = SpanOutcome::of(outcome) {
            self.note(outcome);
        }
    }

    /// Notes that the call was not made, and passes the error on.
    #[inline]
    fn not_made<E>(&self, error: CallError<E>) -> CallError<E> {
        self.note(SpanOutcome::Rejected);
        error
    }

    /// The classifier, which also notes the outcome in the span.
    #[inline]
    fn noting<'a, C>(&'a self, classifier: &'a C) -> NotingClassifier<'a, Self, C> {
        NotingClassifier {
            span: self,
            classifier,
        }
    }
}

/// No span.
impl CallSpan for () {
    #[inline]
    fn within<R>(&self, part: impl FnOnce() -> R) -> R {
        part()
    }

    #[inline]
    fn around<F: Future>(&self, part: F) -> impl Future<Output = F::Output> {
        part
    }

    #[inline]
    fn note(&self, _: SpanOutcome) {}

    #[inline]
    fn run<R>(&self, operation: impl FnOnce() -> R) -> R {
        operation()
    }
}

/// A classifier that notes each outcome in the span of the call.
#[derive(Debug)]
pub struct NotingClassifier<'a, S: ?Sized, C> {
    span: &'a S,
    classifier: &'a C,
}

impl<T, E, S: CallSpan + ?Sized, C: Classify<T, E>> Classify<T, E> for NotingClassifier<'_, S, C> {
    #[inline]
    fn classify(&self, result: &Result<T, E>) -> Outcome {
        let outcome = self.classifier.classify(result);
        self.span.note_outcome(outcome);
        outcome
    }

    #[inline]
    fn retry_after(&self, result: &Result<T, E>) -> Option<Duration> {
        self.classifier.retry_after(result)
    }

    #[inline]
    fn label(&self, result: &Result<T, E>) -> Option<Label> {
        self.classifier.label(result)
    }
}
