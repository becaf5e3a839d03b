//! Reconfigure messages of an operator's order, and which clients have done what they asked for
//! (RFC 9915 §18.3.11). When which client is sent one is decided on the control thread.

use super::desk::Desk;
use crate::control::command::{NotSent, ReconfigureClients, Reconfigured, ToReconfigure};
use datapath::{InterfaceId, Tx};
use engine::reconfigure::{RequestedMessage, Unreachable, write};
use engine::{Context, Parsed};
use lease::AbsTime;
use std::collections::HashMap;
use std::net::SocketAddrV6;
use std::sync::Arc;
use wire::MessageType;

/// Octets of a Reconfigure with the relay data of a binding around it and what is echoed of that.
const MESSAGE_LEN_MAX: usize = 4_096;

/// Clients that are waited for. Without an order there are none, and the packet path looks no
/// further than at that.
#[derive(Default)]
pub struct Awaited {
    /// By DUID, with their numbers in the order.
    clients: HashMap<Box<[u8]>, u32>,
    /// What answers.
    requested: MessageType,
    /// Who has answered since the control thread asked last.
    answered: Vec<u32>,
}

impl Awaited {
    /// Whether nobody is waited for.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// A message that is being answered; whether its client was waited for with it.
    pub fn note(&mut self, parsed: &Parsed<'_>) -> bool {
        if parsed.msg_type() != self.requested {
            return false;
        }
        let client = parsed.client_id();
        let number = client.and_then(|client| self.clients.remove(client.octets()));
        self.answered.extend(number);
        number.is_some()
    }
}

impl Desk {
    /// Sends the clients of the order their messages, and says who has answered.
    pub fn reconfigure(&mut self, tx: &Tx, order: ReconfigureClients, now: AbsTime) {
        if order.begins {
            self.awaited = Awaited::default();
        }
        self.awaited.requested = order.requested.msg_type();
        for duid in &order.forget {
            self.awaited.clients.remove(duid);
        }
        let answered = std::mem::take(&mut self.awaited.answered);
        let mut sent = Vec::with_capacity(order.clients.len());
        for client in order.clients {
            let done = self.reconfigure_client(tx, &client, order.requested, now);
            if done.is_ok() {
                self.counters.replies.of(MessageType::RECONFIGURE.0).add(1);
                self.awaited.clients.insert(client.duid, client.number);
            }
            sent.push(done);
        }
        if order.reply.send(Reconfigured { sent, answered }).is_err() {
            // The order is given up.
            self.awaited = Awaited::default();
        }
    }

    fn reconfigure_client(
        &self,
        tx: &Tx,
        client: &ToReconfigure,
        requested: RequestedMessage,
        now: AbsTime,
    ) -> Result<(), NotSent> {
        let shard = self.shards.get(client.shard);
        let found = shard.and_then(|shard| shard.by_lease(client.lease));
        let record = found.map(|(_, record)| record);
        let record = record.filter(|record| record.duid.octets() == &*client.duid);
        let record = record.ok_or(Unreachable::NoLease)?;
        let (model, leeways) = (Arc::clone(&self.model), Arc::clone(&self.leeways));
        let context = Context {
            model: &model,
            now,
            leeways: &leeways,
        };
        let mut message = [0; MESSAGE_LEN_MAX];
        let letter = write(&mut message, &context, &record, requested)?;
        let interface = match client.interface {
            Some(towards_relay) => towards_relay,
            None => {
                let own = model.interface_of(record.link);
                InterfaceId(own.ok_or(NotSent::NoRoute)?.0)
            }
        };
        let peer = SocketAddrV6::new(letter.peer, letter.port, 0, 0);
        let sent = tx.send_unasked(interface, peer, &message[..letter.len]);
        sent.map_err(|error| NotSent::Failed(error.to_string()))
    }
}
