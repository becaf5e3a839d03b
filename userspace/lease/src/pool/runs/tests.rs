//! Against a model that looks at every unit, and with threads that contend for every run.

use super::*;
use crate::pool::spec::{Lengths, PoolSpec};
use crate::{AllocationKey, Lease, Pool};
use core::sync::atomic::AtomicU32;
use proptest::prelude::*;

fn made(units: u64, order_max: u32, order_default: u32, reserved: &[Lease]) -> Runs {
    let spec = PoolSpec {
        reserved: reserved.to_vec(),
        ..PoolSpec::prefixes(POOL, POOL.len + units.ilog2() as u8).unwrap()
    };
    Runs::new(units, &Reserved::of(&spec), order_max, order_default)
}

const POOL: Lease = Lease {
    addr: 0x2001_0db8 << 96,
    len: 32,
};

/// Who has each unit.
struct Model {
    units: Vec<Option<u32>>,
    order_max: u32,
}

impl Model {
    fn is_free(&self, run: Run) -> bool {
        let units = &self.units[run.start as usize..=run.last() as usize];
        units.iter().all(Option::is_none)
    }

    fn has_room(&self, order: u32) -> bool {
        self.smallest_hole(order).is_some()
    }

    /// The order of the smallest hole that a run of `order` fits into.
    fn smallest_hole(&self, order: u32) -> Option<u32> {
        (order..=self.order_max).find(|order| {
            let starts = (0..self.units.len() as u64).step_by(1 << order);
            let mut runs = starts.map(|start| Run {
                start,
                order: *order,
            });
            runs.any(|run| self.hole_at(run.start, *order) == Some(run))
        })
    }

    /// The largest free run around this one, if it has this order.
    fn hole_at(&self, start: u64, order: u32) -> Option<Run> {
        let run = Run { start, order };
        let parent = Run {
            start: start >> (order + 1) << (order + 1),
            order: order + 1,
        };
        let is_whole = order == self.order_max || !self.is_free(parent);
        (self.is_free(run) && is_whole).then_some(run)
    }

    /// The order of the hole that this run lies in.
    fn hole_around(&self, run: Run) -> u32 {
        let orders = run.order..=self.order_max;
        let mut around = orders.filter(|order| {
            let start = run.start >> order << order;
            self.is_free(Run {
                start,
                order: *order,
            })
        });
        around.next_back().expect("it is free itself")
    }

    fn set(&mut self, run: Run, holder: Option<u32>) {
        self.units[run.start as usize..=run.last() as usize].fill(holder);
    }

    fn free(&self) -> u64 {
        self.units.iter().filter(|unit| unit.is_none()).count() as u64
    }
}

#[derive(Clone, Debug)]
enum Op {
    Claim { order: u32, hash: u64 },
    Take { order: u32, place: u64 },
    Release { which: usize },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (0..9_u32, any::<u64>()).prop_map(|(order, hash)| Op::Claim { order, hash }),
        1 => (0..9_u32, any::<u64>()).prop_map(|(order, place)| Op::Take { order, place }),
        2 => any::<usize>().prop_map(|which| Op::Release { which }),
    ]
}

