//! What links of one shared network, and what relays supply, are to be like.

use std::collections::BTreeMap;

use super::fault::{Findings, Place};
use super::file::File;
use super::model::Failover;
use wire::OptionCode;

/// Names each network's faults at the key of the link that makes them.
pub fn check(file: &File, failover: &[Failover], findings: &mut Findings) {
    let mut networks: BTreeMap<&str, Vec<(usize, &Place)>> = BTreeMap::new();
    for (index, link) in file.links.iter().enumerate() {
        if let Some(network) = &link.shared_network {
            let members = networks.entry(&network.value).or_default();
            members.push((index, &network.place));
        }
    }
    let relationship_of = |link: usize| failover.iter().position(|f| f.links.contains(&link));
    let name_of = |link: usize| {
        let name = file.links[link].name.as_ref();
        name.map_or("", |name| name.value.as_str())
    };
    for (network, members) in networks {
        let Some(((first, place), others)) = members.split_first() else {
            continue;
        };
        if others.is_empty() {
            findings.warn(
                place,
                format!("network \"{network}\" has one link, so nothing is shared"),
                "give the other links on this wire the same name, or remove it",
            );
        }
        for (link, place) in others {
            if relationship_of(*link) != relationship_of(*first) {
                findings.fault(
                    place,
                    format!(
                        "link \"{}\" of the same network is not in the same failover relationship",
                        name_of(*first)
                    ),
                    "put all links of a network into one relationship, or none: a client may have \
                     leases of each",
                );
            }
        }
    }
}

/// A relay may supply what an RFC says it may, or what the operator of this server has agreed with it
/// (RFC 6422 §5).
pub fn relay_supplied_options(file: &File, findings: &mut Findings) {
    let list = file.server.relay_supplied_options.iter();
    for code in list.flat_map(|list| &list.value) {
        let option = OptionCode(code.value.0 as u16);
        if option == OptionCode::ERP_LOCAL_DOMAIN_NAME {
            continue;
        }
        if !engine::is_configurable(option) {
            findings.fault(
                &code.place,
                format!("{option} is the server's own to write"),
                "remove it",
            );
        } else if option.name().is_none() {
            findings.warn(
                &code.place,
                format!("no option {option} is known here"),
                "look whether the number is right; what relays supply is passed on unread",
            );
        } else {
            findings.warn(
                &code.place,
                format!("no RFC lets relays supply {option}, so the relay has to be one you trust"),
                "keep it only where you have agreed on that (RFC 6422 §5)",
            );
        }
    }
}
