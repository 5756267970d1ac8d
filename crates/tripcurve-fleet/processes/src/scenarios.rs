//! What is broken, one thing after the other, and what must hold.

mod network;

use std::time::{Duration, Instant};

use tripcurve_fleet::message::{FleetState, Member, Pulse, Sender};
use tripcurve_fleet::store::Store;
use tripcurve_fleet::verdict::{Failures, Judge};

use crate::BREAKER;
use crate::backend::Treats;
use crate::event::{What, now};
use crate::proxy::Does;
use crate::report::Row;
use crate::stage::{Process, Stage, key};

/// What the short form leaves out, because another scenario or a test is near.
const LONG: [&str; 3] = [
    "store-read-only",
    "network-300-ms",
    "network-loses-connections",
];

type Act = fn(&mut Script, &mut Row);

/// The scenarios by name, in the order in which they are played.
pub(crate) const ALL: &[(&str, Act)] = &[
    // Before breakers have learned that many calls fail.
    ("half-partitioned", Script::partition),
    ("store-killed", Script::killed),
    ("backend-fails", |script, row| {
        script.as_one(row, Treats::Badly);
    }),
    ("backend-hangs", |script, row| {
        script.as_one(row, Treats::Silently);
    }),
    ("one-member-cut-off-from-the-backend", Script::one_cut_off),
    ("two-liars", Script::two_liars),
    ("store-killed-while-open", Script::killed_while_open),
    ("store-stopped", Script::stopped),
    ("store-emptied-while-open", Script::emptied),
    ("store-paused", Script::paused),
    ("store-full", Script::full),
    ("store-read-only", Script::read_only),
    ("network-100-ms", Script::slow_network),
    ("network-300-ms", Script::too_slow_network),
    ("network-loses-connections", Script::loses),
    ("network-swallows", Script::swallows),
    ("member-stopped", Script::member_stopped),
    ("versions", Script::versions),
];

pub(crate) struct Script {
    pub(crate) stage: Stage,
    quick: bool,
}

fn opened_since(since: u64) -> impl Fn(&Process) -> bool {
    move |it| it.opening(since).is_some()
}

fn closed_since(since: u64) -> impl Fn(&Process) -> bool {
    move |it| it.first(since, |it| *it == What::Closed).is_some()
}

fn lost_since(since: u64) -> impl Fn(&Process) -> Option<f64> {
    move |it| it.first(since, |it| matches!(it, What::LocalOnly(_)))
}

fn connected_since(since: u64) -> impl Fn(&Process) -> bool {
    move |it| it.first(since, |it| *it == What::Connected).is_some()
}

impl Script {
    pub(crate) fn new(stage: Stage, quick: bool) -> Self {
        Self { stage, quick }
    }

    /// Whether a scenario is played if none is named.
    pub(crate) fn plays(&self, name: &str) -> bool {
        !self.quick || !LONG.contains(&name)
    }

    pub(crate) fn play(&mut self, name: &str, act: Act) -> Row {
        let (mut row, begun) = (Row::new(name), Instant::now());
        act(self, &mut row);
        self.stage.recover();
        row.took = begun.elapsed().as_secs_f64();
        row
    }

    /// How long an outage lasts after all have opened, or a store is gone.
    fn hold(&self) {
        std::thread::sleep(Duration::from_secs(if self.quick { 1 } else { 10 }));
    }

    fn half(&self) -> usize {
        self.stage.members.len() / 2
    }

    /// Breaks the backend until all have opened.
    fn open(&self, row: &mut Row, how: Treats) -> u64 {
        let (begun, failed) = (now(), self.stage.failed());
        self.stage.backend.treat_all(how);
        self.stage.all("the members to open", opened_since(begun));
        let openings = self.stage.members.iter();
        row.openings = openings.filter_map(|it| it.opening(begun)).collect();
        // The members tell their counts every 100 ms.
        std::thread::sleep(Duration::from_millis(200));
        row.failed = Some(self.stage.failed() - failed);
        begun
    }

    /// Keeps the backend broken for a while.
    fn stay_open(&self, row: &mut Row) {
        let (dead, asked) = (self.stage.backend.dead_calls(), self.stage.asked());
        self.hold();
        let dead = self.stage.backend.dead_calls() - dead;
        row.dead = Some((dead, self.stage.asked() - asked));
    }

    /// Mends the backend, and waits until all have closed.
    fn close(&self, row: &mut Row) {
        let begun = now();
        self.stage.backend.treat_all(Treats::Well);
        self.stage.all("the members to close", closed_since(begun));
        let closed = self.stage.members.iter();
        let closed = closed.filter_map(|it| it.first(begun, |it| *it == What::Closed));
        row.back = closed.reduce(f64::max);
    }

    fn outage(&self, row: &mut Row, how: Treats) {
        self.open(row, how);
        self.stay_open(row);
        self.close(row);
    }

