//! One command over many breakers: a breaker is added while a command is given.

use loom_tests::sync::{Arc, AtomicU64, Ordering};
use loom_tests::{UNBOUNDED, model, preemptions, race};
use tripcurve::__model::{AtomicState, Command, Isolate, Phase};

/// A group with room for one member, which is in the group once the note says so.
struct Group {
    command: Command,
    is_member: AtomicU64,
    member: Member,
}

struct Member(AtomicState);

impl Isolate for Member {
    fn isolate(&self) {
        let mut seen = self.0.load();
        while seen.phase() != Phase::ForcedOpen {
            match self.0.change(seen, Phase::ForcedOpen) {
                Ok(_) => return,
                Err(found) => seen = found,
            }
        }
    }

    fn release(&self) {
        let mut seen = self.0.load();
        while seen.phase() == Phase::ForcedOpen {
            match self.0.change(seen, Phase::Closed) {
                Ok(_) => return,
                Err(found) => seen = found,
            }
        }
    }
}

impl Group {
    fn new() -> Self {
        Self {
            command: Command::default(),
            is_member: AtomicU64::new(0),
            member: Member(AtomicState::new(Phase::Closed)),
        }
    }

    fn add(&self) {
        // Relaxed: weaker than the map's insertion, so the command's fences must order it.
        self.is_member.store(1, Ordering::Relaxed);
        self.command.follow(&self.member);
    }

    fn give(&self, isolates: bool) {
        self.command.give(isolates);
        // Relaxed: weaker than the map's reading, so the command's fences must order it.
        if self.is_member.load(Ordering::Relaxed) == 1 {
            self.command.align(&self.member);
        }
    }

    fn is_isolated(&self) -> bool {
        self.member.0.load().phase() == Phase::ForcedOpen
    }
}

/// A member is added while the group is isolated.
///
/// Fails when: there is no fence in `give` or in `follow`.
#[test]
fn who_is_added_while_the_group_is_isolated_is_isolated() {
    model(UNBOUNDED, || {
        let group = Arc::new(Group::new());
        race(
            &group,
            [|group: &Group| group.add(), |group| group.give(true)],
        );
        assert!(group.is_isolated());
    });
}

/// A member is added while the group is released.
///
/// Fails when: `align` doesn't look again whether another command was given, or has no fence.
#[test]
fn who_is_added_while_the_group_is_released_is_released() {
    model(UNBOUNDED, || {
        let group = Group::new();
        group.give(true);
        let group = Arc::new(group);
        race(
            &group,
            [|group: &Group| group.add(), |group| group.give(false)],
        );
        assert!(!group.is_isolated());
    });
}

/// Two commands come at once. The member follows the last one.
///
/// Fails when: `align` doesn't look again whether another command was given, or has no fence.
#[test]
fn of_two_commands_the_last_one_holds() {
    model(preemptions(3), || {
        let group = Arc::new(Group::new());
        group.add();
        race(
            &group,
            [|group: &Group| group.give(true), |group| group.give(false)],
        );
        assert_eq!(group.is_isolated(), group.command.isolates());
    });
}

/// Two commands come at once, while the member is added.
///
/// Fails when: `align` doesn't look again whether another command was given, or has no fence.
#[test]
fn who_is_added_between_two_commands_is_as_the_last_one_says() {
    model(preemptions(2).full(3), || {
        let group = Arc::new(Group::new());
        race(
            &group,
            [
                |group: &Group| group.add(),
                |group| group.give(true),
                |group| group.give(false),
            ],
        );
        assert_eq!(group.is_isolated(), group.command.isolates());
    });
}

/// A thread prepares something, and then isolates the group. A thread that sees the command sees
/// the preparation.
///
/// Fails when: `Command::give` doesn't release, or `Command::isolates` doesn't acquire.
#[test]
fn what_was_done_before_a_command_is_seen_with_it() {
    model(UNBOUNDED, || {
        let shared = Arc::new((Command::default(), AtomicU64::new(0)));
        race(
            &shared,
            [
                |(command, prepared)| {
                    // Relaxed, here and below: the command must order it.
                    prepared.store(1, Ordering::Relaxed);
                    command.give(true);
                },
                |(command, prepared)| {
                    if command.isolates() {
                        assert_eq!(prepared.load(Ordering::Relaxed), 1);
                    }
                },
            ],
        );
    });
}
