//! The load generator against the server: every exchange is answered, no lease is held twice.

use anyhow::{Context, Result, ensure};
use lab::Lab;
use lab::server::{Config, Server};
use lab::topology::{PEER_ON_LAN, Pair, SERVER_ON_LAN};
use serde_json::Value;

/// Exchanges in a run: few enough for a debug build and the lab's pool.
const EXCHANGES: f64 = 400.0;

struct Load {
    pair: Pair,
    _server: Server,
}

impl Load {
    fn begin(lab: &mut Lab) -> Result<Load> {
        let pair = Pair::new(lab, 1)?;
        let server = Server::start(&pair.server, &Config::default())?;
        Ok(Load {
            pair,
            _server: server,
        })
    }

    /// Runs the generator for a second with further arguments; its figures.
    fn run(&self, source: &str, arguments: &[&str]) -> Result<Value> {
        let peer = &self.pair.peer;
        let program = lab::server::program()?.with_file_name("twinlease-bench");
        let json = peer.dir().join("load.json");
        let mut command = peer.command(&program);
        command
            .args([
                "load",
                "--interface",
                "eth0",
                "--seconds",
                "1",
                "--source",
                source,
            ])
            .arg("--rate")
            .arg(EXCHANGES.to_string())
            .arg("--json")
            .arg(&json)
            .args(arguments);
        // It fails by itself when two clients hold one lease.
        let printed = lab::output_of(&mut command)?;
        let text = std::fs::read_to_string(json).context("the generator wrote no figures")?;
        let figures = serde_json::from_str::<Value>(&text)?["figures"].take();
        ensure!(
            figures["unanswered_ratio"] == 0.0 && figures["completed_per_s"] == EXCHANGES,
            "not all were answered:\n{printed}"
        );
        ensure!(!printed.contains("no answer"), "wrong replies:\n{printed}");
        Ok(figures)
    }

    fn link_local(&self) -> Result<String> {
        Ok(self.pair.peer.link_local("eth0")?.to_string())
    }
}

#[test]
fn generator_over_af_xdp_is_answered_whatever_it_asks() {
    lab::run(|lab| {
        let load = Load::begin(lab)?;
        let source = load.link_local()?;
        let figures = load.run(&source, &["--io", "xdp", "--ask", "both"])?;
        ensure!(
            figures["p50_us"].as_f64().is_some_and(|p50| p50 > 0.0),
            "{figures}"
        );
        load.run(
            &source,
            &[
                "--io",
                "xdp",
                "--salt",
                "1",
                "--kind",
                "renew",
                "--clients",
                "300",
            ],
        )?;
        load.run(
            &source,
            &[
                "--io",
                "xdp",
                "--salt",
                "2",
                "--kind",
                "rebind",
                "--clients",
                "300",
            ],
        )?;
        load.run(
            &source,
            &[
                "--io",
                "xdp",
                "--salt",
                "3",
                "--kind",
                "release",
                "--clients",
                "400",
            ],
        )?;
        Ok(())
    });
}

#[test]
fn generator_behind_relays_is_answered() {
    lab::run(|lab| {
        let load = Load::begin(lab)?;
        let (_, mac) = load.pair.server.link("lan0")?;
        let server = SERVER_ON_LAN.to_string();
        let arguments = [
            "--io",
            "xdp",
            "--server",
            &server,
            "--server-mac",
            &mac,
            "--layers",
            "3",
        ];
        let relays = ["--relay", "2001:db8:2::1", "--relay", "2001:db8:2::2"];
        load.run(
            &PEER_ON_LAN.to_string(),
            &[&arguments[..], &relays].concat(),
        )?;
        Ok(())
    });
}

#[test]
fn generator_over_sockets_is_answered() {
    lab::run(|lab| {
        let load = Load::begin(lab)?;
        load.run(&load.link_local()?, &["--io", "socket"])?;
        Ok(())
    });
}
