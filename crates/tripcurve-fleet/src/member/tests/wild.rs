//! A store whose code does whatever code of a user may do.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use futures_core::Stream;

use crate::key::FleetKey;
use crate::memory::MemoryStore;
use crate::message::Weighed;
use crate::message::{AskLease, FleetView, Leased, Loud, ProbeResult, Pulse, Pulsed, Report};
use crate::message::{
    Reported, Resulted, Round, Rounded, Step, Stepped, Sums, Trip, Tripped, Weigh,
};
use crate::store::{Announcement, Answer, Store, StoreError};

/// What the store's code does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Deed {
    #[default]
    Works,
    /// Each method panics before there is a future.
    MethodPanics,
    /// Each future panics when it is polled.
    FuturePanics,
    /// Each future hangs, and panics when it is dropped.
    DropPanics,
    /// Each error panics when it is displayed.
    ErrorPanics,
    /// Each error can't be displayed.
    ErrorHasNoText,
    /// Each error is its own source.
    ErrorIsItsSource,
    /// The announcements panic.
    StreamPanics,
    /// The announcements end, and panic when they are dropped.
    StreamDropPanics,
    /// There is always an announcement for another key.
    StreamIsNeverEmpty,
    /// The numbers of answers are beyond their bounds.
    Nonsense,
}

/// A store that works until a test says otherwise. Clones share the deeds.
#[derive(Clone)]
pub(super) struct Wild {
    store: MemoryStore,
    deed: Arc<Mutex<Deed>>,
    answers: Arc<AtomicU64>,
    announced: Arc<AtomicU64>,
}

impl Wild {
    pub(super) fn new(store: MemoryStore) -> Self {
        Self {
            store,
            deed: Arc::default(),
            answers: Arc::default(),
            announced: Arc::default(),
        }
    }

    pub(super) fn set(&self, deed: Deed) {
        *self.deed.lock().unwrap() = deed;
    }

    /// How many announcements for another key were taken.
    pub(super) fn announced(&self) -> u64 {
        self.announced.load(Ordering::Relaxed)
    }

    fn deed(&self) -> Deed {
        *self.deed.lock().unwrap()
    }

    fn act<T: Distort, A: Answer<T>>(&self, answer: A) -> Acting<A> {
        assert!(self.deed() != Deed::MethodPanics, "boom");
        Acting {
            answer: Box::pin(answer),
            wild: self.clone(),
        }
    }
}

struct Acting<A> {
    answer: Pin<Box<A>>,
    wild: Wild,
}

impl<T: Distort, A: Future<Output = Result<T, StoreError>>> Future for Acting<A> {
    type Output = Result<T, StoreError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let deed = self.wild.deed();
        match deed {
            Deed::FuturePanics => panic!("boom"),
            Deed::DropPanics => Poll::Pending,
            Deed::ErrorPanics | Deed::ErrorHasNoText | Deed::ErrorIsItsSource => {
                Poll::Ready(Err(StoreError::Unavailable(Box::new(WildError(deed)))))
            }
            Deed::Nonsense => self.answer.as_mut().poll(context).map_ok(|mut it| {
                it.distort(self.wild.answers.fetch_add(1, Ordering::Relaxed));
                it
            }),
            _ => self.answer.as_mut().poll(context),
        }
    }
}

impl<A> Drop for Acting<A> {
    fn drop(&mut self) {
        assert!(self.wild.deed() != Deed::DropPanics, "boom");
    }
}

#[derive(Debug)]
struct WildError(Deed);

impl fmt::Display for WildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Deed::ErrorPanics => panic!("boom"),
            Deed::ErrorHasNoText => Err(fmt::Error),
            _ => f.write_str("böom"),
        }
    }
}

impl std::error::Error for WildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        (self.0 == Deed::ErrorIsItsSource).then_some(self)
    }
}

pub(super) struct Announcing {
    all: <MemoryStore as Store>::Announcements,
    wild: Wild,
}

impl Stream for Announcing {
    type Item = Announcement;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Announcement>> {
        match self.wild.deed() {
            Deed::StreamPanics => panic!("boom"),
            Deed::StreamDropPanics => Poll::Ready(None),
            // It ends some time, so that a test that would hang fails instead.
            Deed::StreamIsNeverEmpty if self.wild.announced() < 1_000_000 => {
                self.wild.announced.fetch_add(1, Ordering::Relaxed);
                Poll::Ready(Some(Announcement {
                    key: "tripcurve:1:{other//other/00000000}".into(),
                    view: FleetView::default(),
                }))
            }
            Deed::Nonsense => Pin::new(&mut self.all).poll_next(context).map(|it| {
                let mut it = it?;
                it.view.distort(7);
                Some(it)
            }),
            _ => Pin::new(&mut self.all).poll_next(context),
        }
    }
}

