//! Prefixes of several lengths in one pool, as clients ask for them (RFC 8168).

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use core::net::Ipv6Addr;
use dhcproto::v6::{
    DhcpOption, DhcpOptions, IAPD, IAPrefix, Message, MessageType as Type, ORO, OptionCode, Status,
};
use dhcproto::{Decodable, Decoder, Encodable};
use engine::operator::{Imported, NotImported};
use engine::{
    Adopting, Context, Ingress, InterfaceId, LinkSpec, Model, ModelBuilder, ModelError, Outcome,
    PoolConfig, Relationship, ReservationKey, ReservationTable, ReservationTerms, adopt, answer,
    import, parse, restore,
};
use lease::{
    AbsTime, AllocationKey, BindingDelta, BindingRecord, Lease, Lengths, PoolError, PoolSpec, Role,
    Shard,
};
use std::collections::HashMap;
use std::sync::Arc;
use wire::{SHARDS, ShardId};

const SERVER: [u8; 4] = [0, 3, 0, 1];

fn lease(text: &str) -> Lease {
    let (addr, len) = text.split_once('/').unwrap();
    let addr: Ipv6Addr = addr.parse().unwrap();
    Lease {
        addr: addr.to_bits(),
        len: len.parse().unwrap(),
    }
}

/// A pool of `shortest` to `longest`, `default` for who asks for none.
fn between(prefix: &str, shortest: u8, default: u8, longest: u8) -> PoolConfig {
    let lengths = Lengths { shortest, default };
    PoolConfig::new(PoolSpec::prefixes_between(lease(prefix), lengths, longest).unwrap())
}

fn one(prefix: &str, len: u8) -> PoolConfig {
    PoolConfig::new(PoolSpec::prefixes(lease(prefix), len).unwrap())
}

fn builder(pools: Vec<PoolConfig>) -> ModelBuilder {
    let link = LinkSpec {
        name: "access".to_owned(),
        interface: Some(InterfaceId(0)),
        pools,
        ..LinkSpec::default()
    };
    ModelBuilder::new(&SERVER, AllocationKey::new([1; 16])).link(link)
}

fn reserved(leases: &[(u8, &str)]) -> Arc<ReservationTable> {
    let mut table = ReservationTable::builder();
    for (client, prefix) in leases {
        let duid = duid(*client);
        let key = ReservationKey::Duid(&duid);
        let terms = ReservationTerms::default();
        table.push(0, "access", key, lease(prefix), &terms).unwrap();
    }
    Arc::new(table.finish(1).unwrap())
}

fn duid(client: u8) -> Vec<u8> {
    vec![0, 3, 0, 9, client]
}

struct Server {
    model: Model,
    shards: Vec<Shard>,
    /// What the journal would hold: the last record of each lease.
    log: Vec<Logged>,
}

/// A delta that owns what it says.
enum Logged {
    Put(ShardId, Vec<u8>, BindingRecord<'static>),
    Remove(ShardId, Lease),
}

impl Server {
    fn new(pools: Vec<PoolConfig>) -> Self {
        Self::of(builder(pools).build().unwrap())
    }

    fn of(model: Model) -> Self {
        Self {
            model,
            shards: (0..SHARDS)
                .map(|id| Shard::new(ShardId(id as u8), 5))
                .collect(),
            log: Vec::new(),
        }
    }

    fn send(&mut self, message: &Message) -> Message {
        let payload = message.to_vec().unwrap();
        let ingress = Ingress {
            payload: &payload,
            interface: InterfaceId(0),
            source: "fe80::9".parse().unwrap(),
            destination: "ff02::1:2".parse().unwrap(),
        };
        let parsed = parse(&ingress).unwrap();
        let context = Context::alone(&self.model, AbsTime(1_000));
        let mut out = vec![0; 1_200];
        let shard = &mut self.shards[usize::from(parsed.shard(&self.model).0)];
        let (log, mut ended) = (&mut self.log, Vec::new());
        let outcome = answer(
            &context,
            shard,
            &parsed,
            &mut out,
            &mut |delta| match delta {
                BindingDelta::Put { shard, record } => log.push(Logged::Put(
                    *shard,
                    record.duid.octets().to_vec(),
                    BindingRecord {
                        duid: wire::Duid::new(&[0, 3, 0, 9]).unwrap(),
                        subscriber: None,
                        via: &[],
                        ..*record
                    },
                )),
                BindingDelta::Remove { shard, lease } => {
                    log.push(Logged::Remove(*shard, *lease));
                    ended.push(*lease);
                }
                BindingDelta::Acked { .. } => {}
            },
        );
        ended.iter().for_each(|lease| self.model.release(*lease));
        let Outcome::Reply { len, .. } = outcome else {
            panic!("no answer: {outcome:?}");
        };
        Message::decode(&mut Decoder::new(&out[..len])).unwrap()
    }

