//! UPDREQ, UPDREQALL and UPDDONE in both directions, POOLREQ and POOLRESP
//! (RFC 8156 §5.3.3 to §5.3.7, §8.5.2, §8.8).

use super::Endpoint;
use crate::event::{Effect, Owed, Round};
use crate::message::Message;
use crate::note::{Cause, Note};
use crate::state::{Input, ServerState};
use crate::time::{Monotonic, Now};
use crate::violation::Violation;
use lease::Role;
use wire::MessageType;
use wire::failover::TransactionId;

/// Seconds without BNDUPD and UPDDONE after which a request is given up with its connection
/// (§8.5.2).
pub(super) const UPDATES_IDLE_SECS: u32 = 60;

/// Requests of the partner answered at once: one for each state in which it would ask, and room.
const ANSWERING_MAX: usize = 4;

/// An UPDREQ or UPDREQALL of this server's.
#[derive(Debug)]
pub(super) struct Request {
    transaction_id: TransactionId,
    all: bool,
    pub(super) idle_until: Monotonic,
}

/// An UPDREQ or UPDREQALL of the partner's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answering {
    transaction_id: TransactionId,
    round: Round,
    owed: Owed,
}

impl Endpoint {
    /// Asks for the partner's updates, unless that is being answered.
    pub(super) fn request_updates(&mut self, now: Now) {
        if self.request.is_some() {
            return;
        }
        let all = self.record.needs_all;
        let transaction_id = self.control_id();
        self.asked.push(transaction_id);
        self.request = Some(Request {
            transaction_id,
            all,
            idle_until: now.mono.plus_secs(UPDATES_IDLE_SECS),
        });
        let message = match all {
            true => Message::UpdReqAll,
            false => Message::UpdReq,
        };
        self.send(transaction_id, message, now);
    }

    pub(super) fn updates_came(&mut self, now: Now) {
        if let Some(request) = &mut self.request {
            request.idle_until = now.mono.plus_secs(UPDATES_IDLE_SECS);
        }
    }

    pub(super) fn on_update_done(&mut self, id: TransactionId, now: Now) {
        let Some(index) = self.asked.iter().position(|&asked| asked == id) else {
            return self.note(Note::UnknownTransaction(MessageType::UPDDONE, id));
        };
        self.asked.swap_remove(index);
        if let Some(request) = self.request.take_if(|r| r.transaction_id == id) {
            if request.all {
                self.record.needs_all = false;
            }
            self.step(Input::UpdateDone, Cause::UpdateDone, now);
        }
    }

    /// The partner wants updates. Everything, if it says so, if it has not yet acknowledged
    /// everything that it asked for earlier, or if there was never anything that it could have
    /// acknowledged: leases from before the relationship are on no list.
    pub(super) fn on_request(&mut self, transaction_id: TransactionId, all: bool, now: Now) {
        if self.answering.len() >= ANSWERING_MAX {
            let count = self.answering.len() + 1;
            return self.violated(Violation::TooManyRequests(count), now);
        }
        if all && !self.record.owes_all {
            self.record.owes_all = true;
            self.store();
        }
        let owed = match self.record.owes_all || !self.record.communicated {
            true => Owed::All,
            false => Owed::Unacked,
        };
        let round = self.begin_round(owed);
        self.answering.push(Answering {
            transaction_id,
            round,
            owed,
        });
    }

    /// The shards have had answered what they owed.
    pub(super) fn answered(&mut self, round: Round, now: Now) {
        let answering = core::mem::take(&mut self.answering);
        let (done, left) = answering.into_iter().partition(|a| a.round <= round);
        self.answering = left;
        let done: Vec<Answering> = done;
        let gave_all = done.iter().any(|answer| answer.owed == Owed::All);
        if gave_all && self.record.owes_all {
            self.record.owes_all = false;
            self.store();
        }
        for answer in done {
            self.send(answer.transaction_id, Message::UpdDone, now);
        }
        if self
            .settling
            .take_if(|settling| *settling <= round)
            .is_some()
        {
            match self.served_alone() {
                true => self.told_all(now),
                false => self.ask_for_pools(now),
            }
        }
    }

    /// On entry into NORMAL everything that is not acknowledged is sent (§8.8), and before it when
    /// this server served alone.
    pub(super) fn begin_settling(&mut self) {
        self.settling = Some(self.begin_round(Owed::Unacked));
    }

    /// The secondary asks for delegable prefixes (§4.2.2).
    pub(super) fn ask_for_pools(&mut self, now: Now) {
        let may_ask = self.config.role == Role::Secondary
            && self.state() == ServerState::Normal
            && self.link.is_up()
            && self.settling.is_none()
            && self.pools_asked.is_none();
        if may_ask {
            let id = self.control_id();
            self.pools_asked = Some(id);
            self.send(id, Message::PoolReq, now);
        }
    }

    /// The primary takes the task on, in NORMAL at once, else when it is there: in other states it
    /// gives nothing away (§8.4.1: in PARTNER-DOWN all prefixes are its own to use).
    pub(super) fn on_poolreq(&mut self, id: TransactionId, now: Now) {
        if !self.is_primary() {
            return self.violated(Violation::WrongDirection(MessageType::POOLREQ), now);
        }
        self.send(id, Message::PoolResp, now);
        if self.state() == ServerState::Normal {
            self.out.push(Effect::Rebalance);
        } else {
            self.partner_wants_pools = true;
        }
    }

    pub(super) fn on_poolresp(&mut self, id: TransactionId, now: Now) {
        if self.is_primary() {
            return self.violated(Violation::WrongDirection(MessageType::POOLRESP), now);
        }
        if self.pools_asked.take_if(|asked| *asked == id).is_none() {
            self.note(Note::UnknownTransaction(MessageType::POOLRESP, id));
        }
    }

    /// The connection is gone, and with it all that was asked on it.
    pub(super) fn forget_exchanges(&mut self) {
        self.request = None;
        self.asked.clear();
        self.answering.clear();
        self.settling = None;
        self.pools_asked = None;
        self.partner_wants_pools = false;
    }

    pub(super) fn request(&self) -> Option<&Request> {
        self.request.as_ref()
    }

    fn begin_round(&mut self, owed: Owed) -> Round {
        self.round = Round(self.round.0.wrapping_add(1));
        self.out.push(Effect::Owe(self.round, owed));
        self.round
    }
}
