use anyhow::ensure;
use lab::clients::{BOUND_LIMIT, Dhclient, Dhcpcd, Dhcrelay, Want};
use lab::server::{Config, DNS_SERVER, Server};
use lab::topology::{SERVER_UP, Site};

use crate::common::{Judge, ensure_delegated, ensure_in_far_pool, ensure_in_lan_pool};

#[test]
fn dhclient_gets_an_address() {
    lab::run(|lab| {
        let site = Site::new(lab, 2)?;
        let client = site.lan.client(lab, "client")?;
        let judge = Judge::on_lan(&site)?;
        let server = Server::start(&site.server, &Config::default())?;
        let dhclient = Dhclient::start(&client, "eth0", Want::Address)?;
        let bound = dhclient.bound(BOUND_LIMIT)?;
        let address = bound.leased_address()?;
        ensure_in_lan_pool(address)?;
        ensure!(
            bound.dns_servers == [DNS_SERVER],
            "resolv.conf has {:?}",
            bound.dns_servers
        );
        let lifetime = bound.address.map_or(0, |address| address.valid_secs);
        ensure!(
            (3500..=3600).contains(&lifetime),
            "a valid lifetime of {lifetime} s"
        );
        ensure!(
            server.lease(&address.to_string())?.is_some(),
            "the server shows no such lease"
        );
        dhclient.release()?;
        judge.judge(3)
    });
}

#[test]
fn dhclient_gets_a_prefix() {
    lab::run(|lab| {
        let site = Site::new(lab, 2)?;
        let client = site.lan.client(lab, "client")?;
        let judge = Judge::on_lan(&site)?;
        let _server = Server::start(&site.server, &Config::default())?;
        let dhclient = Dhclient::start(&client, "eth0", Want::Prefix)?;
        let bound = dhclient.bound(BOUND_LIMIT)?;
        ensure_delegated(&bound, false)?;
        judge.judge(2)
    });
}

#[test]
fn dhcpcd_gets_both() {
    lab::run(|lab| {
        let site = Site::new(lab, 2)?;
        let client = site.lan.client(lab, "client")?;
        let judge = Judge::on_lan(&site)?;
        let _server = Server::start(&site.server, &Config::default())?;
        let dhcpcd = Dhcpcd::start(&client, "eth0", Want::Both)?;
        let bound = dhcpcd.bound(BOUND_LIMIT)?;
        ensure_in_lan_pool(bound.leased_address()?)?;
        ensure_delegated(&bound, false)?;
        judge.judge(2)
    });
}

#[test]
fn both_clients_through_dhcrelay() {
    lab::run(|lab| {
        let site = Site::new(lab, 2)?;
        let far = site.add_relay(lab)?;
        let first = far.lan.client(lab, "first")?;
        let second = far.lan.client(lab, "second")?;
        let judge = Judge::at_relay(&site, &far)?;
        let config = Config {
            interfaces: vec!["lan0", "up0"],
            ..Config::default()
        };
        let _server = Server::start(&site.server, &config)?;
        let _relay = Dhcrelay::start(&far.relay, "down0", "up0", &[SERVER_UP])?;
        let dhclient = Dhclient::start(&first, "eth0", Want::Both)?;
        let dhcpcd = Dhcpcd::start(&second, "eth0", Want::Both)?;
        let bounds = [dhclient.bound(BOUND_LIMIT)?, dhcpcd.bound(BOUND_LIMIT)?];
        for bound in &bounds {
            ensure_in_far_pool(bound.leased_address()?)?;
            ensure_delegated(bound, true)?;
        }
        ensure!(
            bounds[0].leased_address()? != bounds[1].leased_address()?,
            "one lease for two"
        );
        judge.judge(4)
    });
}