    /// A server of this model that has read the log.
    fn restarted(&self, model: Model) -> Self {
        let mut after = Self::of(model);
        for delta in &self.log {
            let (id, delta) = match delta {
                Logged::Put(shard, duid, record) => {
                    let record = BindingRecord {
                        duid: wire::Duid::new(duid).unwrap(),
                        ..*record
                    };
                    let shard = *shard;
                    (shard, BindingDelta::Put { shard, record })
                }
                Logged::Remove(shard, lease) => {
                    let (shard, lease) = (*shard, *lease);
                    (shard, BindingDelta::Remove { shard, lease })
                }
            };
            restore(&mut after.shards[usize::from(id.0)], &delta);
        }
        for which in [Adopting::Foreign, Adopting::Own] {
            for shard in &mut after.shards {
                let found = adopt(&after.model, shard, which, &mut |_| {});
                assert_eq!(found.conflicting, 0);
            }
        }
        after
    }

    fn bound(&self) -> u128 {
        let pools = self.model.pools().iter();
        pools.map(|served| served.pool().counts().bound).sum()
    }

    fn solicit(&mut self, client: u8, names: &[&str]) -> Option<Lease> {
        only(&self.send(&message(client, Type::Solicit, names)))
    }

    fn request(&mut self, client: u8, names: &[&str]) -> Option<Lease> {
        only(&self.send(&message(client, Type::Request, names)))
    }
}

fn prefix(text: &str) -> DhcpOption {
    let lease = lease(text);
    DhcpOption::IAPrefix(IAPrefix {
        preferred_lifetime: 0,
        valid_lifetime: 0,
        prefix_len: lease.len,
        prefix_ip: Ipv6Addr::from_bits(lease.addr),
        opts: DhcpOptions::new(),
    })
}

/// With an IA_PD that holds these prefixes; `::/48` is a hint.
fn message(client: u8, msg_type: Type, names: &[&str]) -> Message {
    let mut message = Message::new_with_id(msg_type, [1, 2, 3]);
    let mut opts = DhcpOptions::new();
    names.iter().for_each(|name| opts.insert(prefix(name)));
    let all = message.opts_mut();
    all.insert(DhcpOption::ClientId(duid(client)));
    if !matches!(msg_type, Type::Solicit | Type::Rebind) {
        all.insert(DhcpOption::ServerId(SERVER.to_vec()));
    }
    all.insert(DhcpOption::IAPD(IAPD {
        id: 1,
        t1: 0,
        t2: 0,
        opts,
    }));
    message
}

fn ia(reply: &Message) -> &DhcpOptions {
    let ia = reply.opts().iter().find_map(|option| match option {
        DhcpOption::IAPD(ia) => Some(&ia.opts),
        _ => None,
    });
    ia.expect("an IA_PD")
}

fn prefixes(reply: &Message) -> Vec<(Lease, u32)> {
    let options = ia(reply).iter();
    let prefixes = options.filter_map(|option| match option {
        DhcpOption::IAPrefix(prefix) => {
            let addr = prefix.prefix_ip.to_bits();
            let len = prefix.prefix_len;
            Some((Lease { addr, len }, prefix.valid_lifetime))
        }
        _ => None,
    });
    prefixes.collect()
}

/// The one prefix of the answer; `None` if it says NoPrefixAvail.
fn only(reply: &Message) -> Option<Lease> {
    let refused = ia(reply).iter().any(
        |option| matches!(option, DhcpOption::StatusCode(code) if code.status == Status::NoPrefixAvail),
    );
    let prefixes = prefixes(reply);
    assert_eq!(prefixes.len(), usize::from(!refused), "{reply:?}");
    prefixes.first().map(|(lease, valid)| {
        assert!(*valid > 0);
        *lease
    })
}

fn covers(outer: Lease, inner: Lease) -> bool {
    outer.len <= inner.len && (outer.addr ^ inner.addr) >> (128 - u32::from(outer.len)) == 0
}

#[test]
fn rfc_8168_3_2_a_hint_gives_its_length_or_the_closest_that_is_shorter() {
    let mut server = Server::new(vec![between("2001:db8:8000::/40", 48, 56, 62)]);
    let hints = [
        (None, 56),
        (Some(0), 56),
        (Some(48), 48),
        (Some(53), 53),
        (Some(62), 62),
        // Smaller than any: the smallest there is. Larger than any: as if it had not asked.
        (Some(64), 62),
        (Some(47), 56),
    ];
    for (client, (hint, len)) in (0..).zip(hints) {
        let hint = hint.map(|hint| format!("::/{hint}"));
        let names: Vec<&str> = hint.iter().map(String::as_str).collect();
        let offered = server.solicit(client, &names).unwrap();
        assert_eq!(offered.len, len, "{hint:?}");
        assert!(covers(lease("2001:db8:8000::/40"), offered));
        assert_eq!(server.request(client, &names), Some(offered), "{hint:?}");
    }
    let units = |len: u8| 1_u128 << (62 - len);
    let bound = hints.iter().map(|(_, len)| units(*len)).sum();
    assert_eq!(server.bound(), bound);
}

#[test]
fn rfc_8168_3_2_the_prefix_named_comes_before_the_length_wanted() {
    let mut server = Server::new(vec![between("2001:db8:8000::/40", 48, 56, 64)]);
    let names = ["2001:db8:8012:3450::/60", "::/52"];
    assert_eq!(server.solicit(1, &names), Some(lease(names[0])));
    assert_eq!(server.request(1, &names), Some(lease(names[0])));
    // It is taken, and so is what it lies in.
    for names in [names, ["2001:db8:8012::/48", "::/52"]] {
        let other = server.solicit(2, &names).unwrap();
        assert_eq!(other.len, 52);
        assert!(!covers(other, lease("2001:db8:8012:3450::/60")));
    }
    // Not one of the pool: by the hint as well.
    assert_eq!(
        server
            .solicit(2, &["2001:db8:8000::/44", "::/52"])
            .unwrap()
            .len,
        52
    );
}

#[test]
fn rfc_8168_3_2_a_client_that_begins_anew_gets_the_length_it_asks_for() {
    let mut server = Server::new(vec![between("2001:db8:8000::/40", 48, 56, 64)]);
    assert_eq!(server.request(1, &[]).unwrap().len, 56);
    let offered = server.solicit(1, &["::/60"]).unwrap();
    assert_eq!(offered.len, 60);
    let text = format!("{}/60", Ipv6Addr::from_bits(offered.addr));
    assert_eq!(server.request(1, &[&text, "::/60"]), Some(offered));
    assert_eq!(server.bound(), 16, "what it had is free");
    // A length that there is not, and none, change nothing.
    for names in [&["::/44"][..], &["::/0"], &[]] {
        assert_eq!(server.solicit(1, names), Some(offered), "{names:?}");
    }
}

#[test]
fn rfc_8168_3_5_who_extends_keeps_what_it_has_whatever_it_wants() {
    let mut server = Server::new(vec![between("2001:db8:8000::/40", 48, 56, 64)]);
    let held = server.request(1, &["::/60"]).unwrap();
    let text = format!("{}/60", Ipv6Addr::from_bits(held.addr));
    for kind in [Type::Renew, Type::Rebind] {
        let reply = server.send(&message(1, kind, &[&text, "::/48"]));
        assert_eq!(only(&reply), Some(held), "{kind:?}");
    }
}

#[test]
fn rfc_8168_3_2_when_a_length_is_used_up_the_next_pool_has_it() {
    // Four /50, and two.
    let pools = vec![
        between("2001:db8:8000::/48", 50, 52, 54),
        one("2001:db8:9000::/49", 50),
    ];
    let mut server = Server::new(pools);
    let given: Vec<Option<Lease>> = (0..7)
        .map(|client| server.request(client, &["::/50"]))
        .collect();
    let second = lease("2001:db8:9000::/49");
    let in_second = given
        .iter()
        .flatten()
        .filter(|lease| covers(second, **lease));
    assert_eq!(in_second.count(), 2);
    assert!(
        given.iter().flatten().all(|lease| lease.len == 50),
        "{given:?}"
    );
    assert_eq!(given.iter().flatten().count(), 6, "and that is all");
}

#[test]
fn nothing_is_left_when_the_last_prefix_of_the_longest_length_is_given() {
    let mut server = Server::new(vec![between("2001:db8:8000::/48", 50, 52, 52)]);
    let mut lens: HashMap<u8, usize> = HashMap::new();
    for client in 0..12 {
        // Three /50 of four, then what is left: /51 for who wants it, then /52.
        let hint = match client {
            0..3 => "::/50",
            3 => "::/51",
            _ => "::/50",
        };
        if let Some(lease) = server.request(client, &[hint]) {
            *lens.entry(lease.len).or_default() += 1;
        }
    }
    assert_eq!(
        lens,
        HashMap::from([(50, 3), (51, 2)]),
        "a /51 is nearer than a /52"
    );
    assert_eq!(server.solicit(99, &["::/50"]), None);
    assert_eq!(server.solicit(99, &[]), None);
    let counts = server.model.pools()[0].pool().counts();
    assert_eq!((counts.size, counts.bound, counts.free), (16, 16, 0));
}

#[test]
fn a_released_prefix_is_whole_again() {
    let mut server = Server::new(vec![between("2001:db8:8000::/48", 48, 52, 52)]);
    let small: Vec<Lease> = (0..3)
        .map(|client| server.request(client, &["::/52"]).unwrap())
        .collect();
    let left = server.solicit(9, &["::/48"]).unwrap();
    assert!((49..=51).contains(&left.len), "{left}");
    for (client, lease) in (0..).zip(small) {
        let text = format!("{}/52", Ipv6Addr::from_bits(lease.addr));
        server.send(&message(client, Type::Release, &[&text]));
    }
    assert_eq!(server.bound(), 0);
    assert_eq!(
        server.request(9, &["::/48"]),
        Some(lease("2001:db8:8000::/48"))
    );
    assert_eq!(server.solicit(1, &[]), None);
}

#[test]
fn a_client_gets_the_same_prefix_from_an_empty_database() {
    let pools = || vec![between("2001:db8:8000::/40", 48, 56, 64)];
    let ask = |order: &mut dyn Iterator<Item = u8>| -> HashMap<u8, Lease> {
        let mut server = Server::new(pools());
        let hint = |client: u8| ["::/56", "::/64", "::/60", "::/52"][usize::from(client) % 4];
        order
            .map(|client| (client, server.request(client, &[hint(client)]).unwrap()))
            .collect()
    };
    let (first, second) = (ask(&mut (0..12)), ask(&mut (0..12).rev()));
    assert_eq!(first, second);
}

#[test]
fn a_restart_takes_each_length_back_and_a_changed_range_keeps_what_fits() {
    let mut server = Server::new(vec![between("2001:db8:8000::/40", 48, 56, 64)]);
    let hints = ["::/48", "::/52", "::/56", "::/60", "::/64"];
    let held: Vec<Lease> = (0..)
        .zip(hints)
        .map(|(client, hint)| server.request(client, &[hint]).unwrap())
        .collect();
    let bound = server.bound();
    let again = builder(vec![between("2001:db8:8000::/40", 48, 56, 64)]).build();
    let mut after = server.restarted(again.unwrap());
    assert_eq!(after.bound(), bound);
    for (client, lease) in (0..).zip(&held) {
        assert_eq!(after.solicit(client, &[]), Some(*lease));
    }
    // With fewer lengths those that fit stay; of the others nothing is given to anybody.
    let fewer = builder(vec![between("2001:db8:8000::/40", 52, 56, 60)]).build();
    let mut after = server.restarted(fewer.unwrap());
    for (client, lease) in (0..).zip(&held) {
        let renewed = after.send(&message(
            client,
            Type::Renew,
            &[&format!(
                "{}/{}",
                Ipv6Addr::from_bits(lease.addr),
                lease.len
            )],
        ));
        let fits = (52..=60).contains(&lease.len);
        let kept = prefixes(&renewed)
            .iter()
            .any(|(p, valid)| p == lease && *valid > 0);
        assert_eq!(kept, fits, "{lease}");
    }
    for client in 100..200 {
        let new = after.request(client, &["::/52"]).unwrap();
        assert!(
            held.iter()
                .all(|old| !covers(*old, new) && !covers(new, *old))
        );
    }
}

#[test]
fn what_is_reserved_inside_breaks_the_prefixes_around_it() {
    let prefix = "2001:db8:8000:1000::/52";
    let model = builder(vec![between("2001:db8:8000::/48", 48, 56, 64)]);
    let model = model.reservations(reserved(&[(1, prefix)]));
    let mut server = Server::of(model.build().unwrap());
    let counts = server.model.pools()[0].pool().counts();
    assert_eq!((counts.size, counts.reserved), (1 << 16, 1 << 12));
    assert_eq!(server.request(1, &["::/64"]), Some(lease(prefix)));
    assert_eq!(server.bound(), 0, "it is not drawn from the pool");
    assert_eq!(
        server
            .solicit(2, &["2001:db8:8000::/48", "::/48"])
            .unwrap()
            .len,
        49
    );
    for client in 2..10 {
        let new = server
            .request(client, &["2001:db8:8000:1100::/56", "::/52"])
            .unwrap();
        assert_eq!(new.len, 52);
        assert!(!covers(lease(prefix), new) && !covers(new, lease(prefix)));
    }
}

#[test]
fn a_reservation_made_inside_a_lease_keeps_the_rest_of_it_from_others() {
    let pools = || vec![between("2001:db8:8000::/48", 48, 56, 60)];
    let mut server = Server::new(pools());
    let held = server.request(1, &["::/49"]).unwrap();
    let inside = format!("{}/56", Ipv6Addr::from_bits(held.addr));
    let model = builder(pools()).reservations(reserved(&[(2, &inside)]));
    let model = model.build().unwrap();
    let mut after = server.restarted(model);
    assert!(after.bound() + 16 == 1 << 11, "{}", after.bound());
    assert_eq!(after.solicit(2, &[]).unwrap().len, 56);
    assert!(
        !covers(held, after.solicit(2, &[]).unwrap()),
        "still another's"
    );
    for client in 10..40 {
        assert!(!covers(held, after.request(client, &["::/60"]).unwrap()));
    }
    let text = format!("{}/49", Ipv6Addr::from_bits(held.addr));
    let before = after.bound();
    after.send(&message(1, Type::Release, &[&text]));
    assert_eq!(after.bound(), before - ((1 << 11) - 16));
    assert_eq!(after.request(2, &[]), Some(lease(&inside)));
    // What is brought in from elsewhere cannot hold a part of what is another's.
    let record = server.log.iter().find_map(|delta| match delta {
        Logged::Put(_, _, record) => Some(*record),
        Logged::Remove(..) => None,
    });
    let record = record.unwrap();
    let context = Context::alone(&after.model, AbsTime(1_000));
    let shard = record.duid.shard();
    let shard = &mut after.shards[usize::from(shard.0)];
    let imported = import(&context, shard, &record, false, &mut |_| {});
    assert_eq!(imported, Err(NotImported::PartlyReserved));
    let whole = BindingRecord {
        lease: lease("2001:db8:8000:ff00::/57"),
        ..record
    };
    let imported = import(&context, shard, &whole, false, &mut |_| {});
    assert!(matches!(
        imported,
        Ok(Imported::Added) | Err(NotImported::Taken)
    ));
}

#[test]
fn rfc_6603_4_2_a_prefix_is_excluded_from_each_length() {
    let pool = PoolConfig {
        excluded_len: Some(64),
        ..between("2001:db8:8000::/40", 48, 56, 63)
    };
    let mut server = Server::new(vec![pool]);
    for (client, (hint, data)) in (0..).zip([
        ("::/48", &[64, 0, 0][..]),
        ("::/56", &[64, 0]),
        ("::/63", &[64, 0]),
        ("::/55", &[64, 0, 0]),
    ]) {
        let mut request = message(client, Type::Request, &[hint]);
        let oro = ORO {
            opts: vec![OptionCode::PdExclude],
        };
        request.opts_mut().insert(DhcpOption::ORO(oro));
        let reply = server.send(&request);
        let given = ia(&reply).iter().find_map(|option| match option {
            DhcpOption::IAPrefix(prefix) => prefix.opts.iter().next(),
            _ => None,
        });
        let Some(DhcpOption::Unknown(option)) = given else {
            panic!("nothing excluded: {reply:?}");
        };
        assert_eq!(
            (option.code(), option.data()),
            (OptionCode::PdExclude, data)
        );
    }
}

#[test]
fn a_pool_of_several_lengths_is_no_relationships() {
    let relationship = Relationship {
        index: 0,
        role: Role::Primary,
        mclt_secs: 60,
    };
    let link = LinkSpec {
        name: "access".to_owned(),
        interface: Some(InterfaceId(0)),
        pools: vec![between("2001:db8:8000::/40", 48, 56, 64)],
        relationship: Some(relationship),
        ..LinkSpec::default()
    };
    let model = ModelBuilder::new(&SERVER, AllocationKey::new([1; 16])).link(link);
    let refused = ModelError::Pool("access".to_owned(), PoolError::LengthsToSplit);
    assert_eq!(model.build().unwrap_err(), refused);
}
