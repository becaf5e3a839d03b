use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use lab::message::{Client, Message, code, kind};
use lab::probe::Probe;
use lab::server::{Config, Server};
use lab::topology::Site;

use crate::common::first_address;

const CLIENTS: u32 = 300;

#[test]
fn leases_of_kea_are_brought_into_a_running_server_and_renewed() {
    lab::run(|lab| {
        let site = Site::new(lab, 2)?;
        let namespace = site.lan.client(lab, "client")?;
        let config = Config {
            workers: 2,
            ..Config::default()
        };
        let server = Server::start(&site.server, &config)?;
        let ends = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() + 1000;
        let mut file = "address,duid,valid_lifetime,expire,subnet_id,pref_lifetime,lease_type,\
                        iaid,prefix_len,fqdn_fwd,fqdn_rev,hostname,hwaddr,state,user_context\n"
            .to_owned();
        for number in 0..CLIENTS {
            let duid = hex(&Client::new(number).duid);
            let address = address_of(number);
            writeln!(file, "{address},{duid},2000,{ends},1,1000,0,1,128,0,0,,,0,")?;
        }
        writeln!(
            file,
            "2001:db8:dead::1,00:01:02,2000,{ends},1,1000,0,1,128,0,0,,,0,"
        )?;
        let path = lab.dir().join("kea-leases6.csv");
        fs::write(&path, file)?;
        let path = path.to_str().context("a path that is no text")?;
        let told = server.operate(&["leases", "import", path])?;
        ensure!(
            told.contains(&format!("{CLIENTS} bindings added"))
                && told.contains("2001:db8:dead::1: no configured link"),
            "{told}"
        );

        let probe = Probe::direct(&namespace, "eth0")?;
        let status = server.status()?;
        let server_duid = status.0["server-duid"].as_str().context("no server-duid")?;
        let server_duid = octets(server_duid)?;
        for number in (0..CLIENTS).step_by(7) {
            let renew = renew(number, &server_duid)?;
            let granted = probe.ask(&renew)?.granted()?;
            ensure!(
                granted.len() == 1
                    && granted[0].address.to_string() == address_of(number)
                    && granted[0].valid_secs == config.valid_secs,
                "client {number} got {granted:?}"
            );
        }

        // Out in both formats, and in again where they are already.
        for format in ["json", "csv"] {
            let export = server.operate(&["leases", "export", "--format", format])?;
            let path = lab.dir().join(format);
            fs::write(&path, export)?;
            let path = path.to_str().context("a path that is no text")?;
            let told = server.operate(&["leases", "import", path])?;
            ensure!(told.contains(&format!("{CLIENTS} updated")), "{told}");
        }
        Ok(())
    });
}

#[test]
fn an_operator_releases_and_resets_and_filters_by_status() {
    lab::run(|lab| {
        let site = Site::new(lab, 1)?;
        let namespace = site.lan.client(lab, "client")?;
        let mut server = Server::start(&site.server, &Config::default())?;
        let probe = Probe::direct(&namespace, "eth0")?;
        let (one, two) = (Client::new(1), Client::new(2));
        let released = first_address(&probe.four_messages(&one)?)?.to_string();
        let reply = probe.four_messages(&two)?;
        let declined = first_address(&reply)?.to_string();
        probe.ask(&two.to_server(kind::DECLINE, &reply)?)?;

        let listed = |status: &str, server: &Server| -> Result<BTreeSet<String>> {
            let told = server.operate(&["leases", "list", "--status", status])?;
            let leases = told
                .lines()
                .skip(1)
                .filter_map(|l| l.split_whitespace().next());
            Ok(leases.map(str::to_owned).collect())
        };
        ensure!(listed("active", &server)? == BTreeSet::from([released.clone()]));
        ensure!(listed("abandoned", &server)? == BTreeSet::from([declined.clone()]));
        ensure!(
            server.operate(&["leases", "release", &declined]).is_err(),
            "an abandoned lease is not released"
        );
        server.operate(&["leases", "release", &released])?;
        server.operate(&["leases", "reset", &declined])?;
        server.kill()?;
        server.restart()?;
        for lease in [&released, &declined] {
            ensure!(server.lease(lease)?.is_none(), "{lease} is back");
        }
        Ok(())
    });
}

#[test]
fn why_tells_what_was_decided_for_a_client() {
    lab::run(|lab| {
        let site = Site::new(lab, 1)?;
        let namespace = site.lan.client(lab, "client")?;
        let server = Server::start(&site.server, &Config::default())?;
        let probe = Probe::direct(&namespace, "eth0")?;
        let client = Client::new(7);
        let address = first_address(&probe.four_messages(&client)?)?.to_string();
        let other = renew(7, &[0, 3, 0, 1, 9])?;
        probe.send(&other)?;
        lab::wait_until("the drop", std::time::Duration::from_secs(5), || {
            let told = server.operate(&["why", &hex(&client.duid)])?;
            Ok(told.contains("other-server").then_some(()))
        })?;
        for whose in [hex(&client.duid), address.clone()] {
            let told = server.operate(&["why", &whose])?;
            for word in [
                "SOLICIT",
                "REQUEST",
                "lan, by interface",
                &format!("{address} for 3600 s from pool 2001:db8:1::1000"),
                "The Server Identifier of another server",
            ] {
                ensure!(told.contains(word), "{word:?} is not in: {told}");
            }
        }
        let dropped = server.operate(&["why", "--dropped", "--json"])?;
        ensure!(
            dropped.lines().count() >= 1 && !dropped.contains("SOLICIT"),
            "{dropped}"
        );
        let nobody = server.operate(&["why", "00:03:00:01:99:99"])?;
        ensure!(nobody.contains("nothing is remembered"), "{nobody}");
        Ok(())
    });
}

fn address_of(number: u32) -> String {
    format!("2001:db8:1::{:x}", 0x1100 + number)
}

fn renew(number: u32, server: &[u8]) -> Result<Message> {
    let client = Client::new(number);
    let ia = client.ia_na(&[address_of(number).parse()?]);
    Ok(client.message(kind::RENEW, vec![(code::SERVER_ID, server.to_vec()), ia]))
}

fn hex(octets: &[u8]) -> String {
    let octets: Vec<String> = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    octets.join(":")
}

fn octets(text: &str) -> Result<Vec<u8>> {
    let octet = |pair: &str| u8::from_str_radix(pair, 16).context("no octets");
    text.split(':').map(octet).collect()
}
