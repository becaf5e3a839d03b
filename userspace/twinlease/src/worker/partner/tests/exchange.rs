//! What becomes of leases at two servers.

use super::*;
use BindingStatus::{Active, Expired, Released};

#[test]
fn what_one_server_grants_the_other_one_has_and_acknowledges() {
    let (mut primary, mut secondary) = pair();
    for number in 0..200 {
        primary.put(number, prefix(number), Active);
    }
    primary.put(7, address(0x11), Active);
    assert_eq!(exchange(&mut primary, &mut secondary), 201);
    for number in 0..200 {
        let there = secondary.get(prefix(number)).unwrap();
        assert_eq!(there.duid.octets(), client(number));
        assert_eq!(there.status, Active);
        assert!(secondary.is_taken(prefix(number)));
    }
    assert!(secondary.is_taken(address(0x11)));
    assert_eq!((primary.unacked(), secondary.unacked()), (0, 0));
    let here = primary.get(address(0x11)).unwrap();
    assert_eq!(here.partner.acked_partner_lifetime, NOW.plus(600));
    assert_eq!(exchange(&mut primary, &mut secondary), 0, "all is told");
    assert_eq!(exchange(&mut secondary, &mut primary), 0);
    let counted = primary.desk.counters.partner.updates_acknowledged.get();
    assert_eq!(counted, 201);
    assert_eq!(secondary.desk.counters.partner.leases_accepted.get(), 201);
}

#[test]
fn an_ended_lease_is_free_at_both_after_both_have_recorded_it() {
    for status in [Released, Expired] {
        let (mut primary, mut secondary) = pair();
        for lease in [address(0x11), prefix(3)] {
            primary.put(1, lease, Active);
        }
        exchange(&mut primary, &mut secondary);
        for side in [&mut primary, &mut secondary] {
            side.now = NOW.plus(80);
        }
        for lease in [address(0x11), prefix(3)] {
            primary.put(1, lease, status);
        }
        assert_eq!(exchange(&mut primary, &mut secondary), 2);
        for side in [&primary, &secondary] {
            for lease in [address(0x11), prefix(3)] {
                assert!(side.get(lease).is_none(), "{lease} {status:?}");
                assert!(!side.is_taken(lease), "{lease} {status:?}");
            }
        }
    }
}

/// The partner's client is in another shard than the one that holds the lease here.
#[test]
fn a_lease_of_another_shard_is_given_up_or_kept_as_the_rules_say() {
    let lease = address(0x11);
    let other = (1..)
        .find(|n| shard_of(&client(*n)) != shard_of(&client(0)))
        .unwrap();
    for is_primary_first in [true, false] {
        let (mut primary, mut secondary) = pair();
        primary.put(0, lease, Active);
        secondary.put(other, lease, Active);
        if is_primary_first {
            exchange(&mut primary, &mut secondary);
            exchange(&mut secondary, &mut primary);
        } else {
            exchange(&mut secondary, &mut primary);
            exchange(&mut primary, &mut secondary);
        }
        for side in [&primary, &secondary] {
            let holder = side.get(lease).unwrap();
            assert_eq!(holder.duid.octets(), client(0), "the primary's counts");
            assert!(side.is_taken(lease));
        }
        assert!(primary.desk.partner.kept(0).is_empty());
        assert!(secondary.desk.partner.kept(0).is_empty());
    }
}

/// What its own client holds of a reservation is counted nowhere; what it gave up for another one is.
#[test]
fn a_reserved_lease_that_was_given_up_is_not_free_for_its_own_client() {
    let lease = address(0x11);
    let own = (1..)
        .find(|n| shard_of(&client(*n)) != shard_of(&client(0)))
        .unwrap();
    let octets = client(own);
    let duid = Duid::new(&octets).unwrap();
    let (mut primary, mut secondary) = pair();
    reserve(&mut secondary, own, lease);
    let is_taken = |side: &Side| {
        side.desk
            .model
            .is_taken_from(shard_of(&octets), duid, lease)
    };
    primary.put(0, lease, Active);
    secondary.put(own, lease, Active);
    assert!(!is_taken(&secondary));
    exchange(&mut primary, &mut secondary);
    let holder = secondary.get(lease).unwrap();
    assert_eq!(holder.duid.octets(), client(0), "the primary's counts");
    assert!(is_taken(&secondary));
    primary.now = primary.now.plus(1);
    secondary.now = primary.now;
    primary.put(0, lease, Released);
    exchange(&mut primary, &mut secondary);
    assert!(secondary.get(lease).is_none());
    assert!(!is_taken(&secondary));
}

/// Reserves a lease for a client by its DUID.
fn reserve(side: &mut Side, client_number: u16, lease: Lease) {
    let mut table = engine::ReservationTable::builder();
    let octets = client(client_number);
    let key = engine::ReservationKey::Duid(&octets);
    let terms = engine::ReservationTerms::NONE;
    table.push(0, "lan", key, lease, &terms).unwrap();
    let reserved = builder(Role::Secondary, 0xff).reservations(Arc::new(table.finish(0).unwrap()));
    side.desk.model = Arc::new(reserved.build().unwrap());
}

