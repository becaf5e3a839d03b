//! Checks relationships: each alone, against the links, and against each other.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use engine::{ClassSpec, ReservationTable};
use lease::pool::DENSE_POSITIONS_MAX;
use wire::IaKind;

use super::{Failover as Table, Tls};
use crate::config::fault::{Findings, Place};
use crate::config::model::{Failover, Link, Role, WithoutPartner};
use crate::config::read::Placed;
use crate::config::value::Secs;
use crate::partner::tls::{Identity, TlsError, TlsFiles};

/// Longest name of a relationship in octets; it is shown, logged and sent with every CONNECT.
const NAME_LEN_MAX: usize = 255;
/// New leases shorter than this and failover are for labs (RFC 8156 §1).
const VALID_SECS_MIN: u32 = 30;
/// Links listed in a remedy at most, so that it stays one line.
const NAMES_SHOWN_MAX: usize = 8;

const MCLT: Secs = Secs(3600);
const KEEPALIVE: Secs = Secs(60);
const STARTUP: Secs = Secs(10);
const CONNECT_RETRY: Secs = Secs(5);
const PREFIX_SHARE: f64 = 0.5;

/// Checks all relationships. The result leaves out those that lack what they need.
pub fn check(
    file: &[Table],
    links: &[Link],
    classes: &[ClassSpec],
    reservations: &ReservationTable,
    findings: &mut Findings,
) -> Vec<Failover> {
    names_are_unique(file, findings);
    let mut used = BTreeMap::new();
    let mut relationships = Vec::with_capacity(file.len());
    for table in file {
        let links_here = links_of(table, links, &mut used, findings);
        relationships.extend(one(table, links_here, findings));
    }
    if let Some(table) = file.first() {
        for class in classes {
            let Some(lifetimes) = class.lifetimes else {
                continue;
            };
            let (what, valid) = (format!("class \"{}\"", class.name), lifetimes.valid_secs);
            shareable(&what, Secs(valid), &table.place, findings);
        }
    }
    reservations_are_servable(&used, links, reservations, findings);
    protected_alike(&relationships, file, findings);
    one_only(file, findings);
    relationships
}

/// What a partner has acknowledged is kept once for each lease and not by relationship.
fn one_only(file: &[Table], findings: &mut Findings) {
    for table in file.iter().skip(1) {
        let problem = "a server has one relationship at most";
        let remedy = "put all links that the two servers share into the first one; a server that is \
            to share links with two others is two servers, each with its own state-dir and links";
        findings.fault(&table.place, problem, remedy);
    }
}

fn one(table: &Table, links: Vec<usize>, findings: &mut Findings) -> Option<Failover> {
    let local = socket(&table.local, findings);
    let partner = socket(&table.partner, findings);
    if let (Some(local), Some(partner), Some(placed)) = (local, partner, &table.partner) {
        not_itself(local, partner, &placed.place, findings);
    }
    let times = Times::check(table, findings);
    if let Some(share) = &table.prefix_share
        && (share.value.0 == 0.0 || share.value.0 == 1.0)
    {
        let problem = "one of the servers gets no prefix to give to new clients";
        findings.warn(&share.place, problem, "use 0.5 unless that is meant");
    }
    if let Some(insecure) = &table.insecure {
        let problem = "whoever can speak from the partner's address can change every lease";
        findings.warn(
            &insecure.place,
            problem,
            "use [failover.tls] outside of labs",
        );
    }
    let tls = match &table.tls {
        Some(tls) => Some(files(tls, partner, findings)?),
        None => table.insecure.as_ref().map(|_| None)?,
    };
    let prefix_share = table.prefix_share.as_ref();
    Some(Failover {
        name: table.name.as_ref()?.value.clone(),
        role: table.role.as_ref()?.value,
        local: local?,
        partner: partner?,
        links,
        mclt: times.mclt,
        keepalive: times.keepalive,
        auto_partner_down: times.auto_partner_down,
        startup: times.startup,
        without_partner: value(table.without_partner.as_ref(), WithoutPartner::Wait),
        prefix_share: prefix_share.map_or(PREFIX_SHARE, |share| share.value.0),
        connect_retry: times.connect_retry,
        tls,
    })
}

struct Times {
    mclt: Secs,
    keepalive: Secs,
    auto_partner_down: Option<Secs>,
    startup: Secs,
    connect_retry: Secs,
}

