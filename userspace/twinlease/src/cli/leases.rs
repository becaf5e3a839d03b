//! `twinlease leases`: what there is, and what an operator changes of it.

use anyhow::{Context, bail};
use lease::{AbsTime, Lease};
use serde::Deserialize;
use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::commands::{complain_of, connect, json_line, load};
use super::{ExportArgs, ExportFormat, ImportArgs, ListArgs, ServerArgs, complain};
use crate::control::client::{Client, percent_encoded};
use crate::control::render::{lease_details, lease_header, lease_row};
use crate::control::view::{BindingView, LeasePage};
use crate::import::{self, CSV_HEADER, ImportAnswer, Offline, Rows, Sink, csv_row};

/// Longest wait for a change to be on disk.
const CHANGE_MAX: Duration = Duration::from_secs(30);

/// `twinlease leases list`: one page in memory at a time.
pub(super) async fn list(args: &ListArgs) -> anyhow::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let header = (!args.json).then(lease_header);
    pages(
        &args.server,
        &query(args),
        header,
        &mut out,
        |out, lease| match args.json {
            true => json_line(out, lease),
            false => Ok(writeln!(out, "{}", lease_row(lease))?),
        },
    )
    .await
}

/// `twinlease leases export`.
pub(super) async fn export(args: &ExportArgs) -> anyhow::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let header = (args.format == ExportFormat::Csv).then(|| CSV_HEADER.to_owned());
    pages(
        &args.list.server,
        &query(&args.list),
        header,
        &mut out,
        |out, lease| match args.format {
            ExportFormat::Json => json_line(out, lease),
            ExportFormat::Csv => Ok(writeln!(out, "{}", csv_row(lease))?),
        },
    )
    .await
}

/// The header is written when the server has answered: without one there is nothing to show.
async fn pages<W: Write>(
    server: &ServerArgs,
    query: &str,
    mut header: Option<String>,
    out: &mut W,
    mut each: impl FnMut(&mut W, &BindingView) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut client = connect(server).await?;
    let mut from = None;
    loop {
        let page: LeasePage = match &from {
            None => client.get(query).await?,
            Some(from) => client.get(&format!("{query}&from={from}")).await?,
        };
        if let Some(header) = header.take() {
            writeln!(out, "{header}")?;
        }
        for lease in &page.leases {
            each(out, lease)?;
        }
        out.flush()?;
        match page.next {
            Some(next) => from = Some(percent_encoded(&next)),
            None => return Ok(()),
        }
    }
}

/// The request of the first page; it always has a query, so that `&from=` may follow.
pub(super) fn query(args: &ListArgs) -> String {
    let lease = |lease: Option<Lease>| lease.map(|lease| lease.to_string());
    let values = [
        ("link", args.link.clone()),
        ("duid", args.duid.clone()),
        ("address", lease(args.address)),
        ("prefix", lease(args.prefix)),
        ("within", lease(args.within)),
        ("status", args.status.clone()),
    ];
    let mut query = "/v1/leases?limit=1000".to_owned();
    for (key, value) in values {
        if let Some(value) = value {
            query += &format!("&{key}={}", percent_encoded(&value));
        }
    }
    query + &args.line.query()
}

/// `twinlease leases show`: that there is no such binding is an answer and not a failure.
pub(super) async fn show(server: &ServerArgs, lease: Lease, json: bool) -> anyhow::Result<()> {
    let mut client = connect(server).await?;
    let view: BindingView = match client.get(&path(lease)).await {
        Ok(view) => view,
        Err(error) if error.is_not_found() => {
            complain(&error.to_string());
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let mut out = io::stdout().lock();
    if json {
        return json_line(&mut out, &view);
    }
    Ok(writeln!(out, "{}", lease_details(&view))?)
}

/// What the server says of a lease that was freed.
#[derive(Deserialize)]
struct Freed {
    lease: String,
}

/// `twinlease leases release` and `reset`: each lease by itself; fails if one could not be freed.
pub(super) async fn free(server: &ServerArgs, leases: &[Lease], how: &str) -> anyhow::Result<()> {
    let mut client = connect(server).await?;
    let mut failed = 0;
    for lease in leases {
        match client
            .post::<Freed>(&format!("{}/{how}", path(*lease)), CHANGE_MAX)
            .await
        {
            Ok(freed) => writeln!(io::stdout().lock(), "{}: free", freed.lease)?,
            Err(error) => {
                failed += 1;
                complain(&error.to_string());
            }
        }
    }
    match failed {
        0 => Ok(()),
        _ => bail!("{failed} of {} leases are not freed", leases.len()),
    }
}

fn path(lease: Lease) -> String {
    format!("/v1/leases/{}", percent_encoded(&lease.to_string()))
}

/// `twinlease leases import`: into the running server or, offline, into its state directory.
pub(super) async fn import(args: &ImportArgs) -> anyhow::Result<()> {
    let shown = args.file.display();
    let file = File::open(&args.file).with_context(|| format!("{shown}"))?;
    let rows = Rows::new(BufReader::with_capacity(1 << 20, file), args.format)
        .with_context(|| format!("{shown}"))?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    let tally = if args.offline {
        let config = args
            .server
            .config
            .as_deref()
            .context("--offline needs --config: it names the state directory")?;
        let mut offline = Offline::open(&load(config)?.0, now())
            .context("cannot import beside a running server; leave out --offline")?;
        let tally = import::import(rows, &mut offline, &mut out).await?;
        offline.close()?;
        tally
    } else {
        let mut online = Online(connect(&args.server).await?);
        import::import(rows, &mut online, &mut out).await?
    };
    tally.summary(&mut out)?;
    Ok(out.flush()?)
}

/// The running server.
struct Online(Client);

impl Sink for Online {
    async fn take(&mut self, batch: &[BindingView]) -> anyhow::Result<ImportAnswer> {
        let answer = self.0.post_json("/v1/leases/import", &batch, CHANGE_MAX);
        answer.await.context("the rest of the file is not imported")
    }
}

fn now() -> AbsTime {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    AbsTime::from_unix_secs(since_1970.map_or(0, |since| since.as_secs()))
}

/// `twinlease kea-config`: the config on stdout, what is left out and what it lacks on stderr.
pub(super) fn kea_config(
    file: &Path,
    server_duid: Option<&str>,
    cores: &[usize],
) -> anyhow::Result<()> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("{shown}"))?;
    let converted = import::convert(&text, server_duid)
        .map_err(|problem| anyhow::anyhow!("{shown}: {problem}"))?;
    let mut out = io::stdout().lock();
    write!(out, "{}", converted.toml)?;
    out.flush()?;
    for left_out in &converted.left_out {
        complain(&format!("not taken over: {left_out}"));
    }
    let [links, pools, reservations, classes] = converted.taken;
    complain(&format!(
        "{links} links, {pools} pools, {reservations} reservations and {classes} classes taken over; {} keys not",
        converted.left_out.len()
    ));
    match crate::config::parse("converted", &converted.toml, cores) {
        Ok((_, report)) => complain_of(&report),
        Err(report) => {
            complain("to be mended before it can be served:");
            complain_of(&report);
        }
    }
    Ok(())
}
