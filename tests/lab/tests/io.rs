use anyhow::{Result, ensure};
use lab::Lab;
use lab::clients::{BOUND_LIMIT, Dhclient, Dhcpcd, Dhcrelay, Want};
use lab::message::{Client, kind};
use lab::probe::Probe;
use lab::server::{Config, Server};
use lab::topology::{SERVER_UP, Site};

use crate::common::{
    Judge, ensure_delegated, ensure_in_far_pool, ensure_in_lan_pool, first_address,
};

#[test]
fn copy() {
    lab::run(|lab| every_way(lab, "copy"));
}

#[test]
fn generic() {
    lab::run(|lab| every_way(lab, "generic"));
}

#[test]
fn socket() {
    lab::run(|lab| every_way(lab, "socket"));
}

/// Real clients directly and through a relay, and a restart after `kill -9`, all on one rung.
fn every_way(lab: &mut Lab, io: &'static str) -> Result<()> {
    let site = Site::new(lab, 2)?;
    let far = site.add_relay(lab)?;
    let direct = site.lan.client(lab, "direct")?;
    let plain = site.lan.client(lab, "plain")?;
    let behind = far.lan.client(lab, "behind")?;
    let judges = [Judge::on_lan(&site)?, Judge::at_relay(&site, &far)?];
    let config = Config {
        interfaces: vec!["lan0", "up0"],
        io,
        workers: 2,
        ..Config::default()
    };
    let mut server = Server::start(&site.server, &config)?;
    for interface in server.status()?.interfaces()? {
        ensure!(interface.rung == io, "{interface:?}");
    }

    let _relay = Dhcrelay::start(&far.relay, "down0", "up0", &[SERVER_UP])?;
    let dhcpcd = Dhcpcd::start(&direct, "eth0", Want::Both)?;
    let dhclient = Dhclient::start(&behind, "eth0", Want::Both)?;
    let near = dhcpcd.bound(BOUND_LIMIT)?;
    ensure_in_lan_pool(near.leased_address()?)?;
    ensure_delegated(&near, false)?;
    let distant = dhclient.bound(BOUND_LIMIT)?;
    ensure_in_far_pool(distant.leased_address()?)?;
    ensure_delegated(&distant, true)?;

    let probe = Probe::direct(&plain, "eth0")?;
    let client = Client::new(1);
    let reply = probe.four_messages(&client)?;
    server.kill()?;
    server.restart()?;
    let renewed = probe.ask(&client.to_server(kind::RENEW, &reply)?)?;
    ensure!(first_address(&renewed)? == first_address(&reply)?);
    let distant = distant.leased_address()?;
    ensure!(
        server.lease(&distant.to_string())?.is_some(),
        "the binding of {distant} is lost"
    );

    let workers = server.status()?.workers()?;
    let by_xdp = workers.iter().any(|worker| worker.received_xdp > 0);
    ensure!(
        by_xdp == (io != "socket"),
        "io = {io}, and the workers say {workers:?}"
    );
    for judge in judges {
        judge.judge(2)?;
    }
    Ok(())
}
