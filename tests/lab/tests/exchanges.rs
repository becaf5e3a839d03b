use std::net::Ipv6Addr;

use anyhow::{Result, ensure};
use lab::Lab;
use lab::message::{Client, Message, code, kind};
use lab::probe::Probe;
use lab::server::{Config, DNS_SERVER, Server};
use lab::topology::Site;

use crate::common::{Judge, first_address};

const SUCCESS: u16 = 0;
const NOT_ON_LINK: u16 = 4;

/// A server, and a client next to it.
struct Pair {
    server: Server,
    probe: Probe,
    judge: Judge,
}

impl Pair {
    fn new(lab: &mut Lab, config: &Config) -> Result<Pair> {
        let site = Site::new(lab, 2)?;
        let namespace = site.lan.client(lab, "client")?;
        let judge = Judge::on_lan(&site)?;
        let server = Server::start(&site.server, config)?;
        Ok(Pair {
            server,
            probe: Probe::direct(&namespace, "eth0")?,
            judge,
        })
    }

    fn ask(&self, message: &Message) -> Result<Message> {
        let reply = self.probe.ask(message)?;
        ensure!(
            reply.kind == kind::REPLY,
            "type {} came for {}",
            reply.kind,
            message.kind
        );
        Ok(reply)
    }
}

#[test]
fn renew_rebind_and_release() {
    lab::run(|lab| {
        let pair = Pair::new(lab, &Config::default())?;
        let client = Client::new(1);
        let reply = pair.probe.four_messages(&client)?;
        let address = first_address(&reply)?;

        let renewed = pair.ask(&client.to_server(kind::RENEW, &reply)?)?;
        ensure!(first_address(&renewed)? == address);
        ensure!(renewed.granted()?[0].valid_secs == Config::default().valid_secs);
        // A Rebind is to any server: it carries no server id.
        let rebind = client.message(kind::REBIND, vec![client.ia_na(&[address])]);
        ensure!(first_address(&pair.ask(&rebind)?)? == address);

        let released = pair.ask(&client.to_server(kind::RELEASE, &reply)?)?;
        ensure!(released.status()? == SUCCESS);
        let again = pair.probe.four_messages(&client)?;
        ensure!(
            first_address(&again)? == address,
            "a client gets the same address again"
        );
        pair.judge.judge(6)
    });
}

#[test]
fn a_declined_address_is_not_given_again() {
    lab::run(|lab| {
        let pair = Pair::new(lab, &Config::default())?;
        let client = Client::new(1);
        let reply = pair.probe.four_messages(&client)?;
        let address = first_address(&reply)?;
        let declined = pair.ask(&client.to_server(kind::DECLINE, &reply)?)?;
        ensure!(declined.status()? == SUCCESS);
        let other = first_address(&pair.probe.four_messages(&client)?)?;
        ensure!(other != address, "{address} was declined and given again");
        pair.judge.judge(5)
    });
}

#[test]
fn confirm_says_whether_the_address_fits_the_link() {
    lab::run(|lab| {
        let pair = Pair::new(lab, &Config::default())?;
        let client = Client::new(1);
        let address = first_address(&pair.probe.four_messages(&client)?)?;
        let confirm = |address| client.message(kind::CONFIRM, vec![client.ia_na(&[address])]);
        ensure!(pair.ask(&confirm(address))?.status()? == SUCCESS);
        let elsewhere: Ipv6Addr = "2001:db8:dead::1".parse()?;
        ensure!(pair.ask(&confirm(elsewhere))?.status()? == NOT_ON_LINK);
        pair.judge.judge(4)
    });
}

#[test]
fn information_request_gets_what_it_asks_for() {
    lab::run(|lab| {
        let pair = Pair::new(lab, &Config::default())?;
        let client = Client::new(1);
        let oro = (
            code::OPTION_REQUEST,
            code::DNS_SERVERS.to_be_bytes().to_vec(),
        );
        let reply = pair.ask(&client.message(kind::INFORMATION_REQUEST, vec![oro]))?;
        ensure!(reply.option(code::DNS_SERVERS) == Some(&DNS_SERVER.octets()[..]));
        pair.judge.judge(1)
    });
}

#[test]
fn rapid_commit_takes_two_messages() {
    lab::run(|lab| {
        let pair = Pair::new(
            lab,
            &Config {
                rapid_commit: true,
                ..Config::default()
            },
        )?;
        let client = Client::new(1);
        let mut solicit = client.solicit();
        solicit.options.push((code::RAPID_COMMIT, Vec::new()));
        let reply = pair.ask(&solicit)?;
        ensure!(reply.option(code::RAPID_COMMIT).is_some());
        let address = first_address(&reply)?;
        ensure!(
            pair.server.lease(&address.to_string())?.is_some(),
            "no binding of {address}"
        );
        pair.judge.judge(1)
    });
}
