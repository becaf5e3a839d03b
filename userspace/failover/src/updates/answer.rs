//! Writing the BNDREPLY to a BNDUPD (RFC 8156 §7.6).

use crate::reconcile::Rejection;
use wire::failover::{
    BindingLease, Client, ClientData, FrameWriter, LeaseOptions, Leased, TransactionId,
};
use wire::{MessageType, NoRoom, Status};

/// Writes a BNDREPLY (§7.6): the BNDUPD's skeleton, with what is to be echoed and why something was
/// rejected.
pub(super) struct Reply<'b> {
    frame: FrameWriter<'b>,
    container: wire::Open,
}

impl<'b> Reply<'b> {
    pub(super) fn begin(
        buffer: &'b mut [u8],
        transaction_id: TransactionId,
        data: &ClientData<'_>,
        rejection: Option<Rejection>,
    ) -> Result<Self, NoRoom> {
        let mut frame = FrameWriter::begin(buffer, MessageType::BNDREPLY, transaction_id)?;
        let container = frame.open_client_data(&Client {
            status: rejection.map(status),
            client_id: data.client.client_id,
            vss: data.client.vss,
            ..Client::default()
        })?;
        Ok(Self { frame, container })
    }

    /// One lease in an IA of its own: an IA may stand several times in a container.
    pub(super) fn lease(
        &mut self,
        lease: &BindingLease<'_>,
        rejection: Option<Rejection>,
    ) -> Result<(), NoRoom> {
        let ia = &lease.ia;
        let received = &lease.options;
        let options = LeaseOptions {
            status: rejection.map(status),
            binding_status: received.binding_status,
            state_expiration_time: received.state_expiration_time,
            partner_lifetime_sent: received.partner_lifetime,
            ..LeaseOptions::default()
        };
        let open = self.frame.open_ia(ia.kind, ia.iaid, ia.t1, ia.t2)?;
        match &lease.leased {
            Leased::Address(a) => {
                self.frame
                    .address(a.address, (a.preferred, a.valid), &options)?;
            }
            Leased::Prefix(p) => {
                let lifetimes = (p.preferred, p.valid);
                self.frame
                    .prefix(p.prefix, p.prefix_len, lifetimes, &options)?;
            }
        }
        self.frame.close(open)
    }

    pub(super) fn finish(mut self) -> Result<usize, NoRoom> {
        self.frame.close(self.container)?;
        self.frame.finish()
    }
}

fn status(rejection: Rejection) -> Status<'static> {
    Status {
        code: rejection.status(),
        message: rejection.text().as_bytes(),
    }
}
