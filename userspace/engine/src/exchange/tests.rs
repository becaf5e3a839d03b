//! Exchanges with one server and one link; dhcproto, which shares no code with ours, writes what
//! comes in and reads what goes out.

use super::*;
use crate::{Batch, Ingress, InterfaceId, LinkSpec, ModelBuilder, PoolConfig, expire};
use core::net::Ipv6Addr;
use dhcproto::v6::{
    DhcpOption, DhcpOptions, IAAddr, IANA, IAPD, Message, MessageType as Type, Status,
};
use dhcproto::{Decodable, Decoder, Encodable};
use lease::{AllocationKey, BindingStatus, Lease, PoolSpec};

const SERVER: [u8; 4] = [0, 3, 0, 1];
const CLIENT: [u8; 4] = [0, 3, 0, 9];

struct Server {
    model: Model,
    shard: Shard,
    now: AbsTime,
}

impl Server {
    fn new(configure: impl FnOnce(ModelBuilder) -> ModelBuilder) -> Self {
        let pool = PoolConfig::new;
        let delegable = Lease {
            addr: ip("2001:db8:8000::").to_bits(),
            len: 48,
        };
        let link = LinkSpec {
            name: "access".to_owned(),
            interface: Some(InterfaceId(0)),
            link_addresses: vec![Lease {
                addr: ip("2001:db8:1::").to_bits(),
                len: 64,
            }],
            pools: vec![
                pool(PoolSpec::addresses(ip("2001:db8:1::10"), ip("2001:db8:1::1f")).unwrap()),
                pool(PoolSpec::prefixes(delegable, 56).unwrap()),
            ],
            ..LinkSpec::default()
        };
        let builder = ModelBuilder::new(&SERVER, AllocationKey::new([1; 16])).link(link);
        Self {
            model: configure(builder).build().unwrap(),
            shard: Shard::new(wire::shard_of(&CLIENT), 5),
            now: AbsTime(1_000),
        }
    }

    /// Sends a message; the answer, or why there is none. Frees what ended, as a worker does.
    fn send(&mut self, message: &Message) -> Result<Message, DropReason> {
        self.send_together(&[message]).remove(0)
    }

    /// Sends messages that arrive at once.
    fn send_together(&mut self, messages: &[&Message]) -> Vec<Result<Message, DropReason>> {
        let payloads = messages.iter().map(|message| message.to_vec().unwrap());
        let payloads: Vec<Vec<u8>> = payloads.collect();
        let mut batch = Batch::default();
        let read: Vec<Result<(), DropReason>> = payloads
            .iter()
            .map(|payload| {
                let ingress = Ingress {
                    payload,
                    interface: InterfaceId(0),
                    source: ip("fe80::9"),
                    destination: ip("ff02::1:2"),
                };
                batch.push(&ingress).map(drop)
            })
            .collect();
        let shard = &self.shard;
        batch.look_ahead(&self.model, |id| (id == shard.id()).then_some(shard));
        let mut parsed = batch.messages().iter();
        read.into_iter()
            .map(|read| read.and_then(|()| self.answer(parsed.next().unwrap())))
            .collect()
    }

    fn answer(&mut self, parsed: &Parsed<'_>) -> Result<Message, DropReason> {
        let context = Context {
            model: &self.model,
            now: self.now,
            leeways: &[],
        };
        let mut out = [0; 1_200];
        let mut ended = Vec::new();
        let mut deltas = 0;
        let outcome = answer(&context, &mut self.shard, parsed, &mut out, &mut |delta| {
            deltas += 1;
            if let BindingDelta::Remove { lease, .. } = delta {
                ended.push(*lease);
            }
        });
        ended.iter().for_each(|lease| self.model.release(*lease));
        match outcome {
            Outcome::Reply { len, durable, .. } => {
                assert_eq!(durable, deltas > 0);
                Ok(Message::decode(&mut Decoder::new(&out[..len])).unwrap())
            }
            Outcome::Drop(reason) => Err(reason),
        }
    }

    fn bound(&self) -> u128 {
        self.model
            .pools()
            .iter()
            .map(|p| p.pool().counts().bound)
            .sum()
    }
}

