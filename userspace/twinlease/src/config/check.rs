//! From what the file says to what the server uses: fills in defaults, resolves overrides, and
//! finds what cannot be served. Goes on after a fault; the result counts only without faults.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::class;
use super::failover;
use super::fault::{Findings, Located, Place};
use super::file::{self, File};
use super::links;
use super::model::{Config, Idle, Interface, Io, Lifetimes, Link, VerifyChecksums};
use super::network;
use super::read::Placed;
use super::reservations::{self, Lines};
use super::steering;
use super::value::{Secs, Within};
use engine::ReservationTable;
use wire::OptionCode;

/// Where state is kept if the file does not say.
pub const STATE_DIR: &str = "/var/lib/twinlease";
/// The control socket if nothing says otherwise.
pub const CONTROL_SOCKET: &str = "/run/twinlease/control.sock";

/// Lifetimes below this are for labs (RFC 8156 §1).
const LIFETIME_SECS_USUAL_MIN: u32 = 30;
/// Longest path of a Unix socket, the closing zero not counted.
const SOCKET_PATH_LEN_MAX: usize = 107;
/// Longest name of a network interface, the closing zero not counted (IFNAMSIZ).
const INTERFACE_NAME_LEN_MAX: usize = 15;
/// Most workers: a shard's owner is one octet.
const WORKERS_MAX: usize = 256;

/// Checks a file. `cores` are those that the process may run on.
///
/// `lines` are those of the reservations file; their faults are given beside the config.
pub fn check(
    text: &str,
    file: &File,
    cores: &[usize],
    lines: Option<Lines>,
    findings: &mut Findings,
) -> (Config, Vec<Located>) {
    let interfaces = interfaces(&file.interfaces, findings);
    let lifetimes = lifetimes(
        &file.lifetimes,
        Lifetimes {
            preferred: Secs(259_200),
            valid: Secs(345_600),
        },
        findings,
    );
    let classes = class::check(&file.classes, &file.links, lifetimes, findings);
    let (links, pools) = links::check(&file.links, &interfaces, lifetimes, findings);
    let against = reservations::Links {
        tables: &file.links,
        pools: &pools,
        lifetimes: links.iter().map(|link| link.lifetimes).collect(),
    };
    let (reservations, faults) = reservations::check(&against, lines, findings);
    links_give_something(file, &links, &reservations, findings);
    let failover = failover::check(&file.failover, &links, &classes, &reservations, findings);
    control(&file.control, findings);
    reconfigure(file, findings);
    network::check(file, &failover, findings);
    network::relay_supplied_options(file, findings);
    let cores = worker_cores(&file.workers, cores, findings);
    steering::check(file, cores.len(), findings);
    let config = Config {
        text: text.into(),
        state_dir: value(&file.server.state_dir).unwrap_or_else(|| STATE_DIR.into()),
        duid: value(&file.server.duid).map(|duid| duid.0),
        allocation_key: value(&file.server.allocation_key).and_then(|key| (*key.0).try_into().ok()),
        preference: value(&file.server.preference)
            .and_then(|preference| u8::try_from(preference.0).ok())
            .unwrap_or(0),
        cores,
        idle: value(&file.workers.idle).unwrap_or(Idle::Adaptive),
        interfaces,
        rapid_commit: value(&file.rapid_commit).unwrap_or(false),
        lifetimes,
        options: file.options.clone(),
        bind_on_renew: value(&file.bind_on_renew).unwrap_or(false),
        reconfigure: value(&file.reconfigure.enabled).unwrap_or(false),
        reconfigure_secret: value(&file.reconfigure.secret).map(|secret| secret.0),
        quarantine: value(&file.decline.quarantine),
        declines_per_client: value(&file.decline.per_client).map(|n| n.0 as u32),
        relay_supplied_options: file.server.relay_supplied_options.as_ref().map(|list| {
            let codes = list
                .value
                .iter()
                .map(|code| OptionCode(code.value.0 as u16));
            codes.collect()
        }),
        classes,
        links,
        reservations,
        reservations_file: reservations_file(file),
        failover,
        control_socket: control_socket(file),
        metrics: value(&file.control.metrics),
    };
    (config, faults)
}

