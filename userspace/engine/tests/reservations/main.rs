//! Reservations by what relays say of a client: who is given the lease, and who is not.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use core::net::Ipv6Addr;
use engine::{
    Adopting, Clients, Context, Ingress, InterfaceId, LinkSpec, Model, ModelBuilder, Outcome,
    PoolConfig, ReservationKey, ReservationTable, ReservationTerms, adopt, answer, expire, parse,
    restore,
};
use lease::{
    AbsTime, AllocationKey, Answers, BindingDelta, Lease, Leeway, LifetimeCap, PoolSpec, Prefixes,
    Role, Shard,
};
use std::sync::Arc;
use wire::{Message, MessageIndex, OptionCode, SHARDS, ShardId};

mod lines;
mod options;
mod several;

const SERVER: [u8; 4] = [0, 3, 0, 1];
const SOLICIT: u8 = 1;
const REQUEST: u8 = 3;
const RENEW: u8 = 5;
const RELEASE: u8 = 8;
const DECLINE: u8 = 9;

const ADDRESS: &str = "2001:db8:1::12";
const PREFIX: &str = "2001:db8:8000:4000::";

fn ip(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

fn lease(text: &str, len: u8) -> Lease {
    Lease {
        addr: ip(text).to_bits(),
        len,
    }
}

/// An address and a prefix inside the pools for each key, the first key's at the end.
fn model(keys: &[ReservationKey<'_>], relationship: Option<Role>) -> Model {
    let link = link(relationship, Clients::default());
    builder(keys).link(link).build().unwrap()
}

fn link(relationship: Option<Role>, clients: Clients) -> LinkSpec {
    LinkSpec {
        name: "access".to_owned(),
        link_addresses: vec![lease("2001:db8:1::", 64)],
        pools: vec![
            PoolConfig::new(
                PoolSpec::addresses(ip("2001:db8:1::10"), ip("2001:db8:1::1f")).unwrap(),
            ),
            PoolConfig::new(PoolSpec::prefixes(lease("2001:db8:8000::", 48), 52).unwrap()),
        ],
        relationship: relationship.map(|role| engine::Relationship {
            index: 0,
            role,
            mclt_secs: 60,
        }),
        clients,
        ..LinkSpec::default()
    }
}

fn builder(keys: &[ReservationKey<'_>]) -> ModelBuilder {
    let mut table = ReservationTable::builder();
    for (number, key) in (0..).zip(keys) {
        for lease in reserved(number) {
            table
                .push(0, "access", *key, lease, &ReservationTerms::NONE)
                .unwrap();
        }
    }
    ModelBuilder::new(&SERVER, AllocationKey::new([1; 16]))
        .reservations(Arc::new(table.finish(0).unwrap()))
}

struct Server {
    model: Model,
    leeway: Option<Leeway>,
    shards: Vec<Shard>,
    pending: Vec<Lease>,
    now: AbsTime,
}

impl Server {
    fn new(keys: &[ReservationKey<'_>]) -> Self {
        Self::of(model(keys, None))
    }

    fn of(model: Model) -> Self {
        Self {
            model,
            leeway: None,
            shards: shards(),
            pending: Vec::new(),
            now: AbsTime(1_000),
        }
    }

    /// What a client behind relays is granted; the record of an end waits for [`commit`](Self::commit).
    fn send(&mut self, msg_type: u8, client: &Client<'_>, named: &[Lease]) -> Vec<Lease> {
        let payload = client.payload(msg_type, named);
        let mut out = [0; 1_400];
        let Some(len) = self.answer(&payload, &mut out) else {
            return Vec::new();
        };
        granted(&out[..len])
    }

    fn answer(&mut self, payload: &[u8], out: &mut [u8]) -> Option<usize> {
        let ingress = Ingress {
            payload,
            interface: InterfaceId(0),
            source: ip("2001:db8:1::1"),
            destination: ip("2001:db8::547"),
        };
        let parsed = parse(&ingress).unwrap();
        let leeway = self.leeway;
        let context = Context {
            model: &self.model,
            now: self.now,
            leeways: leeway.as_slice(),
        };
        let shard = &mut self.shards[usize::from(parsed.shard(&self.model).0)];
        let pending = &mut self.pending;
        let outcome = answer(&context, shard, &parsed, out, &mut |delta| {
            if let BindingDelta::Remove { lease, .. } = delta {
                pending.push(*lease);
            }
        });
        match outcome {
            Outcome::Reply { len, .. } => Some(len),
            Outcome::Drop(_) => None,
        }
    }

    fn commit(&mut self) {
        for lease in self.pending.drain(..) {
            self.model.release(lease);
        }
    }

    /// All times are up.
    fn end_all(&mut self) {
        self.now = self.now.plus(1_000_000);
        let context = Context::alone(&self.model, self.now);
        let pending = &mut self.pending;
        for shard in &mut self.shards {
            expire(&context, shard, 100, &mut |delta| match delta {
                BindingDelta::Remove { lease, .. } => pending.push(*lease),
                other => panic!("{other:?}"),
            });
        }
    }

    /// Comes back with what is bound and this model.
    fn restart(&mut self, model: Model) {
        let before = core::mem::replace(&mut self.shards, shards());
        for (old, new) in before.iter().zip(&mut self.shards) {
            for record in old.walk(0, usize::MAX).1 {
                let shard = new.id();
                restore(new, &BindingDelta::Put { shard, record });
            }
        }
        self.model = model;
        for which in [Adopting::Foreign, Adopting::Own] {
            for shard in &mut self.shards {
                let adopted = adopt(&self.model, shard, which, &mut |delta| panic!("{delta:?}"));
                assert_eq!(adopted.conflicting, 0);
            }
        }
    }
}

fn shards() -> Vec<Shard> {
    let ids = (0..SHARDS).map(|id| ShardId(id as u8));
    ids.map(|id| Shard::new(id, 5)).collect()
}

/// A client, and what the relays say of it: options of the inner and of the outer one.
#[derive(Clone)]
struct Client<'c> {
    number: u8,
    link_address: &'static str,
    inner: Vec<(u16, &'c [u8])>,
    outer: Vec<(u16, &'c [u8])>,
}

impl<'c> Client<'c> {
    fn new(number: u8, inner: &[(u16, &'c [u8])]) -> Self {
        Self {
            number,
            link_address: "2001:db8:1::1",
            inner: inner.to_vec(),
            outer: Vec::new(),
        }
    }

    /// Type, DUID, an IA_NA and an IA_PD, behind two relays.
    fn payload(&self, msg_type: u8, named: &[Lease]) -> Vec<u8> {
        let mut message = vec![msg_type, 1, 2, 3];
        option(&mut message, 1, &[0, 2, 0, 0, 0, 9, self.number]);
        if msg_type != SOLICIT {
            option(&mut message, 2, &SERVER);
        }
        for (code, is_address) in [(3, true), (25, false)] {
            let mut ia = vec![0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0];
            for lease in named.iter().filter(|l| (l.len == 128) == is_address) {
                let addr = lease.addr.to_be_bytes();
                match is_address {
                    true => option(&mut ia, 5, &[&addr[..], &[0; 8]].concat()),
                    false => option(&mut ia, 26, &[&[0; 8][..], &[lease.len], &addr].concat()),
                }
            }
            option(&mut message, code, &ia);
        }
        let inner = relayed(self.link_address, "fe80::1", &self.inner, &message);
        relayed("2001:db8:1::2", "fe80::2", &self.outer, &inner)
    }
}

fn relayed(link: &str, peer: &str, options: &[(u16, &[u8])], inner: &[u8]) -> Vec<u8> {
    let mut octets = vec![12, 0];
    octets.extend(ip(link).octets());
    octets.extend(ip(peer).octets());
    for (code, data) in options {
        option(&mut octets, *code, data);
    }
    option(&mut octets, 9, inner);
    octets
}

fn option(out: &mut Vec<u8>, code: u16, data: &[u8]) {
    out.extend(code.to_be_bytes());
    out.extend((data.len() as u16).to_be_bytes());
    out.extend(data);
}

/// The leases of an answer that may be used.
fn granted(mut octets: &[u8]) -> Vec<Lease> {
    while octets[0] == 13 {
        let options = wire::Options::new(&octets[34..], 0);
        octets = options.find(OptionCode::RELAY_MSG).unwrap().data;
    }
    let message = Message::parse(octets, 0, OptionCode(0)).unwrap();
    let index = MessageIndex::new(&message).unwrap();
    let mut leases = Vec::new();
    for ia in &index.ias {
        let inside = wire::IaIndex::new(ia).unwrap();
        let addresses = inside.addresses.iter();
        leases.extend(addresses.filter(|a| a.valid > 0).map(|a| Lease {
            addr: a.address,
            len: 128,
        }));
        let prefixes = inside.prefixes.iter();
        leases.extend(prefixes.filter(|p| p.valid > 0).map(|p| Lease {
            addr: p.prefix,
            len: p.prefix_len,
        }));
    }
    leases
}

/// What is reserved by the key of this number.
fn reserved(number: u128) -> Vec<Lease> {
    let address = Lease::address(Ipv6Addr::from_bits(ip(ADDRESS).to_bits() + number));
    let prefix = Lease {
        addr: ip(PREFIX).to_bits() + (number << 76),
        len: 52,
    };
    vec![address, prefix]
}

const PORT: ReservationKey<'_> = ReservationKey::InterfaceId(b"port 7");
const AT_PORT: &[(u16, &[u8])] = &[(18, b"port 7")];

#[test]
fn each_key_leads_to_its_leases_and_the_nearest_to_the_device_counts() {
    // From the last to the first each is overridden by those before it.
    let steps: [(ReservationKey<'_>, (u16, &[u8])); 5] = [
        (
            ReservationKey::LinkLayerAddress(b"abcdef"),
            (79, b"\0\x01abcdef"),
        ),
        (ReservationKey::SubscriberId(b"sub"), (38, b"sub")),
        (
            ReservationKey::RemoteId {
                enterprise: Some(9),
                id: b"line",
            },
            (37, b"\0\0\0\x09line"),
        ),
        (
            ReservationKey::RemoteId {
                enterprise: None,
                id: b"line",
            },
            (37, b"\0\0\0\x08line"),
        ),
        (PORT, (18, b"port 7")),
    ];
    let duid = [0, 2, 0, 0, 0, 9, 99];
    let mut keys = vec![ReservationKey::Duid(&duid)];
    keys.extend(steps.map(|(key, _)| key));
    for first in 0..steps.len() {
        let mut server = Server::new(&keys);
        let options: Vec<_> = steps[first..].iter().map(|(_, option)| *option).collect();
        let client = Client::new(1, &options);
        let own = reserved(first as u128 + 1);
        assert_eq!(server.send(SOLICIT, &client, &[]), own, "{first}");
        assert_eq!(server.send(REQUEST, &client, &own), own, "{first}");
        // By whichever relays it is heard now, the DUID is still the nearest.
        let itself = Client::new(99, &options);
        assert_eq!(server.send(REQUEST, &itself, &own), reserved(0), "{first}");
        // What the outer relay says of the inner one is nobody's identity.
        let own_words: [(u16, &[u8]); 4] = [
            (18, b"-"),
            (37, b"\0\0\0\x09-"),
            (38, b"-"),
            (79, b"\0\x01-"),
        ];
        let mut other = Client::new(2, &own_words);
        other.outer.clone_from(&client.inner);
        let got = server.send(REQUEST, &other, &own);
        assert_eq!(got.len(), 2);
        let all: Vec<Lease> = (0..6).flat_map(reserved).collect();
        assert!(!got.iter().any(|lease| all.contains(lease)), "{first}");
    }
}

#[test]
fn of_two_clients_of_different_shards_one_has_the_lease_until_its_end_is_on_disk() {
    let mut server = Server::new(&[PORT]);
    let own = reserved(0);
    let clients = [Client::new(1, AT_PORT), Client::new(2, AT_PORT)];
    let shard = |client: &Client<'_>| wire::shard_of(&[0, 2, 0, 0, 0, 9, client.number]);
    assert_ne!(shard(&clients[0]), shard(&clients[1]));
    // An Advertise takes nothing.
    assert_eq!(server.send(SOLICIT, &clients[1], &[]), own);
    assert_eq!(server.send(REQUEST, &clients[0], &own), own);
    assert_eq!(server.model.reservations_held(), 2);
    let others = server.send(REQUEST, &clients[1], &own);
    assert!(others.len() == 2 && others.iter().all(|lease| !own.contains(lease)));
    assert!(server.send(SOLICIT, &clients[1], &[]) == others);
    assert_eq!(server.send(RENEW, &clients[0], &own), own);
    server.send(RELEASE, &clients[0], &own);
    assert_eq!(
        server.send(RENEW, &clients[1], &others),
        others,
        "not committed"
    );
    server.commit();
    assert_eq!(server.send(RENEW, &clients[1], &others), own);
    assert_eq!(server.model.reservations_held(), 2);
    server.send(RELEASE, &clients[1], &own);
    server.commit();
    assert_eq!(server.model.reservations_held(), 0);
}

#[test]
fn an_answer_that_is_not_sent_or_commits_nothing_gives_the_lease_back() {
    let mut server = Server::new(&[PORT]);
    let request = Client::new(1, AT_PORT).payload(REQUEST, &[]);
    let len = server.answer(&request, &mut [0; 1_400]).unwrap();
    let mut server = Server::new(&[PORT]);
    for room in 0..len {
        assert_eq!(server.answer(&request, &mut vec![0; room]), None);
        assert_eq!(server.model.reservations_held(), 0, "{room}");
    }
    // Two IAs of a kind in a Solicit take their leases while it is answered.
    let mut solicit = vec![SOLICIT, 1, 2, 3];
    option(&mut solicit, 1, &[0, 2, 0, 0, 0, 9, 1]);
    for iaid in 1..=2 {
        option(&mut solicit, 3, &[0, 0, 0, iaid, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
    let relayed = relayed("2001:db8:1::1", "fe80::1", AT_PORT, &solicit);
    let mut out = [0; 1_400];
    let len = server.answer(&relayed, &mut out).unwrap();
    let offered = granted(&out[..len]);
    assert!(offered.len() == 2 && offered[0] == reserved(0)[0] && offered[1] != offered[0]);
    assert_eq!(server.model.reservations_held(), 0);
}

#[test]
fn a_client_that_moved_to_another_port_no_longer_extends_the_lease() {
    let mut server = Server::new(&[PORT]);
    let own = reserved(0);
    assert_eq!(server.send(REQUEST, &Client::new(1, AT_PORT), &own), own);
    let moved = Client::new(1, &[(18, b"port 8")]);
    let got = server.send(RENEW, &moved, &own);
    assert!(got.len() == 2 && got.iter().all(|lease| !own.contains(lease)));
    // The port's next client waits for the end of it.
    let next = Client::new(2, AT_PORT);
    assert!(!server.send(REQUEST, &next, &own).contains(&own[0]));
    server.end_all();
    server.commit();
    assert_eq!(server.send(REQUEST, &next, &own), own);
}

#[test]
fn a_declined_lease_rests_whoever_asks() {
    let mut server = Server::new(&[PORT]);
    let own = reserved(0);
    let client = Client::new(1, AT_PORT);
    assert_eq!(server.send(REQUEST, &client, &own), own);
    server.send(DECLINE, &client, &own[..1]);
    for number in [1, 2] {
        let got = server.send(REQUEST, &Client::new(number, AT_PORT), &own);
        assert!(got.len() == 2 && got[0] != own[0], "{number}");
    }
}

#[test]
fn after_a_restart_the_holder_goes_on_and_others_wait() {
    let mut server = Server::new(&[PORT]);
    let own = reserved(0);
    let client = Client::new(1, AT_PORT);
    assert_eq!(server.send(REQUEST, &client, &own), own);
    server.restart(model(&[PORT], None));
    assert!(
        !server
            .send(REQUEST, &Client::new(2, AT_PORT), &own)
            .contains(&own[0])
    );
    assert_eq!(server.send(RENEW, &client, &own), own);
    // Reserved for another key: its holder does not extend it, and it is nobody's until then.
    let other = ReservationKey::InterfaceId(b"port 8");
    server.restart(model(&[other], None));
    assert!(!server.send(RENEW, &client, &own).contains(&own[0]));
    let theirs = Client::new(3, &[(18, b"port 8")]);
    assert!(!server.send(REQUEST, &theirs, &own).contains(&own[0]));
    server.send(RELEASE, &client, &own);
    server.commit();
    assert_eq!(server.send(RENEW, &theirs, &own), own);
}

#[test]
fn of_two_partners_one_gives_a_reserved_lease_anew() {
    let own = reserved(0);
    let leeway = |prefixes| Leeway {
        partnered: true,
        answers: Answers::All,
        cap: LifetimeCap::Mclt { mclt_secs: 60 },
        prefixes,
        may_allocate: true,
        ..Leeway::ALONE
    };
    for (role, prefixes, is_given) in [
        (Role::Primary, Prefixes::Own(Role::Primary), true),
        (Role::Secondary, Prefixes::Own(Role::Secondary), false),
        (
            Role::Secondary,
            Prefixes::OwnThenPartners(Role::Secondary),
            true,
        ),
    ] {
        let mut server = Server::of(model(&[PORT], Some(role)));
        server.leeway = Some(leeway(prefixes));
        let got = server.send(REQUEST, &Client::new(1, AT_PORT), &own);
        assert_eq!(got == own, is_given, "{role:?} {got:?}");
        // By DUID, it is one client's on both servers.
        let duid = [0, 2, 0, 0, 0, 9, 1];
        let mut server = Server::of(model(&[ReservationKey::Duid(&duid)], Some(role)));
        server.leeway = Some(leeway(prefixes));
        assert_eq!(server.send(REQUEST, &Client::new(1, &[]), &own), own);
    }
}

#[test]
fn what_the_partner_says_is_taken_once() {
    let model = model(&[PORT], Some(Role::Primary));
    let duids = [1, 2].map(|client| [0, 2, 0, 0, 0, 9, client]);
    let [one, other] = duids.each_ref().map(|duid| wire::Duid::new(duid).unwrap());
    for lease in reserved(0) {
        assert!(!model.is_taken_from(ShardId(1), one, lease));
        assert!(model.take_for(ShardId(1), one, lease));
        assert!(model.is_taken_from(ShardId(2), other, lease));
        assert!(!model.take_for(ShardId(2), other, lease));
        model.release(lease);
        assert!(model.take_for(ShardId(2), other, lease));
        model.release(lease);
    }
    assert_eq!(model.reservations_held(), 0);
}
