//! Several addresses and prefixes in one reservation: in one IA or shared out among several, in order.

use super::{
    AT_PORT, Client, PORT, RELEASE, RENEW, REQUEST, SOLICIT, Server, lease, link, option, relayed,
};
use engine::{
    Clients, ModelBuilder, PoolConfig, ReservationError, ReservationKey, ReservationTable,
    ReservationTerms,
};
use lease::{AllocationKey, Lease, PoolSpec};
use std::sync::Arc;
use wire::{IaAddress, IaKind, IaPrefix, Message, MessageIndex, OptionCode};

/// Not in the order of the addresses, inside and outside of the pools.
fn addresses() -> Vec<Lease> {
    ["2001:db8:1::15", "2001:db8:1::12", "2001:db8:1::99"]
        .map(|text| lease(text, 128))
        .to_vec()
}

fn prefixes() -> Vec<Lease> {
    vec![
        lease("2001:db8:8000:4000::", 52),
        lease("2001:db8:7000::", 48),
    ]
}

fn of(key: ReservationKey<'_>, leases: &[Lease]) -> Arc<ReservationTable> {
    let mut table = ReservationTable::builder();
    for lease in leases {
        table
            .push(0, "access", key, *lease, &ReservationTerms::NONE)
            .unwrap();
    }
    Arc::new(table.finish(0).unwrap())
}

fn builder(key: ReservationKey<'_>, leases: &[Lease]) -> ModelBuilder {
    ModelBuilder::new(&super::SERVER, AllocationKey::new([1; 16]))
        .reservations(of(key, leases))
        .link(link(None, Clients::default()))
}

fn server(key: ReservationKey<'_>) -> Server {
    let leases = [prefixes(), addresses()].concat();
    Server::of(builder(key, &leases).build().unwrap())
}

