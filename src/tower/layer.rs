//! The layer and its settings.

use std::fmt;

use tower_layer::Layer;

use super::classifier::{ClassifyBy, OwnClassifier};
use super::in_flight::CallsInFlight;
use super::rejection::Typed;
use super::service::CircuitBreakerService;
use super::while_open::{RejectWhileOpen, WaitWhileOpen};
use crate::breaker::CircuitBreaker;
use crate::clock::sleep::Sleep;

/// Puts a breaker around a service of tower.
///
/// All services that the layer makes share the breaker, and so do clones of the layer and of the
/// services. axum's `Router::layer`, for example, calls `layer` for each route.
///
/// - `R` is what a rejection becomes: [`reject_with`](Self::reject_with).
/// - `C` says when calls end and how they count. It is the breaker's classifier, the layer's own by
///   [`classify`](Self::classify), or one for HTTP or gRPC by `http` and `grpc`.
/// - `B` is the breaker, or how to find it: [`new`](Self::new) and `key_by`.
/// - `W` is what callers do while the breaker is open: [`backpressure`](Self::backpressure).
///
/// The layer has no state that threads share, except the breaker. What `poll_ready` has noted
/// belongs to one service, and a clone starts without it.
///
/// # Cost
/// `poll_ready` costs an [`ask`](CircuitBreaker::ask), and `call` a
/// [`try_acquire_owned`](CircuitBreaker::try_acquire_owned), which counts a reference. A call that
/// passes allocates nothing, and neither does a rejection that is [`Typed`].
///
/// ```
/// use tower::{Layer, ServiceExt};
/// use tripcurve::tower::CircuitBreakerLayer;
/// use tripcurve::{CallError, CircuitBreaker};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # runtime.block_on(async {
/// let breaker = CircuitBreaker::new("prices");
/// let price = tower::service_fn(|book: u32| async move { Err::<u32, _>(book) });
/// let client = CircuitBreakerLayer::new(&breaker).layer(price);
///
/// assert_eq!(client.clone().oneshot(7).await, Err(CallError::Inner(7)));
/// breaker.force_open();
/// let error = client.oneshot(7).await.unwrap_err();
/// assert!(error.rejected().is_some());
/// # });
/// ```
#[derive(Clone)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct CircuitBreakerLayer<
    R = Typed,
    C = OwnClassifier,
    B = CircuitBreaker,
    W = RejectWhileOpen,
> {
    pub(super) rejection: R,
    pub(super) classifier: C,
    pub(super) breakers: B,
    pub(super) while_open: W,
    pub(super) counting: Counting,
}

/// What a layer counts beside its calls' outcomes.
#[derive(Clone, Default)]
pub(super) struct Counting {
    pub(super) ready_errors: bool,
    pub(super) in_flight: Option<CallsInFlight>,
}

impl<D: Clone> CircuitBreakerLayer<Typed, OwnClassifier, CircuitBreaker<D>> {
    /// Makes a layer with one breaker for all requests.
    ///
    /// A rejection is [`CallError::Rejected`](crate::CallError::Rejected). Results count as the
    /// breaker's classifier says; by default `Err` is a failure.
    pub fn new(breaker: &CircuitBreaker<D>) -> Self {
        Self {
            rejection: Typed,
            classifier: OwnClassifier,
            breakers: breaker.clone(),
            while_open: RejectWhileOpen,
            counting: Counting::default(),
        }
    }
}

impl<R, B, W> CircuitBreakerLayer<R, OwnClassifier, B, W> {
    /// Classifies the results with `classifier`, in place of the breaker's own.
    ///
    /// The classifier is cloned for each call. A closure must be `Clone`, and names its argument:
    ///
    /// ```
    /// use tower::{Layer, ServiceExt};
    /// use tripcurve::tower::CircuitBreakerLayer;
    /// use tripcurve::{CircuitBreaker, Outcome};
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    /// # runtime.block_on(async {
    /// let breaker = CircuitBreaker::new("search");
    /// let layer = CircuitBreakerLayer::new(&breaker).classify(
    ///     |result: &Result<u16, std::io::Error>| match result {
    ///         Ok(500..) | Err(_) => Outcome::Failure,
    ///         Ok(_) => Outcome::Success,
    ///     },
    /// );
    /// let search = layer.layer(tower::service_fn(|_: &str| async { Ok(503) }));
    /// assert!(matches!(search.oneshot("Emma").await, Ok(503)));
    /// assert_eq!(breaker.snapshot().failures(), 1);
    /// # });
    /// ```
    pub fn classify<T>(self, classifier: T) -> CircuitBreakerLayer<R, ClassifyBy<T>, B, W> {
        self.with_calls(|OwnClassifier| ClassifyBy(classifier))
    }
}

