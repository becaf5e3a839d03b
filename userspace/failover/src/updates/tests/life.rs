//! What becomes of a lease that the partner is told of (RFC 8156 §7.2, §7.7).

use super::*;

#[test]
fn rfc8156_figure_5_a_grant_travels_and_its_acknowledgement_comes_back() {
    let (mut primary, mut secondary) = pair();
    let one = client(1);
    let granted = active(&one, address(1), NOW, 3_600);
    primary.put(&granted);
    assert_eq!(
        exchange(&mut primary, &mut secondary),
        [Settled::Acknowledged]
    );
    let here = primary.get(address(1)).unwrap();
    assert_eq!(
        here.partner.acked_partner_lifetime,
        granted.partner.partner_lifetime
    );
    assert!(!here.partner.unacked);
    let there = secondary.get(address(1)).unwrap();
    assert_eq!(there.duid, granted.duid);
    assert_eq!(there.status, BindingStatus::Active);
    assert_eq!(there.status_since, granted.status_since);
    assert_eq!(there.expires, granted.expires);
    assert_eq!(there.link, LINK);
    assert_eq!(there.cltt, AbsTime(0), "this server never heard the client");
    let expected = PartnerTimes {
        expiration_time: granted.partner.partner_lifetime,
        partner_raw_cltt: granted.cltt,
        ..PartnerTimes::NONE
    };
    assert_eq!(there.partner, expected);
    // Nothing is said back: no storm.
    assert!(exchange(&mut secondary, &mut primary).is_empty());
}

#[test]
fn rfc8156_figure_5_a_lost_database_gets_back_what_it_had_told() {
    let (mut primary, mut secondary) = pair();
    let one = client(1);
    primary.put(&active(&one, address(1), NOW, 3_600));
    exchange(&mut primary, &mut secondary);
    let told = primary.get(address(1)).unwrap().partner.partner_lifetime;
    let mut empty = Side::new(Role::Primary);
    for shard in &mut secondary.shards {
        shard.owe_all(&|_| true);
    }
    exchange(&mut secondary, &mut empty);
    let back = empty.get(address(1)).unwrap();
    assert_eq!(back.partner.partner_lifetime, told);
    assert_eq!(back.cltt, NOW, "when it last heard the client");
    let owed: usize = secondary.shards.iter().map(|s| s.unacked().owed).sum();
    assert_eq!(owed, 0);
}

#[test]
fn rfc8156_7_2_an_end_that_is_acknowledged_frees_the_lease_on_both_sides() {
    for status in [
        BindingStatus::Expired,
        BindingStatus::Released,
        BindingStatus::Reset,
    ] {
        let (mut primary, mut secondary) = pair();
        let one = client(1);
        primary.put(&active(&one, address(1), NOW, 60));
        exchange(&mut primary, &mut secondary);
        for side in [&mut primary, &mut secondary] {
            side.now = NOW.plus(70);
        }
        primary.end(address(1), status);
        let offers = primary.offers();
        let [(frame, sent)] = &offers[..] else {
            panic!("one update");
        };
        assert!(
            InPool(&primary.pool, 7).is_taken(ShardId(0), address(1)),
            "not before the answer"
        );
        let (reply, outcome) = secondary.receive(frame);
        assert_eq!(outcome.freed, [address(1)]);
        assert_eq!(secondary.get(address(1)), None);
        assert_eq!(primary.settle(sent, &reply), Settled::Available(address(1)));
        for side in [&primary, &secondary] {
            assert_eq!(side.get(address(1)), None);
            assert!(!InPool(&side.pool, 7).is_taken(ShardId(0), address(1)));
        }
    }
}

