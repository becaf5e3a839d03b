use super::*;
use wire::{IaIndex, IaKind, Iaid, Message, MessageIndex, OptionCode, ReplyWriter, StatusCode};

const NUMBERING: Numbering = Numbering { salt: 3, relays: 0 };
const SECOND: u64 = 1_000_000_000;

fn plan(kind: Kind) -> Plan {
    Plan {
        kind,
        numbering: NUMBERING,
        wants: Wants {
            na: true,
            pd: false,
        },
        order: Order::From(10),
        relays: Arc::default(),
    }
}

/// How the server of a test answers.
#[derive(Clone, Copy)]
struct Server {
    msg_type: Option<MessageType>,
    duid: &'static [u8],
    address: u128,
    status: Option<StatusCode>,
}

const SERVER: Server = Server {
    msg_type: None,
    duid: &[0, 3, 1],
    address: 77,
    status: None,
};

impl Server {
    fn answer(self, flow: &Flow<'_>, outgoing: &Outgoing) -> Vec<u8> {
        let mut payload = vec![0; 400];
        let len = flow.write(outgoing, &mut payload);
        let message = Message::parse(&payload[..len], 0, OptionCode(0)).unwrap();
        let index = MessageIndex::new(&message).unwrap();
        let usual = match message.msg_type {
            MessageType::SOLICIT if !index.rapid_commit => MessageType::ADVERTISE,
            _ => MessageType::REPLY,
        };
        let mut reply = vec![0; 400];
        let msg_type = self.msg_type.unwrap_or(usual);
        let mut writer = ReplyWriter::begin(&mut reply, msg_type, message.transaction_id).unwrap();
        writer
            .option(OptionCode::CLIENTID, index.client_id.unwrap().octets())
            .unwrap();
        writer.option(OptionCode::SERVERID, self.duid).unwrap();
        let ia = writer.open_ia(IaKind::Na, Iaid(1), 0, 0).unwrap();
        match self.status {
            Some(status) => writer.status(status, "").unwrap(),
            None => {
                let named = IaIndex::new(&index.ias[0]).unwrap();
                let named = named.addresses.first().map(|named| named.address);
                writer
                    .ia_address(named.unwrap_or(self.address), 10, 20)
                    .unwrap();
            }
        }
        writer.close(ia).unwrap();
        let len = writer.finish().unwrap();
        reply.truncate(len);
        reply
    }
}

fn flow(kind: Kind, book: &mut Book) -> Flow<'_> {
    Flow::new(plan(kind), 0, 1_000.0, 100, book, &[])
}

#[test]
fn four_messages_make_an_exchange_with_latency_from_the_intended_time() {
    let mut book = Book::default();
    let mut flow = flow(Kind::Sarr, &mut book);
    // The generator was away for 5 ms: the first exchange was to begin at 0.
    let solicit = flow.next_due(5_000_000).unwrap();
    assert_eq!(
        (solicit.client, solicit.msg_type),
        (Client(10), MessageType::SOLICIT)
    );
    let request = flow
        .take(6_000_000, &SERVER.answer(&flow, &solicit))
        .unwrap();
    assert_eq!(request.msg_type, MessageType::REQUEST);
    assert_eq!(request.leases.unwrap().address, 77);
    assert!(
        flow.take(7_000_000, &SERVER.answer(&flow, &request))
            .is_none()
    );
    let tally = flow.tally();
    assert_eq!((tally.begun, tally.completed, tally.second_sent), (1, 1, 1));
    assert_eq!(tally.last_late_ns, 5_000_000);
    assert!(
        (6_990.0..=7_010.0).contains(&tally.latency_us(0.5)),
        "{}",
        tally.latency_us(0.5)
    );
    assert_eq!(tally.all_faults().count(), 0);
    assert_eq!(flow.server_duid(), SERVER.duid);
    assert_eq!(book.leases(Client(10)).unwrap().address, 77);
}

#[test]
fn rapid_commit_ends_with_the_first_reply() {
    let mut book = Book::default();
    let mut flow = flow(Kind::Rapid, &mut book);
    let solicit = flow.next_due(0).unwrap();
    assert!(flow.take(1, &SERVER.answer(&flow, &solicit)).is_none());
    assert_eq!(flow.tally().completed, 1);
}

#[test]
fn a_renewal_with_another_lease_is_a_fault() {
    let mut book = Book::default();
    let leases = Leases {
        address: 5,
        ..Leases::default()
    };
    book.grant(Client(10), leases);
    let mut flow = flow(Kind::Renew, &mut book);
    flow.server_duid = SERVER.duid.to_vec();
    let renew = flow.next_due(0).unwrap();
    assert_eq!(renew.leases, Some(leases));
    let right = SERVER.answer(&flow, &renew);
    let unnamed = Outgoing {
        leases: None,
        ..renew
    };
    assert!(flow.take(1, &SERVER.answer(&flow, &unnamed)).is_none());
    assert_eq!(flow.tally().faults(Fault::WrongLease), 1);
    flow.take(2, &right);
    assert_eq!(flow.tally().completed, 1);
}

#[test]
fn a_release_takes_the_lease_out_of_the_book() {
    let mut book = Book::default();
    book.grant(
        Client(10),
        Leases {
            address: 5,
            ..Leases::default()
        },
    );
    let mut flow = flow(Kind::Release, &mut book);
    flow.server_duid = SERVER.duid.to_vec();
    let release = flow.next_due(0).unwrap();
    flow.take(1, &SERVER.answer(&flow, &release));
    assert_eq!((flow.tally().completed, book.held()), (1, 0));
}

