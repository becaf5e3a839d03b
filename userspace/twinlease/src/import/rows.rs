//! A file of leases, line by line, whatever its format.

use super::kea_leases::KeaColumns;
use super::text::{self, CSV_HEADER, CSV_HEADER_WITHOUT_SUBSCRIBER};
use crate::control::view::BindingView;
use anyhow::{Context as _, bail};
use std::collections::BTreeMap;
use std::io::BufRead;

/// How a file of leases is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One JSON object a line, as `leases export` writes them.
    Json,
    /// Columns as `leases export --format csv` writes them.
    Csv,
    /// Kea's `kea-leases6.csv`.
    Kea,
}

/// What a line says.
#[derive(Debug)]
pub enum Row {
    /// A lease, perhaps one that has ended.
    Lease(Box<BindingView>),
    /// Nothing that can be taken over.
    Skipped {
        /// The lease, as far as it can be read.
        what: String,
        /// Why not.
        why: String,
    },
}

/// The lines of a file.
#[derive(Debug)]
pub struct Rows<R> {
    input: R,
    format: Format,
    columns: Option<KeaColumns>,
    line: u64,
    first: Option<Vec<u8>>,
}

impl<R: BufRead> Rows<R> {
    /// Looks at the first line for the format, unless that is given.
    ///
    /// # Errors
    /// The file cannot be read, or is of no known format.
    pub fn new(mut input: R, format: Option<Format>) -> anyhow::Result<Self> {
        let mut first = Vec::new();
        read_line(&mut input, &mut first)?;
        let head = String::from_utf8_lossy(&first);
        let head = head.trim();
        let found = match head {
            "" if format.is_none() => bail!("the file is empty"),
            _ if head.starts_with('{') => Some(Format::Json),
            CSV_HEADER | CSV_HEADER_WITHOUT_SUBSCRIBER => Some(Format::Csv),
            _ if head.starts_with("address,duid,valid_lifetime,expire,") => Some(Format::Kea),
            _ => None,
        };
        let format = format.or(found).context(
            "the first line is of no known format: it is neither a JSON object, nor the header of \
             `leases export --format csv`, nor that of Kea's kea-leases6.csv",
        )?;
        let columns = match format {
            Format::Kea => Some(KeaColumns::of_header(head)?),
            Format::Csv if found != Some(Format::Csv) => {
                bail!("the first line is not {CSV_HEADER:?}")
            }
            Format::Csv | Format::Json => None,
        };
        let line = if format == Format::Json { 0 } else { 1 };
        let first = (format == Format::Json).then_some(first);
        Ok(Self {
            input,
            format,
            columns,
            line,
            first,
        })
    }

    /// The next line that is not empty, with its number from 1; `None` at the end. `left_out` counts
    /// what of a lease is not taken over.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn next(
        &mut self,
        left_out: &mut BTreeMap<&'static str, u64>,
    ) -> anyhow::Result<Option<(u64, Row)>> {
        let mut octets = Vec::new();
        loop {
            match self.first.take() {
                Some(first) => octets = first,
                None if read_line(&mut self.input, &mut octets)? == 0 => return Ok(None),
                None => {}
            }
            self.line += 1;
            let line = String::from_utf8_lossy(&octets);
            let line = line.trim();
            if line.is_empty() {
                octets.clear();
                continue;
            }
            let row = match (&self.columns, self.format) {
                (Some(columns), _) => columns.row(line, left_out),
                (None, Format::Csv) => text::parse_csv(line),
                (None, _) => text::parse_json(line),
            };
            return Ok(Some((self.line, row)));
        }
    }
}

fn read_line(input: &mut impl BufRead, octets: &mut Vec<u8>) -> anyhow::Result<usize> {
    // One lease is some hundred octets; what goes on for longer is no file of leases.
    const LINE_LEN_MAX: u64 = 1 << 20;
    let read = std::io::Read::take(&mut *input, LINE_LEN_MAX)
        .read_until(b'\n', octets)
        .context("cannot be read")?;
    if read as u64 == LINE_LEN_MAX {
        bail!("a line is longer than {LINE_LEN_MAX} octets");
    }
    Ok(read)
}
