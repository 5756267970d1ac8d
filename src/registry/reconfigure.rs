//! Another template for breakers that are in use.

use std::hash::Hash;

use super::Registry;
use crate::breaker::CircuitBreaker;
use crate::builder::CircuitBreakerBuilder;
use crate::error::ConfigError;
use crate::registry::map_guard::guarded;

impl<K, C> Registry<K, C>
where
    K: Hash + Eq + Clone,
    C: Clone,
{
    /// Puts the settings of another template in the place of the present ones, while calls run: in all breakers that
    /// there are, each as [`CircuitBreaker::reconfigure`] says, and in those that are made from then on.
    ///
    /// The registry keeps its clock, its classifier, its listeners, how many may wait, its
    /// capacity, its names and its group. [`enabled`](CircuitBreakerBuilder::enabled) and
    /// [`metrics_only`](CircuitBreakerBuilder::metrics_only) switch all breakers off and on, as in
    /// [`CircuitBreaker::reconfigure`]. A template that [starts](CircuitBreakerBuilder::start_in) open or
    /// half-open holds for breakers that are made later.
    ///
    /// When it returns, all breakers in the registry are as this template says, or a later one, those included that
    /// were [reconfigured](CircuitBreaker::reconfigure) alone. Of several
    /// threads that bring templates at the same time, one is the last, and all breakers end as its says. No breaker is
    /// made, dropped or counted as used for it. Who holds one that was [removed](Self::remove) reconfigures it himself.
    ///
    /// # Errors
    /// The first setting that makes no sense or can't be applied to breakers in use, as of
    /// [`CircuitBreaker::reconfigure`]; or another name than that of the template before, unless
    /// [`name_with`](crate::RegistryBuilder::name_with) names the breakers. Then nothing has changed. Never panics.
    ///
    /// # Cost
    /// For each breaker that of [`CircuitBreaker::reconfigure`]. Lookups go on meanwhile as ever; of those who use a key for
    /// the first time some bring their breaker into line themselves.
    ///
    /// ```
    /// use tripcurve::registry::Registry;
    /// use tripcurve::{CircuitBreaker, State, TripPolicy};
    ///
    /// let template = |limit| {
    ///     CircuitBreaker::builder("search").trip_when(TripPolicy::consecutive_failures(limit))
    /// };
    /// let tenants = Registry::<u32>::builder(template(5)).build()?;
    /// for _ in 0..2 {
    ///     let _ = tenants.get_or_create(&7).call(|| Err::<(), _>("no"));
    /// }
    /// tenants.reconfigure(template(3))?;
    /// let _ = tenants.get_or_create(&7).call(|| Err::<(), _>("no"));
    /// assert_eq!(tenants.get_or_create(&7).state(), State::Open);
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    #[allow(
        clippy::needless_pass_by_value,
        reason = "as that of a breaker takes it"
    )]
    pub fn reconfigure(&self, template: CircuitBreakerBuilder) -> Result<(), ConfigError> {
        let breakers = &*self.0;
        let names_each = breakers.name.is_some();
        let combine = |present: &CircuitBreakerBuilder<C>| present.with_settings_of(&template);
        template.check_what_cannot_change()?;
        breakers.templates.with(|present| {
            present.check_kept_by(&template)?;
            if !names_each {
                template.check_name(present.name())?;
            }
            combine(present).checked().map(drop)
        })?;
        breakers.templates.replace(combine);
        let places = &breakers.places;
        guarded!(places, |guard| for place in places.values(&guard) {
            let number = place.number();
            let bring = |template: &_| bring_into_line(place.peek(), number, template);
            breakers.templates.align(bring);
        });
        Ok(())
    }
}

/// Gives a breaker, which was made as the `number`th, the settings of a template that was accepted.
pub(super) fn bring_into_line<C: Clone>(
    breaker: &CircuitBreaker<C>,
    number: u64,
    template: &CircuitBreakerBuilder<C>,
) {
    let name = breaker.shared().core.name().clone();
    let settings = template.clone().one_of_many(Some(name), number);
    // The same settings were accepted before, and the name is its own.
    let _always = breaker.bring_into_line(settings);
}
