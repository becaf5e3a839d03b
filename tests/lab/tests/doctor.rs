use std::fs;
use std::process::Output;

use anyhow::{Context, Result, ensure};
use lab::Namespace;
use lab::server::{Config, Server, program};
use lab::topology::Site;
use serde_json::Value;

/// The findings about `about`, as (verdict, found).
fn about(output: &Output, about: &str) -> Result<Vec<(String, String)>> {
    let findings: Vec<Value> = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    let found = findings.iter().filter(|finding| finding["about"] == about);
    Ok(found
        .map(|finding| (text(finding, "verdict"), text(finding, "found")))
        .collect())
}

fn doctor(namespace: &Namespace, config: &Config, options: &[&str]) -> Result<Output> {
    let file = namespace.dir().join("doctor.toml");
    fs::write(&file, config.text(namespace.dir()))?;
    let mut command = namespace.command(program()?);
    command.arg("doctor").arg("--config").arg(&file);
    Ok(command.arg("--json").args(options).output()?)
}

#[test]
fn doctor_judges_the_machine_before_and_while_a_server_runs() {
    lab::run(|lab| {
        let site = Site::new(lab, 2)?;
        let config = Config::default();

        let before = doctor(&site.server, &config, &["--try-interfaces"])?;
        let judged = about(&before, "lan0")?;
        let says = |verdict: &str, part: &str| {
            (judged.iter()).any(|(judgement, found)| judgement == verdict && found.contains(part))
        };
        ensure!(
            before.status.success()
                && says("fit", "driver veth, 2 receive queues, MTU 1500")
                && says("fit", "joins ff02::1:2")
                && says(
                    "hurts",
                    "a packet went round on rung copy; zero-copy did not"
                ),
            "{judged:?}"
        );
        ensure!(about(&before, "port")? == [("fit".into(), "UDP 547 is free".into())]);

        let server = Server::start(&site.server, &config)?;
        let during = doctor(&site.server, &config, &[])?;
        let port = about(&during, "port")?;
        ensure!(during.status.success() && port[0].0 == "hurts", "{port:?}");
        drop(server);

        site.server.ip("link set lan0 down")?;
        let down = doctor(&site.server, &config, &[])?;
        let judged = about(&down, "lan0")?;
        ensure!(
            !down.status.success()
                && judged.iter().any(|(verdict, found)| verdict == "unfit"
                    && found.contains("down or has no carrier")),
            "{judged:?}"
        );
        Ok(())
    });
}
