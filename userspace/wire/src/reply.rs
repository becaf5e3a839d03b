//! Writes a server's message in place, relay envelopes first, into a buffer of the caller.
//!
//! Lengths are patched back when a container is closed. Whatever does not fit is refused whole
//! with [`NoRoom`]; nothing is ever written past the buffer.

use arrayvec::ArrayVec;
use zerocopy::IntoBytes;
use zerocopy::network_endian::{U32, U128};

use crate::code::{MessageType, OptionCode, StatusCode};
use crate::duid::{IaKind, Iaid};
use crate::option::OPTION_HEADER_LEN;
use crate::relay::{HOP_COUNT_LIMIT, RelayChain, RelayForward, RelayHeader};

/// The buffer is full, or an option would hold more than 65,535 octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no room for the message")]
pub struct NoRoom;

impl NoRoom {
    /// Short label, stable over versions, for a metric.
    pub fn reason(self) -> &'static str {
        "reply-too-long"
    }
}

/// A container whose length is not yet known; to be given to [`ReplyWriter::close`], inner ones
/// before outer ones.
#[derive(Debug)]
#[must_use = "an option that is not closed has no length"]
pub struct Open {
    /// Where the data begins.
    data_at: usize,
}

/// A place to go back to with [`ReplyWriter::rewind`].
#[derive(Clone, Copy, Debug)]
pub struct Mark(usize);

/// Writer of one message.
#[derive(Debug)]
pub struct ReplyWriter<'b> {
    buffer: &'b mut [u8],
    len: usize,
    /// Relay Message options around the message, outermost first.
    layers: ArrayVec<Open, HOP_COUNT_LIMIT>,
}

impl<'b> ReplyWriter<'b> {
    /// Begins a message that goes to the client without a relay.
    ///
    /// # Errors
    /// [`NoRoom`].
    #[inline]
    pub fn begin(
        buffer: &'b mut [u8],
        msg_type: MessageType,
        transaction_id: [u8; 3],
    ) -> Result<Self, NoRoom> {
        let mut writer = Self {
            buffer,
            len: 0,
            layers: ArrayVec::new(),
        };
        writer.header(msg_type, transaction_id)?;
        Ok(writer)
    }

    /// Begins the answer to the message in `chain`, in as many Relay-reply layers as it came in:
    /// hop-count, link-address, peer-address and Interface-Id are copied (RFC 9915 §19.3).
    ///
    /// # Errors
    /// [`NoRoom`].
    #[inline]
    pub fn begin_relayed(
        buffer: &'b mut [u8],
        chain: &RelayChain<'_>,
        msg_type: MessageType,
    ) -> Result<Self, NoRoom> {
        Self::begin_relayed_with(buffer, chain, msg_type, |_, _| Ok(()))
    }

