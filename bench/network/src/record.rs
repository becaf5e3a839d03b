//! The record of a binding as most are, for what writes and reads records.

use lease::{AbsTime, BindingRecord, BindingStatus, Lease, LinkKey, PartnerTimes};
use wire::{Duid, IaKind, Iaid};

/// An active IA_NA binding of the client with this DUID, whose address is `number`.
pub fn record(duid: Duid<'_>, number: u64) -> BindingRecord<'_> {
    BindingRecord {
        duid,
        kind: IaKind::Na,
        iaid: Iaid(1),
        subscriber: None,
        lease: Lease {
            addr: u128::from(number),
            len: 128,
        },
        link: LinkKey(1),
        status: BindingStatus::Active,
        preferred_secs: 3600,
        valid_secs: 7200,
        cltt: AbsTime(1),
        status_since: AbsTime(1),
        expires: AbsTime(7201),
        partner: PartnerTimes::NONE,
        accepts_reconfigure: false,
        via: &[],
    }
}