impl<R, C, B, W> CircuitBreakerLayer<R, C, B, W> {
    /// Chooses what a rejection becomes: [`Typed`], [`Boxed`](super::Boxed),
    /// [`respond`](super::respond), or a [`RejectWith`](super::RejectWith) of your own.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower::{ServiceBuilder, ServiceExt};
    /// use tripcurve::tower::{Boxed, CircuitBreakerLayer};
    /// use tripcurve::{CircuitBreaker, Rejected};
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    /// # runtime.block_on(async {
    /// let breaker = CircuitBreaker::new("search");
    /// let search = ServiceBuilder::new()
    ///     .buffer(16)
    ///     .layer(CircuitBreakerLayer::new(&breaker).reject_with(Boxed))
    ///     .timeout(Duration::from_secs(2))
    ///     .service(tower::service_fn(|_: &str| async { Ok::<_, std::io::Error>(42) }));
    /// breaker.force_open();
    /// assert!(search.oneshot("Emma").await.unwrap_err().is::<Rejected>());
    /// # });
    /// ```
    pub fn reject_with<T>(self, rejection: T) -> CircuitBreakerLayer<T, C, B, W> {
        CircuitBreakerLayer {
            rejection,
            classifier: self.classifier,
            breakers: self.breakers,
            while_open: self.while_open,
            counting: self.counting,
        }
    }

    pub(super) fn with_calls<T>(
        self,
        make: impl FnOnce(C) -> T,
    ) -> CircuitBreakerLayer<R, T, B, W> {
        CircuitBreakerLayer {
            rejection: self.rejection,
            classifier: make(self.classifier),
            breakers: self.breakers,
            while_open: self.while_open,
            counting: self.counting,
        }
    }

    #[cfg(feature = "registry")]
    pub(super) fn with_breakers<T>(
        self,
        make: impl FnOnce(B) -> T,
    ) -> CircuitBreakerLayer<R, C, T, W> {
        CircuitBreakerLayer {
            rejection: self.rejection,
            classifier: self.classifier,
            breakers: make(self.breakers),
            while_open: self.while_open,
            counting: self.counting,
        }
    }
}

impl<R, C, B, W> CircuitBreakerLayer<R, C, B, W> {
    /// Counts the calls in flight in `in_flight`, such as for a gauge.
    ///
    /// Layers may share a counter. It then has the sum of their calls. A layer with `key_by` counts
    /// the calls of all keys together. By default no calls in flight are counted.
    ///
    /// The counter says what `Collector::in_flight` of the feature `metrics` asks for.
    ///
    /// # Cost
    /// A call writes one more word, at its begin and at its end. All threads share the word.
    ///
    /// ```
    /// use tower::{Layer, ServiceExt};
    /// use tripcurve::CircuitBreaker;
    /// use tripcurve::tower::{CallsInFlight, CircuitBreakerLayer};
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    /// # runtime.block_on(async {
    /// let in_flight = CallsInFlight::new();
    /// let breaker = CircuitBreaker::new("search");
    /// let layer = CircuitBreakerLayer::new(&breaker).count_in_flight(&in_flight);
    /// let search = layer.layer(tower::service_fn(|_: &str| async { Ok::<_, String>(42) }));
    ///
    /// let call = search.oneshot("Emma");
    /// assert_eq!(in_flight.count(), 0);
    /// assert_eq!(call.await, Ok(42));
    /// assert_eq!(in_flight.count(), 0);
    /// # });
    /// ```
    pub fn count_in_flight(mut self, in_flight: &CallsInFlight) -> Self {
        self.counting.in_flight = Some(in_flight.clone());
        self
    }
}