fn ip(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

fn ia_na(addresses: &[Ipv6Addr]) -> DhcpOption {
    let mut opts = DhcpOptions::new();
    for &addr in addresses {
        opts.insert(DhcpOption::IAAddr(IAAddr {
            addr,
            preferred_life: 0,
            valid_life: 0,
            opts: DhcpOptions::new(),
        }));
    }
    DhcpOption::IANA(IANA {
        id: 1,
        t1: 0,
        t2: 0,
        opts,
    })
}

fn ia_pd() -> DhcpOption {
    DhcpOption::IAPD(IAPD {
        id: 2,
        t1: 0,
        t2: 0,
        opts: DhcpOptions::new(),
    })
}

fn message(msg_type: Type, to_us: bool, ias: Vec<DhcpOption>) -> Message {
    let mut message = Message::new_with_id(msg_type, [1, 2, 3]);
    let opts = message.opts_mut();
    opts.insert(DhcpOption::ClientId(CLIENT.to_vec()));
    if to_us {
        opts.insert(DhcpOption::ServerId(SERVER.to_vec()));
    }
    ias.into_iter().for_each(|ia| opts.insert(ia));
    message
}

/// T1, T2, then address, preferred and valid of each lease in the IA_NA, then its status.
fn na(reply: &Message) -> (u32, u32, Vec<Shown>, Option<Status>) {
    let ia = reply.opts().iter().find_map(|option| match option {
        DhcpOption::IANA(ia) => Some(ia),
        _ => None,
    });
    let ia = ia.expect("an IA_NA");
    (ia.t1, ia.t2, leases(&ia.opts), status(&ia.opts))
}

/// A lease, its preferred and its valid lifetime.
type Shown = (Ipv6Addr, u32, u32);

fn leases(opts: &DhcpOptions) -> Vec<Shown> {
    let leases = opts.iter().filter_map(|option| match option {
        DhcpOption::IAAddr(a) => Some((a.addr, a.preferred_life, a.valid_life)),
        DhcpOption::IAPrefix(p) => Some((p.prefix_ip, p.preferred_lifetime, p.valid_lifetime)),
        _ => None,
    });
    leases.collect()
}

fn status(opts: &DhcpOptions) -> Option<Status> {
    opts.iter().find_map(|option| match option {
        DhcpOption::StatusCode(code) => Some(code.status),
        _ => None,
    })
}

fn request(server: &mut Server) -> Ipv6Addr {
    let reply = server
        .send(&message(Type::Request, true, vec![ia_na(&[])]))
        .unwrap();
    na(&reply).2[0].0
}

#[test]
fn rfc9915_18_3_9_advertise_shows_what_the_request_gets_and_takes_nothing() {
    let mut server = Server::new(|builder| builder);
    let solicit = message(Type::Solicit, false, vec![ia_na(&[]), ia_pd()]);
    let advertise = server.send(&solicit).unwrap();
    assert_eq!(advertise.msg_type(), Type::Advertise);
    let (t1, t2, offered, _) = na(&advertise);
    assert_eq!((t1, t2), (129_600, 207_360));
    assert_eq!((server.bound(), server.shard.len()), (0, 0));
    let reply = server
        .send(&message(
            Type::Request,
            true,
            vec![ia_na(&[offered[0].0]), ia_pd()],
        ))
        .unwrap();
    assert_eq!(na(&reply).2, offered);
    assert_eq!((server.bound(), server.shard.len()), (2, 2));
}

#[test]
fn rfc9915_18_3_2_a_retransmitted_request_gets_the_same_lease() {
    let mut server = Server::new(|builder| builder);
    let first = request(&mut server);
    assert_eq!(request(&mut server), first);
    assert_eq!(server.bound(), 1);
}

#[test]
fn messages_that_arrive_together_see_what_those_before_them_did() {
    let mut server = Server::new(|builder| builder);
    let wish = message(Type::Request, true, vec![ia_na(&[])]);
    let stray = message(Type::Request, false, vec![ia_na(&[])]);
    let twice = server.send_together(&[&wish, &stray, &wish]);
    let [Ok(first), Err(reason), Ok(again)] = &twice[..] else {
        panic!("{twice:?}");
    };
    assert_eq!(*reason, DropReason::NoServerId);
    assert_eq!(na(first).2, na(again).2);
    assert_eq!((server.bound(), server.shard.len()), (1, 1));

    let address = na(first).2[0].0;
    let named = |msg_type| message(msg_type, true, vec![ia_na(&[address])]);
    let (release, renew) = (named(Type::Release), named(Type::Renew));
    let answers = server.send_together(&[&renew, &release, &renew, &wish]);
    let shown: Vec<_> = answers
        .iter()
        .map(|answer| answer.as_ref().unwrap())
        .collect();
    assert_eq!(na(shown[0]).2[0].0, address);
    assert_eq!(na(shown[2]).3, Some(Status::NoBinding));
    assert_eq!(na(shown[3]).2[0].0, address);
    assert_eq!((server.bound(), server.shard.len()), (1, 1));
}

#[test]
fn rfc9915_18_3_2_an_address_of_another_link_is_not_on_link() {
    let mut server = Server::new(|builder| builder);
    let reply = server
        .send(&message(
            Type::Request,
            true,
            vec![ia_na(&[ip("2001:db8:2::1")])],
        ))
        .unwrap();
    assert_eq!(na(&reply).3, Some(Status::NotOnLink));
    assert_eq!(server.bound(), 0);
}

#[test]
fn rfc9915_18_3_1_rapid_commit_commits() {
    let mut server = Server::new(|builder| builder.rapid_commit(true));
    let mut solicit = message(Type::Solicit, false, vec![ia_na(&[])]);
    solicit.opts_mut().insert(DhcpOption::RapidCommit);
    let reply = server.send(&solicit).unwrap();
    assert_eq!(reply.msg_type(), Type::Reply);
    assert!(
        reply
            .opts()
            .iter()
            .any(|option| *option == DhcpOption::RapidCommit)
    );
    assert_eq!(server.bound(), 1);
}

#[test]
fn rfc9915_18_3_4_renew_extends_and_ends_what_is_wrong() {
    let mut server = Server::new(|builder| builder);
    let unknown = server
        .send(&message(Type::Renew, true, vec![ia_na(&[])]))
        .unwrap();
    assert_eq!(na(&unknown).3, Some(Status::NoBinding));
    let address = request(&mut server);
    let wrong = ip("2001:db8:2::1");
    let reply = server
        .send(&message(Type::Renew, true, vec![ia_na(&[address, wrong])]))
        .unwrap();
    assert_eq!(na(&reply).2, [(address, 259_200, 345_600), (wrong, 0, 0)]);
}

#[test]
fn rfc9915_18_3_5_rebind_of_an_unknown_client_is_met_with_silence() {
    let mut server = Server::new(|builder| builder);
    let rebind = |address| message(Type::Rebind, false, vec![ia_na(&[ip(address)])]);
    assert_eq!(
        server.send(&rebind("2001:db8:1::10")),
        Err(DropReason::NothingToRebind)
    );
    let reply = server.send(&rebind("2001:db8:2::1")).unwrap();
    assert_eq!(na(&reply).2, [(ip("2001:db8:2::1"), 0, 0)]);
    let address = request(&mut server);
    let reply = server
        .send(&message(Type::Rebind, false, vec![ia_na(&[address])]))
        .unwrap();
    assert_eq!(na(&reply).2, [(address, 259_200, 345_600)]);
}

#[test]
fn rfc9915_18_3_3_confirm_has_three_outcomes() {
    let mut server = Server::new(|builder| builder);
    let mut confirm = |addresses: &[Ipv6Addr]| {
        let reply = server.send(&message(Type::Confirm, false, vec![ia_na(addresses)]))?;
        Ok(status(reply.opts()))
    };
    let (right, wrong) = (ip("2001:db8:1::1"), ip("2001:db8:2::1"));
    assert_eq!(confirm(&[right]), Ok(Some(Status::Success)));
    assert_eq!(confirm(&[right, wrong]), Ok(Some(Status::NotOnLink)));
    assert_eq!(confirm(&[]), Err(DropReason::NothingToConfirm));
}

#[test]
fn rfc9915_18_3_7_release_frees_and_its_retransmission_finds_no_binding() {
    let mut server = Server::new(|builder| builder);
    let address = request(&mut server);
    let release = message(Type::Release, true, vec![ia_na(&[address])]);
    let reply = server.send(&release).unwrap();
    assert_eq!(status(reply.opts()), Some(Status::Success));
    assert_eq!((server.bound(), server.shard.len()), (0, 0));
    let again = server.send(&release).unwrap();
    assert_eq!(na(&again).3, Some(Status::NoBinding));
}

#[test]
fn rfc9915_18_3_8_a_declined_address_rests_until_its_quarantine_ends() {
    let mut server = Server::new(|builder| builder.quarantine_secs(600));
    let address = request(&mut server);
    let decline = message(Type::Decline, true, vec![ia_na(&[address])]);
    let reply = server.send(&decline).unwrap();
    assert_eq!(status(reply.opts()), Some(Status::Success));
    let (_, record) = server.shard.by_lease(Lease::address(address)).unwrap();
    assert_eq!(
        (record.status, record.expires),
        (BindingStatus::Abandoned, AbsTime(1_600))
    );
    assert_ne!(request(&mut server), address);
    let model = &server.model;
    let mut ended = Vec::new();
    for (now, expected) in [(1_599, 0), (1_600, 1)] {
        let context = Context::alone(&server.model, AbsTime(now));
        expire(&context, &mut server.shard, 1_000, &mut |delta| {
            ended.push(format!("{delta:?}"))
        });
        assert_eq!(ended.len(), expected);
    }
    model.release(Lease::address(address));
    assert_eq!(server.bound(), 1);
}

#[test]
fn rfc9915_16_who_is_meant_is_checked() {
    let mut server = Server::new(|builder| builder);
    for (msg_type, to_us, expected) in [
        (Type::Solicit, true, DropReason::UnexpectedServerId),
        (Type::Confirm, true, DropReason::UnexpectedServerId),
        (Type::Rebind, true, DropReason::UnexpectedServerId),
        (Type::Request, false, DropReason::NoServerId),
        (Type::Renew, false, DropReason::NoServerId),
        (Type::Decline, false, DropReason::NoServerId),
        (Type::Release, false, DropReason::NoServerId),
        (Type::InformationRequest, false, DropReason::UnexpectedIa),
    ] {
        let sent = message(msg_type, to_us, vec![ia_na(&[])]);
        assert_eq!(server.send(&sent), Err(expected), "{msg_type:?}");
        if msg_type != Type::InformationRequest {
            let nobody = Message::new_with_id(msg_type, [1, 2, 3]);
            assert_eq!(
                server.send(&nobody),
                Err(DropReason::NoClientId),
                "{msg_type:?}"
            );
        }
    }
}
