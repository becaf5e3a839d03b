//! What comes before what.

use super::*;
use BindingStatus::{Active, Released};
use failover::reconcile::Rejection;
use tokio::sync::oneshot;

/// The frames of all that is offered.
fn offered(side: &mut Side) -> Vec<(Offer, Vec<u8>)> {
    side.credit(1_000);
    let said = side.run().into_iter();
    said.flat_map(|message| match message {
        FromWorker::Offers(offers) => offers
            .iter()
            .map(|(offer, frame)| (offer, frame.to_vec()))
            .collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    })
    .collect()
}

#[test]
fn a_reply_and_the_freed_lease_wait_for_the_record() {
    let (mut primary, mut secondary) = pair();
    primary.put(1, prefix(3), Active);
    exchange(&mut primary, &mut secondary);
    primary.put(1, prefix(3), Released);
    let (_, frame) = offered(&mut primary).remove(0);
    let update = secondary.update(&frame[2..]);
    let desk = &mut secondary.desk;
    desk.partner.take(ToWorker::Updates(vec![update]));
    desk.correspond(secondary.now);
    for _ in 0..3 {
        assert_eq!(desk.hand_over_to_control(), 0, "nothing was submitted");
        assert!(secondary.from_worker.try_recv().is_err());
        assert!(!desk.is_due());
    }
    assert!(secondary.get(prefix(3)).is_none());
    assert!(secondary.is_taken(prefix(3)), "nobody may have it yet");
    assert_eq!(secondary.desk.partner.kept(0).len(), 1);
    assert!(matches!(secondary.said_one(), FromWorker::Replies(_)));
    assert!(!secondary.is_taken(prefix(3)));
}

#[test]
fn an_offer_waits_for_the_record_of_what_it_offers() {
    let mut primary = Side::new(Role::Primary);
    primary.put(1, prefix(3), Active);
    primary.credit(1);
    primary.desk.obey();
    assert!(primary.desk.correspond(NOW) > 0);
    assert_eq!(primary.desk.hand_over_to_control(), 0);
    assert!(matches!(primary.said_one(), FromWorker::Offers(_)));
}

#[test]
fn nothing_is_offered_without_credit_or_leave() {
    let mut primary = Side::new(Role::Primary);
    for number in 0..10 {
        primary.put(number, prefix(number), Active);
    }
    assert!(primary.run().is_empty(), "no credit");
    primary.credit(3);
    let FromWorker::Offers(offers) = primary.said_one() else {
        panic!("offers");
    };
    assert_eq!(offers.len(), 3);
    let quiet = Leeways::new([Leeway::startup(Role::Primary, MCLT_SECS)]);
    primary.desk.published = quiet.seen();
    primary.credit(100);
    assert!(primary.run().is_empty(), "no leave");
}

#[test]
fn a_round_is_through_when_all_was_answered_and_all_is_told_for_updreqall() {
    let (mut primary, mut secondary) = pair();
    for number in 0..50 {
        primary.put(number, prefix(number), Active);
    }
    exchange(&mut primary, &mut secondary);
    let owe = |side: &mut Side, round, owed| {
        side.desk.partner.take(ToWorker::Owe(Round(round), owed));
    };
    owe(&mut primary, 1, Owed::Unacked);
    let said = primary.said_one();
    assert!(
        matches!(said, FromWorker::Answered(Round(1))),
        "nothing is owed: {said:?}"
    );
    owe(&mut primary, 2, Owed::All);
    let offers = offered(&mut primary);
    assert_eq!(offers.len(), 50);
    // Another one meanwhile includes what is left of it.
    owe(&mut primary, 3, Owed::Unacked);
    assert!(primary.run().is_empty());
    let mut answers: Vec<_> = offers
        .into_iter()
        .map(|(offer, frame)| {
            (
                offer,
                Bytes::from(secondary.receive(&frame[2..])).slice(2..),
            )
        })
        .collect();
    let last = answers.pop().unwrap();
    primary.desk.partner.take(ToWorker::Answers(answers));
    assert!(primary.run().is_empty(), "one is still owed");
    primary.desk.partner.take(ToWorker::Answers(vec![last]));
    assert!(matches!(primary.said_one(), FromWorker::Answered(Round(3))));
}

/// A partner that lost its disk would believe in an end that it has promised beyond. And what it asks
/// for it gets, also where nothing is sent unasked.
#[test]
fn what_a_partner_that_asks_for_everything_may_have_promised_is_told_before_any_end() {
    let (mut primary, mut secondary) = pair();
    for number in 0..20 {
        primary.put(number, prefix(number), Active);
    }
    exchange(&mut primary, &mut secondary);
    for number in 0..20 {
        primary.put(number, prefix(number), Released);
    }
    let quiet = Leeways::new([Leeway::startup(Role::Primary, MCLT_SECS)]);
    primary.desk.published = quiet.seen();
    assert!(offered(&mut primary).is_empty(), "no leave");
    let owe = |side: &mut Side, round, owed| {
        side.desk.partner.take(ToWorker::Owe(Round(round), owed));
    };
    owe(&mut primary, 1, Owed::All);
    let offers = offered(&mut primary);
    assert_eq!(offers.len(), 20);
    let status = offers.iter().map(|(offer, _)| offer.status);
    assert!(status.into_iter().all(|status| status == Active));
    primary.put(30, prefix(30), Active);
    owe(&mut primary, 2, Owed::Unacked);
    assert_eq!(offered(&mut primary).len(), 1);
}

