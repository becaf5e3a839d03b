//! What the journal holds besides bindings and what belongs to no shard: the state of each failover
//! relationship, and who of the two servers owns which free prefixes (RFC 8156 §4.2.2).
//!
//! Octets are laid out as a binding's record is; octet 3, where the shard would be, is 0.
//!
//! ```text
//! Relationship: 4 key u64, 12 state: 0 to 512 octets
//! Ownership:    4 prefix length u8, 5 prefix u128, 21 owner u8 (0: FREE, 1: FREE-BACKUP)
//! ```

use crate::record::{PREFIX_LEN, RecordError, bad, lease, peek};
use lease::Lease;
use std::collections::BTreeMap;

pub(crate) const KIND_RELATIONSHIP: u8 = 4;
pub(crate) const KIND_OWNERSHIP: u8 = 5;
const RELATIONSHIP_LEN: usize = 12;
const OWNERSHIP_LEN: usize = 22;

/// The longest state of a relationship, octets.
pub const RELATIONSHIP_STATE_LEN_MAX: usize = 512;

/// A change that belongs to no shard, complete in itself as a [`lease::BindingDelta`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlDelta<'a> {
    /// The state of a failover relationship is now this, whatever it was.
    Relationship {
        /// Which relationship.
        key: u64,
        /// As the endpoint encoded it; at most [`RELATIONSHIP_STATE_LEN_MAX`] octets.
        state: &'a [u8],
    },
    /// The available prefixes of a block belong to one of the two servers from now on.
    Ownership {
        /// A prefix, and all delegable ones inside it.
        block: Lease,
        /// FREE-BACKUP, the secondary's; else FREE, the primary's.
        backup: bool,
    },
}

/// What recovery found of [`ControlDelta`]s. To be applied after all bindings are back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ControlRecovered {
    /// The last state of every relationship, by key.
    pub relationships: BTreeMap<u64, Vec<u8>>,
    /// Blocks and whether they are FREE-BACKUP, in the journal's order: a later one counts where
    /// two overlap. What none names is FREE.
    pub ownership: Vec<(Lease, bool)>,
}

impl ControlRecovered {
    pub(crate) fn apply(&mut self, delta: &ControlDelta<'_>) {
        match *delta {
            ControlDelta::Relationship { key, state } => {
                self.relationships.insert(key, state.to_vec());
            }
            ControlDelta::Ownership { block, backup } => self.ownership.push((block, backup)),
        }
    }
}

/// Whether a record of this kind is a [`ControlDelta`].
pub(crate) fn is_control(kind: u8) -> bool {
    matches!(kind, KIND_RELATIONSHIP | KIND_OWNERSHIP)
}

/// Appends `delta` to `out`.
///
/// # Panics
///
/// If a relationship's state is longer than [`RELATIONSHIP_STATE_LEN_MAX`].
pub(crate) fn encode(delta: &ControlDelta<'_>, out: &mut Vec<u8>) {
    match *delta {
        ControlDelta::Relationship { key, state } => {
            assert!(
                state.len() <= RELATIONSHIP_STATE_LEN_MAX,
                "the state of a relationship is at most {RELATIONSHIP_STATE_LEN_MAX} octets"
            );
            let len = (RELATIONSHIP_LEN - 2 + state.len()) as u16;
            out.extend_from_slice(&len.to_le_bytes());
            out.extend_from_slice(&[KIND_RELATIONSHIP, 0]);
            out.extend_from_slice(&key.to_le_bytes());
            out.extend_from_slice(state);
        }
        ControlDelta::Ownership { block, backup } => {
            out.extend_from_slice(&((OWNERSHIP_LEN - 2) as u16).to_le_bytes());
            out.extend_from_slice(&[KIND_OWNERSHIP, 0, block.len]);
            out.extend_from_slice(&block.addr.to_le_bytes());
            out.push(u8::from(backup));
        }
    }
}

/// The first record of `octets`, which is of a kind that [`is_control`], and how long it is.
///
/// # Errors
///
/// The first thing that this version cannot have written.
pub(crate) fn decode(octets: &[u8]) -> Result<(ControlDelta<'_>, usize), RecordError> {
    let len = peek(octets)?.len;
    let (prefix, body) = octets[..len].split_at(PREFIX_LEN);
    let delta = match prefix[2] {
        KIND_RELATIONSHIP => {
            let (key, state) = body.split_first_chunk().ok_or(RecordError::Short)?;
            if state.len() > RELATIONSHIP_STATE_LEN_MAX {
                return Err(RecordError::Value {
                    field: "the length of a relationship's state",
                    value: state.len() as u32,
                });
            }
            let key = u64::from_le_bytes(*key);
            ControlDelta::Relationship { key, state }
        }
        KIND_OWNERSHIP => {
            let (fixed, rest) = body
                .split_first_chunk::<{ OWNERSHIP_LEN - PREFIX_LEN }>()
                .ok_or(RecordError::Short)?;
            if let Some(&tag) = rest.first() {
                return Err(RecordError::Field(tag));
            }
            let backup = match fixed[17] {
                owner @ 0..=1 => owner == 1,
                owner => return Err(bad("owner", owner)),
            };
            let block = lease(&fixed[1..17], fixed[0])?;
            ControlDelta::Ownership { block, backup }
        }
        kind => return Err(RecordError::Kind(kind)),
    };
    Ok((delta, len))
}
