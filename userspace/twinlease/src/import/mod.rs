//! Bindings and configs from elsewhere: files of this server's own export, and Kea's.
//!
//! Files are read line by line, so their size does not matter. Every line that is not taken over is
//! told with its reason.

mod kea_config;
mod kea_leases;
mod offline;
mod rows;
#[cfg(test)]
mod tests;
mod text;

use crate::config::value::parse_hex;
use crate::control::command::OwnedBinding;
use crate::control::subscriber;
use crate::control::view::{BindingView, parse_kind, parse_lease, parse_link, parse_status};
use engine::{Imported, Model, NotImported};
use lease::{AbsTime, PartnerTimes};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::io::{self, BufRead, Write};
use wire::{Duid, Iaid};

pub use kea_config::{KeaConfig, convert};
pub use offline::Offline;
pub use rows::{Format, Row, Rows};
pub use text::{CSV_HEADER, csv_row};

/// Bindings sent at once.
const BATCH: usize = 500;

/// What became of some bindings that were brought in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ImportAnswer {
    /// Are here now and will be extended.
    pub added: u64,
    /// Were here from an earlier time.
    pub updated: u64,
    /// Are here until they end, because no pool of their link gives them.
    pub outside: u64,
    /// Were here and have ended.
    pub ended: u64,
    /// Are not here, and why.
    pub refused: Vec<Refused>,
}

/// A binding that was not taken in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Refused {
    /// Its place among those sent, from 0.
    pub index: usize,
    /// Why.
    pub reason: String,
}

impl ImportAnswer {
    /// Counts what became of one binding.
    pub fn count(&mut self, index: usize, outcome: Result<Imported, NotImported>) {
        match outcome {
            Ok(Imported::Added) => self.added += 1,
            Ok(Imported::Updated) => self.updated += 1,
            Ok(Imported::Outside) => self.outside += 1,
            Ok(Imported::Ended) => self.ended += 1,
            Err(why) => self.refuse(index, why.to_string()),
        }
    }

    /// Counts a binding that was not taken in.
    pub fn refuse(&mut self, index: usize, reason: String) {
        self.refused.push(Refused { index, reason });
    }
}

/// Where bindings are brought.
pub trait Sink {
    /// Brings in some bindings, no lease twice.
    ///
    /// # Errors
    /// Nothing more can be brought in; what came of these is not known.
    fn take(&mut self, batch: &[BindingView])
    -> impl Future<Output = anyhow::Result<ImportAnswer>>;
}

/// What came of a whole file.
#[derive(Debug, Default)]
pub struct Tally {
    /// Lines with a lease or with a fault.
    pub lines: u64,
    /// Sums of all answers; those refused are in `reasons` instead.
    pub total: ImportAnswer,
    /// How many lines were not taken over for each reason.
    pub reasons: BTreeMap<String, u64>,
    /// What of lines that were taken over was not, and how often.
    pub left_out: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// Lines not taken over.
    pub fn refused(&self) -> u64 {
        self.reasons.values().sum()
    }

    fn refuse(&mut self, out: &mut dyn Write, line: u64, what: &str, why: &str) -> io::Result<()> {
        *self.reasons.entry(why.to_owned()).or_insert(0) += 1;
        match what {
            "" => writeln!(out, "line {line}: {why}"),
            what => writeln!(out, "line {line}: {what}: {why}"),
        }
    }

    /// The sums, for people.
    ///
    /// # Errors
    /// `out` cannot be written to.
    pub fn summary(&self, out: &mut dyn Write) -> io::Result<()> {
        let ImportAnswer {
            added,
            updated,
            outside,
            ended,
            refused: _,
        } = &self.total;
        writeln!(
            out,
            "{} lines: {added} bindings added, {updated} updated",
            self.lines
        )?;
        if *outside > 0 {
            writeln!(
                out,
                "{outside} are in no pool of their link: kept until they end, not extended"
            )?;
        }
        if *ended > 0 {
            writeln!(out, "{ended} were added and ended by later lines")?;
        }
        for (what, count) in &self.left_out {
            writeln!(out, "left out {count} times: {what}")?;
        }
        writeln!(out, "{} lines not taken over", self.refused())?;
        for (why, count) in &self.reasons {
            writeln!(out, "  {count:>9}  {why}")?;
        }
        Ok(())
    }
}

