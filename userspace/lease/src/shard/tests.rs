use super::slab::CHUNK;
use super::*;
use crate::{BindingStatus, LinkKey, PartnerTimes, SubscriberIa, VIA_LEN_MAX};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use wire::{Duid, IaKind, Iaid};

/// A client of the tests; its number also decides how long its DUID is.
fn duid_octets(client: u8) -> Vec<u8> {
    let len = [10, 14, 22, 23, 48, 49, 130][usize::from(client) % 7];
    let mut octets = vec![client; len];
    octets[1] = 2;
    octets
}

fn lease(number: u16) -> Lease {
    Lease {
        addr: 0x2001_0db8 << 96 | u128::from(number),
        len: 128,
    }
}

/// Relay data of all sizes of cells, none among them.
fn via(number: usize) -> &'static [u8] {
    static OCTETS: LazyLock<[u8; VIA_LEN_MAX]> =
        LazyLock::new(|| core::array::from_fn(|at| at as u8));
    let len = [0, 16, 17, 48, 64, 66, 80, 96, 130, 192, 256, VIA_LEN_MAX][number % 12];
    let from = number % (VIA_LEN_MAX + 1 - len);
    &OCTETS[from..from + len]
}

/// Every third client has its leases by its subscriber, whose key has a length of its own.
fn subscriber(client: u8, number: u32) -> Option<SubscriberIa<'static>> {
    static KEYS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
        let key = |client: u8| {
            let mut key = vec![client; [4, 12, 36, 130][usize::from(client) % 4]];
            key[..3].copy_from_slice(&[0xff, 0xff, 37]);
            key
        };
        (0..=u8::MAX).map(key).collect()
    });
    client.is_multiple_of(3).then(|| SubscriberIa {
        key: Duid::new(&KEYS[usize::from(client)]).expect("a length a DUID may have"),
        number: Iaid(number / 2),
    })
}

fn record(octets: &[u8], iaid: u32, lease: Lease, expires: u32) -> BindingRecord<'_> {
    BindingRecord {
        duid: Duid::new(octets).expect("a length a DUID may have"),
        kind: if iaid.is_multiple_of(2) {
            IaKind::Na
        } else {
            IaKind::Pd
        },
        iaid: Iaid(iaid),
        subscriber: subscriber(octets[0], iaid),
        lease,
        link: LinkKey(0x0123_4567_89ab_cdef),
        status: BindingStatus::Active,
        preferred_secs: 1,
        valid_secs: 2,
        cltt: AbsTime(3),
        status_since: AbsTime(4),
        expires: AbsTime(expires),
        partner: PartnerTimes {
            partner_lifetime: AbsTime(5),
            acked_partner_lifetime: AbsTime(expires),
            expiration_time: AbsTime(7),
            partner_raw_cltt: AbsTime(8),
            unacked: expires.is_multiple_of(2),
        },
        accepts_reconfigure: expires.is_multiple_of(3),
        via: via(expires as usize ^ lease.addr as usize),
    }
}

fn expired_at(shard: &mut Shard, now: u32) -> Vec<u128> {
    let mut seen = Vec::new();
    loop {
        let mut looked = 0;
        shard.expire(AbsTime(now), 3, &mut |record| {
            looked += 1;
            assert!(record.expires.0 <= now, "before its end");
            seen.push(record.lease.addr & 0xffff);
            None
        });
        assert!(looked <= 3, "more than the budget");
        if shard.next_expiry().is_none_or(|next| next.0 > now) {
            seen.sort_unstable();
            return seen;
        }
    }
}

#[test]
fn a_record_comes_back_as_it_was_put() {
    let mut shard = Shard::new(ShardId(3), 1);
    for client in 0..7 {
        let octets = duid_octets(client);
        let put = BindingRecord {
            status: BindingStatus::Abandoned,
            lease: Lease {
                addr: 0x2001_0db8_ffff_0000_u128 << 64 | u128::from(client) << 72,
                len: 56,
            },
            kind: IaKind::Pd,
            ..record(&octets, u32::MAX, lease(0), 99)
        };
        let id = shard.put(&put);
        assert_eq!(shard.get(id), Some(put));
        assert_eq!(shard.by_lease(put.lease), Some((id, put)));
        assert_eq!(shard.leases_of(&put.ia()).collect::<Vec<_>>(), [(id, put)]);
    }
    assert_eq!(shard.len(), 7);
}

