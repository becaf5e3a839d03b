//! Links whose leases belong to lines: a device that is at two lines is in two shards, and what is
//! reserved for it is bound once all the same.

use super::{
    AT_PORT, Client, PORT, RELEASE, RENEW, REQUEST, SOLICIT, Server, builder, lease, link, model,
    reserved,
};
use engine::{Clients, Handover, LinkSpec, Model, ModelBuilder, ReservationKey};
use lease::{Lease, Role, Shard};
use std::collections::HashSet;
use std::sync::Arc;
use wire::{ClientKey, Duid, ShardId, shard_of};

const DUID: [u8; 7] = [0, 2, 0, 0, 0, 9, 1];
const FOR_DEVICE: ReservationKey<'_> = ReservationKey::Duid(&DUID);

/// One device at each of two lines, of different shards.
fn at_lines() -> [Client<'static>; 2] {
    [b"line 1", b"line 3"].map(|line| Client::new(1, &[(38, line)]))
}

/// Two lines of different shards and two of the same one, either first.
fn pairs_of_lines() -> [[Client<'static>; 2]; 4] {
    let [one, other] = at_lines();
    let near = Client::new(1, &[(38, b"line 2")]);
    [
        [one.clone(), other.clone()],
        [other, one.clone()],
        [one.clone(), near.clone()],
        [near, one],
    ]
}

fn keyed_by(key: ClientKey) -> Clients {
    Clients {
        key,
        ..Clients::default()
    }
}

fn of_key(keys: &[ReservationKey<'_>], key: ClientKey) -> ModelBuilder {
    builder(keys).link(link(None, keyed_by(key)))
}

fn of_lines() -> Model {
    let lines = of_key(&[FOR_DEVICE], ClientKey::SubscriberId);
    lines.build().unwrap()
}

impl Server {
    /// As [`send`](Server::send); nothing is ever bound twice.
    fn asks(&mut self, msg_type: u8, client: &Client<'_>, named: &[Lease]) -> Vec<Lease> {
        let got = self.send(msg_type, client, named);
        let mut seen = HashSet::new();
        for shard in &self.shards {
            for record in shard.walk(0, usize::MAX).1 {
                assert!(seen.insert(record.lease), "bound twice: {record:?}");
            }
        }
        got
    }

    /// Whether the client gets what is reserved, all of it or nothing.
    fn gives(&mut self, client: &Client<'_>) -> bool {
        let own = reserved(0);
        let got = self.asks(REQUEST, client, &own);
        assert_eq!(got.len(), 2);
        let common = got.iter().filter(|lease| own.contains(lease)).count();
        assert_ne!(common, 1, "{got:?}");
        common == 2
    }

    fn shards_with(&self, lease: Lease) -> Vec<ShardId> {
        let with = self.shards.iter().filter(|shard| shard.holds(lease));
        with.map(Shard::id).collect()
    }

    /// Goes on with the model that follows while clients are served.
    fn reload(&mut self, next: ModelBuilder) {
        let next = Arc::new(next.build_successor(&self.model).unwrap());
        let mut handover = Handover::new(Arc::clone(&next));
        for lease in &self.pending {
            handover.hold_ended(ShardId(0), *lease);
        }
        if !next.needs_no_walk() {
            for shard in &self.shards {
                assert_eq!(handover.walk(shard, 0, usize::MAX), None);
            }
        }
        assert!(handover.is_settled(|id| self.shards.get(usize::from(id.0))));
        drop(handover);
        self.model = Arc::into_inner(next).unwrap();
    }
}

#[test]
fn of_two_lines_of_a_device_one_has_what_is_reserved_for_it() {
    let mut shards = HashSet::new();
    for [one, other] in &pairs_of_lines() {
        let mut server = Server::of(of_lines());
        assert_eq!(server.asks(SOLICIT, other, &[]), reserved(0));
        assert!(server.gives(one));
        let first = server.shards_with(reserved(0)[0]);
        assert!(!server.gives(other));
        // Each extends what it has.
        for _ in 0..2 {
            assert_eq!(server.asks(RENEW, one, &reserved(0)), reserved(0));
            assert!(server.gives(one) && !server.gives(other));
        }
        // Given back, it is the other's when that is on disk, by its next message.
        server.asks(RELEASE, one, &reserved(0));
        assert!(!server.gives(other), "not committed");
        server.commit();
        assert!(server.gives(other) && !server.gives(one));
        let second = server.shards_with(reserved(0)[0]);
        assert_eq!([first.len(), second.len()], [1, 1]);
        shards.insert(first != second);
        // Run out, it is whose who asks first.
        server.end_all();
        assert!(!server.gives(one), "not committed");
        server.commit();
        assert!(server.gives(one) && !server.gives(other));
        for line in [one, other] {
            server.asks(RELEASE, line, &reserved(0));
        }
        server.end_all();
        server.commit();
        assert_eq!(server.model.reservations_held(), 0);
    }
    assert_eq!(shards.len(), 2, "of different shards, and of the same");
}

#[test]
fn after_a_restart_the_line_that_has_it_goes_on_and_the_other_waits() {
    for [one, other] in &pairs_of_lines() {
        let mut server = Server::of(of_lines());
        assert!(server.gives(one));
        server.restart(of_lines());
        assert!(!server.gives(other));
        assert_eq!(server.asks(RENEW, one, &reserved(0)), reserved(0));
        server.asks(RELEASE, one, &reserved(0));
        server.commit();
        assert!(server.gives(other));
        server.restart(of_lines());
        assert!(!server.gives(one) && server.gives(other));
    }
}

/// What is bound by the former key is nobody else's until it ends, and the next one's then.
#[test]
fn another_client_key_binds_nothing_twice() {
    let keys = [
        ClientKey::Duid,
        ClientKey::SubscriberId,
        ClientKey::InterfaceId,
    ];
    let pairs = keys.iter().flat_map(|from| keys.map(|to| (*from, to)));
    for (from, to) in pairs.filter(|(from, to)| from != to) {
        for restarts in [false, true] {
            for line in [b"line 1", b"line 3"] {
                let client = Client::new(1, &[(38, line), (18, line)]);
                let mut server = Server::of(of_key(&[FOR_DEVICE], from).build().unwrap());
                assert!(server.gives(&client));
                let next = || of_key(&[FOR_DEVICE], to);
                match restarts {
                    true => server.restart(next().build().unwrap()),
                    false => server.reload(next()),
                }
                let case = format!("{from:?} {to:?} {restarts}");
                for at in [b"line 1", b"line 3"] {
                    let client = Client::new(1, &[(38, at), (18, at)]);
                    assert!(!server.gives(&client), "{case}");
                }
                // And back, while it is bound.
                server.reload(of_key(&[FOR_DEVICE], from));
                assert!(server.gives(&client), "{case}");
                server.reload(next());
                server.end_all();
                server.commit();
                assert_eq!(server.model.reservations_held(), 0, "{case}");
                assert!(server.gives(&client), "{case}");
            }
        }
    }
}

#[test]
fn a_lease_of_a_device_link_is_bound_once_where_its_shared_network_has_lines() {
    let shared = |link: LinkSpec| LinkSpec {
        shared_network: Some("wire".to_owned()),
        ..link
    };
    let lines = LinkSpec {
        name: "lines".to_owned(),
        link_addresses: vec![lease("2001:db8:2::", 64)],
        clients: keyed_by(ClientKey::SubscriberId),
        ..LinkSpec::default()
    };
    let network = builder(&[FOR_DEVICE])
        .link(shared(link(None, Clients::default())))
        .link(shared(lines))
        .build()
        .unwrap();
    let mut server = Server::of(network);
    let [one, other] = at_lines().map(|line| Client {
        link_address: "2001:db8:2::1",
        ..line
    });
    let elsewhere = Client::new(1, &[]);
    assert!(server.gives(&one) && !server.gives(&other) && !server.gives(&elsewhere));
    server.asks(RELEASE, &one, &reserved(0));
    server.commit();
    assert!(server.gives(&elsewhere) && !server.gives(&one) && !server.gives(&other));
    assert_eq!(server.asks(RENEW, &elsewhere, &reserved(0)), reserved(0));
}

#[test]
fn by_what_relays_say_a_lease_is_bound_once_there_too() {
    // Two lines behind one port.
    let model = of_key(&[PORT], ClientKey::SubscriberId).build().unwrap();
    let mut server = Server::of(model);
    let [one, other] = at_lines().map(|line| Client {
        inner: [&line.inner[..], AT_PORT].concat(),
        ..line
    });
    assert!(server.gives(&one) && !server.gives(&other));
    server.asks(RELEASE, &one, &reserved(0));
    assert!(!server.gives(&other));
    server.commit();
    assert!(server.gives(&other) && !server.gives(&one));
    // By what the line is told apart by, whatever device is on it.
    let line = ReservationKey::SubscriberId(b"line 1");
    let mut server = Server::of(of_key(&[line], ClientKey::SubscriberId).build().unwrap());
    let [one, other] = at_lines();
    assert!(!server.gives(&other) && server.gives(&one));
    let swapped = Client {
        number: 2,
        ..one.clone()
    };
    server.now = server.now.plus(Clients::default().takeover_after_secs);
    assert!(server.gives(&swapped));
    assert!(server.asks(RENEW, &one, &reserved(0)).is_empty());
}

#[test]
fn what_the_partner_says_of_two_lines_is_taken_once() {
    let clients = keyed_by(ClientKey::SubscriberId);
    let model = builder(&[FOR_DEVICE]).link(link(Some(Role::Primary), clients));
    let model = model.build().unwrap();
    let duid = Duid::new(&DUID).unwrap();
    for lease in reserved(0) {
        assert!(model.take_for(ShardId(1), duid, lease));
        assert!(!model.take_for(ShardId(2), duid, lease));
        model.release(lease);
        // In the shard of the DUID as in any other.
        assert!(model.take_for(shard_of(&DUID), duid, lease));
        assert!(!model.take_for(ShardId(1), duid, lease));
        model.release(lease);
    }
    assert_eq!(model.reservations_held(), 0);
}

/// A partner that still keeps a line's leases, where they are the device's here.
#[test]
fn what_the_partner_has_for_a_line_is_not_the_devices() {
    let mut server = Server::of(model(&[FOR_DEVICE], None));
    let duid = Duid::new(&DUID).unwrap();
    let (own, others) = (shard_of(&DUID), ShardId(1));
    assert_ne!(own, others);
    for lease in reserved(0) {
        assert!(!server.model.is_taken_from(own, duid, lease));
        // The device may have it, uncounted: its shard is to be asked.
        assert!(server.model.is_taken_from(others, duid, lease));
        assert!(server.model.take_for(others, duid, lease));
        assert!(server.model.is_taken_from(own, duid, lease));
    }
    let device = Client::new(1, &[]);
    assert!(!server.gives(&device));
    for lease in reserved(0) {
        server.model.release(lease);
    }
    assert!(server.gives(&device));
}
