//! One file from its first batch to its last.

use super::apply::{Feed, Loaded};
use super::{Recovered, io_error};
use crate::error::JournalError;
use crate::file::{File, OpenFor, Storage};
use crate::record::PUT_LEN;
use crate::segment::{
    BATCH_HEADER_LEN, BATCH_LEN_MAX, BLOCK_LEN, BatchHeader, FileHeader, Look, look,
};
use std::sync::Arc;

/// Octets read at once.
const WINDOW_LEN: usize = 8 * BATCH_LEN_MAX;

/// How a file ends.
pub(super) enum Ending {
    /// Blank, or taken over by the next segment.
    Clean,
    /// With a batch that is not whole.
    Torn { offset: u64, len: u64 },
}

/// See the module.
pub(super) struct Scan<'a> {
    storage: &'a dyn Storage,
    name: Arc<str>,
    file: Box<dyn File>,
    len: u64,
    header: FileHeader,
    expected: u64,
    /// LSN at which the next segment takes over.
    limit: Option<u64>,
    skip_below: u64,
    bytes: u64,
    footer: Option<[u64; 2]>,
    window: Arc<Vec<u8>>,
    window_at: u64,
}

impl<'a> Scan<'a> {
    pub fn open(
        storage: &'a dyn Storage,
        name: &str,
        header: FileHeader,
        first_lsn: u64,
        limit: Option<u64>,
    ) -> Result<Self, JournalError> {
        let failed = |what| io_error(storage, what, name);
        let file = storage.open(name, OpenFor::Read).map_err(failed("open"))?;
        Ok(Self {
            storage,
            name: name.into(),
            len: file.len().map_err(failed("measure"))?,
            file,
            header,
            expected: first_lsn,
            limit,
            skip_below: 0,
            bytes: 0,
            footer: None,
            window: Arc::default(),
            window_at: 0,
        })
    }

    /// Leaves out batches that end below `lsn`: a snapshot has them.
    pub fn skip_below(&mut self, lsn: u64) {
        self.skip_below = lsn;
    }

    /// LSN behind the last batch.
    pub fn expected(&self) -> u64 {
        self.expected
    }

    /// Octets of records that were applied.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The file's length.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the file ended with the footer of the snapshot of `lsn` and of what was in it.
    pub fn footer_matches(&self, lsn: u64) -> bool {
        self.footer == Some([lsn, self.expected])
    }

    /// Records that the footer in the last block counts; 0 if there is none. Only a hint, and no
    /// more than the file has room for: the footer counts when the batches before it are whole.
    pub fn footer_records(&self) -> Result<u64, JournalError> {
        let mut block = [0; BLOCK_LEN];
        let at = self.len.saturating_sub(BLOCK_LEN as u64);
        let read = self.file.read_at(&mut block, at);
        let len = read.map_err(io_error(self.storage, "read", &self.name))?;
        let room = self.len / PUT_LEN as u64;
        Ok(match look(&block[..len], self.header.salt, true) {
            Look::Batch(header) if header.footer => header.first_lsn.min(room),
            _ => 0,
        })
    }

    /// Sends every whole batch to the appliers.
    pub fn run(
        &mut self,
        feed: &mut Feed,
        recovered: &mut Recovered,
    ) -> Result<Ending, JournalError> {
        let mut at = BLOCK_LEN as u64;
        let mut loaded = Vec::new();
        let ending = loop {
            if self.limit.is_some_and(|limit| self.expected >= limit) || self.footer.is_some() {
                break Ending::Clean;
            }
            if at < self.window_at || !self.has(at, BATCH_LEN_MAX) {
                feed.send(&self.name, &self.window, self.window_at, &mut loaded)?;
                self.read(at, feed)?;
            }
            let seen = self.look(at);
            match seen {
                Look::Batch(header) if header.first_lsn == self.expected => {
                    self.take(at, header, &mut loaded, recovered);
                    at += header.batch_len() as u64;
                    continue;
                }
                _ => {}
            }
            feed.send(&self.name, &self.window, self.window_at, &mut loaded)?;
            match self.find_later(at, feed)? {
                Some((later_at, later)) => {
                    recovered.cut_bytes += later_at - at;
                    recovered.damage(format!(
                        "{}: damaged from offset {at} to {later_at}: {} records, LSN {} to {}, are left out",
                        self.name,
                        later.first_lsn - self.expected,
                        self.expected,
                        later.first_lsn.saturating_sub(1),
                    ));
                    self.expected = later.first_lsn;
                    at = later_at;
                }
                None if matches!(seen, Look::Blank) || at >= self.len => break Ending::Clean,
                None => {
                    let len = match seen {
                        Look::BadPayload(header) => header.batch_len() as u64,
                        _ => BLOCK_LEN as u64,
                    };
                    let len = len.min(self.len - at);
                    break Ending::Torn { offset: at, len };
                }
            }
        };
        feed.send(&self.name, &self.window, self.window_at, &mut loaded)?;
        Ok(ending)
    }

    fn take(
        &mut self,
        at: u64,
        header: BatchHeader,
        loaded: &mut Vec<Loaded>,
        recovered: &mut Recovered,
    ) {
        let start = (at - self.window_at) as usize + BATCH_HEADER_LEN;
        let payload = start..start + header.payload_len as usize;
        if header.footer {
            let word = |index: usize| {
                let octets = self.window[payload.clone()].get(8 * index..8 * index + 8)?;
                Some(u64::from_le_bytes(octets.try_into().ok()?))
            };
            self.footer = word(0).zip(word(1)).map(|(lsn, records)| [lsn, records]);
            return;
        }
        self.expected += u64::from(header.records);
        if self.expected <= self.skip_below {
            return;
        }
        self.bytes += payload.len() as u64;
        recovered.records += u64::from(header.records);
        loaded.push(Loaded {
            payload,
            control: header.control,
            shards: header.shards,
        });
    }

    /// The first whole batch behind `at` that this file must have got after what was expected.
    fn find_later(
        &mut self,
        at: u64,
        feed: &mut Feed,
    ) -> Result<Option<(u64, BatchHeader)>, JournalError> {
        let mut later_at = at + BLOCK_LEN as u64;
        while later_at < self.len {
            if !self.has(later_at, BATCH_LEN_MAX) {
                self.read(later_at, feed)?;
            }
            if let Look::Batch(header) = self.look(later_at)
                && header.first_lsn >= self.expected
            {
                return Ok(Some((later_at, header)));
            }
            later_at += BLOCK_LEN as u64;
        }
        Ok(None)
    }

    fn has(&self, at: u64, len: usize) -> bool {
        let end = self.window_at + self.window.len() as u64;
        at >= self.window_at && end >= (at + len as u64).min(self.len)
    }

    fn look(&self, at: u64) -> Look {
        let start = ((at - self.window_at) as usize).min(self.window.len());
        look(&self.window[start..], self.header.salt, true)
    }

    fn read(&mut self, at: u64, feed: &mut Feed) -> Result<(), JournalError> {
        let len = (self.len.saturating_sub(at)).min(WINDOW_LEN as u64) as usize;
        self.window = feed.window(len, |window| {
            let read = self.file.read_at(window, at);
            read.map_err(io_error(self.storage, "read", &self.name))
        })?;
        self.window_at = at;
        Ok(())
    }
}