#[test]
fn wrong_replies_are_counted_by_kind() {
    let mut book = Book::default();
    let mut flow = flow(Kind::Sarr, &mut book);
    let solicit = flow.next_due(0).unwrap();
    let early = flow.next_due(u64::MAX / 4).unwrap();
    let unknown = Outgoing {
        client: Client(5_000),
        ..solicit
    };
    let other_transaction = Outgoing {
        message: 9,
        ..solicit
    };
    let cases = [
        (SERVER.answer(&flow, &unknown), Fault::ForeignClient),
        (
            SERVER.answer(&flow, &other_transaction),
            Fault::ForeignTransaction,
        ),
        (vec![1, 2], Fault::Malformed),
        (
            Server {
                msg_type: Some(MessageType::REPLY),
                ..SERVER
            }
            .answer(&flow, &solicit),
            Fault::UnexpectedType,
        ),
        (
            Server {
                duid: &[],
                ..SERVER
            }
            .answer(&flow, &solicit),
            Fault::OtherServer,
        ),
        (
            Server {
                status: Some(StatusCode::NO_ADDRS_AVAIL),
                ..SERVER
            }
            .answer(&flow, &solicit),
            Fault::WrongStatus,
        ),
        (
            Server {
                address: 0,
                ..SERVER
            }
            .answer(&flow, &early),
            Fault::NoLease,
        ),
    ];
    for (payload, fault) in cases {
        let before = flow.tally().faults(fault);
        assert!(flow.take(1_000_000, &payload).is_none());
        assert_eq!(flow.tally().faults(fault), before + 1, "{}", fault.label());
    }
    assert_eq!(flow.tally().completed, 0);
}

#[test]
fn answers_twice_and_too_late_do_not_count() {
    let mut book = Book::default();
    let mut flow = flow(Kind::Sarr, &mut book);
    let solicit = flow.next_due(0).unwrap();
    let advertise = SERVER.answer(&flow, &solicit);
    let request = flow.take(1, &advertise).unwrap();
    flow.take(2, &advertise);
    assert_eq!(flow.tally().faults(Fault::Duplicate), 1);
    flow.take(2 * SECOND, &SERVER.answer(&flow, &request));
    let tally = flow.tally();
    assert_eq!((tally.faults(Fault::Late), tally.completed), (1, 0));
    assert_eq!((tally.lost_first(), tally.lost_second()), (0, 1));
    assert!((tally.unanswered_ratio() - 1.0).abs() < 1e-9);
}

#[test]
fn a_run_is_done_when_all_is_answered_or_patience_ends() {
    let mut book = Book::default();
    let mut flow = Flow::new(plan(Kind::Rapid), 0, 1_000.0, 2, &mut book, &[]);
    let first = flow.next_due(0).unwrap();
    assert!(!flow.is_done(0));
    let second = flow.next_due(1_000_000).unwrap();
    assert!(flow.next_due(1_000_000).is_none());
    flow.take(1_000_001, &SERVER.answer(&flow, &first));
    assert!(!flow.is_done(1_000_001));
    assert!(flow.is_done(1_000_001 + SECOND));
    flow.take(1_000_002, &SERVER.answer(&flow, &second));
    assert!(flow.is_done(1_000_003));
}

#[test]
fn a_client_that_comes_round_again_has_another_transaction() {
    let mut book = Book::default();
    let order = Order::Shuffled(Shuffled::new(0..3));
    let mut flow = Flow::new(
        Plan {
            order,
            ..plan(Kind::Rapid)
        },
        0,
        1_000.0,
        6,
        &mut book,
        &[],
    );
    let all: Vec<_> = std::iter::from_fn(|| flow.next_due(SECOND)).collect();
    assert_eq!(all.len(), 6);
    assert_eq!(all[0].client, all[3].client);
    assert_ne!(all[0].message, all[3].message);
    // The first round of this client is over: the slot of the second one waits.
    flow.take(SECOND, &SERVER.answer(&flow, &all[0]));
    assert_eq!(flow.tally().faults(Fault::ForeignTransaction), 1);
    flow.take(SECOND, &SERVER.answer(&flow, &all[3]));
    assert_eq!(flow.tally().completed, 1);
}

#[test]
fn clients_follow_the_partner_that_takes_over_and_only_if_they_are_to() {
    const PARTNER: Server = Server {
        duid: &[0, 3, 2],
        ..SERVER
    };
    for follows in [false, true] {
        let mut book = Book::default();
        let mut flow = flow(Kind::Sarr, &mut book);
        if follows {
            flow = flow.following();
        }
        let first = flow.next_due(0).unwrap();
        let request = flow.take(1, &SERVER.answer(&flow, &first)).unwrap();
        let second = flow.next_due(1_000_000).unwrap();
        let answer = PARTNER.answer(&flow, &second);
        let next = flow.take(2_000_000, &answer);
        assert_eq!(next.is_some(), follows);
        let since = follows.then_some(2_000_000);
        assert_eq!(flow.tally().other_server_ns, since);
        // What the first server still says to those who asked it counts for them only without.
        flow.take(3_000_000, &SERVER.answer(&flow, &request));
        assert_eq!(flow.tally().completed, u64::from(!follows));
    }
}

#[test]
fn a_run_that_is_ended_waits_for_what_has_begun() {
    let mut book = Book::default();
    let mut flow = flow(Kind::Rapid, &mut book);
    let solicit = flow.next_due(0).unwrap();
    assert!(!flow.is_ending());
    flow.end_now(500_000);
    assert!(flow.next_due(SECOND / 2).is_none());
    assert!(flow.is_ending() && !flow.is_done(SECOND / 2));
    assert!(
        flow.take(SECOND / 2, &SERVER.answer(&flow, &solicit))
            .is_none()
    );
    assert!(flow.is_done(SECOND / 2));
}
