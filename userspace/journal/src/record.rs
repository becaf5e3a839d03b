//! A [`BindingDelta`] as octets: length-prefixed, self-describing, little-endian.
//!
//! ```text
//! 0 len u16 (of what follows) │ 2 kind u8 │ 3 shard u8 │ body │ tagged tail
//! Put:    4 status u8, 5 lease length u8, 6 IA kind u8, 7 DUID length u8, 8 address u128, 24 link u64,
//!         32 IAID, 36 preferred, 40 valid, 44 CLTT, 48 status since, 52 expires (u32 each),
//!         56 flags u8 (1: accepts Reconfigure, 2: not acknowledged by the partner), 57 DUID
//! Remove: 4 lease length u8, 5 address u128
//! Acked:  4 lease length u8, 5 address u128, 21 acked-partner-lifetime u32
//! ```
//!
//! The tail is a list of (tag u8, length u16, value); what is not there is empty or 0.
//!
//! ```text
//! 1 partner times: partner-lifetime, acked-partner-lifetime, expiration-time, partner-raw-clt-time (u32 each)
//! 2 via: 1 to 512 octets
//! 3 subscriber: number of the IA u32, key of 4 to 130 octets
//! ```
//!
//! A tag that is not known is refused: what is not understood must not be lost by a later rewrite.

use lease::{
    AbsTime, BindingDelta, BindingRecord, BindingStatus, Lease, LinkKey, PartnerTimes,
    SubscriberIa, VIA_LEN_MAX,
};
use thiserror::Error;
use wire::duid::DUID_LEN_MAX;
use wire::{Duid, IaKind, Iaid, ShardId};

const KIND_PUT: u8 = 1;
const KIND_REMOVE: u8 = 2;
const KIND_ACKED: u8 = 3;
pub(crate) const PUT_LEN: usize = 57;
const REMOVE_LEN: usize = 21;
const ACKED_LEN: usize = 25;
const FLAG_ACCEPTS_RECONFIGURE: u8 = 1;
const FLAG_UNACKED: u8 = 2;
const TAG_PARTNER: u8 = 1;
const TAG_VIA: u8 = 2;
const TAG_SUBSCRIBER: u8 = 3;
/// Octets in front of every value of the tail.
const TAG_LEN: usize = 3;
const PARTNER_LEN: usize = 16;
const NUMBER_LEN: usize = 4;
/// Octets in front of every body.
pub(crate) const PREFIX_LEN: usize = 4;

/// The longest record that [`encode`] writes, in octets.
pub const RECORD_LEN_MAX: usize = PUT_LEN
    + DUID_LEN_MAX
    + (TAG_LEN + PARTNER_LEN)
    + (TAG_LEN + VIA_LEN_MAX)
    + (TAG_LEN + NUMBER_LEN + DUID_LEN_MAX);

/// Why octets are not a record of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RecordError {
    /// The record ends before its own length or its fixed part.
    #[error("the record is cut short")]
    Short,
    /// A kind that this version does not know.
    #[error("record kind {0} is unknown to this version")]
    Kind(u8),
    /// A tagged field that this version does not know.
    #[error("record field {0} is unknown to this version")]
    Field(u8),
    /// A field holds a value it cannot have.
    #[error("{field} cannot be {value}")]
    Value {
        /// Which field.
        field: &'static str,
        /// What it holds.
        value: u32,
    },
}

/// Appends `delta` to `out`; at most [`RECORD_LEN_MAX`] octets.
pub fn encode(delta: &BindingDelta<'_>, out: &mut Vec<u8>) {
    match delta {
        BindingDelta::Put { shard, record } => {
            let duid = record.duid.octets();
            let start = out.len();
            let mut fixed = [0; PUT_LEN];
            fixed[2..8].copy_from_slice(&[
                KIND_PUT,
                shard.0,
                record.status as u8,
                record.lease.len,
                record.kind as u16 as u8,
                duid.len() as u8,
            ]);
            fixed[8..24].copy_from_slice(&record.lease.addr.to_le_bytes());
            fixed[24..32].copy_from_slice(&record.link.0.to_le_bytes());
            let words = [
                record.iaid.0,
                record.preferred_secs,
                record.valid_secs,
                record.cltt.0,
                record.status_since.0,
                record.expires.0,
            ];
            for (slot, word) in fixed[32..].chunks_exact_mut(4).zip(words) {
                slot.copy_from_slice(&word.to_le_bytes());
            }
            let flag = |flag: u8, set: bool| if set { flag } else { 0 };
            fixed[56] = flag(FLAG_ACCEPTS_RECONFIGURE, record.accepts_reconfigure)
                | flag(FLAG_UNACKED, record.partner.unacked);
            out.extend_from_slice(&fixed);
            out.extend_from_slice(duid);
            encode_tail(record, out);
            let len = (out.len() - start - 2) as u16;
            out[start..start + 2].copy_from_slice(&len.to_le_bytes());
        }
        BindingDelta::Remove { shard, lease } => {
            let mut fixed = [0; REMOVE_LEN];
            fixed[..2].copy_from_slice(&((REMOVE_LEN - 2) as u16).to_le_bytes());
            fixed[2..5].copy_from_slice(&[KIND_REMOVE, shard.0, lease.len]);
            fixed[5..].copy_from_slice(&lease.addr.to_le_bytes());
            out.extend_from_slice(&fixed);
        }
        BindingDelta::Acked {
            shard,
            lease,
            acked_partner_lifetime,
        } => {
            let mut fixed = [0; ACKED_LEN];
            fixed[..2].copy_from_slice(&((ACKED_LEN - 2) as u16).to_le_bytes());
            fixed[2..5].copy_from_slice(&[KIND_ACKED, shard.0, lease.len]);
            fixed[5..21].copy_from_slice(&lease.addr.to_le_bytes());
            fixed[21..].copy_from_slice(&acked_partner_lifetime.0.to_le_bytes());
            out.extend_from_slice(&fixed);
        }
    }
}