proptest! {
    #[test]
    fn no_unit_is_in_two_runs_and_a_claim_fails_only_if_no_hole_is_large_enough(
        bits in 0..12_u32,
        order_max in 1..9_u32,
        order_default in 0..9_u32,
        reserved in prop::collection::vec((any::<u64>(), 0..7_u32), 0..3),
        ops in prop::collection::vec(op(), 1..300),
    ) {
        let bits = bits.max(order_max);
        let units = 1_u64 << bits;
        let unit_len = POOL.len + bits as u8;
        let reserved: Vec<Lease> = reserved.iter().map(|(place, order)| {
            let order = (*order).min(bits);
            let start = scaled(*place, units) >> order << order;
            Lease {
                addr: POOL.addr + (u128::from(start) << (128 - unit_len)),
                len: unit_len - order as u8,
            }
        }).collect();
        let runs = made(units, order_max, order_default.min(order_max), &reserved);
        let mut model = Model { units: vec![None; units as usize], order_max };
        for lease in &reserved {
            let start = ((lease.addr - POOL.addr) >> (128 - unit_len)) as u64;
            model.set(Run { start, order: u32::from(unit_len - lease.len) }, Some(u32::MAX));
        }
        let capacity = model.free();
        let mut held: Vec<Run> = Vec::new();
        for (holder, op) in (0..).zip(ops) {
            match op {
                Op::Claim { order, hash } if order <= order_max => {
                    let home = runs.home_run(order, hash);
                    let home_was_free = model.is_free(home);
                    prop_assert_eq!(runs.has_room(order), model.has_room(order));
                    let offered = runs.offer(order, hash);
                    let claimed = runs.claim(order, hash);
                    prop_assert_eq!(offered, claimed, "what is offered is given");
                    prop_assert_eq!(claimed.is_some(), model.has_room(order));
                    let Some(run) = claimed else { continue };
                    prop_assert_eq!((run.order, run.start % (1 << order)), (order, 0));
                    prop_assert!(model.is_free(run));
                    prop_assert_eq!(run == home, home_was_free, "its own if it can be had");
                    let range = runs.home(order);
                    let is_at_home = range.contains(&run.start);
                    if run != home && !is_at_home {
                        let smallest = model.smallest_hole(order);
                        prop_assert_eq!(Some(model.hole_around(run)), smallest);
                    }
                    model.set(run, Some(holder));
                    held.push(run);
                }
                Op::Claim { order, hash } => prop_assert_eq!(runs.claim(order, hash), None),
                Op::Take { order, place } => {
                    let order = order.min(order_max);
                    let run = Run { start: scaled(place, units >> order) << order, order };
                    let is_free = model.is_free(run);
                    prop_assert_eq!(runs.is_taken(run), !is_free);
                    prop_assert_eq!(runs.take(run), is_free);
                    if is_free {
                        model.set(run, Some(holder));
                        held.push(run);
                    }
                }
                Op::Release { .. } if held.is_empty() => {}
                Op::Release { which } => {
                    let run = held.swap_remove(which % held.len());
                    runs.release(run);
                    model.set(run, None);
                    if !model.is_free(Run { start: 0, order: bits }) {
                        // A second time it is not all taken, and nothing happens.
                        runs.release(run);
                    }
                }
            }
            prop_assert_eq!(runs.bound(), capacity - model.free());
        }
        for run in held {
            runs.release(run);
        }
        prop_assert_eq!(runs.bound(), 0);
    }
}

/// Claims and gives back until `rounds` are over, and marks who has each unit.
fn contend(runs: &Runs, owners: &[AtomicU32], me: u32, rounds: u32) {
    let mut held: Vec<Run> = Vec::new();
    let mut random = u64::from(me).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    for _ in 0..rounds {
        let order = (next() % u64::from(runs.order_max + 1)) as u32;
        if let Some(run) = runs.claim(order, next()) {
            for owner in &owners[run.start as usize..=run.last() as usize] {
                assert_eq!(
                    owner.swap(me, Ordering::SeqCst),
                    0,
                    "{run:?} has two holders"
                );
            }
            held.push(run);
        }
        while held.len() > 12 || !held.is_empty() && next() % 3 == 0 {
            let run = held.swap_remove((next() % held.len() as u64) as usize);
            for owner in &owners[run.start as usize..=run.last() as usize] {
                assert_eq!(
                    owner.swap(0, Ordering::SeqCst),
                    me,
                    "{run:?} was another's too"
                );
            }
            runs.release(run);
        }
    }
    for run in held {
        for owner in &owners[run.start as usize..=run.last() as usize] {
            owner.store(0, Ordering::SeqCst);
        }
        runs.release(run);
    }
}

#[test]
fn threads_never_share_a_unit_and_all_of_it_comes_back() {
    for (units, order_max) in [(64, 3), (256, 8), (1 << 11, 9), (1 << 12, 10)] {
        let runs = made(units, order_max, order_max / 2, &[]);
        let owners: Vec<AtomicU32> = (0..units).map(|_| AtomicU32::new(0)).collect();
        std::thread::scope(|scope| {
            for me in 1..=4 {
                let (runs, owners) = (&runs, &owners);
                scope.spawn(move || contend(runs, owners, me, 4_000));
            }
        });
        assert_eq!(runs.bound(), 0, "{units} units");
        // The holes say so too: as many of the largest runs as there are, and then none of any size.
        for left in (0..units >> order_max).rev() {
            assert!(runs.claim(order_max, left << 40).is_some(), "{left} left");
        }
        assert!((0..=order_max).all(|order| runs.claim(order, 7).is_none()));
    }
}

