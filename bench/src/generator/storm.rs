//! Every subscriber at once, as after a power cut: each with the retransmission of RFC 9915 §15.
//!
//! Here clients do need a table: 16 octets each, besides their timer.

use wire::MessageType;

use super::client::{Client, mix};
use super::flow::{Load, Outgoing, Plan, write_enveloped};
use super::message::{Content, Leases};
use super::oracle::Book;
use super::reply::{Answer, Fault};
use super::tally::Tally;
use super::timers::Timers;

/// SOL_MAX_DELAY (RFC 9915 §7.6): the first Solicit comes at a random time within, milliseconds.
const SOL_MAX_DELAY_MS: u64 = 1_000;
/// SOL_TIMEOUT and REQ_TIMEOUT, milliseconds.
const TIMEOUT_MS: u64 = 1_000;
/// SOL_MAX_RT, milliseconds.
const SOL_MAX_RT_MS: u64 = 3_600_000;
/// REQ_MAX_RT, milliseconds.
const REQ_MAX_RT_MS: u64 = 30_000;
/// REQ_MAX_RC: so many Requests without an answer send a client back to Solicit.
const REQ_MAX_RC: u8 = 10;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Has not sent anything.
    #[default]
    Waking,
    Soliciting,
    Requesting,
    Bound,
}

#[derive(Clone, Copy, Debug, Default)]
struct Subscriber {
    state: State,
    /// Times that the present message was sent.
    sent: u8,
    /// Messages that were no retransmission, for transaction ids.
    message: u8,
    /// The present retransmission time, milliseconds.
    timeout_ms: u32,
    /// When the present message is to be sent again, milliseconds of the run's clock.
    due_ms: u32,
    /// When the first message was sent, likewise.
    began_ms: u32,
}

/// The storm of clients 0, 1, ….
pub struct Storm<'b> {
    plan: Plan,
    subscribers: Vec<Subscriber>,
    timers: Timers,
    book: &'b mut Book,
    server_duid: Vec<u8>,
    bound: u64,
    end_ns: u64,
    tally: Tally,
}

impl<'b> Storm<'b> {
    /// Power comes back to so many subscribers at time 0; it is watched until `end_ns`.
    pub fn new(plan: Plan, clients: u32, end_ns: u64, book: &'b mut Book) -> Self {
        let mut timers = Timers::new(clients as usize);
        for client in 0..clients {
            let delay = mix(u64::from(client)) % SOL_MAX_DELAY_MS;
            timers.set(client, delay);
        }
        Self {
            plan,
            subscribers: vec![Subscriber::default(); clients as usize],
            timers,
            book,
            server_duid: Vec::new(),
            bound: 0,
            end_ns,
            tally: Tally::default(),
        }
    }

    /// How many are bound.
    pub fn bound(&self) -> u64 {
        self.bound
    }

    /// The message that a client sends now, first or again, with its next retransmission set.
    fn transmit(&mut self, client: u32, now_ms: u64) -> Outgoing {
        let max_ms = match self.subscribers[client as usize].state {
            State::Requesting => REQ_MAX_RT_MS,
            _ => SOL_MAX_RT_MS,
        };
        let subscriber = &mut self.subscribers[client as usize];
        let salt = u64::from(client) << 16 | u64::from(subscriber.message) << 8;
        let random = Randomness(mix(salt | u64::from(subscriber.sent)));
        let solicit_first = subscriber.state != State::Requesting && subscriber.sent == 0;
        let timeout_ms = match subscriber.sent {
            0 => random.first_timeout(TIMEOUT_MS, solicit_first),
            _ => random.next_timeout(u64::from(subscriber.timeout_ms), max_ms),
        };
        subscriber.timeout_ms = timeout_ms as u32;
        subscriber.sent = subscriber.sent.saturating_add(1);
        subscriber.due_ms = (now_ms + timeout_ms) as u32;
        let elapsed = now_ms.saturating_sub(u64::from(subscriber.began_ms)) / 10;
        let (msg_type, leases) = match subscriber.state {
            State::Requesting => (MessageType::REQUEST, self.book.leases(Client(client))),
            _ => (MessageType::SOLICIT, None),
        };
        Outgoing {
            client: Client(client),
            msg_type,
            message: u32::from(subscriber.message),
            leases,
            elapsed_hundredths: elapsed.min(0xffff) as u16,
        }
    }

    fn judge(&mut self, now_ns: u64, payload: &[u8]) -> Result<Option<Outgoing>, Fault> {
        let message = match self.plan.relays.is_empty() {
            true => payload,
            false => self.plan.relays.unseal(payload).ok_or(Fault::WrongRelay)?,
        };
        let numbering = self.plan.numbering;
        let answer = Answer::parse(message, numbering)?;
        let client = answer.client;
        let subscriber = self.subscribers.get(client.0 as usize).copied();
        let subscriber = subscriber.ok_or(Fault::ForeignClient)?;
        let own = numbering.transaction_id(client, u32::from(subscriber.message));
        let expected = match subscriber.state {
            State::Soliciting => MessageType::ADVERTISE,
            State::Requesting => MessageType::REPLY,
            State::Waking | State::Bound => return Err(Fault::Duplicate),
        };
        if answer.transaction_id != own {
            // Mostly the second Advertise to a Solicit that was sent twice.
            let before = u32::from(subscriber.message).wrapping_sub(1);
            let late = answer.transaction_id == numbering.transaction_id(client, before);
            return Err(if late {
                Fault::Duplicate
            } else {
                Fault::ForeignTransaction
            });
        }
        if answer.msg_type != expected {
            return Err(Fault::UnexpectedType);
        }
        if self.server_duid.is_empty() {
            self.server_duid.extend(answer.server_duid);
        }
        if answer.server_duid != self.server_duid {
            return Err(Fault::OtherServer);
        }
        self.advance(now_ns, &answer)
    }

