extern crate std;

use std::vec;
use std::vec::Vec;

use proptest::collection;
use proptest::option::of;
use proptest::prelude::*;

use super::binding::ReconfigureData;
use super::*;
use crate::code::{MessageType, OptionCode, StatusCode};
use crate::duid::{Duid, IaKind, Iaid};
use crate::failover::framing::MESSAGE_LEN_MAX;
use crate::option::RawOption;
use crate::options::dns::{Name, encode_name, names};
use crate::options::status::Status;
use crate::reply::NoRoom;
use crate::subscriber::SubscriberIa;

fn id() -> TransactionId {
    TransactionId::new(0x0001_0203)
}

/// A message with these options, as it stands in a frame.
fn message(msg_type: MessageType, options: &[u8]) -> Vec<u8> {
    let mut octets = vec![msg_type.0, 1, 2, 3, 0, 0, 0, 9];
    octets.extend(options);
    octets
}

fn option(code: OptionCode, data: &[u8]) -> Vec<u8> {
    let mut octets = code.0.to_be_bytes().to_vec();
    octets.extend((data.len() as u16).to_be_bytes());
    octets.extend(data);
    octets
}

fn error(msg_type: MessageType, options: &[u8]) -> MessageError {
    let octets = message(msg_type, options);
    FailoverMessage::parse(&octets).unwrap().body().unwrap_err()
}

#[test]
fn rfc5460_5_1_frames_are_found_however_they_were_cut() {
    let mut octets = vec![0, 8];
    octets.extend(message(MessageType::CONTACT, &[]));
    octets.extend([0, 4, 23, 0, 0, 1]);
    let sizes = |octets: &[u8]| -> (Vec<usize>, usize) {
        let mut frames = Frames::new(octets);
        let sizes = frames.by_ref().map(|frame| frame.unwrap().len()).collect();
        (sizes, frames.rest().len())
    };
    for len in 0..=octets.len() {
        let expected = match len {
            0..10 => (vec![], len),
            10..16 => (vec![8], len - 10),
            _ => (vec![8, 4], 0),
        };
        assert_eq!(sizes(&octets[..len]), expected, "{len} octets");
    }
}

#[test]
fn a_size_no_message_of_the_type_has_ends_the_connection() {
    for (octets, shortest) in [
        (&[0, 7, 35][..], 8),
        (&[0, 0], 4),
        (&[0, 3, 23, 0, 0], 4),
        (&[0, 4, 31, 0, 0, 0], 8),
    ] {
        let mut frames = Frames::new(octets);
        let error = frames.next().unwrap().unwrap_err();
        assert_eq!(error.shortest, shortest, "{octets:?}");
        assert_eq!(frames.next(), None);
    }
    assert_eq!(
        Frames::new(&[0, 4]).next(),
        None,
        "its type is not known yet"
    );
}

#[test]
fn only_whole_failover_messages_are_stamped() {
    let contact = |sent_time| {
        let mut octets = vec![0, 8, 35, 0, 0, 1];
        octets.extend(u32::to_be_bytes(sent_time));
        octets
    };
    let starttls = [0, 8, 23, 0, 0, 1, 0, 200, 0, 0];
    let mut octets = [&contact(0)[..], &starttls, &contact(0), &contact(0)[..9]].concat();
    stamp(&mut octets, 7);
    assert_eq!(
        octets,
        [&contact(7)[..], &starttls, &contact(7), &contact(0)[..9]].concat()
    );
}

