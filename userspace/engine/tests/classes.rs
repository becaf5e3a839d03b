//! Client classes: which pools, lifetimes and options a client gets by what its messages say.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use core::net::Ipv6Addr;
use dhcproto::v6::{
    DhcpOption, DhcpOptions, IAAddr, IANA, Message, MessageType as Type, ORO, OptionCode, Status,
    UnknownOption,
};
use dhcproto::{Decodable, Decoder, Encodable};
use engine::{
    Attribute, AttributeValue, ClassMatch, ClassSpec, Context, DropReason, Ingress, InterfaceId,
    Lifetimes, LinkSpec, Model, ModelBuilder, ModelError, OptionValues, Outcome, Pattern,
    PoolConfig, ReservationKey, ReservationTable, ReservationTerms, answer, parse,
};
use lease::{AbsTime, AllocationKey, BindingDelta, Lease, PoolSpec, Shard};
use std::sync::Arc;
use wire::{SHARDS, ShardId};

const SERVER: [u8; 4] = [0, 3, 0, 1];
/// Options that tests ask for: DNS servers, domain search, boot file.
const ASKED: [u16; 3] = [23, 24, 59];

struct Server {
    model: Model,
    shards: Vec<Shard>,
    now: AbsTime,
}

impl Server {
    fn new(builder: ModelBuilder) -> Self {
        Self {
            model: builder.build().unwrap(),
            shards: (0..SHARDS)
                .map(|id| Shard::new(ShardId(id as u8), 5))
                .collect(),
            now: AbsTime(1_000),
        }
    }

    fn send(&mut self, message: &Message) -> Result<Message, DropReason> {
        self.send_octets(&message.to_vec().unwrap())
    }

    fn send_octets(&mut self, payload: &[u8]) -> Result<Message, DropReason> {
        let ingress = Ingress {
            payload,
            interface: InterfaceId(0),
            source: ip("fe80::9"),
            destination: ip("ff02::1:2"),
        };
        let parsed = parse(&ingress)?;
        let context = Context::alone(&self.model, self.now);
        let mut out = vec![0; 1_400];
        let shard = &mut self.shards[usize::from(parsed.shard(&self.model).0)];
        let mut ended = Vec::new();
        let outcome = answer(&context, shard, &parsed, &mut out, &mut |delta| {
            if let BindingDelta::Remove { lease, .. } = delta {
                ended.push(*lease);
            }
        });
        ended.iter().for_each(|lease| self.model.release(*lease));
        match outcome {
            Outcome::Reply { len, .. } => {
                // Behind a relay the message stands at the end of the one layer.
                let message = match out[0] {
                    13 => &out[34 + 4..len],
                    _ => &out[..len],
                };
                Ok(Message::decode(&mut Decoder::new(message)).unwrap())
            }
            Outcome::Drop(reason) => Err(reason),
        }
    }

    fn bound(&self) -> Vec<u128> {
        let pools = self.model.pools().iter();
        pools.map(|served| served.pool().counts().bound).collect()
    }
}

