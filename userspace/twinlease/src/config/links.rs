//! Checks links and pools, each alone and all against each other.
//!
//! Comparisons between pools and between link-addresses go through one sort each: O(n log n) over all
//! links together.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use wire::IaKind;

use super::check::lifetimes;
use super::class::ClassNames;
use super::clients;
use super::delegated;
use super::fault::{Findings, Place};
use super::file;
use super::model::{Interface, Lifetimes, Link, Pool};
use super::read::Placed;
use super::value::Prefix;

/// A pool has at most 2^64 leases: a /64 of addresses.
const POOL_COUNT_BITS_MAX: u8 = 64;
/// Pools smaller than this are worth a warning.
const POOL_COUNT_USUAL_MIN: u128 = 8;

/// A pool with more leases than this has no last one: memory ends before.
const ENDLESS_COUNT: u128 = 1 << 32;

/// Names listed in a remedy at most, so that it stays one line.
const NAMES_SHOWN_MAX: usize = 8;

/// A stretch of addresses and who claims it.
pub(super) struct Claim<'f> {
    pub(super) first: u128,
    pub(super) last: u128,
    /// Index of the link in the file.
    pub(super) link: usize,
    /// The delegated length of a prefix pool, the longest of several; 128 for an address pool.
    pub(super) unit_len: u8,
    /// The shortest of several lengths, else the same.
    pub(super) shortest_len: u8,
    drawn_by: DrawnBy<'f>,
    place: &'f Place,
    pub(super) text: String,
}

/// Which clients draw from a pool, and in turn with which pools.
#[derive(Clone, Copy)]
struct DrawnBy<'f> {
    group: Option<&'f str>,
    /// None: all clients of the link.
    classes: &'f [String],
}

impl<'f> DrawnBy<'f> {
    fn new(group: &'f file::Maybe<String>, classes: &'f file::Maybe<ClassNames>) -> Self {
        Self {
            group: group.as_ref().map(|name| name.value.as_str()),
            classes: classes.as_ref().map_or(&[], |names| &names.value.0),
        }
    }

    /// Whether all that draw from `later` draw from this one first.
    fn covers(self, later: Self) -> bool {
        let all_of = |classes: &[String]| {
            !classes.is_empty() && classes.iter().all(|class| self.classes.contains(class))
        };
        self.group == later.group && (self.classes.is_empty() || all_of(later.classes))
    }
}

/// Checks all links. The result leaves out pools that are at fault; beside it all pools in ascending
/// order.
pub(super) fn check<'f>(
    file: &'f [file::Link],
    interfaces: &[Interface],
    defaults: Lifetimes,
    findings: &mut Findings,
) -> (Vec<Link>, Vec<Claim<'f>>) {
    let mut pools = Vec::new();
    let mut links = Vec::with_capacity(file.len());
    let interfaces: BTreeMap<&str, usize> = (0..)
        .zip(interfaces)
        .map(|(index, interface)| (interface.name.as_str(), index))
        .collect();
    for (index, link) in file.iter().enumerate() {
        links.push(one_link(
            index,
            link,
            &interfaces,
            defaults,
            &mut pools,
            findings,
        ));
    }
    if file.is_empty() {
        let place = Place {
            offset: 0,
            key: "link".into(),
        };
        findings.warn(
            &place,
            "no link, so no client gets a lease",
            "add [[link]] with pools",
        );
    }
    pools_are_reached(file, &pools, findings);
    names_are_unique(file, findings);
    link_addresses_are_unique(file, findings);
    pools.sort_by_key(|pool| (pool.first, pool.last));
    pools_are_apart(&pools, file, findings);
    (links, pools)
}

fn one_link<'f>(
    index: usize,
    link: &'f file::Link,
    interfaces: &BTreeMap<&str, usize>,
    defaults: Lifetimes,
    claims: &mut Vec<Claim<'f>>,
    findings: &mut Findings,
) -> Link {
    let here = lifetimes(&link.lifetimes, defaults, findings);
    let mut pools = Vec::new();
    for pool in &link.address_pools {
        pools.extend(address_pool(index, pool, here, claims, findings));
    }
    for pool in &link.prefix_pools {
        pools.extend(prefix_pool(index, pool, here, claims, findings));
    }
    Link {
        name: link
            .name
            .as_ref()
            .map_or_else(String::new, |name| name.value.clone()),
        interface: link_interface(link, interfaces, findings),
        link_addresses: link
            .link_addresses
            .iter()
            .flat_map(|l| &l.value)
            .map(|p| p.value)
            .collect(),
        lifetimes: here,
        shared_network: link.shared_network.as_ref().map(|name| name.value.clone()),
        clients: clients::check(link, findings),
        options: link.options.clone(),
        pools,
    }
}

