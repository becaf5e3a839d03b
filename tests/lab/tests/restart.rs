use std::time::Duration;

use anyhow::ensure;
use lab::clients::{BOUND_LIMIT, Dhclient, Want};
use lab::message::{Client, kind};
use lab::probe::Probe;
use lab::server::{Config, Server};
use lab::topology::Site;
use lab::wait_until;

use crate::common::{Judge, first_address};

#[test]
fn a_binding_outlives_kill_9_and_dhclient_renews_it() {
    lab::run(|lab| {
        let site = Site::new(lab, 2)?;
        let client = site.lan.client(lab, "client")?;
        let judge = Judge::on_lan(&site)?;
        // T1 is half of the preferred lifetime.
        let config = Config {
            preferred_secs: 8,
            valid_secs: 30,
            ..Config::default()
        };
        let mut server = Server::start(&site.server, &config)?;
        let dhclient = Dhclient::start(&client, "eth0", Want::Address)?;
        let address = dhclient.bound(BOUND_LIMIT)?.leased_address()?;
        server.kill()?;
        server.restart()?;
        ensure!(
            server.lease(&address.to_string())?.is_some(),
            "the binding of {address} is lost"
        );
        let written = dhclient.leases_written()?;
        wait_until("dhclient to renew", Duration::from_secs(25), || {
            Ok((dhclient.leases_written()? > written).then_some(()))
        })?;
        let renewed = dhclient.bound(BOUND_LIMIT)?.leased_address()?;
        ensure!(renewed == address, "{address} became {renewed}");
        judge.judge(3)
    });
}

#[test]
fn every_lease_that_was_told_is_there_after_kill_9() {
    lab::run(|lab| {
        let site = Site::new(lab, 2)?;
        let namespace = site.lan.client(lab, "client")?;
        let mut server = Server::start(&site.server, &Config::default())?;
        let probe = Probe::direct(&namespace, "eth0")?;
        let mut replies = Vec::new();
        for number in 0..50 {
            let client = Client::new(number);
            replies.push((client.clone(), probe.four_messages(&client)?));
        }
        server.kill()?;
        server.restart()?;
        for (client, reply) in &replies {
            let address = first_address(reply)?;
            let shown = server.lease(&address.to_string())?;
            ensure!(shown.is_some(), "the binding of {address} is lost");
            let renewed = probe.ask(&client.to_server(kind::RENEW, reply)?)?;
            ensure!(
                first_address(&renewed)? == address,
                "{address} was not renewed"
            );
        }
        Ok(())
    });
}

#[test]
fn a_client_gets_its_address_again_after_an_orderly_stop() {
    lab::run(|lab| {
        let site = Site::new(lab, 2)?;
        let namespace = site.lan.client(lab, "client")?;
        let mut server = Server::start(&site.server, &Config::default())?;
        let probe = Probe::direct(&namespace, "eth0")?;
        let client = Client::new(1);
        let before = first_address(&probe.four_messages(&client)?)?;
        let status = server.terminate()?;
        ensure!(
            status.code() == Some(0),
            "on SIGTERM the server ended with {status}"
        );
        server.restart()?;
        let after = first_address(&probe.four_messages(&client)?)?;
        ensure!(before == after, "{before} became {after}");
        Ok(())
    });
}
