//! Mail from other threads: packets of this worker's shards that arrived elsewhere, and commands.

use super::handover::{BeginHandover, Switch};
use crate::control::command::{Busy, Command, WorkerHandle};
use crate::partner::exchange::ToWorker;
use crossbeam::queue::ArrayQueue;
use datapath::{InterfaceId, ReplyTo, Waker};
use journal::SnapshotFeed;
use std::net::Ipv6Addr;
use std::sync::Arc;

/// Letters an inbox holds; more are refused and counted by the sender. Sized for a burst of one RX
/// ring over the kernel socket, where every packet may need handing over.
const CAPACITY: usize = 4096;

/// A datagram copied out of the frame of the worker that received it.
#[derive(Clone)]
pub struct HandedOver {
    /// The DHCPv6 message.
    pub payload: Box<[u8]>,
    /// Where the answer goes.
    pub reply_to: ReplyTo,
    /// Where it came in.
    pub interface: InterfaceId,
    /// Its source address.
    pub source: Ipv6Addr,
    /// Its destination address.
    pub destination: Ipv6Addr,
}

/// What other threads send a worker.
pub enum Mail {
    /// A packet of one of its shards.
    HandedOver(Box<HandedOver>),
    /// Walk the shards into this feed, slice by slice.
    Snapshot(SnapshotFeed),
    /// A question of the control socket.
    Command(Command),
    /// A model is to be followed by another one.
    BeginHandover(Box<BeginHandover>),
    /// All workers are to change the model now.
    Switch(Box<Switch>),
    /// The model in use stays.
    AbandonHandover,
    /// What the failover partner wants of it, or has said.
    Partner(Box<ToWorker>),
}

/// Any thread may put mail in; the worker takes it out.
pub struct Inbox {
    mail: ArrayQueue<Mail>,
    waker: Waker,
}

impl Inbox {
    /// An empty inbox that wakes its worker by `waker`.
    pub fn new(waker: Waker) -> Self {
        Self {
            mail: ArrayQueue::new(CAPACITY),
            waker,
        }
    }

    /// Leaves mail and wakes the worker.
    ///
    /// # Errors
    /// The inbox is full; the mail is dropped.
    pub fn put(&self, mail: Mail) -> Result<(), Busy> {
        self.offer(mail).map_err(|_| Busy)
    }

    /// As [`put`](Self::put).
    ///
    /// # Errors
    /// The mail, when the inbox is full.
    pub fn offer(&self, mail: Mail) -> Result<(), Box<Mail>> {
        self.leave(mail)?;
        self.waker.wake();
        Ok(())
    }

    /// As [`offer`](Self::offer), and wakes nobody: the worker finds it when something else wakes
    /// it, or when it has slept as long as it does at most.
    ///
    /// # Errors
    /// As there.
    pub fn leave(&self, mail: Mail) -> Result<(), Box<Mail>> {
        self.mail.push(mail).map_err(Box::new)
    }

    /// The oldest mail.
    pub fn take(&self) -> Option<Mail> {
        self.mail.pop()
    }

    /// Whether there is mail.
    pub fn is_empty(&self) -> bool {
        self.mail.is_empty()
    }

    /// What wakes the worker.
    pub fn waker(&self) -> &Waker {
        &self.waker
    }
}

impl WorkerHandle for Arc<Inbox> {
    fn send(&self, command: Command) -> Result<(), Busy> {
        self.put(Mail::Command(command))
    }
}
