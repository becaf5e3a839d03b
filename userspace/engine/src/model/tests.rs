use super::*;
use crate::Ingress;
use core::net::Ipv6Addr;
use lease::{AllocationKey, PoolError, PoolSpec};

const SERVER: [u8; 4] = [0, 3, 0, 1];

fn ip(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

fn prefix(text: &str, len: u8) -> Lease {
    Lease {
        addr: ip(text).to_bits(),
        len,
    }
}

fn builder() -> ModelBuilder {
    ModelBuilder::new(&SERVER, AllocationKey::new([7; 16]))
}

fn named(name: &str) -> LinkSpec {
    LinkSpec {
        name: name.to_owned(),
        ..LinkSpec::default()
    }
}

fn addresses(first: &str, last: &str) -> PoolConfig {
    PoolConfig::new(PoolSpec::addresses(ip(first), ip(last)).unwrap())
}

fn prefixes(text: &str, len: u8, delegated: u8) -> PoolConfig {
    PoolConfig::new(PoolSpec::prefixes(prefix(text, len), delegated).unwrap())
}

fn lifetimes(preferred_secs: u32, valid_secs: u32) -> Lifetimes {
    Lifetimes {
        preferred_secs,
        valid_secs,
    }
}

#[test]
fn nearer_lifetimes_override_farther_ones() {
    let mut plain = named("plain");
    plain
        .pools
        .push(addresses("2001:db8:1::10", "2001:db8:1::20"));
    let mut own = named("own");
    own.lifetimes = Some(lifetimes(30, 40));
    own.pools
        .push(addresses("2001:db8:2::10", "2001:db8:2::20"));
    own.pools.push(PoolConfig {
        lifetimes: Some(lifetimes(50, 60)),
        ..prefixes("2001:db8:8000::", 40, 56)
    });
    let (first, second) = ([0, 3, 9], [0, 3, 8]);
    let mut reserved = ReservationTable::builder();
    for (duid, address, lifetimes) in [
        (&first, "2001:db8:2::15", Some(lifetimes(70, 80))),
        (&second, "2001:db8:2::16", None),
    ] {
        let lease = Lease::address(ip(address));
        let key = ReservationKey::Duid(duid);
        let terms = ReservationTerms {
            lifetimes,
            ..ReservationTerms::NONE
        };
        reserved.push(0, "own", key, lease, &terms).unwrap();
    }
    let model = builder()
        .lifetimes(lifetimes(10, 20))
        .link(plain)
        .link(own)
        .reservations(Arc::new(reserved.finish(0).unwrap()))
        .build()
        .unwrap();
    let valid: Vec<u32> = model
        .pools()
        .iter()
        .map(|p| p.lifetimes().valid_secs)
        .collect();
    assert_eq!(valid, [20, 40, 60]);
    let link = &model.links()[1];
    let reserved = |link, duid: &[u8; 3], kind| {
        let mut payload = vec![1, 7, 7, 7, 0, 1, 0, 3];
        payload.extend(duid);
        let ingress = Ingress {
            payload: &payload,
            interface: InterfaceId(0),
            source: Ipv6Addr::UNSPECIFIED,
            destination: ip("ff02::1:2"),
        };
        model.reservation(link, &crate::parse(&ingress).unwrap(), kind)
    };
    let own = reserved(link, &first, IaKind::Na).unwrap();
    assert_eq!(own.lifetimes, lifetimes(70, 80));
    let plain = reserved(link, &second, IaKind::Na).unwrap();
    assert_eq!(plain.lifetimes, lifetimes(30, 40));
    assert!(reserved(link, &first, IaKind::Pd).is_none());
    assert!(reserved(&model.links()[0], &first, IaKind::Na).is_none());
    assert!(model.pools()[1].pool().is_reserved(own.reservation.lease));
}

#[test]
fn a_lease_is_found_in_the_one_pool_it_is_drawn_from() {
    let mut link = named("a");
    link.pools
        .push(addresses("2001:db8:1::10", "2001:db8:1::20"));
    link.pools.push(prefixes("2001:db8:8000::", 40, 56));
    link.pools
        .push(addresses("2001:db8:1::30", "2001:db8:1::40"));
    let model = builder().link(link).build().unwrap();
    let first_of = |lease| model.pool_of(lease).map(|p| p.pool().spec().first);
    assert_eq!(
        first_of(prefix("2001:db8:1::20", 128)),
        Some(ip("2001:db8:1::10").to_bits())
    );
    assert_eq!(first_of(prefix("2001:db8:1::21", 128)), None);
    assert_eq!(
        first_of(prefix("2001:db8:1::40", 128)),
        Some(ip("2001:db8:1::30").to_bits())
    );
    assert_eq!(
        first_of(prefix("2001:db8:80ff:ff00::", 56)),
        Some(ip("2001:db8:8000::").to_bits())
    );
    assert_eq!(first_of(prefix("2001:db8:80ff:ff00::", 60)), None);
    assert_eq!(first_of(prefix("::", 128)), None);
}

#[test]
fn what_cannot_be_served_is_refused() {
    let pool = || addresses("2001:db8:1::10", "2001:db8:1::20");
    let with_pool = |name| LinkSpec {
        pools: vec![pool()],
        ..named(name)
    };
    let error = |builder: ModelBuilder| builder.build().unwrap_err();

    assert_eq!(
        error(ModelBuilder::new(&[0, 1], AllocationKey::new([0; 16]))),
        ModelError::Duid("00:01".to_owned())
    );
    assert_eq!(
        error(builder().link(named("a")).link(named("a"))),
        ModelError::LinkTwice("a".to_owned())
    );
    assert_eq!(
        error(builder().link(with_pool("a")).link(with_pool("b"))),
        ModelError::PoolsOverlap("a".to_owned(), "b".to_owned(), ip("2001:db8:1::10"))
    );
    assert_eq!(
        error(builder().lifetimes(lifetimes(2, 1))),
        ModelError::Lifetimes("server".to_owned())
    );
    let on_interface = |name: &str| LinkSpec {
        interface: Some(InterfaceId(3)),
        ..named(name)
    };
    assert_eq!(
        error(builder().link(on_interface("a")).link(on_interface("b"))),
        ModelError::InterfaceTwice("a".to_owned(), "b".to_owned())
    );
    let relayed = |name: &str, prefix| LinkSpec {
        link_addresses: vec![prefix],
        ..named(name)
    };
    let wide = prefix("2001:db8::", 32);
    assert_eq!(
        error(builder().link(relayed("a", wide)).link(relayed("b", wide))),
        ModelError::LinkAddressTwice("a".to_owned(), "b".to_owned(), wide)
    );
    let crooked = prefix("2001:db8::1", 64);
    assert_eq!(
        error(builder().link(relayed("a", crooked))),
        ModelError::NotAPrefix("a".to_owned(), crooked)
    );
    let mut reserved = ReservationTable::builder();
    let key = ReservationKey::Duid(&[0, 3, 1]);
    let one = Lease::address(ip("2001:db8::1"));
    reserved
        .push(0, "b", key, one, &ReservationTerms::NONE)
        .unwrap();
    let reserved = Arc::new(reserved.finish(0).unwrap());
    assert_eq!(
        error(builder().link(named("a")).reservations(reserved)),
        ModelError::ReservedNowhere("b".to_owned())
    );
    let mut empty = with_pool("a");
    empty.pools[0].spec.count = 0;
    assert_eq!(
        error(builder().link(empty)),
        ModelError::Pool("a".to_owned(), PoolError::Empty)
    );
}

#[test]
fn ten_thousand_links_are_told_apart_by_link_address() {
    let mut builder = builder();
    for index in 0..10_000_u128 {
        let mut link = named(&format!("link-{index}"));
        let base = ip("2001:db8::").to_bits() | index << 64;
        link.link_addresses.push(Lease {
            addr: base,
            len: 64,
        });
        builder = builder.link(link);
    }
    let model = builder.build().unwrap();
    for index in [0_u128, 1, 4_999, 9_999] {
        let address = ip("2001:db8::1").to_bits() | index << 64;
        assert_eq!(
            model.link_of_address(address).map(LinkId::index),
            Some(index as usize)
        );
    }
    assert_eq!(model.link_of_address(ip("2001:db8:1::").to_bits()), None);
}
