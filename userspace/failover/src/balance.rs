//! Proportional allocation of delegable prefixes: who gives how much, and how a block changes sides
//! (RFC 8156 §4.2.2). Ownership itself is in the pools ([`lease::Pool`], "split").
//!
//! The primary gives first and tells afterwards: from then on it does not delegate out of the block.
//! It takes back the other way round: it asks, and has the block when the secondary has agreed. So
//! at no time do both have a prefix; if an answer is lost, neither has it until the primary, on
//! entering NORMAL, says again what is the secondary's.
//!
//! A prefix that comes back is the primary's. So that both servers see the two things, a gift and a
//! return, in the one order of the connection, the primary looks at a block once more when its
//! BNDUPD is written ([`still_given`]), and the secondary takes it over when it is read.

use crate::reconcile::Rejection;
use lease::{AbsTime, BindingStatus, Lease, Pool, Role, Sides};
use wire::failover::{Container, FrameWriter, LeaseOptions, PrefixData, TransactionId};
use wire::{MessageType, NoRoom, Status};

/// Octets that hold the BNDUPD or BNDREPLY of any block.
pub const BLOCK_FRAME_LEN_MAX: usize = 256;

/// The secondary's share of the free prefixes of a pool, in 1/1000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PrefixShare(u16);

/// Part of the free prefixes by which the shares may be off before anything moves, 1/this.
const THRESHOLD_PART: u64 = 10;

/// A block that changes sides. To be recorded durably before it is told to anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Transfer {
    /// An aligned block of prefixes of one pool, as the shorter prefix that they make up.
    pub block: Lease,
    /// Whose they become.
    pub to: Role,
}

impl PrefixShare {
    /// Parts of 1000; more than all is all.
    pub fn of_thousand(parts: u16) -> Self {
        Self(parts.min(1_000))
    }
}

/// What should change sides, as a number of prefixes and whose they become; `None`: the shares are
/// near enough to what they should be.
///
/// A pool so small that the threshold is less than one prefix is kept exact.
pub fn due(sides: Sides, share: PrefixShare) -> Option<(u64, Role)> {
    let free = sides.primary.saturating_add(sides.secondary);
    let wanted = (u128::from(free) * u128::from(share.0) / 1_000) as u64;
    let off = wanted.abs_diff(sides.secondary);
    if off <= free / THRESHOLD_PART {
        // An empty share is off whatever the threshold says.
        let is_empty = sides.secondary == 0 && wanted > 0;
        if off == 0 || !is_empty && free >= THRESHOLD_PART {
            return None;
        }
    }
    match wanted > sides.secondary {
        true => Some((off, Role::Secondary)),
        false => Some((off, Role::Primary)),
    }
}

/// On the primary: the next block to give or to ask back, at most `count` prefixes. A block given
/// is the secondary's from now on: record it, then [`write_bndupd`] it.
pub fn next_transfer(pool: &Pool, count: u64, to: Role) -> Option<Transfer> {
    // A block may be broken into while it is looked at; the next is found the next time.
    const TRIES: usize = 8;
    for _ in 0..TRIES {
        let block = pool.find_block(to.partner(), count)?;
        if to == Role::Primary || pool.give_block(block, to) {
            return Some(Transfer { block, to });
        }
    }
    None
}

/// On entering NORMAL the primary says of every block that is the secondary's that it is.
pub fn announcements(pool: &Pool) -> impl Iterator<Item = Transfer> {
    pool.blocks_of(Role::Secondary).map(|block| Transfer {
        block,
        to: Role::Secondary,
    })
}

/// What of a transfer may be told now. Of a block that is given, what has been delegated since it
/// was chosen may have come back by now, and is the primary's then.
pub fn still_given(pool: &Pool, transfer: Transfer) -> Vec<Transfer> {
    match transfer.to {
        Role::Primary => vec![transfer],
        Role::Secondary => {
            let parts = pool.blocks_within(transfer.block, Role::Secondary);
            parts.map(|block| Transfer { block, ..transfer }).collect()
        }
    }
}

/// What becomes of a block that the partner speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// To be recorded, durably, before the answer.
    pub record: Option<Transfer>,
    /// How the answer rejects it.
    pub rejection: Option<Rejection>,
}

impl Verdict {
    /// Nothing changes.
    pub fn rejected(rejection: Rejection) -> Self {
        Self {
            record: None,
            rejection: Some(rejection),
        }
    }
}

