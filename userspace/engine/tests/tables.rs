//! What operators configure, as clients see it: relays, options, reservations, full pools.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use core::net::Ipv6Addr;
use dhcproto::v6::{
    DhcpOption, DhcpOptions, IANA, IAPD, Message, MessageType as Type, ORO, Status,
};
use dhcproto::{Decodable, Decoder, Encodable};
use engine::{
    Adopting, Context, DropReason, Ingress, InterfaceId, Lifetimes, LinkSpec, Model, ModelBuilder,
    OptionValues, Outcome, PoolConfig, ReservationKey, ReservationTable, ReservationTerms, adopt,
    answer, parse, restore,
};
use lease::{
    AbsTime, AllocationKey, BindingDelta, BindingRecord, BindingStatus, Lease, LinkKey,
    PartnerTimes, PoolSpec, Shard,
};
use std::sync::Arc;
use wire::{Duid, IaKind, Iaid, SHARDS, ShardId, shard_of};

const SERVER: [u8; 4] = [0, 3, 0, 1];
const RESERVED: &str = "2001:db8:1::12";

struct Server {
    model: Model,
    shards: Vec<Shard>,
}

impl Server {
    fn new(configure: impl FnOnce(ModelBuilder) -> ModelBuilder) -> Self {
        let own = duid(1);
        let reserved = reserved("access", &[(&own, Lease::address(ip(RESERVED)))]);
        let builder = ModelBuilder::new(&SERVER, AllocationKey::new([1; 16]))
            .link(link())
            .reservations(reserved);
        Self {
            model: configure(builder).build().unwrap(),
            shards: (0..SHARDS)
                .map(|id| Shard::new(ShardId(id as u8), 5))
                .collect(),
        }
    }

    /// The payload of the answer in a buffer of so many octets.
    fn answer(&mut self, payload: &[u8], room: usize) -> Result<Vec<u8>, DropReason> {
        let ingress = Ingress {
            payload,
            interface: InterfaceId(0),
            source: ip("fe80::9"),
            destination: ip("ff02::1:2"),
        };
        let parsed = parse(&ingress)?;
        let context = Context {
            model: &self.model,
            now: AbsTime(1_000),
            leeways: &[],
        };
        let mut out = vec![0; room];
        let shard = &mut self.shards[usize::from(parsed.shard(&self.model).0)];
        match answer(&context, shard, &parsed, &mut out, &mut |_| {}) {
            Outcome::Reply { len, .. } => Ok(out[..len].to_vec()),
            Outcome::Drop(reason) => Err(reason),
        }
    }

    fn send(&mut self, message: &Message) -> Result<Message, DropReason> {
        let reply = self.answer(&message.to_vec().unwrap(), 1_200)?;
        Ok(decode(&reply))
    }

    fn bound(&self) -> u128 {
        let pools = self.model.pools().iter();
        pools.map(|served| served.pool().counts().bound).sum()
    }
}

/// Four addresses, one of them reserved for client 1, and two prefixes.
fn link() -> LinkSpec {
    let pool = PoolConfig::new;
    let delegable = Lease {
        addr: ip("2001:db8:8000::").to_bits(),
        len: 48,
    };
    LinkSpec {
        name: "access".to_owned(),
        interface: Some(InterfaceId(0)),
        link_addresses: vec![Lease {
            addr: ip("2001:db8:1::").to_bits(),
            len: 64,
        }],
        pools: vec![
            pool(PoolSpec::addresses(ip("2001:db8:1::10"), ip("2001:db8:1::13")).unwrap()),
            pool(PoolSpec::prefixes(delegable, 49).unwrap()),
        ],
        ..LinkSpec::default()
    }
}

fn reserved(link: &str, leases: &[(&[u8], Lease)]) -> Arc<ReservationTable> {
    let mut table = ReservationTable::builder();
    for (duid, lease) in leases {
        let key = ReservationKey::Duid(duid);
        table
            .push(0, link, key, *lease, &ReservationTerms::NONE)
            .unwrap();
    }
    Arc::new(table.finish(1).unwrap())
}

