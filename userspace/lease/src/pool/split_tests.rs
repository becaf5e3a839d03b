//! Pools of prefixes split between two servers, against a model and under threads.

use super::tests::{KEY, shard, with_ia};
use super::*;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use proptest::prelude::*;
use std::collections::BTreeSet;

const RESERVED: u64 = 77;

/// 2^8 prefixes, one of them reserved.
fn pool(role: Role) -> Pool {
    let prefix = |text: &str, len| Lease {
        addr: text
            .parse::<core::net::Ipv6Addr>()
            .expect("a prefix")
            .to_bits(),
        len,
    };
    let spec = PoolSpec::prefixes(prefix("2001:db8::", 40), 48).expect("a pool");
    let spec = PoolSpec {
        reserved: vec![lease(&spec, RESERVED)],
        ..spec
    };
    Pool::new(spec, &KEY, 1)
        .and_then(|pool| pool.split_for(role))
        .expect("a pool")
}

fn lease(spec: &PoolSpec, position: u64) -> Lease {
    spec.lease_at(position)
}

fn own(role: Role) -> Share {
    Share {
        prefixes: Prefixes::Own(role),
        ..Share::ALL
    }
}

fn own_then_partners(role: Role) -> Share {
    Share {
        prefixes: Prefixes::OwnThenPartners(role),
        ..Share::ALL
    }
}

fn positions(pool: &Pool, block: Lease) -> std::ops::Range<u64> {
    let first = Lease {
        len: pool.spec().unit_len,
        ..block
    };
    let start = pool.spec().position_of(first).expect("in the pool");
    start..start + (1 << (pool.spec().unit_len - block.len))
}