/// Takes over what the partner says of a block, when it is read.
///
/// Rejected are a block of no pool of the relationship (`pool` is `None`) or from a server that has
/// nothing to say about it, [`Rejection::NotOfRelationship`]; one without a status that says whose
/// it is, [`Rejection::Missing`]; and as [`Rejection::Outdated`] a block to be given back out of
/// which something is delegated, and one given of which something is still on its way to being free
/// here. Of the latter the rest is taken over, and the primary says it again after a while.
pub fn receive(role: Role, pool: Option<&Pool>, prefix: &PrefixData<'_>) -> Verdict {
    let status = prefix.options.binding_status;
    let to = match status.and_then(BindingStatus::from_wire) {
        Some(BindingStatus::Free) => Role::Primary,
        Some(BindingStatus::FreeBackup) => Role::Secondary,
        _ => return Verdict::rejected(Rejection::Missing),
    };
    let block = block_of(prefix);
    let Some(pool) = pool else {
        return Verdict::rejected(Rejection::NotOfRelationship);
    };
    let is_taken_over = match (role, to) {
        // Asked back: all or nothing (§4.2.2).
        (Role::Secondary, Role::Primary) if !pool.give_block(block, to) => {
            return Verdict::rejected(Rejection::Outdated);
        }
        (Role::Secondary, Role::Primary) => true,
        // Given; or the primary has lost its disk and is told what it once gave.
        (_, Role::Secondary) => pool.restore_block(block, to),
        (Role::Primary, Role::Primary) => false,
    };
    if !is_taken_over {
        return Verdict::rejected(Rejection::NotOfRelationship);
    }
    let is_whole = role == Role::Primary || pool.is_all_free(block, to);
    Verdict {
        record: Some(Transfer { block, to }),
        rejection: (!is_whole).then_some(Rejection::Outdated),
    }
}

/// On the secondary, for [`Effect::Renounce`](crate::Effect::Renounce): gives up all its free
/// prefixes; what to record. While the primary stood alone it may have delegated them, and those
/// that came back are its own.
pub fn renounce(pool: &Pool) -> Vec<Transfer> {
    let blocks: Vec<Lease> = pool.blocks_of(Role::Secondary).collect();
    let given = blocks
        .into_iter()
        .filter(|block| pool.restore_block(*block, Role::Primary));
    given
        .map(|block| Transfer {
            block,
            to: Role::Primary,
        })
        .collect()
}

/// On the primary: the secondary agreed to a transfer. A block asked back is the primary's from
/// now on, which is to be recorded; one given was the secondary's all the time.
pub fn agreed(pool: &Pool, transfer: Transfer) -> bool {
    transfer.to == Role::Primary && pool.restore_block(transfer.block, Role::Primary)
}

/// The block that a top-level OPTION_IAPREFIX is about.
pub fn block_of(prefix: &PrefixData<'_>) -> Lease {
    Lease {
        addr: prefix.prefix.prefix,
        len: prefix.prefix.prefix_len,
    }
}

/// Writes the BNDUPD of a transfer at the start of `buffer`; gives the frame's length.
///
/// # Errors
/// [`NoRoom`]; [`BLOCK_FRAME_LEN_MAX`] octets hold any.
pub fn write_bndupd(
    transfer: Transfer,
    transaction_id: TransactionId,
    now: AbsTime,
    buffer: &mut [u8],
) -> Result<usize, NoRoom> {
    let status = match transfer.to {
        Role::Primary => BindingStatus::Free,
        Role::Secondary => BindingStatus::FreeBackup,
    };
    let options = LeaseOptions {
        base_time: Some(now.0),
        binding_status: Some(status as u8),
        start_time_of_state: Some(now.0),
        ..LeaseOptions::default()
    };
    let mut frame = FrameWriter::begin(buffer, MessageType::BNDUPD, transaction_id)?;
    let Lease { addr, len } = transfer.block;
    frame.prefix(addr, len, (0, 0), &options)?;
    frame.finish()
}

/// Writes the BNDREPLY to a block's BNDUPD (§7.6).
///
/// # Errors
/// [`NoRoom`]; [`BLOCK_FRAME_LEN_MAX`] octets hold any answer to an update without OPTION_VSS.
pub fn write_bndreply(
    prefix: &PrefixData<'_>,
    rejection: Option<Rejection>,
    transaction_id: TransactionId,
    buffer: &mut [u8],
) -> Result<usize, NoRoom> {
    let received = &prefix.options;
    let options = LeaseOptions {
        status: rejection.map(|rejection| Status {
            code: rejection.status(),
            message: rejection.text().as_bytes(),
        }),
        vss: received.vss,
        binding_status: received.binding_status,
        state_expiration_time: received.state_expiration_time,
        partner_lifetime_sent: received.partner_lifetime,
        ..LeaseOptions::default()
    };
    let container = Container::Prefix(PrefixData {
        prefix: prefix.prefix,
        options,
    });
    let mut frame = FrameWriter::begin(buffer, MessageType::BNDREPLY, transaction_id)?;
    container.put(&mut frame)?;
    frame.finish()
}

#[cfg(test)]
mod tests;
