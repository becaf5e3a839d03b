use std::sync::Arc;

use wire::{IaKind, Iaid, Message, MessageIndex, OptionCode, ReplyWriter};

use super::*;
use crate::generator::client::Numbering;
use crate::generator::envelope::Relays;
use crate::generator::flow::{Kind, Order};
use crate::generator::message::Wants;

const NUMBERING: Numbering = Numbering { salt: 3, relays: 0 };

fn plan() -> Plan {
    Plan {
        kind: Kind::Sarr,
        numbering: NUMBERING,
        wants: Wants {
            na: true,
            pd: false,
        },
        order: Order::From(0),
        relays: Arc::new(Relays::default()),
    }
}

/// The answer to a message as a server gives it: the address is the client's number and 100.
fn answer(storm: &Storm<'_>, outgoing: &Outgoing) -> Vec<u8> {
    let mut payload = vec![0; 400];
    let len = storm.write(outgoing, &mut payload);
    let message = Message::parse(&payload[..len], 0, OptionCode(0)).unwrap();
    let index = MessageIndex::new(&message).unwrap();
    let msg_type = match message.msg_type {
        MessageType::SOLICIT => MessageType::ADVERTISE,
        _ => MessageType::REPLY,
    };
    let mut reply = vec![0; 400];
    let mut writer = ReplyWriter::begin(&mut reply, msg_type, message.transaction_id).unwrap();
    writer
        .option(OptionCode::CLIENTID, index.client_id.unwrap().octets())
        .unwrap();
    writer.option(OptionCode::SERVERID, &[0, 3, 1]).unwrap();
    let ia = writer
        .open_ia(IaKind::Na, Iaid(outgoing.client.0), 0, 0)
        .unwrap();
    writer
        .ia_address(u128::from(outgoing.client.0) + 100, 10, 20)
        .unwrap();
    writer.close(ia).unwrap();
    let len = writer.finish().unwrap();
    reply.truncate(len);
    reply
}

const MS: u64 = 1_000_000;

#[test]
fn everyone_solicits_within_a_second_and_is_bound_by_two_answers() {
    let mut book = Book::default();
    let mut storm = Storm::new(plan(), 1_000, 60_000 * MS, &mut book);
    let mut waiting = Vec::new();
    while let Some(outgoing) = storm.next_due(1_000 * MS) {
        waiting.push(outgoing);
    }
    assert_eq!(waiting.len(), 1_000);
    for solicit in waiting {
        let request = storm.take(1_001 * MS, &answer(&storm, &solicit)).unwrap();
        assert_eq!(request.msg_type, MessageType::REQUEST);
        assert_eq!(
            storm
                .take(1_002 * MS, &answer(&storm, &request))
                .map(|_| ()),
            None
        );
    }
    assert_eq!(storm.bound(), 1_000);
    assert!(storm.is_done(1_003 * MS));
    assert_eq!(
        storm.next_due(50_000 * MS).map(|_| ()),
        None,
        "the bound are silent"
    );
    assert_eq!(storm.tally().all_faults().count(), 0);
    assert_eq!(book.held_twice(), 0);
}

#[test]
fn an_unanswered_solicit_is_sent_again_with_doubled_time_and_the_same_transaction() {
    let mut book = Book::default();
    let mut storm = Storm::new(plan(), 1, u64::MAX, &mut book);
    let mut times = Vec::new();
    let mut messages = Vec::new();
    for ms in 0..40_000 {
        while let Some(outgoing) = storm.next_due(ms * MS) {
            times.push(ms);
            messages.push(outgoing.message);
        }
    }
    assert!(times.len() == 6 && times[0] < 1_000, "{times:?}");
    let gaps: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(
        (1_001..=1_100).contains(&gaps[0]),
        "longer than IRT: {gaps:?}"
    );
    for pair in gaps.windows(2) {
        let ratio = pair[1] as f64 / pair[0] as f64;
        assert!((1.89..=2.11).contains(&ratio), "{gaps:?}");
    }
    assert!(messages.iter().all(|message| *message == 0));
}

#[test]
fn a_client_whose_requests_are_not_answered_solicits_again() {
    let mut book = Book::default();
    let mut storm = Storm::new(plan(), 1, u64::MAX, &mut book);
    let solicit = storm.next_due(1_000 * MS).unwrap();
    let reply = answer(&storm, &solicit);
    assert!(storm.take(1_000 * MS, &reply).is_some());
    assert!(storm.take(1_000 * MS, &reply).is_none());
    assert_eq!(storm.tally().faults(Fault::Duplicate), 1);
    let (mut requests, mut ms) = (1, 1_000);
    let again = loop {
        ms += 1;
        match storm.next_due(ms * MS) {
            Some(outgoing) if outgoing.msg_type == MessageType::REQUEST => requests += 1,
            Some(outgoing) => break outgoing,
            None => {}
        }
    };
    assert_eq!((requests, again.message), (REQ_MAX_RC, 2));
    assert!(
        ms > 150_000,
        "REQ_MAX_RC with REQ_MAX_RT take minutes: {ms}"
    );
}
