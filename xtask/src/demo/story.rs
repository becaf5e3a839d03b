use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use lab::Lab;
use lab::capture::Capture;
use lab::clients::{Dhclient, Dhcrelay, Want};
use lab::failover::{
    Authority, Endpoint, FailoverSite, Partners, Relationship, Role, SERVERS_UP, Security,
};
use lab::server::{Config, Interface, Server};
use lab::topology::RelaySite;

use super::clients::{bound, directly, spread};
use super::takeover;
use super::teller::Teller;

/// Short, so that the demo sees clients renew and rebind: T1 is half of it, T2 four fifths.
const PREFERRED_SECS: u32 = 12;
/// Longer than the demo: nothing ends in it.
const VALID_SECS: u32 = 60;
/// A first grant gets its whole lifetime.
const MCLT_SECS: u32 = VALID_SECS;
/// How long the pair may take to agree.
pub(super) const AGREE_LIMIT: Duration = Duration::from_secs(20);

/// Tells the whole story with the server `program`.
///
/// # Errors
/// A fact is not so.
pub(super) fn tell(teller: &Teller, lab: &mut Lab, program: &Path) -> Result<()> {
    let site = FailoverSite::new(lab, 2)?;
    let far = site.add_relay(lab)?;
    let roles = ["dhclient", "prefix-client", "dhcpcd", "newcomer", "asker"];
    let [first, prefix, both, newcomer, asker] = roles.map(|role| site.lan.client(lab, role));
    let behind = far.lan.client(lab, "far-client")?;
    teller.fact("two servers, a relay and six clients stand in network namespaces, joined by veth");

    let captures = Captures::start(&site, &far)?;
    let mut partners = begin(teller, lab, program, &site)?;

    // Before the relay program, which takes the port.
    spread(teller, &partners.primary, &far)?;
    let _relay = Dhcrelay::start(&far.relay, "down0", "up0", &SERVERS_UP)?;
    let near = Dhclient::start(&first?, "eth0", Want::Both)?;
    let remote = Dhclient::start(&behind, "eth0", Want::Both)?;
    directly(teller, &partners.primary, &prefix?, &both?)?;
    let held = [
        bound(teller, "dhclient -6", near)?,
        bound(teller, "through ISC dhcrelay, dhclient -6", remote)?,
    ];
    let bindings = partners.wait_for_equal_bindings(AGREE_LIMIT)?;
    let count = bindings.len();
    teller.fact(&format!(
        "the secondary holds the same {count} bindings as the primary"
    ));

    let last = takeover::kill_primary(teller, &mut partners, &asker?)?;
    takeover::serve_newcomer(teller, &partners.secondary, &newcomer?)?;
    takeover::rebind(teller, &held)?;
    takeover::bring_primary_back(teller, &mut partners, &bindings, last)?;

    let Partners {
        mut primary,
        mut secondary,
    } = partners;
    for (role, server) in [("primary", &mut primary), ("secondary", &mut secondary)] {
        let status = server.terminate()?;
        ensure!(
            status.success(),
            "on SIGTERM the {role} ended with {status}"
        );
    }
    teller.fact("on SIGTERM both commit and end with exit code 0");
    let packets = captures.judge(&site)?;
    teller.fact(&format!(
        "tshark finds no fault in the {packets} packets that the servers sent"
    ));
    Ok(())
}

/// Starts both servers; they are in NORMAL when this returns.
fn begin(teller: &Teller, lab: &Lab, program: &Path, site: &FailoverSite) -> Result<Partners> {
    let config = Config {
        interfaces: vec!["lan0", "up0"],
        workers: 2,
        preferred_secs: PREFERRED_SECS,
        valid_secs: VALID_SECS,
        ..Config::default()
    };
    let relationship = Relationship {
        mclt_secs: MCLT_SECS,
        ..Relationship::default()
    };
    let authority = Authority::new(lab.dir(), "authority")?;
    let files = [Role::Primary, Role::Secondary].map(|role| authority.certify(role.address()));
    let [primary, secondary] = files;
    let (primary, secondary) = (primary?, secondary?);
    let partners = Partners::start(program, site, &config, &relationship, |role| {
        Security::Tls(match role {
            Role::Primary => primary.clone(),
            Role::Secondary => secondary.clone(),
        })
    })?;
    for (role, server) in [
        ("primary", &partners.primary),
        ("secondary", &partners.secondary),
    ] {
        tell_interfaces(teller, role, server)?;
    }
    partners.wait_for_normal(AGREE_LIMIT)?;
    let is_tls = Endpoint::of(&partners.primary)?.is_tls()?;
    ensure!(is_tls, "the partners' session is not protected");
    teller.fact("both servers are in NORMAL, over TLS with certificates of both");
    Ok(partners)
}

fn tell_interfaces(teller: &Teller, role: &str, server: &Server) -> Result<()> {
    let interfaces = server.status()?.interfaces()?;
    for Interface {
        name,
        rung,
        refused,
    } in interfaces
    {
        let way = match rung.as_str() {
            "zero-copy" => "native XDP, zero-copy",
            "copy" => "native XDP, copy mode",
            "generic" => "generic XDP, copy mode",
            _ => "the kernel's UDP socket",
        };
        teller.fact(&format!("the {role} serves {name} by {way}"));
        for reason in refused {
            teller.remark(&format!("not better, because: {reason}"));
        }
    }
    Ok(())
}

/// All that the servers send, captured at the other end of their wires.
struct Captures {
    /// On the LAN, at the ports of the primary and the secondary.
    lan: [Capture; 2],
    /// At the relay, which both servers talk to.
    relay: Capture,
}

impl Captures {
    fn start(site: &FailoverSite, far: &RelaySite) -> Result<Captures> {
        let at = |role: Role| Capture::start(&site.lan.switch, role.name());
        Ok(Captures {
            lan: [at(Role::Primary)?, at(Role::Secondary)?],
            relay: Capture::start(&far.relay, "up0")?,
        })
    }

    /// How many packets the servers sent, none of which tshark finds a fault in.
    fn judge(self, site: &FailoverSite) -> Result<usize> {
        let servers = [Role::Primary, Role::Secondary];
        let mac =
            |role: Role, interface| Ok::<_, anyhow::Error>(site.server(role).link(interface)?.1);
        let relay = self.relay.stop()?;
        let mut packets = 0;
        for (role, capture) in servers.into_iter().zip(self.lan) {
            let own =
                capture.stop()?.judge(&mac(role, "lan0")?)? + relay.judge(&mac(role, "up0")?)?;
            ensure!(own > 0, "no packet of the {} was captured", role.name());
            packets += own;
        }
        Ok(packets)
    }
}
