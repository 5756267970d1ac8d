//! What a member sends to a store, and what comes back.

use crate::bounds::Checked;
use crate::key::FleetKey;
use crate::message::{AskLease, FleetView, Leased, ProbeResult, Pulse, Pulsed, Report, Reported};
use crate::message::{Resulted, Round, Rounded, Step, Stepped, Trip, Tripped, Weigh, Weighed};
use crate::store::{Store, StoreError};

/// A message of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request {
    /// Counts failures.
    Report(Report),
    /// Asks for the members that add most evidence.
    Weigh(Weigh),
    /// Announces the member's traffic.
    Pulse(Pulse),
    /// Opens the fleet.
    Trip(Trip),
    /// Asks for the right to make one probe.
    Lease(AskLease),
    /// Says how a probe has ended.
    Result(ProbeResult),
    /// Counts calls of a round.
    Round(Round),
    /// Ends a round.
    Step(Step),
}

/// The answer to a [`Request`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply {
    /// To [`Request::Report`].
    Report(Reported),
    /// To [`Request::Weigh`].
    Weigh(Weighed),
    /// To [`Request::Pulse`].
    Pulse(Pulsed),
    /// To [`Request::Trip`].
    Trip(Tripped),
    /// To [`Request::Lease`].
    Lease(Leased),
    /// To [`Request::Result`].
    Result(Resulted),
    /// To [`Request::Round`].
    Round(Rounded),
    /// To [`Request::Step`].
    Step(Stepped),
}

impl Request {
    /// Sends the message, and waits for the answer.
    ///
    /// # Errors
    /// The store gives no answer that counts.
    pub async fn send(&self, store: &impl Store, key: &FleetKey) -> Result<Reply, StoreError> {
        Ok(match self {
            Self::Report(it) => Reply::Report(store.report(key, it).await?),
            Self::Weigh(it) => Reply::Weigh(store.weigh(key, it).await?),
            Self::Pulse(it) => Reply::Pulse(store.pulse(key, it).await?),
            Self::Trip(it) => Reply::Trip(store.trip(key, it).await?),
            Self::Lease(it) => Reply::Lease(store.lease(key, it).await?),
            Self::Result(it) => Reply::Result(store.result(key, it).await?),
            Self::Round(it) => Reply::Round(store.round(key, it).await?),
            Self::Step(it) => Reply::Step(store.step(key, it).await?),
        })
    }
}

impl Reply {
    /// Returns the name of the first number that is out of bounds, if there is one.
    pub(super) fn check(&self) -> Checked {
        match self {
            Self::Report(it) => it.check(),
            Self::Weigh(it) => it.check(),
            Self::Lease(it) => {
                it.view.check()?;
                it.lease.map_or(Ok(()), |it| it.check())
            }
            Self::Round(it) => it.check(),
            Self::Pulse(_) | Self::Trip(_) | Self::Result(_) | Self::Step(_) => self.view().check(),
        }
    }

    /// The state of the fleet in the answer.
    #[must_use]
    pub fn view(&self) -> &FleetView {
        match self {
            Self::Report(it) => &it.view,
            Self::Weigh(it) => &it.view,
            Self::Pulse(it) => &it.view,
            Self::Trip(it) => &it.view,
            Self::Lease(it) => &it.view,
            Self::Result(it) => &it.view,
            Self::Round(it) => &it.view,
            Self::Step(it) => &it.view,
        }
    }
}
