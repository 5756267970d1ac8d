//! The shoppers: they come whether or not the storefront keeps up.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep_until;

use crate::dice::Dice;
use crate::script::{LENGTH, Script};
use crate::storefront::Storefront;

/// How many different shoppers there are.
const CROWD: f64 = 8_000.0;

/// Sends `rate` shoppers a second, at random moments, until the script ends;
/// then waits for the last pages. None waits for another's page, so when
/// answers stop, shoppers pile up as they would in life.
pub(crate) async fn come(
    storefront: Arc<Storefront>,
    script: Script,
    rate: u32,
    seed: u64,
) -> Result<(), JoinError> {
    let dice = Dice::new(seed);
    let mut pages = JoinSet::new();
    let mut arrival = Duration::ZERO;
    loop {
        let gap = -(1.0 - dice.fraction()).ln() / f64::from(rate);
        arrival += Duration::from_secs_f64(gap);
        if arrival >= LENGTH {
            break;
        }
        // Squared, so that some shoppers come often: it's they who find
        // their last recommendations in the cache.
        let shopper = pick(dice.fraction().powi(2) * CROWD);
        sleep_until(script.instant(arrival)).await;
        pages.spawn(Arc::clone(&storefront).serve(shopper, arrival));
        while let Some(served) = pages.try_join_next() {
            served?;
        }
    }
    while let Some(served) = pages.join_next().await {
        served?;
    }
    Ok(())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it lies between 0 and CROWD"
)]
fn pick(shopper: f64) -> u32 {
    shopper as u32
}
