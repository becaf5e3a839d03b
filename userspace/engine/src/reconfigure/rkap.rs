//! The Reconfiguration Key Authentication Protocol (RFC 9915 §20.4).

use super::Replay;
use crate::drop_reason::DropReason;
use crate::exchange::Context;
use crate::ingress::Parsed;
use core::fmt;
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha2::Sha256;
use wire::{Duid, MessageType, NoRoom, OptionCode, ReplyWriter};

/// Octets that a secret has at least: as many as the keys that are made of it.
pub const SECRET_LEN_MIN: usize = 16;

/// Octets of a key and of an HMAC-MD5 (§20.4.1).
const VALUE_LEN: usize = 16;
/// Protocol, algorithm and replay detection method of RKAP (§20.4.1).
const RKAP: [u8; 3] = [3, 1, 0];
/// The value is a key, in a Reply.
const TYPE_KEY: u8 = 1;
/// The value is an HMAC-MD5, in a Reconfigure.
const TYPE_HMAC: u8 = 2;
/// Octets of data of an Authentication option of RKAP.
const AUTH_LEN: usize = RKAP.len() + size_of::<u64>() + 1 + VALUE_LEN;

/// What lets clients believe this server's Reconfigure messages.
///
/// A client's key is a keyed hash of its DUID, so nothing has to be kept with its bindings, it is the
/// same after a restart, and a failover partner with the same secret knows it too. HMAC-SHA-256
/// makes it; HMAC-MD5, which the protocol fixes for the messages, only uses it.
pub struct Rkap {
    keys: Hmac<Sha256>,
    replay: Replay,
}

/// The key of one client (§20.4.2).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ReconfigureKey([u8; VALUE_LEN]);

impl Rkap {
    /// With a secret of [`SECRET_LEN_MIN`] octets or more, which failover partners have in common;
    /// `None` if it is shorter.
    pub fn new(secret: &[u8], replay: Replay) -> Option<Self> {
        if secret.len() < SECRET_LEN_MIN {
            return None;
        }
        let mut keys = Hmac::<Sha256>::new_from_slice(secret).ok()?;
        // No other use of the same secret leads to the same keys.
        keys.update(b"twinlease reconfigure key\0");
        Some(Self { keys, replay })
    }

    /// The key of the client with this DUID.
    pub fn key_of(&self, duid: Duid<'_>) -> ReconfigureKey {
        let hash = self.keys.clone().chain_update(duid.octets()).finalize();
        let mut key = [0; VALUE_LEN];
        key.copy_from_slice(&hash.into_bytes()[..VALUE_LEN]);
        ReconfigureKey(key)
    }

    /// Where replay detection values come from.
    pub fn replay(&self) -> &Replay {
        &self.replay
    }
}

impl fmt::Debug for Rkap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rkap")
            .field("replay", &self.replay)
            .finish()
    }
}

impl fmt::Debug for ReconfigureKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReconfigureKey(..)")
    }
}

impl ReconfigureKey {
    /// Its octets.
    pub fn octets(&self) -> &[u8; VALUE_LEN] {
        &self.0
    }

    /// The HMAC-MD5 of a message in which the place of the HMAC is zero (§20.4.2).
    fn hmac(&self, message: &[u8]) -> [u8; VALUE_LEN] {
        let keyed = Hmac::<Md5>::new_from_slice(&self.0).expect("HMAC takes keys of every length");
        keyed.chain_update(message).finalize().into_bytes().into()
    }

    /// Puts the HMAC into the last octets of a message whose last option is [`unsigned`].
    pub(super) fn sign(&self, message: &mut [u8]) {
        let hmac = self.hmac(message);
        if let Some(place) = message.last_chunk_mut() {
            *place = hmac;
        }
    }
}

/// An Authentication option that [`ReconfigureKey::sign`] completes.
pub(super) fn unsigned(writer: &mut ReplyWriter<'_>, replay: u64) -> Result<(), NoRoom> {
    authentication(writer, replay, TYPE_HMAC, &[0; VALUE_LEN])
}

fn authentication(
    writer: &mut ReplyWriter<'_>,
    replay: u64,
    value_type: u8,
    value: &[u8; VALUE_LEN],
) -> Result<(), NoRoom> {
    let mut data = [0; AUTH_LEN];
    let (head, rest) = data.split_at_mut(RKAP.len());
    head.copy_from_slice(&RKAP);
    let (detection, info) = rest.split_at_mut(size_of::<u64>());
    detection.copy_from_slice(&replay.to_be_bytes());
    info[0] = value_type;
    info[1..].copy_from_slice(value);
    writer.option(OptionCode::AUTH, &data)
}

/// Tells a client that accepts Reconfigure messages that it may be sent some, and in a Reply the
/// key that it is to check them by; whether it was given one.
///
/// §20.4.2 has the key in Replies to Request, to Solicit and to Information-request. A client that
/// repeats in a Renew or Rebind that it accepts gets it there too: it may be one that was there before
/// the server began with this.
pub(crate) fn give_key(
    writer: &mut ReplyWriter<'_>,
    context: &Context<'_>,
    parsed: &Parsed<'_>,
    kind: MessageType,
) -> Result<bool, DropReason> {
    let Some(rkap) = &context.model.rkap else {
        return Ok(false);
    };
    let Some(client) = parsed.client_id().filter(|_| parsed.index.reconf_accept) else {
        return Ok(false);
    };
    if kind != MessageType::REPLY {
        writer.option(OptionCode::RECONF_ACCEPT, &[])?;
        return Ok(false);
    }
    // Without a value that no client has seen, a client would discard the whole Reply.
    let Some(replay) = rkap.replay.draw(context.now) else {
        return Ok(false);
    };
    writer.option(OptionCode::RECONF_ACCEPT, &[])?;
    let key = rkap.key_of(client);
    authentication(writer, replay, TYPE_KEY, key.octets())?;
    Ok(true)
}
