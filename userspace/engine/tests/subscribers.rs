//! Links that tell their clients apart by a relay's option: whose leases a line has, whatever device
//! is on it.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use core::net::Ipv6Addr;
use dhcproto::v6::{
    DhcpOption, DhcpOptions, IAAddr, IANA, IAPD, IAPrefix, Message, MessageType as Type, Status,
};
use dhcproto::{Decodable, Decoder, Encodable};
use engine::{
    Batch, Clients, Context, DropReason, Ingress, InterfaceId, LinkSpec, Model, ModelBuilder,
    Outcome, PoolConfig, answer, expire,
};
use lease::{AbsTime, AllocationKey, BindingDelta, Lease, PoolSpec, Shard};
use wire::{ClientKey, SHARDS, ShardId};

const SERVER: [u8; 4] = [0, 3, 0, 1];
const VALID_SECS: u32 = 4_000;
const TAKEOVER_SECS: u32 = 60;

/// The options that a relay adds.
#[derive(Clone, Copy)]
struct Line<'l> {
    link_address: &'l str,
    options: &'l [(u16, &'l [u8])],
}

const LINE: Line<'_> = Line {
    link_address: "2001:db8:1::1",
    options: &[
        (18, b"ge-0/0/1"),
        (37, b"\0\0\x0d\xe9line-1"),
        (38, b"customer-1"),
    ],
};
const OTHER_LINE: Line<'_> = Line {
    link_address: "2001:db8:1::1",
    options: &[
        (18, b"ge-0/0/2"),
        (37, b"\0\0\x0d\xe9line-2"),
        (38, b"customer-2"),
    ],
};

/// A device: its DUID and the IAIDs of its IAs.
#[derive(Clone, Copy)]
struct Cpe {
    duid: &'static [u8],
    na: &'static [u32],
    pd: &'static [u32],
}

const OLD: Cpe = Cpe {
    duid: &[0, 3, 0, 1, 2, 0, 0, 0, 0, 1],
    na: &[1],
    pd: &[2],
};
const NEW: Cpe = Cpe {
    duid: &[0, 1, 0, 1, 9, 9, 9, 9, 2, 0, 0, 0, 0, 7],
    na: &[0xabcd],
    pd: &[0xef01],
};

struct Server {
    model: Model,
    shards: Vec<Shard>,
    now: AbsTime,
}

