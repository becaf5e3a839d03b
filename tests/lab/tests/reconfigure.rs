use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hmac::{Hmac, KeyInit, Mac};
use lab::clients::{Dhcpcd, Want};
use lab::failover::{
    Endpoint, FailoverSite, Partners, Relationship, Role, Security, bindings,
    start as start_partner,
};
use lab::message::{Client, Message, code, kind};
use lab::probe::Probe;
use lab::server::{Config, FAR_POOL, Server, program};
use lab::topology::{RELAY_DOWN, RELAY_UP, SERVER_UP, Site};
use lab::{Lab, Namespace, wait_until};
use md5::Md5;

use crate::common::Judge;

const BOUND_LIMIT: Duration = Duration::from_secs(30);

fn start(namespace: &Namespace) -> Result<Server> {
    let config = Config {
        interfaces: vec!["lan0", "up0"],
        workers: 2,
        ..Config::default()
    };
    let text = config.text(namespace.dir()) + "\n[reconfigure]\nenabled = true\n";
    Server::start_with(&program()?, namespace, &text)
}

/// A client that keeps its key and does as RFC 9915 §18.2.11 and §20.4.3 have it.
struct Reconfigurable {
    client: Client,
    /// The last Reply.
    reply: Message,
    /// The server whose Reconfigure messages it expects, and what they ask for.
    server: Vec<u8>,
    requested: u8,
    key: [u8; 16],
    replay: u64,
    /// Authentic Reconfigure messages that came.
    received: usize,
}

impl Reconfigurable {
    fn bind(probe: &Probe, number: u32) -> Result<Reconfigurable> {
        let client = Client::new(number);
        let mut solicit = client.solicit();
        solicit.options.push((code::RECONFIGURE_ACCEPT, Vec::new()));
        let advertise = probe.ask(&solicit)?;
        ensure!(advertise.option(code::RECONFIGURE_ACCEPT).is_some());
        ensure!(advertise.option(code::AUTHENTICATION).is_none());
        let mut request = client.request(&advertise)?;
        request.options.push((code::RECONFIGURE_ACCEPT, Vec::new()));
        let reply = probe.ask(&request)?;
        ensure!(reply.option(code::RECONFIGURE_ACCEPT).is_some());
        let mut bound = Reconfigurable {
            client,
            server: Vec::new(),
            requested: kind::RENEW,
            reply: reply.clone(),
            key: [0; 16],
            replay: 0,
            received: 0,
        };
        bound.note(reply)?;
        Ok(bound)
    }

    /// Keeps what a Reply says; whether the key is another one.
    fn note(&mut self, reply: Message) -> Result<bool> {
        let (replay, 1, key) = authentication(&reply)? else {
            anyhow::bail!("no key in {reply:?}");
        };
        ensure!(replay > self.replay, "{replay} is a replay");
        let server = reply.option(code::SERVER_ID).context("no server")?;
        self.server = server.to_vec();
        let is_another = key != self.key;
        (self.key, self.replay, self.reply) = (key, replay, reply);
        Ok(is_another)
    }

    /// What it sends when it is told to.
    fn answer(&self) -> Result<Message> {
        if self.requested == kind::RENEW {
            return self.client.to_server(kind::RENEW, &self.reply);
        }
        let ias = self.reply.options.iter();
        let mut options: Vec<_> = ias.filter(|ia| ia.0 == code::IA_NA).cloned().collect();
        options.push((code::RECONFIGURE_ACCEPT, Vec::new()));
        Ok(self.client.message(self.requested, options))
    }

    /// Checks a message that came; whether it is a Reconfigure for this client.
    fn take(&mut self, octets: &[u8]) -> Result<bool> {
        let message = Message::decode(octets)?;
        let is_ours = message.option(code::CLIENT_ID) == Some(&self.client.duid[..]);
        if message.kind != kind::RECONFIGURE || !is_ours {
            return Ok(false);
        }
        ensure!(message.transaction_id == [0; 3] && message.options.len() == 4);
        ensure!(message.option(code::SERVER_ID) == Some(&self.server[..]));
        ensure!(message.option(code::RECONFIGURE_MESSAGE) == Some(&[self.requested][..]));
        let (replay, value_type, hmac) = authentication(&message)?;
        ensure!(
            value_type == 2 && replay > self.replay,
            "{replay} is a replay"
        );
        let mut zeroed = octets.to_vec();
        let place = octets.windows(16).rposition(|octets| octets == hmac);
        zeroed[place.context("no HMAC")?..][..16].fill(0);
        let mac = Hmac::<Md5>::new_from_slice(&self.key)?.chain_update(&zeroed);
        ensure!(mac.finalize().into_bytes()[..] == hmac, "a forged message");
        self.replay = replay;
        self.received += 1;
        Ok(true)
    }

