//! A binding as it lies in memory.

use super::duids::{Duids, StoredDuid};
use super::slab::{NIL, Slot};
use crate::{AbsTime, BindingRecord, BindingStatus, Lease, LinkKey};
use wire::{Duid, IaKey, IaKind, Iaid};

/// A binding without its long DUID. Wide numbers are kept as halves so that it needs no more
/// alignment than a `u32` and 84 octets hold it.
#[derive(Clone, Copy)]
pub(super) struct Stored {
    addr: [u32; 4],
    link: [u32; 2],
    iaid: u32,
    preferred_secs: u32,
    valid_secs: u32,
    cltt: u32,
    status_since: u32,
    expires: u32,
    /// The timing wheel's list, or the next free slot.
    pub(super) next: u32,
    /// The timing wheel's list; `NIL` while not armed.
    pub(super) prev: u32,
    pub(super) duid: StoredDuid,
    len: u8,
    /// `None`: an empty slot.
    status: Option<BindingStatus>,
    kind: IaKind,
}

const _: () = assert!(size_of::<Stored>() <= 84);

impl Stored {
    /// The record with its DUID stored as `duid`, not armed.
    pub(super) fn new(record: &BindingRecord<'_>, duid: StoredDuid) -> Self {
        let addr = record.lease.addr;
        Self {
            addr: [96, 64, 32, 0].map(|shift| (addr >> shift) as u32),
            link: [32, 0].map(|shift| (record.link.0 >> shift) as u32),
            iaid: record.iaid.0,
            preferred_secs: record.preferred_secs,
            valid_secs: record.valid_secs,
            cltt: record.cltt.0,
            status_since: record.status_since.0,
            expires: record.expires.0,
            next: NIL,
            prev: NIL,
            duid,
            len: record.lease.len,
            status: Some(record.status),
            kind: record.kind,
        }
    }

    pub(super) fn is_live(&self) -> bool {
        self.status.is_some()
    }

    pub(super) fn lease(&self) -> Lease {
        Lease {
            addr: self
                .addr
                .iter()
                .fold(0, |addr, &word| addr << 32 | u128::from(word)),
            len: self.len,
        }
    }

    pub(super) fn expires(&self) -> AbsTime {
        AbsTime(self.expires)
    }

    pub(super) fn ia<'a>(&'a self, duids: &'a Duids) -> Option<IaKey<'a>> {
        Some(IaKey {
            duid: Duid::new(duids.octets(&self.duid))?,
            kind: self.kind,
            iaid: Iaid(self.iaid),
        })
    }

    /// Whether it is of this IA; the cheap comparisons first.
    pub(super) fn is_of(&self, ia: &IaKey<'_>, duids: &Duids) -> bool {
        self.iaid == ia.iaid.0
            && self.kind == ia.kind
            && duids.octets(&self.duid) == ia.duid.octets()
    }

    /// What it says; `None` for an empty slot.
    pub(super) fn record<'a>(&'a self, duids: &'a Duids) -> Option<BindingRecord<'a>> {
        let [link_high, link_low] = self.link;
        Some(BindingRecord {
            status: self.status?,
            duid: Duid::new(duids.octets(&self.duid))?,
            kind: self.kind,
            iaid: Iaid(self.iaid),
            lease: self.lease(),
            link: LinkKey(u64::from(link_high) << 32 | u64::from(link_low)),
            preferred_secs: self.preferred_secs,
            valid_secs: self.valid_secs,
            cltt: AbsTime(self.cltt),
            status_since: AbsTime(self.status_since),
            expires: AbsTime(self.expires),
        })
    }
}

impl Slot for Stored {
    const VACANT: Self = Self {
        addr: [0; 4],
        link: [0; 2],
        iaid: 0,
        preferred_secs: 0,
        valid_secs: 0,
        cltt: 0,
        status_since: 0,
        expires: 0,
        next: NIL,
        prev: NIL,
        duid: StoredDuid::NONE,
        len: 0,
        status: None,
        kind: IaKind::Na,
    };

    fn next_free(&self) -> u32 {
        self.next
    }

    fn vacate(&mut self, next_free: u32) {
        *self = Self {
            next: next_free,
            ..Self::VACANT
        };
    }
}