    /// An outage in which most members must open by the fleet's order.
    fn as_one(&mut self, row: &mut Row, how: Treats) {
        // On a busy machine an answer may take longer than members wait. Then they decide alone.
        for attempt in 1..=3 {
            self.outage(row, how);
            if row.by_fleet() > self.half() {
                if attempt > 1 {
                    row.remark(format!("attempt {attempt}"));
                }
                return;
            }
            self.stage.recover();
        }
        row.expect(false, "most opened alone, three times");
    }

    fn one_cut_off(&mut self, row: &mut Row) {
        let begun = now();
        self.stage.backend.treat(3, Treats::Badly);
        let is_open = || self.stage.members[3].opening(begun).is_some();
        self.stage.until("the member to open", is_open);
        self.hold();
        let openings = self.stage.members.iter();
        row.openings = openings.filter_map(|it| it.opening(begun)).collect();
        row.expect(row.openings.len() == 1, "others opened too");
    }

    /// Two members report failures as often as they may.
    fn two_liars(&mut self, row: &mut Row) {
        let breaker = tripcurve::CircuitBreaker::new(BREAKER);
        let rule = breaker.fleet_port().ok().and_then(|it| it.rule());
        let judge = Judge::new(rule.expect("the default policy is adaptive"));
        let begun = now();
        let liars: Vec<_> = [1, 2]
            .map(|number| {
                let store = self.stage.observer();
                self.stage.runtime.spawn(async move {
                    let mut sender = Sender::new(Member(number));
                    for message in 1.. {
                        let pulse = Pulse {
                            sender,
                            rate: 20_000,
                            normal: 655,
                        };
                        if let Ok(it) = store.pulse(&key(), &pulse).await {
                            sender = Sender::knowing(Member(number), &it.view);
                        }
                        let failures = Failures {
                            failures: 255,
                            surprise: 255 * 2_048,
                            spread_ms: 0,
                        };
                        let report = judge.report(sender, message, failures);
                        // Without an answer it lies again.
                        let _answer = store.report(&key(), &report).await;
                        tokio::time::sleep(Duration::from_millis(250)).await;
                    }
                })
            })
            .into();
        self.hold();
        let opened = self.stage.members.iter();
        let opened = opened.filter(|it| it.opening(begun).is_some()).count();
        row.expect(opened == 0, format!("{opened} opened by the lies"));
        self.as_one(row, Treats::Badly);
        for it in liars {
            it.abort();
        }
        row.remark("the lies alone opened nobody");
    }

    /// Waits until all have said that the store is lost.
    fn lost(&self, row: &mut Row, since: u64) {
        self.stage.all("the members to lose the store", |it| {
            lost_since(since)(it).is_some()
        });
        row.said = self
            .stage
            .members
            .iter()
            .filter_map(lost_since(since))
            .collect();
        // Regular messages come every 24 s at the earliest.
        let soon = row.said.iter().filter(|&&it| it < 5_000.0).count();
        row.expect(
            soon > self.half(),
            "members said so with the next pulse only",
        );
        let within = row.said.iter().filter(|&&it| it < 1_000.0).count();
        row.remark(format!("{within} said so within a second"));
    }

    /// Takes the store away and gives it back.
    fn without_store(
        &mut self,
        row: &mut Row,
        take: impl Fn(&mut Stage),
        give: impl Fn(&mut Stage),
    ) {
        let begun = now();
        take(&mut self.stage);
        self.lost(row, begun);
        self.hold();
        let opened = self.stage.members.iter();
        let opened = opened.filter(|it| it.opening(begun).is_some()).count();
        row.expect(
            opened == 0,
            format!("{opened} opened without a fault of the backend"),
        );
        if !self.quick {
            self.outage(row, Treats::Badly);
            row.expect(row.by_fleet() == 0, "a fleet without a store opened");
        }
        let back = now();
        give(&mut self.stage);
        self.stage
            .all("the members to connect", connected_since(back));
    }

    fn killed(&mut self, row: &mut Row) {
        let begun = now();
        self.stage.server.kill();
        self.lost(row, begun);
        self.outage(row, Treats::Badly);
        row.expect(row.by_fleet() == 0, "a fleet without a store opened");
        let back = now();
        self.stage.server.restart();
        self.stage
            .all("the members to connect", connected_since(back));
        self.stage.recover();
        let mut again = Row::new("");
        self.as_one(&mut again, Treats::Badly);
        row.wrong.append(&mut again.wrong);
        row.remark(format!(
            "after a restart without data, {} of {} opened by the fleet",
            again.by_fleet(),
            again.openings.len()
        ));
    }

    fn killed_while_open(&mut self, row: &mut Row) {
        self.open(row, Treats::Badly);
        let killed = now();
        self.stage.server.kill();
        self.lost(row, killed);
        self.stay_open(row);
        self.close(row);
        let back = now();
        self.stage.server.restart();
        self.stage
            .all("the members to connect", connected_since(back));
    }