    /// Takes what has come, and answers it.
    fn serve(&mut self, probe: &Probe) -> Result<()> {
        if let Some(octets) = probe.next_message()?
            && self.take(&octets)?
        {
            probe.send(&self.answer()?)?;
        }
        Ok(())
    }

    fn duid(&self) -> String {
        let octets = self.client.duid.iter().map(|octet| format!("{octet:02x}"));
        octets.collect::<Vec<_>>().join(":")
    }
}

/// What RKAP says: replay detection, type, value (RFC 9915 §20.4.1).
fn authentication(message: &Message) -> Result<(u64, u8, [u8; 16])> {
    let data = message.option(code::AUTHENTICATION);
    let data = data.with_context(|| format!("no authentication in {message:?}"))?;
    ensure!(data.len() == 28 && data[..3] == [3, 1, 0], "{data:?}");
    let replay = u64::from_be_bytes(data[3..11].try_into()?);
    Ok((replay, data[11], data[12..].try_into()?))
}

/// Runs the command beside `serve`, which is called again and again until the command has ended.
fn beside(
    server: &Server,
    arguments: &[&str],
    mut serve: impl FnMut() -> Result<()>,
) -> Result<String> {
    thread::scope(|scope| {
        let command = scope.spawn(|| server.operate(arguments));
        while !command.is_finished() {
            serve()?;
        }
        command.join().expect("the command's thread does not panic")
    })
}