#[test]
fn rfc8156_5_3_1_a_bndupd_holds_one_container() {
    let client = option(OptionCode::CLIENT_DATA, &[]);
    let prefix = option(OptionCode::IAPREFIX, &[0; 25]);
    assert_eq!(
        error(
            MessageType::BNDUPD,
            &option(OptionCode::CLIENTID, &[0, 1, 2])
        ),
        MessageError::NoContainer(MessageType::BNDUPD)
    );
    for (first, second) in [(&client, &client), (&client, &prefix), (&prefix, &prefix)] {
        let second_at = 8 + first.len() as u32;
        assert_eq!(
            error(MessageType::BNDREPLY, &[&first[..], second].concat()),
            MessageError::SecondContainer {
                msg_type: MessageType::BNDREPLY,
                offset: second_at
            }
        );
    }
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let lease = [&[0; 24][..], &option(OptionCode::F_BINDING_STATUS, &[1, 1])].concat();
    let ia = [&[0; 12][..], &option(OptionCode::IAADDR, &lease)].concat();
    let client = option(OptionCode::CLIENT_DATA, &option(OptionCode::IA_NA, &ia));
    let said =
        "BNDUPD: OPTION_F_BINDING_STATUS at octet 56: length is not one this option can have";
    assert_eq!(
        std::format!("{}", error(MessageType::BNDUPD, &client)),
        said
    );

    let repeated = option(OptionCode::F_MCLT, &[0; 4]).repeat(2);
    let said = "CONNECT: OPTION_F_MCLT at octet 16: may stand only once";
    assert_eq!(
        std::format!("{}", error(MessageType::CONNECT, &repeated)),
        said
    );

    for state in [0, 11, 255] {
        let octets = option(OptionCode::F_SERVER_STATE, &[state]);
        let MessageError::Malformed { malformed, .. } = error(MessageType::STATE, &octets) else {
            panic!("{state}");
        };
        assert_eq!((malformed.why, malformed.offset), (Fault::Value, 8));
    }
}

#[test]
fn messages_without_options_take_unknown_ones_and_refuse_broken_ones() {
    for msg_type in [26, 27, 28, 29, 30, 35].map(MessageType) {
        let octets = message(msg_type, &option(OptionCode(65_000), b"later"));
        let body = FailoverMessage::parse(&octets).unwrap().body().unwrap();
        assert_eq!(body.msg_type(), msg_type);
        assert!(matches!(
            error(msg_type, &[0]),
            MessageError::Malformed { .. }
        ));
    }
    for msg_type in (0..24).chain(36..=255).map(MessageType) {
        let octets = message(msg_type, &[]);
        let error = FailoverMessage::parse(&octets).unwrap_err();
        assert_eq!(error, MessageError::Type(msg_type));
    }
}

#[test]
fn an_obsolete_ia_ta_is_flagged() {
    let client = option(OptionCode::CLIENT_DATA, &option(OptionCode::IA_TA, &[0; 4]));
    let octets = message(MessageType::BNDUPD, &client);
    let Ok(Body::Bndupd(Container::Client(data))) = FailoverMessage::parse(&octets).unwrap().body()
    else {
        panic!("no client's bindings");
    };
    assert!(data.has_ia_ta);
    assert_eq!(data.leases().count(), 0);
}

#[test]
fn rfc8156_7_7_a_rejected_ia_rejects_its_leases() {
    let refusal = option(OptionCode::STATUS_CODE, &17_u16.to_be_bytes());
    let lease = option(OptionCode::IAADDR, &[0; 24]);
    let ia = |held: &[&[u8]]| option(OptionCode::IA_NA, &[&[0; 12], &held.concat()[..]].concat());
    // The status counts wherever in the IA it stands.
    let ias = [ia(&[&lease, &refusal]), ia(&[&lease])].concat();
    let octets = message(
        MessageType::BNDREPLY,
        &option(OptionCode::CLIENT_DATA, &ias),
    );
    let Ok(Body::Bndreply(Container::Client(data))) =
        FailoverMessage::parse(&octets).unwrap().body()
    else {
        panic!("no client's bindings");
    };
    let rejected = data
        .leases()
        .map(|lease| lease.rejection().map(|status| status.code));
    let rejected: Vec<_> = rejected.collect();
    assert_eq!(rejected, [Some(StatusCode::CONFIGURATION_CONFLICT), None]);
}

