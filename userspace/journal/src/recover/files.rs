//! The files of a journal: which there are, and how each begins.

use super::{Recovered, io_error};
use crate::error::JournalError;
use crate::file::{OpenFor, Storage};
use crate::group::Lsn;
use crate::segment::{
    BATCH_LEN_MAX, BLOCK_LEN, BatchHeader, FORMAT_VERSION, FileHeader, FileKind, HeaderFault,
};
use crate::shared::SegmentInfo;

/// The journal's files by their names.
#[derive(Default)]
pub(super) struct Files {
    pub segments: Vec<(u64, String)>,
    pub snapshots: Vec<(u64, String)>,
    pub spares: Vec<String>,
    pub next_spare: u64,
    pub temporary: Vec<String>,
}

impl Files {
    pub fn find(storage: &dyn Storage) -> Result<Self, JournalError> {
        let mut files = Self::default();
        for name in storage.list().map_err(io_error(storage, "list", ""))? {
            let number = |prefix, suffix| {
                let digits = name.strip_prefix(prefix)?.strip_suffix(suffix)?;
                u64::from_str_radix(digits, 16).ok()
            };
            if let Some(number) = number("segment-", ".log") {
                files.segments.push((number, name));
            } else if let Some(lsn) = number("snapshot-", ".snap") {
                files.snapshots.push((lsn, name));
            } else if let Some(number) = number("spare-", ".free") {
                files.next_spare = files.next_spare.max(number + 1);
                files.spares.push(name);
            } else if number("spare-", ".tmp").is_some() || name == "snapshot.tmp" {
                files.temporary.push(name);
            }
        }
        files.segments.sort();
        files.snapshots.sort();
        Ok(files)
    }
}

/// Takes segments that were prepared and not begun as spares, unless one lost its beginning.
pub(super) fn pass_over_prepared(
    storage: &dyn Storage,
    recovered: &mut Recovered,
) -> Result<(), JournalError> {
    for name in std::mem::take(&mut recovered.prepared) {
        match lost_batch(storage, &name, recovered.next_lsn)? {
            None => recovered.spares.push(name),
            Some(lsn) => {
                recovered.damage(format!(
                    "{name}: its beginning is missing, and records behind it, LSN {lsn} and later; the whole file is left out"
                ));
                recovered.next_lsn = Lsn(recovered.next_lsn.0.max(lsn));
            }
        }
    }
    Ok(())
}

/// LSN of the first batch near the beginning of a file without header that is not below `next`: a
/// recycled segment has none.
fn lost_batch(storage: &dyn Storage, name: &str, next: Lsn) -> Result<Option<u64>, JournalError> {
    let failed = |what| io_error(storage, what, name);
    let file = storage.open(name, OpenFor::Read).map_err(failed("open"))?;
    let mut octets = vec![0; 2 * BATCH_LEN_MAX];
    let len = file.read_at(&mut octets, 0).map_err(failed("read"))?;
    let headers = octets[..len]
        .chunks(BLOCK_LEN)
        .filter_map(BatchHeader::decode_any);
    Ok(headers
        .map(|header| header.first_lsn)
        .find(|lsn| *lsn >= next.0))
}

/// How a file begins.
pub(super) enum Beginning {
    Header(FileHeader),
    /// A segment prepared for later: neither header nor batch.
    Blank,
    Damaged,
}

pub(super) fn read_beginning(
    storage: &dyn Storage,
    kind: FileKind,
    name: &str,
) -> Result<Beginning, JournalError> {
    let failed = |what| io_error(storage, what, name);
    let file = storage.open(name, OpenFor::Read).map_err(failed("open"))?;
    let mut blocks = vec![0; 2 * BLOCK_LEN];
    let len = file.read_at(&mut blocks, 0).map_err(failed("read"))?;
    match FileHeader::decode(kind, &blocks[..len]) {
        Ok(header) => Ok(Beginning::Header(header)),
        Err(HeaderFault::Damaged)
            if len == blocks.len() && blocks.iter().all(|&octet| octet == 0) =>
        {
            Ok(Beginning::Blank)
        }
        Err(HeaderFault::Damaged) => Ok(Beginning::Damaged),
        Err(HeaderFault::Version(found)) => Err(JournalError::Version {
            file: name.to_owned(),
            found,
            supported: FORMAT_VERSION,
        }),
    }
}

pub(super) type Segment = (SegmentInfo, FileHeader);

pub(super) fn segment_headers(
    storage: &dyn Storage,
    files: &Files,
    recovered: &mut Recovered,
) -> Result<Vec<Segment>, JournalError> {
    let mut segments = Vec::new();
    for (number, name) in &files.segments {
        match read_beginning(storage, FileKind::Segment, name)? {
            Beginning::Blank => recovered.prepared.push(name.clone()),
            Beginning::Header(header) if header.number == *number => {
                let info = SegmentInfo {
                    name: name.clone(),
                    first_lsn: header.lsn,
                };
                segments.push((info, header));
            }
            _ => recovered.damage(format!(
                "{name}: its header is damaged; the whole file is left out"
            )),
        }
    }
    Ok(segments)
}