/// While a stranger is counted its own client could not even renew what is reserved for it.
#[test]
fn a_reserved_lease_that_its_own_client_gets_back_is_no_strangers_any_more() {
    let lease = address(0x11);
    let is_same_shard = |n: &u16| shard_of(&client(*n)) == shard_of(&client(0));
    let elsewhere = (1..).find(|n| !is_same_shard(n)).unwrap();
    let beside = (1..).find(is_same_shard).unwrap();
    for own in [elsewhere, beside] {
        let (mut primary, mut secondary) = pair();
        reserve(&mut secondary, own, lease);
        let held = |side: &Side| side.desk.model.reservations_held();
        secondary.put(0, lease, Active);
        assert_eq!(held(&secondary), 1);
        primary.put(own, lease, Active);
        exchange(&mut primary, &mut secondary);
        let holder = secondary.get(lease).unwrap();
        assert_eq!(holder.duid.octets(), client(own), "the primary's counts");
        assert_eq!(held(&secondary), 0);
        primary.now = primary.now.plus(1);
        secondary.now = primary.now;
        primary.put(own, lease, Released);
        exchange(&mut primary, &mut secondary);
        assert!(secondary.get(lease).is_none());
        assert_eq!(held(&secondary), 0);
    }
}

#[test]
fn a_reserved_lease_given_to_a_client_of_the_same_shard_is_not_free_for_its_own() {
    let lease = address(0x11);
    let is_same_shard = |n: &u16| shard_of(&client(*n)) == shard_of(&client(0));
    let own = (1..).find(is_same_shard).unwrap();
    let (mut primary, mut secondary) = pair();
    reserve(&mut secondary, own, lease);
    let held = |side: &Side| side.desk.model.reservations_held();
    secondary.put(own, lease, Active);
    assert_eq!(held(&secondary), 0);
    primary.put(0, lease, Active);
    exchange(&mut primary, &mut secondary);
    assert_eq!(held(&secondary), 1);
    primary.now = primary.now.plus(1);
    secondary.now = primary.now;
    primary.put(0, lease, Released);
    exchange(&mut primary, &mut secondary);
    assert_eq!(held(&secondary), 0);
}

/// A stranger has had it since before that; rejected, its own client would be given it as well.
#[test]
fn a_lease_that_a_stranger_has_is_taken_over_though_it_is_reserved_since() {
    let lease = address(0x11);
    let is_same_shard = |n: &u16| shard_of(&client(*n)) == shard_of(&client(0));
    let elsewhere = (1..).find(|n| !is_same_shard(n)).unwrap();
    let beside = (1..).find(is_same_shard).unwrap();
    for own in [elsewhere, beside] {
        let (mut primary, mut secondary) = pair();
        reserve(&mut secondary, own, lease);
        let held = |side: &Side| side.desk.model.reservations_held();
        primary.put(0, lease, Active);
        exchange(&mut primary, &mut secondary);
        assert_eq!(primary.unacked(), 0);
        let holder = secondary.get(lease).unwrap();
        assert_eq!(holder.duid.octets(), client(0));
        assert_eq!(held(&secondary), 1, "not free for its own client");
        primary.now = primary.now.plus(1);
        secondary.now = primary.now;
        primary.put(0, lease, Released);
        exchange(&mut primary, &mut secondary);
        assert_eq!(held(&secondary), 0);
        assert!(secondary.desk.partner.kept(0).is_empty());
    }
}

#[test]
fn an_ended_lease_of_another_shard_is_freed_and_not_lost() {
    let lease = address(0x11);
    let other = (1..)
        .find(|n| shard_of(&client(*n)) != shard_of(&client(0)))
        .unwrap();
    let (mut primary, mut secondary) = pair();
    secondary.put(other, lease, Released);
    primary.put(0, lease, Released);
    exchange(&mut primary, &mut secondary);
    assert!(secondary.get(lease).is_none());
    assert!(primary.get(lease).is_none());
    assert!(!primary.is_taken(lease) && !secondary.is_taken(lease));
}

#[test]
fn what_is_none_of_the_relationship_is_rejected_with_its_reason() {
    let (mut primary, mut secondary) = pair();
    secondary.desk.model = Arc::new(builder(Role::Secondary, 0x20).build().unwrap());
    primary.put(1, address(0x41), Active);
    exchange(&mut primary, &mut secondary);
    assert!(secondary.get(address(0x41)).is_none());
    let rejected = secondary.desk.counters.snapshot().partner.leases_rejected;
    assert_eq!(rejected["not-of-relationship"], 1);
    assert_eq!(primary.desk.counters.partner.updates_refused.get(), 1);
    assert_eq!(primary.unacked(), 1, "and is kept for later");
    assert_eq!(exchange(&mut primary, &mut secondary), 0, "but not at once");
    primary.desk.partner.take(ToWorker::RetryRejected);
    assert_eq!(exchange(&mut primary, &mut secondary), 1);
}
