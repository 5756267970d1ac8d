//! The bucket word: each addition to a live bucket is counted once. A late writer from an older
//! turn or generation doesn't damage a newer bucket.

use loom_tests::sync::Arc;
use loom_tests::{UNBOUNDED, model, preemptions, race};
use tripcurve::__model::{Added, AtomicBucket, AtomicState, BucketWord, Generation, Phase, Stamp};

const FIRST: Generation = Generation::FIRST;

/// A bucket word and its total.
#[derive(Default)]
struct Bucket {
    word: AtomicBucket,
    total: AtomicBucket,
}

impl Bucket {
    fn add(&self, stamp: Stamp, is_current: impl Fn() -> bool) -> Added {
        self.word.add(stamp, self.total.as_total(), is_current)
    }

    fn load(&self) -> BucketWord {
        self.word.load()
    }
}

fn add(bucket: &Bucket, stamp: Stamp) {
    assert_ne!(bucket.add(stamp, || true), Added::Late);
}

/// Adds a call of `generation`. Returns whether it was counted.
fn add_in(generation: Generation, state: &AtomicState, bucket: &Bucket) -> bool {
    let is_current = || state.load().generation() == generation;
    bucket.add(Stamp::new(generation, 7), is_current) != Added::Late
}

/// Two threads count in one bucket, one of them twice.
#[test]
fn writers_of_one_bucket_are_all_counted() {
    model(UNBOUNDED, || {
        let stamp = Stamp::new(FIRST, 1);
        let bucket = Bucket::default();
        add(&bucket, stamp);
        let bucket = Arc::new(bucket);
        race(
            &bucket,
            [
                |bucket| {
                    add(bucket, Stamp::new(FIRST, 1));
                    add(bucket, Stamp::new(FIRST, 1));
                },
                |bucket| add(bucket, Stamp::new(FIRST, 1)),
            ],
        );
        assert_eq!(bucket.load().stamp(), stamp);
        assert_eq!(bucket.load().count(), 4);
    });
}

/// A thread counts a call that stands for four while another counts one.
///
/// Fails when: `AtomicBucket::add_many` stores the word instead of exchanging it.
#[test]
fn a_call_that_stands_for_several_and_another_are_all_counted() {
    model(UNBOUNDED, || {
        let stamp = Stamp::new(FIRST, 1);
        let bucket = Bucket::default();
        add(&bucket, stamp);
        let bucket = Arc::new(bucket);
        race(
            &bucket,
            [
                |bucket: &Bucket| {
                    let total = bucket.total.as_total();
                    let stamp = Stamp::new(FIRST, 1);
                    bucket.word.add_many(stamp, 4, total, || true);
                },
                |bucket| add(bucket, Stamp::new(FIRST, 1)),
            ],
        );
        assert_eq!(bucket.load().count(), 6);
    });
}

/// Three threads find the previous turn's bucket in the place of theirs.
#[test]
fn writers_that_replace_an_older_bucket_are_all_counted() {
    model(preemptions(4), || {
        let bucket = Bucket::default();
        add(&bucket, Stamp::new(FIRST, 1));
        let bucket = Arc::new(bucket);
        let write = |bucket: &Bucket| add(bucket, Stamp::new(FIRST, 2));
        race(&bucket, [write, write, write]);
        assert_eq!(bucket.load().stamp(), Stamp::new(FIRST, 2));
        assert_eq!(bucket.load().count(), 3);
    });
}

/// A writer was admitted in a generation that ends. It writes at the same time as a writer of the
/// next generation.
#[test]
fn a_writer_of_an_ended_generation_does_not_damage_the_new_ones_bucket() {
    model(UNBOUNDED, || {
        let shared = Arc::new((AtomicState::new(Phase::Closed), Bucket::default()));
        let current = |state: &AtomicState| state.load().generation();
        race(
            &shared,
            [
                |(state, bucket)| {
                    add_in(FIRST, state, bucket);
                },
                |(state, bucket)| {
                    let next = state.force(Phase::Closed).generation;
                    assert!(add_in(next, state, bucket));
                },
            ],
        );
        let (state, bucket) = &*shared;
        assert_eq!(bucket.load().stamp(), Stamp::new(current(state), 7));
        assert_eq!(bucket.load().count(), 1);
    });
}

/// A writer of an ended generation meets two writers of the new one. The second has added to the
/// first one's value.
#[test]
fn a_late_writer_is_told_of_the_new_generation_by_whoever_wrote_last() {
    model(preemptions(4), || {
        let shared = Arc::new((AtomicState::new(Phase::Closed), Bucket::default()));
        let written = race(
            &shared,
            [
                |(state, bucket)| {
                    add_in(FIRST, state, bucket);
                    0
                },
                |(state, bucket)| {
                    let next = state.force(Phase::Closed).generation;
                    assert!(add_in(next, state, bucket));
                    1
                },
                |(state, bucket)| {
                    let next = state.load().generation();
                    if next == FIRST {
                        return 0;
                    }
                    assert!(add_in(next, state, bucket));
                    1
                },
            ],
        );
        let bucket = &shared.1;
        assert_eq!(bucket.load().stamp(), Stamp::new(FIRST.next(), 7));
        assert_eq!(bucket.load().count(), written.into_iter().sum::<u64>());
    });
}