impl<R, C, D, W> CircuitBreakerLayer<R, C, CircuitBreaker<D>, W> {
    /// Lets callers wait while the breaker is open: `poll_ready` is pending until the breaker would
    /// let a call through.
    ///
    /// The wait ends at the end of the open time and at every transition, such as a
    /// [`reset`](CircuitBreaker::reset); see [`CircuitBreaker::until_admitting`]. It takes no
    /// permit. If several callers wait, all of them become ready, and the first call is the probe.
    /// A caller that comes late is rejected in `call`.
    ///
    /// Use it for the endpoints of a balancer. Without it, an open endpoint answers at once, so it
    /// looks like the fastest one. A balancer by load then prefers it. With it, the balancer passes
    /// the endpoint over until its open time ends. The next call is then the probe.
    ///
    /// A `Buffer` around the layer fills while the breaker is open, and then holds up all its
    /// callers. Put a `load_shed` around the buffer, so that the callers are rejected instead.
    ///
    /// `timer` makes the sleeps, such as [`tokio::time::sleep`]; see [`Sleep`].
    ///
    /// # Cost
    /// Nothing while the breaker lets calls through. A wait allocates its future. A service that
    /// may wait is `Send`, but not `Sync`, because timers needn't be.
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use tower::{Layer, ServiceExt};
    /// use tripcurve::CircuitBreaker;
    /// use tripcurve::tower::CircuitBreakerLayer;
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    /// # runtime.block_on(async {
    /// let breaker = CircuitBreaker::new("replica 1");
    /// let layer = CircuitBreakerLayer::new(&breaker).backpressure(tokio::time::sleep);
    /// let replica = layer.layer(tower::service_fn(|_: ()| async { Ok::<_, String>(42) }));
    ///
    /// let begin = Instant::now();
    /// breaker.trip(Duration::from_millis(5));
    /// assert_eq!(replica.oneshot(()).await, Ok(42));
    /// assert!(begin.elapsed() >= Duration::from_millis(5));
    /// # });
    /// ```
    pub fn backpressure<Z>(
        self,
        timer: Z,
    ) -> CircuitBreakerLayer<R, C, CircuitBreaker<D>, WaitWhileOpen<Z>>
    where
        Z: Sleep + Clone + Send + Sync + 'static,
    {
        CircuitBreakerLayer {
            rejection: self.rejection,
            classifier: self.classifier,
            breakers: self.breakers,
            while_open: WaitWhileOpen(timer),
            counting: self.counting,
        }
    }

    /// Counts an error of the inner service's `poll_ready` as a call with that error.
    ///
    /// By default it counts for nothing, because no call was made. A service whose `poll_ready`
    /// fails is gone, such as a buffer whose worker has ended. That says nothing about the
    /// dependency. With this setting the classifier decides. While the breaker is half-open, the
    /// error takes the place of a probe, if one is free.
    ///
    /// ```
    /// use std::future::{Ready, ready};
    /// use std::task::{Context, Poll};
    /// use tower::{Layer, Service, ServiceExt};
    /// use tripcurve::CircuitBreaker;
    /// use tripcurve::tower::CircuitBreakerLayer;
    ///
    /// struct Gone;
    ///
    /// impl Service<()> for Gone {
    ///     type Response = ();
    ///     type Error = &'static str;
    ///     type Future = Ready<Result<(), &'static str>>;
    ///
    ///     fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
    ///         Poll::Ready(Err("gone"))
    ///     }
    ///
    ///     fn call(&mut self, _: ()) -> Self::Future {
    ///         ready(Err("gone"))
    ///     }
    /// }
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    /// # runtime.block_on(async {
    /// let breaker = CircuitBreaker::new("gone");
    /// let layer = CircuitBreakerLayer::new(&breaker).count_ready_errors();
    /// assert!(layer.layer(Gone).ready().await.is_err());
    /// assert_eq!(breaker.snapshot().failures(), 1);
    /// # });
    /// ```
    pub fn count_ready_errors(mut self) -> Self {
        self.counting.ready_errors = true;
        self
    }
}

impl<S, R, C, B, W> Layer<S> for CircuitBreakerLayer<R, C, B, W>
where
    R: Clone,
    C: Clone,
    B: Clone,
    W: super::while_open::WhileOpen + Clone,
{
    type Service = CircuitBreakerService<S, R, C, B, W>;

    fn layer(&self, inner: S) -> Self::Service {
        CircuitBreakerService::new(inner, self.clone())
    }
}

impl<R, C, B: fmt::Debug, W> fmt::Debug for CircuitBreakerLayer<R, C, B, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreakerLayer")
            .field("breakers", &self.breakers)
            .field("counts_ready_errors", &self.counting.ready_errors)
            .field("in_flight", &self.counting.in_flight)
            .finish_non_exhaustive()
    }
}