#[test]
fn relay_data_that_is_too_long_is_kept_as_none() {
    let mut shard = Shard::new(ShardId(3), 1);
    let octets = duid_octets(0);
    let put = BindingRecord {
        via: &[1; VIA_LEN_MAX + 1],
        ..record(&octets, 1, lease(0), 99)
    };
    let id = shard.put(&put);
    assert_eq!(shard.get(id), Some(BindingRecord { via: &[], ..put }));
}

#[test]
fn a_prefix_and_the_address_it_begins_with_are_different_leases() {
    let mut shard = Shard::new(ShardId(0), 1);
    let octets = duid_octets(0);
    let prefix = Lease {
        len: 56,
        ..lease(0)
    };
    shard.put(&record(&octets, 0, lease(0), 9));
    shard.put(&record(&octets, 1, prefix, 9));
    assert_eq!(shard.len(), 2);
}

#[test]
fn an_ia_has_all_its_leases_and_no_others() {
    let mut shard = Shard::new(ShardId(0), 1);
    let octets = duid_octets(1);
    for number in 0..50 {
        shard.put(&record(&octets, u32::from(number) % 4, lease(number), 9));
    }
    let ia = record(&octets, 2, lease(0), 9).ia();
    let mut found: Vec<u128> = shard
        .leases_of(&ia)
        .map(|(_, record)| record.lease.addr & 0xffff)
        .collect();
    found.sort_unstable();
    assert_eq!(found, (2..50).step_by(4).collect::<Vec<u128>>());
}

#[test]
fn replacing_keeps_the_place_and_forgets_the_former_holder() {
    let mut shard = Shard::new(ShardId(0), 1);
    let (before, after) = (duid_octets(6), duid_octets(3));
    let old = record(&before, 2, lease(7), 100);
    let id = shard.put(&old);
    let new = record(&after, 4, lease(7), 200);
    assert_eq!(shard.put(&new), id);
    assert_eq!(shard.leases_of(&old.ia()).count(), 0);
    assert_eq!(shard.leases_of(&new.ia()).count(), 1);
    assert_eq!(expired_at(&mut shard, 199), []);
    assert_eq!(expired_at(&mut shard, 200), [7]);
    assert!(!shard.remove(id));
    assert!(shard.is_empty());
}

#[test]
fn a_subscriber_s_lease_goes_from_client_to_client_and_stays_its_own() {
    let mut shard = Shard::new(ShardId(0), 1);
    let clients = [0, 4, 6].map(duid_octets);
    let [before, after, other] = &clients;
    let old = record(before, 2, lease(7), 100);
    let id = shard.put(&old);
    let mut swapped = BindingRecord {
        subscriber: old.subscriber,
        ..record(after, 40, lease(7), 200)
    };
    for expires in [200, 300] {
        swapped.expires = AbsTime(expires);
        assert_eq!(shard.put(&swapped), id);
        assert_eq!(shard.get(id), Some(swapped));
        let found: Vec<_> = shard.leases_of(&old.ia()).collect();
        assert_eq!(found, [(id, swapped)]);
        assert_eq!(shard.of_subscribers(), 1);
    }
    assert_eq!(shard.take_client_changes(), 1);
    // Another number is another IA, and another subscriber another client.
    for key in [
        record(before, 4, lease(7), 9).ia(),
        record(other, 2, lease(7), 9).ia(),
    ] {
        assert_eq!(shard.leases_of(&key).count(), 0);
    }
    // Without a subscriber it is the client's own.
    let own = BindingRecord {
        subscriber: None,
        ..swapped
    };
    assert_eq!(shard.put(&own), id);
    assert_eq!(shard.leases_of(&old.ia()).count(), 0);
    assert_eq!(shard.leases_of(&own.ia()).count(), 1);
    assert_eq!(shard.of_subscribers(), 0);
    shard.put(&swapped);
    assert!(shard.remove(id));
    assert_eq!(shard.of_subscribers(), 0);
}

