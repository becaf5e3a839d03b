//! One network interface: driver, queues, offloads, MTU, addresses, groups.

use datapath::Inspection;
use std::fs;
use std::io;
use std::net::{Ipv6Addr, UdpSocket};

use wire::steer::STEERED_LEN_MAX;

use super::{Finding, Verdict};
use crate::config::{Config, Interface, Io};

/// All_DHCP_Relay_Agents_and_Servers and All_DHCP_Servers (RFC 9915 §7.1).
const GROUPS: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2),
    Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 1, 3),
];
/// Octets of an Ethernet header with two VLAN tags.
const HEADER_MAX: usize = 22;

pub(super) fn examine(interface: &Interface, config: &Config) -> Vec<Finding> {
    let name = &interface.name;
    let facts = match datapath::inspect(name) {
        Ok(facts) => facts,
        Err(error) => {
            return vec![Finding::unfit(
                name,
                error.to_string(),
                format!(
                    "correct the name in the config, or make the interface; ip link shows those there are: {name}"
                ),
            )];
        }
    };
    let mut findings = judge(interface, &facts, config.cores.len());
    findings.push(judge_groups(name, join(facts.index)));
    let nodes: Option<Vec<_>> = config
        .cores
        .iter()
        .map(|core| node_of_core(*core))
        .collect();
    if let (Some(node), Some(nodes)) = (node_of_interface(name), nodes) {
        findings.extend(judge_nodes(name, node, &config.cores, &nodes));
    }
    findings
}

fn judge(interface: &Interface, facts: &Inspection, workers: usize) -> Vec<Finding> {
    let name = &interface.name;
    let mut findings = Vec::new();
    if !facts.is_running {
        findings.push(Finding::unfit(
            name,
            "is down or has no carrier",
            format!("ip link set {name} up; if it is up, look at the cable and at the other end"),
        ));
    }
    if facts.link_local.is_none() {
        findings.push(Finding::unfit(
            name,
            "has no link-local address, or a tentative one: clients on the link get no answer",
            format!("wait for duplicate address detection, or sysctl net.ipv6.conf.{name}.disable_ipv6=0"),
        ));
    }
    if interface.io == Io::Socket {
        findings.push(Finding::fit(
            name,
            "served by the kernel's socket, as configured",
        ));
        return findings;
    }
    findings.push(judge_driver(interface, facts, workers));
    let offloads = facts.offloads.unwrap_or_default();
    if offloads.rx_vlan && !is_veth(facts) {
        findings.push(Finding::hurts(
            name,
            "takes VLAN tags off before XDP sees them: a tagged message would be answered untagged",
            format!("if messages come tagged: ethtool -K {name} rxvlan off"),
        ));
    }
    if offloads.lro {
        findings.push(Finding::hurts(
            name,
            "merges packets (LRO), with which drivers refuse native XDP",
            format!("ethtool -K {name} lro off"),
        ));
    }
    if facts.mtu as usize + HEADER_MAX > STEERED_LEN_MAX {
        findings.push(Finding::hurts(
            name,
            format!(
                "has an MTU of {}, and frames of more than {} octets go by way of the kernel",
                facts.mtu, STEERED_LEN_MAX
            ),
            format!("ip link set {name} mtu 1500, if its driver refuses native XDP with this MTU"),
        ));
    }
    findings
}

fn judge_driver(interface: &Interface, facts: &Inspection, workers: usize) -> Finding {
    let name = &interface.name;
    let Inspection { mtu, queues, .. } = facts;
    let Some(driver) = &facts.driver else {
        let verdict = match interface.io {
            Io::ZeroCopy | Io::Copy => Verdict::Unfit,
            _ => Verdict::Hurts,
        };
        let found = "has no driver of its own: at most generic XDP";
        let remedy = "serve on the physical interface, or say io = \"socket\"";
        return Finding {
            verdict,
            ..Finding::unfit(name, found, remedy)
        };
    };
    let plural = if *queues == 1 { "queue" } else { "queues" };
    let found = format!("driver {driver}, {queues} receive {plural}, MTU {mtu}");
    if *queues as usize > workers && !is_veth(facts) {
        return Finding::hurts(
            name,
            format!("{found}: more queues than the {workers} workers, each with frames of its own"),
            format!("ethtool -L {name} combined {workers}"),
        );
    }
    if is_veth(facts) && interface.io == Io::ZeroCopy {
        let remedy = "say io = \"copy\" or \"auto\"";
        return Finding::unfit(name, format!("{found}: it has no zero-copy"), remedy);
    }
    Finding::fit(name, found)
}

fn is_veth(facts: &Inspection) -> bool {
    facts.driver.as_deref() == Some("veth")
}

/// Joins what the server will join; leaving is the drop of the socket.
fn join(index: u32) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?;
    (GROUPS.iter()).try_for_each(|group| socket.join_multicast_v6(group, index))
}