#[test]
fn a_lost_connection_ends_credit_and_rounds_and_everything_is_told_again() {
    let (mut primary, mut secondary) = pair();
    for number in 0..5 {
        primary.put(number, prefix(number), Active);
    }
    assert_eq!(offered(&mut primary).len(), 5);
    primary
        .desk
        .partner
        .take(ToWorker::Owe(Round(1), Owed::Unacked));
    primary.desk.partner.take(ToWorker::Forget);
    assert!(primary.run().is_empty());
    assert_eq!(primary.desk.partner.credit, None);
    assert_eq!(exchange(&mut primary, &mut secondary), 5);
    assert_eq!(primary.unacked(), 0);
}

/// After a restart the journal must not say of a returned prefix that it is still the secondary's.
#[test]
fn the_end_of_a_delegation_is_recorded_as_the_primarys() {
    let dir = tempfile::tempdir().unwrap();
    let mut primary = Side::new(Role::Primary);
    let (journal, appender) = journal_in(dir.path());
    primary.desk.appender = appender;
    primary.journal = journal;
    let mut secondary = Side::new(Role::Secondary);
    primary.put(1, prefix(3), Active);
    primary.put(1, address(0x11), Active);
    exchange(&mut primary, &mut secondary);
    primary.put(1, prefix(3), Released);
    primary.put(1, address(0x11), Released);
    exchange(&mut primary, &mut secondary);
    let Side { desk, journal, .. } = primary;
    drop(desk);
    assert_eq!(journal.close(), journal::Health::Ok);
    let (_, recovered) = journal::recover(dir.path(), false, vec![NoBindings], &|_| 0).unwrap();
    assert_eq!(recovered.control.ownership, [(prefix(3), false)]);
}

/// What is in no binding and in no pool's free part must not be free in the next model.
#[test]
fn a_reload_does_not_free_what_is_kept_nor_forget_whose_prefixes_are() {
    let (mut primary, mut secondary) = pair();
    primary.put(1, address(0x11), Active);
    exchange(&mut primary, &mut secondary);
    primary.put(1, address(0x11), Released);
    let (_, frame) = offered(&mut primary).remove(0);
    let update = secondary.update(&frame[2..]);
    secondary.desk.partner.take(ToWorker::Updates(vec![update]));
    secondary.desk.correspond(secondary.now);

    let block = Lease {
        len: 52,
        ..prefix(0x10)
    };
    let pool = |model: &Model| model.pool_of(prefix(0x10)).unwrap().pool().side();
    let before = Arc::clone(&secondary.desk.model);
    let served = before.pool_of(prefix(0x10)).unwrap();
    assert!(served.pool().give_block(block, Role::Secondary));
    let next = builder(Role::Secondary, 0xfe).build_successor(&before);
    let next = Arc::new(next.unwrap());
    assert_eq!(pool(&next), Some(Role::Secondary));
    let (walked, _walk) = oneshot::channel();
    secondary.desk.begin_handover(BeginHandover {
        next: Arc::clone(&next),
        walked,
    });
    let is_taken = |lease| next.pool_of(lease).unwrap().pool().is_taken(lease);
    assert!(is_taken(address(0x11)));
    secondary.run();
    assert!(!is_taken(address(0x11)), "its BNDREPLY is on its way");

    // A pool that is made anew, for one more reservation.
    let fresh = builder(Role::Secondary, 0xff).build().unwrap();
    let sides = |model: &Model| {
        let served = model.pool_of(prefix(0x10)).unwrap();
        served.pool().sides().unwrap().secondary
    };
    assert_eq!(sides(&fresh), 0);
    fresh.inherit_sides(&before);
    assert_eq!(sides(&fresh), 16);
    assert!(served.pool().give_block(block, Role::Primary));
    fresh.inherit_sides(&before);
    assert_eq!(sides(&fresh), 0);
}

/// The partner gives away what it was told is free before this server's own record of that is on
/// disk; by the time that no shard was found to hold it, it is free.
#[test]
fn a_lease_that_has_become_free_meanwhile_is_not_refused() {
    let lease = address(0x11);
    for is_held in [false, true] {
        let (mut primary, mut secondary) = pair();
        primary.put(1, lease, Active);
        let (_, frame) = offered(&mut primary).remove(0);
        if is_held {
            secondary.put(2, lease, Active);
        }
        let mut update = secondary.update(&frame[2..]);
        update.refused = vec![(lease, Rejection::Outdated)];
        secondary.desk.partner.take(ToWorker::Updates(vec![update]));
        let said = secondary.run();
        let FromWorker::Replies(replies) = &said[0] else {
            panic!("{said:?}");
        };
        assert_eq!(replies.rejected.len(), usize::from(is_held));
        let holder = secondary.get(lease).unwrap().duid.octets().to_vec();
        assert_eq!(holder, client(if is_held { 2 } else { 1 }));
    }
}
