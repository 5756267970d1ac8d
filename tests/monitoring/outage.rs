//! Breakers in all kinds of trouble, so that each panel and each alert has something to show.

use std::time::{Duration, Instant};

use tripcurve::handles::OwnedPermit;
use tripcurve::outcome::Report;
use tripcurve::registry::{Registry, Roster};
use tripcurve::window::{Recording, Window};
use tripcurve::{CircuitBreaker, TripPolicy};

/// The limit of calls to the stock.
const LIMIT: Duration = Duration::from_millis(100);

/// All calls to the offers are good for so long: at least two scrapes.
const GOOD_OFFERS: Duration = Duration::from_secs(32);

/// A day on which most things go wrong.
pub(crate) struct Outage {
    /// 45 % of its calls fail. It trips at 50 %.
    search: CircuitBreaker,
    /// Some of its calls are slow.
    stock: CircuitBreaker,
    /// A call to the stock that hangs.
    _hung: OwnedPermit,
    /// It trips, recovers and trips again.
    prices: CircuitBreaker,
    /// Its failures begin late, and don't trip it.
    offers: CircuitBreaker,
    begun: Instant,
    _mail: CircuitBreaker,
    _tenants: Registry<u32>,
}

impl Outage {
    pub(crate) fn new(roster: &Roster) -> Self {
        let breaker = |name: &'static str| CircuitBreaker::builder(name).enlist(roster);
        let search = breaker("search").trip_when(TripPolicy::failure_rate(0.5));
        let stock = breaker("stock")
            .trip_when(TripPolicy::slow_rate(0.5).slower_than(LIMIT))
            .window(Window::time(Duration::from_secs(300), 10))
            .latency(Recording::Combined);
        let stock = stock.build().unwrap();
        let prices = breaker("prices").trip_when(TripPolicy::classic());
        let offers = breaker("offers")
            .trip_when(TripPolicy::failure_rate(0.9))
            .window(Window::time(Duration::from_secs(60), 10));
        let mail = breaker("mail").build().unwrap();
        mail.force_open();
        let tenants = Registry::<u32>::builder(CircuitBreaker::builder("tenants"))
            .name_with(|tenant| format!("tenant {tenant}"))
            .enlist(roster)
            .build()
            .unwrap();
        tenants.get_or_create(&1);
        tenants.get_or_create(&7).disable();
        Self {
            search: search.build().unwrap(),
            _hung: stock.try_acquire_owned().unwrap(),
            stock,
            prices: prices.build().unwrap(),
            offers: offers.build().unwrap(),
            begun: Instant::now(),
            _mail: mail,
            _tenants: tenants,
        }
    }

    /// Makes the calls of one moment. Moments are numbered from 0.
    pub(crate) fn step(&self, moment: u32) {
        let fails = moment * 45 % 100 >= 55;
        let _ = self
            .search
            .call(|| if fails { Err("timeout") } else { Ok(()) });
        let fails = fails && self.begun.elapsed() > GOOD_OFFERS;
        let _ = self
            .offers
            .call(|| if fails { Err("timeout") } else { Ok(()) });
        let took = if moment.is_multiple_of(10) {
            2 * LIMIT
        } else {
            LIMIT / 2
        };
        let permit = self.stock.try_acquire().unwrap();
        permit.record(Report::success().took(took));
        if moment.is_multiple_of(20) {
            self.prices.reset();
        } else {
            let _ = self.prices.call(|| Err::<(), _>("timeout"));
        }
    }
}

#[test]
fn of_the_calls_to_the_search_not_quite_half_fail() {
    let outage = Outage::new(&Roster::new());
    (0..1_000).for_each(|moment| outage.step(moment));
    assert_eq!(outage.search.snapshot().failure_rate(), Some(0.45));
}