const DUID: [u8; 7] = [0, 2, 0, 0, 0, 9, 1];
const KEYS: [ReservationKey<'_>; 2] = [PORT, ReservationKey::Duid(&DUID)];

impl Server {
    /// What each IA of the answer holds; `asked` are IAIDs of IA_NAs with what each names.
    fn shares(&mut self, client: u8, msg_type: u8, asked: &[(u8, &[Lease])]) -> Vec<Vec<Lease>> {
        let mut message = vec![msg_type, 1, 2, 3];
        option(&mut message, 1, &[0, 2, 0, 0, 0, 9, client]);
        if msg_type != SOLICIT {
            option(&mut message, 2, &super::SERVER);
        }
        for (iaid, named) in asked {
            let mut ia = vec![0, 0, 0, *iaid, 0, 0, 0, 0, 0, 0, 0, 0];
            for lease in *named {
                let data = [&lease.addr.to_be_bytes()[..], &[0; 8]].concat();
                option(&mut ia, 5, &data);
            }
            option(&mut message, 3, &ia);
        }
        let payload = relayed("2001:db8:1::1", "fe80::1", AT_PORT, &message);
        let mut out = [0; 1_400];
        let len = self.answer(&payload, &mut out).unwrap();
        let outer = wire::Options::new(&out[34..len], 0);
        let octets = outer.find(OptionCode::RELAY_MSG).unwrap().data;
        let message = Message::parse(octets, 0, OptionCode(0)).unwrap();
        let index = MessageIndex::new(&message).unwrap();
        index.ias.iter().map(|ia| leases(ia)).collect()
    }
}

fn leases(ia: &wire::Ia<'_>) -> Vec<Lease> {
    let options = ia.options.filter_map(Result::ok);
    let lease = options.filter_map(|option| match ia.kind {
        IaKind::Na => {
            let found = IaAddress::parse(&option).ok()?;
            let usable = found.valid > 0;
            usable.then_some(Lease {
                addr: found.address,
                len: 128,
            })
        }
        IaKind::Pd => {
            let found = IaPrefix::parse(&option).ok()?;
            Some(Lease {
                addr: found.prefix,
                len: found.prefix_len,
            })
        }
    });
    lease.collect()
}

#[test]
fn one_ia_has_all_in_the_order_of_the_configuration() {
    for key in KEYS {
        let mut server = server(key);
        let client = Client::new(1, AT_PORT);
        let all = [addresses(), prefixes()].concat();
        for msg_type in [SOLICIT, REQUEST, RENEW] {
            assert_eq!(server.send(msg_type, &client, &[]), all, "{msg_type}");
        }
        // Nobody else is given any of them, whatever it asks for.
        let got = server.send(REQUEST, &Client::new(2, &[]), &all);
        assert!(got.iter().all(|lease| !all.contains(lease)), "{got:?}");
        server.send(RELEASE, &client, &all);
        server.commit();
        assert_eq!(server.send(REQUEST, &client, &[]), all);
    }
}

#[test]
fn several_ias_have_one_each_and_the_last_one_what_is_left() {
    let [a, b, c] = addresses()[..] else { panic!() };
    for key in KEYS {
        for msg_type in [SOLICIT, REQUEST] {
            let two = server(key).shares(1, msg_type, &[(7, &[]), (8, &[])]);
            assert_eq!(two, [vec![a], vec![b, c]]);
            let three = server(key).shares(1, msg_type, &[(7, &[]), (8, &[]), (9, &[])]);
            assert_eq!(three, [vec![a], vec![b], vec![c]]);
            let four = server(key).shares(1, msg_type, &[(7, &[]), (8, &[]), (9, &[]), (5, &[])]);
            assert_eq!(four[..3], [vec![a], vec![b], vec![c]]);
            // From the pool.
            assert_eq!(four[3].len(), 1);
            assert!(![a, b, c].contains(&four[3][0]));
        }
    }
}

#[test]
fn what_an_ia_has_stays_there_in_whichever_order_they_are_asked_for() {
    let [a, b, c] = addresses()[..] else { panic!() };
    for key in KEYS {
        let mut server = server(key);
        let first = server.shares(1, REQUEST, &[(7, &[]), (8, &[])]);
        assert_eq!(first, [vec![a], vec![b, c]]);
        let again = server.shares(1, RENEW, &[(8, &[b, c]), (7, &[a])]);
        assert_eq!(again, [vec![b, c], vec![a]]);
        assert_eq!(server.shares(1, RENEW, &[(7, &[a])]), [vec![a]]);
        // A third one has none of them.
        let third = server.shares(1, REQUEST, &[(9, &[])]);
        assert!(!addresses().contains(&third[0][0]), "{third:?}");
    }
}

#[test]
fn one_that_somebody_else_still_holds_is_left_out_until_it_ends() {
    let [a, b, c] = addresses()[..] else { panic!() };
    let none = builder(PORT, &[]).build().unwrap();
    let mut server = Server::of(none);
    assert_eq!(server.shares(2, REQUEST, &[(7, &[b])]), [vec![b]]);
    server.restart(builder(PORT, &addresses()).build().unwrap());
    assert_eq!(server.shares(1, REQUEST, &[(7, &[])]), [vec![a, c]]);
    server.end_all();
    server.commit();
    assert_eq!(server.shares(1, REQUEST, &[(7, &[])]), [vec![a, b, c]]);
}

#[test]
fn looking_whether_a_length_may_change_takes_nothing_that_is_reserved() {
    // A client with a prefix from a pool asks for another length while one is reserved for its line,
    // which was another client's until then.
    let reserved = lease("2001:db8:7000::", 48);
    let model = || {
        let mut link = link(None, Clients::default());
        let pool = PoolSpec::prefixes(lease("2001:db8:9000::", 48), 56).unwrap();
        link.pools.push(PoolConfig::new(pool));
        ModelBuilder::new(&super::SERVER, AllocationKey::new([1; 16]))
            .reservations(of(PORT, &[reserved]))
            .link(link)
    };
    let mut server = Server::of(model().build().unwrap());
    let former = Client::new(2, AT_PORT);
    assert_eq!(server.send(REQUEST, &former, &[])[1], reserved);
    let client = Client::new(1, AT_PORT);
    let drawn = server.send(REQUEST, &client, &[])[1];
    assert_ne!(drawn, reserved);
    server.send(RELEASE, &former, &[reserved]);
    server.commit();
    let hint = lease("::", 56);
    assert_eq!(server.send(REQUEST, &client, &[hint])[1], reserved);
}

#[test]
fn one_reservation_has_eight_of_a_kind() {
    let mut table = ReservationTable::builder();
    let mut push = |at: u32, len: u8| {
        let lease = Lease {
            addr: (0x2001_0db8 << 96) + (u128::from(at) << 64),
            len,
        };
        table.push(0, "access", PORT, lease, &ReservationTerms::NONE)
    };
    for at in 0..8 {
        assert_eq!(push(at, 128), Ok(()));
        assert_eq!(push(at + 100, 64), Ok(()));
    }
    assert_eq!(push(8, 128), Err(ReservationError::TooManyOfOne));
    assert_eq!(push(108, 64), Err(ReservationError::TooManyOfOne));
    let table = table.finish(0).unwrap();
    let ranks = table.iter().map(|reserved| reserved.rank);
    assert_eq!(
        ranks.collect::<Vec<_>>(),
        [0, 1, 2, 3, 4, 5, 6, 7].repeat(2)
    );
}
