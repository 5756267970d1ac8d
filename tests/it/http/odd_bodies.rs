//! Bodies that are polled in odd orders and dropped at any frame. Whatever the order, no permit is
//! lost, and each call has one outcome.
//!
//! The fuzz target `layer` drives the same operations.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::drive::{BodyOperation, Piece, Plan, drive_bodies};

/// Codes of gRPC, without the one that times out.
fn code() -> impl Strategy<Value = u8> {
    prop::sample::select(vec![0, 1, 2, 5, 8, 10, 13, 14, 15, 16, 17, 255])
}

fn piece() -> impl Strategy<Value = Piece> {
    prop_oneof![
        6 => (0..4_u8).prop_map(Piece::Data),
        2 => option::of(code()).prop_map(Piece::Trailers),
        2 => Just(Piece::Pending),
        1 => Just(Piece::Error),
        1 => Just(Piece::Panic),
    ]
}

fn plan() -> impl Strategy<Value = Plan> {
    (
        prop::bool::weighted(0.1),
        prop_oneof![8 => Just(200), 1 => Just(204), 1 => Just(404), 1 => Just(502)],
        option::weighted(0.2, code()),
        option::weighted(0.3, 0..6_u8),
        option::weighted(0.3, 0..6_u8),
        any::<bool>(),
        vec(piece(), 0..5),
    )
        .prop_map(
            |(is_head, status, code, content_length, promised, tells_end, pieces)| Plan {
                is_head,
                status,
                code,
                content_length,
                promised,
                tells_end,
                pieces: pieces.into(),
            },
        )
}

fn operation() -> impl Strategy<Value = BodyOperation> {
    let number = 0..8_usize;
    prop_oneof![
        4 => plan().prop_map(BodyOperation::Call),
        8 => number.clone().prop_map(BodyOperation::Poll),
        2 => number.prop_map(BodyOperation::Drop),
        2 => (1..2_000_u64).prop_map(BodyOperation::Advance),
        1 => Just(BodyOperation::Trip),
        1 => Just(BodyOperation::Reset),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(crate::effort::share_of(400)))]

    #[test]
    fn no_permit_of_a_body_is_lost_and_each_call_has_one_outcome(
        is_grpc in any::<bool>(),
        operations in vec(operation(), 1..80),
    ) {
        drive_bodies(is_grpc, &operations);
    }
}