#[test]
fn each_client_is_told_off_by_what_it_does() {
    lab::run(|lab| {
        let site = Site::new(lab, 2)?;
        let far = site.add_relay(lab)?;
        let namespace = site.lan.client(lab, "client")?;
        let judges = [Judge::on_lan(&site)?, Judge::at_relay(&site, &far)?];
        let mut server = start(&site.server)?;
        let direct = Probe::direct(&namespace, "eth0")?;
        let behind = Probe::relay(&far.relay, RELAY_UP, SERVER_UP, RELAY_DOWN)?;
        let mut near = Reconfigurable::bind(&direct, 1)?;
        let mut relayed = Reconfigurable::bind(&behind, 2)?;
        let mut silent = Reconfigurable::bind(&direct, 3)?;
        direct.four_messages(&Client::new(4))?;

        let arguments = ["reconfigure", "--all", "--json", "--timeout", "20ms"];
        let told = beside(&server, &arguments, || {
            if let Some(octets) = direct.next_message()? {
                silent.take(&octets)?;
                if near.take(&octets)? {
                    direct.send(&near.client.to_server(kind::RENEW, &near.reply)?)?;
                }
            }
            relayed.serve(&behind)
        })?;
        let result = |duid: &str| {
            let line = told.lines().find(|line| line.contains(duid));
            line.map(str::to_owned)
                .with_context(|| format!("{duid} is not in {told}"))
        };
        for answering in [&near, &relayed] {
            let line = result(&answering.duid())?;
            ensure!(line.contains(r#""result":"answered""#), "{line}");
        }
        let line = result(&silent.duid())?;
        let all_eight = line.contains("no-answer") && line.contains(r#""transmissions":8"#);
        ensure!(
            all_eight && silent.received == 8,
            "{} {line}",
            silent.received
        );
        ensure!(told.contains("not-accepted"), "{told}");
        ensure!(
            told.lines()
                .last()
                .is_some_and(|line| line.contains("done")),
            "{told}"
        );

        // The key outlives the server, and replay values go on where they were.
        server.kill()?;
        server.restart()?;
        for (client, probe) in [(&mut near, &direct), (&mut relayed, &behind)] {
            let duid = client.duid();
            let told = beside(&server, &["reconfigure", "--duid", &duid], || {
                client.serve(probe)
            })?;
            ensure!(told.contains("answered"), "{told}");
        }
        let refused = server.operate(&["reconfigure", "--duid", "00:03:00:01:99:99"]);
        ensure!(refused.is_err(), "nobody has this DUID");
        let link = format!("{FAR_POOL}");
        ensure!(server.operate(&["reconfigure", "--link", &link]).is_err());
        judges.into_iter().try_for_each(|judge| judge.judge(4))
    });
}

#[test]
fn dhcpcd_renews_when_it_is_told_to() {
    lab::run(|lab| {
        let site = Site::new(lab, 2)?;
        let client = site.lan.client(lab, "client")?;
        site.add_relay(lab)?;
        let judge = Judge::on_lan(&site)?;
        let server = start(&site.server)?;
        let dhcpcd = Dhcpcd::start(&client, "eth0", Want::Both)?;
        dhcpcd.bound(BOUND_LIMIT)?;
        for _ in 0..2 {
            let told = server.operate(&["reconfigure", "--link", "lan", "--attempts", "3"])?;
            ensure!(told.contains(" answered"), "{told}");
        }
        judge.judge(4)
    });
}

/// Partners with these secrets, of which the primary has bound a client and is killed; and the client.
fn taken_over(lab: &mut Lab, secrets: [&str; 2]) -> Result<(Partners, Probe, Reconfigurable)> {
    let site = FailoverSite::new(lab, 1)?;
    let namespace = site.lan.client(lab, "client")?;
    let (program, text) = (program()?, Config::default().text(Path::new("@dir@")));
    let start = |role, secret: &str| {
        let secret = format!("\n[reconfigure]\nenabled = true\nsecret = \"{secret}\"\n");
        let config = Config {
            template: Some(format!("{text}{secret}")),
            ..Config::default()
        };
        let relationship = Relationship::default();
        start_partner(
            &program,
            &site,
            &config,
            &relationship,
            role,
            &Security::Insecure,
        )
    };
    let mut partners = Partners {
        primary: start(Role::Primary, secrets[0])?,
        secondary: start(Role::Secondary, secrets[1])?,
    };
    partners.wait_for_normal(BOUND_LIMIT)?;
    let probe = Probe::direct(&namespace, "eth0")?;
    let client = Reconfigurable::bind(&probe, 1)?;
    let duid = client.duid();
    wait_until("the secondary to have the binding", BOUND_LIMIT, || {
        let known = bindings(&partners.secondary)?;
        Ok(known.keys().any(|key| key.contains(&duid)).then_some(()))
    })?;
    let why = match secrets[0] == secrets[1] {
        true => "partner-answers",
        false => "not-accepted",
    };
    ensure_not_sent(&partners.secondary, &duid, why)?;
    partners.primary.kill()?;
    Endpoint::wait_for(
        &partners.secondary,
        "COMMUNICATIONS-INTERRUPTED",
        BOUND_LIMIT,
    )?;
    // Replay detection values of the two follow each other by the second.
    thread::sleep(Duration::from_secs(1));
    Ok((partners, probe, client))
}

/// The order fails, and says why nothing was sent.
fn ensure_not_sent(server: &Server, duid: &str, why: &str) -> Result<()> {
    let told = match server.operate(&["reconfigure", "--duid", duid]) {
        Ok(told) => told,
        Err(error) => format!("{error:#}"),
    };
    let is_told = told.contains(why) && told.contains(" 0 messages sent");
    ensure!(is_told, "not {why}: {told}");
    Ok(())
}

#[test]
fn a_key_of_the_primary_s_is_good_for_the_secondary_after_a_takeover() {
    lab::run(|lab| {
        let secret = "00112233445566778899aabbccddeeff";
        let (partners, probe, mut client) = taken_over(lab, [secret; 2])?;
        let duid = client.duid();
        let advertise = probe.ask(&Client::new(2).solicit())?;
        let secondary = advertise.option(code::SERVER_ID).context("no server")?;
        ensure!(secondary != client.server, "the primary is back");
        client.server = secondary.to_vec();
        client.requested = kind::REBIND;
        let order = ["reconfigure", "--duid", &duid, "--message", "rebind"];
        let told = beside(&partners.secondary, &order, || client.serve(&probe))?;
        ensure!(told.contains("answered") && client.received >= 1, "{told}");

        // From then on the client is the secondary's, with the same key.
        let reply = probe.ask(&client.answer()?)?;
        ensure!(!client.note(reply)?, "the key has changed");
        client.requested = kind::RENEW;
        let order = ["reconfigure", "--duid", &duid];
        let told = beside(&partners.secondary, &order, || client.serve(&probe))?;
        ensure!(told.contains("answered"), "{told}");
        Ok(())
    });
}

#[test]
fn a_key_of_another_secret_is_replaced_by_the_client_s_next_message_to_the_secondary() {
    lab::run(|lab| {
        let secrets = [
            "00112233445566778899aabbccddeeff",
            "ffeeddccbbaa99887766554433221100",
        ];
        let (partners, probe, mut client) = taken_over(lab, secrets)?;
        let duid = client.duid();
        let order = ["reconfigure", "--duid", &duid];
        let why = "not-accepted: no key of this server's is with the client";
        ensure_not_sent(&partners.secondary, &duid, why)?;
        client.requested = kind::REBIND;
        let reply = probe.ask(&client.answer()?)?;
        ensure!(client.note(reply)?, "the primary's key is still in use");
        client.requested = kind::RENEW;
        let told = beside(&partners.secondary, &order, || client.serve(&probe))?;
        ensure!(told.contains("answered"), "{told}");
        Ok(())
    });
}
