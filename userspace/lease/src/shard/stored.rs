//! A binding as it lies in memory.

use super::cells::Cells;
use super::clients::StoredClient;
use super::slab::{NIL, Slot};
use super::via::StoredVia;
use crate::{AbsTime, BindingRecord, BindingState, BindingStatus, Lease, LinkKey, PartnerTimes};
use wire::{Duid, IaKey, IaKind, Iaid};

/// A binding without its long DUID, its subscriber and its relay data. Wide numbers are kept as halves so that it
/// needs no more alignment than a `u32` and 104 octets hold it.
#[derive(Clone, Copy)]
pub(super) struct Stored {
    addr: [u32; 4],
    link: [u32; 2],
    /// What it is keyed by: the subscriber's number of the IA, or else the client's IAID.
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
    partner_lifetime: u32,
    acked_partner_lifetime: u32,
    expiration_time: u32,
    partner_raw_cltt: u32,
    pub(super) via: StoredVia,
    pub(super) client: StoredClient,
    len: u8,
    /// `None`: an empty slot.
    status: Option<BindingStatus>,
    flags: u8,
}

const _: () = assert!(size_of::<Stored>() <= 104);

/// It is a delegated prefix.
const FLAG_PD: u8 = 1;
const FLAG_UNACKED: u8 = 2;
const FLAG_ACCEPTS_RECONFIGURE: u8 = 4;

impl Stored {
    /// The record with its client and its relay data stored as these, not armed.
    pub(super) fn new(record: &BindingRecord<'_>, client: StoredClient, via: StoredVia) -> Self {
        let addr = record.lease.addr;
        let flag = |flag: u8, set: bool| if set { flag } else { 0 };
        Self {
            addr: [96, 64, 32, 0].map(|shift| (addr >> shift) as u32),
            link: [32, 0].map(|shift| (record.link.0 >> shift) as u32),
            iaid: record.ia().iaid.0,
            preferred_secs: record.preferred_secs,
            valid_secs: record.valid_secs,
            cltt: record.cltt.0,
            status_since: record.status_since.0,
            expires: record.expires.0,
            next: NIL,
            prev: NIL,
            partner_lifetime: record.partner.partner_lifetime.0,
            acked_partner_lifetime: record.partner.acked_partner_lifetime.0,
            expiration_time: record.partner.expiration_time.0,
            partner_raw_cltt: record.partner.partner_raw_cltt.0,
            via,
            client,
            len: record.lease.len,
            status: Some(record.status),
            flags: flag(FLAG_PD, record.kind == IaKind::Pd)
                | flag(FLAG_UNACKED, record.partner.unacked)
                | flag(FLAG_ACCEPTS_RECONFIGURE, record.accepts_reconfigure),
        }
    }

    /// Takes over a state; the wheel and the tables are the caller's.
    pub(super) fn set_state(&mut self, state: &BindingState) {
        self.status = Some(state.status);
        self.preferred_secs = state.preferred_secs;
        self.valid_secs = state.valid_secs;
        self.cltt = state.cltt.0;
        self.status_since = state.status_since.0;
        self.expires = state.expires.0;
        self.set_partner(&state.partner);
    }

    /// The partner has acknowledged this lifetime, and (`clean`) everything else.
    pub(super) fn acknowledge(&mut self, acked_partner_lifetime: AbsTime, clean: bool) {
        self.acked_partner_lifetime = acked_partner_lifetime.0;
        if clean {
            self.set_unacked(false);
        }
    }

    fn set_partner(&mut self, partner: &PartnerTimes) {
        self.partner_lifetime = partner.partner_lifetime.0;
        self.acked_partner_lifetime = partner.acked_partner_lifetime.0;
        self.expiration_time = partner.expiration_time.0;
        self.partner_raw_cltt = partner.partner_raw_cltt.0;
        self.set_unacked(partner.unacked);
    }

    pub(super) fn set_unacked(&mut self, unacked: bool) {
        self.flags &= !FLAG_UNACKED;
        if unacked {
            self.flags |= FLAG_UNACKED;
        }
    }

    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    fn kind(&self) -> IaKind {
        match self.has(FLAG_PD) {
            true => IaKind::Pd,
            false => IaKind::Na,
        }
    }

    pub(super) fn is_live(&self) -> bool {
        self.status.is_some()
    }

    pub(super) fn link(&self) -> LinkKey {
        let [high, low] = self.link;
        LinkKey(u64::from(high) << 32 | u64::from(low))
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

    pub(super) fn ia<'a>(&'a self, cells: &'a Cells) -> Option<IaKey<'a>> {
        Some(IaKey {
            duid: Duid::new(self.client.key(cells))?,
            kind: self.kind(),
            iaid: Iaid(self.iaid),
        })
    }

    /// Whether it is of this IA; the cheap comparisons first.
    pub(super) fn is_of(&self, ia: &IaKey<'_>, cells: &Cells) -> bool {
        self.iaid == ia.iaid.0
            && self.kind() == ia.kind
            && self.client.key(cells) == ia.duid.octets()
    }

    /// What it says; `None` for an empty slot.
    pub(super) fn record<'a>(&'a self, cells: &'a Cells) -> Option<BindingRecord<'a>> {
        let status = self.status?;
        let (duid, iaid, subscriber) = self.client.read(Iaid(self.iaid), cells)?;
        Some(BindingRecord {
            status,
            duid,
            kind: self.kind(),
            iaid,
            subscriber,
            lease: self.lease(),
            link: self.link(),
            preferred_secs: self.preferred_secs,
            valid_secs: self.valid_secs,
            cltt: AbsTime(self.cltt),
            status_since: AbsTime(self.status_since),
            expires: AbsTime(self.expires),
            partner: PartnerTimes {
                partner_lifetime: AbsTime(self.partner_lifetime),
                acked_partner_lifetime: AbsTime(self.acked_partner_lifetime),
                expiration_time: AbsTime(self.expiration_time),
                partner_raw_cltt: AbsTime(self.partner_raw_cltt),
                unacked: self.has(FLAG_UNACKED),
            },
            accepts_reconfigure: self.has(FLAG_ACCEPTS_RECONFIGURE),
            via: self.via.octets(cells),
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
        partner_lifetime: 0,
        acked_partner_lifetime: 0,
        expiration_time: 0,
        partner_raw_cltt: 0,
        via: StoredVia::NONE,
        client: StoredClient::NONE,
        len: 0,
        status: None,
        flags: 0,
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
