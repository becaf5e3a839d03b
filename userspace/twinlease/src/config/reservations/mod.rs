//! Reservations, of the config and of the file that it names: read, checked alike, and put into one
//! table.
//!
//! The config's are checked with the place of their keys, the file's with their line. Both stand
//! beside each other in the table, so two that want one lease or one client are found wherever they
//! are.

mod faults;
mod line;
mod line_options;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::Ipv6Addr;
use std::sync::Arc;

use engine::{ClashOver, KEY_LEN_MAX, OptionValues, ReservationError, ReservationKey};
use engine::{ReservationTable, ReservationTableBuilder, ReservationTerms};
use lease::Lease;

use self::faults::{Faults, Source};
pub use self::line::Lines;
use self::line_options::LineOptions;
use super::build;
use super::check::lifetimes;
use super::fault::{Findings, Located};
use super::file;
use super::links::Claim;
use super::model::Lifetimes;
use super::value::Prefix;

/// Clashes told at most: as many as faults of a file.
const CLASHES_MAX: usize = faults::TOLD_MAX;

/// What all reservations are held against.
pub struct Links<'f> {
    /// As the file has them.
    pub tables: &'f [file::Link],
    /// Their pools in ascending order.
    pub pools: &'f [Claim<'f>],
    /// Each link's lifetimes.
    pub lifetimes: Vec<Lifetimes>,
}

/// One reservation, from wherever it is.
#[derive(Clone, Debug)]
struct Wanted<'w> {
    link: usize,
    key: ReservationKey<'w>,
    addresses: Vec<Ipv6Addr>,
    prefixes: Vec<Prefix>,
    terms: ReservationTerms,
}

/// Checks the reservations of the config and those of `lines`, and makes a table of them. What is
/// wrong with `lines` is given apart, because it is in another file.
pub fn check(
    links: &Links<'_>,
    lines: Option<Lines>,
    findings: &mut Findings,
) -> (Arc<ReservationTable>, Vec<Located>) {
    let tables: Vec<(usize, &file::Reservation)> = (0..)
        .zip(links.tables)
        .flat_map(|(link, table)| table.reservations.iter().map(move |r| (link, r)))
        .collect();
    let mut gatherer = Gatherer {
        links,
        table: ReservationTable::builder(),
        faults: Faults::new(&tables, findings, lines.as_ref().map(Lines::name)),
        line_options: LineOptions::default(),
    };
    for (number, (link, table)) in (0..).zip(&tables) {
        gatherer.take_table(Source::Table(number), *link, table);
    }
    if let Some(lines) = lines {
        let names: HashMap<&str, usize> = (0..)
            .zip(links.tables)
            .filter_map(|(link, table)| Some((table.name.as_ref()?.value.as_str(), link)))
            .collect();
        lines.read(&mut gatherer, &names);
    }
    gatherer.finish()
}

struct Gatherer<'g, 'f> {
    links: &'g Links<'f>,
    table: ReservationTableBuilder,
    faults: Faults<'g>,
    line_options: LineOptions,
}

impl Gatherer<'_, '_> {
    fn take_table(&mut self, source: Source, link: usize, table: &file::Reservation) {
        let own = &table.lifetimes;
        let resolved = lifetimes(own, self.links.lifetimes[link], self.faults.findings());
        let is_own = own.preferred.is_some() || own.valid.is_some();
        if table.is_empty {
            self.faults.fault(
                source,
                "",
                "reserves nothing".into(),
                "add address = … or prefix = …",
            );
        }
        let Some(key) = self.key(source, &table.key) else {
            return;
        };
        self.take(
            source,
            &Wanted {
                link,
                key,
                addresses: table.addresses.iter().map(|placed| placed.value).collect(),
                prefixes: table.prefixes.iter().map(|placed| placed.value).collect(),
                terms: terms(is_own.then_some(resolved), table.options.clone()),
            },
        );
    }