/// The reservations file, if there is one.
pub fn reservations_file(file: &File) -> Option<PathBuf> {
    value(&file.reservations.file)
}

/// A link with neither pool nor reservation gives its clients options only.
fn links_give_something(
    file: &File,
    links: &[Link],
    reservations: &ReservationTable,
    findings: &mut Findings,
) {
    let reserved = reservations.links();
    for (link, table) in links.iter().zip(&file.links) {
        if link.pools.is_empty() && !reserved.contains(&*link.name) && table.has_no_pool() {
            let problem = "no pool and no reservation: clients here get options only";
            let remedy = "add [[link.address-pool]] or [[link.prefix-pool]]";
            findings.warn(&table.place, problem, remedy);
        }
    }
}

/// The control socket that the file names, or the usual one.
pub fn control_socket(file: &File) -> PathBuf {
    value(&file.control.socket).unwrap_or_else(|| CONTROL_SOCKET.into())
}

fn value<T: Clone>(placed: &Option<Placed<T>>) -> Option<T> {
    placed.as_ref().map(|placed| placed.value.clone())
}

fn worker_cores(workers: &file::Workers, allowed: &[usize], findings: &mut Findings) -> Vec<usize> {
    let Some(cores) = &workers.cores else {
        return allowed.iter().copied().take(WORKERS_MAX).collect();
    };
    if cores.value.is_empty() {
        findings.fault(
            &cores.place,
            "no core, so no worker",
            "name at least one, or leave the key out",
        );
    }
    if cores.value.len() > WORKERS_MAX {
        findings.fault(
            &cores.place,
            "too many workers",
            format!("name at most {WORKERS_MAX}"),
        );
    }
    let mut used = BTreeSet::new();
    for core in &cores.value {
        let number = core.value.0 as usize;
        if !allowed.contains(&number) {
            let problem = format!("this process may not run on core {number}");
            let remedy = format!("choose from {allowed:?}, or widen its affinity or cpuset");
            findings.fault(&core.place, problem, remedy);
        } else if !used.insert(number) {
            let problem = format!("core {number} has two workers, which take turns on it");
            findings.warn(
                &core.place,
                problem,
                "name each core once, unless there are too few",
            );
        }
    }
    let number = |core: &Placed<Within<0, 1023>>| core.value.0 as usize;
    cores.value.iter().map(number).collect()
}

fn interfaces(file: &[file::Interface], findings: &mut Findings) -> Vec<Interface> {
    if file.is_empty() {
        findings.fault(
            &Place {
                offset: 0,
                key: "interface".into(),
            },
            "no interface, so nothing is served",
            "add [[interface]] with a name",
        );
    }
    let mut seen = BTreeMap::new();
    for interface in file {
        let Some(name) = &interface.name else {
            continue;
        };
        let text = name.value.as_str();
        let illegal = |c: char| c.is_whitespace() || c == '/' || c == '\0' || c == ':';
        if text.len() > INTERFACE_NAME_LEN_MAX || text.contains(illegal) {
            let problem = format!("\"{}\" cannot be an interface's name", text.escape_debug());
            findings.fault(&name.place, problem, "write the name that `ip link` shows");
        }
        if let Some(first) = seen.insert(text, &name.place.key) {
            let problem = format!("interface \"{text}\" is already {first}");
            findings.fault(&name.place, problem, "merge the two tables");
        }
        for address in interface.addresses.iter().flat_map(|list| &list.value) {
            if address.value.is_multicast() || address.value.is_unspecified() {
                let problem = format!("{} is not a unicast address", address.value);
                let remedy = "remove it; the multicast groups are served without being named";
                findings.fault(&address.place, problem, remedy);
            }
        }
        if let Some(Placed {
            value: Io::Socket,
            place,
        }) = &interface.io
        {
            let problem = "the kernel's UDP socket carries a fraction of what AF_XDP does";
            findings.warn(place, problem, "use \"auto\" where speed matters");
        }
    }
    let make = |interface: &file::Interface| Interface {
        name: value(&interface.name).unwrap_or_default(),
        io: value(&interface.io).unwrap_or(Io::Auto),
        verify_checksums: value(&interface.verify_checksums).unwrap_or(VerifyChecksums::Auto),
        steer_by: value(&interface.steer_by).unwrap_or_default(),
        addresses: interface
            .addresses
            .iter()
            .flat_map(|list| list.value.iter().map(|address| address.value))
            .collect(),
    };
    file.iter().map(make).collect()
}