    /// As [`begin_relayed`](Self::begin_relayed); `extra` adds what else a layer is to carry
    /// (echoed options, the relay source port), called once a layer, outermost first.
    ///
    /// # Errors
    /// [`NoRoom`].
    #[inline]
    pub fn begin_relayed_with(
        buffer: &'b mut [u8],
        chain: &RelayChain<'_>,
        msg_type: MessageType,
        mut extra: impl FnMut(&RelayForward<'_>, &mut Self) -> Result<(), NoRoom>,
    ) -> Result<Self, NoRoom> {
        let mut writer = Self {
            buffer,
            len: 0,
            layers: ArrayVec::new(),
        };
        for relay in &chain.relays {
            let header = RelayHeader {
                msg_type: MessageType::RELAY_REPL.0,
                hop_count: relay.hop_count,
                link_address: U128::new(relay.link_address),
                peer_address: U128::new(relay.peer_address),
            };
            writer.put(header.as_bytes())?;
            if let Some(interface_id) = relay.interface_id {
                writer.option(OptionCode::INTERFACE_ID, interface_id)?;
            }
            extra(relay, &mut writer)?;
            let layer = writer.open(OptionCode::RELAY_MSG)?;
            writer.layers.try_push(layer).map_err(|_| NoRoom)?;
        }
        writer.header(msg_type, chain.message.transaction_id)?;
        Ok(writer)
    }

    /// Octets written, relay envelopes included.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Never: a header is written at the beginning.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where the writer stands.
    #[inline]
    pub fn mark(&self) -> Mark {
        Mark(self.len)
    }

    /// Takes back what was written since `mark`. Containers opened since then must not be closed.
    #[inline]
    pub fn rewind(&mut self, mark: Mark) {
        self.len = self.len.min(mark.0);
    }

    /// Writes bare octets: fixed fields of an open container.
    ///
    /// # Errors
    /// [`NoRoom`].
    #[inline]
    pub fn put(&mut self, octets: &[u8]) -> Result<(), NoRoom> {
        self.room(octets.len())?.copy_from_slice(octets);
        Ok(())
    }

    /// Writes an option with its data; empty data for a flag such as Rapid Commit.
    ///
    /// # Errors
    /// [`NoRoom`]; nothing is written then.
    #[inline]
    pub fn option(&mut self, code: OptionCode, data: &[u8]) -> Result<(), NoRoom> {
        let len = u16::try_from(data.len()).map_err(|_| NoRoom)?;
        let room = self.room(OPTION_HEADER_LEN + data.len())?;
        let (head, body) = room.split_first_chunk_mut().ok_or(NoRoom)?;
        *head = option_header(code, len);
        body.copy_from_slice(data);
        Ok(())
    }

    /// Begins an option whose data is written by the calls that follow.
    ///
    /// # Errors
    /// [`NoRoom`].
    #[inline]
    pub fn open(&mut self, code: OptionCode) -> Result<Open, NoRoom> {
        self.put(&option_header(code, 0))?;
        Ok(Open { data_at: self.len })
    }

    /// Ends an option: everything written since [`open`](Self::open) is its data.
    ///
    /// # Errors
    /// [`NoRoom`] if the data is longer than 65,535 octets or was taken back by
    /// [`rewind`](Self::rewind).
    #[inline]
    pub fn close(&mut self, open: Open) -> Result<(), NoRoom> {
        let len = self.len.checked_sub(open.data_at).ok_or(NoRoom)?;
        let len = u16::try_from(len).map_err(|_| NoRoom)?;
        let before = self.buffer.get_mut(..open.data_at).ok_or(NoRoom)?;
        *before.last_chunk_mut().ok_or(NoRoom)? = len.to_be_bytes();
        Ok(())
    }

    /// Begins an IA_NA or IA_PD; T1 and T2 in seconds.
    ///
    /// # Errors
    /// [`NoRoom`].
    #[inline]
    pub fn open_ia(&mut self, kind: IaKind, iaid: Iaid, t1: u32, t2: u32) -> Result<Open, NoRoom> {
        let open = self.open(OptionCode(kind as u16))?;
        self.put([iaid.0, t1, t2].map(U32::new).as_bytes())?;
        Ok(open)
    }

    /// Begins an IAADDR inside an open IA_NA; lifetimes in seconds.
    ///
    /// # Errors
    /// [`NoRoom`].
    #[inline]
    pub fn open_ia_address(
        &mut self,
        address: u128,
        preferred: u32,
        valid: u32,
    ) -> Result<Open, NoRoom> {
        let open = self.open(OptionCode::IAADDR)?;
        self.put(&address.to_be_bytes())?;
        self.put(&preferred.to_be_bytes())?;
        self.put(&valid.to_be_bytes())?;
        Ok(open)
    }

    /// Writes an IAADDR without nested options; lifetimes in seconds.
    ///
    /// # Errors
    /// [`NoRoom`].
    #[inline]
    pub fn ia_address(&mut self, address: u128, preferred: u32, valid: u32) -> Result<(), NoRoom> {
        let open = self.open_ia_address(address, preferred, valid)?;
        self.close(open)
    }

    /// Begins an IAPREFIX inside an open IA_PD; lifetimes in seconds.
    ///
    /// # Errors
    /// [`NoRoom`].
    #[inline]
    pub fn open_ia_prefix(
        &mut self,
        prefix: u128,
        prefix_len: u8,
        preferred: u32,
        valid: u32,
    ) -> Result<Open, NoRoom> {
        let open = self.open(OptionCode::IAPREFIX)?;
        self.put(&preferred.to_be_bytes())?;
        self.put(&valid.to_be_bytes())?;
        self.put(&[prefix_len])?;
        self.put(&prefix.to_be_bytes())?;
        Ok(open)
    }

    /// Writes an IAPREFIX without nested options; lifetimes in seconds.
    ///
    /// # Errors
    /// [`NoRoom`].
    #[inline]
    pub fn ia_prefix(
        &mut self,
        prefix: u128,
        prefix_len: u8,
        preferred: u32,
        valid: u32,
    ) -> Result<(), NoRoom> {
        let open = self.open_ia_prefix(prefix, prefix_len, preferred, valid)?;
        self.close(open)
    }

    /// Writes a Status Code with its text (RFC 9915 §21.13).
    ///
    /// # Errors
    /// [`NoRoom`].
    #[inline]
    pub fn status(&mut self, code: StatusCode, message: &str) -> Result<(), NoRoom> {
        let open = self.open(OptionCode::STATUS_CODE)?;
        self.put(&code.0.to_be_bytes())?;
        self.put(message.as_bytes())?;
        self.close(open)
    }

    /// Closes all relay envelopes and gives the length of the UDP payload.
    ///
    /// # Errors
    /// [`NoRoom`] if an envelope holds more than 65,535 octets.
    #[inline]
    pub fn finish(mut self) -> Result<usize, NoRoom> {
        while let Some(layer) = self.layers.pop() {
            self.close(layer)?;
        }
        Ok(self.len)
    }

    #[inline]
    fn header(&mut self, msg_type: MessageType, [a, b, c]: [u8; 3]) -> Result<(), NoRoom> {
        self.put(&[msg_type.0, a, b, c])
    }

    /// The next `len` octets, counted as written.
    #[inline]
    fn room(&mut self, len: usize) -> Result<&mut [u8], NoRoom> {
        let end = self.len.checked_add(len).ok_or(NoRoom)?;
        let room = self.buffer.get_mut(self.len..end).ok_or(NoRoom)?;
        self.len = end;
        Ok(room)
    }
}

#[inline]
fn option_header(code: OptionCode, len: u16) -> [u8; OPTION_HEADER_LEN] {
    let ([a, b], [c, d]) = (code.0.to_be_bytes(), len.to_be_bytes());
    [a, b, c, d]
}

#[cfg(test)]
mod tests;
