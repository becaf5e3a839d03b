//! Links, pools and reservations against each other, and what passes the check against the engine.

use super::{CORES, GOOD, findings, taken};
use crate::config::parse;
use proptest::prelude::*;
use std::fmt::Write;

/// Two links: `a` on eth0 with an address pool and a prefix pool, `b` behind relays.
const LINKS: &str = r#"[[interface]]
name = "eth0"
[[link]]
name = "b"
link-addresses = ["2001:db8:b::/64"]
[[link.address-pool]]
range = "2001:db8:b::/64"
[[link]]
name = "a"
interface = "eth0"
link-addresses = ["2001:db8:a::/64"]
[[link.address-pool]]
range = "2001:db8:a::1000-2001:db8:a::1fff"
[[link.prefix-pool]]
prefix = "2001:db8:8000::/40"
delegated-length = 56
"#;

/// One more address pool, prefix pool, reservation or link behind [`LINKS`].
fn address_pool(range: &str) -> String {
    format!("[[link.address-pool]]\nrange = \"{range}\"\n")
}

fn prefix_pool(prefix: &str, length: u32) -> String {
    format!("[[link.prefix-pool]]\nprefix = \"{prefix}\"\ndelegated-length = {length}\n")
}

fn reservation(lease: &str) -> String {
    format!("[[link.reservation]]\nduid = \"00:04:01:02\"\n{lease}\n")
}

fn link(keys: &str) -> String {
    format!("[[link]]\n{keys}\n")
}

#[test]
fn the_links_of_these_tests_have_no_finding() {
    assert_eq!(findings(LINKS), "");
    taken(LINKS).model(&[0, 4, 1, 2], [7; 16]).unwrap();
}

#[test]
fn links_share_neither_name_nor_interface_nor_link_address() {
    for (fault, said) in [
        (
            link("name = \"a\"\nlink-addresses = [\"2001:db8:c::/64\"]"),
            "link[2].name: \"a\" is already the name of link[1]",
        ),
        (
            link("name = \"c\"\ninterface = \"eth0\""),
            "link[2].interface: clients on \"eth0\" already belong to link[1]",
        ),
        (
            link("name = \"c\"\nlink-addresses = [\"2001:db8:a::/64\"]"),
            "link[2].link-addresses[0]: 2001:db8:a::/64 already means link \"a\"",
        ),
        (
            link("name = \"c\""),
            "link[2]: no client can be on this link",
        ),
    ] {
        refused(&fault, said);
    }
}

#[test]
fn a_pool_is_one_that_can_be_served() {
    for (fault, said) in [
        (
            address_pool("2001:db8:c::/63"),
            "has more than 2^64 addresses",
        ),
        (address_pool("::-ffff::"), "has more than 2^64 addresses"),
        (address_pool("ff02::/64"), "holds multicast addresses"),
        (address_pool("2001:db8:c::1"), "is not a range"),
        (prefix_pool("2001::/16", 81), "has more than 2^64 prefixes"),
        (prefix_pool("ff00::/8", 56), "holds multicast addresses"),
        (prefix_pool("2001:db8:1::/48", 128), "128 is out of range"),
        (
            prefix_pool("2001:db8:1::1/48", 56),
            "has bits set behind its length",
        ),
        (
            prefix_pool("2001:db8:8000::/48", 64),
            "overlaps 2001:db8:8000::/40 of link \"a\"",
        ),
        (
            address_pool("2001:db8:b::1-2001:db8:b::9"),
            "overlaps 2001:db8:b::/64 of link \"b\"",
        ),
        (
            address_pool("2001:db8:8000::/64"),
            "overlaps 2001:db8:8000::/40 of link \"a\"",
        ),
    ] {
        refused(&fault, said);
    }
}