fn ip(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

fn addresses(last_octets: &str, classes: &[&str]) -> PoolConfig {
    let (first, last) = last_octets.split_once('-').unwrap();
    let end = |octets: &str| ip(&format!("2001:db8:1::{octets}"));
    PoolConfig {
        classes: classes.iter().map(|name| (*name).to_owned()).collect(),
        ..PoolConfig::new(PoolSpec::addresses(end(first), end(last)).unwrap())
    }
}

fn class(name: &str, of: Attribute, values: &[AttributeValue]) -> ClassSpec {
    ClassSpec {
        name: name.to_owned(),
        matches: vec![ClassMatch {
            of,
            values: values.to_vec(),
        }],
        ..ClassSpec::default()
    }
}

fn begins(octets: &[u8]) -> AttributeValue {
    AttributeValue {
        enterprise: None,
        octets: Some(Pattern {
            octets: octets.to_vec(),
            open_start: false,
            open_end: true,
        }),
    }
}

fn phones() -> ClassSpec {
    class("phones", Attribute::VendorClass, &[begins(b"phone")])
}

fn builder(pools: Vec<PoolConfig>, classes: Vec<ClassSpec>) -> ModelBuilder {
    let builder = ModelBuilder::new(&SERVER, AllocationKey::new([1; 16]));
    let link = LinkSpec {
        name: "access".to_owned(),
        interface: Some(InterfaceId(0)),
        link_addresses: vec![Lease {
            addr: ip("2001:db8:1::").to_bits(),
            len: 64,
        }],
        pools,
        ..LinkSpec::default()
    };
    classes
        .into_iter()
        .fold(builder, ModelBuilder::class)
        .link(link)
}

/// A message with one IA_NA, and a Vendor Class with this string unless that is empty.
fn message(client: u8, msg_type: Type, named: Option<Ipv6Addr>, vendor_class: &str) -> Message {
    let mut message = Message::new_with_id(msg_type, [1, 2, 3]);
    let opts = message.opts_mut();
    opts.insert(DhcpOption::ClientId(vec![0, 3, 0, 1, 9, client]));
    if matches!(msg_type, Type::Request | Type::Renew) {
        opts.insert(DhcpOption::ServerId(SERVER.to_vec()));
    }
    let codes = ASKED.iter().map(|code| OptionCode::from(*code));
    opts.insert(DhcpOption::ORO(ORO {
        opts: codes.collect(),
    }));
    let mut inside = DhcpOptions::new();
    if let Some(addr) = named {
        inside.insert(DhcpOption::IAAddr(IAAddr {
            addr,
            preferred_life: 0,
            valid_life: 0,
            opts: DhcpOptions::new(),
        }));
    }
    opts.insert(DhcpOption::IANA(IANA {
        id: 1,
        t1: 0,
        t2: 0,
        opts: inside,
    }));
    if !vendor_class.is_empty() {
        let mut data = vec![0, 0, 0, 9, 0, vendor_class.len() as u8];
        data.extend(vendor_class.bytes());
        let option = UnknownOption::new(OptionCode::VendorClass, data);
        opts.insert(DhcpOption::Unknown(option));
    }
    message
}

/// The addresses of the answer with their valid lifetimes, or the status of the IA.
fn given(reply: &Message) -> Result<Vec<(Ipv6Addr, u32)>, Status> {
    let Some(DhcpOption::IANA(ia)) = reply.opts().get(OptionCode::IANA) else {
        panic!("no IA_NA in {reply:?}");
    };
    let status = ia.opts.iter().find_map(|option| match option {
        DhcpOption::StatusCode(status) => Some(status.status),
        _ => None,
    });
    if let Some(status) = status {
        return Err(status);
    }
    let leases = ia.opts.iter().filter_map(|option| match option {
        DhcpOption::IAAddr(address) => Some((address.addr, address.valid_life)),
        _ => None,
    });
    Ok(leases.collect())
}

fn address(reply: &Message) -> Ipv6Addr {
    let given = given(reply).unwrap();
    let [(address, _)] = given[..] else {
        panic!("not one address: {given:?}");
    };
    address
}

fn is_of(address: Ipv6Addr, first: &str, last: &str) -> bool {
    (ip(first)..=ip(last)).contains(&address)
}

#[test]
fn only_clients_of_its_class_draw_from_a_pool_and_no_name_opens_it() {
    let pools = vec![addresses("10-13", &["phones"]), addresses("20-2f", &[])];
    let mut server = Server::new(builder(pools, vec![phones()]));
    for client in 0..4 {
        let reply = server.send(&message(client, Type::Request, None, "phone/7"));
        let address = address(&reply.unwrap());
        assert!(is_of(address, "2001:db8:1::10", "2001:db8:1::13"));
    }
    // The class's pool is full: the next one of all clients follows.
    let reply = server.send(&message(4, Type::Request, None, "phone/7"));
    assert!(is_of(
        address(&reply.unwrap()),
        "2001:db8:1::20",
        "2001:db8:1::2f"
    ));
    let freed = ip("2001:db8:1::12");
    server.model.release(Lease::address(freed));
    for vendor_class in ["", "modem", "aphone"] {
        let asks = message(5, Type::Solicit, Some(freed), vendor_class);
        let reply = server.send(&asks).unwrap();
        assert_ne!(address(&reply), freed, "{vendor_class:?}");
    }
    let asks = message(6, Type::Solicit, Some(freed), "phone");
    assert_eq!(address(&server.send(&asks).unwrap()), freed);
}

#[test]
fn a_client_of_no_class_gets_nothing_where_all_pools_are_for_classes() {
    let pools = vec![addresses("10-13", &["phones"])];
    let mut server = Server::new(builder(pools, vec![phones()]));
    let reply = server.send(&message(1, Type::Solicit, None, "modem"));
    assert_eq!(given(&reply.unwrap()), Err(Status::NoAddrsAvail));
    assert_eq!(server.bound(), [0]);
}

#[test]
fn a_lease_is_kept_in_silence_and_runs_out_beside_another_when_its_class_is_refuted() {
    let pools = vec![addresses("10-13", &["phones"]), addresses("20-2f", &[])];
    let mut server = Server::new(builder(pools, vec![phones()]));
    let request = message(1, Type::Request, None, "phone");
    let held = address(&server.send(&request).unwrap());
    assert!(is_of(held, "2001:db8:1::10", "2001:db8:1::13"));
    // A Renew that does not speak of the vendor class, as many clients send it.
    let reply = server.send(&message(1, Type::Renew, Some(held), ""));
    assert_eq!(given(&reply.unwrap()), Ok(vec![(held, 345_600)]));
    // One that speaks of another: what it held is not told and stays bound until it ends.
    let reply = server.send(&message(1, Type::Renew, Some(held), "modem"));
    let next = address(&reply.unwrap());
    assert!(is_of(next, "2001:db8:1::20", "2001:db8:1::2f"));
    assert_eq!(server.bound(), [1, 1]);
    // Back in the class before that: what it still has on record counts again.
    let reply = server.send(&message(1, Type::Renew, Some(held), "phone"));
    let both = given(&reply.unwrap()).unwrap();
    assert!(both.contains(&(held, 345_600)) && both.contains(&(next, 345_600)));
    let refuted = server.send(&message(1, Type::Solicit, Some(held), "modem"));
    assert_eq!(address(&refuted.unwrap()), next);
}

#[test]
fn options_and_lifetimes_of_a_class_stand_above_those_of_its_pool() {
    let dns =
        |octet: u8| OptionValues::default().with(wire::OptionCode::DNS_SERVERS, vec![octet; 16]);
    let named = |values: OptionValues, name: u8| {
        values.with(wire::OptionCode::DOMAIN_LIST, vec![1, name, 0])
    };
    let short = Lifetimes {
        preferred_secs: 60,
        valid_secs: 120,
    };
    let long = Lifetimes {
        preferred_secs: 600,
        valid_secs: 1_200,
    };
    let first = ClassSpec {
        options: dns(1),
        ..phones()
    };
    let second = ClassSpec {
        name: "all-phones".to_owned(),
        options: named(dns(2), b's').with(wire::OptionCode::BOOTFILE_URL, b"tftp://s".to_vec()),
        lifetimes: Some(short),
        ..phones()
    };
    let third = ClassSpec {
        name: "known".to_owned(),
        lifetimes: Some(long),
        ..phones()
    };
    let mut pool = addresses("10-1f", &[]);
    pool.options = named(dns(3), b'p');
    let mut server =
        Server::new(builder(vec![pool], vec![first, second, third]).options(named(dns(4), b'g')));
    let said = |reply: &Message| -> Vec<Vec<u8>> {
        let options = reply
            .opts()
            .iter()
            .filter(|option| ASKED.contains(&u16::from(OptionCode::from(*option))));
        let mut octets: Vec<Vec<u8>> = options.map(|option| option.to_vec().unwrap()).collect();
        octets.sort();
        octets
    };
    let option = |code: u8, data: &[u8]| [&[0, code, 0, data.len() as u8], data].concat();
    let reply = server
        .send(&message(1, Type::Request, None, "phone"))
        .unwrap();
    assert_eq!(
        said(&reply),
        [
            option(23, &[1; 16]),
            option(24, &[1, b's', 0]),
            option(59, b"tftp://s")
        ]
    );
    assert_eq!(given(&reply).unwrap()[0].1, short.valid_secs);
    let reply = server
        .send(&message(2, Type::Request, None, "modem"))
        .unwrap();
    assert_eq!(
        said(&reply),
        [option(23, &[3; 16]), option(24, &[1, b'p', 0])]
    );
    assert_eq!(given(&reply).unwrap()[0].1, 345_600);
    // Information-request: no lease, so no pool, but a class all the same.
    let mut information = message(1, Type::InformationRequest, None, "phone");
    information.opts_mut().remove(OptionCode::IANA);
    let reply = server.send(&information).unwrap();
    assert_eq!(
        said(&reply),
        [
            option(23, &[1; 16]),
            option(24, &[1, b's', 0]),
            option(59, b"tftp://s")
        ]
    );
}

#[test]
fn all_matches_must_hold_and_any_value_of_a_match_does() {
    let both = ClassSpec {
        name: "both".to_owned(),
        matches: vec![
            ClassMatch {
                of: Attribute::VendorClass,
                values: vec![begins(b"phone"), begins(b"tablet")],
            },
            ClassMatch {
                of: Attribute::Duid,
                values: vec![begins(&[0, 3, 0, 1, 9])],
            },
        ],
        ..ClassSpec::default()
    };
    let elsewhere = class("elsewhere", Attribute::Duid, &[begins(&[0, 4])]);
    let enterprise = AttributeValue {
        enterprise: Some(9),
        octets: None,
    };
    let vendor = class("vendor", Attribute::VendorClass, &[enterprise]);
    let server = Server::new(builder(vec![], vec![both, elsewhere, vendor]));
    let membership = |vendor_class: &str| {
        let octets = message(1, Type::Solicit, None, vendor_class)
            .to_vec()
            .unwrap();
        let ingress = Ingress {
            payload: &octets,
            interface: InterfaceId(0),
            source: ip("fe80::9"),
            destination: ip("ff02::1:2"),
        };
        let membership = server.model.membership(&parse(&ingress).unwrap());
        let names = |set| server.model.class_names(set).collect::<Vec<_>>().join(" ");
        (names(membership.of), names(membership.not_refuted))
    };
    let is = |of: &str, not_refuted: &str| (of.to_owned(), not_refuted.to_owned());
    assert_eq!(membership("phone"), is("both vendor", "both vendor"));
    assert_eq!(membership("tablet"), is("both vendor", "both vendor"));
    assert_eq!(membership("modem"), is("vendor", "vendor"));
    assert_eq!(membership(""), is("", "both vendor"));
}

#[test]
fn a_reservation_outranks_the_classes_of_the_pool_that_it_lies_in() {
    let link = LinkSpec {
        name: "access".to_owned(),
        interface: Some(InterfaceId(0)),
        pools: vec![addresses("10-13", &["phones"])],
        ..LinkSpec::default()
    };
    let mut reserved = ReservationTable::builder();
    let key = ReservationKey::Duid(&[0, 3, 0, 1, 9, 7]);
    let lease = Lease::address(ip("2001:db8:1::11"));
    reserved
        .push(0, "access", key, lease, &ReservationTerms::NONE)
        .unwrap();
    let reserved = Arc::new(reserved.finish(0).unwrap());
    let builder = ModelBuilder::new(&SERVER, AllocationKey::new([1; 16])).reservations(reserved);
    let mut server = Server::new(builder.class(phones()).link(link));
    for msg_type in [Type::Request, Type::Renew] {
        let reply = server.send(&message(7, msg_type, None, "modem")).unwrap();
        assert_eq!(address(&reply), ip("2001:db8:1::11"));
    }
}

#[test]
fn what_cannot_be_a_class_is_refused() {
    let refused = |classes: Vec<ClassSpec>, pool: &[&str]| {
        let pools = vec![addresses("10-13", pool)];
        builder(pools, classes).build().map(drop).unwrap_err()
    };
    assert_eq!(
        refused(vec![phones(), phones()], &[]),
        ModelError::ClassTwice("phones".to_owned())
    );
    let empty = ClassSpec {
        matches: vec![],
        ..phones()
    };
    assert_eq!(
        refused(vec![empty], &[]),
        ModelError::ClassWithoutMatch("phones".to_owned())
    );
    assert_eq!(
        refused(vec![phones()], &["cars"]),
        ModelError::UnknownClass("access".to_owned(), "cars".to_owned())
    );
    let many = (0..65).map(|number| ClassSpec {
        name: format!("class {number}"),
        ..phones()
    });
    assert_eq!(refused(many.collect(), &[]), ModelError::TooManyClasses);
}
