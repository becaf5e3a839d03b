//! BNDUPD: what the partner is told (RFC 8156 §7.4).

use crate::vendor;
use lease::{AbsTime, BindingId, BindingRecord, BindingStatus, Lease, Shard};
use wire::failover::{Client, FrameWriter, LeaseOptions, ReconfigureData, TransactionId};
use wire::{Duid, IaKind, MessageType, NoRoom, ShardId};

/// The key with which a client checks Reconfigure messages (RFC 9915 §20.4.2), if there is one.
pub type KeyOf<'a> = &'a dyn Fn(Duid<'_>) -> Option<[u8; 16]>;

/// An update that was sent: what its answer is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The shard of the binding.
    pub shard: ShardId,
    /// Its place.
    pub id: BindingId,
    /// The lease.
    pub lease: Lease,
    /// The status it was offered with.
    pub status: BindingStatus,
    /// Since when it had that status.
    pub status_since: AbsTime,
    /// The partner-lifetime that the answer echoes.
    pub partner_lifetime: AbsTime,
}

/// Takes the next lease that the partner has not acknowledged and writes its BNDUPD at the start
/// of `buffer` ([`BNDUPD_LEN_MAX`](super::BNDUPD_LEN_MAX) octets hold any); gives the frame's
/// length and what to keep until the answer. `None`: there is nothing to send. `key_of` is asked
/// for clients that have been given a key.
///
/// # Errors
/// [`NoRoom`]; the lease is then in flight and goes unsent again with the connection.
pub fn offer(
    shard: &mut Shard,
    transaction_id: TransactionId,
    now: AbsTime,
    key_of: KeyOf<'_>,
    buffer: &mut [u8],
) -> Result<Option<(usize, Offer)>, NoRoom> {
    let Some(id) = shard.take_unsent() else {
        return Ok(None);
    };
    let Some(record) = shard.get(id) else {
        return Ok(None);
    };
    let len = write(&record, transaction_id, now, key_of, buffer)?;
    let offer = Offer {
        shard: shard.id(),
        id,
        lease: record.lease,
        status: record.status,
        status_since: record.status_since,
        partner_lifetime: record.partner.partner_lifetime,
    };
    Ok(Some((len, offer)))
}

fn write(
    record: &BindingRecord<'_>,
    transaction_id: TransactionId,
    now: AbsTime,
    key_of: KeyOf<'_>,
    buffer: &mut [u8],
) -> Result<usize, NoRoom> {
    let key = Some(record.duid).filter(|_| record.accepts_reconfigure);
    let key = key.and_then(key_of);
    let direct = record.via.try_into().ok().map(vendor::direct_address);
    let mut frame = FrameWriter::begin(buffer, MessageType::BNDUPD, transaction_id)?;
    let container = frame.open_client_data(&Client {
        client_id: Some(record.duid),
        base_time: Some(now.0),
        subscriber: record.subscriber,
        // The key is the same as long as the secret is, so the client's last message will do.
        reconfigure_data: key.as_ref().map(|key| ReconfigureData {
            time: record.cltt.0,
            key,
        }),
        relay_data: Some(record.via).filter(|via| via.len() > vendor::ADDRESS_LEN),
        vendor_opts: direct.as_ref().map(|data| &data[..]),
        ..Client::default()
    })?;
    // As this server computes them for a message with this lease alone (RFC 9915 §21.4).
    let (t1, t2) = match record.preferred_secs {
        u32::MAX => (u32::MAX, u32::MAX),
        secs => (secs / 2, (u64::from(secs) * 4 / 5) as u32),
    };
    let ia = frame.open_ia(record.kind, record.iaid, t1, t2)?;
    let lifetimes = (record.preferred_secs, record.valid_secs);
    let options = options(record, now);
    match record.kind {
        IaKind::Na => frame.address(record.lease.addr, lifetimes, &options)?,
        IaKind::Pd => frame.prefix(record.lease.addr, record.lease.len, lifetimes, &options)?,
    }
    frame.close(ia)?;
    frame.close(container)?;
    frame.finish()
}

/// Those marked with * in §7.4 stand only with a status that ends by itself.
fn options(record: &BindingRecord<'_>, now: AbsTime) -> LeaseOptions<'static> {
    let partner = &record.partner;
    let ends_by_itself = record.status == BindingStatus::Active || record.expires != AbsTime::NEVER;
    let known = |time: AbsTime| (time != AbsTime(0)).then_some(time.0);
    let timed = |time: Option<u32>| time.filter(|_| ends_by_itself);
    LeaseOptions {
        binding_status: Some(record.status as u8),
        start_time_of_state: Some(record.status_since.0),
        state_expiration_time: timed(Some(record.expires.0)),
        clt_time_secs_ago: known(record.cltt).map(|cltt| AbsTime(cltt).secs_until(now)),
        partner_lifetime: timed(known(partner.partner_lifetime)),
        partner_raw_clt_time: known(partner.partner_raw_cltt),
        expiration_time: timed(known(partner.expiration_time)),
        ..LeaseOptions::default()
    }
}
