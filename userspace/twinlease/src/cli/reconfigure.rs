//! `twinlease reconfigure`: has clients talk to the server, and tells what became of each.

use anyhow::bail;
use std::io::{self, Write};

use super::commands::{connect, json_line};
use super::{ReconfigureArgs, complain};
use crate::control::client::percent_encoded;
use crate::control::reconfigured::{ReconfigureLine, ReconfigureTally};

/// Until every client has its result; whoever interrupts it takes the order back.
pub(super) async fn reconfigure(args: &ReconfigureArgs) -> anyhow::Result<()> {
    let mut client = connect(&args.server).await?;
    let mut answer = client.post_lines(&path(args)).await?;
    let mut end = None;
    while let Some(line) = answer.next::<ReconfigureLine>().await? {
        let mut out = io::stdout().lock();
        if args.json {
            json_line(&mut out, &line)?;
        }
        match line {
            ReconfigureLine::Client(client) if !args.json => {
                let reason = client
                    .reason
                    .map_or_else(String::new, |why| format!(": {why}"));
                writeln!(
                    out,
                    "{} {} {}{reason}",
                    client.duid, client.lease, client.result
                )?;
            }
            ReconfigureLine::Progress(tally) if !args.json => complain(&summary(&tally)),
            ReconfigureLine::Done(tally) => end = Some(tally),
            ReconfigureLine::Failed(error) => bail!("not all clients were reached: {error}"),
            ReconfigureLine::Client(_) | ReconfigureLine::Progress(_) => {}
        }
    }
    let Some(tally) = end else {
        bail!("the server has ended before all clients had their results");
    };
    if !args.json {
        complain(&summary(&tally));
    }
    match (&args.duid, tally.answered()) {
        (Some(_), 0) if tally.clients == 0 => bail!("the client has no active lease here"),
        (Some(_), 0) => bail!("the client has not answered"),
        _ => Ok(()),
    }
}

fn summary(tally: &ReconfigureTally) -> String {
    let results = tally.results.iter();
    let results = results.map(|(result, count)| format!(", {count} {result}"));
    let waiting = match tally.waiting {
        0 => String::new(),
        waiting => format!(", {waiting} waited for"),
    };
    let results: String = results.collect();
    format!(
        "{} clients, {} messages sent{results}{waiting}",
        tally.clients, tally.sent
    )
}

fn path(args: &ReconfigureArgs) -> String {
    let values = [
        ("duid", args.duid.clone()),
        ("link", args.link.clone()),
        ("all", args.all.then(|| "true".to_owned())),
        ("rate", args.rate.map(|rate| rate.to_string())),
        (
            "attempts",
            args.attempts.map(|attempts| attempts.to_string()),
        ),
        (
            "timeout_ms",
            args.timeout.map(|t| t.as_millis().to_string()),
        ),
    ];
    let mut path = format!("/v1/reconfigure?message={}", args.message.as_str());
    for (key, value) in values {
        if let Some(value) = value {
            path += &format!("&{key}={}", percent_encoded(&value));
        }
    }
    path
}