    fn advance(&mut self, now_ns: u64, answer: &Answer<'_>) -> Result<Option<Outgoing>, Fault> {
        let (wants, leases) = (self.plan.wants, answer.leases);
        if !answer.success {
            return Err(Fault::WrongStatus);
        }
        if leases == Leases::default() || (leases.prefix == 0 && wants.pd) {
            return Err(Fault::NoLease);
        }
        let client = answer.client;
        self.book.grant(client, leases);
        let subscriber = &mut self.subscribers[client.0 as usize];
        if subscriber.state == State::Requesting {
            subscriber.state = State::Bound;
            self.bound += 1;
            // From the return of power, not from the client's first message.
            self.tally.complete(0, now_ns);
            return Ok(None);
        }
        subscriber.state = State::Requesting;
        subscriber.sent = 0;
        subscriber.message = subscriber.message.wrapping_add(1);
        self.tally.first_answered += 1;
        self.tally.second_sent += 1;
        Ok(Some(self.transmit(client.0, now_ns / 1_000_000)))
    }
}

impl Load for Storm<'_> {
    fn next_due(&mut self, now_ns: u64) -> Option<Outgoing> {
        let now_ms = now_ns / 1_000_000;
        loop {
            let client = self.timers.pop(now_ms)?;
            let subscriber = &mut self.subscribers[client as usize];
            match subscriber.state {
                State::Bound => continue,
                State::Waking => {
                    subscriber.state = State::Soliciting;
                    subscriber.began_ms = now_ms as u32;
                    self.tally.begun += 1;
                }
                _ if u64::from(subscriber.due_ms) > now_ms => {
                    // The answer came, and with it a later time.
                    self.timers.set(client, u64::from(subscriber.due_ms));
                    continue;
                }
                State::Requesting if subscriber.sent >= REQ_MAX_RC => {
                    subscriber.state = State::Soliciting;
                    subscriber.sent = 0;
                    subscriber.message = subscriber.message.wrapping_add(1);
                }
                State::Soliciting | State::Requesting => {}
            }
            let outgoing = self.transmit(client, now_ms);
            let due = self.subscribers[client as usize].due_ms;
            self.timers.set(client, u64::from(due));
            return Some(outgoing);
        }
    }

    fn take(&mut self, now_ns: u64, payload: &[u8]) -> Option<Outgoing> {
        self.tally.received += 1;
        match self.judge(now_ns, payload) {
            Ok(outgoing) => outgoing,
            Err(fault) => {
                self.tally.fault(fault);
                None
            }
        }
    }

    fn write(&self, outgoing: &Outgoing, buffer: &mut [u8]) -> usize {
        let request = outgoing.msg_type == MessageType::REQUEST;
        let content = Content {
            msg_type: outgoing.msg_type,
            message: outgoing.message,
            wants: self.plan.wants,
            leases: outgoing.leases,
            server_duid: request.then_some(self.server_duid.as_slice()),
            rapid_commit: false,
            elapsed_hundredths: outgoing.elapsed_hundredths,
        };
        write_enveloped(&self.plan, &content, outgoing.client, buffer)
    }

    fn relay(&self, outgoing: &Outgoing) -> Option<u32> {
        self.plan.numbering.relay(outgoing.client)
    }

    fn is_done(&self, now_ns: u64) -> bool {
        self.bound == self.subscribers.len() as u64 || now_ns > self.end_ns
    }

    fn tally(&mut self) -> &mut Tally {
        &mut self.tally
    }
}

/// The factor RAND of RFC 9915 §15, from a random number.
struct Randomness(u64);

impl Randomness {
    /// Thousandths from -100 to 100.
    fn thousandths(&self) -> i64 {
        (self.0 % 201) as i64 - 100
    }

    /// RT of the first transmission; that of a Solicit is longer than IRT (RFC 9915 §18.2.1).
    fn first_timeout(&self, initial_ms: u64, longer: bool) -> u64 {
        let mut thousandths = self.thousandths();
        if longer {
            thousandths = thousandths.abs().max(1);
        }
        initial_ms.saturating_add_signed(initial_ms as i64 * thousandths / 1000)
    }

    /// RT of the next one: twice the last one, up to MRT.
    fn next_timeout(&self, last_ms: u64, max_ms: u64) -> u64 {
        let thousandths = self.thousandths();
        let doubled = (2 * last_ms).saturating_add_signed(last_ms as i64 * thousandths / 1000);
        if doubled > max_ms {
            return max_ms.saturating_add_signed(max_ms as i64 * thousandths / 1000);
        }
        doubled
    }
}

#[cfg(test)]
mod tests;