fn ip(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

fn duid(client: u8) -> Vec<u8> {
    vec![0, 3, 0, 9, client]
}

fn decode(payload: &[u8]) -> Message {
    Message::decode(&mut Decoder::new(payload)).unwrap()
}

/// With an IA_NA for each of the IAIDs.
fn message(client: u8, msg_type: Type, iaids: &[u32]) -> Message {
    let mut message = Message::new_with_id(msg_type, [1, 2, 3]);
    let opts = message.opts_mut();
    opts.insert(DhcpOption::ClientId(duid(client)));
    if matches!(msg_type, Type::Request | Type::Renew) {
        opts.insert(DhcpOption::ServerId(SERVER.to_vec()));
    }
    for &id in iaids {
        opts.insert(DhcpOption::IANA(IANA {
            id,
            t1: 0,
            t2: 0,
            opts: DhcpOptions::new(),
        }));
    }
    message
}

fn ia_pd() -> DhcpOption {
    DhcpOption::IAPD(IAPD {
        id: 1,
        t1: 0,
        t2: 0,
        opts: DhcpOptions::new(),
    })
}

/// T1, T2, address, preferred and valid lifetime; or the status.
type Shown = Result<(u32, u32, Ipv6Addr, u32, u32), Status>;

fn shown(reply: &Message) -> Vec<Shown> {
    let ias = reply.opts().iter().filter_map(|option| match option {
        DhcpOption::IANA(ia) => Some((ia.t1, ia.t2, &ia.opts)),
        DhcpOption::IAPD(ia) => Some((ia.t1, ia.t2, &ia.opts)),
        _ => None,
    });
    ias.map(|(t1, t2, opts)| match opts.iter().next() {
        Some(DhcpOption::IAAddr(a)) => Ok((t1, t2, a.addr, a.preferred_life, a.valid_life)),
        Some(DhcpOption::IAPrefix(p)) => {
            Ok((t1, t2, p.prefix_ip, p.preferred_lifetime, p.valid_lifetime))
        }
        Some(DhcpOption::StatusCode(code)) => Err(code.status),
        other => panic!("{other:?}"),
    })
    .collect()
}

fn addresses(reply: &Message) -> Vec<Result<Ipv6Addr, Status>> {
    let shown = shown(reply).into_iter();
    shown
        .map(|ia| ia.map(|(_, _, address, ..)| address))
        .collect()
}

/// The message in a Relay-forward.
fn forwarded(message: &[u8], hops: u8, link: &str, interface_id: &[u8]) -> Vec<u8> {
    let mut payload = vec![12, hops];
    payload.extend(ip(link).octets());
    payload.extend(ip("fe80::9").octets());
    for (code, data) in [(18_u16, interface_id), (9, message)] {
        payload.extend(code.to_be_bytes());
        payload.extend((data.len() as u16).to_be_bytes());
        payload.extend(data);
    }
    payload
}

#[test]
fn rfc9915_19_3_every_relay_gets_its_layer_and_interface_id_back() {
    let mut server = Server::new(|builder| builder);
    let solicit = message(2, Type::Solicit, &[1]).to_vec().unwrap();
    // The inner relay's link-address is unspecified, so the outer one's counts (§13.1).
    let inner = forwarded(&solicit, 0, "::", b"port 7");
    let outer = forwarded(&inner, 1, "2001:db8:1::1", b"uplink");
    let reply = server.answer(&outer, 1_200).unwrap();
    let advertise = server.answer(&solicit, 1_200).unwrap();
    let mut inner = forwarded(&advertise, 0, "::", b"port 7");
    inner[0] = 13;
    let mut expected = forwarded(&inner, 1, "2001:db8:1::1", b"uplink");
    expected[0] = 13;
    assert_eq!(reply, expected);
}

#[test]
fn rfc9915_13_1_a_link_address_that_is_nowhere_configured_has_no_answer() {
    let mut server = Server::new(|builder| builder);
    let solicit = message(2, Type::Solicit, &[1]).to_vec().unwrap();
    let relayed = forwarded(&solicit, 0, "2001:db8:2::1", b"");
    assert_eq!(server.answer(&relayed, 1_200), Err(DropReason::NoLink));
}

#[test]
fn rfc9915_16_4_a_request_to_another_server_has_no_answer() {
    let mut server = Server::new(|builder| builder);
    let mut request = message(2, Type::Request, &[1]);
    request
        .opts_mut()
        .remove(dhcproto::v6::OptionCode::ServerId);
    request
        .opts_mut()
        .insert(DhcpOption::ServerId(vec![0, 3, 0, 2]));
    assert_eq!(server.send(&request), Err(DropReason::OtherServer));
    assert_eq!(server.bound(), 0);
}

#[test]
fn a_reserved_address_goes_to_its_client_and_to_nobody_else() {
    let mut server = Server::new(|builder| builder);
    let reply = server
        .send(&message(2, Type::Request, &[1, 2, 3, 4]))
        .unwrap();
    let given = addresses(&reply);
    assert!(given[..3].iter().all(Result::is_ok), "{given:?}");
    assert_eq!(given[3], Err(Status::NoAddrsAvail));
    assert!(!given.contains(&Ok(ip(RESERVED))));
    let reply = server.send(&message(1, Type::Request, &[1])).unwrap();
    assert_eq!(addresses(&reply), [Ok(ip(RESERVED))]);
}

#[test]
fn rfc9915_18_3_2_used_up_pools_are_told_inside_the_ia() {
    let mut server = Server::new(|builder| builder);
    let mut request = |client| {
        let mut request = message(client, Type::Request, &[]);
        request.opts_mut().insert(ia_pd());
        addresses(&server.send(&request).unwrap())
    };
    let (first, second) = (request(2), request(3));
    assert!(first[0].is_ok() && second[0].is_ok() && first != second);
    assert_eq!(request(4), [Err(Status::NoPrefixAvail)]);
    // Who has one keeps it.
    assert_eq!(request(2), first);
}

#[test]
fn what_was_offered_and_went_to_somebody_else_is_replaced() {
    let mut server = Server::new(|builder| builder);
    let advertise = server.send(&message(2, Type::Solicit, &[1])).unwrap();
    let offer = addresses(&advertise)[0].unwrap();
    // One client takes all there is but one address, the offer among it.
    let taken = addresses(&server.send(&message(3, Type::Request, &[1, 2, 3])).unwrap());
    assert!(taken.contains(&Ok(offer)));
    let reply = server.send(&message(2, Type::Request, &[1])).unwrap();
    assert_eq!(addresses(&reply), [Err(Status::NoAddrsAvail)]);
}

#[test]
fn options_are_sent_to_those_who_ask() {
    let mut server = Server::new(|builder| {
        builder.options(
            OptionValues::default()
                .with(
                    wire::OptionCode::DNS_SERVERS,
                    ip("2001:db8::53").octets().to_vec(),
                )
                .with(
                    wire::OptionCode::DOMAIN_LIST,
                    b"\x07example\x03net\0".to_vec(),
                ),
        )
    });
    let dns = |reply: &Message| {
        let mut options = reply.opts().iter();
        options.any(|o| *o == DhcpOption::DomainNameServers(vec![ip("2001:db8::53")]))
    };
    let mut ask = message(2, Type::InformationRequest, &[]);
    assert!(!dns(&server.send(&ask).unwrap()));
    ask.opts_mut().insert(DhcpOption::ORO(ORO {
        opts: vec![dhcproto::v6::OptionCode::DomainNameServers],
    }));
    let reply = server.send(&ask).unwrap();
    assert!(dns(&reply));
    let domains = dhcproto::v6::OptionCode::DomainSearchList;
    assert!(reply.opts().get(domains).is_none());
}

#[test]
fn rfc9915_18_3_9_preference_is_in_the_advertise_alone() {
    let mut server = Server::new(|builder| builder.preference(200));
    let preference = |reply: &Message| {
        let mut options = reply.opts().iter();
        options.any(|option| *option == DhcpOption::Preference(200))
    };
    assert!(preference(
        &server.send(&message(2, Type::Solicit, &[1])).unwrap()
    ));
    assert!(!preference(
        &server.send(&message(2, Type::Request, &[1])).unwrap()
    ));
}

#[test]
fn rfc9915_7_7_what_is_infinite_never_ends() {
    let forever = Lifetimes {
        preferred_secs: u32::MAX,
        valid_secs: u32::MAX,
    };
    let mut server = Server::new(|builder| builder.lifetimes(forever));
    let reply = server.send(&message(1, Type::Request, &[1])).unwrap();
    let never = u32::MAX;
    assert_eq!(
        shown(&reply),
        [Ok((never, never, ip(RESERVED), never, never))]
    );
    let next = server.shards[usize::from(shard_of(&duid(1)).0)].next_expiry();
    assert_eq!(next, None);
}

#[test]
fn a_reply_that_does_not_fit_changes_nothing() {
    let mut server = Server::new(|builder| builder);
    let request = message(2, Type::Request, &[1, 2]).to_vec().unwrap();
    let len = server.answer(&request, 1_200).unwrap().len();
    let mut server = Server::new(|builder| builder);
    for room in 0..len {
        let outcome = server.answer(&request, room);
        assert_eq!(outcome, Err(DropReason::ReplyTooLong), "{room}");
        assert_eq!(server.bound(), 0);
    }
    assert!(server.shards.iter().all(Shard::is_empty));
    assert_eq!(server.answer(&request, len).unwrap().len(), len);
}

#[test]
fn after_a_change_of_the_configuration_bindings_keep_what_is_no_longer_theirs() {
    let mut server = Server::new(|builder| builder);
    let link = LinkKey(server.model.links()[0].key().0);
    let outside = Lease::address(ip("2001:db8:1::99"));
    let reserved = Lease::address(ip(RESERVED));
    let stranger = duid(2);
    let shard = shard_of(&stranger);
    for (iaid, lease) in [(1, outside), (2, reserved)] {
        let record = BindingRecord {
            duid: Duid::new(&stranger).unwrap(),
            kind: IaKind::Na,
            iaid: Iaid(iaid),
            subscriber: None,
            lease,
            link,
            status: BindingStatus::Active,
            preferred_secs: 100,
            valid_secs: 200,
            cltt: AbsTime(900),
            status_since: AbsTime(900),
            expires: AbsTime(1_100),
            partner: PartnerTimes::NONE,
            accepts_reconfigure: false,
            via: &[],
        };
        let delta = BindingDelta::Put { shard, record };
        restore(&mut server.shards[usize::from(shard.0)], &delta);
    }
    for (which, expected) in [(Adopting::Foreign, 0), (Adopting::Own, 2)] {
        let mut outside = 0;
        for shard in &mut server.shards {
            let adopted = adopt(&server.model, shard, which, &mut |d| panic!("{d:?}"));
            assert_eq!((adopted.claimed, adopted.conflicting), (0, 0));
            outside += adopted.outside;
        }
        assert_eq!(outside, expected);
    }
    assert_eq!(server.bound(), 0);
    // While the stranger holds it, its owner gets another address; then its own.
    let request = message(1, Type::Request, &[1]);
    let other = addresses(&server.send(&request).unwrap())[0].unwrap();
    assert_ne!(other, ip(RESERVED));
    let strangers = &mut server.shards[usize::from(shard.0)];
    let context = Context::alone(&server.model, AbsTime(1_100));
    engine::expire(&context, strangers, 10, &mut |_| {});
    assert!(strangers.by_lease(reserved).is_none() && strangers.by_lease(outside).is_none());
    server.model.release(outside);
    server.model.release(reserved);
    let renewed = addresses(&server.send(&request).unwrap());
    assert_eq!(renewed, [Ok(ip(RESERVED))]);
}
