//! A live page of all circuit breakers of a program, for [tripcurve] and [axum].
//!
//! ```no_run
//! use axum::Router;
//! use tripcurve::CircuitBreaker;
//! use tripcurve::registry::Roster;
//! use tripcurve_dashboard::Dashboard;
//!
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let roster = Roster::new();
//! let payments = CircuitBreaker::builder("payments").enlist(&roster).build()?;
//!
//! let dashboard = Dashboard::new(&roster).title("shop").router();
//! let app: Router = Router::new().nest("/breakers", dashboard);
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//! axum::serve(listener, app).await?; // open http://127.0.0.1:8080/breakers
//! # Ok(())
//! # }
//! ```
//!
//! The page shows the breakers of a [`Roster`], those in trouble first: why each one opened, how
//! near it is to a trip, and its last hour. The README has a picture and documents the JSON API.
//!
//! # Who may see it, and who may act
//! Every client that reaches the router sees all breakers. Put your own login around it, for
//! example with
//! `Router::layer`. Nobody can act on a breaker unless [`Dashboard::authorize`] has a function that
//! allows it.
//!
//! # Cost
//! Calls pay nothing. A task takes a snapshot of each breaker once a second while a page is open.
//! Otherwise it does so once in ten seconds, for the last hour. It reads each breaker once, however
//! many pages are open. Each breaker gets a listener, which takes about 6 KiB, and a history of
//! about 10 KiB. At most 5,000 breakers have a history.
//!
//! The task runs in the tokio runtime in which [`Dashboard::router`] is called, or else in that of
//! the first request. It ends when the router is dropped.
#![forbid(unsafe_code)]

mod actions;
mod api;
mod clock;
mod events;
pub mod fleet;
mod frame;
mod history;
mod page;
mod row;
mod sampler;
mod sessions;
mod shared;
mod stream;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use tripcurve::events::Transition;
use tripcurve::registry::{ControlGroup, HealthRule, Roster};

pub use actions::{Action, Attempt, Target};
use events::Feed;
use fleet::MemberStatus;
use shared::{Settings, Shared};

/// A live page of all breakers on a [`Roster`].
///
/// ```
/// use tripcurve::CircuitBreaker;
/// use tripcurve::registry::{ControlGroup, HealthRule, Roster};
/// use tripcurve_dashboard::{Attempt, Dashboard};
///
/// let (roster, group) = (Roster::new(), ControlGroup::new());
/// let payments = CircuitBreaker::builder("payments").enlist(&roster).build()?;
/// group.add(&payments);
///
/// let router: axum::Router = Dashboard::new(&roster)
///     .title("shop")
///     .health_rule(HealthRule::new().down_if_open("payments"))
///     .group("bank", &group)
///     .authorize(|attempt: &Attempt<'_>| {
///         // Your middleware has checked the session and knows the user.
///         let user = attempt.request.extensions.get::<String>();
///         user.cloned().ok_or_else(|| "log in to act".to_owned())
///     })
///     .router();
/// # Ok::<(), tripcurve::error::ConfigError>(())
/// ```
#[must_use = "a dashboard does nothing until its router is served"]
pub struct Dashboard {
    roster: Roster,
    feed: Arc<Feed>,
    settings: Settings,
}

impl Dashboard {
    /// Makes a dashboard that shows the breakers of a roster and lets nobody act.
    pub fn new(roster: &Roster) -> Self {
        Self {
            roster: roster.clone(),
            feed: Arc::default(),
            settings: Settings {
                title: "breakers".to_owned(),
                rule: HealthRule::new(),
                groups: Vec::new(),
                in_flight: HashMap::new(),
                fleets: Vec::new(),
                authorize: None,
            },
        }
    }