impl Times {
    fn check(table: &Table, findings: &mut Findings) -> Self {
        let mut time = |placed: &Option<Placed<Secs>>, usual: &Usual, default| {
            if let Some(placed) = placed {
                usual.check(placed.value, &placed.place, findings);
            }
            value(placed.as_ref(), default)
        };
        let mclt = time(&table.mclt, &Usual::MCLT, MCLT);
        let keepalive = time(&table.keepalive, &Usual::KEEPALIVE, KEEPALIVE);
        let startup = time(&table.startup, &Usual::STARTUP, STARTUP);
        let connect_retry = time(&table.connect_retry, &Usual::CONNECT_RETRY, CONNECT_RETRY);
        let down = table.auto_partner_down.as_ref();
        let auto_partner_down = down.and_then(|placed| placed.value.0);
        if let (Some(placed), Some(secs)) = (down, auto_partner_down) {
            Usual::AUTO_PARTNER_DOWN.check(secs, &placed.place, findings);
        }
        Self {
            mclt,
            keepalive,
            auto_partner_down,
            startup,
            connect_retry,
        }
    }
}

/// What a duration is outside of labs.
struct Usual {
    least: Secs,
    most: Secs,
    /// What a shorter one does.
    short: &'static str,
    /// What a longer one does.
    long: &'static str,
}

impl Usual {
    const MCLT: Self = Self {
        least: Secs(300),
        most: Secs(604_800),
        short: "in an outage every client renews twice in that time",
        long: "a server that recovers, and addresses of a server that is down, wait that long",
    };
    const KEEPALIVE: Self = Self {
        least: Secs(10),
        most: Secs(300),
        short: "a busy moment of the partner ends the connection",
        long: "a dead partner is noticed that late, and its clients wait",
    };
    const STARTUP: Self = Self {
        least: Secs(5),
        most: Secs(300),
        short: "a partner that is up may not be reached in time",
        long: "the server answers nobody that long if its partner is down",
    };
    const CONNECT_RETRY: Self = Self {
        least: Secs(1),
        most: Secs(60),
        short: "",
        long: "the servers stay apart that much longer than they must",
    };
    const AUTO_PARTNER_DOWN: Self = Self {
        least: Secs(300),
        most: Secs(u32::MAX - 1),
        short: "a partner that merely restarts is declared down",
        long: "",
    };

    fn check(&self, secs: Secs, place: &Place, findings: &mut Findings) {
        let Self { least, most, .. } = self;
        if secs == Secs(0) {
            findings.fault(
                place,
                "0 seconds is no time",
                format!("write at least {least}"),
            );
        } else if secs == Secs::INFINITE {
            findings.fault(
                place,
                "never ends",
                "write a time that does, or leave the key out",
            );
        } else if secs < *least {
            let problem = format!("{secs} is for labs: {}", self.short);
            findings.warn(place, problem, format!("use at least {least} elsewhere"));
        } else if secs > *most {
            let problem = format!("{secs} is long: {}", self.long);
            findings.warn(place, problem, format!("use at most {most}"));
        }
    }
}

fn value<T: Copy>(placed: Option<&Placed<T>>, default: T) -> T {
    placed.map_or(default, |placed| placed.value)
}

fn names_are_unique(file: &[Table], findings: &mut Findings) {
    let mut seen = BTreeMap::new();
    for name in file.iter().filter_map(|table| table.name.as_ref()) {
        let text = name.value.as_str();
        if text.len() > NAME_LEN_MAX || text.chars().any(char::is_control) {
            let problem = format!(
                "\"{}\" cannot be a relationship's name",
                text.escape_debug()
            );
            let remedy = format!("write at most {NAME_LEN_MAX} printable octets");
            findings.fault(&name.place, problem, remedy);
        }
        if let Some(first) = seen.insert(text, &name.place.key) {
            let problem = format!("relationship \"{text}\" is already {first}");
            let remedy = "give each its own name, the same on both servers (RFC 8156 §6.2)";
            findings.fault(&name.place, problem, remedy);
        }
    }
}