#[test]
fn a_reservation_is_one_that_can_be_kept() {
    for (fault, said) in [
        (reservation(""), "reserves nothing"),
        (
            reservation("address = \"2001:db8:b::1\""),
            "lies in pool 2001:db8:b::/64 of link \"b\"",
        ),
        (
            reservation("address = \"2001:db8:c::1\""),
            "2001:db8:c::1 is not on link \"a\"",
        ),
        (
            reservation("address = \"2001:db8:8000::1\""),
            "but is no /56",
        ),
        (
            reservation("prefix = \"2001:db8:8000::/60\""),
            "but is no /56",
        ),
        (
            reservation("prefix = \"2001:db8:7000::1/128\""),
            "a /128 cannot be delegated",
        ),
        (reservation("prefix = \"::/0\""), "a /0 cannot be delegated"),
        (
            reservation("address = \"ff02::1\""),
            "holds multicast addresses",
        ),
        (
            reservation("address = \"2001:db8:a::1\"")
                + &reservation("address = \"2001:db8:a::2\""),
            "this client already has link[1].reservation[0].address on this link",
        ),
        (
            reservation("address = \"2001:db8:a::1\"")
                + &reservation("address = \"2001:db8:a::1\"").replace("01:02", "01:03"),
            "2001:db8:a::1 is already reserved by link[1].reservation[0].address",
        ),
    ] {
        refused(&fault, said);
    }
    refused_once(&reservation("address = 1"), "write an IPv6 address");
}

#[test]
fn reservations_inside_a_pool_outside_of_it_and_of_prefixes_are_taken() {
    let more = reservation("address = \"2001:db8:a::1001\"\nprefix = \"2001:db8:80ff::/56\"")
        + &reservation("address = \"2001:db8:a::1\"\nprefix = \"2001:db8:7000::/48\"")
            .replace("01:02", "01:03");
    let text = format!("{LINKS}{more}");
    assert_eq!(findings(&text), "");
    taken(&text).model(&[0, 4, 1, 2], [7; 16]).unwrap();
}

#[test]
fn what_will_hurt_is_a_warning() {
    for (more, said) in [
        (
            address_pool("2001:db8:a::1-2001:db8:a::3"),
            "has room for 3 leases only",
        ),
        (
            prefix_pool("2001:db8:1::/56", 72),
            "clients cannot number a link from a /72",
        ),
        (
            link("name = \"c\"\nlink-addresses = [\"2001:db8:c::/64\"]"),
            "options only",
        ),
        (
            "[lifetimes]\nvalid = \"20s\"\npreferred = \"3s\"\n".into(),
            "are for labs",
        ),
        (
            "[lifetimes]\npreferred = \"0s\"\n".into(),
            "deprecated at once",
        ),
        (
            "[control]\nmetrics = \"[2001:db8::1]:9547\"\n".into(),
            "open to the network",
        ),
        (
            "[[interface]]\nname = \"eth1\"\nio = \"socket\"\n".into(),
            "a fraction of what AF_XDP",
        ),
    ] {
        let text = format!("{LINKS}{more}");
        let report = findings(&text);
        assert!(
            report.contains(": warning: ") && report.contains(said),
            "{more}\n{report}"
        );
        taken(&text);
    }
}

fn refused(fault: &str, said: &str) {
    let report = findings(&format!("{LINKS}{fault}"));
    assert!(
        report.contains(said),
        "{fault}\nis said to be:\n{report}\nnot:\n{said}"
    );
    assert!(report.contains(": error: "), "{report}");
}

fn refused_once(fault: &str, said: &str) {
    refused(fault, said);
    let report = findings(&format!("{LINKS}{fault}"));
    assert_eq!(report.lines().count(), 1, "{report}");
}

/// A small part of the address space, so that leases often meet.
fn some_prefix() -> impl Strategy<Value = String> {
    (0..3_u16, 0..4_u16, 40..70_u8).prop_map(|(site, net, len)| {
        let bits = (0x2001_0db8_u128 << 96)
            | u128::from(site) << 84
            | u128::from(net) << 64
            | u128::from(net) << 60;
        let first = bits & !(u128::MAX >> len);
        format!("{}/{len}", std::net::Ipv6Addr::from_bits(first))
    })
}

