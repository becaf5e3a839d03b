//! Binding updates on one connection, in both directions: which may be sent, which wait for their
//! answer, and how many the partner waits for.

use crate::partner::exchange::{Offers, ToWorker};
use failover::balance::Transfer;
use failover::updates::Offer;
use failover::{ConnectionId, Monotonic, Window};
use std::collections::VecDeque;
use wire::failover::TransactionId;

/// Octets of the transaction-id in a frame: behind the size and the message type.
const TRANSACTION_ID: core::ops::Range<usize> = 3..6;

/// What a BNDUPD of ours was about.
#[derive(Debug)]
pub enum Sent {
    /// A worker's offer.
    Offer(usize, Offer),
    /// A block that changes sides.
    Block(Transfer),
}

/// A worker's part of the window.
#[derive(Clone, Copy, Debug, Default)]
struct Part {
    /// Credit given and not used.
    unused: u32,
    /// Offers that wait here or for their answer.
    offered: u32,
}

/// Offers that came while the window was full.
struct Waiting {
    worker: usize,
    offers: Offers,
    /// The first that has not been sent, and where its frame begins.
    next: usize,
    at: usize,
}

/// See the module.
pub struct Flow {
    /// The connection.
    pub connection: ConnectionId,
    window: Window<Sent>,
    width: u32,
    parts: Vec<Part>,
    offers: VecDeque<Waiting>,
    /// Frames to be sent in one write.
    frames: Vec<u8>,
    /// BNDUPDs of the partner that have come.
    received: u64,
    /// BNDUPDs of the partner that have had no answer.
    pub unanswered: u32,
}

impl Flow {
    /// Of a connection whose partner takes `width` BNDUPDs.
    pub fn new(connection: ConnectionId, width: u32, workers: usize) -> Self {
        Self {
            connection,
            window: Window::new(width),
            width,
            parts: vec![Part::default(); workers],
            offers: VecDeque::new(),
            frames: Vec::new(),
            received: 0,
            unanswered: 0,
        }
    }

    /// BNDUPDs of ours without an answer.
    pub fn outstanding(&self) -> u32 {
        self.window.outstanding()
    }

    /// BNDUPDs that the partner takes at once.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Whether the partner has taken too long with the oldest.
    pub fn is_overdue(&self, now: Monotonic) -> bool {
        self.window.is_overdue(now)
    }

    /// When it will have.
    pub fn overdue_at(&self) -> Option<Monotonic> {
        let oldest = self.window.oldest()?;
        Some(oldest.plus_secs(failover::window::REPLY_SECS_MAX))
    }

    /// The number of a BNDUPD of the partner that came just now.
    pub fn receive(&mut self) -> u64 {
        self.unanswered += 1;
        let number = self.received;
        self.received += 1;
        number
    }

    /// Offers of a worker.
    pub fn offer(&mut self, worker: usize, offers: Offers) {
        if let Some(part) = self.parts.get_mut(worker) {
            let count = offers.len() as u32;
            part.unused = part.unused.saturating_sub(count);
            part.offered = part.offered.saturating_add(count);
        }
        self.offers.push_back(Waiting {
            worker,
            offers,
            next: 0,
            at: 0,
        });
    }

    /// Whether a BNDUPD may be sent now.
    pub fn has_room(&self) -> bool {
        self.window.room() > 0
    }

    /// Sends a block's BNDUPD if there is room.
    pub fn send_block(&mut self, transfer: Transfer, now: failover::Now) -> bool {
        let Ok(id) = self.window.send(Sent::Block(transfer), now.mono) else {
            return false;
        };
        let mut frame = [0; failover::balance::BLOCK_FRAME_LEN_MAX];
        if let Ok(len) = failover::balance::write_bndupd(transfer, id, now.wall, &mut frame) {
            self.frames.extend_from_slice(&frame[..len]);
        }
        true
    }

    /// Sends answers to so many BNDUPDs of the partner.
    pub fn reply(&mut self, count: u32, frames: &[u8]) {
        self.unanswered = self.unanswered.saturating_sub(count);
        self.frames.extend_from_slice(frames);
    }

    /// A BNDREPLY came: to what. `None`: to nothing that is outstanding.
    pub fn answered(&mut self, id: TransactionId) -> Option<Sent> {
        let sent = self.window.answer(id)?;
        if let Sent::Offer(worker, _) = sent
            && let Some(part) = self.parts.get_mut(worker)
        {
            part.offered = part.offered.saturating_sub(1);
        }
        Some(sent)
    }

    /// What is to be written now: offers as far as the window goes, and all answers; empty if there
    /// is nothing.
    pub fn take_frames(&mut self, now: Monotonic) -> Vec<u8> {
        while self.window.room() > 0
            && let Some(waiting) = self.offers.front_mut()
        {
            let Some((offer, frame)) = waiting.offers.get(waiting.next, waiting.at) else {
                self.offers.pop_front();
                continue;
            };
            let sent = Sent::Offer(waiting.worker, offer);
            let Ok(id) = self.window.send(sent, now) else {
                break;
            };
            let begin = self.frames.len();
            self.frames.extend_from_slice(frame);
            waiting.next += 1;
            waiting.at += frame.len();
            if let Some(octets) = self.frames[begin..].get_mut(TRANSACTION_ID) {
                octets.copy_from_slice(&id.octets());
            }
        }
        core::mem::take(&mut self.frames)
    }

    /// Credit to be given to each worker: each has an equal part of the window, and is told when
    /// half of it is free again.
    pub fn credit(&mut self) -> impl Iterator<Item = (usize, ToWorker)> {
        let connection = self.connection;
        let share = (self.width / self.parts.len().max(1) as u32).max(1);
        let parts = self.parts.iter_mut().enumerate();
        parts.filter_map(move |(worker, part)| {
            let free = share.saturating_sub(part.unused.saturating_add(part.offered));
            if free == 0 || free < share / 2 && part.unused > 0 {
                return None;
            }
            part.unused += free;
            Some((worker, ToWorker::Credit(connection, free)))
        })
    }
}
