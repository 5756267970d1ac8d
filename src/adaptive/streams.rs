//! The streams of outcomes of a breaker. Each has evidence of its own.

use super::{AdaptiveConfig, Evidence, Stalls};

/// The calls whose outcomes are a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// All calls, each when it ends.
    ///
    /// If each call is timed, a slow one is bad. If only a sample is timed, failed calls alone are
    /// bad, because nobody knows of a call outside the sample whether it was slow.
    All,
    /// The timed calls, each when it ends. A breaker has this stream if it times a sample of its
    /// calls. So slow calls of the sample are compared with other calls of the sample.
    Timed,
    /// The watched calls, each when it ends or becomes overdue.
    Watched,
}

/// The streams of a breaker that has a limit for slow calls, besides that of all calls.
#[derive(Debug)]
pub struct Watched {
    /// The evidence of watched calls.
    pub evidence: Evidence,
    /// The evidence of timed calls, if a sample of the calls is timed.
    pub timed: Option<Evidence>,
    /// The stalls of the client. Their time counts for no call.
    pub stalls: Stalls,
}

impl Evidence {
    /// Adds the evidence of watched calls. It has learnt what this one has.
    #[must_use]
    pub fn and_of_watched(self, config: AdaptiveConfig) -> Self {
        self.and_of(config, false)
    }

    /// Adds the evidence of watched calls and that of a sample of timed calls. Both have learnt
    /// what this one has.
    #[must_use]
    pub fn and_of_sample(self, config: AdaptiveConfig) -> Self {
        self.and_of(config, true)
    }

    /// Each stream can trip the breaker, so they share the false-trip budget.
    fn and_of(mut self, config: AdaptiveConfig, is_sampled: bool) -> Self {
        self.needed = self.needed.shared_by(if is_sampled { 3.0 } else { 2.0 });
        let watched = Watched {
            evidence: self.of_stream(Stream::Watched, config),
            timed: is_sampled.then(|| self.of_stream(Stream::Timed, config)),
            stalls: Stalls::default(),
        };
        Self {
            watched: Some(Box::new(watched)),
            ..self
        }
    }

    fn of_stream(&self, stream: Stream, config: AdaptiveConfig) -> Self {
        let evidence = Self {
            stream,
            needed: self.needed,
            ..Self::new(config, self.window)
        };
        evidence.inherit_own(self);
        evidence
    }

    /// Which calls this is the evidence of.
    #[must_use]
    pub fn stream(&self) -> Stream {
        self.stream
    }

    /// The watched calls, if calls are watched.
    #[must_use]
    pub fn watched(&self) -> Option<&Watched> {
        self.watched.as_deref()
    }

    /// The evidence of the watched calls, if calls are watched.
    #[must_use]
    pub fn of_watched(&self) -> Option<&Self> {
        self.watched().map(|watched| &watched.evidence)
    }

    /// The evidence of the timed calls, if they are a sample.
    #[must_use]
    #[inline]
    pub fn of_timed(&self) -> Option<&Self> {
        self.watched()?.timed.as_ref()
    }

    /// The evidence that knows how often calls fail or are slow: that of the sample, if only a
    /// sample is timed.
    #[must_use]
    pub fn of_slow_calls(&self) -> &Self {
        self.of_timed().unwrap_or(self)
    }

    /// The evidence of each stream but that of all calls.
    pub(super) fn other_streams(&self) -> impl Iterator<Item = &Self> {
        [self.of_timed(), self.of_watched()].into_iter().flatten()
    }

    /// The evidence of each stream.
    pub(super) fn streams(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(self.other_streams())
    }

    /// Takes over what `other` has learnt of the dependency, but no evidence.
    pub fn inherit(&self, other: &Self) {
        // If slow calls are bad in this stream, it needs what is usual of slow calls too.
        let has_slow_calls = self.watched.is_some() && self.of_timed().is_none();
        self.inherit_own(if has_slow_calls {
            other.of_slow_calls()
        } else {
            other
        });
        if let Some(timed) = self.of_timed() {
            timed.inherit_own(other.of_slow_calls());
        }
        if let Some(watched) = self.of_watched() {
            watched.inherit_own(other.of_watched().unwrap_or(other));
        }
    }
}
