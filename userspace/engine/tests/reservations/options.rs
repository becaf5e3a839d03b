//! Options of a reservation: nearer than those of classes, pools, link and server, whoever is answered.

use super::{
    AT_PORT, Client, PORT, REQUEST, SOLICIT, Server, lease, link, option, relayed, reserved,
};
use engine::{
    Attribute, AttributeValue, ClassMatch, ClassSpec, Clients, Lifetimes, ModelBuilder,
    OptionValue, OptionValues, ReservationKey, ReservationTable, ReservationTerms,
};
use lease::AllocationKey;
use std::sync::Arc;
use wire::{Message, OptionCode};

const INFORMATION_REQUEST: u8 = 11;
/// What clients ask for: each level says one of these more than the next nearer one.
const ASKED: [u16; 6] = [201, 202, 203, 204, 205, 206];
const DUID: [u8; 7] = [0, 2, 0, 0, 0, 9, 1];

/// Octet `level` for the first options, as many as are said.
fn says(level: u8, count: usize) -> OptionValues {
    let codes = ASKED.iter().take(count);
    codes.fold(OptionValues::NONE, |values, code| {
        values.with(OptionCode(*code), vec![level])
    })
}

fn terms(options: OptionValues) -> ReservationTerms {
    ReservationTerms {
        options,
        ..ReservationTerms::NONE
    }
}

/// Server, link, pool and class say `s`, `l`, `p` and `c`; what is reserved says what it is given.
fn server(reservations: &[(ReservationKey<'_>, usize, OptionValues)]) -> Server {
    let mut table = ReservationTable::builder();
    for (number, (key, which, options)) in (0..).zip(reservations) {
        let lease = reserved(number)[*which];
        table
            .push(0, "access", *key, lease, &terms(options.clone()))
            .unwrap();
    }
    let mut link = link(None, Clients::default());
    link.options = says(b'l', 5);
    link.pools[0].options = says(b'p', 4);
    let anything = AttributeValue {
        enterprise: None,
        octets: None,
    };
    let builder = ModelBuilder::new(&super::SERVER, AllocationKey::new([1; 16]))
        .options(says(b's', 6))
        .class(ClassSpec {
            name: "relayed".to_owned(),
            matches: vec![ClassMatch {
                of: Attribute::InterfaceId,
                values: vec![anything],
            }],
            options: says(b'c', 3),
            ..ClassSpec::default()
        })
        .reservations(Arc::new(table.finish(0).unwrap()))
        .link(link);
    Server::of(builder.build().unwrap())
}

/// The message of a client that asks for everything, without its DUID if it is an Information-request.
fn asking(client: &Client<'_>, msg_type: u8) -> Vec<u8> {
    asking_for(&ASKED, client, msg_type)
}

fn asking_for(asked: &[u16], client: &Client<'_>, msg_type: u8) -> Vec<u8> {
    let mut message = vec![msg_type, 1, 2, 3];
    if msg_type != INFORMATION_REQUEST {
        option(&mut message, 1, &[0, 2, 0, 0, 0, 9, client.number]);
        option(&mut message, 3, &[0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
    if msg_type == REQUEST {
        option(&mut message, 2, &super::SERVER);
    }
    let asked: Vec<_> = asked.iter().map(|code| code.to_be_bytes()).collect();
    option(&mut message, 6, &asked.concat());
    relayed(client.link_address, "fe80::1", &client.inner, &message)
}

/// The options of the answer that were asked for, each with one octet; `.` for one that is not there.
fn told(server: &mut Server, payload: &[u8]) -> String {
    let mut out = [0; 1_400];
    let len = server.answer(payload, &mut out).unwrap();
    let relayed = wire::Options::new(&out[34..len], 0);
    let octets = relayed.find(OptionCode::RELAY_MSG).unwrap().data;
    let message = Message::parse(octets, 0, OptionCode(0)).unwrap();
    let value = |code: &u16| {
        let found = message.options.find(OptionCode(*code));
        found.map_or('.', |option| char::from(option.data[0]))
    };
    ASKED.iter().map(value).collect()
}

#[test]
fn a_reservation_speaks_before_class_pool_link_and_server() {
    let at_port = Client::new(1, AT_PORT);
    let reserved = [(PORT, 0, says(b'r', 2))];
    let mut server = server(&reserved);
    assert_eq!(told(&mut server, &asking(&at_port, SOLICIT)), "rrcpls");
    assert_eq!(told(&mut server, &asking(&at_port, REQUEST)), "rrcpls");
    // Without leases there is no pool; who asks need not say its DUID to be known by its port.
    let information = asking(&at_port, INFORMATION_REQUEST);
    assert_eq!(told(&mut server, &information), "rrclls");
    let elsewhere = Client::new(2, &[(18, b"other")]);
    assert_eq!(told(&mut server, &asking(&elsewhere, REQUEST)), "cccpls");
    let information = asking(&elsewhere, INFORMATION_REQUEST);
    assert_eq!(told(&mut server, &information), "ccclls");
}

#[test]
fn who_does_not_say_its_duid_has_nothing_that_is_reserved_by_it() {
    let client = Client::new(1, &[]);
    let mut server = server(&[(ReservationKey::Duid(&DUID), 0, says(b'r', 1))]);
    assert_eq!(told(&mut server, &asking(&client, REQUEST)), "rpppls");
    let information = asking(&client, INFORMATION_REQUEST);
    assert_eq!(told(&mut server, &information), "llllls");
}

#[test]
fn where_address_and_prefix_are_reserved_by_different_identities_the_nearer_one_speaks_first() {
    let client = Client::new(1, AT_PORT);
    for (address, prefix) in [(0, 1), (1, 0)] {
        let mut server = server(&[
            (ReservationKey::Duid(&DUID), address, says(b'd', 1)),
            (PORT, prefix, says(b'i', 2)),
        ]);
        assert_eq!(told(&mut server, &asking(&client, SOLICIT)), "dicpls");
    }
}

#[test]
fn a_reservation_sends_unasked_and_silences_like_every_level() {
    let mut options = says(b'r', 1);
    options.set(OptionCode(202), OptionValue::default());
    let always = OptionValue {
        instances: vec![b"!".to_vec()],
        always: true,
    };
    options.set(OptionCode(203), always);
    let mut server = server(&[(PORT, 0, options)]);
    let at_port = Client::new(1, AT_PORT);
    assert_eq!(told(&mut server, &asking(&at_port, REQUEST)), "r.!pls");
    let unasked = asking_for(&[], &at_port, REQUEST);
    assert_eq!(told(&mut server, &unasked), "..!...");
}

#[test]
fn lifetimes_and_options_of_one_reservation_stand_together() {
    let lifetimes = Lifetimes {
        preferred_secs: 70,
        valid_secs: 80,
    };
    let mut table = ReservationTable::builder();
    let address = reserved(0)[0];
    let both = ReservationTerms {
        lifetimes: Some(lifetimes),
        options: says(b'r', 1),
    };
    table.push(0, "access", PORT, address, &both).unwrap();
    let other = lease("2001:db8:1::13", 128);
    let key = ReservationKey::InterfaceId(b"other");
    table
        .push(1, "access", key, other, &terms(says(b'r', 1)))
        .unwrap();
    let table = table.finish(0).unwrap();
    let shown: Vec<_> = table
        .iter()
        .map(|reserved| reserved.terms.clone())
        .collect();
    assert_eq!(shown, [both, terms(says(b'r', 1))]);
}