    /// The one key among those that may be given.
    fn key<'k>(&mut self, source: Source, keys: &'k Keys) -> Option<ReservationKey<'k>> {
        let enterprise = keys.enterprise;
        let id = |octets: &'k Option<Box<[u8]>>| octets.as_deref();
        let all = [
            id(&keys.duid).map(ReservationKey::Duid),
            id(&keys.link_layer_address).map(ReservationKey::LinkLayerAddress),
            id(&keys.remote_id).map(|id| ReservationKey::RemoteId { enterprise, id }),
            id(&keys.interface_id).map(ReservationKey::InterfaceId),
            id(&keys.subscriber_id).map(ReservationKey::SubscriberId),
        ];
        let mut given = all.into_iter().flatten();
        let (first, second) = (given.next(), given.next());
        if enterprise.is_some() && keys.remote_id.is_none() && keys.given == 1 {
            let problem = "numbers the remote-id, and there is none".into();
            self.faults
                .fault(source, "enterprise-number", problem, "remove it");
        }
        match (first, second, keys.given) {
            (_, _, 0) => {
                let problem = "does not say whose it is".into();
                let remedy =
                    "add duid, link-layer-address, remote-id, interface-id or subscriber-id";
                self.faults.fault(source, "", problem, remedy);
            }
            (Some(first), Some(second), _) => {
                let (first, second) = (first.kind().as_str(), second.kind().as_str());
                let problem = format!("is keyed by {first} and by {second}");
                let remedy = "keep one of them: each reservation has one key";
                self.faults.fault(source, second, problem, remedy);
            }
            (Some(key), None, _) if !key.is_possible() => {
                let problem = format!("has {} octets", key.id().len());
                let remedy = match key {
                    ReservationKey::Duid(_) => "write 3 to 130 octets (RFC 9915 §11.1)".to_owned(),
                    _ => {
                        format!("write 1 to {KEY_LEN_MAX} octets, an enterprise number among them")
                    }
                };
                self.faults
                    .fault(source, key.kind().as_str(), problem, &remedy);
            }
            (Some(key), None, 1) => return Some(key),
            // What is at fault has been told.
            _ => {}
        }
        None
    }

    /// Checks each lease and reserves it.
    fn take(&mut self, source: Source, wanted: &Wanted<'_>) {
        for address in &wanted.addresses {
            let lease = Prefix {
                first: address.to_bits(),
                len: 128,
            };
            self.reserve(source, Field::Address, wanted, lease);
        }
        for prefix in &wanted.prefixes {
            if (1..=127).contains(&prefix.len) {
                self.reserve(source, Field::Prefix, wanted, *prefix);
            } else {
                let problem = format!("a /{} cannot be delegated", prefix.len);
                let remedy = "write a length from 1 to 127, or address = … for one address";
                let lease = build::lease(*prefix);
                self.faults
                    .fault_of(source, Field::Prefix, lease, problem, remedy);
            }
        }
    }

    fn reserve(&mut self, source: Source, field: Field, wanted: &Wanted<'_>, lease: Prefix) {
        if let Some((problem, remedy)) = self.links.forbid(wanted.link, lease) {
            let lease = build::lease(lease);
            self.faults.fault_of(source, field, lease, problem, remedy);
            return;
        }
        let pushed = self.table.push(
            self.faults.number(source),
            self.links.name(wanted.link),
            wanted.key,
            build::lease(lease),
            &wanted.terms,
        );
        match pushed {
            // Lifetimes that cannot be have been told.
            Ok(()) | Err(ReservationError::Lifetimes) => {}
            Err(error) => {
                let remedy = match error {
                    ReservationError::TooManyTerms => {
                        "give more of them the same; what many share belongs in a class, a pool or the link"
                    }
                    ReservationError::Option(_) => "correct or remove it in the options",
                    ReservationError::TooManyOfOne => "a client with more needs a pool of its own",
                    _ => "reserve less, or by shorter keys",
                };
                let lease = build::lease(lease);
                self.faults
                    .fault_of(source, field, lease, error.to_string(), remedy);
            }
        }
    }
}