/// The links of a relationship; `used` has those of the ones before, with the name's place.
fn links_of<'f>(
    table: &'f Table,
    links: &[Link],
    used: &mut BTreeMap<usize, &'f Place>,
    findings: &mut Findings,
) -> Vec<usize> {
    let named = table.links.as_ref().map_or(&[][..], |list| &list.value);
    if named.is_empty() {
        let place = table
            .links
            .as_ref()
            .map_or(&table.place, |list| &list.place);
        let remedy = "name those that both servers serve: links = [\"…\"]";
        findings.fault(
            place,
            "no link, so nothing is shared with the partner",
            remedy,
        );
    }
    let mut indexes = Vec::with_capacity(named.len());
    for name in named {
        let Some(index) = links.iter().position(|link| link.name == name.value) else {
            let known = links
                .iter()
                .map(|link| link.name.as_str())
                .take(NAMES_SHOWN_MAX);
            let known: Vec<_> = known.collect();
            let problem = format!("link \"{}\" has no [[link]]", name.value);
            let remedy = format!("add one, or choose from: {}", known.join(", "));
            findings.fault(&name.place, problem, remedy);
            continue;
        };
        if let Some(first) = used.insert(index, &name.place) {
            let problem = format!("link \"{}\" is already {}", name.value, first.key);
            let remedy =
                "leave it in one: two partners would both give out its leases (RFC 8156 §6.2)";
            findings.fault(&name.place, problem, remedy);
            continue;
        }
        servable(&links[index], &name.place, findings);
        indexes.push(index);
    }
    indexes
}

/// Each link's reservations with the same lifetimes are told once.
fn reservations_are_servable(
    used: &BTreeMap<usize, &Place>,
    links: &[Link],
    reservations: &ReservationTable,
    findings: &mut Findings,
) {
    let names = used.iter().map(|(&index, &place)| {
        let link = &links[index];
        (link.name.as_str(), (link, place))
    });
    let names: BTreeMap<&str, (&Link, &Place)> = names.collect();
    if names.is_empty() {
        return;
    }
    let valid = reservations.iter().filter_map(|reserved| {
        let (link, _) = names.get(reserved.link)?;
        let own = reserved.terms.lifetimes.map(|own| Secs(own.valid_secs));
        Some((reserved.link, own.unwrap_or(link.lifetimes.valid)))
    });
    let valid: BTreeSet<(&str, Secs)> = valid.collect();
    for (name, secs) in valid {
        let (link, place) = names[name];
        let what = format!("a reservation of link \"{}\"", link.name);
        shareable(&what, secs, place, findings);
    }
}

/// What failover asks of a link's leases.
fn servable(link: &Link, place: &Place, findings: &mut Findings) {
    let pools = link
        .pools
        .iter()
        .map(|pool| (format!("pool {}", pool.range), pool.lifetimes));
    for (what, lifetimes) in pools {
        let what = format!("{what} of link \"{}\"", link.name);
        shareable(&what, lifetimes.valid, place, findings);
    }
    for pool in &link.pools {
        if let Some(lengths) = pool.lengths {
            let problem = format!(
                "pool {} of link \"{}\" has prefixes of /{} to /{}, and what two servers share is of one length",
                pool.range, link.name, lengths.shortest, pool.unit_len
            );
            let remedy = "give each length a pool of its own there (RFC 8156 §4.2.2.2)";
            findings.fault(place, problem, remedy);
        }
        if pool.kind == IaKind::Pd && pool.count > u128::from(DENSE_POSITIONS_MAX) {
            let problem = format!(
                "pool {} of link \"{}\" has more than {DENSE_POSITIONS_MAX} prefixes, too many to share",
                pool.range, link.name
            );
            let bits = DENSE_POSITIONS_MAX.ilog2() as u8;
            let longest = pool.unit_len.saturating_sub(bits);
            let remedy = format!("split it into prefix pools of /{longest} or longer");
            findings.fault(place, problem, remedy);
        }
    }
}

/// What failover asks of a valid lifetime.
fn shareable(what: &str, valid: Secs, place: &Place, findings: &mut Findings) {
    if valid == Secs::INFINITE {
        let problem = format!("{what} has an infinite valid lifetime");
        let remedy =
            "make it finite: partners exchange the times at which leases end (RFC 8156 §7.4)";
        findings.fault(place, problem, remedy);
    } else if valid.0 < VALID_SECS_MIN {
        let problem = format!("{what} has a valid lifetime of {valid}");
        let remedy = format!("use at least {VALID_SECS_MIN}s outside of labs (RFC 8156 §1)");
        findings.warn(place, problem, remedy);
    }
}

