use super::bitmap::Bitmap;
use super::*;
use crate::{AbsTime, BindingRecord, BindingStatus, LinkKey, PartnerTimes};
use core::net::Ipv6Addr;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use proptest::prelude::*;
use std::collections::{BTreeSet, HashSet};
use wire::{Duid, IaKind, Iaid};

pub(super) const KEY: AllocationKey = AllocationKey([7; 16]);

fn addresses(first: &str, last: &str) -> PoolSpec {
    let parse = |text: &str| text.parse::<Ipv6Addr>().expect("an address");
    PoolSpec::addresses(parse(first), parse(last)).expect("a range")
}

pub(super) fn prefixes(first: &str, len: u8, delegated_len: u8) -> PoolSpec {
    let addr = first.parse::<Ipv6Addr>().expect("a prefix").to_bits();
    PoolSpec::prefixes(Lease { addr, len }, delegated_len).expect("a prefix pool")
}

pub(super) fn pool(spec: PoolSpec) -> Pool {
    Pool::new(spec, &KEY, 1).expect("a pool")
}

pub(super) fn shard(id: u8) -> Shard {
    Shard::new(ShardId(id), u64::from(id))
}

/// IA number `number` of a client that exists for its sake.
pub(super) fn with_ia<T>(number: u32, f: impl FnOnce(&IaKey<'_>) -> T) -> T {
    let mut octets = [0, 3, 0, 1, 2, 0, 0, 0, 0, 0];
    octets[6..].copy_from_slice(&number.to_be_bytes());
    f(&IaKey {
        duid: Duid::new(&octets).expect("a DUID"),
        kind: IaKind::Na,
        iaid: Iaid(1),
    })
}

fn bind(shard: &mut Shard, ia: &IaKey<'_>, lease: Lease) {
    shard.put(&BindingRecord {
        duid: ia.duid,
        kind: ia.kind,
        iaid: ia.iaid,
        subscriber: None,
        lease,
        link: LinkKey(1),
        status: BindingStatus::Active,
        preferred_secs: 1,
        valid_secs: 1,
        cltt: AbsTime(1),
        status_since: AbsTime(1),
        expires: AbsTime(2),
        partner: PartnerTimes::NONE,
        accepts_reconfigure: false,
        via: &[],
    });
}

fn half(addresses: Positions) -> Share {
    Share {
        addresses,
        ..Share::ALL
    }
}

fn check_conservation(counts: PoolCounts) {
    assert_eq!(counts.reserved + counts.bound + counts.free, counts.size);
}

#[test]
fn fifty_addresses_are_used_to_the_last_by_eight_threads() {
    for salt in 0..40 {
        let spec = addresses("2001:db8::100", "2001:db8::131");
        let pool = Pool::new(spec, &KEY, salt).expect("a pool");
        let taken: Vec<Lease> = std::thread::scope(|scope| {
            let claims: Vec<_> = (0..8_u32)
                .map(|thread| {
                    let pool = &pool;
                    scope.spawn(move || {
                        let shard = shard(thread as u8);
                        (0..10)
                            .filter_map(|i| with_ia(thread << 8 | i, |ia| pool.claim(&shard, ia)))
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            claims
                .into_iter()
                .flat_map(|claim| claim.join().expect("a claiming thread"))
                .collect()
        });
        assert_eq!(taken.len(), 50);
        assert_eq!(taken.iter().collect::<HashSet<_>>().len(), 50);
        let counts = pool.counts();
        assert_eq!((counts.bound, counts.free), (50, 0));
        assert_eq!(with_ia(9, |ia| pool.offer(&shard(0), ia)), None);
    }
}

/// Each thread holds a few leases and exchanges them for others; a table of holders catches the
/// lease that two have. There are always more positions than holders, so no claim may fail.
#[test]
fn a_claim_never_fails_while_a_lease_is_free_and_none_is_given_twice() {
    const THREADS: u32 = 4;
    const HELD: u32 = 70;
    let spec = addresses("2001:db8::1000", "2001:db8::1118");
    let spec = PoolSpec {
        reserved: vec![Lease::address(
            "2001:db8::1007".parse().expect("an address"),
        )],
        ..spec
    };
    let size = spec.count as usize;
    assert_eq!(size as u32, THREADS * HELD + 1);
    let pool = pool(spec);
    let held: Vec<AtomicBool> = (0..size).map(|_| AtomicBool::new(false)).collect();
    let done = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (pool, held, done) = (&pool, &held, &done);
            scope.spawn(move || {
                let shard = shard(thread as u8);
                let index = |lease: Lease| (lease.addr - pool.spec().first) as usize;
                let mut mine = Vec::new();
                for round in 0..20_000_u32 {
                    if mine.len() == HELD as usize {
                        let lease: Lease = mine.swap_remove(round as usize * 31 % mine.len());
                        assert!(held[index(lease)].swap(false, Ordering::SeqCst));
                        pool.release(lease);
                    }
                    let lease = with_ia(round << 2 | thread, |ia| pool.claim(&shard, ia))
                        .expect("a free lease for every holder");
                    assert!(
                        !held[index(lease)].swap(true, Ordering::SeqCst),
                        "given twice"
                    );
                    assert!(!pool.is_reserved(lease));
                    mine.push(lease);
                }
                done.fetch_add(1, Ordering::SeqCst);
            });
        }
        while done.load(Ordering::SeqCst) < THREADS {
            check_conservation(pool.counts());
            std::thread::yield_now();
        }
    });
    let counts = pool.counts();
    assert_eq!((counts.bound, counts.reserved, counts.free), (280, 1, 0));
    assert_eq!(
        held.iter()
            .filter(|held| held.load(Ordering::SeqCst))
            .count(),
        280
    );
}

#[test]
fn reserved_interface_identifiers_and_reservations_are_never_given() {
    let mut spec = addresses("2001:db8::", "2001:db8::7f");
    spec.reserved = vec![
        Lease::address("2001:db8::10".parse().expect("an address")),
        Lease::address("2001:db8::10".parse().expect("an address")),
        Lease::address("2001:db8:1::".parse().expect("an address")),
        Lease {
            addr: "2001:db8::20"
                .parse::<Ipv6Addr>()
                .expect("an address")
                .to_bits(),
            len: 124,
        },
    ];
    let reserved = 1 + 1 + 16;
    let (pool, shard) = (pool(spec), shard(0));
    assert_eq!(pool.counts().reserved, reserved);
    let anycast = Lease::address("2001:db8::".parse().expect("an address"));
    assert!(pool.contains(anycast) && pool.is_reserved(anycast));
    assert!(!pool.claim_exact(&shard, anycast));
    pool.release(anycast);
    let given: Vec<Lease> = (0..200)
        .filter_map(|i| with_ia(i, |ia| pool.claim(&shard, ia)))
        .collect();
    assert_eq!(given.len() as u128, 128 - reserved);
    assert!(!given.iter().any(|&lease| pool.is_reserved(lease)));
}

#[test]
fn the_registry_of_reserved_identifiers_is_counted_in_every_subnet_touched() {
    let whole = pool(addresses("2001:db8::", "2001:db8::ffff:ffff:ffff:ffff"));
    assert_eq!(whole.counts().reserved, 1 + (1 << 24) + 128);
    for (iid, reserved) in [
        ("2001:db8::", true),
        ("2001:db8::1", false),
        ("2001:db8::200:5eff:fdff:ffff", false),
        ("2001:db8::200:5eff:fe00:0", true),
        ("2001:db8::200:5eff:fe00:5213", true),
        ("2001:db8::200:5eff:feff:ffff", true),
        ("2001:db8::200:5eff:ff00:0", false),
        ("2001:db8::fdff:ffff:ffff:ff7f", false),
        ("2001:db8::fdff:ffff:ffff:ff80", true),
        ("2001:db8::fdff:ffff:ffff:ffff", true),
    ] {
        let lease = Lease::address(iid.parse().expect("an address"));
        assert_eq!(whole.is_reserved(lease), reserved, "{iid}");
    }
    let across = pool(addresses(
        "2001:db8::ffff:ffff:ffff:fff0",
        "2001:db8:0:1::f",
    ));
    assert_eq!(across.counts().reserved, 1);
    assert_eq!(pool(prefixes("2001:db8::", 40, 56)).counts().reserved, 0);
}

#[test]
fn a_client_gets_the_same_lease_from_an_empty_pool_and_another_with_another_key() {
    for spec in [
        addresses("2001:db8::1:0", "2001:db8::1:ffff"),
        addresses("2001:db8::", "2001:db8::ffff:ffff:ffff:ffff"),
        prefixes("2001:db8::", 36, 56),
        prefixes("2001:db0::", 28, 56),
    ] {
        let other = Pool::new(spec.clone(), &AllocationKey::new([8; 16]), 1).expect("a pool");
        let (one, two, shard) = (pool(spec.clone()), pool(spec), shard(5));
        let mut same = 0;
        for number in 0..100 {
            with_ia(number, |ia| {
                let lease = one.offer(&shard, ia).expect("an empty pool");
                assert_eq!(two.offer(&shard, ia), Some(lease));
                same += u32::from(other.offer(&shard, ia) == Some(lease));
            });
        }
        assert!(same <= 1, "{same} of 100 do not depend on the key");
    }
}

#[test]
fn what_is_offered_is_what_a_claim_takes_and_a_release_gives_back() {
    let (pool, shard) = (pool(prefixes("2001:db8::", 48, 56)), shard(0));
    let offered = with_ia(1, |ia| pool.offer(&shard, ia)).expect("an empty pool");
    assert_eq!(pool.counts().bound, 0);
    assert_eq!(with_ia(1, |ia| pool.claim(&shard, ia)), Some(offered));
    assert!(!pool.claim_exact(&shard, offered));
    pool.release(offered);
    pool.release(offered);
    assert_eq!(pool.counts().bound, 0);
    assert!(pool.claim_exact(&shard, offered));
    assert!(!pool.claim_exact(&shard, Lease { len: 57, ..offered }));
    assert!(!pool.claim_exact(
        &shard,
        Lease {
            addr: offered.addr | 1,
            ..offered
        }
    ));
}

#[test]
fn either_half_is_used_to_the_last_without_touching_the_other() {
    for first in ["2001:db8::10", "2001:db8::11"] {
        let pool = pool(addresses(first, "2001:db8::5f"));
        let shard = shard(0);
        let size = pool.counts().size;
        let odd: Vec<Lease> = (0..200)
            .map_while(|i| with_ia(i, |ia| pool.claim_among(&shard, ia, half(Positions::Odd))))
            .collect();
        assert!(odd.iter().all(|lease| lease.addr & 1 == 1));
        assert_eq!(odd.len(), 40);
        assert_eq!(
            with_ia(1, |ia| pool.offer_among(&shard, ia, half(Positions::Odd))),
            None
        );
        let even = (0..200)
            .map_while(|i| with_ia(i, |ia| pool.claim_among(&shard, ia, half(Positions::Even))))
            .inspect(|lease| assert_eq!(lease.addr & 1, 0))
            .count();
        assert_eq!(even as u128, size - 40);
        assert_eq!(pool.counts().free, 0);
    }
}

#[test]
fn shards_draw_from_parts_of_their_own() {
    let pool = pool(addresses("2001:db8::", "2001:db8::ffff:ffff:ffff:ffff"));
    let mut drawn = HashSet::new();
    for id in 0..=255 {
        let mut shard = shard(id);
        for number in 0..8 {
            // Every shard is asked for the same clients: the parts alone keep them apart.
            with_ia(number, |ia| {
                let among = [Positions::All, Positions::Odd, Positions::Even][number as usize % 3];
                let lease = pool
                    .claim_among(&shard, ia, half(among))
                    .expect("a free address");
                assert!(pool.contains(lease));
                assert_eq!(pool.owner(lease), Some(ShardId(id)));
                assert!(drawn.insert(lease), "{lease} drawn twice");
                bind(&mut shard, ia, lease);
                let another = pool.offer(&shard, ia).expect("a free address");
                assert_ne!(another, lease, "the binding is in the shard's table");
            });
        }
    }
    assert_eq!(pool.counts().bound, 256 * 8);
    check_conservation(pool.counts());
}

#[test]
fn each_shard_owns_the_same_number_of_positions() {
    for count in [1_u128 << 12, (1 << 12) - 900] {
        let sparse = Sparse::new(count, SipKey::from_seed(3));
        let mut owned = [0; 256];
        for position in 0..1 << 12 {
            owned[usize::from(sparse.owner(position).0)] += 1;
        }
        assert_eq!(owned, [16; 256]);
        let own: BTreeSet<u64> = (0..1000_u64)
            .map(|hash| sparse.candidate(ShardId(200), hash, None))
            .collect();
        assert!(
            own.iter()
                .all(|&position| sparse.owner(position) == ShardId(200))
        );
        assert_eq!(own.len(), 16);
    }
}

#[test]
fn a_sparse_range_that_is_no_power_of_two_is_not_left() {
    let pool = pool(addresses("2001:db8::7", "2001:db8::1400:0"));
    let shard = shard(77);
    for number in 0..500 {
        let lease = with_ia(number, |ia| pool.offer(&shard, ia)).expect("a free address");
        assert!(pool.contains(lease), "{lease}");
    }
}

#[test]
fn a_foreign_lease_is_refused_as_a_hint_and_left_alone_after_recovery() {
    let pool = pool(prefixes("2001:db0::", 28, 56));
    let (mut owner, mut holder) = (shard(1), shard(2));
    with_ia(1, |ia| {
        let lease = pool.offer(&owner, ia).expect("an empty pool");
        assert!(!pool.claim_exact(&holder, lease));
        bind(&mut holder, ia, lease);
        assert!(pool.adopt(holder.id(), lease));
        assert!(!pool.adopt(ShardId(3), lease), "two holders");
        assert!(!pool.adopt(owner.id(), lease), "two holders");
        assert_eq!(pool.counts().bound, 1);
        assert!(!pool.claim_exact(&owner, lease));
        assert_ne!(pool.offer(&owner, ia), Some(lease));
        pool.release(lease);
        assert_eq!(pool.counts().bound, 0);
        assert_eq!(pool.claim(&owner, ia), Some(lease));
        bind(&mut owner, ia, lease);
        assert!(!pool.claim_exact(&owner, lease));
    });
}

#[test]
fn a_spec_that_makes_no_pool_says_why() {
    let made = |spec: PoolSpec| Pool::new(spec, &KEY, 0).map(|_| ());
    let good = prefixes("2001:db8::", 40, 56);
    assert_eq!(
        made(PoolSpec {
            count: 0,
            ..good.clone()
        }),
        Err(PoolError::Empty)
    );
    assert_eq!(
        made(PoolSpec {
            count: 3,
            ..good.clone()
        }),
        Err(PoolError::NotAPrefix)
    );
    assert_eq!(
        made(PoolSpec {
            first: 1,
            ..good.clone()
        }),
        Err(PoolError::Misaligned)
    );
    assert_eq!(
        made(PoolSpec {
            unit_len: 0,
            ..good.clone()
        }),
        Err(PoolError::UnitLength(0))
    );
    assert_eq!(
        made(PoolSpec {
            kind: IaKind::Na,
            ..good.clone()
        }),
        Err(PoolError::UnitLength(56))
    );
    let last_prefix = u128::MAX << 72;
    let past = PoolSpec {
        first: last_prefix,
        count: 2,
        ..good.clone()
    };
    assert_eq!(made(past), Err(PoolError::PastTheEnd));
    assert_eq!(
        made(PoolSpec {
            first: last_prefix,
            count: 1,
            ..good
        }),
        Ok(())
    );
    let all = PoolSpec::addresses(Ipv6Addr::from_bits(0), Ipv6Addr::from_bits(u128::MAX));
    assert_eq!(all, Err(PoolError::TooLarge));
    let backwards = PoolSpec::addresses(Ipv6Addr::from_bits(1), Ipv6Addr::from_bits(0));
    assert_eq!(backwards, Err(PoolError::Empty));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Long runs of set bits, so that whole words fill and empty on every level.
    #[test]
    fn a_bitmap_finds_what_a_set_finds(
        len in prop_oneof![1..200_usize, 30_000..70_000_usize],
        runs in prop::collection::vec((any::<bool>(), 0.0..1.0_f64, 1..20_000_usize), 1..12),
        searches in prop::collection::vec((0.0..1.0_f64, 0.0..1.0_f64, 0.0..1.0_f64), 20),
    ) {
        let map = Bitmap::new(len);
        let mut clear: BTreeSet<usize> = (0..len).collect();
        let at = |share: f64, count: usize| (share * count as f64) as usize;
        for (take, from, length) in runs {
            let from = at(from, len);
            for bit in from..(from + length).min(len) {
                if take {
                    prop_assert_eq!(map.take(bit), clear.remove(&bit));
                } else {
                    prop_assert_eq!(map.give(bit), clear.insert(bit));
                }
            }
        }
        for (a, b, start) in searches {
            let (begin, end) = (at(a.min(b), len), at(a.max(b), len));
            let start = begin + at(start, end - begin);
            let first = clear.range(begin..end).next().copied();
            let next = clear.range(start..end).next().copied().or(first);
            prop_assert_eq!(map.find(&(begin..end), start), next);
            prop_assert_eq!(map.scan(&(begin..end)), first);
        }
    }

    #[test]
    fn a_preset_map_is_one_whose_bits_were_taken(
        len in 1..9_000_usize,
        ends in prop::collection::vec((0..9_000_usize, 0..9_000_usize), 0..5),
    ) {
        let mut map = Bitmap::new(len);
        let mut clear: BTreeSet<usize> = (0..len).collect();
        for (a, b) in ends {
            let bits = a.min(b).min(len)..a.max(b).min(len);
            clear.retain(|bit| !bits.contains(bit));
            map.preset(bits);
        }
        prop_assert_eq!(map.find(&(0..len), 0), clear.first().copied());
        for bit in 0..len {
            prop_assert_eq!(map.is_taken(bit), !clear.contains(&bit));
        }
    }
}