    /// Sets the name of the program, for the head of the page (default `breakers`).
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.settings.title = title.into();
        self
    }

    /// Sets the rule of `/health` (default [`HealthRule::new`]).
    pub fn health_rule(mut self, rule: HealthRule) -> Self {
        self.settings.rule = rule;
        self
    }

    /// Lets authorized users isolate a group of breakers.
    pub fn group(mut self, name: impl Into<String>, group: &ControlGroup) -> Self {
        self.settings.groups.push((name.into(), group.clone()));
        self
    }

    /// Shows how many calls of the breakers of this name are in flight.
    ///
    /// A closed breaker doesn't know it. A bulkhead does: pass `move || bulkhead.in_flight()`. A
    /// layer for tower counts with `count_in_flight`: pass `move || calls.count()`. The numbers of
    /// several functions of one name are added.
    pub fn in_flight(
        mut self,
        name: impl Into<String>,
        count: impl Fn() -> u32 + Send + Sync + 'static,
    ) -> Self {
        let sources = self.settings.in_flight.entry(name.into()).or_default();
        sources.push(Box::new(count));
        self
    }

    /// Shows the fleets that breakers have joined.
    ///
    /// `source` tells what the program's member of fleets knows. It is called once a second, and
    /// must not block. For a `Fleet` of `tripcurve-fleet`, pass `fleet.for_dashboard()`, which
    /// needs that package's feature `dashboard`. A breaker of several sources shows the first.
    ///
    /// ```
    /// use tripcurve::CircuitBreaker;
    /// use tripcurve::registry::Roster;
    /// use tripcurve_dashboard::Dashboard;
    /// use tripcurve_dashboard::fleet::{JoinedBreaker, MemberStatus};
    ///
    /// let roster = Roster::new();
    /// let payments = CircuitBreaker::builder("payments").enlist(&roster).build()?;
    /// let dashboard = Dashboard::new(&roster).fleet(|| {
    ///     let mut payments = JoinedBreaker::new("payments");
    ///     payments.members = 20;
    ///     MemberStatus::new(vec![payments])
    /// });
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    pub fn fleet(mut self, source: impl Fn() -> MemberStatus + Send + Sync + 'static) -> Self {
        self.settings.fleets.push(Box::new(source));
        self
    }

    /// Lets users act on breakers and groups, if a function allows it.
    ///
    /// The function returns the actor's name, which the event of the action shows. Or it returns a
    /// reason, which the user gets with a 403. It runs before each action, and must not
    /// block. The dashboard has then already refused requests that other sites' pages made.
    ///
    /// Without this function the page has no buttons, and each attempt gets a 403.
    pub fn authorize(
        mut self,
        authorize: impl Fn(&Attempt<'_>) -> Result<String, String> + Send + Sync + 'static,
    ) -> Self {
        self.settings.authorize = Some(Box::new(authorize));
        self
    }

    /// Returns a listener for the template of a registry.
    ///
    /// With it, the time line shows the transitions of the registry's breakers.
    ///
    /// The dashboard listens by itself to breakers that are on the roster one by one. Give this
    /// listener only to templates:
    ///
    /// ```
    /// use tripcurve::CircuitBreaker;
    /// use tripcurve::registry::{Registry, Roster};
    /// use tripcurve_dashboard::Dashboard;
    ///
    /// let roster = Roster::new();
    /// let dashboard = Dashboard::new(&roster);
    /// let template = CircuitBreaker::builder("tenants").on_transition(dashboard.listener());
    /// let tenants = Registry::<String>::builder(template).enlist(&roster).build()?;
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    #[must_use = "a listener does nothing until a builder gets it"]
    pub fn listener(&self) -> impl Fn(&Transition) + Clone + Send + Sync + 'static {
        let feed = Arc::clone(&self.feed);
        move |transition: &Transition| feed.tell(None, transition)
    }

    /// Makes the router, to nest at any path.
    ///
    /// | path | answer |
    /// |---|---|
    /// | `/` | the page |
    /// | `/api/breakers` | all breakers and registries |
    /// | `/api/breakers/{name}` | one of them, with its last hour |
    /// | `/api/events` | transitions and actions |
    /// | `/api/stream` | changes, as server-sent events |
    /// | `/api/about` | the title, the groups, and whether users may act |
    /// | `/health` | [`Roster::health`], with 503 if it is down |
    pub fn router<S: Clone + Send + Sync + 'static>(self) -> Router<S> {
        let shared = Shared::new(self.roster, self.feed, self.settings);
        Router::new()
            .route("/", get(page::index))
            .route("/{file}", get(page::file))
            .route("/health", get(api::health))
            .route("/api/about", get(api::about))
            .route("/api/breakers", get(api::breakers))
            .route("/api/breakers/{name}", get(api::breaker))
            .route("/api/breakers/{name}/actions", post(actions::on_breaker))
            .route("/api/groups/{name}/actions", post(actions::on_group))
            .route("/api/events", get(api::events))
            .route("/api/stream", get(api::stream))
            .with_state(shared)
    }
}

/// Compiles the README's code.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

impl fmt::Debug for Dashboard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dashboard")
            .field("title", &self.settings.title)
            .field("roster", &self.roster)
            .field("may_act", &self.settings.authorize.is_some())
            .finish_non_exhaustive()
    }
}