#[test]
fn what_was_acknowledged_for_another_client_counts_for_nobody() {
    let (mut primary, mut secondary) = pair();
    let (one, next) = (client(2), client(4));
    secondary.put(&active(&one, address(1), NOW, 60));
    exchange(&mut secondary, &mut primary);
    let acked = secondary.get(address(1)).unwrap().partner;
    assert_ne!(acked.acked_partner_lifetime, AbsTime(0));
    // The primary says that it is another's now.
    let mut other = active(&next, address(1), NOW.plus(200), 60);
    other.partner.acked_partner_lifetime = AbsTime(0);
    primary.now = NOW.plus(200);
    secondary.now = NOW.plus(200);
    primary.put(&other);
    exchange(&mut primary, &mut secondary);
    let there = secondary.get(address(1)).unwrap();
    assert_eq!(there.duid.octets(), next);
    assert_eq!(there.partner.acked_partner_lifetime, AbsTime(0));
    assert_eq!(there.partner.partner_lifetime, AbsTime(0));
}

#[test]
fn a_duplicate_whose_answer_was_lost_is_taken_and_changes_nothing() {
    let (mut primary, mut secondary) = pair();
    let one = client(1);
    primary.put(&active(&one, address(1), NOW, 3_600));
    let offers = primary.offers();
    secondary.receive(&offers[0].0);
    primary.lose_connection();
    assert_eq!(
        exchange(&mut primary, &mut secondary),
        [Settled::Acknowledged]
    );
    // The end of a lease, the same.
    for side in [&mut primary, &mut secondary] {
        side.now = NOW.plus(4_000);
    }
    primary.end(address(1), BindingStatus::Expired);
    let offers = primary.offers();
    secondary.receive(&offers[0].0);
    primary.lose_connection();
    assert_eq!(
        exchange(&mut primary, &mut secondary),
        [Settled::Available(address(1))]
    );
}

#[test]
fn an_answer_that_comes_too_late_counts_for_nothing() {
    let (mut primary, mut secondary) = pair();
    let one = client(1);
    primary.put(&active(&one, address(1), NOW, 3_600));
    let offers = primary.offers();
    let (frame, sent) = &offers[0];
    let (reply, _) = secondary.receive(frame);
    // Changed while in flight: the answer leaves it unsent, but may be relied on.
    primary.amend(address(1), |record| record.cltt = NOW.plus(9));
    assert_eq!(primary.settle(sent, &reply), Settled::ChangedSince);
    let here = primary.get(address(1)).unwrap();
    assert!(here.partner.unacked);
    assert_ne!(here.partner.acked_partner_lifetime, AbsTime(0));
    assert_eq!(primary.settle(sent, &reply), Settled::Stale);
    // Gone, and the place taken by a new binding of the same lease.
    let shard = &mut primary.shards[1];
    shard.remove(sent.id);
    let again = active(&one, address(1), NOW.plus(50), 3_600);
    assert_eq!(shard.put(&again), sent.id);
    let offers = primary.offers();
    assert_eq!(primary.settle(sent, &reply), Settled::Stale);
    let (reply, _) = secondary.receive(&offers[0].0);
    assert_eq!(primary.settle(&offers[0].1, &reply), Settled::Acknowledged);
}

/// The partner has renewed, as far as what was acknowledged to it and MCLT let it, and lost its disk
/// before this server heard of that.
#[test]
fn a_partner_that_lost_its_database_is_given_what_it_may_have_promised() {
    const MCLT_SECS: u32 = 600;
    let at = |now| Everything {
        now,
        mclt_secs: MCLT_SECS,
        is_partnered: &|link| link == LINK,
    };
    let now = NOW.plus(100);
    let (active_until, later) = (BindingStatus::Active, BindingStatus::Abandoned);
    for (ended, sent, expected) in [
        (None, false, active_until),
        (Some(BindingStatus::Expired), false, active_until),
        (Some(BindingStatus::Released), false, active_until),
        // Whoever had it next is not known.
        (Some(BindingStatus::Released), true, later),
        // Declined here, and then given to its client again there.
        (Some(BindingStatus::Abandoned), false, later),
        (Some(BindingStatus::Abandoned), true, later),
    ] {
        for heard in [false, true] {
            let (mut primary, mut secondary) = pair();
            let one = client(1);
            let granted = active(&one, address(1), NOW, 60);
            let mut promised = now.plus(MCLT_SECS);
            if heard {
                primary.put(&granted);
                exchange(&mut primary, &mut secondary);
                promised = granted.partner.partner_lifetime.plus(MCLT_SECS);
            } else {
                secondary.put(&granted);
            }
            if let Some(status) = ended {
                secondary.end(address(1), status);
            }
            if ended == Some(BindingStatus::Abandoned) {
                let quarantine = now.plus(30);
                secondary.amend(address(1), |record| record.expires = quarantine);
            }
            if sent {
                secondary.offers();
                secondary.lose_connection();
            }
            let mut empty = Side::new(Role::Primary);
            for again in [false, true] {
                let mut recorded = 0;
                for shard in &mut secondary.shards {
                    let next = owe_all(shard, (0, 256), &at(now), &mut |_| recorded += 1);
                    assert_eq!(next, None);
                }
                assert_eq!(recorded, u32::from(!again), "{ended:?}");
            }
            exchange(&mut secondary, &mut empty);
            let back = empty.get(address(1)).unwrap();
            assert_eq!(back.status, expected);
            assert_eq!(back.expires, promised, "{ended:?}");
        }
    }
}

