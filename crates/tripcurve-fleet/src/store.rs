//! The seam between members and the place where they add up what they see.

use std::{error, fmt, future::Future};

use futures_core::Stream;

use crate::key::FleetKey;
use crate::message::Weighed;
use crate::message::{AskLease, FleetView, Leased, ProbeResult, Pulse, Pulsed, Refused, Report};
use crate::message::{Reported, Resulted, Round, Rounded, Step, Stepped, Trip, Tripped, Weigh};

/// A change of a fleet's state.
///
/// An announcement may be lost. The next answer then has the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The key of the fleet; see [`FleetKey::as_str`].
    pub key: String,
    /// The new state.
    pub view: FleetView,
}

/// A store that adds up what members see, and passes on what they decide.
///
/// Each operation is one step that no other operation divides. Its result is that of
/// [`FleetSums`](crate::sums::FleetSums) at the store's time. Each waits for the store, with a
/// limit that the store sets.
///
/// A member waits 250 ms for an answer. The first answer may take 1.25 s, because it may need a
/// connection. Then the member drops the future. So dropping it must not harm the store. An answer
/// with a number beyond its documented bounds counts as missing.
///
/// # Panics
/// A store shouldn't panic. If it does, the member says so in its
/// [status](crate::StoreStatus::LocalOnly), and each breaker decides for itself. The member tries again
/// within 5 s. This holds for the methods, their futures, the announcements, and a
/// [`StoreError`] that panics while it is displayed. In a program built with `panic = "abort"`, any
/// panic ends the process.
///
/// A method, a future or a stream that blocks its thread blocks the member's task. No call waits for
/// that task.
///
/// The `suite`, with the feature `store-suite`, checks an implementation.
pub trait Store: Send + Sync + 'static {
    /// The changes of a namespace.
    type Announcements: Stream<Item = Announcement> + Send + Unpin + 'static;

    /// Counts failures. Counts them once, however often the message comes, and not if the member
    /// has announced no traffic.
    fn report(&self, key: &FleetKey, it: &Report) -> impl Answer<Reported>;

    /// Finds the members that add most evidence.
    fn weigh(&self, key: &FleetKey, it: &Weigh) -> impl Answer<Weighed>;

    /// Takes a member's traffic in place of what it announced before.
    fn pulse(&self, key: &FleetKey, it: &Pulse) -> impl Answer<Pulsed>;

    /// Opens a fleet, if its sums are still at least those that the sender judged.
    fn trip(&self, key: &FleetKey, it: &Trip) -> impl Answer<Tripped>;

    /// Grants a probe, until the holders' calls are enough.
    fn lease(&self, key: &FleetKey, it: &AskLease) -> impl Answer<Leased>;

    /// Takes the result of a probe, if it is the first of its turn.
    fn result(&self, key: &FleetKey, it: &ProbeResult) -> impl Answer<Resulted>;

    /// Counts calls of the current round of a ramp.
    fn round(&self, key: &FleetKey, it: &Round) -> impl Answer<Rounded>;

    /// Ends the current round. Of several members that judge it, the first wins.
    fn step(&self, key: &FleetKey, it: &Step) -> impl Answer<Stepped>;

    /// Asks whether the store would take a message of this namespace.
    ///
    /// A member asks when it has had no answer for 400 ms, so this should cost little. It changes
    /// nothing. A store that is full or that may only be read must return an error.
    fn ping(&self, namespace: &str) -> impl Answer<()>;

    /// Begins to receive the announcements of a namespace.
    ///
    /// When the future is ready, no later change is missed until the stream ends. It ends when the
    /// connection is lost. Then announcements may be missing, until this is called again and the
    /// member has asked for the states.
    fn announcements(&self, namespace: &str) -> impl Answer<Self::Announcements>;
}

/// The future of an answer. All such futures implement it.
pub trait Answer<T>: Future<Output = Result<T, StoreError>> + Send {}

impl<T, F: Future<Output = Result<T, StoreError>> + Send> Answer<T> for F {}

/// A store gave no answer that counts.
#[derive(Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// The store refused the message.
    Refused(Refused),
    /// The store doesn't answer, or can't do what it is asked. The source says why.
    Unavailable(Box<dyn error::Error + Send + Sync>),
    /// The store gave an answer that makes no sense. The text says what was wrong.
    Garbled(&'static str),
    /// The store's code panicked. The text is the panic's message.
    Panicked(String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(_) => f.write_str("the store refused the message"),
            Self::Unavailable(_) => f.write_str("the store is unavailable"),
            Self::Garbled(what) => write!(f, "the store's answer makes no sense: {what}"),
            Self::Panicked(message) => write!(f, "the store panicked: {message}"),
        }
    }
}

impl error::Error for StoreError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Refused(it) => Some(it),
            Self::Unavailable(it) => Some(&**it),
            Self::Garbled(_) | Self::Panicked(_) => None,
        }
    }
}

impl From<Refused> for StoreError {
    fn from(it: Refused) -> Self {
        Self::Refused(it)
    }
}
