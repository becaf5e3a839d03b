//! Writes one frame in place.

use crate::code::{MessageType, OptionCode};
use crate::duid::{IaKind, Iaid};
use crate::failover::binding::Client;
use crate::failover::lease_options::LeaseOptions;
use crate::failover::subscriber;
use crate::failover::values::TransactionId;
use crate::options::status::Status;
use crate::reply::{NoRoom, Open, ReplyWriter};

/// Writer of one message behind its size field, into a buffer of the caller.
///
/// Lengths are patched back when a container is closed, the size when the frame is finished.
/// What does not fit is refused with [`NoRoom`]; nothing is ever written past the buffer.
#[derive(Debug)]
pub struct FrameWriter<'b> {
    size: &'b mut [u8; 2],
    message: ReplyWriter<'b>,
}

impl<'b> FrameWriter<'b> {
    /// Begins a failover message (BNDUPD to CONTACT) at the start of `buffer`. Its sent-time is 0
    /// until [`stamp`](crate::failover::stamp) sets it.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn begin(
        buffer: &'b mut [u8],
        msg_type: MessageType,
        transaction_id: TransactionId,
    ) -> Result<Self, NoRoom> {
        let mut frame = Self::begin_plain(buffer, msg_type, transaction_id)?;
        frame.message.put(&[0; 4])?;
        Ok(frame)
    }

    /// Begins a message without sent-time: STARTTLS or REPLY.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn begin_plain(
        buffer: &'b mut [u8],
        msg_type: MessageType,
        transaction_id: TransactionId,
    ) -> Result<Self, NoRoom> {
        let (size, message) = buffer.split_first_chunk_mut().ok_or(NoRoom)?;
        Ok(Self {
            size,
            message: ReplyWriter::begin(message, msg_type, transaction_id.octets())?,
        })
    }

    /// Sets the size field; gives the length of the frame, size field included.
    ///
    /// # Errors
    /// [`NoRoom`] if the message is longer than 65,535 octets.
    pub fn finish(self) -> Result<usize, NoRoom> {
        let len = self.message.finish()?;
        *self.size = u16::try_from(len).map_err(|_| NoRoom)?.to_be_bytes();
        Ok(self.size.len() + len)
    }

    /// Writes an option with its data.
    ///
    /// # Errors
    /// [`NoRoom`]; nothing is written then.
    pub fn option(&mut self, code: OptionCode, data: &[u8]) -> Result<(), NoRoom> {
        self.message.option(code, data)
    }

    /// Begins an option whose data is written by the calls that follow.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn open(&mut self, code: OptionCode) -> Result<Open, NoRoom> {
        self.message.open(code)
    }

    /// Ends an option: everything written since it was opened is its data.
    ///
    /// # Errors
    /// [`NoRoom`] if the data is longer than 65,535 octets.
    pub fn close(&mut self, open: Open) -> Result<(), NoRoom> {
        self.message.close(open)
    }

    /// Writes a Status Code with its text.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn status(&mut self, status: &Status<'_>) -> Result<(), NoRoom> {
        let open = self.message.open(OptionCode::STATUS_CODE)?;
        self.message.put(&status.code.0.to_be_bytes())?;
        self.message.put(status.message)?;
        self.message.close(open)
    }

    /// Begins an OPTION_CLIENT_DATA; its IAs follow.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn open_client_data(&mut self, client: &Client<'_>) -> Result<Open, NoRoom> {
        let open = self.open(OptionCode::CLIENT_DATA)?;
        if let Some(status) = &client.status {
            self.status(status)?;
        }
        self.maybe(
            OptionCode::CLIENTID,
            client.client_id.map(|duid| duid.octets()),
        )?;
        self.maybe_number(OptionCode::LQ_BASE_TIME, client.base_time)?;
        self.maybe(OptionCode::VSS, client.vss)?;
        if let Some(data) = client.reconfigure_data {
            let open = self.open(OptionCode::F_RECONFIGURE_DATA)?;
            self.message.put(&data.time.to_be_bytes())?;
            self.message.put(data.key)?;
            self.close(open)?;
        }
        self.maybe(OptionCode::LQ_RELAY_DATA, client.relay_data)?;
        self.maybe(OptionCode::VENDOR_OPTS, client.vendor_opts)?;
        if let Some(subscriber) = &client.subscriber {
            subscriber::put(subscriber, self)?;
        }
        Ok(open)
    }

    /// Begins an IA_NA or IA_PD inside an open OPTION_CLIENT_DATA; T1 and T2 in seconds.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn open_ia(&mut self, kind: IaKind, iaid: Iaid, t1: u32, t2: u32) -> Result<Open, NoRoom> {
        self.message.open_ia(kind, iaid, t1, t2)
    }

    /// Writes an IAADDR inside an open IA_NA; preferred and valid lifetime in seconds.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn address(
        &mut self,
        address: u128,
        (preferred, valid): (u32, u32),
        options: &LeaseOptions<'_>,
    ) -> Result<(), NoRoom> {
        let open = self.message.open_ia_address(address, preferred, valid)?;
        options.put(self)?;
        self.close(open)
    }

    /// Writes an IAPREFIX, inside an open IA_PD or at top level; preferred and valid lifetime in
    /// seconds.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn prefix(
        &mut self,
        prefix: u128,
        prefix_len: u8,
        (preferred, valid): (u32, u32),
        options: &LeaseOptions<'_>,
    ) -> Result<(), NoRoom> {
        let open = self
            .message
            .open_ia_prefix(prefix, prefix_len, preferred, valid)?;
        options.put(self)?;
        self.close(open)
    }

    /// Writes an option if there is data for it.
    pub(super) fn maybe(
        &mut self,
        code: OptionCode,
        data: Option<impl AsRef<[u8]>>,
    ) -> Result<(), NoRoom> {
        data.map_or(Ok(()), |data| self.option(code, data.as_ref()))
    }

    /// Writes a 32-bit number if there is one.
    pub(super) fn maybe_number(
        &mut self,
        code: OptionCode,
        number: Option<u32>,
    ) -> Result<(), NoRoom> {
        self.maybe(code, number.map(u32::to_be_bytes))
    }
}