fn encode_tail(record: &BindingRecord<'_>, out: &mut Vec<u8>) {
    let partner = &record.partner;
    let times = [
        partner.partner_lifetime,
        partner.acked_partner_lifetime,
        partner.expiration_time,
        partner.partner_raw_cltt,
    ];
    if times != [AbsTime(0); 4] {
        out.extend_from_slice(&tag(TAG_PARTNER, PARTNER_LEN));
        out.extend(times.iter().flat_map(|time| time.0.to_le_bytes()));
    }
    if (1..=VIA_LEN_MAX).contains(&record.via.len()) {
        out.extend_from_slice(&tag(TAG_VIA, record.via.len()));
        out.extend_from_slice(record.via);
    }
    if let Some(subscriber) = &record.subscriber {
        let key = subscriber.key.octets();
        out.extend_from_slice(&tag(TAG_SUBSCRIBER, NUMBER_LEN + key.len()));
        out.extend_from_slice(&subscriber.number.0.to_le_bytes());
        out.extend_from_slice(key);
    }
}

fn tag(tag: u8, len: usize) -> [u8; TAG_LEN] {
    let [low, high] = (len as u16).to_le_bytes();
    [tag, low, high]
}

/// The first record of `octets` and how long it is.
///
/// # Errors
///
/// The first thing that this version cannot have written.
pub fn decode(octets: &[u8]) -> Result<(BindingDelta<'_>, usize), RecordError> {
    let Peeked { len, shard, .. } = peek(octets)?;
    let record = &octets[..len];
    let delta = match record[2] {
        KIND_PUT => decode_put(record, shard)?,
        KIND_REMOVE => decode_remove(record, shard)?,
        KIND_ACKED => decode_acked(record, shard)?,
        kind => return Err(RecordError::Kind(kind)),
    };
    Ok((delta, len))
}

/// What can be told of a record without decoding it.
pub(crate) struct Peeked {
    pub len: usize,
    pub kind: u8,
    pub shard: ShardId,
}

/// Length, kind and shard of the first record of `octets`, without judging the rest.
pub(crate) fn peek(octets: &[u8]) -> Result<Peeked, RecordError> {
    let prefix = octets
        .first_chunk::<PREFIX_LEN>()
        .ok_or(RecordError::Short)?;
    let len = 2 + usize::from(u16::from_le_bytes([prefix[0], prefix[1]]));
    if len < PREFIX_LEN || len > octets.len() {
        return Err(RecordError::Short);
    }
    Ok(Peeked {
        len,
        kind: prefix[2],
        shard: ShardId(prefix[3]),
    })
}

