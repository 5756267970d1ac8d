//! The classifier of a service's results.

/// Results count as the breaker's own [classifier](crate::CircuitBreakerBuilder::classify) says.
///
/// This is the default of a layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnClassifier;

/// Results count as the layer's classifier says; made by
/// [`CircuitBreakerLayer::classify`](super::CircuitBreakerLayer::classify).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassifyBy<C>(pub(super) C);

/// Chooses between the breaker's classifier and the layer's.
pub trait PickClassifier<Own> {
    /// The type of the chosen classifier.
    type Picked;

    /// Returns a copy of the chosen classifier.
    fn pick(&self, own: &Own) -> Self::Picked;
}

impl<Own: Clone> PickClassifier<Own> for OwnClassifier {
    type Picked = Own;

    #[inline]
    fn pick(&self, own: &Own) -> Own {
        own.clone()
    }
}

impl<Own, C: Clone> PickClassifier<Own> for ClassifyBy<C> {
    type Picked = C;

    #[inline]
    fn pick(&self, _: &Own) -> C {
        self.0.clone()
    }
}
