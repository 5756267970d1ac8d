//! What happens to the shops, and the clock that measures it.

use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use crate::Failure;
use crate::args::{Args, Script};
use crate::backend::Backend;
use crate::event::{Event, Shown, Side};
use crate::report::{Figures, LEGEND, Sums, row};
use crate::shops::Shops;

/// The shop that loses its connection.
const UNLUCKY: usize = 3;

/// The shops must have started within this time.
const START: Duration = Duration::from_secs(20);

/// The time between two rows of the terminal, if a breaker has changed its state.
const ROWS: Duration = Duration::from_millis(250);

pub(crate) async fn play(args: &Args) -> Result<Figures, Failure> {
    let (backend, address) = Backend::start().await?;
    let shops = Shops::start(args.shops, args.memory, address, args.script.pace)?;
    println!("{}\n{LEGEND}", shops.store);
    let mut scene = Scene::new(shops, args.shops);
    timeout(START, scene.until_ready())
        .await
        .map_err(|_| "not all shops have started")?;
    scene.play(&args.script, &backend).await
}

/// The shops and what they have told.
struct Scene {
    shops: Shops,
    begun: Instant,
    /// The states of all shops' breakers, for each side.
    states: [Vec<Shown>; 2],
    ready: usize,
    has_news: bool,
}

impl Scene {
    fn new(shops: Shops, number: usize) -> Self {
        Self {
            shops,
            begun: Instant::now(),
            states: [vec![Shown::Closed; number], vec![Shown::Closed; number]],
            ready: 0,
            has_news: false,
        }
    }

    async fn until_ready(&mut self) {
        while self.ready < self.states[0].len() {
            let _ = self.next(Instant::now() + START).await;
        }
        self.begun = Instant::now();
    }

    /// Takes the next event. Returns `None` when the time is over.
    async fn next(&mut self, end: Instant) -> Option<()> {
        let (shop, event) = timeout_at(end, self.shops.events.recv()).await.ok()??;
        match event {
            Event::Ready => self.ready += 1,
            Event::State(side, shown) => {
                self.states[side as usize][shop] = shown;
                self.has_news = true;
            }
        }
        Some(())
    }

    async fn play(&mut self, script: &Script, backend: &Backend) -> Result<Figures, Failure> {
        self.show("all is well");
        self.run(script.well, |_| false).await;

        self.shops.set_cut(UNLUCKY, true).await?;
        self.show(&format!("shop {UNLUCKY} loses its connection"));
        let mut opened_by_one = 0;
        self.run(script.one_is_cut, |states| {
            let opened = count(&states[Side::Fleet as usize], |it| it != Shown::Closed);
            opened_by_one = opened_by_one.max(opened);
            false
        })
        .await;
        self.shops.set_cut(UNLUCKY, false).await?;
        self.show(&format!("shop {UNLUCKY} has it again"));
        self.run(script.well_again, |_| false).await;

        backend.set_down(true);
        self.show("the backend fails");
        let mut sums = [Sums::default(); 2];
        let begun = Instant::now();
        let most = most_of(self.states[0].len());
        self.run(script.outage, |states| {
            for side in Side::BOTH {
                let (sums, states) = (&mut sums[side as usize], &states[side as usize]);
                let is_open = |it| matches!(it, Shown::Open | Shown::OpenByFleet);
                sums.followed = sums
                    .followed
                    .max(count(states, |it| it == Shown::OpenByFleet));
                if sums.cut_off.is_none() && count(states, is_open) >= most {
                    sums.cut_off = Some((begun.elapsed(), backend.failed(side)));
                }
            }
            false
        })
        .await;

        backend.set_down(false);
        for side in Side::BOTH {
            sums[side as usize].failed = backend.failed(side);
        }
        self.show("the backend works again");
        let begun = Instant::now();
        self.run(script.recovery, |states| {
            let mut all_are_back = true;
            for side in Side::BOTH {
                let (sums, states) = (&mut sums[side as usize], &states[side as usize]);
                if sums.back.is_none() && count(states, |it| it == Shown::Closed) >= most {
                    sums.back = Some(begun.elapsed());
                }
                all_are_back &= sums.back.is_some();
            }
            all_are_back
        })
        .await;
        self.show("the end");
        Ok(Figures {
            shops: self.states[0].len(),
            opened_by_one,
            sums,
        })
    }

    /// Lets time pass, and shows what changes. Ends early when `is_over` says so; it sees the
    /// states of both sides after each event.
    async fn run(&mut self, time: Duration, mut is_over: impl FnMut(&[Vec<Shown>; 2]) -> bool) {
        let end = Instant::now() + time;
        let mut row = Instant::now() + ROWS;
        while !is_over(&self.states) {
            if self.next(end.min(row)).await.is_some() {
                continue;
            }
            if self.has_news {
                self.show("");
            }
            row = Instant::now() + ROWS;
            if Instant::now() >= end {
                return;
            }
        }
    }

    fn show(&mut self, what: &str) {
        self.has_news = false;
        println!("{}", row(self.begun.elapsed(), &self.states, what));
    }
}

pub(crate) fn count(states: &[Shown], is_so: impl Fn(Shown) -> bool) -> usize {
    states.iter().filter(|&&it| is_so(it)).count()
}

/// 95 % of the shops.
fn most_of(shops: usize) -> usize {
    (shops * 95).div_ceil(100)
}
