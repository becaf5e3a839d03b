//! `twinlease failover`.

use anyhow::bail;
use std::io::{self, BufRead, IsTerminal, Write};
use std::time::Duration;

use super::commands::{connect, json_line};
use super::{PartnerDownArgs, ServerArgs};
use crate::control::client::percent_encoded;
use crate::control::render::failover::Failover;
use crate::control::view::Moment;
use crate::partner::relationship::report::FailoverReport;

/// Longest wait for the order to be obeyed.
const ORDER_MAX: Duration = Duration::from_secs(15);

/// `twinlease failover status`.
pub(super) async fn status(server: &ServerArgs, json: bool) -> anyhow::Result<()> {
    let mut client = connect(server).await?;
    let reports: Vec<FailoverReport> = client.get("/v1/failover").await?;
    let mut out = io::stdout().lock();
    if json {
        return json_line(&mut out, &reports);
    }
    Ok(write!(out, "{}", Failover(&reports))?)
}

/// `twinlease failover partner-down`: asks what it means first, unless told not to.
pub(super) async fn partner_down(args: &PartnerDownArgs) -> anyhow::Result<()> {
    if !args.yes && !is_confirmed(args)? {
        bail!("nothing was changed");
    }
    let mut client = connect(&args.server).await?;
    let mut path = format!(
        "/v1/failover/{}/partner-down?force={}",
        percent_encoded(&args.name),
        args.force
    );
    if let Some(since) = args.since {
        path += &format!("&since={}", since.unix_secs());
    }
    let report: FailoverReport = client.post(&path, ORDER_MAX).await?;
    let mut out = io::stdout().lock();
    if args.json {
        return json_line(&mut out, &report);
    }
    Ok(write!(out, "{}", Failover(&[report]))?)
}

/// Asks on the terminal; without one nobody can answer.
fn is_confirmed(args: &PartnerDownArgs) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        bail!("this is asked first, and there is no terminal to ask on; give --yes");
    }
    let since = match args.since {
        Some(since) => format!("since {}", Moment::from(since).utc),
        None => "from now on".to_owned(),
    };
    let name = &args.name;
    let mut err = io::stderr().lock();
    write!(
        err,
        "The partner in \"{name}\" is then taken to be down {since}, and this server serves all \
         clients alone.\n\
         If the partner still serves clients, both give out the same leases, and two customers \
         get one address.\n\
         So: is the partner's process stopped, or its machine off or cut off from all clients, and \
         will it stay so until it can reach this server? [y/N] "
    )?;
    err.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
