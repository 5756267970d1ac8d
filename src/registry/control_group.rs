//! One command over many breakers.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{Arc, Weak};

use crossbeam_queue::SegQueue;
use papaya::HashMap;

use crate::breaker::CircuitBreaker;
use crate::breaker::shared::SharedBreaker;
use crate::clock::Now;
use crate::registry::map_guard::guarded;
use crate::state::Phase;
use crate::sync::field::Field;
use crate::sync::{AtomicU64, Hint, Ordering, SelfContained, fence};

/// ```text
///  63                                       1   0
/// +------------------------------------------+-----+
/// |               commands, 63               |iso,1|
/// +------------------------------------------+-----+
/// ```
///
/// *Commands*: how many have been given. *Iso*: whether the last one isolates.
mod layout {
    use super::Field;

    pub(super) const ISOLATES: Field = Field::lowest(1);
    pub(super) const COMMANDS: Field = ISOLATES.then(63);

    const _: () = assert!(COMMANDS.end_bit() == 64);
}

/// What can be isolated.
pub trait Isolate {
    /// Rejects all calls from now on.
    fn isolate(&self);
    /// Lets calls through again, if it was isolated.
    fn release(&self);
}

/// The last command to a group.
///
/// Commands and members come in any order, and nobody waits. Who gives a command writes it here and
/// then goes to all members; who joins becomes a member and then reads. Of the two at least one sees
/// the other. And who has brought a member into line looks again whether the command still is the last
/// one: so all members end as the last command says, whoever came late.
#[derive(Debug, Default)]
pub struct Command(AtomicU64);

impl Command {
    /// Whether the last command isolates.
    pub fn isolates(&self) -> bool {
        // Acquire: pairs with the Release in `give`; what was done before the command is seen.
        layout::ISOLATES.get(self.0.load(Ordering::Acquire)) == 1
    }

    /// Gives a command. Then all members must be brought into [line](Self::align).
    pub fn give(&self, isolates: bool) {
        // Relaxed: the exchange checks what was read.
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            let commands = layout::COMMANDS.of(layout::COMMANDS.get(seen) + 1);
            let new = commands | layout::ISOLATES.of(isolates.into());
            // Release: pairs with the Acquire in `isolates`. Relaxed: as above.
            match self
                .0
                .compare_exchange(seen, new, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => break,
                Err(found) => seen = found,
            }
        }
        // SeqCst: pairs with itself in `follow`. Either this thread finds the member that has just
        // joined, or that one finds the command.
        fence(Ordering::SeqCst);
    }

    /// Brings one that has just become a member into line.
    pub fn follow(&self, member: &impl Isolate) {
        // SeqCst: pairs with itself in `give`.
        fence(Ordering::SeqCst);
        if self.isolates() {
            self.align(member);
        }
    }

    /// Brings a member into line with the last command.
    pub fn align(&self, member: &impl Isolate) {
        // Relaxed, here and below: the fences order what matters.
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            if layout::ISOLATES.get(seen) == 1 {
                member.isolate();
            } else {
                member.release();
            }
            // SeqCst: pairs with itself in `give`. Either this thread finds the later command, or who
            // gave it finds the member as it is now.
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

/// One breaker, or many.
pub(crate) trait Member: Send + Sync {
    /// Brings all that it is into line with the last command.
    fn align(&self, command: &Command);
}

impl Member for SharedBreaker {
    fn align(&self, command: &Command) {
        command.align(self);
    }
}

/// Isolates and releases many breakers with one command: for a deployment, an incident, a region that
/// is to be taken out of service.
///
/// Single breakers [are added](Self::add), and all of a registry do if
/// [its builder](crate::RegistryBuilder::control_group) says so. Those that join while the group is
/// isolated are isolated before anybody can call through them. Clones are the same group.
///
/// The group doesn't keep its members alive. A single breaker is noted in some fifty bytes. Of those that
/// were dropped the notes, and the memory that held them, are freed when others are added: there are never
/// more of them than there were living members, or sixteen.
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
    /// Members that threads have added while they were ending.
    late: SegQueue<Weak<dyn Member>>,
    /// The next member's number.
    next: SelfContained,
    /// With how many members it is time to forget those that are gone.
    tidy_at: Hint,
}

impl ControlGroup {
    /// A group without members, not isolated.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a breaker. If the group is isolated, the breaker is
    /// [forced open](CircuitBreaker::force_open) before this returns.
    ///
    /// Cost: an insertion into a map; now and then a look at all members.
    pub fn add<C>(&self, breaker: &CircuitBreaker<C>) {
        let shared = breaker.shared();
        let member: Weak<SharedBreaker> = Arc::downgrade(shared);
        self.admit(member);
        self.0.command.follow(&**shared);
    }

    /// Rejects all calls through all members, as [`force_open`](CircuitBreaker::force_open) does, and
    /// through those that join, until [`release`](Self::release).
    ///
    /// When it returns, all members have been forced open. A command to a single member still holds: a
    /// breaker that is [reset](CircuitBreaker::reset) by hand meanwhile is closed.
    pub fn isolate(&self) {
        self.give(true);
    }

    /// Closes all members that are forced open, with an empty window, also those that were forced open
    /// by hand; leaves those alone that are in another state by a command of their own.
    ///
    /// A member whose settings [switch it off](crate::CircuitBreakerBuilder::enabled) becomes disabled or only
    /// measures, as they say, instead of closed.
    pub fn release(&self) {
        self.give(false);
    }

    /// Whether the last command was [`isolate`](Self::isolate). One load.
    #[must_use]
    pub fn is_isolated(&self) -> bool {
        self.0.command.isolates()
    }

    pub(crate) fn command(&self) -> &Command {
        &self.0.command
    }

    /// Notes a member, which still has to follow.
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
                    // A command that came meanwhile may have found it neither in `late` nor in
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
                // Put back first: if another command doesn't find it here, `align` finds that
                // command.
                late.push(member);
                living.align(command);
            }
        }
    }
}

/// As breakers are.
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