/// Partners must know each other's keys: the client of one may be the other's after a takeover.
fn reconfigure(file: &File, findings: &mut Findings) {
    let reconfigure = &file.reconfigure;
    let enabled = reconfigure.enabled.as_ref().filter(|enabled| enabled.value);
    if let Some(enabled) = enabled
        && reconfigure.secret.is_none()
        && !file.failover.is_empty()
    {
        findings.fault(
            &enabled.place,
            "the failover partner would not know the keys that this server gives clients",
            "write the same secret into [reconfigure] of both servers, 16 octets or more in \
             hexadecimal, as from `openssl rand -hex 16`",
        );
    }
}

fn control(control: &file::Control, findings: &mut Findings) {
    if let Some(socket) = &control.socket
        && socket.value.as_os_str().len() > SOCKET_PATH_LEN_MAX
    {
        let remedy = format!("use a path of at most {SOCKET_PATH_LEN_MAX} octets");
        findings.fault(&socket.place, "too long for a Unix socket", remedy);
    }
    let Some(metrics) = &control.metrics else {
        return;
    };
    if metrics.value.port() == 647 {
        let remedy = "use another port, such as 9547";
        findings.fault(
            &metrics.place,
            "port 647 belongs to DHCPv6 failover (RFC 8156 §11)",
            remedy,
        );
    }
    if !metrics.value.ip().is_loopback() {
        let problem = "metrics are open to the network, without encryption or password";
        findings.warn(&metrics.place, problem, "use [::1], or filter the port");
    }
}

/// Lifetimes of a table, with what it leaves out taken from `outer`.
pub fn lifetimes(file: &file::Lifetimes, outer: Lifetimes, findings: &mut Findings) -> Lifetimes {
    let resolved = Lifetimes {
        preferred: file.preferred.as_ref().map_or(outer.preferred, |p| p.value),
        valid: file.valid.as_ref().map_or(outer.valid, |v| v.value),
    };
    let Some(place) = file
        .preferred
        .as_ref()
        .or(file.valid.as_ref())
        .map(|p| &p.place)
    else {
        return resolved;
    };
    if resolved.preferred > resolved.valid {
        let problem = format!(
            "the preferred lifetime ({}) is longer than the valid lifetime ({})",
            resolved.preferred, resolved.valid
        );
        findings.fault(
            place,
            problem,
            "raise valid or lower preferred (RFC 9915 §21.6)",
        );
    }
    if let Some(valid) = &file.valid {
        match valid.value.0 {
            0 => findings.fault(
                &valid.place,
                "a lease of 0 seconds is none",
                "write a duration above 0",
            ),
            1..LIFETIME_SECS_USUAL_MIN => findings.warn(
                &valid.place,
                "leases of a few seconds are for labs",
                format!("use at least {LIFETIME_SECS_USUAL_MIN}s elsewhere"),
            ),
            _ => {}
        }
    }
    if let Some(preferred) = &file.preferred {
        match preferred.value.0 {
            0 => findings.warn(
                &preferred.place,
                "every lease is deprecated at once and T1 and T2 are 0",
                "write a duration above 0",
            ),
            1..=3 => findings.warn(
                &preferred.place,
                "T1 and T2, 0.5 and 0.8 of it, fall into the same second or on the end",
                "use at least 10s",
            ),
            _ => {}
        }
    }
    resolved
}