/// The primary has sent a renewal, and then the client gave the lease back; the secondary has heard
/// of neither and says that it ended.
#[test]
fn what_the_partner_is_about_to_hear_of_is_free_only_after_that() {
    let (mut primary, mut secondary) = pair();
    let one = client(1);
    primary.put(&active(&one, address(1), NOW, 60));
    exchange(&mut primary, &mut secondary);
    for side in [&mut primary, &mut secondary] {
        side.now = NOW.plus(75);
    }
    primary.put(&active(&one, address(1), NOW.plus(59), 600));
    let renewal = primary.offers();
    primary.end(address(1), BindingStatus::Released);
    secondary.end(address(1), BindingStatus::Expired);
    let expired = secondary.offers();

    let (reply, outcome) = primary.receive(&expired[0].0);
    assert_eq!((outcome.accepted, &outcome.freed[..]), (1, &[][..]));
    let here = primary.get(address(1)).unwrap();
    assert_eq!(here.status, BindingStatus::Expired);
    assert!(here.partner.unacked);
    let (renewed, _) = secondary.receive(&renewal[0].0);
    assert_eq!(
        secondary.settle(&expired[0].1, &reply),
        Settled::Acknowledged
    );
    assert_eq!(
        secondary.get(address(1)).unwrap().status,
        BindingStatus::Active
    );
    assert_eq!(
        primary.settle(&renewal[0].1, &renewed),
        Settled::ChangedSince
    );
    for side in [&mut primary, &mut secondary] {
        side.now = NOW.plus(700);
    }
    exchange(&mut primary, &mut secondary);
    assert_eq!(primary.get(address(1)), None);
    assert_eq!(secondary.get(address(1)), None);
}

/// Both servers see a lease end in the same second and tell each other (PROTOCOL A.17 item 20).
#[test]
fn two_ends_that_cross_free_the_lease_on_both_sides() {
    let (mut primary, mut secondary) = pair();
    let one = client(1);
    primary.put(&active(&one, address(1), NOW, 60));
    exchange(&mut primary, &mut secondary);
    // Each has heard the client when the other had not.
    primary.amend(address(1), |record| record.cltt = NOW.plus(20));
    secondary.amend(address(1), |record| record.cltt = NOW.plus(40));
    for side in [&mut primary, &mut secondary] {
        side.now = NOW.plus(75);
        side.end(address(1), BindingStatus::Expired);
    }
    let (of_primary, of_secondary) = (primary.offers(), secondary.offers());
    let (to_primary, freed) = secondary.receive(&of_primary[0].0);
    assert_eq!(freed.freed, [address(1)]);
    let (to_secondary, freed) = primary.receive(&of_secondary[0].0);
    assert_eq!(freed.freed, [address(1)]);
    assert_eq!(
        primary.settle(&of_primary[0].1, &to_primary),
        Settled::Stale
    );
    assert_eq!(
        secondary.settle(&of_secondary[0].1, &to_secondary),
        Settled::Stale
    );
    for side in [&primary, &secondary] {
        assert_eq!(side.get(address(1)), None);
        assert!(!InPool(&side.pool, 7).is_taken(ShardId(0), address(1)));
    }
}
