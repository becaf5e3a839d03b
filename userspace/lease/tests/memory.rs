//! What the tables cost, counted at the allocator.

use core::net::Ipv6Addr;
use core::sync::atomic::{AtomicUsize, Ordering};
use lease::{
    AbsTime, AllocationKey, BindingRecord, BindingStatus, Lease, LinkKey, PartnerTimes, Pool,
    PoolSpec, Shard,
};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::{Mutex, PoisonError};
use wire::{Duid, IaKey, IaKind, Iaid, SHARDS, ShardId, shard_of};

/// Octets in use, and calls that asked for some.
static IN_USE: AtomicUsize = AtomicUsize::new(0);
static CALLS: AtomicUsize = AtomicUsize::new(0);
/// The counters are the process's, so one test runs at a time.
static ALONE: Mutex<()> = Mutex::new(());

struct Counting;

// SAFETY: every call goes on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(layout.size(), Ordering::Relaxed);
        CALLS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(layout.size(), Ordering::Relaxed);
        CALLS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn in_use() -> usize {
    IN_USE.load(Ordering::Relaxed)
}

fn duid_octets(number: u32) -> [u8; 14] {
    let mut octets = [0, 1, 0, 1, 42, 42, 42, 42, 2, 0, 0, 0, 0, 0];
    octets[10..].copy_from_slice(&number.to_be_bytes());
    octets
}

fn put(shards: &mut [Shard], number: u32, expires: u32, via: &[u8]) {
    let octets = duid_octets(number);
    shards[usize::from(shard_of(&octets).0)].put(&BindingRecord {
        duid: Duid::new(&octets).expect("14 octets"),
        kind: IaKind::Na,
        iaid: Iaid(1),
        subscriber: None,
        lease: Lease {
            addr: 0x2001_0db8 << 96 | u128::from(number),
            len: 128,
        },
        link: LinkKey(1),
        status: BindingStatus::Active,
        preferred_secs: 3_000,
        valid_secs: 4_000,
        cltt: AbsTime(1),
        status_since: AbsTime(1),
        expires: AbsTime(expires),
        partner: PartnerTimes {
            unacked: true,
            ..PartnerTimes::NONE
        },
        accepts_reconfigure: true,
        via,
    });
}

fn shards() -> Vec<Shard> {
    (0..SHARDS)
        .map(|id| Shard::new(ShardId(id as u8), id as u64))
        .collect()
}

/// The relay data of a client behind one relay that adds an interface-id, as most do.
const TYPICAL_VIA: [u8; 80] = [7; 80];

#[test]
fn a_million_bindings_take_less_than_130_octets_each() {
    let each = octets_per_binding(&[]);
    println!("{each} octets per binding");
    assert!(each <= 130, "{each} octets per binding");
}

#[test]
fn relay_data_costs_its_own_length_and_little_more() {
    let each = octets_per_binding(&TYPICAL_VIA);
    println!(
        "{each} octets per binding with {} of relay data",
        TYPICAL_VIA.len()
    );
    assert!(
        each <= 130 + TYPICAL_VIA.len() + 2,
        "{each} octets per binding"
    );
}

fn octets_per_binding(via: &[u8]) -> usize {
    const BINDINGS: u32 = 1_000_000;
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let before = in_use();
    let mut shards = shards();
    for number in 0..BINDINGS {
        put(&mut shards, number, 5_000 + number % 4_000, via);
    }
    let counted = in_use() - before;
    let said: usize = shards.iter().map(Shard::memory_bytes).sum();
    assert!(
        said.abs_diff(counted) < counted / 20,
        "{said} said, {counted} counted"
    );
    counted / BINDINGS as usize
}

#[test]
fn renewing_and_expiring_and_coming_back_does_not_allocate() {
    const BINDINGS: u32 = 20_000;
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut shards = shards();
    for number in 0..BINDINGS {
        put(&mut shards, number, 1_000, &TYPICAL_VIA);
    }
    let before = CALLS.load(Ordering::Relaxed);
    for round in 1..4 {
        for number in 0..BINDINGS {
            put(
                &mut shards,
                number,
                round * 1_000 + number % 900,
                &TYPICAL_VIA,
            );
        }
        for shard in &mut shards {
            shard.expire(AbsTime(round * 1_000 + 500), usize::MAX, &mut |_| None);
        }
    }
    assert_eq!(CALLS.load(Ordering::Relaxed), before);
}

#[test]
fn ten_thousand_links_with_a_64_each_take_less_than_100_mb() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let before = in_use();
    let key = AllocationKey::new([1; 16]);
    let shard = Shard::new(ShardId(1), 1);
    let octets = duid_octets(1);
    let ia = IaKey {
        duid: Duid::new(&octets).expect("14 octets"),
        kind: IaKind::Na,
        iaid: Iaid(1),
    };
    let pools: Vec<Pool> = (0..10_000_u128)
        .map(|link| {
            let first = 0x2001_0db8 << 96 | link << 64;
            let last = first | u128::from(u64::MAX);
            let spec = PoolSpec::addresses(Ipv6Addr::from_bits(first), Ipv6Addr::from_bits(last))
                .expect("a /64");
            Pool::new(spec, &key, link as u64).expect("a pool")
        })
        .collect();
    assert!(pools.iter().all(|pool| pool.claim(&shard, &ia).is_some()));
    let each = (in_use() - before) / pools.len();
    println!("{each} octets per pool");
    assert!(each * pools.len() <= 100_000_000, "{each} octets per pool");
}