fn judge_groups(name: &str, joined: io::Result<()>) -> Finding {
    match joined {
        Ok(()) => Finding::fit(name, "joins ff02::1:2 and ff05::1:3 (MLD)"),
        Err(error) => Finding::unfit(
            name,
            format!("cannot join ff02::1:2 and ff05::1:3: {error}"),
            format!(
                "ip link set {name} up multicast on; sysctl net.ipv6.conf.{name}.disable_ipv6=0"
            ),
        ),
    }
}

/// The memory node that a NIC is attached to; `None` for virtual ones and on machines with one.
fn node_of_interface(name: &str) -> Option<u32> {
    let text = fs::read_to_string(format!("/sys/class/net/{name}/device/numa_node")).ok()?;
    text.trim().parse().ok()
}

fn node_of_core(core: usize) -> Option<u32> {
    let entries = fs::read_dir(format!("/sys/devices/system/cpu/cpu{core}")).ok()?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names
        .filter_map(|name| name.strip_prefix("node")?.parse().ok())
        .next()
}

fn judge_nodes(name: &str, node: u32, cores: &[usize], nodes: &[u32]) -> Option<Finding> {
    let far = cores
        .iter()
        .zip(nodes)
        .find(|(_, of_core)| **of_core != node);
    let (core, of_core) = far?;
    Some(Finding::hurts(
        name,
        format!("is on memory node {node}, and the worker on core {core} on node {of_core}"),
        format!("take workers.cores from /sys/devices/system/node/node{node}/cpulist"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::VerifyChecksums;
    use datapath::Offloads;

    fn interface(io: Io) -> Interface {
        Interface {
            name: "eth0".to_owned(),
            io,
            verify_checksums: VerifyChecksums::Auto,
            steer_by: wire::ClientKey::Duid,
            addresses: Vec::new(),
        }
    }

    fn good() -> Inspection {
        Inspection {
            index: 2,
            mtu: 1500,
            queues: 2,
            driver: Some("ixgbe".to_owned()),
            is_running: true,
            link_local: Some("fe80::1".parse().unwrap()),
            offloads: Some(Offloads::default()),
        }
    }

    fn worst(io: Io, facts: &Inspection) -> (Verdict, String) {
        let findings = judge(&interface(io), facts, 2);
        let worst = findings.into_iter().max_by_key(|finding| finding.verdict);
        let worst = worst.unwrap();
        assert_eq!(worst.verdict == Verdict::Fit, worst.remedy.is_none());
        (worst.verdict, worst.found)
    }

    #[test]
    fn a_good_interface_is_fit() {
        let (verdict, found) = worst(Io::Auto, &good());
        assert_eq!(verdict, Verdict::Fit);
        assert_eq!(found, "driver ixgbe, 2 receive queues, MTU 1500");
    }

    #[test]
    fn each_fault_is_told() {
        type Fault = (Io, fn(&mut Inspection), Verdict, &'static str);
        let faults: [Fault; 8] = [
            (
                Io::Socket,
                |it| it.is_running = false,
                Verdict::Unfit,
                "carrier",
            ),
            (
                Io::Socket,
                |it| it.link_local = None,
                Verdict::Unfit,
                "link-local",
            ),
            (Io::Auto, |it| it.driver = None, Verdict::Hurts, "no driver"),
            (Io::Copy, |it| it.driver = None, Verdict::Unfit, "no driver"),
            (Io::Auto, |it| it.queues = 8, Verdict::Hurts, "more queues"),
            (Io::Auto, |it| it.mtu = 9000, Verdict::Hurts, "MTU of 9000"),
            (
                Io::Auto,
                |it| it.offloads.as_mut().unwrap().rx_vlan = true,
                Verdict::Hurts,
                "VLAN",
            ),
            (
                Io::Auto,
                |it| it.offloads.as_mut().unwrap().lro = true,
                Verdict::Hurts,
                "LRO",
            ),
        ];
        for (io, spoil, expected, part) in faults {
            let mut facts = good();
            spoil(&mut facts);
            let (verdict, found) = worst(io, &facts);
            assert_eq!(verdict, expected, "{found}");
            assert!(found.contains(part), "{found}");
        }
    }

    #[test]
    fn offloads_do_not_matter_to_the_socket() {
        let mut facts = good();
        facts.offloads.as_mut().unwrap().lro = true;
        facts.mtu = 9000;
        assert_eq!(worst(Io::Socket, &facts).0, Verdict::Fit);
    }

    #[test]
    fn a_worker_far_from_the_nic_is_told() {
        assert_eq!(judge_nodes("eth0", 0, &[1, 2], &[0, 0]), None);
        let far = judge_nodes("eth0", 0, &[1, 9], &[0, 1]).unwrap();
        assert!(far.found.contains("core 9"), "{}", far.found);
    }
}
