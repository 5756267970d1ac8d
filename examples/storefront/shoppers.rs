//! The shoppers. They come whether the storefront keeps up or not.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep_until;

use crate::dice::Dice;
use crate::script::{LENGTH, Script};
use crate::storefront::Storefront;

/// The number of different shoppers.
const CROWD: f64 = 8_000.0;

/// Sends `rate` shoppers per second at random times until the script ends. Then waits for the last
/// pages. No shopper waits for another's page. So when answers stop, shoppers pile up as in a real
/// shop.
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
        // Squared, so that some shoppers come often. Their last recommendations are in the cache.
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
