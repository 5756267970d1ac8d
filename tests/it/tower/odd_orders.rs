//! Services and calls that are polled, cloned and dropped in odd orders. Whatever the order, no
//! permit is lost, and each call has one outcome.
//!
//! The fuzz target `layer` drives the same operations.

use proptest::collection::vec;
use proptest::prelude::*;

use super::drive::{Operation, Reply, Settings, drive};

fn reply() -> impl Strategy<Value = Reply> {
    prop_oneof![
        4 => Just(Reply::Succeed),
        3 => Just(Reply::Fail),
        1 => Just(Reply::Panic),
        1 => Just(Reply::PanicInCall),
    ]
}

fn operation() -> impl Strategy<Value = Operation> {
    let number = 0..8_usize;
    prop_oneof![
        4 => number.clone().prop_map(Operation::PollReady),
        4 => (number.clone(), 0..4_u8, reply())
            .prop_map(|(service, polls, reply)| Operation::Call { service, polls, reply }),
        3 => number.clone().prop_map(Operation::PollCall),
        1 => number.clone().prop_map(Operation::DropCall),
        1 => number.clone().prop_map(Operation::Clone),
        1 => number.prop_map(Operation::DropService),
        2 => (1..4_000_u64).prop_map(Operation::Advance),
        1 => (1..4_000_u64).prop_map(Operation::Trip),
        1 => (0..4_u8).prop_map(Operation::Command),
        1 => (0..3_u8).prop_map(Operation::Gate),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(crate::effort::share_of(400)))]

    #[test]
    fn no_permit_is_lost_and_each_call_has_one_outcome(
        waits in any::<bool>(),
        counts_ready_errors in any::<bool>(),
        probes in 1..4_u32,
        operations in vec(operation(), 1..80),
    ) {
        let settings = Settings { waits, counts_ready_errors, probes };
        drive(settings, &operations);
    }
}
