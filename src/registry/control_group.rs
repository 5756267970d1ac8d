//! Control groups: one command for many breakers.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{Arc, Weak};

use crossbeam_queue::SegQueue;
use papaya::HashMap;

use crate::sync::{AtomicU64, Hint, Ordering, SelfContained, fence};
use crate::{
    breaker::CircuitBreaker, breaker::shared::SharedBreaker, clock::Now,
    registry::map_guard::guarded, state::Phase, sync::field::Field,
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
        self.core.hold(Phase::ForcedOpen, self.nanos());
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

    /// Adds a breaker. If the group is isolated, the breaker is
    /// [forced open](CircuitBreaker::force_open) before this returns.
    ///
    /// Cost: an insertion into a map. Sometimes it visits all members.
    pub fn add<C>(&self, breaker: &CircuitBreaker<C>) {
        let shared = breaker.shared();
        let member: Weak<SharedBreaker> = Arc::downgrade(shared);
        self.admit(member);
        self.0.command.follow(&**shared);
    }

    /// Isolates all members, and those that join, until [`release`](Self::release).
    ///
    /// They reject all calls, as after [`force_open`](CircuitBreaker::force_open). When this
    /// returns, all members have been forced open. A command to a single member still holds: a
    /// breaker that is [reset](CircuitBreaker::reset) meanwhile is closed.
    pub fn isolate(&self) {
        self.give(true);
    }

    /// Closes all members that are forced open, with an empty window.
    ///
    /// This includes members that a command of their own has forced open. Members that a command
    /// has put in another state stay as they are.
    ///
    /// A member whose settings [switch it off](crate::CircuitBreakerBuilder::enabled) becomes
    /// disabled or only measures, as they say, instead of closed.
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