#[test]
fn what_never_ends_is_never_armed() {
    let mut shard = Shard::new(ShardId(0), 1);
    let octets = duid_octets(0);
    shard.put(&record(&octets, 0, lease(1), AbsTime::NEVER.0));
    assert_eq!(shard.next_expiry(), None);
    assert_eq!(expired_at(&mut shard, u32::MAX), []);
    assert_eq!(shard.len(), 1);
}

#[test]
fn a_jump_over_years_expires_what_ended_and_nothing_else() {
    let mut shard = Shard::new(ShardId(0), 1);
    let octets = duid_octets(0);
    let ends = [
        1,
        255,
        256,
        65_535,
        65_536,
        800_000_000,
        800_000_001,
        1_600_000_000,
    ];
    for (number, end) in ends.into_iter().enumerate() {
        shard.put(&record(&octets, 0, lease(number as u16), end));
    }
    assert_eq!(expired_at(&mut shard, 800_000_000), [0, 1, 2, 3, 4, 5]);
    assert_eq!(expired_at(&mut shard, 800_000_001), [6]);
    assert_eq!(expired_at(&mut shard, 1_599_999_999), []);
    assert_eq!(expired_at(&mut shard, u32::MAX - 1), [7]);
}

#[test]
fn a_clock_that_was_years_ahead_expires_nothing_early_and_nothing_late() {
    let mut shard = Shard::new(ShardId(0), 1);
    let octets = duid_octets(0);
    shard.put(&record(&octets, 0, lease(0), 4_000_000_000));
    assert_eq!(expired_at(&mut shard, 3_000_000_000), []);
    for number in 1..=40 {
        let end = 800_000_000 + u32::from(number) * 100;
        shard.put(&record(&octets, 0, lease(number), end));
    }
    assert_eq!(expired_at(&mut shard, 800_000_099), []);
    for number in 1..=40 {
        let end = 800_000_000 + number * 100;
        assert_eq!(expired_at(&mut shard, end - 1), []);
        assert_eq!(expired_at(&mut shard, end), [u128::from(number)]);
    }
    assert_eq!(shard.len(), 1);
}

#[test]
fn one_call_does_no_more_than_its_budget_when_ten_thousand_must_move() {
    let mut shard = Shard::new(ShardId(0), 1);
    let octets = duid_octets(0);
    for number in 0..10_000 {
        let end = 0x3000_0000 + u32::from(number);
        shard.put(&record(&octets, 0, lease(number), end));
    }
    let mut calls = 0;
    while shard
        .next_expiry()
        .is_some_and(|next| next.0 <= 0x3000_0000)
    {
        assert!(shard.expire(AbsTime(0x3000_0000), 100, &mut |_| None) <= 1);
        calls += 1;
    }
    assert!((100..=410).contains(&calls), "{calls} calls");
    assert_eq!(shard.len(), 9_999);
}