#[test]
fn the_longest_message_is_written_and_a_longer_one_refused() {
    let mut buffer = vec![0; 70_000];
    let mut write = |name: &[u8]| {
        let connect = Connect {
            relationship_name: Some(name),
            ..Connect::default()
        };
        Body::Connect(connect).write(&mut buffer, id())
    };
    let longest = MESSAGE_LEN_MAX - 8 - 4;
    assert_eq!(write(&vec![b'x'; longest]), Ok(2 + MESSAGE_LEN_MAX));
    assert_eq!(write(&vec![b'x'; longest + 1]), Err(NoRoom));
}

#[test]
fn transaction_ids_have_24_bits() {
    assert_eq!(TransactionId::new(0x0100_0001), TransactionId::new(1));
    assert_eq!(TransactionId::from_octets(id().octets()), id());
    assert_eq!(std::format!("{}", id()), "0x010203");
}

fn status() -> impl Strategy<Value = (u16, Vec<u8>)> {
    (any::<u16>(), octets(20))
}

fn octets(len: usize) -> impl Strategy<Value = Vec<u8>> {
    collection::vec(any::<u8>(), 0..len)
}

fn as_status(status: &Option<(u16, Vec<u8>)>) -> Option<Status<'_>> {
    status.as_ref().map(|(code, message)| Status {
        code: StatusCode(*code),
        message,
    })
}

fn name(encoded: &[u8]) -> Name<'_> {
    let option = RawOption {
        code: OptionCode::F_DNS_HOST_NAME,
        data: encoded,
        offset: 0,
    };
    names(&option).next().unwrap().unwrap()
}

/// A lease's options, the octets they borrow beside the numbers.
type LeaseParts = (
    Option<(u16, Vec<u8>)>,
    [Option<u32>; 8],
    Option<u8>,
    Option<Vec<u8>>,
    Option<(bool, u16)>,
);

fn lease_parts() -> impl Strategy<Value = LeaseParts> {
    let numbers = proptest::array::uniform8(of(any::<u32>()));
    let dns = of((any::<bool>(), any::<u16>()));
    (of(status()), numbers, of(any::<u8>()), of(octets(30)), dns)
}

fn lease_options<'a>(parts: &'a LeaseParts, dns_name: &'a [u8]) -> LeaseOptions<'a> {
    let [a, b, c, d, e, f, g, h] = parts.1;
    LeaseOptions {
        status: as_status(&parts.0),
        vss: parts.3.as_deref(),
        base_time: a,
        binding_status: parts.2,
        start_time_of_state: b,
        state_expiration_time: c,
        clt_time_secs_ago: d,
        partner_lifetime: e,
        partner_lifetime_sent: f,
        partner_raw_clt_time: g,
        expiration_time: h,
        client_fqdn: parts.3.as_deref(),
        dns_removal_info: parts.4.map(|(named, flags)| DnsRemovalInfo {
            host_name: named.then(|| name(dns_name)),
            zone_name: Some(name(dns_name)),
            flags: Some(DnsFlags(flags)),
        }),
    }
}

