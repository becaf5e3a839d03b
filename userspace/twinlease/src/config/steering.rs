//! `steer-by` of interfaces against `client-key` of links: the worker that the XDP program sends a
//! message to against the one that answers it.

use super::fault::Findings;
use super::file::{File, Interface, Link};
use super::model::Io;
use super::read::Placed;
use wire::ClientKey;

/// Warns where workers hand messages on to each other. They are answered all the same.
pub(super) fn check(file: &File, workers: usize, findings: &mut Findings) {
    for interface in &file.interfaces {
        if let Some(steer_by) = &interface.steer_by {
            check_interface(interface, steer_by, &file.links, findings);
        }
    }
    if workers > 1 && !file.interfaces.iter().all(is_socket) {
        for key in file.links.iter().filter_map(relayed_key) {
            check_link(key, &file.interfaces, findings);
        }
    }
}

fn check_interface(
    interface: &Interface,
    steer_by: &Placed<ClientKey>,
    links: &[Link],
    findings: &mut Findings,
) {
    let name = steer_by.value.as_str();
    if is_socket(interface) {
        findings.warn(
            &steer_by.place,
            "says nothing with io = \"socket\": there is no XDP program",
            "drop it, or use io = \"auto\"",
        );
    } else if steer_by.value != ClientKey::Duid
        && !links
            .iter()
            .filter_map(relayed_key)
            .any(|key| key.value == steer_by.value)
    {
        let problem = format!(
            "no link behind relays has client-key = \"{name}\", so workers hand on what comes with a {name}"
        );
        let remedy = format!(
            "drop it, or write client-key = \"{name}\" into the links of this interface's relays"
        );
        findings.warn(&steer_by.place, problem, remedy);
    }
}

fn check_link(key: &Placed<ClientKey>, interfaces: &[Interface], findings: &mut Findings) {
    let steers = |interface: &Interface| {
        let by = interface.steer_by.as_ref().map(|by| by.value);
        by.unwrap_or_default() == key.value
    };
    if key.value != ClientKey::Duid && !interfaces.iter().any(steers) {
        let name = key.value.as_str();
        let problem = "no interface steers by that, so workers hand on most messages of this link";
        let remedy = format!("add steer-by = \"{name}\" to the [[interface]] of its relays");
        findings.warn(&key.place, problem, remedy);
    }
}

/// `client-key` of a link that relays name: through which interfaces they come is not known.
fn relayed_key(link: &Link) -> Option<&Placed<ClientKey>> {
    link.link_addresses.as_ref().and(link.clients.key())
}

fn is_socket(interface: &Interface) -> bool {
    matches!(&interface.io, Some(io) if io.value == Io::Socket)
}