#[derive(Clone, Debug)]
enum Step {
    Put {
        client: u8,
        iaid: u32,
        number: u16,
        lasts: u32,
    },
    Remove(u16),
    Clock(i64),
    WalkOn(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let lasts = prop_oneof![0..5_u32, 200..600_u32, 60_000..70_000_u32, Just(u32::MAX)];
    let put = (0..20_u8, 0..3_u32, 0..400_u16, lasts).prop_map(|(client, iaid, number, lasts)| {
        Step::Put {
            client,
            iaid,
            number,
            lasts,
        }
    });
    let clock = prop_oneof![
        6 => 0..3_i64,
        3 => 100..700_i64,
        2 => 30_000..20_000_000_i64,
        1 => -3..0_i64,
        1 => -10_000_000..0_i64,
    ];
    let step = prop_oneof![
        6 => put,
        2 => (0..400_u16).prop_map(Step::Remove),
        3 => clock.prop_map(Step::Clock),
        2 => (1..90_usize).prop_map(Step::WalkOn),
    ];
    prop::collection::vec(step, 1..600)
}

/// What a shard must do, done slowly.
#[derive(Default)]
struct Naive {
    by_lease: BTreeMap<u16, (u8, u32, u32)>,
}

impl Naive {
    fn expire(&mut self, now: u32) -> Vec<u128> {
        let ended: Vec<u16> = self
            .by_lease
            .iter()
            .filter(|(_, (_, _, end))| *end <= now && *end != u32::MAX)
            .map(|(&number, _)| number)
            .collect();
        for number in &ended {
            self.by_lease.remove(number);
        }
        ended.into_iter().map(u128::from).collect()
    }
}

/// A walk in progress: what was there at its beginning and is still, and what it showed.
#[derive(Default)]
struct Walk {
    next: u32,
    lived: BTreeSet<u16>,
    seen: Vec<u16>,
}

fn check_agreement(shard: &Shard, naive: &Naive) {
    assert_eq!(shard.len(), naive.by_lease.len());
    for (&number, &(client, iaid, end)) in &naive.by_lease {
        let octets = duid_octets(client);
        let expected = record(&octets, iaid, lease(number), end);
        let (id, found) = shard.by_lease(lease(number)).expect("a lease that was put");
        assert_eq!(found, expected);
        assert!(shard.leases_of(&expected.ia()).any(|other| other.0 == id));
    }
    for client in 0..20 {
        for iaid in 0..3 {
            let octets = duid_octets(client);
            let of_ia = naive.by_lease.values();
            let of_ia = of_ia.filter(|&&(c, i, _)| (c, i) == (client, iaid)).count();
            let ia = record(&octets, iaid, lease(0), 0).ia();
            assert_eq!(shard.leases_of(&ia).count(), of_ia);
        }
    }
    let first_end = naive.by_lease.values().map(|&(_, _, end)| end).min();
    match first_end {
        Some(end) if end != u32::MAX => {
            assert!(shard.next_expiry().is_some_and(|next| next.0 <= end));
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn behaves_like_a_map(steps in steps(), start in 0..u32::MAX / 2, seed: u64) {
        let (mut shard, mut naive) = (Shard::new(ShardId(9), seed), Naive::default());
        let mut now = start;
        let mut walk = Walk::default();
        for step in steps {
            match step {
                Step::Put { client, iaid, number, lasts } => {
                    let end = AbsTime(now).plus(lasts).0;
                    let octets = duid_octets(client);
                    shard.put(&record(&octets, iaid, lease(number), end));
                    naive.by_lease.insert(number, (client, iaid, end));
                }
                Step::Remove(number) => {
                    let found = shard.by_lease(lease(number)).map(|(id, _)| id);
                    let existed = naive.by_lease.remove(&number).is_some();
                    prop_assert_eq!(found.is_some_and(|id| shard.remove(id)), existed);
                }
                Step::Clock(change) => {
                    now = u32::try_from((i64::from(now) + change).max(0)).unwrap_or(now);
                    prop_assert_eq!(expired_at(&mut shard, now), naive.expire(now));
                }
                Step::WalkOn(max) => {
                    if walk.next == 0 {
                        walk.lived = naive.by_lease.keys().copied().collect();
                    }
                    let (next, records) = shard.walk(walk.next, max);
                    walk.seen.extend(records.map(|record| record.lease.addr as u16));
                    if let Some(next) = next {
                        walk.next = next;
                    } else {
                        for number in &walk.lived {
                            let times = walk.seen.iter().filter(|seen| *seen == number).count();
                            prop_assert_eq!(times, 1, "lease {} in a walk", number);
                        }
                        walk = Walk::default();
                    }
                }
            }
            walk.lived.retain(|number| naive.by_lease.contains_key(number));
        }
        check_agreement(&shard, &naive);
    }
}

#[test]
fn freed_places_are_used_again_and_memory_stays() {
    let mut shard = Shard::new(ShardId(0), 1);
    let fill = |shard: &mut Shard, salt: u16| {
        for number in 0..CHUNK as u16 * 3 {
            let octets = duid_octets((number + salt) as u8);
            shard.put(&record(&octets, 0, lease(number), 10));
        }
    };
    fill(&mut shard, 0);
    let full = shard.memory_bytes();
    for round in 1..10 {
        shard.expire(AbsTime(10), usize::MAX, &mut |_| None);
        assert!(shard.is_empty());
        fill(&mut shard, round * 7);
        assert_eq!(shard.memory_bytes(), full);
    }
}