fn decode_put(octets: &[u8], shard: ShardId) -> Result<BindingDelta<'_>, RecordError> {
    let fixed = octets.first_chunk::<PUT_LEN>().ok_or(RecordError::Short)?;
    let [status, len, kind, duid_len] = [fixed[4], fixed[5], fixed[6], fixed[7]];
    let flags = fixed[56];
    if flags & !(FLAG_ACCEPTS_RECONFIGURE | FLAG_UNACKED) != 0 {
        return Err(bad("flags", flags));
    }
    let end = PUT_LEN + usize::from(duid_len);
    let duid = octets.get(PUT_LEN..end).ok_or(RecordError::Short)?;
    let word =
        |at: usize| u32::from_le_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
    let mut record = BindingRecord {
        duid: Duid::new(duid).ok_or_else(|| bad("DUID length", duid_len))?,
        kind: match kind {
            3 => IaKind::Na,
            25 => IaKind::Pd,
            _ => return Err(bad("IA kind", kind)),
        },
        iaid: Iaid(word(32)),
        subscriber: None,
        lease: lease(&fixed[8..24], len)?,
        link: LinkKey(u64::from(word(24)) | u64::from(word(28)) << 32),
        status: BindingStatus::from_wire(status).ok_or_else(|| bad("binding-status", status))?,
        preferred_secs: word(36),
        valid_secs: word(40),
        cltt: AbsTime(word(44)),
        status_since: AbsTime(word(48)),
        expires: AbsTime(word(52)),
        partner: PartnerTimes {
            unacked: flags & FLAG_UNACKED != 0,
            ..PartnerTimes::NONE
        },
        accepts_reconfigure: flags & FLAG_ACCEPTS_RECONFIGURE != 0,
        via: &[],
    };
    decode_tail(&octets[end..], &mut record)?;
    Ok(BindingDelta::Put { shard, record })
}

fn decode_tail<'o>(mut tail: &'o [u8], record: &mut BindingRecord<'o>) -> Result<(), RecordError> {
    while let Some((head, rest)) = tail.split_first_chunk::<TAG_LEN>() {
        let &[tag, low, high] = head;
        let len = usize::from(u16::from_le_bytes([low, high]));
        let (value, next) = rest.split_at_checked(len).ok_or(RecordError::Short)?;
        match (tag, len) {
            (TAG_PARTNER, PARTNER_LEN) => {
                let mut times = value
                    .as_chunks::<4>()
                    .0
                    .iter()
                    .map(|time| AbsTime(u32::from_le_bytes(*time)));
                let mut time = || times.next().unwrap_or_default();
                record.partner.partner_lifetime = time();
                record.partner.acked_partner_lifetime = time();
                record.partner.expiration_time = time();
                record.partner.partner_raw_cltt = time();
            }
            (TAG_VIA, 1..=VIA_LEN_MAX) => record.via = value,
            (TAG_SUBSCRIBER, NUMBER_LEN..) => record.subscriber = Some(decode_subscriber(value)?),
            (TAG_PARTNER | TAG_VIA | TAG_SUBSCRIBER, _) => {
                return Err(RecordError::Value {
                    field: "the length of a tagged field",
                    value: len as u32,
                });
            }
            _ => return Err(RecordError::Field(tag)),
        }
        tail = next;
    }
    match tail {
        [] => Ok(()),
        _ => Err(RecordError::Short),
    }
}

fn decode_subscriber(value: &[u8]) -> Result<SubscriberIa<'_>, RecordError> {
    let (number, key) = value.split_first_chunk().ok_or(RecordError::Short)?;
    let len = key.len() as u32;
    let key = Duid::new(key).filter(|key| key.is_subscriber());
    Ok(SubscriberIa {
        key: key.ok_or(RecordError::Value {
            field: "the key of a subscriber, of a length in octets that",
            value: len,
        })?,
        number: Iaid(u32::from_le_bytes(*number)),
    })
}

fn decode_remove(octets: &[u8], shard: ShardId) -> Result<BindingDelta<'_>, RecordError> {
    let fixed = octets
        .first_chunk::<REMOVE_LEN>()
        .ok_or(RecordError::Short)?;
    if let Some(&tag) = octets.get(REMOVE_LEN) {
        return Err(RecordError::Field(tag));
    }
    let lease = lease(&fixed[5..], fixed[4])?;
    Ok(BindingDelta::Remove { shard, lease })
}

fn decode_acked(octets: &[u8], shard: ShardId) -> Result<BindingDelta<'_>, RecordError> {
    let fixed = octets
        .first_chunk::<ACKED_LEN>()
        .ok_or(RecordError::Short)?;
    if let Some(&tag) = octets.get(ACKED_LEN) {
        return Err(RecordError::Field(tag));
    }
    let time = u32::from_le_bytes([fixed[21], fixed[22], fixed[23], fixed[24]]);
    Ok(BindingDelta::Acked {
        shard,
        lease: lease(&fixed[5..21], fixed[4])?,
        acked_partner_lifetime: AbsTime(time),
    })
}

pub(crate) fn lease(addr: &[u8], len: u8) -> Result<Lease, RecordError> {
    if len > 128 {
        return Err(bad("lease length", len));
    }
    let addr = addr.try_into().map_err(|_| RecordError::Short)?;
    Ok(Lease {
        addr: u128::from_le_bytes(addr),
        len,
    })
}

pub(crate) fn bad(field: &'static str, value: u8) -> RecordError {
    RecordError::Value {
        field,
        value: u32::from(value),
    }
}