fn ip(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

fn model(clients: Clients) -> Model {
    let lifetimes = engine::Lifetimes {
        preferred_secs: VALID_SECS / 2,
        valid_secs: VALID_SECS,
    };
    let delegable = Lease {
        addr: ip("2001:db8:8000::").to_bits(),
        len: 48,
    };
    let pool = PoolConfig::new;
    let link = LinkSpec {
        name: "access".to_owned(),
        link_addresses: vec![Lease {
            addr: ip("2001:db8:1::").to_bits(),
            len: 48,
        }],
        pools: vec![
            pool(PoolSpec::addresses(ip("2001:db8:1::1:0"), ip("2001:db8:1::1:ffff")).unwrap()),
            pool(PoolSpec::prefixes(delegable, 60).unwrap()),
        ],
        clients,
        ..LinkSpec::default()
    };
    ModelBuilder::new(&SERVER, AllocationKey::new([1; 16]))
        .lifetimes(lifetimes)
        .rapid_commit(true)
        .link(link)
        .build()
        .unwrap()
}

fn keyed_by(key: ClientKey) -> Clients {
    Clients {
        key,
        subscriber_ias: 1,
        takeover_after_secs: TAKEOVER_SECS,
    }
}

impl Server {
    fn new(clients: Clients) -> Self {
        Self {
            model: model(clients),
            shards: (0..SHARDS)
                .map(|id| Shard::new(ShardId(id as u8), 5))
                .collect(),
            now: AbsTime(1_000),
        }
    }

    fn later(&mut self, secs: u32) {
        self.now = self.now.plus(secs);
        let context = Context::alone(&self.model, self.now);
        for shard in &mut self.shards {
            let mut ended = Vec::new();
            expire(&context, shard, usize::MAX, &mut |delta| {
                if let BindingDelta::Remove { lease, .. } = delta {
                    ended.push(*lease);
                }
            });
            ended.iter().for_each(|lease| self.model.release(*lease));
        }
    }

    fn send(&mut self, line: Line<'_>, message: &Message) -> Result<Message, DropReason> {
        let payload = forwarded(line, &message.to_vec().unwrap());
        let ingress = Ingress {
            payload: &payload,
            interface: InterfaceId(0),
            source: ip("2001:db8:f::9"),
            destination: ip("ff05::1:3"),
        };
        let mut batch = Batch::default();
        batch.push(&ingress)?;
        batch.look_ahead(&self.model, |id| self.shards.get(usize::from(id.0)));
        let parsed = &batch.messages()[0];
        let context = Context::alone(&self.model, self.now);
        let shard = &mut self.shards[usize::from(parsed.shard(&self.model).0)];
        let (mut out, mut ended) = ([0; 1_400], Vec::new());
        let outcome = answer(&context, shard, parsed, &mut out, &mut |delta| {
            if let BindingDelta::Remove { lease, .. } = delta {
                ended.push(*lease);
            }
        });
        ended.iter().for_each(|lease| self.model.release(*lease));
        match outcome {
            Outcome::Reply { len, .. } => Ok(inner(&out[..len])),
            Outcome::Drop(reason) => Err(reason),
        }
    }

    /// Solicit with rapid commit: what the device gets.
    fn join(&mut self, line: Line<'_>, cpe: Cpe) -> Result<Vec<Lease>, DropReason> {
        let mut solicit = message(Type::Solicit, cpe, &[]);
        solicit.opts_mut().insert(DhcpOption::RapidCommit);
        self.send(line, &solicit).map(|reply| granted(&reply))
    }

    fn bindings(&self) -> usize {
        self.shards.iter().map(Shard::len).sum()
    }
}

/// Two layers: the option is in the one at the line, and another line's in the one behind it.
fn forwarded(line: Line<'_>, message: &[u8]) -> Vec<u8> {
    let layer = |hops: u8, link: &str, options: &[(u16, &[u8])], inner: &[u8]| {
        let mut octets = vec![12, hops];
        octets.extend(ip(link).octets());
        octets.extend(ip("fe80::9").octets());
        for (code, data) in options.iter().chain([&(9, inner)]) {
            octets.extend(code.to_be_bytes());
            octets.extend((data.len() as u16).to_be_bytes());
            octets.extend_from_slice(data);
        }
        octets
    };
    let inner = layer(0, line.link_address, line.options, message);
    let behind: &[(u16, &[u8])] = &[(18, b"uplink"), (37, b"\0\0\0\x09x"), (38, b"nobody")];
    match line.options {
        [] => layer(1, "2001:db8:1::1", &[], &inner),
        _ => layer(1, "2001:db8:1::1", behind, &inner),
    }
}

/// The client's message in a Relay-reply of two layers.
fn inner(reply: &[u8]) -> Message {
    let mut octets = reply;
    for _ in 0..2 {
        octets = &octets[34..];
        loop {
            let len = usize::from(u16::from_be_bytes([octets[2], octets[3]]));
            let (option, rest) = octets.split_at(4 + len);
            if option[..2] == [0, 9] {
                octets = &option[4..];
                break;
            }
            octets = rest;
        }
    }
    Message::decode(&mut Decoder::new(octets)).unwrap()
}

fn message(msg_type: Type, cpe: Cpe, leases: &[Lease]) -> Message {
    let mut message = Message::new_with_id(msg_type, [1, 2, 3]);
    let opts = message.opts_mut();
    opts.insert(DhcpOption::ClientId(cpe.duid.to_vec()));
    if !matches!(msg_type, Type::Solicit | Type::Rebind | Type::Confirm) {
        opts.insert(DhcpOption::ServerId(SERVER.to_vec()));
    }
    let in_ia = |lease: &&Lease, is_address: bool| (lease.len == 128) == is_address;
    for &id in cpe.na {
        let mut opts_of_ia = DhcpOptions::new();
        for lease in leases.iter().filter(|lease| in_ia(lease, true)) {
            opts_of_ia.insert(DhcpOption::IAAddr(IAAddr {
                addr: lease.ip(),
                preferred_life: 0,
                valid_life: 0,
                opts: DhcpOptions::new(),
            }));
        }
        opts.insert(DhcpOption::IANA(IANA {
            id,
            t1: 0,
            t2: 0,
            opts: opts_of_ia,
        }));
    }
    for &id in cpe.pd {
        let mut opts_of_ia = DhcpOptions::new();
        for lease in leases.iter().filter(|lease| in_ia(lease, false)) {
            opts_of_ia.insert(DhcpOption::IAPrefix(IAPrefix {
                preferred_lifetime: 0,
                valid_lifetime: 0,
                prefix_len: lease.len,
                prefix_ip: lease.ip(),
                opts: DhcpOptions::new(),
            }));
        }
        opts.insert(DhcpOption::IAPD(IAPD {
            id,
            t1: 0,
            t2: 0,
            opts: opts_of_ia,
        }));
    }
    message
}

/// All leases of an answer with their valid lifetimes, addresses first.
fn leases(reply: &Message) -> Vec<(Lease, u32)> {
    let mut all = Vec::new();
    for option in reply.opts().iter() {
        let opts = match option {
            DhcpOption::IANA(ia) => &ia.opts,
            DhcpOption::IAPD(ia) => &ia.opts,
            _ => continue,
        };
        all.extend(opts.iter().filter_map(|option| match option {
            DhcpOption::IAAddr(a) => Some((Lease::address(a.addr), a.valid_life)),
            DhcpOption::IAPrefix(p) => {
                let (addr, len) = (p.prefix_ip.to_bits(), p.prefix_len);
                Some((Lease { addr, len }, p.valid_lifetime))
            }
            _ => None,
        }));
    }
    all.sort_by_key(|(lease, _)| core::cmp::Reverse(lease.len));
    all
}

fn granted(reply: &Message) -> Vec<Lease> {
    let granted = leases(reply).into_iter().filter(|(_, valid)| *valid > 0);
    granted.map(|(lease, _)| lease).collect()
}

/// The statuses in the IAs of an answer.
fn statuses(reply: &Message) -> Vec<Status> {
    let of_ia = reply.opts().iter().filter_map(|option| match option {
        DhcpOption::IANA(ia) => Some(&ia.opts),
        DhcpOption::IAPD(ia) => Some(&ia.opts),
        _ => None,
    });
    of_ia
        .flat_map(|opts| opts.iter())
        .filter_map(|option| match option {
            DhcpOption::StatusCode(status) => Some(status.status),
            _ => None,
        })
        .collect()
}

const KEYS: [ClientKey; 3] = [
    ClientKey::RemoteId,
    ClientKey::InterfaceId,
    ClientKey::SubscriberId,
];

#[test]
fn a_swapped_cpe_has_the_same_address_and_prefix() {
    for key in KEYS {
        let mut server = Server::new(keyed_by(key));
        let had = server.join(LINE, OLD).unwrap();
        assert_eq!(had.len(), 2);
        let others = server.join(OTHER_LINE, OLD).unwrap();
        assert!(others.iter().all(|lease| !had.contains(lease)));
        server.later(TAKEOVER_SECS);
        // In four messages and at once.
        let solicit = message(Type::Solicit, NEW, &[]);
        assert_eq!(granted(&server.send(LINE, &solicit).unwrap()), had);
        for _ in 0..2 {
            let request = message(Type::Request, NEW, &had);
            assert_eq!(
                granted(&server.send(LINE, &request).unwrap()),
                had,
                "{key:?}"
            );
            assert_eq!(server.join(LINE, NEW).unwrap(), had);
        }
        assert_eq!(server.bindings(), 4);
        let renew = message(Type::Renew, NEW, &had);
        assert_eq!(granted(&server.send(LINE, &renew).unwrap()), had);
    }
}

#[test]
fn from_an_empty_database_a_line_gets_the_same_leases_by_whatever_device() {
    let first = Server::new(keyed_by(ClientKey::RemoteId)).join(LINE, OLD);
    let second = Server::new(keyed_by(ClientKey::RemoteId)).join(LINE, NEW);
    assert_eq!(first, second);
}

#[test]
fn equal_interface_ids_of_two_relays_are_two_subscribers() {
    let elsewhere = Line {
        link_address: "2001:db8:1:7::1",
        ..LINE
    };
    let mut server = Server::new(keyed_by(ClientKey::InterfaceId));
    let one = server.join(LINE, OLD).unwrap();
    let other = server.join(elsewhere, NEW).unwrap();
    assert_ne!(one, other);
    let mut server = Server::new(keyed_by(ClientKey::RemoteId));
    let one = server.join(LINE, OLD).unwrap();
    server.later(TAKEOVER_SECS);
    assert_eq!(server.join(elsewhere, NEW).unwrap(), one);
}

#[test]
fn a_device_that_lost_the_line_cannot_take_anything_from_the_one_that_has_it() {
    let mut server = Server::new(keyed_by(ClientKey::RemoteId));
    let had = server.join(LINE, OLD).unwrap();
    server.later(TAKEOVER_SECS);
    assert_eq!(server.join(LINE, NEW).unwrap(), had);
    // It is told to stop using what it had.
    for msg_type in [Type::Renew, Type::Rebind] {
        let answer = server.send(LINE, &message(msg_type, OLD, &had)).unwrap();
        let ended: Vec<_> = had.iter().map(|lease| (*lease, 0)).collect();
        assert_eq!(leases(&answer), ended, "{msg_type:?}");
        let answer = server.send(LINE, &message(msg_type, OLD, &[])).unwrap();
        assert_eq!(statuses(&answer), [Status::NoBinding; 2], "{msg_type:?}");
    }
    for msg_type in [Type::Release, Type::Decline] {
        let answer = server.send(LINE, &message(msg_type, OLD, &had)).unwrap();
        assert!(statuses(&answer).contains(&Status::NoBinding));
    }
    assert_eq!(server.bindings(), 2);
    let renew = message(Type::Renew, NEW, &had);
    assert_eq!(granted(&server.send(LINE, &renew).unwrap()), had);
    // And the one that has it can give it back.
    server
        .send(LINE, &message(Type::Release, NEW, &had))
        .unwrap();
    assert_eq!(server.bindings(), 0);
}

#[test]
fn two_devices_on_a_line_do_not_take_turns_with_every_message() {
    let mut server = Server::new(keyed_by(ClientKey::RemoteId));
    let had = server.join(LINE, OLD).unwrap();
    for msg_type in [Type::Solicit, Type::Request] {
        let denied = server.send(LINE, &message(msg_type, NEW, &[]));
        assert_eq!(denied.unwrap_err(), DropReason::SubscriberHeld);
    }
    // As long as the first is heard it keeps them.
    for _ in 0..5 {
        server.later(TAKEOVER_SECS - 1);
        assert_eq!(server.join(LINE, NEW), Err(DropReason::SubscriberHeld));
        let renew = message(Type::Renew, OLD, &had);
        assert_eq!(granted(&server.send(LINE, &renew).unwrap()), had);
    }
    server.later(TAKEOVER_SECS);
    assert_eq!(server.join(LINE, NEW).unwrap(), had);
    // A late retransmission of the first does not take them back.
    let late = server.send(LINE, &message(Type::Request, OLD, &had));
    assert_eq!(late.unwrap_err(), DropReason::SubscriberHeld);
    // The same device with new IAIDs need not wait for itself.
    let reset = Cpe {
        na: &[77],
        pd: &[78],
        ..NEW
    };
    assert_eq!(server.join(LINE, reset).unwrap(), had);
}

#[test]
fn a_line_has_no_more_ias_of_a_kind_than_configured() {
    const MANY: Cpe = Cpe {
        pd: &[1, 2, 3],
        ..OLD
    };
    for (subscriber_ias, prefixes) in [(1, 1), (2, 2), (3, 3), (8, 3)] {
        let mut server = Server::new(Clients {
            subscriber_ias,
            ..keyed_by(ClientKey::RemoteId)
        });
        let had = server.join(LINE, MANY).unwrap();
        assert_eq!(had.iter().filter(|lease| lease.len == 60).count(), prefixes);
        // Each IA has its own again, also alone.
        assert_eq!(server.join(LINE, MANY).unwrap(), had);
        let alone = [&[1][..], &[2], &[3]].map(|pd| {
            let one = Cpe {
                na: &[],
                pd,
                ..MANY
            };
            server.join(LINE, one).unwrap()
        });
        let mut each: Vec<Lease> = alone.into_iter().flatten().collect();
        each.sort_unstable();
        let mut prefixes = had[1..].to_vec();
        prefixes.sort_unstable();
        match subscriber_ias {
            // The device has new IAIDs each time, as far as can be told.
            1 => assert_eq!(each, [prefixes[0]; 3]),
            _ => assert_eq!(each, prefixes),
        }
        server.later(TAKEOVER_SECS);
        let swapped = Cpe {
            pd: &[71, 72, 73],
            ..NEW
        };
        assert_eq!(server.join(LINE, swapped).unwrap(), had);
    }
}

#[test]
fn what_no_relay_names_gets_no_leases_but_is_told_of_the_link() {
    let nameless = Line {
        options: &[],
        ..LINE
    };
    let mut server = Server::new(keyed_by(ClientKey::RemoteId));
    for msg_type in [
        Type::Solicit,
        Type::Request,
        Type::Renew,
        Type::Rebind,
        Type::Release,
    ] {
        let denied = server.send(nameless, &message(msg_type, OLD, &[]));
        assert_eq!(denied.unwrap_err(), DropReason::NoClientKey, "{msg_type:?}");
    }
    let inform = Message::new_with_id(Type::InformationRequest, [1, 2, 3]);
    assert!(server.send(nameless, &inform).is_ok());
    let confirm = message(Type::Confirm, OLD, &[Lease::address(ip("2001:db8:1::1:5"))]);
    assert!(server.send(nameless, &confirm).is_ok());
    assert_eq!(server.bindings(), 0);
}

#[test]
fn another_client_key_leaves_the_leases_under_the_former_to_run_out() {
    let mut server = Server::new(keyed_by(ClientKey::RemoteId));
    let had = server.join(LINE, OLD).unwrap();
    // The pools are shared with the next model, as a reload does.
    let next = ModelBuilder::new(&SERVER, AllocationKey::new([1; 16]))
        .lifetimes(engine::Lifetimes {
            preferred_secs: VALID_SECS / 2,
            valid_secs: VALID_SECS,
        })
        .rapid_commit(true)
        .link(LinkSpec {
            name: "access".to_owned(),
            link_addresses: server.model.links()[0].link_addresses().to_vec(),
            pools: server
                .model
                .pools()
                .iter()
                .map(|served| PoolConfig::new(served.pool().spec().clone()))
                .collect(),
            ..LinkSpec::default()
        })
        .build_successor(&server.model)
        .unwrap();
    assert!(next.needs_no_walk());
    server.model = next;
    let has = server.join(LINE, OLD).unwrap();
    assert!(has.iter().all(|lease| !had.contains(lease)));
    assert_eq!(server.bindings(), 4);
    server.later(VALID_SECS - 1);
    assert_eq!(server.join(LINE, OLD).unwrap(), has);
    server.later(1);
    assert_eq!(server.bindings(), 2);
    assert_eq!(server.join(LINE, OLD).unwrap(), has);
}

#[test]
fn declined_addresses_count_for_the_line() {
    let mut server = Server::new(keyed_by(ClientKey::RemoteId));
    let had = server.join(LINE, OLD).unwrap();
    server
        .send(LINE, &message(Type::Decline, OLD, &had[..1]))
        .unwrap();
    let again = server.join(LINE, OLD).unwrap();
    assert_ne!(again[0], had[0]);
    assert_eq!(again[1], had[1]);
    server.later(TAKEOVER_SECS);
    assert_eq!(server.join(LINE, NEW).unwrap(), again);
}
