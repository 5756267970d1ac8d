//! Who tells a task that waits that its time is over.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// Ready when a time is over.
pub(crate) type Alarm = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Who tells a task that its time is over.
#[derive(Clone, Default)]
pub(crate) enum Timer {
    /// The helper thread of `futures-timer`, which serves any runtime.
    #[default]
    Helper,
    /// The caller's, most likely that of its runtime.
    Given(Arc<dyn Fn(Duration) -> Alarm + Send + Sync>),
}

impl Timer {
    pub(crate) fn given<S>(after: impl Fn(Duration) -> S + Send + Sync + 'static) -> Self
    where
        S: Future + Send + 'static,
    {
        Self::Given(Arc::new(move |wait| {
            let alarm = after(wait);
            Box::pin(async move {
                alarm.await;
            })
        }))
    }

    pub(crate) fn after(&self, wait: Duration) -> Alarm {
        match self {
            Self::Helper => Box::pin(futures_timer::Delay::new(wait)),
            Self::Given(after) => after(wait),
        }
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Helper => "helper",
            Self::Given(_) => "given",
        })
    }
}
