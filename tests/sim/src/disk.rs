//! A disk with one journal on it: records one after the other, of which a prefix is durable.

use crate::rng::Rng;
use journal::Entry;

/// How many octets of the log, from its beginning, hold what is waited for.
pub type Ticket = usize;

#[derive(Clone, Debug, Default)]
pub struct Disk {
    log: Vec<u8>,
    durable: Ticket,
    /// What the write in progress makes durable.
    pub writing: Option<Ticket>,
    /// The greatest ticket of anything that was told to a client or the partner.
    told: Ticket,
}

impl Disk {
    pub fn append(&mut self, entry: &Entry<'_>) {
        entry.encode(&mut self.log);
    }

    /// What makes everything appended so far durable.
    pub fn ticket(&self) -> Ticket {
        self.log.len()
    }

    pub fn durable(&self) -> Ticket {
        self.durable
    }

    pub fn log(&self) -> &[u8] {
        &self.log
    }

    /// Begins a write of all that is not on disk, if none is in progress.
    pub fn begin_write(&mut self) -> bool {
        let begins = self.writing.is_none() && self.log.len() > self.durable;
        if begins {
            self.writing = Some(self.log.len());
        }
        begins
    }

    pub fn end_write(&mut self) {
        self.durable = self.writing.take().unwrap_or(self.durable);
    }

    /// Something that rests on this much of the log leaves the server.
    pub fn tell(&mut self, ticket: Ticket) {
        self.told = self.told.max(ticket);
    }

    /// Power is gone: of what was not acknowledged as durable any part may be there, down to an
    /// octet; a record that is not whole is not there. Whether all that was told is.
    pub fn crash(&mut self, rng: &mut Rng) -> Result<(), String> {
        let unsure = self.log.len() - self.durable;
        let kept = match rng.within(0, 4) {
            0 => 0,
            1 => unsure,
            _ => rng.within(0, unsure as u64 + 1) as usize,
        };
        self.log.truncate(self.durable + kept);
        let mut whole = 0;
        while let Ok((_, len)) = Entry::decode(&self.log[whole..]) {
            whole += len;
        }
        self.log.truncate(whole);
        self.durable = whole;
        self.writing = None;
        match self.told > whole {
            true => Err(format!(
                "a crash lost what was acknowledged: told up to octet {} of the journal, {whole} are there",
                self.told
            )),
            false => Ok(()),
        }
    }

    /// The disk is replaced by an empty one.
    pub fn lose(&mut self) {
        *self = Self::default();
    }
}
