//! Replaces the template of a registry whose breakers are in use.

use std::hash::Hash;

use super::Registry;
use crate::{
    breaker::CircuitBreaker, builder::CircuitBreakerBuilder, error::ConfigError,
    registry::map_guard::guarded,
};

impl<K, C> Registry<K, C>
where
    K: Hash + Eq + Clone,
    C: Clone,
{
    /// Replaces the settings of all breakers by those of another template, while calls run.
    ///
    /// Breakers that exist change as in [`CircuitBreaker::reconfigure`]. Breakers that are made
    /// later have the new settings.
    ///
    /// The registry keeps its clock, its classifier, its listeners, how many calls may wait, its
    /// capacity, its names and its group. [`enabled`](CircuitBreakerBuilder::enabled) and
    /// [`metrics_only`](CircuitBreakerBuilder::metrics_only) switch all breakers off and on, as in
    /// [`CircuitBreaker::reconfigure`]. A template that [starts](CircuitBreakerBuilder::start_in)
    /// open or half-open holds for breakers that are made later.
    ///
    /// When it returns, all breakers in the registry follow this template, or a later one. This
    /// includes breakers that were [reconfigured](CircuitBreaker::reconfigure) alone. If several
    /// threads bring templates at the same time, one template is the last, and all breakers end
    /// with it.
    ///
    /// The method makes and evicts no breaker, and doesn't count as a use. It doesn't reach a
    /// breaker that was [removed](Self::remove). The holder of such a breaker reconfigures it.
    ///
    /// # Errors
    /// The first setting that makes no sense or can't be applied to breakers in use, as in
    /// [`CircuitBreaker::reconfigure`]. Another name than that of the former template is such a
    /// setting, unless [`name_with`](crate::RegistryBuilder::name_with) names the breakers. After
    /// an error nothing has changed. This method never panics.
    ///
    /// # Cost
    /// The cost of [`CircuitBreaker::reconfigure`] for each breaker. Lookups continue meanwhile.
    /// Some threads that use a key for the first time bring their breaker into line themselves.
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

/// Gives the breaker with this `number` the settings of a template that was accepted.
pub(super) fn bring_into_line<C: Clone>(
    breaker: &CircuitBreaker<C>,
    number: u64,
    template: &CircuitBreakerBuilder<C>,
) {
    let name = breaker.shared().core.name().clone();
    let settings = template.clone().one_of_many(Some(name), number);
    // This can't fail: these settings were accepted before, and the name is the breaker's own.
    let _always = breaker.bring_into_line(settings);
}
