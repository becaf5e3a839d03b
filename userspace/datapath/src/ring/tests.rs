use super::{Consumer, Layout, Producer};
use crate::mmap::Mapping;
use core::sync::atomic::{AtomicU32, Ordering};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::Arc;

const LAYOUT: Layout = Layout {
    producer: 0,
    consumer: 64,
    flags: 128,
    descriptors: 192,
};

/// Both ends of a ring whose cursors stand at `start`.
fn ends(places: u32, start: u32) -> (Producer<u64>, Consumer<u64>) {
    let mapping = Arc::new(Mapping::anonymous(4096).unwrap());
    for offset in [LAYOUT.producer, LAYOUT.consumer] {
        // SAFETY: inside the page, and aligned.
        let cursor = unsafe { mapping.base().add(offset) }.cast::<AtomicU32>();
        // SAFETY: zeroed memory of our own, which is a valid atomic.
        unsafe { cursor.as_ref() }.store(start, Ordering::Relaxed);
    }
    (
        Producer::new(Arc::clone(&mapping), LAYOUT, places),
        Consumer::new(mapping, LAYOUT, places),
    )
}

#[test]
fn a_full_ring_refuses_and_an_unpublished_place_is_not_seen() {
    let (mut producer, mut consumer) = ends(4, 0);
    for value in 0..4 {
        assert_eq!(producer.push(value), Ok(()));
    }
    assert_eq!(producer.push(4), Err(4));
    assert_eq!(consumer.pop(), None);
    producer.publish();
    assert_eq!(producer.pending(), 4);
    assert_eq!(consumer.pop(), Some(0));
    assert_eq!(
        producer.push(4),
        Err(4),
        "a taken place is not free before its release"
    );
    consumer.release();
    assert_eq!(producer.push(4), Ok(()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn behaves_as_a_bounded_queue_across_the_cursors_wrap(
        before_wrap in 0_u32..40,
        steps in prop::collection::vec((any::<bool>(), 1_usize..12), 1..80),
    ) {
        let (mut producer, mut consumer) = ends(8, 0_u32.wrapping_sub(before_wrap));
        let (mut model, mut next) = (VecDeque::new(), 0_u64);
        for (push, count) in steps {
            for _ in 0..count {
                if push {
                    prop_assert_eq!(producer.push(next).is_ok(), model.len() < 8);
                    if model.len() < 8 {
                        model.push_back(next);
                    }
                    next += 1;
                } else {
                    prop_assert_eq!(consumer.pop(), model.pop_front());
                }
            }
            producer.publish();
            consumer.release();
            prop_assert_eq!(producer.pending() as usize, model.len());
        }
    }
}

#[test]
fn two_threads_see_every_descriptor_once_and_in_order() {
    const COUNT: u64 = 100_000;
    let (mut producer, mut consumer) = ends(64, u32::MAX - 1000);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for value in 0..COUNT {
                while producer.push(value).is_err() {
                    producer.publish();
                    std::thread::yield_now();
                }
            }
            producer.publish();
        });
        for value in 0..COUNT {
            let taken = loop {
                if let Some(taken) = consumer.pop() {
                    break taken;
                }
                consumer.release();
                std::thread::yield_now();
            };
            assert_eq!(taken, value);
        }
    });
}