impl Gatherer<'_, '_> {
    fn finish(self) -> (Arc<ReservationTable>, Vec<Located>) {
        let mut faults = self.faults;
        let table = match self.table.finish(CLASHES_MAX) {
            Ok(table) => Arc::new(table),
            Err(clashes) => {
                for clash in clashes {
                    let (first, lease) = clash.first;
                    let (second, taken) = clash.second;
                    let by = faults.place(first, lease);
                    let (problem, remedy) = match clash.over {
                        ClashOver::Lease => (
                            format!("{} is already reserved by {by}", show(taken)),
                            "reserve a lease for one client only",
                        ),
                        ClashOver::Key => (
                            format!("this client already has {by} on this link"),
                            "list all addresses and all prefixes of a client in one reservation",
                        ),
                    };
                    let (source, field) = (faults.source(second), Field::of(taken));
                    faults.fault_of(source, field, taken, problem, remedy);
                }
                Arc::default()
            }
        };
        (table, faults.of_lines())
    }
}

impl Links<'_> {
    fn name(&self, link: usize) -> &str {
        let name = self.tables[link].name.as_ref();
        name.map_or("", |name| &name.value)
    }

    /// Why a lease cannot be reserved on a link, and what to do. One inside a pool belongs to that
    /// pool's link and has its length; an address outside of all pools is at least on its link.
    fn forbid(&self, link: usize, lease: Prefix) -> Option<(String, &'static str)> {
        let (first, last) = (lease.first, lease.last());
        if Ipv6Addr::from_bits(last).is_multicast() {
            let problem = "holds multicast addresses".to_owned();
            return Some((problem, "use unicast addresses"));
        }
        let behind = self.pools.partition_point(|pool| pool.first <= last);
        let touched = self.pools[..behind]
            .last()
            .filter(|pool| pool.last >= first);
        if let Some(pool) = touched {
            if pool.link != link {
                let other = self.name(pool.link);
                let problem = format!("lies in pool {} of link \"{other}\"", pool.text);
                return Some((problem, "reserve it in that link, or choose another"));
            }
            if !(pool.shortest_len..=pool.unit_len).contains(&lease.len) {
                let lengths = match pool.shortest_len == pool.unit_len {
                    true => format!("no /{}", pool.unit_len),
                    false => format!("none of /{} to /{}", pool.shortest_len, pool.unit_len),
                };
                let problem = format!("lies in pool {} but is {lengths}", pool.text);
                let remedy = "reserve one of the pool's own leases, or something outside of it";
                return Some((problem, remedy));
            }
            return None;
        }
        let reach = self.tables[link].link_addresses.as_ref();
        let reach = reach.map_or(&[][..], |list| &list.value);
        let is_reached = reach.iter().any(|prefix| prefix.value.contains(first));
        if lease.len == 128 && !reach.is_empty() && !is_reached {
            let address = Ipv6Addr::from_bits(first);
            let problem = format!("{address} is not on link \"{}\"", self.name(link));
            let remedy = "choose one inside its link-addresses or pools; clients could not use it";
            return Some((problem, remedy));
        }
        None
    }
}

/// The keys that a reservation can have, of which it has one.
#[derive(Debug, Default)]
pub struct Keys {
    pub duid: Option<Box<[u8]>>,
    pub link_layer_address: Option<Box<[u8]>>,
    pub remote_id: Option<Box<[u8]>>,
    pub enterprise: Option<u32>,
    pub interface_id: Option<Box<[u8]>>,
    pub subscriber_id: Option<Box<[u8]>>,
    /// How many were given, enterprise number apart, those at fault among them.
    pub given: usize,
}

fn terms(lifetimes: Option<Lifetimes>, options: OptionValues) -> ReservationTerms {
    ReservationTerms {
        lifetimes: lifetimes.map(build::lifetimes),
        options,
    }
}

/// The key under which a lease is reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Address,
    Prefix,
}

impl Field {
    fn of(lease: Lease) -> Self {
        match lease.len {
            128 => Self::Address,
            _ => Self::Prefix,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Prefix => "prefix",
        }
    }
}

fn show(lease: Lease) -> String {
    match lease.len {
        128 => Ipv6Addr::from_bits(lease.addr).to_string(),
        _ => lease.to_string(),
    }
}