fn link_interface(
    link: &file::Link,
    interfaces: &BTreeMap<&str, usize>,
    findings: &mut Findings,
) -> Option<usize> {
    let Some(name) = &link.interface else {
        if link
            .link_addresses
            .as_ref()
            .is_none_or(|list| list.value.is_empty())
            && link.shared_network.is_none()
        {
            findings.fault(
                &link.place,
                "no client can be on this link: it has neither interface nor link-addresses",
                "add interface = … for clients on the wire, or link-addresses = […] for relays",
            );
        }
        return None;
    };
    let index = interfaces.get(name.value.as_str()).copied();
    if index.is_none() {
        let known: Vec<_> = interfaces.keys().copied().take(NAMES_SHOWN_MAX).collect();
        let problem = format!("interface \"{}\" has no [[interface]]", name.value);
        let remedy = format!("add one, or choose from: {}", known.join(", "));
        findings.fault(&name.place, problem, remedy);
    }
    index
}

fn address_pool<'f>(
    link: usize,
    pool: &'f file::AddressPool,
    outer: Lifetimes,
    claims: &mut Vec<Claim<'f>>,
    findings: &mut Findings,
) -> Option<Pool> {
    let lifetimes = lifetimes(&pool.lifetimes, outer, findings);
    let range = pool.range.as_ref()?;
    let (first, last) = (range.value.first, range.value.last);
    if (last - first) >> POOL_COUNT_BITS_MAX != 0 {
        let problem = "has more than 2^64 addresses";
        findings.fault(&range.place, problem, "use a /64 or less");
        return None;
    }
    if holds_multicast(last, &range.place, findings) {
        return None;
    }
    let count = last - first + 1;
    small(count, &range.place, findings);
    let (place, text) = (&range.place, range.value.text.clone());
    claims.push(Claim {
        first,
        last,
        link,
        unit_len: 128,
        shortest_len: 128,
        drawn_by: DrawnBy::new(&pool.group, &pool.class),
        place,
        text: text.clone(),
    });
    Some(Pool {
        kind: IaKind::Na,
        range: text,
        first,
        count,
        unit_len: 128,
        lengths: None,
        lifetimes,
        options: pool.options.clone(),
        group: pool.group.as_ref().map(|name| name.value.clone()),
        classes: classes(&pool.class),
        excluded_len: None,
    })
}

fn prefix_pool<'f>(
    link: usize,
    pool: &'f file::PrefixPool,
    outer: Lifetimes,
    claims: &mut Vec<Claim<'f>>,
    findings: &mut Findings,
) -> Option<Pool> {
    let lifetimes = lifetimes(&pool.lifetimes, outer, findings);
    let (prefix, length) = (pool.prefix.as_ref()?, pool.delegated_length.as_ref()?);
    let (delegated, lengths) = delegated::check(pool, prefix.value.len, findings)?;
    let unit_len = delegated.longest;
    if unit_len - prefix.value.len > POOL_COUNT_BITS_MAX {
        let problem = format!("has more than 2^64 prefixes of length {unit_len}");
        let remedy = format!("use a /{} or longer", unit_len - POOL_COUNT_BITS_MAX);
        findings.fault(&prefix.place, problem, remedy);
        return None;
    }
    if holds_multicast(prefix.value.last(), &prefix.place, findings) {
        return None;
    }
    if let Some(excluded) = &pool.excluded_length
        && excluded.value.0 <= u64::from(unit_len)
    {
        let problem = format!(
            "a /{} cannot be excluded from a /{unit_len}",
            excluded.value.0
        );
        let remedy = format!(
            "write a length from {} to 128 (RFC 6603 §4.2)",
            unit_len + 1
        );
        findings.fault(&excluded.place, problem, remedy);
    }
    if unit_len > 64 {
        let problem = format!("clients cannot number a link from a /{unit_len}");
        findings.warn(
            &length.place,
            problem,
            "delegate /64 or shorter (RFC 7084 WPD-1)",
        );
    }
    let count = 1u128 << (unit_len - prefix.value.len);
    small(count, &prefix.place, findings);
    let (first, last) = (prefix.value.first, prefix.value.last());
    let text = prefix.value.to_string();
    claims.push(Claim {
        first,
        last,
        link,
        unit_len,
        shortest_len: delegated.shortest,
        drawn_by: DrawnBy::new(&pool.group, &pool.class),
        place: &prefix.place,
        text: text.clone(),
    });
    Some(Pool {
        kind: IaKind::Pd,
        range: text,
        first,
        count,
        unit_len,
        lengths,
        lifetimes,
        options: pool.options.clone(),
        group: pool.group.as_ref().map(|name| name.value.clone()),
        classes: classes(&pool.class),
        excluded_len: pool.excluded_length.as_ref().map(|len| len.value.0 as u8),
    })
}

fn classes(names: &file::Maybe<ClassNames>) -> Vec<String> {
    names
        .as_ref()
        .map_or_else(Vec::new, |names| names.value.0.clone())
}