#[derive(Clone, Debug)]
enum Step {
    Claim(u32),
    ClaimAlsoPartners(u32),
    ClaimExact(u64),
    Adopt(u64),
    Release(u64),
    Give(u64, u8, bool),
    Restore(u64, u8, bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let position = || 0..256_u64;
    let step = prop_oneof![
        6 => any::<u32>().prop_map(Step::Claim),
        1 => any::<u32>().prop_map(Step::ClaimAlsoPartners),
        2 => position().prop_map(Step::ClaimExact),
        1 => position().prop_map(Step::Adopt),
        4 => position().prop_map(Step::Release),
        3 => (position(), 0..8_u8, any::<bool>()).prop_map(|(p, l, s)| Step::Give(p, l, s)),
        1 => (position(), 0..8_u8, any::<bool>()).prop_map(|(p, l, s)| Step::Restore(p, l, s)),
    ];
    prop::collection::vec(step, 1..300)
}

fn side(secondary: bool) -> Role {
    match secondary {
        true => Role::Secondary,
        false => Role::Primary,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn sides_are_as_in_a_model(steps in steps(), secondary: bool) {
        let role = side(secondary);
        let (pool, shard) = (pool(role), shard(0));
        let (mut taken, mut backup) = (BTreeSet::from([RESERVED]), BTreeSet::new());
        let position_of = |lease| pool.spec().position_of(lease).expect("in the pool");
        for step in steps {
            let is_own = |position: &u64, backup: &BTreeSet<u64>| backup.contains(position) == secondary;
            let any_own = (0..256).any(|p| !taken.contains(&p) && is_own(&p, &backup));
            match step {
                Step::Claim(number) => {
                    let offered = with_ia(number, |ia| pool.offer_among(&shard, ia, own(role)));
                    let claimed = with_ia(number, |ia| pool.claim_among(&shard, ia, own(role)));
                    prop_assert_eq!(offered, claimed);
                    prop_assert_eq!(claimed.is_some(), any_own);
                    if let Some(position) = claimed.map(position_of) {
                        prop_assert!(is_own(&position, &backup));
                        prop_assert!(taken.insert(position));
                        backup.remove(&position);
                    }
                }
                Step::ClaimAlsoPartners(number) => {
                    let share = own_then_partners(role);
                    let claimed = with_ia(number, |ia| pool.claim_among(&shard, ia, share));
                    prop_assert_eq!(claimed.is_some(), taken.len() < 256);
                    if let Some(position) = claimed.map(position_of) {
                        prop_assert!(is_own(&position, &backup) || !any_own);
                        prop_assert!(taken.insert(position));
                        backup.remove(&position);
                    }
                }
                Step::ClaimExact(position) => {
                    let lease = lease(pool.spec(), position);
                    let expected = !taken.contains(&position) && is_own(&position, &backup);
                    prop_assert_eq!(pool.claim_exact_among(&shard, lease, own(role)), expected);
                    if expected {
                        taken.insert(position);
                        backup.remove(&position);
                    }
                }
                Step::Adopt(position) => {
                    let adopted = pool.adopt(shard.id(), lease(pool.spec(), position));
                    prop_assert_eq!(adopted, taken.insert(position));
                    backup.remove(&position);
                }
                Step::Release(position) => {
                    pool.release(lease(pool.spec(), position));
                    if position != RESERVED {
                        taken.remove(&position);
                    }
                }
                Step::Give(position, log, to) => {
                    let start = (position >> log) << log;
                    let block = pool.block_at(start, 1 << log);
                    let range = start..start + (1 << log);
                    let free = taken.range(range.clone()).next().is_none();
                    prop_assert_eq!(pool.give_block(block, side(to)), free);
                    if free {
                        backup.retain(|p| !range.contains(p));
                        backup.extend(range.filter(|_| to));
                    }
                }
                Step::Restore(position, log, to) => {
                    let start = (position >> log) << log;
                    let range = start..start + (1 << log);
                    prop_assert!(pool.restore_block(pool.block_at(start, 1 << log), side(to)));
                    backup.retain(|p| !range.contains(p));
                    backup.extend(range.filter(|p| to && !taken.contains(p)));
                }
            }
            let counts = pool.sides().expect("a split pool");
            let free = 256 - taken.len() as u64;
            let secondary = backup.len() as u64;
            prop_assert_eq!(counts, Sides { primary: free - secondary, secondary });
        }
        for of in [Role::Primary, Role::Secondary] {
            let expected: BTreeSet<u64> = (0..256)
                .filter(|p| !taken.contains(p) && backup.contains(p) == (of == Role::Secondary))
                .collect();
            let blocks: Vec<Lease> = pool.blocks_of(of).collect();
            let found: Vec<u64> = blocks.iter().flat_map(|b| positions(&pool, *b)).collect();
            prop_assert_eq!(&found, &expected.iter().copied().collect::<Vec<_>>());
            for pair in blocks.windows(2) {
                let (a, b) = (positions(&pool, pair[0]), positions(&pool, pair[1]));
                let merge = a.end == b.start
                    && pair[0].len == pair[1].len
                    && a.start % (2 * (a.end - a.start)) == 0;
                prop_assert!(!merge, "{:?} are one block", pair);
            }
            for max in [1, 7, 64, 1 << 40] {
                let largest = blocks.iter().map(|b| positions(&pool, *b)).map(|r| r.end - r.start);
                let expected = largest.max().map(|len| len.min(1 << max.min(256_u64).ilog2()));
                let found = pool.find_block(of, max).map(|b| positions(&pool, b));
                prop_assert_eq!(found.clone().map(|r| r.end - r.start), expected);
                prop_assert!(found.is_none_or(|mut r| r.all(|p| !taken.contains(&p))));
            }
        }
    }
}

const FREE: u8 = 0;
const HELD: u8 = 1;
const GIVEN: u8 = 2;

/// Workers claim and release while blocks go to the partner and come back: whoever has a prefix
/// finds that nobody else has it.
#[test]
fn no_prefix_is_delegated_here_and_given_to_the_partner() {
    let pool = pool(Role::Primary);
    let table: Vec<AtomicU8> = (0..256).map(|_| AtomicU8::new(FREE)).collect();
    let change = |position: u64, from: u8, to: u8| {
        let place = &table[position as usize];
        let found = place.swap(to, Ordering::SeqCst);
        assert_eq!(found, from, "position {position} to {to}");
    };
    let (done, gave) = (AtomicBool::new(false), AtomicU64::new(0));
    let position_of = |lease| pool.spec().position_of(lease).expect("in the pool");
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..3_u32)
            .map(|worker| {
                let (pool, change, position_of) = (&pool, &change, &position_of);
                scope.spawn(move || {
                    let shard = shard(worker as u8);
                    let mut mine = Vec::new();
                    let mut claims = 0;
                    for round in 0..60_000_u32 {
                        if mine.len() > 30 || round % 3 == 2 && !mine.is_empty() {
                            let lease: Lease = mine.swap_remove(round as usize * 31 % mine.len());
                            change(position_of(lease), HELD, FREE);
                            pool.release(lease);
                        }
                        let share = own(Role::Primary);
                        let ia = worker << 24 | round;
                        if let Some(lease) = with_ia(ia, |ia| pool.claim_among(&shard, ia, share)) {
                            change(position_of(lease), FREE, HELD);
                            mine.push(lease);
                            claims += 1;
                        }
                    }
                    claims
                })
            })
            .collect();
        scope.spawn(|| {
            let mut given = Vec::new();
            let mut round = 0_u64;
            while !done.load(Ordering::SeqCst) {
                round += 1;
                let start = (round * 37 % 256) & !3;
                let block = pool.block_at(start, 4);
                if !given.contains(&block) && pool.give_block(block, Role::Secondary) {
                    positions(&pool, block).for_each(|p| change(p, FREE, GIVEN));
                    given.push(block);
                    gave.fetch_add(1, Ordering::SeqCst);
                }
                if given.len() > 8 {
                    let block = given.remove(0);
                    positions(&pool, block).for_each(|p| change(p, GIVEN, FREE));
                    // A claim takes a position before it sees whose it is, and gives it back.
                    let gives = || pool.give_block(block, Role::Primary);
                    let mut tries = (0..100_000).inspect(|_| std::thread::yield_now());
                    assert!(tries.any(|_| gives()), "nobody could take it");
                }
            }
        });
        let claims: u32 = workers
            .into_iter()
            .map(|worker| worker.join().expect("a worker"))
            .sum();
        done.store(true, Ordering::SeqCst);
        assert!(claims > 1_000, "{claims} claims");
    });
    assert!(gave.into_inner() > 20, "blocks were given");
    for (position, place) in table.iter().enumerate() {
        let lease = lease(pool.spec(), position as u64);
        let taken = !pool.claim_exact(&shard(0), lease);
        let held = place.load(Ordering::SeqCst) == HELD;
        assert_eq!(taken, held || position as u64 == RESERVED, "{lease}");
    }
}

