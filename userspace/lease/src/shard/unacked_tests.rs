//! The sets against a model that keeps, for each binding, what the module's drawing says.

use super::slot_set::SlotSet;
use super::*;
use crate::{AbsTime, BindingStatus, LinkKey, PartnerTimes};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use wire::{Duid, IaKind, Iaid};

const DUID: [u8; 10] = [0, 3, 0, 1, 2, 0, 0, 0, 0, 1];

fn record(number: u16, version: u32, unacked: bool) -> BindingRecord<'static> {
    BindingRecord {
        duid: Duid::new(&DUID).expect("a DUID"),
        kind: IaKind::Na,
        iaid: Iaid(1),
        subscriber: None,
        lease: Lease {
            addr: u128::from(number),
            len: 128,
        },
        link: LinkKey(1),
        status: BindingStatus::Active,
        preferred_secs: 1,
        valid_secs: version,
        cltt: AbsTime(3),
        status_since: AbsTime(4),
        expires: AbsTime(version),
        partner: PartnerTimes {
            unacked,
            ..PartnerTimes::NONE
        },
        accepts_reconfigure: false,
        via: &[],
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flight {
    None,
    Current,
    Outdated,
    Rejected,
}

/// One binding of the model.
#[derive(Clone, Copy, Debug)]
struct Entry {
    unacked: bool,
    flight: Flight,
    sent: bool,
    owed: bool,
}

impl Entry {
    fn is_in_flight(self) -> bool {
        matches!(self.flight, Flight::Current | Flight::Outdated)
    }

    fn is_unsent(self) -> bool {
        self.unacked && self.flight == Flight::None
    }
}

#[derive(Clone, Debug)]
enum Step {
    Put(u16, bool),
    Amend(u16, bool),
    Remove(u16),
    Send(usize),
    Answer(u16, bool),
    ConnectionLost,
    RetryRejected,
    OweUnacked,
    OweAll,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let number = || 0..300_u16;
    let step = prop_oneof![
        8 => (number(), prop::bool::weighted(0.8)).prop_map(|(n, u)| Step::Put(n, u)),
        3 => (number(), prop::bool::weighted(0.8)).prop_map(|(n, u)| Step::Amend(n, u)),
        2 => number().prop_map(Step::Remove),
        6 => (1..20_usize).prop_map(Step::Send),
        8 => (number(), prop::bool::weighted(0.7)).prop_map(|(n, a)| Step::Answer(n, a)),
        1 => Just(Step::ConnectionLost),
        1 => Just(Step::RetryRejected),
        1 => Just(Step::OweUnacked),
        1 => Just(Step::OweAll),
    ];
    prop::collection::vec(step, 1..400)
}

fn note_put(entry: Option<Entry>, unacked: bool) -> Entry {
    let mut entry = entry.unwrap_or(Entry {
        unacked,
        flight: Flight::None,
        sent: false,
        owed: false,
    });
    entry.unacked = unacked;
    entry.flight = match (entry.is_in_flight(), unacked) {
        (true, true) => Flight::Outdated,
        (true, false) => Flight::Current,
        (false, _) => Flight::None,
    };
    entry.sent = entry.flight == Flight::Current;
    entry.owed &= unacked || entry.is_in_flight();
    entry
}

fn check(shard: &Shard, model: &BTreeMap<u16, Entry>) {
    let count = |f: &dyn Fn(&Entry) -> bool| model.values().filter(|entry| f(entry)).count();
    let expected = UnackedCounts {
        unsent: count(&|entry| entry.is_unsent()),
        in_flight: count(&|entry| entry.is_in_flight()),
        rejected: count(&|entry| entry.flight == Flight::Rejected),
        owed: count(&|entry| entry.owed),
    };
    assert_eq!(shard.unacked(), expected);
    for (&number, entry) in model {
        let (id, found) = shard
            .by_lease(record(number, 0, false).lease)
            .expect("a binding");
        assert_eq!(found.partner.unacked, entry.unacked, "{number}: {entry:?}");
        assert_eq!(shard.was_sent(id), entry.sent, "{number}: {entry:?}");
    }
}

fn run(steps: Vec<Step>) {
    let mut shard = Shard::new(ShardId(1), 7);
    let mut model = BTreeMap::<u16, Entry>::new();
    for (version, step) in steps.into_iter().enumerate() {
        let version = version as u32;
        let place = |shard: &Shard, n| shard.by_lease(record(n, 0, false).lease).map(|(id, _)| id);
        match step {
            Step::Put(number, unacked) => {
                shard.put(&record(number, version, unacked));
                let entry = note_put(model.get(&number).copied(), unacked);
                model.insert(number, entry);
            }
            Step::Amend(number, unacked) => {
                let id = place(&shard, number);
                let state = record(number, version, unacked).state();
                assert_eq!(
                    id.is_some_and(|id| shard.amend(id, &state)),
                    model.contains_key(&number)
                );
                if let Some(entry) = model.get_mut(&number) {
                    *entry = note_put(Some(*entry), unacked);
                    let (_, found) = shard
                        .by_lease(record(number, 0, false).lease)
                        .expect("there");
                    assert_eq!(found, record(number, version, unacked));
                }
            }
            Step::Remove(number) => {
                let id = place(&shard, number);
                let existed = model.remove(&number).is_some();
                assert_eq!(id.is_some_and(|id| shard.remove(id)), existed);
            }
            Step::Send(count) => {
                for _ in 0..count {
                    let unsent = model.values().filter(|entry| entry.is_unsent()).count();
                    let Some(id) = shard.take_unsent() else {
                        assert_eq!(unsent, 0);
                        break;
                    };
                    let number = shard.get(id).expect("a binding").lease.addr as u16;
                    let entry = model.get_mut(&number).expect("in the model");
                    assert!(entry.is_unsent(), "{number}: {entry:?}");
                    entry.flight = Flight::Current;
                    entry.sent = true;
                }
            }
            Step::Answer(number, accepted) => {
                let Some(id) = place(&shard, number) else {
                    continue;
                };
                let answer = match accepted {
                    true => Answer::Accepted {
                        acked_partner_lifetime: AbsTime(version),
                    },
                    false => Answer::Rejected,
                };
                let answered = shard.answered(id, answer);
                let entry = model.get_mut(&number).expect("in the model");
                let expected = match (entry.flight, accepted) {
                    (Flight::None | Flight::Rejected, _) => Answered::Unasked,
                    (Flight::Outdated, _) => Answered::ChangedSince,
                    (Flight::Current, false) if entry.unacked => Answered::Rejected,
                    (Flight::Current, _) => Answered::Clean,
                };
                assert_eq!(answered, expected, "{number}: {entry:?}");
                let acked = shard.get(id).expect("there").partner.acked_partner_lifetime;
                assert_eq!(
                    acked == AbsTime(version),
                    accepted && answered != Answered::Unasked
                );
                match answered {
                    Answered::Unasked => continue,
                    Answered::ChangedSince => entry.flight = Flight::None,
                    Answered::Clean => {
                        entry.flight = Flight::None;
                        entry.unacked = false;
                        entry.sent = false;
                    }
                    Answered::Rejected => entry.flight = Flight::Rejected,
                }
                entry.owed = false;
            }
            Step::ConnectionLost => {
                shard.connection_lost();
                for entry in model.values_mut() {
                    entry.flight = Flight::None;
                    entry.sent &= entry.unacked;
                    entry.owed = false;
                }
            }
            Step::RetryRejected => {
                shard.retry_rejected();
                retry(&mut model);
            }
            Step::OweUnacked => {
                shard.owe_unacked();
                retry(&mut model);
                owe(&mut model);
            }
            Step::OweAll => {
                shard.owe_all(&|_| true);
                for entry in model.values_mut() {
                    entry.unacked = true;
                }
                retry(&mut model);
                owe(&mut model);
            }
        }
        check(&shard, &model);
    }
    let mut seen = BTreeSet::new();
    while let Some(id) = shard.take_unsent() {
        assert!(seen.insert(id), "sent twice without a change");
    }
    assert_eq!(shard.unacked().unsent, 0);
}

fn retry(model: &mut BTreeMap<u16, Entry>) {
    for entry in model.values_mut() {
        if entry.flight == Flight::Rejected {
            entry.flight = Flight::None;
        }
    }
}

fn owe(model: &mut BTreeMap<u16, Entry>) {
    for entry in model.values_mut() {
        entry.owed |= entry.is_unsent() || entry.is_in_flight();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_change_is_sent_and_answered_as_the_model_says(steps in steps()) {
        run(steps);
    }

    #[test]
    fn a_slot_set_is_a_set(
        steps in prop::collection::vec((any::<bool>(), prop_oneof![0..200_u32, 0..300_000_u32]), 1..300),
        from in 0..300_000_u32,
    ) {
        let (mut set, mut model) = (SlotSet::default(), BTreeSet::new());
        for (insert, slot) in steps {
            match insert {
                true => prop_assert_eq!(set.insert(slot), model.insert(slot)),
                false => prop_assert_eq!(set.remove(slot), model.remove(&slot)),
            }
        }
        prop_assert_eq!(set.len(), model.len());
        prop_assert_eq!(set.next(from), model.range(from..).next().copied());
        let mut absorbed = SlotSet::default();
        absorbed.insert(199);
        absorbed.absorb(&set);
        model.insert(199);
        let mut found = Vec::new();
        let mut next = absorbed.next(0);
        while let Some(slot) = next {
            found.push(slot);
            next = absorbed.next(slot + 1);
        }
        prop_assert_eq!(found.len(), absorbed.len());
        prop_assert_eq!(found, model.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn what_is_recovered_unacknowledged_is_unsent_and_may_have_been_sent() {
    let mut shard = Shard::new(ShardId(1), 7);
    let unacked = shard.put(&record(1, 1, true));
    let acked = shard.put(&record(2, 1, true));
    shard.restore_acknowledged(acked, AbsTime(50));
    shard.presume_sent();
    assert!(shard.was_sent(unacked));
    assert_eq!(shard.take_unsent(), Some(unacked));
    assert_eq!(shard.take_unsent(), None);
    let partner = shard.get(acked).expect("a binding").partner;
    assert_eq!(
        (partner.unacked, partner.acked_partner_lifetime),
        (false, AbsTime(50))
    );
}

#[test]
fn finding_the_only_unsent_of_four_million_looks_at_a_handful_of_words() {
    let mut set = SlotSet::default();
    set.insert(4_000_000);
    for round in 0..1_000_000_u32 {
        assert_eq!(set.next(round), Some(4_000_000));
    }
}