/// Brings in all rows; tells on `out` each line that is not taken over, and why.
///
/// # Errors
/// The file cannot be read, `out` not written, or the sink takes nothing any more.
pub async fn import<R: BufRead>(
    mut rows: Rows<R>,
    sink: &mut impl Sink,
    out: &mut dyn Write,
) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    let mut batch: Vec<BindingView> = Vec::with_capacity(BATCH);
    let mut numbers = Vec::with_capacity(BATCH);
    let mut leases = HashSet::new();
    loop {
        let row = rows.next(&mut tally.left_out)?;
        let full = match &row {
            None => true,
            // A lease may come again, with what became of it later: in its own time.
            Some((_, Row::Lease(view))) => {
                batch.len() == BATCH || leases.contains(view.lease.as_str())
            }
            Some(_) => false,
        };
        if full && !batch.is_empty() {
            let answer = sink.take(&batch).await?;
            for Refused { index, reason } in &answer.refused {
                let (line, lease) = (numbers[*index], batch[*index].lease.clone());
                tally.refuse(out, line, &lease, reason)?;
            }
            let total = &mut tally.total;
            total.added += answer.added;
            total.updated += answer.updated;
            total.outside += answer.outside;
            total.ended += answer.ended;
            batch.clear();
            numbers.clear();
            leases.clear();
        }
        let Some((line, row)) = row else {
            return Ok(tally);
        };
        tally.lines += 1;
        match row {
            Row::Lease(view) => {
                leases.insert(view.lease.clone());
                numbers.push(line);
                batch.push(*view);
            }
            Row::Skipped { what, why } => tally.refuse(out, line, &what, &why)?,
        }
    }
}

/// The binding that a view shows, on the link that it names or, if that is not configured, where
/// the lease lies.
///
/// # Errors
/// What of it cannot be, in words for who wrote it.
pub fn binding_of(view: &BindingView, model: &Model) -> Result<OwnedBinding, String> {
    let lease = parse_lease(&view.lease)?;
    let duid = parse_hex(&view.duid)
        .filter(|octets| Duid::new(octets).is_some_and(|duid| !duid.is_subscriber()));
    let duid = duid.ok_or_else(|| format!("{:?} is not a DUID", view.duid))?;
    let kind = parse_kind(&view.kind, lease)?;
    let status = parse_status(&view.status)
        .ok_or_else(|| format!("{:?} is not a binding-status", view.status))?;
    let named = parse_link(&view.link, model);
    let link = named.or_else(|| model.link_of_lease(lease).map(engine::Link::key));
    let link = link.ok_or("no configured link has it: neither a pool nor link-addresses")?;
    let subscriber = match view.subscriber.as_str() {
        "" => None,
        words => Some((subscriber::parse(words)?, Iaid(view.subscriber_ia))),
    };
    let via = parse_hex(&view.via).ok_or_else(|| format!("{:?} is not hexadecimal", view.via))?;
    Ok(OwnedBinding {
        duid: duid.into(),
        kind,
        iaid: Iaid(view.iaid),
        subscriber,
        lease,
        link,
        status,
        preferred_secs: view.preferred_secs,
        valid_secs: view.valid_secs,
        cltt: AbsTime(view.cltt.secs_since_2000),
        status_since: AbsTime(view.status_since.secs_since_2000),
        expires: AbsTime(view.expires.secs_since_2000),
        partner: PartnerTimes::NONE,
        accepts_reconfigure: view.accepts_reconfigure,
        via: via.into(),
    })
}