proptest! {
    #[test]
    fn any_octets_are_framed_parsed_and_stamped_without_a_panic(mut octets in octets(300)) {
        for frame in Frames::new(&octets).flatten() {
            if let Ok(body) = FailoverMessage::parse(frame).and_then(|message| message.body()) {
                let mut buffer = vec![0; 2 * octets.len() + 2];
                prop_assert!(body.write(&mut buffer, id()).is_ok());
            }
            let _ = TlsMessage::parse(frame);
        }
        stamp(&mut octets, 1);
    }

    #[test]
    fn client_data_is_read_as_written(
        duid in of(collection::vec(any::<u8>(), 3..=130)),
        base_time in of(any::<u32>()),
        line in (any::<bool>(), any::<u8>()),
        extra in (of(octets(9)), of((any::<u32>(), octets(20))), of(octets(60)), of(status())),
        vendor_opts in of(octets(30)),
        leases in collection::vec((any::<bool>(), any::<[u32; 5]>(), any::<u128>(), 0_u8..=128, lease_parts()), 0..5),
    ) {
        let dns_name = encode_name("host.example.net").unwrap();
        let number = Iaid(u32::from(line.1));
        let key = line.0.then_some([0xff, 0xff, 37, line.1]);
        let subscriber = key.as_ref().map(|key| SubscriberIa {
            key: Duid::new(key).unwrap(),
            number,
        });
        let client = Client {
            subscriber,
            status: as_status(&extra.3),
            client_id: duid.as_deref().and_then(Duid::new),
            base_time,
            vss: extra.0.as_deref(),
            reconfigure_data: extra.1.as_ref().map(|(time, key)| ReconfigureData { time: *time, key }),
            relay_data: extra.2.as_deref(),
            vendor_opts: vendor_opts.as_deref(),
        };
        let mut buffer = vec![0; 5000];
        let mut frame = FrameWriter::begin(&mut buffer, MessageType::BNDUPD, id()).unwrap();
        let container = frame.open_client_data(&client).unwrap();
        for (is_prefix, [iaid, t1, t2, preferred, valid], address, len, parts) in &leases {
            let options = lease_options(parts, &dns_name);
            let kind = if *is_prefix { IaKind::Pd } else { IaKind::Na };
            let ia = frame.open_ia(kind, Iaid(*iaid), *t1, *t2).unwrap();
            let lifetimes = (*preferred, *valid);
            match is_prefix {
                true => frame.prefix(*address, *len, lifetimes, &options).unwrap(),
                false => frame.address(*address, lifetimes, &options).unwrap(),
            }
            frame.close(ia).unwrap();
        }
        frame.close(container).unwrap();
        let len = frame.finish().unwrap();

        let octets = Frames::new(&buffer[..len]).next().unwrap().unwrap();
        let body = FailoverMessage::parse(octets).unwrap().body().unwrap();
        let Body::Bndupd(Container::Client(data)) = body else { panic!("no client's bindings") };
        prop_assert_eq!(data.client, client);
        prop_assert_eq!(data.leases().count(), leases.len());
        for (read, (_, numbers, address, len, parts)) in data.leases().zip(&leases) {
            let (ia, options) = (read.ia, lease_options(parts, &dns_name));
            prop_assert_eq!(read.options, options);
            let (found, lifetimes) = match read.leased {
                Leased::Address(a) => ((a.address, *len), [a.preferred, a.valid]),
                Leased::Prefix(p) => ((p.prefix, p.prefix_len), [p.preferred, p.valid]),
            };
            prop_assert_eq!(found, (*address, *len));
            let [preferred, valid] = lifetimes;
            prop_assert_eq!(&[ia.iaid.0, ia.t1, ia.t2, preferred, valid], numbers);
        }
        let mut again = vec![0; 5000];
        prop_assert_eq!(body.write(&mut again, id()), Ok(len));
        prop_assert_eq!(&again[..len], &buffer[..len]);
    }

    #[test]
    fn connect_and_state_are_read_as_written(
        numbers in proptest::array::uniform5(of(any::<u32>())),
        small in (of(any::<(u16, u16)>()), of(any::<u16>()), of(0..10_usize), of(any::<u8>())),
        borrowed in (of(octets(40)), of(octets(40)), of(status())),
    ) {
        let [a, b, c, d, e] = numbers;
        let connect = Connect {
            status: as_status(&borrowed.2),
            protocol_version: small.0.map(|(major, minor)| ProtocolVersion { major, minor }),
            mclt_secs: a,
            keepalive_secs: b,
            max_unacked_bndupd: c,
            relationship_name: borrowed.0.as_deref(),
            flags: small.1.map(ConnectFlags),
            vendor_opts: borrowed.1.as_deref(),
        };
        let state = State {
            server_state: small.2.map(|index| ServerState::ALL[index]),
            flags: small.3.map(ServerFlags),
            start_time_of_state: d,
            partner_down_time: e,
        };
        let disconnect = Body::Disconnect(connect.status);
        for body in [Body::Connect(connect), Body::Connectreply(connect), Body::State(state), disconnect] {
            let mut buffer = [0; 400];
            let len = body.write(&mut buffer, id()).unwrap();
            let message = FailoverMessage::parse(&buffer[2..len]).unwrap();
            prop_assert_eq!(message.body(), Ok(body));
        }
    }
}
