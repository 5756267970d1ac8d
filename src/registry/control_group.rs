//! Control groups: one command for many breakers.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{Arc, Weak};

use crossbeam_queue::SegQueue;
use papaya::HashMap;

use crate::sync::{AtomicU64, Hint, Ordering, SelfContained, fence};
use crate::{
    breaker::CircuitBreaker, breaker::shared::SharedBreaker, clock::Now, engine::OpenShare,
    error::ConfigError, registry::map_guard::guarded, sync::field::Field,
};

/// ```text
///  63                                       1   0
/// +------------------------------------------+-----+
/// |               commands, 63               |iso,1|
/// +------------------------------------------+-----+
/// ```
///
/// *Commands*: the number of commands given. *Iso*: whether the last one isolates.
mod layout {
    use super::Field;

    pub(super) const ISOLATES: Field = Field::lowest(1);
    pub(super) const COMMANDS: Field = ISOLATES.then(63);

    const _: () = assert!(COMMANDS.end_bit() == 64);
}

/// A breaker that a group can isolate.
pub trait Isolate {
    /// Rejects all calls from now on.
    fn isolate(&self);
    /// Lets calls through again, if it was isolated.
    fn release(&self);
}

/// The last command to a group.
///
/// Commands and members come in any order, and no thread waits. A thread that gives a command
/// writes it here and then visits all members. A thread that adds a member inserts it and then
/// reads the command. At least one of the two sees the other. A thread that has aligned a member
/// checks whether the command is still the last one. So all members end as the last command says,
/// even those that joined late.
#[derive(Debug, Default)]
pub struct Command(AtomicU64);

impl Command {
    /// Whether the last command isolates.
    pub fn isolates(&self) -> bool {
        // Acquire: pairs with the Release in `give`. A thread that finds the command sees what its
        // giver did before it. Without it the thread could act on the command and miss that work.
        layout::ISOLATES.get(self.0.load(Ordering::Acquire)) == 1
    }

    /// Gives a command. The caller must then [align](Self::align) all members.
    pub fn give(&self, isolates: bool) {
        // Relaxed: the exchange checks the word that was read.
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            let commands = layout::COMMANDS.of(layout::COMMANDS.get(seen) + 1);
            let new = commands | layout::ISOLATES.of(isolates.into());
            // Release: pairs with the Acquire in `isolates`, so that a thread that finds the
            // command sees what was done before it. Relaxed on failure: the next exchange checks
            // the word that was found.
            match self
                .0
                .compare_exchange(seen, new, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => break,
                Err(found) => seen = found,
            }
        }
        // SeqCst: pairs with the fences in `follow` and `align`. Either this thread's visit finds
        // the new member and its present state, or the other thread finds this command. Without it
        // both could miss, and a member would stay as the former command says.
        fence(Ordering::SeqCst);
    }

    /// Aligns a new member with the last command.
    pub fn follow(&self, member: &impl Isolate) {
        // SeqCst: pairs with the fence in `give`. The member was inserted before this fence. Either
        // the giver's visit finds it there, or this thread finds the command. Without it both could
        // miss, and the member would ignore the command.
        fence(Ordering::SeqCst);
        if self.isolates() {
            self.align(member);
        }
    }

    /// Brings a member into the state of the last command.
    pub fn align(&self, member: &impl Isolate) {
        // Relaxed, here and below: the fence orders the second load after the change of the member.
        // If this first value is stale, the second one differs, and the loop runs again.
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            if layout::ISOLATES.get(seen) == 1 {
                member.isolate();
            } else {
                member.release();
            }
            // SeqCst: pairs with the fence in `give`. Either this thread finds the later command,
            // or its giver finds the member as it is now. Without it an earlier command could stay
            // in force.
            fence(Ordering::SeqCst);
            let found = self.0.load(Ordering::Relaxed);
            if found == seen {
                return;
            }
            seen = found;
        }
    }
}

impl Isolate for SharedBreaker {
    fn isolate(&self) {
        self.core.isolate(self.nanos());
    }

    fn release(&self) {
        self.core.release(self.nanos());
    }
}

/// A member of a group: one breaker, or a registry.
pub(crate) trait Member: Send + Sync {
    /// Brings each of its breakers into the state of the last command.
    fn align(&self, command: &Command);
}

impl Member for SharedBreaker {
    fn align(&self, command: &Command) {
        command.align(self);
    }
}

