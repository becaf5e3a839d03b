//! Whose the free prefixes are.

use super::{Held, Running, Sent, Server, Thread};
use crate::disk::Ticket;
use failover::balance::{
    self, BLOCK_FRAME_LEN_MAX, PrefixShare, Transfer, agreed, announcements, due, next_transfer,
    still_given, write_bndreply, write_bndupd,
};
use failover::{ConnectionId, Event, Now, ServerState};
use journal::{ControlDelta, Entry};
use lease::Role;
use wire::failover::{PrefixData, TransactionId};

/// The secondary's share in 1/1000.
const SHARE: u16 = 500;

impl Server {
    /// Tells the partner of every block that is the secondary's.
    pub(super) fn announce(&mut self) {
        let ticket = self.disk.ticket();
        let Some(running) = &mut self.running else {
            return;
        };
        let Running {
            model, transfers, ..
        } = running;
        for served in model.pools() {
            transfers.extend(announcements(served.pool()).map(|transfer| (ticket, transfer)));
        }
    }

    /// The primary may have used what was the secondary's.
    pub(super) fn renounce(&mut self) {
        let Some(running) = &mut self.running else {
            return;
        };
        for served in running.model.pools() {
            for transfer in balance::renounce(served.pool()) {
                self.disk.append(&ownership(transfer));
            }
        }
    }

    /// Gives or asks for prefixes until the shares are right; a secondary that has none asks.
    pub(super) fn rebalance(&mut self, now: Now) {
        let is_primary = self.role == Role::Primary;
        let Some(running) = &mut self.running else {
            return;
        };
        let may = running.window.is_some()
            && running.serves_as == ServerState::Normal
            && running.endpoint.state() == ServerState::Normal
            && running.transfers.is_empty()
            && running.blocks_out == 0;
        if !may {
            return;
        }
        let ticket = self.disk.ticket();
        let again = running.again.drain(..).map(|transfer| (ticket, transfer));
        running.transfers.extend(again);
        let share = PrefixShare::of_thousand(SHARE);
        let pools = running.model.pools().iter().map(engine::ServedPool::pool);
        let split = pools.filter_map(|pool| Some((pool, pool.sides()?)));
        if !is_primary {
            let mut due = split.filter_map(|(_, sides)| due(sides, share));
            if due.any(|(_, to)| to == Role::Secondary) {
                self.tell_endpoint(Event::PoolsLow, now);
            }
            return;
        }
        for (pool, sides) in split {
            let Some((mut left, to)) = due(sides, share) else {
                continue;
            };
            while left > 0
                && let Some(transfer) = next_transfer(pool, left, to)
            {
                left -= 1 << (pool.spec().unit_len - transfer.block.len);
                if to == Role::Secondary {
                    self.disk.append(&ownership(transfer));
                }
                let ticket = self.disk.ticket();
                running.transfers.push_back((ticket, transfer));
                if to == Role::Primary {
                    // The next one would be the same until this one is agreed on.
                    break;
                }
            }
        }
    }

    /// Sends the next block that changes sides, as it is when it is written, if there is one and room
    /// for it; whether there was.
    pub(super) fn send_block(&mut self, now: Now) -> bool {
        let Some((connection, ticket, frame)) = self.next_block(now) else {
            return false;
        };
        self.let_go(ticket, Held::Update(connection, frame), now);
        true
    }

    fn next_block(&mut self, now: Now) -> Option<(ConnectionId, Ticket, Vec<u8>)> {
        let running = self.running.as_mut()?;
        let (connection, window) = running.window.as_mut().filter(|(_, w)| w.room() > 0)?;
        let durable = self.disk.durable();
        let connection = *connection;
        let (ticket, transfer) = loop {
            let front = running.transfers.front();
            let (ticket, transfer) = front.filter(|(ticket, _)| *ticket <= durable).copied()?;
            running.transfers.pop_front();
            let pools = running.model.pools().iter().map(engine::ServedPool::pool);
            let mut parts = pools.map(|pool| still_given(pool, transfer));
            let Some(parts) = parts.find(|parts| !parts.is_empty()) else {
                continue;
            };
            for part in parts.into_iter().rev() {
                running.transfers.push_front((ticket, part));
            }
            break running.transfers.pop_front()?;
        };
        let id = window.send(Sent::Block(transfer), now.mono).ok()?;
        running.blocks_out += 1;
        let mut buffer = [0; BLOCK_FRAME_LEN_MAX];
        let len = write_bndupd(transfer, id, now.wall, &mut buffer).expect("room");
        self.say(|| format!("BNDUPD {} to the {:?}", transfer.block, transfer.to));
        Some((connection, ticket, buffer[..len].to_vec()))
    }

    pub(super) fn work_block(
        &mut self,
        connection: ConnectionId,
        id: TransactionId,
        prefix: &PrefixData<'_>,
        now: Now,
    ) {
        let role = self.role;
        let Some(running) = &mut self.running else {
            return;
        };
        let block = balance::block_of(prefix);
        let mut pools = running.model.pools().iter().map(engine::ServedPool::pool);
        let pool = pools.find(|pool| {
            let first = lease::Lease {
                len: pool.spec().unit_len,
                ..block
            };
            pool.contains(first)
        });
        let received = balance::receive(role, pool, prefix);
        if let Some(transfer) = received.record {
            self.disk.append(&ownership(transfer));
        }
        let mut buffer = [0; BLOCK_FRAME_LEN_MAX];
        let len = write_bndreply(prefix, received.rejection, id, &mut buffer).expect("room");
        self.say(|| format!("took {block}: {received:?}"));
        let answer = Held::Answer(connection, buffer[..len].to_vec());
        self.hold(Thread::Control, answer, now);
    }

    pub(super) fn block_answered(
        &mut self,
        transfer: Transfer,
        prefix: &PrefixData<'_>,
        _now: Now,
    ) {
        let Some(running) = &mut self.running else {
            return;
        };
        running.blocks_out = running.blocks_out.saturating_sub(1);
        if prefix.options.rejection().is_some() {
            let is_gift = self.role == Role::Primary && transfer.to == Role::Secondary;
            running.again.extend(is_gift.then_some(transfer));
            return;
        }
        if self.role == Role::Secondary {
            return;
        }
        for served in running.model.pools() {
            if agreed(served.pool(), transfer) {
                self.disk.append(&ownership(transfer));
            }
        }
    }
}

fn ownership(transfer: Transfer) -> Entry<'static> {
    Entry::Control(ControlDelta::Ownership {
        block: transfer.block,
        backup: transfer.to == Role::Secondary,
    })
}