    fn stopped(&mut self, row: &mut Row) {
        self.without_store(
            row,
            |stage| stage.server.signal("STOP"),
            |stage| stage.server.signal("CONT"),
        );
    }

    fn emptied(&mut self, row: &mut Row) {
        let begun = self.open(row, Treats::Badly);
        self.stage.server.run("FLUSHALL");
        let members = self.stage.members.len() as u64;
        self.stage.until("the store to know the members again", || {
            std::thread::sleep(Duration::from_millis(50));
            self.stage.view().is_some_and(|it| it.members > members)
        });
        let view = self.stage.view();
        row.expect(
            view.is_some_and(|it| it.state == FleetState::Open),
            format!("the store knows {view:?}"),
        );
        self.stay_open(row);
        let closed = self
            .stage
            .members
            .iter()
            .filter(|it| closed_since(begun)(it));
        let closed = closed.count();
        row.expect(
            closed == 0,
            format!("{closed} closed while the backend was dead"),
        );
        self.close(row);
    }

    fn paused(&mut self, row: &mut Row) {
        let time = if self.quick { 2_500 } else { 60_000 };
        self.without_store(
            row,
            |stage| drop(stage.server.run(&format!("CLIENT PAUSE {time}"))),
            |_| {},
        );
    }

    fn full(&mut self, row: &mut Row) {
        self.without_store(
            row,
            |stage| drop(stage.server.run("CONFIG SET maxmemory 1")),
            |stage| drop(stage.server.run("CONFIG SET maxmemory 0")),
        );
    }

    fn read_only(&mut self, row: &mut Row) {
        self.without_store(
            row,
            |stage| drop(stage.server.run("REPLICAOF 127.0.0.1 1")),
            |stage| drop(stage.server.run("REPLICAOF NO ONE")),
        );
    }

    fn member_stopped(&mut self, row: &mut Row) {
        let stopped = &self.stage.members[0];
        stopped.signal("STOP");
        let begun = now();
        self.stage.backend.treat_all(Treats::Badly);
        let others = &self.stage.members[1..];
        let all = |is: &dyn Fn(&Process) -> bool| others.iter().all(is);
        self.stage
            .until("the others to open", || all(&opened_since(begun)));
        row.openings = others.iter().filter_map(|it| it.opening(begun)).collect();
        self.hold();
        let mended = now();
        self.stage.backend.treat_all(Treats::Well);
        self.stage
            .until("the others to close", || all(&closed_since(mended)));
        let closed = others
            .iter()
            .filter_map(|it| it.first(mended, |it| *it == What::Closed));
        row.back = closed.reduce(f64::max);
        if !self.quick {
            std::thread::sleep(Duration::from_secs(60));
        }
        let awake = now();
        stopped.signal("CONT");
        // Its status is newer than its sleep once it has made calls.
        let before = stopped.status().asked;
        self.stage
            .until("it to go on", || stopped.status().asked > before + 5);
        self.hold();
        let opened = others.iter().filter(|it| opened_since(awake)(it)).count();
        row.expect(opened == 0, format!("{opened} opened when it woke"));
        row.remark("it joined again without a word");
    }

    /// Members of other versions come and go.
    fn versions(&mut self, row: &mut Row) {
        let number = |it: u16| u16::try_from(self.stage.members.len()).unwrap_or(0) + it;
        let word = self.stage.enter(number(0), "5xx", None);
        let unknown = Does::Rewrite("pulse", "pulsx");
        let unknown = self.stage.enter(number(1), "", Some(unknown));
        let format = Does::Rewrite("tripcurve:1:", "tripcurve:2:");
        let format = self.stage.enter(number(2), "", Some(format));
        self.stage.until("the newcomers to call", || {
            [&word, &unknown, &format]
                .iter()
                .all(|it| it.status().asked > 5 * u64::from(self.stage.rate))
        });
        let reason = unknown.first(
            0,
            |it| matches!(it, What::LocalOnly(why) if why.contains("UNKNOWN")),
        );
        row.expect(reason.is_some(), "an unknown operation wasn't told of");
        row.expect(
            unknown.first(0, |it| *it == What::Connected).is_none(),
            "a member with an unknown operation connected",
        );
        for it in [&word, &format] {
            let members = it.status().members;
            row.expect(
                members <= 1,
                format!("a fleet of another version has {members}"),
            );
        }
        let begun = now();
        self.as_one(row, Treats::Badly);
        for it in [&word, &unknown, &format] {
            let opening = it.opening(begun);
            row.expect(
                opening.is_some_and(|it| !it.1),
                format!("a member of another version: {opening:?}"),
            );
        }
        let told = word.first(begun, |it| *it == What::OtherSettings);
        row.expect(told.is_some(), "other settings weren't told of");
        row.remark("the three others opened alone");
    }
}