/// Isolates and releases many breakers with one command, for a deployment, an incident, or a region
/// to take out of service.
///
/// [`add`](Self::add) adds single breakers. A registry adds all of its breakers if [its
/// builder](crate::RegistryBuilder::control_group) says so. Breakers that join an isolated group
/// are isolated before a call can go through them. Clones are handles to one group.
///
/// The group doesn't keep its members alive. The note of a single breaker takes some fifty bytes.
/// The group frees the notes of dropped breakers, and their memory, when others are added. There
/// are never more of these notes than there were living members, or sixteen.
///
/// ```
/// use tripcurve::registry::ControlGroup;
/// use tripcurve::{CircuitBreaker, State};
///
/// let europe = ControlGroup::new();
/// let payments = CircuitBreaker::new("payments");
/// europe.add(&payments);
///
/// europe.isolate();
/// assert_eq!(payments.state(), State::ForcedOpen);
/// let late = CircuitBreaker::new("recommendations");
/// europe.add(&late);
/// assert_eq!(late.state(), State::ForcedOpen);
///
/// europe.release();
/// assert_eq!(payments.state(), State::Closed);
/// ```
#[derive(Clone, Default)]
pub struct ControlGroup(Arc<Group>);

#[derive(Default)]
struct Group {
    command: Command,
    /// The limit on how many members are open at once, if there is one.
    share: Option<Arc<OpenShare>>,
    members: HashMap<u64, Weak<dyn Member>>,
    /// Members that were added by threads while they ended.
    late: SegQueue<Weak<dyn Member>>,
    /// The next member's number.
    next: SelfContained,
    /// The number of members at which the group forgets those that are gone.
    tidy_at: Hint,
}

impl ControlGroup {
    /// Makes a group that has no members and isn't isolated.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a group of which at most this share is opened by policies at once: more than 0, up to
    /// 1.
    ///
    /// Of twenty endpoints behind a share of 0.25, five are open at most. If more are ill, the
    /// others take their calls all the same, instead of none. Envoy calls it
    /// `max_ejection_percent`.
    ///
    /// - The share of the members is rounded down, but one may always open. The members are the
    ///   living breakers of the group.
    /// - A member is open from its trip until it closes, so while it is half-open too.
    /// - A member that would open beyond the share stays closed and goes on counting. It tells so,
    ///   once each time; see [`on_would_trip`](crate::CircuitBreakerBuilder::on_would_trip) and
    ///   [`Snapshot::would_have_opened`](crate::Snapshot::would_have_opened). It opens at its next
    ///   failure that finds a place free and still is cause to trip.
    /// - Commands are not limited. A member that is opened by [`trip`](CircuitBreaker::trip) counts.
    ///   A member that is forced open does not. An isolated member counts as before its isolation.
    /// - A member that joins while it is open counts.
    /// - A breaker counts in one share: that of the first group that it joined.
    ///
    /// A closed breaker pays nothing for it. A trip costs two exchanges more, and a transition one.
    ///
    /// # Errors
    /// The share is not a number, not above 0, or above 1. This never panics.
    ///
    /// ```
    /// use tripcurve::registry::ControlGroup;
    /// use tripcurve::{CircuitBreaker, State, TripPolicy};
    ///
    /// let endpoints = ControlGroup::with_max_open_share(0.5)?;
    /// let breakers = [1, 2, 3].map(|_| {
    ///     let trips = TripPolicy::consecutive_failures(1);
    ///     CircuitBreaker::builder("shop").trip_when(trips).build().unwrap()
    /// });
    /// for breaker in &breakers {
    ///     endpoints.add(breaker);
    /// }
    /// for breaker in &breakers {
    ///     let _ = breaker.call(|| Err::<(), _>("no"));
    /// }
    /// assert_eq!(breakers[0].state(), State::Open);
    /// assert_eq!(breakers[1].state(), State::Closed);
    /// assert_eq!(breakers[1].snapshot().would_have_opened(), 1);
    /// assert_eq!(endpoints.open_members(), Some(1));
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    pub fn with_max_open_share(share: f64) -> Result<Self, ConfigError> {
        let share = Some(open_share(share)?);
        Ok(Self(Arc::new(Group {
            share,
            ..Group::default()
        })))
    }

    /// The share of the members that may be open, if it is limited.
    #[must_use]
    pub fn max_open_share(&self) -> Option<f64> {
        self.share().map(|share| share.share())
    }

    /// How many members are open or half-open; `None` if their share isn't limited.
    ///
    /// It is exact while no member changes its state. Costs one load.
    #[must_use]
    pub fn open_members(&self) -> Option<u64> {
        self.share().map(|share| share.open())
    }

    pub(super) fn share(&self) -> Option<&Arc<OpenShare>> {
        self.0.share.as_ref()
    }

    /// Adds a breaker. If the group is isolated, the breaker is isolated before this returns.
    ///
    /// Cost: an insertion into a map. Sometimes it visits all members.
    pub fn add<C>(&self, breaker: &CircuitBreaker<C>) {
        let shared = breaker.shared();
        let member: Weak<SharedBreaker> = Arc::downgrade(shared);
        if let Some(share) = self.share() {
            shared.core.join_share(share);
        }
        self.admit(member);
        self.0.command.follow(&**shared);
    }