impl Drop for Announcing {
    fn drop(&mut self) {
        assert!(self.wild.deed() != Deed::StreamDropPanics, "boom");
    }
}

/// What a store may answer that makes no sense.
pub(super) trait Distort {
    fn distort(&mut self, number: u64);
}

impl Distort for () {
    fn distort(&mut self, _: u64) {}
}

impl Distort for FleetView {
    fn distort(&mut self, number: u64) {
        let wide = [
            &mut self.epoch,
            &mut self.turn,
            &mut self.outage_ms,
            &mut self.age_ms,
            &mut self.due_ms,
            &mut self.members,
            &mut self.rate,
            &mut self.at_ms,
        ];
        let narrow = [&mut self.share, &mut self.round, &mut self.normal];
        let number = usize::try_from(number % 11).unwrap();
        match wide.into_iter().nth(number) {
            Some(it) => *it = u64::MAX,
            None => *narrow.into_iter().nth(number - 8).unwrap() = u32::MAX,
        }
    }
}

impl Distort for Sums {
    fn distort(&mut self, _: u64) {
        let Self {
            excursion,
            failures,
            surprise,
            expected,
            age_ms,
        } = self;
        for it in [excursion, failures, surprise, expected, age_ms] {
            *it = u64::MAX;
        }
    }
}

impl Distort for Reported {
    fn distort(&mut self, number: u64) {
        match number % 3 {
            0 => self.view.distort(number / 3),
            1 => self.usual.distort(number),
            _ => self.tolerated.distort(number),
        }
    }
}

impl Distort for Weighed {
    fn distort(&mut self, number: u64) {
        match number % 3 {
            0 => self.view.distort(number / 3),
            1 => self.usual.sums.distort(number),
            _ => {
                let most = u64::MAX;
                self.usual.loudest = vec![
                    Loud {
                        failures: most,
                        surprise: most,
                        expected: most,
                    };
                    9
                ];
            }
        }
    }
}

macro_rules! distorts_the_view {
    ($($answer:ident)+) => {$(
        impl Distort for $answer {
            fn distort(&mut self, number: u64) {
                self.view.distort(number);
            }
        }
    )+};
}

distorts_the_view!(Pulsed Tripped Resulted Stepped);

impl Distort for Leased {
    fn distort(&mut self, number: u64) {
        match &mut self.lease {
            Some(lease) => (lease.turn, lease.ends_ms) = (u64::MAX, u64::MAX),
            None => self.view.distort(number),
        }
    }
}

impl Distort for Rounded {
    fn distort(&mut self, number: u64) {
        match number % 3 {
            0 => self.view.distort(number / 3),
            1 => (self.good, self.bad) = (u64::MAX, u64::MAX),
            _ => (self.loudest[0].good, self.loudest[1].bad) = (u64::MAX, u64::MAX),
        }
    }
}

impl Distort for Announcing {
    fn distort(&mut self, _: u64) {}
}

impl Store for Wild {
    type Announcements = Announcing;

    fn report(&self, key: &FleetKey, it: &Report) -> impl Answer<Reported> {
        self.act(self.store.report(key, it))
    }

    fn weigh(&self, key: &FleetKey, it: &Weigh) -> impl Answer<Weighed> {
        self.act(self.store.weigh(key, it))
    }

    fn pulse(&self, key: &FleetKey, it: &Pulse) -> impl Answer<Pulsed> {
        self.act(self.store.pulse(key, it))
    }

    fn trip(&self, key: &FleetKey, it: &Trip) -> impl Answer<Tripped> {
        self.act(self.store.trip(key, it))
    }

    fn lease(&self, key: &FleetKey, it: &AskLease) -> impl Answer<Leased> {
        self.act(self.store.lease(key, it))
    }

    fn result(&self, key: &FleetKey, it: &ProbeResult) -> impl Answer<Resulted> {
        self.act(self.store.result(key, it))
    }

    fn round(&self, key: &FleetKey, it: &Round) -> impl Answer<Rounded> {
        self.act(self.store.round(key, it))
    }

    fn step(&self, key: &FleetKey, it: &Step) -> impl Answer<Stepped> {
        self.act(self.store.step(key, it))
    }

    fn ping(&self, namespace: &str) -> impl Answer<()> {
        self.act(self.store.ping(namespace))
    }

    fn announcements(&self, namespace: &str) -> impl Answer<Announcing> {
        let wild = self.clone();
        self.act(async move {
            let all = self.store.announcements(namespace).await?;
            Ok(Announcing { all, wild })
        })
    }
}
