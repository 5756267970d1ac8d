//! Other breakers, re-implemented from their sources.
//!
//! A result can arrive in a later state than the one that let its call through. Each peer treats
//! such a result as its original does. Only gobreaker drops it.

mod accrual;
mod catalogue;
mod count_window;
mod counts;
mod given;
mod rules;
mod time_window;

pub mod adaptive_throttling;
pub mod envoy;
pub mod failsafe_rs;
pub mod finagle;
pub mod gobreaker;
pub mod hystrix;
pub mod polly;
pub mod recloser;
pub mod resilience4j;
pub mod semian;
pub mod sentinel;

pub use adaptive_throttling::AdaptiveThrottling;
pub use catalogue::{Breakers, BreakersError, Entry, catalogue};
pub use envoy::Envoy;
pub use failsafe_rs::FailsafeRs;
pub use finagle::Finagle;
pub use given::GivenError;
pub use gobreaker::Gobreaker;
pub use hystrix::Hystrix;
pub use polly::Polly;
pub use recloser::Recloser;
pub use resilience4j::Resilience4j;
pub use rules::Rules;
pub use semian::Semian;
pub use sentinel::Sentinel;

use crate::breaker::{Breaker, Nanos};

const MILLISECOND: Nanos = 1_000_000;
const SECOND: Nanos = 1_000 * MILLISECOND;

/// An operation on any kind of breaker.
pub trait Visit {
    /// The operation's result.
    type Output;

    /// Runs the operation.
    fn visit<B: Breaker>(self, breaker: B) -> Self::Output;
}

macro_rules! peers {
    ($($peer:ident),+ $(,)?) => {
        /// Any of the other breakers.
        #[derive(Clone, Debug)]
        pub enum Peer {
            $(
                #[doc = concat!("See [`", stringify!($peer), "`].")]
                $peer($peer),
            )+
        }

        impl Peer {
            /// Passes the breaker to the visitor by its own type. So the visitor is compiled for
            /// each type, and calls need no dynamic dispatch.
            pub fn run<V: Visit>(self, visitor: V) -> V::Output {
                match self {
                    $(Self::$peer(breaker) => visitor.visit(breaker),)+
                }
            }
        }

        $(
            impl From<$peer> for Peer {
                fn from(breaker: $peer) -> Self {
                    Self::$peer(breaker)
                }
            }
        )+
    };
}

peers!(
    AdaptiveThrottling,
    Envoy,
    FailsafeRs,
    Finagle,
    Gobreaker,
    Hystrix,
    Polly,
    Recloser,
    Resilience4j,
    Semian,
    Sentinel,
);
