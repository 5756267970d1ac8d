//! A new template for a registry, brought while breakers are made.

use loom_tests::sync::{Arc, AtomicU64, Ordering};
use loom_tests::{UNBOUNDED, model, preemptions, race};
use tripcurve::__model::Templates;

/// A registry with room for two breakers. A breaker has the settings that were stored last. A
/// template is a number.
struct Registry {
    templates: Templates<u64>,
    places: [RegistryEntry; 2],
}

#[derive(Default)]
struct RegistryEntry {
    /// The breaker's number, once it is in the map.
    number: AtomicU64,
    settings: AtomicU64,
}

impl Registry {
    fn new() -> Self {
        Self {
            templates: Templates::new(1),
            places: Default::default(),
        }
    }

    fn make(&self, key: usize) {
        let RegistryEntry { number, settings } = &self.places[key];
        let own = self.templates.make(|template, number| {
            // Relaxed: no other thread has the breaker yet.
            settings.store(*template, Ordering::Relaxed);
            number
        });
        // Release: like the map's insertion. It pairs with the Acquire in `bring`. Without it,
        // `bring` might not see the breaker's own settings.
        number.store(own, Ordering::Release);
        self.templates.follow(own, |template| {
            // Release: weaker than a breaker's own exchange, so the template's fences must do the
            // rest.
            settings.store(*template, Ordering::Release);
        });
    }

    fn bring(&self, template: u64) {
        self.templates.replace(|_| template);
        for RegistryEntry { number, settings } in &self.places {
            // Acquire: like the map's reading. It pairs with the Release in `make`. Without it, the
            // breaker's own settings might not be visible yet.
            if number.load(Ordering::Acquire) > 0 {
                // Release: weaker than a breaker's own exchange, so the template's fences must do
                // the rest.
                let bring = |template: &u64| settings.store(*template, Ordering::Release);
                self.templates.align(bring);
            }
        }
    }

    fn settings(&self, key: usize) -> u64 {
        // Relaxed: the other threads have ended.
        self.places[key].settings.load(Ordering::Relaxed)
    }
}

/// A breaker is made while another template is brought.
///
/// Fails when: there is no fence in `replace` or in `follow`; `make` reads the template before it
/// has a number, or takes a number relaxed.
#[test]
fn a_breaker_that_is_made_while_another_template_comes_has_it() {
    model(UNBOUNDED, || {
        let registry = Arc::new(Registry::new());
        race(
            &registry,
            [
                |registry: &Registry| registry.make(0),
                |registry| registry.bring(2),
            ],
        );
        assert_eq!(registry.settings(0), 2);
    });
}

/// Two breakers are made while another template is brought. One of them may be above the line.
///
/// Fails when: there is no fence in `replace` or in `follow`; `make` reads the template before it
/// has a number, or takes a number relaxed.
#[test]
fn breakers_that_are_made_while_another_template_comes_have_it() {
    model(preemptions(3).full(4), || {
        let registry = Arc::new(Registry::new());
        race(
            &registry,
            [
                |registry: &Registry| registry.make(0),
                |registry| registry.make(1),
                |registry| registry.bring(2),
            ],
        );
        assert_eq!([registry.settings(0), registry.settings(1)], [2, 2]);
    });
}

/// Two templates come at once, for a breaker that exists.
///
/// Fails when: `align` doesn't look again whether another template has come, or has no fence.
#[test]
fn of_two_templates_the_last_one_holds() {
    model(preemptions(3).full(4), || {
        let registry = Registry::new();
        registry.make(0);
        let registry = Arc::new(registry);
        race(
            &registry,
            [
                |registry: &Registry| registry.bring(2),
                |registry| registry.bring(3),
            ],
        );
        let last = registry.templates.with(|template| *template);
        assert_eq!(registry.settings(0), last);
    });
}
