use super::*;
use proptest::prelude::*;

fn test(needed: f64) -> Test {
    let breaker = tripcurve::CircuitBreaker::builder("any").build().unwrap();
    let rule = breaker.fleet_port().unwrap().rule().unwrap();
    Test {
        needed,
        ..Test::usual(&rule, 0.01, 1.0)
    }
}

/// Failures that each surprise by `each` 1/256 nats.
fn sums(failures: u64, each: u64, expected_calls: f64) -> MemberSums {
    MemberSums {
        failures,
        surprise: failures * each,
        expected_calls,
    }
}

/// A failure surprises by 2 to 8 nats, which is more than the smallest outage takes from it.
fn members() -> impl Strategy<Value = Vec<MemberSums>> {
    let one = (1..=20_u64, 512..=2_048_u64, 0.0..5.0_f64);
    prop::collection::vec(
        one.prop_map(|(failures, each, calls)| sums(failures, each, calls)),
        0..40,
    )
}

fn over(failing: &[MemberSums], others: f64) -> Excursion<'_> {
    let expected_calls = others + failing.iter().map(|sums| sums.expected_calls).sum::<f64>();
    Excursion::of(failing, expected_calls)
}

proptest! {
    #[test]
    fn two_members_alone_never_trip_five_or_more(
        reported in prop::array::uniform2((0..1_u64 << 32, 0..1_u64 << 32, 0.0..1e3_f64)),
        members in 5..2_000_usize,
        needed in -20.0..40.0_f64,
    ) {
        let failing = reported.map(|(failures, surprise, expected_calls)| {
            MemberSums { failures, surprise, expected_calls }
        });
        let excursion = over(&failing, 0.0);
        let test = test(needed);
        prop_assert!(!trips(members, &excursion, &test, None));
        prop_assert!(!trips(members, &excursion, &test, Some((&excursion, &test))));
    }

    #[test]
    fn two_liars_add_nothing_to_what_remains(
        honest in members(),
        lies in prop::array::uniform2((0..1_u64 << 32, 0..1_u64 << 32, 0.0..1e3_f64)),
        others in 0.0..100.0_f64,
    ) {
        let alone = weigh(1_000, &over(&honest, others), &test(18.0)).all;
        let mut all = honest.clone();
        all.extend(lies.map(|(failures, surprise, expected_calls)| {
            MemberSums { failures, surprise, expected_calls }
        }));
        let remaining = weigh(1_000, &over(&all, others), &test(18.0)).remaining;
        prop_assert!(remaining <= alone + 1e-3, "{remaining} with, {alone} without");
    }

    #[test]
    fn more_failures_never_lose_evidence(
        failing in members(),
        at in any::<prop::sample::Index>(),
        others in 0.0..100.0_f64,
        each in 512..=2_048_u64,
    ) {
        prop_assume!(!failing.is_empty());
        let before = weigh(50, &over(&failing, others), &test(18.0));
        let mut more = failing.clone();
        let member = at.index(more.len());
        more[member].failures += 1;
        more[member].surprise += each;
        let after = weigh(50, &over(&more, others), &test(18.0));
        prop_assert!(after.all >= before.all - 1e-9);
        prop_assert!(after.remaining >= before.remaining - 1e-9);
    }

    #[test]
    fn the_order_of_the_members_changes_nothing(
        (failing, shuffled) in members().prop_flat_map(|failing| {
            (Just(failing.clone()), Just(failing).prop_shuffle())
        }),
        others in 0.0..100.0_f64,
    ) {
        let one = weigh(50, &over(&failing, others), &test(18.0));
        let other = weigh(50, &over(&shuffled, others), &test(18.0));
        prop_assert!((one.all - other.all).abs() < 1e-9);
        prop_assert!((one.remaining - other.remaining).abs() < 1e-9);
    }
}

#[test]
fn a_fleet_of_one_never_trips() {
    let failing = [sums(255, 2_048, 0.0)];
    assert!(!trips(1, &over(&failing, 0.0), &test(18.0), None));
}

#[test]
fn a_trip_takes_both_tests() {
    let failing = [sums(1, 1_179, 0.01); 20];
    let excursion = over(&failing, 20.0);
    let beyond = |needed| Test {
        normal: 0.25,
        ..test(needed)
    };
    assert!(trips(1_000, &excursion, &test(18.0), None));
    assert!(trips(
        1_000,
        &excursion,
        &test(18.0),
        Some((&excursion, &beyond(7.0)))
    ));
    assert!(!trips(
        1_000,
        &excursion,
        &test(18.0),
        Some((&excursion, &beyond(30.0)))
    ));
}

#[test]
fn sums_that_are_not_finite_never_trip() {
    let failing = [sums(5, 2_048, 0.0); 20];
    for calls in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let excursion = Excursion::of(&failing, calls);
        assert!(!trips(1_000, &excursion, &test(18.0), None), "{calls}");
    }
}

#[test]
fn one_member_that_always_fails_does_not_trip_the_others() {
    // Within a second, besides the normal failures of ten others.
    let mut failing = vec![sums(1, 1_179, 1.0); 10];
    failing.push(sums(500, 1_179, 500.0));
    assert!(!trips(1_000, &over(&failing, 500.0), &test(18.0), None));
}

/// Fails when: more or less than two thirds must remain.
#[test]
fn two_thirds_of_what_a_trip_takes_must_remain_without_the_loudest() {
    let mut failing = vec![sums(1, 1_179, 0.0); 10];
    failing.extend([sums(10, 1_179, 0.0); 2]);
    let excursion = over(&failing, 1.0);
    let found = weigh(1_000, &excursion, &test(18.0));
    assert!(found.remaining > 18.0 && found.all > 2.0 * found.remaining);
    let trips = |needed| trips(1_000, &excursion, &test(needed), None);
    assert!(trips(1.49 * found.remaining));
    assert!(!trips(1.51 * found.remaining));
}

#[test]
fn a_fleet_of_two_to_four_leaves_out_one_member_and_a_larger_one_two() {
    let out = [0, 1, 2, 3, 4, 5, 1_000].map(left_out);
    assert_eq!(out, [0, 0, 1, 1, 1, 2, 2]);
}

#[test]
fn members_without_failures_do_not_count_as_failing() {
    let members = [sums(0, 0, 5.0), sums(2, 1_179, 5.0), sums(1, 1_179, 5.0)];
    let excursion = Excursion::of(&members, 15.0);
    assert_eq!((excursion.failing, excursion.failures), (2, 3));
    assert!(!weigh(1_000, &excursion, &test(0.0)).others_fail);
    let more = [&members[..], &members].concat();
    assert!(weigh(1_000, &Excursion::of(&more, 30.0), &test(0.0)).others_fail);
}

#[test]
fn a_handicap_is_taken_from_the_evidence() {
    let failing = [sums(10, 1_179, 0.0); 5];
    let excursion = over(&failing, 5.0);
    let (plain, mut with) = (test(18.0), test(18.0));
    for outage in &mut with.outages {
        outage.handicap = 3.0;
    }
    let (plain, with) = (weigh(9, &excursion, &plain), weigh(9, &excursion, &with));
    assert!((plain.all - with.all - 3.0).abs() < 1e-9);
    assert!((plain.remaining - with.remaining - 3.0).abs() < 1e-9);
}
