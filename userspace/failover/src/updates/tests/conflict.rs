//! What the two say differently (RFC 8156 §7.5.4).

use super::*;

#[test]
fn rfc8156_7_5_4_an_end_is_not_believed_while_the_lease_lives_here() {
    let (mut primary, mut secondary) = pair();
    let one = client(1);
    primary.put(&active(&one, address(1), NOW, 60));
    exchange(&mut primary, &mut secondary);
    // The client renews at the secondary, which cannot say so.
    secondary.now = NOW.plus(50);
    secondary.amend(address(1), |record| {
        record.cltt = NOW.plus(50);
        record.expires = NOW.plus(110);
    });
    primary.now = NOW.plus(70);
    secondary.now = NOW.plus(70);
    primary.end(address(1), BindingStatus::Expired);
    let settled = exchange(&mut primary, &mut secondary);
    assert_eq!(settled, [Settled::Rejected(Rejection::Outdated.status())]);
    assert_eq!(
        primary.get(address(1)).unwrap().status,
        BindingStatus::Expired,
        "not free"
    );
    // What is newer gets its way.
    assert_eq!(
        exchange(&mut secondary, &mut primary),
        [Settled::Acknowledged]
    );
    let back = primary.get(address(1)).unwrap();
    assert_eq!(back.status, BindingStatus::Active);
    assert!(!back.partner.unacked);
    assert_eq!(back.expires, NOW.plus(110));
}

#[test]
fn rfc8156_7_5_4_two_servers_that_cannot_agree_do_not_storm() {
    let (mut primary, mut secondary) = pair();
    let (one, other) = (client(2), client(4));
    // The primary's client has it, so has the secondary's, later.
    primary.put(&active(&one, address(1), NOW.plus(100), 3_600));
    secondary.put(&active(&other, address(1), NOW, 3_600));
    for side in [&mut primary, &mut secondary] {
        side.now = NOW.plus(200);
    }
    let refused = Settled::Rejected(Rejection::AddressInUse.status());
    assert_eq!(exchange(&mut secondary, &mut primary), [refused]);
    assert!(secondary.offers().is_empty(), "not sent again at once");
    for shard in &mut secondary.shards {
        shard.retry_rejected();
    }
    assert_eq!(exchange(&mut secondary, &mut primary), [refused]);
    // The secondary yields to the primary.
    assert_eq!(
        exchange(&mut primary, &mut secondary),
        [Settled::Acknowledged]
    );
    let holder = secondary.get(address(1)).unwrap();
    assert_eq!(holder.duid.octets(), one);
    assert!(secondary.offers().is_empty());
}

#[test]
fn rfc8156_7_5_4_an_outdated_update_is_answered_with_what_is_newer_once() {
    let (mut primary, mut secondary) = pair();
    let one = client(1);
    secondary.put(&active(&one, address(1), NOW.plus(100), 3_600));
    exchange(&mut secondary, &mut primary);
    secondary.amend(address(1), |record| record.cltt = NOW.plus(200));
    let mut old = active(&one, address(1), NOW, 3_600);
    old.partner.unacked = true;
    primary.put(&old);
    let outdated = Settled::Rejected(Rejection::Outdated.status());
    assert_eq!(exchange(&mut primary, &mut secondary), [outdated]);
    assert_eq!(secondary.offers().len(), 1);
    for shard in &mut primary.shards {
        shard.retry_rejected();
    }
    assert_eq!(exchange(&mut primary, &mut secondary), [outdated]);
    assert!(secondary.offers().is_empty(), "it is on its way already");
}

#[test]
fn a_lease_that_another_shard_holds_is_given_up_or_kept_by_the_same_rules() {
    let (one, other) = (client(1), client(2));
    // To the secondary the primary is right.
    let (mut primary, mut secondary) = pair();
    primary.put(&active(&one, address(1), NOW, 3_600));
    secondary.put(&active(&other, address(1), NOW, 3_600));
    assert_eq!(
        exchange(&mut primary, &mut secondary),
        [Settled::Acknowledged]
    );
    assert_eq!(secondary.get(address(1)).unwrap().duid.octets(), one);
    assert!(InPool(&secondary.pool, 7).is_taken(ShardId(0), address(1)));
    // The primary keeps it.
    let (mut primary, mut secondary) = pair();
    primary.put(&active(&one, address(1), NOW, 3_600));
    secondary.put(&active(&other, address(1), NOW, 3_600));
    assert_eq!(
        exchange(&mut secondary, &mut primary),
        [Settled::Rejected(Rejection::AddressInUse.status())]
    );
    assert_eq!(primary.get(address(1)).unwrap().duid.octets(), one);
    // Nor is the end of the other client's lease the end of this one's.
    secondary.end(address(1), BindingStatus::Expired);
    assert_eq!(
        exchange(&mut secondary, &mut primary),
        [Settled::Rejected(Rejection::Outdated.status())]
    );
    assert_eq!(primary.get(address(1)).unwrap().duid.octets(), one);
}

#[test]
fn what_was_promised_longer_here_stands_and_is_told() {
    let (mut primary, mut secondary) = pair();
    let one = client(1);
    primary.put(&active(&one, address(1), NOW, 3_600));
    exchange(&mut primary, &mut secondary);
    // Both renew within seconds, the secondary for longer.
    secondary.now = NOW.plus(103);
    secondary.amend(address(1), |record| {
        record.cltt = NOW.plus(103);
        record.expires = NOW.plus(103 + 86_400);
    });
    primary.now = NOW.plus(103);
    primary.amend(address(1), |record| {
        record.cltt = NOW.plus(100);
        record.expires = NOW.plus(100 + 3_600);
    });
    exchange(&mut primary, &mut secondary);
    let there = secondary.get(address(1)).unwrap();
    assert_eq!(there.expires, NOW.plus(103 + 86_400));
    assert!(there.partner.unacked);
    exchange(&mut secondary, &mut primary);
    let here = primary.get(address(1)).unwrap();
    assert_eq!(here.expires, NOW.plus(103 + 86_400));
}

#[test]
fn an_end_replaces_another_end_whoever_had_the_lease() {
    let (mut primary, mut secondary) = pair();
    let (one, next) = (client(1), client(2));
    primary.put(&active(&one, address(1), NOW, 60));
    exchange(&mut primary, &mut secondary);
    for side in [&mut primary, &mut secondary] {
        side.now = NOW.plus(71);
        side.end(address(1), BindingStatus::Expired);
    }
    // The primary takes the secondary's word for it, and the answer is lost; then it leases anew.
    let offers = secondary.offers();
    primary.receive(&offers[0].0);
    secondary.lose_connection();
    primary.put(&active(&next, address(1), NOW.plus(71), 60));
    primary.end(address(1), BindingStatus::Released);
    assert_eq!(
        exchange(&mut primary, &mut secondary),
        [Settled::Available(address(1))]
    );
    assert_eq!(secondary.get(address(1)), None);
    assert!(!InPool(&secondary.pool, 7).is_taken(ShardId(0), address(1)));
}
