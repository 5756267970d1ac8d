//! What a snapshot shows of the present generation.

use tripcurve::snapshot::Snapshot;

/// The snapshot without its totals, which outlast the generation, as text.
pub(crate) fn shown_of_generation(snapshot: &Snapshot) -> String {
    let text = format!("{snapshot:?}");
    let (before, after) = text.split_once("totals: Totals {").expect("it has totals");
    let (_, after) = after.split_once('}').expect("they end");
    format!("{before}{after}")
}