    /// Isolates all members, and those that join, until [`release`](Self::release).
    ///
    /// They reject all calls and are [forced open](crate::State::ForcedOpen). When this returns,
    /// all members have been isolated. It changes nothing for a member that is isolated already,
    /// or that a command of its own has [forced open](CircuitBreaker::force_open).
    ///
    /// A command to a single member ends its isolation: a breaker that is
    /// [reset](CircuitBreaker::reset) meanwhile is closed, and stays so. One that is forced open
    /// meanwhile stays forced open after the release.
    ///
    /// Listeners are told with [`Cause::Isolated`](crate::events::Cause::Isolated). The method
    /// never panics. It costs a visit to each member.
    pub fn isolate(&self) {
        self.give(true);
    }

    /// Ends the isolation: each member has the state that it would have without it.
    ///
    /// | a member that was isolated while | is now |
    /// |---|---|
    /// | closed | closed, with an empty window |
    /// | open | open for what is left of its open time; the next call is a probe if none is left |
    /// | half-open | half-open, with all places for probes free; a ramp starts over |
    /// | disabled or metrics-only | the same |
    /// | forced open by a command | forced open |
    ///
    /// Open times run on during the isolation. They [grow](crate::recovery::Backoff) afterwards as
    /// without it. A `Retry-After` of a call that was in flight counts too. Members that a command
    /// has put in another state meanwhile stay as they are. A breaker of two groups that are both
    /// isolated is released by the first of them.
    ///
    /// If settings switched a member [off](crate::CircuitBreakerBuilder::enabled) or on meanwhile,
    /// it is now as they say.
    ///
    /// Listeners are told with [`Cause::Released`](crate::events::Cause::Released). The method
    /// never panics. It costs a visit to each member.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcurve::registry::ControlGroup;
    /// use tripcurve::{CircuitBreaker, State};
    ///
    /// let europe = ControlGroup::new();
    /// let payments = CircuitBreaker::new("payments");
    /// europe.add(&payments);
    /// payments.trip(Duration::from_secs(60));
    /// europe.isolate();
    /// europe.release();
    /// assert_eq!(payments.state(), State::Open);
    /// ```
    pub fn release(&self) {
        self.give(false);
    }

    /// Whether the last command was [`isolate`](Self::isolate). Costs one load.
    #[must_use]
    pub fn is_isolated(&self) -> bool {
        self.0.command.isolates()
    }

    pub(crate) fn command(&self) -> &Command {
        &self.0.command
    }

    /// Adds a member, which must then [follow](Command::follow).
    pub(crate) fn admit(&self, member: Weak<dyn Member>) {
        let Group {
            command,
            members,
            late,
            next,
            tidy_at,
            ..
        } = &*self.0;
        guarded!(members, |guard, can_write| if can_write {
            members.insert(next.add(1), member, &guard);
            if members.len() as u64 >= tidy_at.load() {
                members.retain(|_, member| member.strong_count() > 0, &guard);
                let twice = 2 * members.len() as u64;
                tidy_at.store(twice.max(16));
            }
            for _ in 0..late.len() {
                let Some(member) = late.pop() else { break };
                if let Some(living) = member.upgrade() {
                    members.insert(next.add(1), member, &guard);
                    // A command given meanwhile may have found it neither in `late` nor in
                    // `members`.
                    living.align(command);
                }
            }
        } else {
            late.push(member);
        });
    }

    fn give(&self, isolates: bool) {
        let Group {
            command,
            members,
            late,
            ..
        } = &*self.0;
        command.give(isolates);
        guarded!(members, |guard| for member in members.values(&guard) {
            if let Some(member) = member.upgrade() {
                member.align(command);
            }
        });
        for _ in 0..late.len() {
            let Some(member) = late.pop() else { break };
            if let Some(living) = member.upgrade() {
                // Put it back first. A command that doesn't find it here is seen by `align`.
                late.push(member);
                living.align(command);
            }
        }
    }
}

/// A limit on the share of breakers that are open, if the share makes sense.
pub(super) fn open_share(share: f64) -> Result<Arc<OpenShare>, ConfigError> {
    if share > 0.0 && share <= 1.0 {
        return Ok(Arc::new(OpenShare::new(share)));
    }
    Err(ConfigError::new(
        "max_open_share",
        share,
        "more than 0 and at most 1",
        "0.5 lets half of the members open; to open none, let them only measure",
    ))
}

/// A panic can't leave the group inconsistent: its members, breakers, are unwind-safe.
impl UnwindSafe for ControlGroup {}
impl RefUnwindSafe for ControlGroup {}

impl fmt::Debug for ControlGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlGroup")
            .field("isolated", &self.is_isolated())
            .field("members", &self.0.members.len())
            .finish()
    }
}