#[test]
fn threads_that_claim_the_same_size_get_all_of_the_pool() {
    let runs = made(1 << 12, 8, 2, &[]);
    let claimed: Vec<Run> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4_u64)
            .map(|me| {
                let runs = &runs;
                scope.spawn(move || {
                    let hashes =
                        (0..).map(|n: u64| (n * 4 + me).wrapping_mul(0x9e37_79b9_7f4a_7c15));
                    hashes
                        .map_while(|hash| runs.claim(2, hash))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        let claimed = threads.into_iter().map(|thread| thread.join().unwrap());
        claimed.flatten().collect()
    });
    assert_eq!(claimed.len(), 1 << 10);
    let mut starts: Vec<u64> = claimed.iter().map(|run| run.start).collect();
    starts.sort_unstable();
    starts.dedup();
    assert_eq!(starts.len(), 1 << 10);
}

#[test]
fn small_prefixes_leave_the_home_of_the_large_ones_whole() {
    // A /40 of /48 to /64, /56 by default: 256 of the shortest.
    let runs = made(1 << 24, 16, 8, &[]);
    let hash = |n: u64| (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let half: u64 = 1 << 15;
    for n in 0..half {
        let run = runs.claim(8, hash(n)).expect("half of the pool is theirs");
        assert!(runs.home(8).contains(&run.start));
    }
    for n in 0..10_000 {
        let run = runs
            .claim(0, hash(n))
            .expect("a sixteenth of the rest is theirs");
        assert!(runs.home(0).contains(&run.start));
    }
    // All the other /48s are still to be had.
    let others = 128 - ((runs.home(0).end - runs.home(0).start) >> 16);
    for n in 0..others {
        assert!(runs.claim(16, hash(n)).is_some(), "{n} of {others}");
    }
    // What is next, its home full, is packed into what is broken already.
    assert!(runs.claim(16, 0).is_none());
    let run = runs.claim(4, 0).expect("a /60 among the /64s");
    assert!(runs.home(0).contains(&run.start));
}

#[test]
fn a_default_length_that_overflows_its_home_breaks_one_large_prefix_after_the_other() {
    // 16 of the shortest, of which 8 are the home of the default length.
    let runs = made(1 << 16, 12, 8, &[]);
    let hash = |n: u64| (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let left = |runs: &Runs| {
        let largest = (0..16).map(|n| Run {
            start: n << 12,
            order: 12,
        });
        largest.filter(|run| !runs.is_taken(*run)).count()
    };
    for n in 0..8 * 16 {
        assert!(runs.claim(8, hash(n)).is_some());
    }
    assert_eq!(left(&runs), 8);
    for n in 0..4 * 16 {
        assert!(runs.claim(8, hash(n)).is_some());
        assert_eq!(left(&runs), 8 - (n as usize / 16 + 1), "after {n} more");
    }
}

#[test]
fn a_pool_of_several_lengths_is_bounded() {
    let made = |len: u8, shortest: u8, default: u8, longest: u8| {
        let prefix = Lease { len, ..POOL };
        let lengths = Lengths { shortest, default };
        let spec = PoolSpec::prefixes_between(prefix, lengths, longest)?;
        Pool::new(spec, &AllocationKey::new([1; 16]), 0).map(|_| ())
    };
    use crate::PoolError;
    let wrong = |shortest, default, longest| {
        Err(PoolError::Lengths {
            shortest,
            default,
            longest,
        })
    };
    assert_eq!(made(40, 48, 56, 64), Ok(()));
    assert_eq!(made(36, 48, 64, 64), Ok(()));
    assert_eq!(made(35, 48, 64, 64), Err(PoolError::TooLargeForLengths));
    assert_eq!(made(40, 47, 56, 64), wrong(47, 56, 64));
    assert_eq!(made(40, 48, 47, 64), wrong(48, 47, 64));
    assert_eq!(made(40, 48, 65, 64), wrong(48, 65, 64));
    assert_eq!(made(52, 48, 56, 64), wrong(48, 56, 64));
    assert_eq!(made(48, 48, 56, 64), Ok(()));
}