/// Multicast is the end of the address space, so a range holds some if its last address is one.
fn holds_multicast(last: u128, place: &Place, findings: &mut Findings) -> bool {
    let holds = Ipv6Addr::from_bits(last).is_multicast();
    if holds {
        let problem = "holds multicast addresses";
        findings.fault(place, problem, "use unicast addresses");
    }
    holds
}

fn small(count: u128, place: &Place, findings: &mut Findings) {
    if count < POOL_COUNT_USUAL_MIN {
        let problem = format!("has room for {count} leases only");
        findings.warn(
            place,
            problem,
            "use a larger range where more clients may come",
        );
    }
}

/// Pools of one kind are tried in order, so one behind a pool that never runs out is never used; and
/// an address outside of the prefixes by which relays know the link is none that works there.
fn pools_are_reached(file: &[file::Link], pools: &[Claim<'_>], findings: &mut Findings) {
    let mut by_link: BTreeMap<(usize, bool), Vec<&Claim<'_>>> = BTreeMap::new();
    for pool in pools {
        let kind = (pool.link, pool.unit_len == 128);
        by_link.entry(kind).or_default().push(pool);
    }
    for ((link, addresses), mut pools) in by_link {
        pools.sort_by_key(|pool| pool.place.offset);
        let is_endless = |pool: &Claim<'_>| {
            let unit = 128 - u32::from(pool.unit_len);
            (pool.last - pool.first) >> unit >= ENDLESS_COUNT
        };
        let mut endless: Vec<DrawnBy<'_>> = Vec::new();
        for pool in &pools {
            if endless.iter().any(|first| first.covers(pool.drawn_by)) {
                let problem = format!(
                    "{} is never used: a pool before it never runs out",
                    pool.text
                );
                findings.warn(pool.place, problem, "move it before that one, or remove it");
            } else if is_endless(pool) {
                endless.push(pool.drawn_by);
            }
        }
        let reach = file[link].link_addresses.as_ref();
        let reach = reach.map_or(&[][..], |list| &list.value);
        if !addresses || reach.is_empty() || file[link].interface.is_some() {
            continue;
        }
        for pool in pools {
            let inside = |prefix: &Placed<Prefix>| {
                prefix.value.contains(pool.first) && prefix.value.contains(pool.last)
            };
            if !reach.iter().any(inside) {
                let problem = format!("{} is in none of the link's link-addresses", pool.text);
                let remedy = "add its prefix to link-addresses if the relays' routers serve it";
                findings.warn(pool.place, problem, remedy);
            }
        }
    }
}

fn names_are_unique(file: &[file::Link], findings: &mut Findings) {
    let (mut names, mut interfaces) = (BTreeMap::new(), BTreeMap::new());
    for link in file {
        if let Some(name) = &link.name
            && let Some(first) = names.insert(name.value.as_str(), &link.place.key)
        {
            let problem = format!("\"{}\" is already the name of {first}", name.value);
            findings.fault(&name.place, problem, "give each link its own name");
        }
        if let Some(interface) = &link.interface
            && let Some(first) = interfaces.insert(interface.value.as_str(), &link.place.key)
        {
            let problem = format!(
                "clients on \"{}\" already belong to {first}",
                interface.value
            );
            findings.fault(
                &interface.place,
                problem,
                "name an interface in one link only",
            );
        }
    }
}

fn link_addresses_are_unique(file: &[file::Link], findings: &mut Findings) {
    let mut owners = BTreeMap::new();
    for (index, link) in file.iter().enumerate() {
        for prefix in link.link_addresses.iter().flat_map(|list| &list.value) {
            if let Some(other) = owners.insert(prefix.value, index) {
                let problem = match other == index {
                    true => format!("{} stands here twice", prefix.value),
                    false => format!(
                        "{} already means link \"{}\"",
                        prefix.value,
                        name(&file[other])
                    ),
                };
                let remedy = "a link-address means one link: remove one of the two";
                findings.fault(&prefix.place, problem, remedy);
            }
        }
    }
}

fn name(link: &file::Link) -> &str {
    link.name.as_ref().map_or("", |name| &name.value)
}

/// `pools` are sorted by first address; each is held against the one before that reaches furthest.
fn pools_are_apart(pools: &[Claim<'_>], file: &[file::Link], findings: &mut Findings) {
    let mut furthest: Option<&Claim<'_>> = None;
    for pool in pools {
        if let Some(before) = furthest.filter(|before| before.last >= pool.first) {
            // The one that stands later in the file is the one reported.
            let (other, pool) = match before.place.offset < pool.place.offset {
                true => (before, pool),
                false => (pool, before),
            };
            let problem = format!(
                "{} overlaps {} of link \"{}\"",
                pool.text,
                other.text,
                name(&file[other.link])
            );
            findings.fault(
                pool.place,
                problem,
                "give the two pools addresses of their own",
            );
        }
        if furthest.is_none_or(|before| before.last < pool.last) {
            furthest = Some(pool);
        }
    }
}