fn some_link() -> impl Strategy<Value = String> {
    let range = (0..3_u16, 0..6_u16, 0..3_u16).prop_map(|(net, first, count)| {
        format!(
            "2001:db8:0:{net}::{first:x}-2001:db8:0:{net}::{:x}",
            first + count
        )
    });
    let pool = prop_oneof![
        some_prefix().prop_map(|range| address_pool(&range)),
        range.prop_map(|range| address_pool(&range)),
        (some_prefix(), 40..80_u32).prop_map(|(prefix, len)| prefix_pool(&prefix, len)),
        some_prefix().prop_map(|p| reservation(&format!("prefix = \"{p}\""))),
        (0..3_u16, 0..9_u16)
            .prop_map(|(n, h)| reservation(&format!("address = \"2001:db8:0:{n}::{h:x}\""))),
    ];
    prop::collection::vec(pool, 0..3).prop_map(|pools| pools.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_passes_the_check_is_taken_by_the_engine(
        links in prop::collection::vec(some_link(), 1..4),
        addresses in prop::collection::vec(some_prefix(), 4),
    ) {
        let mut text = String::from("[[interface]]\nname = \"eth0\"\n");
        for (index, (link, address)) in links.iter().zip(&addresses).enumerate() {
            write!(text, "[[link]]\nname = \"l{index}\"\nlink-addresses = [\"{address}\"]\n{link}")
                .expect("a string takes everything");
        }
        if let Ok((config, _)) = parse("t.toml", &text, &CORES) {
            let model = config.model(&[0, 4, 1, 2], [7; 16]);
            prop_assert!(model.is_ok(), "{text}\n{:?}", model.err());
        }
    }
}

#[test]
fn links_of_one_network_are_several_and_in_one_relationship() {
    let link = |name: &str, lines: &str| {
        format!("[[link]]\nname = \"{name}\"\nshared-network = \"wire\"\n{lines}")
    };
    let pool = |number: u8| {
        format!(
            "link-addresses = [\"2001:db8:{number}::/64\"]\n\
             [[link.address-pool]]\nrange = \"2001:db8:{number}::/64\"\n"
        )
    };
    let one = format!("{GOOD}{}", link("a", &pool(1)));
    let said = findings(&one);
    assert!(
        said.contains("warning: link[0].shared-network: network \"wire\" has one"),
        "{said}"
    );
    let two = format!("{one}{}", link("b", &pool(2)));
    let said = findings(&two);
    assert!(!said.contains("shared-network"), "{said}");
    let pair = format!(
        "{two}[[failover]]\nname = \"x\"\nrole = \"primary\"\nlocal = \"[2001:db8::1]:647\"\n\
         partner = \"[2001:db8::2]:647\"\nlinks = [\"a\"]\ntls = \"insecure\"\n"
    );
    let said = findings(&pair);
    assert!(
        said.contains("error: link[1].shared-network: link \"a\" of the same"),
        "{said}"
    );
    let both = pair.replace("links = [\"a\"]", "links = [\"a\", \"b\"]");
    let said = findings(&both);
    assert!(!said.contains("shared-network"), "{said}");
}

#[test]
fn what_relays_supply_is_looked_at() {
    let said = findings(&format!(
        "[server]\nrelay-supplied-options = [65, 1, 23, 60000]\n{GOOD}"
    ));
    for part in [
        "error: server.relay-supplied-options[1]: OPTION_CLIENTID is the server's own",
        "warning: server.relay-supplied-options[2]: no RFC lets relays supply OPTION_DNS_SERVERS",
        "warning: server.relay-supplied-options[3]: no option 60000 is known",
    ] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
    assert!(!said.contains("options[0]"), "{said}");
}