/// The secondary's worker claims what the primary takes back at that moment.
#[test]
fn what_is_taken_back_was_not_delegated() {
    for round in 0..2_000 {
        let pool = pool(Role::Secondary);
        let block = pool.block_at(8, 8);
        assert!(pool.give_block(block, Role::Secondary));
        let (claimed, taken_back) = std::thread::scope(|scope| {
            let claim = scope.spawn(|| {
                let shard = shard(1);
                with_ia(round, |ia| {
                    pool.claim_among(&shard, ia, own(Role::Secondary))
                })
            });
            let taken_back = pool.give_block(block, Role::Primary);
            (claim.join().expect("a claim"), taken_back)
        });
        assert!(!(claimed.is_some() && taken_back), "round {round}");
    }
}

#[test]
fn a_pool_without_bits_cannot_be_split() {
    let prefix = Lease {
        addr: 0x2001_0db8 << 96,
        len: 32,
    };
    let spec = PoolSpec::prefixes(prefix, 60).expect("a spec");
    let pool = Pool::new(spec, &KEY, 1).expect("a pool");
    assert!(matches!(
        pool.split_for(Role::Primary),
        Err(PoolError::TooLargeToSplit)
    ));
}

/// RFC 9915 §13.1: nobody can foretell the next one, also where most of the pool is the partner's.
#[test]
fn what_is_drawn_beside_the_partners_half_follows_no_order() {
    for (given, least) in [(128, 64), (192, 32)] {
        let pool = pool(Role::Primary);
        while pool.sides().expect("split").secondary < given {
            let block = pool.find_block(Role::Primary, 64).expect("a block");
            assert!(pool.give_block(block, Role::Secondary));
        }
        let shard = shard(0);
        let drawn: Vec<u64> = (0..least)
            .filter_map(|iaid| {
                let offered = with_ia(iaid, |ia| pool.offer_among(&shard, ia, own(Role::Primary)));
                let claimed = with_ia(iaid, |ia| pool.claim_among(&shard, ia, own(Role::Primary)));
                assert_eq!(offered, claimed);
                pool.spec().position_of(claimed?)
            })
            .collect();
        assert_eq!(drawn.len(), least as usize);
        let successors = drawn
            .windows(2)
            .filter(|pair| pair[1] == pair[0] + 1)
            .count();
        assert!(successors < drawn.len() / 8, "{drawn:?}");
    }
}
