use anyhow::ensure;
use lab::message::Client;
use lab::probe::Probe;
use lab::server::{Config, Server};
use lab::topology::{RELAY_DOWN, RELAY_UP, SERVER_UP, Site};

use crate::common::{Judge, ensure_in_far_pool, first_address};

const CLIENTS: u32 = 300;
const RELAY_UP_NAME: &str = "up0";
/// Not assigned, so the server passes over it.
const UNKNOWN_OPTION: u16 = 65_000;

#[test]
fn one_relays_packets_are_spread_over_the_workers_by_client() {
    lab::run(|lab| {
        let site = Site::new(lab, 1)?;
        let far = site.add_relay(lab)?;
        let judge = Judge::at_relay(&site, &far)?;
        let config = Config {
            interfaces: vec!["lan0", "up0"],
            io: "copy",
            workers: 2,
            ..Config::default()
        };
        let server = Server::start(&site.server, &config)?;
        let probe = Probe::relay(&far.relay, RELAY_UP, SERVER_UP, RELAY_DOWN)?;
        let mut leases = std::collections::BTreeSet::new();
        for number in 0..CLIENTS {
            let address = first_address(&probe.four_messages(&Client::new(number))?)?;
            ensure_in_far_pool(address)?;
            ensure!(leases.insert(address), "{address} was given twice");
        }

        let workers = server.status()?.workers()?;
        let received: u64 = workers.iter().map(|worker| worker.received_xdp).sum();
        let handed: u64 = workers.iter().map(|worker| worker.handed_out).sum();
        ensure!(
            received >= u64::from(2 * CLIENTS),
            "not all came over AF_XDP: {workers:?}"
        );
        // With a fair hash a share below a quarter is as good as impossible.
        let fair = workers
            .iter()
            .all(|worker| worker.received_xdp > received / 4);
        ensure!(fair && workers.len() == 2, "badly spread: {workers:?}");
        ensure!(
            handed * 100 <= received,
            "the program steers to the wrong worker: {workers:?}"
        );
        judge.judge(2 * CLIENTS as usize)
    });
}

#[test]
fn a_message_longer_than_a_frame_of_the_rings_is_answered_by_way_of_the_kernel() {
    lab::run(|lab| {
        let site = Site::new(lab, 1)?;
        let far = site.add_relay(lab)?;
        site.server.ip("link set up0 mtu 3000")?;
        far.relay
            .ip(&format!("link set {RELAY_UP_NAME} mtu 3000"))?;
        let config = Config {
            interfaces: vec!["lan0", "up0"],
            io: "copy",
            ..Config::default()
        };
        let server = Server::start(&site.server, &config)?;
        let probe = Probe::relay(&far.relay, RELAY_UP, SERVER_UP, RELAY_DOWN)?;
        let mut long = Client::new(1).solicit();
        long.options.push((UNKNOWN_OPTION, vec![0; 2200]));
        let advertise = probe.ask(&long)?;
        ensure!(advertise.granted()?.len() == 1, "{advertise:?}");
        let verdicts = &server.status()?.0["xdp"];
        ensure!(verdicts["pass-frame-too-long"] == 1, "{verdicts}");
        Ok(())
    });
}
