//! The set-ups of two servers that FAILOVER.md shows: each pair of files is read as an operator's
//! would be. Of those without failover (RFC 6853 §6) leases are drawn from both servers' pools.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use engine::Model;
use lease::{Lease, Shard};
use std::collections::HashSet;
use twinlease::config::{Config, parse};
use wire::{Duid, IaKey, IaKind, Iaid, shard_of};

const CLIENTS: u32 = 2_000;

/// What a server leases to each client, by a server DUID and, unless its file fixes it, an
/// allocation key of its own.
fn leases(name: &str, text: &str, server: u8) -> (Config, Vec<Lease>) {
    let (config, report) = parse(name, text, &[0]).unwrap_or_else(|report| panic!("{report}"));
    assert!(
        report.to_string().is_empty(),
        "{name} has nothing to warn of:\n{report}"
    );
    let key = config.allocation_key.unwrap_or([server; 16]);
    let model = config.model(&[0, 3, 0, 1, server], key).unwrap();
    let leases = (0..CLIENTS).map(|number| lease(&model, number)).collect();
    (config, leases)
}

fn lease(model: &Model, client: u32) -> Lease {
    let octets = [&[0, 3, 0, 1], &client.to_be_bytes()[..]].concat();
    let ia = IaKey {
        duid: Duid::new(&octets).unwrap(),
        kind: IaKind::Na,
        iaid: Iaid(1),
    };
    let shard = Shard::new(shard_of(&octets), 1);
    model.pools()[0].pool().claim(&shard, &ia).unwrap()
}

macro_rules! pair {
    ($name:literal) => {
        [
            leases(
                concat!($name, "-a.toml"),
                include_str!(concat!("../etc/pairs/", $name, "-a.toml")),
                1,
            ),
            leases(
                concat!($name, "-b.toml"),
                include_str!(concat!("../etc/pairs/", $name, "-b.toml")),
                2,
            ),
        ]
    };
}

/// Clients prefer the first server of a pair (RFC 9915 §18.2.1).
fn the_first_is_favoured([(a, _), (b, _)]: &[(Config, Vec<Lease>); 2]) {
    assert_eq!((a.preference, b.preference), (255, 0));
}

fn are_disjoint([(_, a), (_, b)]: &[(Config, Vec<Lease>); 2]) -> bool {
    let a: HashSet<_> = a.iter().collect();
    b.iter().all(|lease| !a.contains(lease))
}

fn lie_in(leases: &[Lease], prefix: &str, len: u8) -> bool {
    let prefix: std::net::Ipv6Addr = prefix.parse().unwrap();
    leases
        .iter()
        .all(|lease| (lease.addr ^ prefix.to_bits()) >> (128 - len) == 0)
}

#[test]
fn rfc6853_6_1_split_prefixes_share_a_64_and_never_meet() {
    let pair = pair!("split-prefixes");
    the_first_is_favoured(&pair);
    assert!(are_disjoint(&pair));
    for (_, leases) in &pair {
        assert!(lie_in(leases, "2001:db8:1:1::", 64));
    }
}

#[test]
fn rfc6853_6_2_unique_prefixes_are_a_64_for_each() {
    let pair = pair!("unique-prefixes");
    the_first_is_favoured(&pair);
    assert!(are_disjoint(&pair));
    let [(_, a), (_, b)] = &pair;
    assert!(lie_in(a, "2001:db8:1:1::", 64));
    assert!(lie_in(b, "2001:db8:1:5::", 64));
}

#[test]
fn rfc6853_6_3_identical_prefixes_give_a_client_one_address() {
    let pair = pair!("identical-prefixes");
    the_first_is_favoured(&pair);
    let [(_, a), (_, b)] = &pair;
    assert_eq!(a, b);
    let distinct: HashSet<_> = a.iter().collect();
    assert_eq!(distinct.len(), a.len());
}

/// The file with its certificates, which are on no machine of ours, left out.
fn without_certificates(text: &str) -> Config {
    let (rest, _) = text.split_once("[failover.tls]").unwrap();
    let text = format!("{rest}tls = \"insecure\"\n");
    match parse("failover.toml", &text, &[0]) {
        Ok((config, _)) => config,
        Err(report) => panic!("{report}"),
    }
}

#[test]
fn the_files_of_a_failover_pair_differ_only_in_who_is_who() {
    let primary = include_str!("../etc/pairs/failover-primary.toml");
    let secondary = include_str!("../etc/pairs/failover-secondary.toml");
    let shared = |text: &'static str| {
        let lines = text.lines().skip(1);
        let own = ["role", "local", "partner", "certificate", "key"];
        lines.filter(move |line| !own.iter().any(|key| line.starts_with(&format!("{key} ="))))
    };
    assert!(shared(primary).eq(shared(secondary)));
    let (a, b) = (
        without_certificates(primary),
        without_certificates(secondary),
    );
    let (a, b) = (&a.failover[0], &b.failover[0]);
    assert_eq!((a.local, a.partner), (b.partner, b.local));
    assert_ne!(a.role, b.role);
}