fn socket(placed: &Option<Placed<SocketAddr>>, findings: &mut Findings) -> Option<SocketAddrV6> {
    let placed = placed.as_ref()?;
    match placed.value {
        SocketAddr::V6(address) if !address.ip().is_multicast() => Some(address),
        other => {
            let problem = format!("{} cannot be one end of a relationship", other.ip());
            findings.fault(
                &placed.place,
                problem,
                "write a unicast IPv6 address and a port",
            );
            None
        }
    }
}

fn not_itself(local: SocketAddrV6, partner: SocketAddrV6, place: &Place, findings: &mut Findings) {
    if partner.ip().is_unspecified() {
        let remedy = "write the address that the partner has in local";
        findings.fault(place, "no server can be connected to at ::", remedy);
    } else if local == partner {
        let remedy = "write the address that the partner has in local";
        findings.fault(place, "is the same as local", remedy);
    }
}

/// The files of a relationship, read once to see that they are good.
fn files(tls: &Tls, partner: Option<SocketAddrV6>, findings: &mut Findings) -> Option<TlsFiles> {
    let (certificate, key, ca) = (
        tls.certificate.as_ref()?,
        tls.key.as_ref()?,
        tls.ca.as_ref()?,
    );
    let files = TlsFiles {
        certificate: certificate.value.clone(),
        key: key.value.clone(),
        ca: ca.value.clone(),
        partner_name: tls.partner_name.as_ref().map(|name| name.value.clone()),
    };
    let partner = partner.map_or(Ipv6Addr::UNSPECIFIED, |partner| *partner.ip());
    match Identity::load(&files, partner.into()) {
        Ok(_) => private(&key.value, &key.place, findings),
        Err(error) => {
            let named = [
                ("certificate", &certificate.place),
                ("key", &key.place),
                ("ca", &ca.place),
            ];
            let place = named.into_iter().find(|(name, _)| *name == error.key());
            let name = tls.partner_name.as_ref().map(|name| &name.place);
            let place = place.map(|(_, place)| place).or(name).unwrap_or(&tls.place);
            findings.fault(place, error.to_string(), remedy(&error));
        }
    }
    Some(files)
}

fn remedy(error: &TlsError) -> &'static str {
    match error {
        TlsError::File { .. } => "name a PEM file that the server may read",
        TlsError::Empty { .. } => "name a PEM file with BEGIN CERTIFICATE",
        TlsError::Unusable { .. } => {
            "name a certificate and the key it was made for, and the CA's own certificate"
        }
        TlsError::PartnerName(_) => {
            "write a DNS name of the partner's certificate, or leave the key out: then it is the partner's address"
        }
    }
}

/// Warns of a key that others may read.
fn private(key: &Path, place: &Place, findings: &mut Findings) {
    let mode = std::fs::metadata(key).map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o077 != 0 {
        let problem = format!("others may read or change {}", key.display());
        findings.warn(place, problem, format!("chmod 600 {}", key.display()));
    }
}

/// A secondary knows of a new connection only where it comes from, so what is to be asked of it
/// must not depend on the relationship.
fn protected_alike(relationships: &[Failover], file: &[Table], findings: &mut Findings) {
    let mut seen: BTreeMap<_, &Failover> = BTreeMap::new();
    for relationship in relationships.iter().filter(|r| r.role == Role::Secondary) {
        let ends = (relationship.local, *relationship.partner.ip());
        let first = *seen.entry(ends).or_insert(relationship);
        if first.tls == relationship.tls {
            continue;
        }
        let name = |table: &&Table| {
            table
                .name
                .as_ref()
                .is_some_and(|name| name.value == relationship.name)
        };
        if let Some(table) = file.iter().find(name) {
            let place = table.tls.as_ref().map(|tls| &tls.place);
            let place = place.or(table.insecure.as_ref().map(|insecure| &insecure.place));
            let problem = format!(
                "differs from tls of \"{}\", which has the same addresses",
                first.name
            );
            let remedy = "write the same in both, or let one listen on another port";
            findings.fault(place.unwrap_or(&table.place), problem, remedy);
        }
    }
}
