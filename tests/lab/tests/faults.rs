use std::fs;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use lab::message::{Client, relay_forward};
use lab::probe::Probe;
use lab::server::{Config, Server, program};
use lab::topology::Site;

use crate::common::{Judge, first_address};

const DATAGRAMS: u64 = 200;

#[test]
fn a_datagram_of_any_bytes_is_a_counted_drop() {
    lab::run(|lab| {
        let site = Site::new(lab, 1)?;
        let namespace = site.lan.client(lab, "client")?;
        let judge = Judge::on_lan(&site)?;
        let server = Server::start(&site.server, &Config::default())?;
        let probe = Probe::direct(&namespace, "eth0")?;
        let before = server.status()?.drops()?;
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for n in 0..DATAGRAMS {
            let mut bytes: Vec<u8> = (0..n * 7 % 1200).map(|_| next(&mut state)).collect();
            match n % 3 {
                // Any bytes; the head of a Solicit; a relay's message with any bytes in it.
                0 => {}
                1 => bytes
                    .splice(..bytes.len().min(4), [1, 0, 0, n as u8])
                    .for_each(drop),
                _ => bytes = relay_forward("::1".parse()?, "fe80::1".parse()?, b"x", &bytes),
            }
            probe.send_bytes(&bytes)?;
        }
        lab::wait_until(
            "the drops to be counted",
            std::time::Duration::from_secs(5),
            || {
                let drops = server.status()?.drops()?;
                Ok((drops >= before + DATAGRAMS).then_some(()))
            },
        )?;
        first_address(&probe.four_messages(&Client::new(1))?)?;
        judge.judge(2)
    });
}

/// xorshift64: any bytes, and the same in every run.
fn next(state: &mut u64) -> u8 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    state.to_be_bytes()[3]
}

#[test]
fn a_second_server_on_the_same_state_refuses() {
    lab::run(|lab| {
        let site = Site::new(lab, 1)?;
        let server = Server::start(&site.server, &Config::default())?;
        let config = fs::read_to_string(server.config())?;
        let second = lab.dir().join("second.toml");
        fs::write(&second, config.replace("control.sock", "second.sock"))?;
        let mut run = site.server.command(program()?);
        let output = run.args(["run", "--config"]).arg(&second).output()?;
        let shown = refusal(&output)?;
        ensure!(shown.contains("state"), "it does not say why: {shown}");
        server.status().map(drop).context("the first one goes on")
    });
}

#[test]
fn every_fault_of_a_config_is_told_with_its_line() {
    lab::run(|lab| {
        let config = lab.dir().join("faults.toml");
        let text = "[server]\nstate-dirr = \"/tmp/x\"\n\n[workers]\nidle = \"often\"\n\n\
                    [lifetimes]\npreferred = \"4d\"\nvalid = \"soon\"\n";
        fs::write(&config, text)?;
        for command in ["check", "run"] {
            let output = Command::new(program()?)
                .args([command, "--config"])
                .arg(&config)
                .output();
            let output = output.context("cannot start twinlease")?;
            let shown = refusal(&output)?;
            for (line, word) in [(2, "state-dirr"), (5, "idle"), (9, "valid")] {
                let told = shown.lines().any(|l| l.contains(&format!(":{line}")));
                ensure!(
                    told && shown.contains(word),
                    "{command} is silent on line {line}: {shown}"
                );
            }
        }
        Ok(())
    });
}

#[test]
fn without_privileges_it_serves_through_the_socket() {
    lab::run(|lab| {
        let site = Site::new(lab, 1)?;
        let namespace = site.lan.client(lab, "client")?;
        // Else the port itself is a privilege.
        site.server
            .sysctl("ipv4/ip_unprivileged_port_start", "547")?;
        let server = Server::start_unprivileged(&site.server, &Config::default())?;
        let interfaces = server.status()?.interfaces()?;
        ensure!(
            interfaces
                .iter()
                .all(|interface| interface.rung == "socket"),
            "{interfaces:?}"
        );
        let probe = Probe::direct(&namespace, "eth0")?;
        first_address(&probe.four_messages(&Client::new(1))?).map(drop)
    });
}

#[test]
fn a_rung_that_cannot_be_had_is_a_clear_error() {
    lab::run(|lab| {
        let site = Site::new(lab, 1)?;
        site.server
            .sysctl("ipv4/ip_unprivileged_port_start", "547")?;
        let config = Config {
            io: "copy",
            ..Config::default()
        };
        let Err(error) = Server::start_unprivileged(&site.server, &config) else {
            anyhow::bail!("io = \"copy\" was accepted without privileges");
        };
        let shown = format!("{error:#}");
        ensure!(
            shown.contains("lan0") && shown.contains("CAP_"),
            "not clear: {shown}"
        );
        Ok(())
    });
}

/// What a program printed that ended with exit code 1.
fn refusal(output: &Output) -> Result<String> {
    let shown = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.code() == Some(1),
        "it ended with {}: {shown}",
        output.status
    );
    Ok(shown)
}
