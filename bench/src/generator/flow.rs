//! Exchanges in an open loop: what is sent when, which reply belongs to what, and what is counted.
//!
//! The only state of an exchange is a slot in a ring that holds the last two seconds. A client is
//! found from the DUID in its reply, its exchange from the order in which clients take their
//! turns, so that no table of clients is needed.

use std::sync::Arc;

use wire::MessageType;

use super::client::{Client, Numbering, Shuffled};
use super::envelope::Relays;
use super::message::{Content, Leases, Wants};
use super::oracle::Book;
use super::pacing::Schedule;
use super::reply::{Answer, Fault};
use super::tally::{Tally, record};

/// An exchange that has not ended this long after its intended time is unanswered.
pub const PATIENCE_NS: u64 = 1_000_000_000;

/// A kind of exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Solicit, Advertise, Request, Reply.
    Sarr,
    /// Solicit with Rapid Commit, Reply.
    Rapid,
    /// Renew, Reply.
    Renew,
    /// Rebind, Reply.
    Rebind,
    /// Release, Reply.
    Release,
    /// A Solicit that comes back as it is, from an echo.
    #[value(skip)]
    Echo,
}

impl Kind {
    fn first(self) -> MessageType {
        match self {
            Self::Sarr | Self::Rapid | Self::Echo => MessageType::SOLICIT,
            Self::Renew => MessageType::RENEW,
            Self::Rebind => MessageType::REBIND,
            Self::Release => MessageType::RELEASE,
        }
    }

    /// What answers the first message.
    fn first_answer(self) -> MessageType {
        match self {
            Self::Sarr => MessageType::ADVERTISE,
            Self::Echo => MessageType::SOLICIT,
            Self::Rapid | Self::Renew | Self::Rebind | Self::Release => MessageType::REPLY,
        }
    }

    /// Whether the clients name leases that they have.
    pub fn needs_leases(self) -> bool {
        matches!(self, Self::Renew | Self::Rebind | Self::Release)
    }
}

/// In which order clients take their turns.
#[derive(Clone, Copy, Debug)]
pub enum Order {
    /// One after the other from this one on.
    From(u32),
    /// All of a range, scattered, and again.
    Shuffled(Shuffled),
}

/// What to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The kind of exchange.
    pub kind: Kind,
    /// Who the clients are.
    pub numbering: Numbering,
    /// What they ask for.
    pub wants: Wants,
    /// Who is next.
    pub order: Order,
    /// The relays, as many as the numbering says.
    pub relays: Arc<Relays>,
}

/// A message that is to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing {
    /// Whose.
    pub client: Client,
    /// What.
    pub msg_type: MessageType,
    /// Tells it from the client's other messages.
    pub message: u32,
    /// What it names.
    pub leases: Option<Leases>,
    /// Hundredths of a second since the client began.
    pub elapsed_hundredths: u16,
}

/// Something that sends messages and looks at replies; times are nanoseconds of the run's clock.
pub trait Load {
    /// The next message that is due. Asks to be called again.
    fn next_due(&mut self, now_ns: u64) -> Option<Outgoing>;

    /// Looks at a received UDP payload; what is to be sent because of it.
    fn take(&mut self, now_ns: u64, payload: &[u8]) -> Option<Outgoing>;

    /// Writes the UDP payload of a message; its length, 0 if there is no room.
    fn write(&self, outgoing: &Outgoing, buffer: &mut [u8]) -> usize;

    /// The relay that the message leaves from.
    fn relay(&self, outgoing: &Outgoing) -> Option<u32>;

    /// Whether nothing more is to come.
    fn is_done(&self, now_ns: u64) -> bool;

    /// The counts so far.
    fn tally(&mut self) -> &mut Tally;
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Ended,
    /// Waits for the answer to its first message.
    First,
    /// Waits for the answer to its Request.
    Second,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    intended_ns: u64,
    second_sent_ns: u64,
    index: u64,
    stage: Stage,
}

/// A run of exchanges.
pub struct Flow<'b> {
    plan: Plan,
    schedule: Schedule,
    last_intended_ns: u64,
    slots: Vec<Slot>,
    waiting: u64,
    book: &'b mut Book,
    server_duid: Vec<u8>,
    /// Whether clients take what another server advertises.
    follows: bool,
    tally: Tally,
}

impl<'b> Flow<'b> {
    /// `total` exchanges at `per_second` from `begin_ns` on. What is granted goes into `book`, and
    /// leases that clients name come out of it. `server_duid` is the server's, if it is known.
    pub fn new(
        plan: Plan,
        begin_ns: u64,
        per_second: f64,
        total: u64,
        book: &'b mut Book,
        server_duid: &[u8],
    ) -> Self {
        let places = (per_second * 2.0).clamp(64.0, 1e8).min(total as f64 + 1.0) as usize;
        Self {
            schedule: Schedule::new(begin_ns, per_second, total),
            last_intended_ns: begin_ns,
            slots: vec![Slot::default(); places.next_power_of_two()],
            waiting: 0,
            book,
            server_duid: server_duid.to_vec(),
            follows: false,
            tally: Tally::default(),
            plan,
        }
    }

    /// Begins at this time: what it took to make the run is not charged to the server.
    pub fn beginning_at(mut self, begin_ns: u64) -> Self {
        self.schedule = self.schedule.beginning_at(begin_ns);
        self.last_intended_ns = begin_ns;
        self
    }

    /// Clients that turn to the server that advertised last, when another one does: partners that
    /// take each other's place.
    pub fn following(mut self) -> Self {
        self.follows = true;
        self
    }

    /// Whether no exchange begins any more.
    pub fn is_ending(&self) -> bool {
        self.schedule.is_done()
    }

    /// No exchange begins any more; those that have begun are waited for.
    pub fn end_now(&mut self, now_ns: u64) {
        self.schedule.end_now();
        self.tally.silent_until(now_ns);
    }

    /// The server's DUID as its replies told.
    pub fn server_duid(&self) -> &[u8] {
        &self.server_duid
    }

    /// How far behind its schedule the generator is, in exchanges.
    pub fn behind(&self, now_ns: u64) -> u64 {
        self.schedule.behind(now_ns)
    }

    fn slot(&mut self, index: u64) -> &mut Slot {
        let mask = self.slots.len() as u64 - 1;
        &mut self.slots[(index & mask) as usize]
    }

    /// The latest exchange of a client.
    fn index_of(&self, client: Client) -> Option<u64> {
        let begun = self.schedule.begun();
        match self.plan.order {
            Order::From(first) => Some(u64::from(client.0.checked_sub(first)?)),
            Order::Shuffled(order) => order.last_place(client, begun),
        }
        .filter(|index| *index < begun)
    }

    fn judge(&mut self, now_ns: u64, payload: &[u8]) -> Result<Option<Outgoing>, Fault> {
        let message = match self.plan.relays.is_empty() {
            true => payload,
            false => self.plan.relays.unseal(payload).ok_or(Fault::WrongRelay)?,
        };
        let numbering = self.plan.numbering;
        if self.plan.kind == Kind::Echo {
            return self.take_echo(now_ns, message);
        }
        let answer = Answer::parse(message, numbering)?;
        let client = answer.client;
        let index = self.index_of(client).ok_or(Fault::ForeignClient)?;
        let slot = *self.slot(index);
        let of = |message| answer.transaction_id == numbering.transaction_id(client, message);
        let round = self.message_of(index);
        let (is_first, is_second) = (of(round), of(round + 1));
        if !is_first && !is_second {
            return Err(Fault::ForeignTransaction);
        }
        if slot.index != index || now_ns - slot.intended_ns > PATIENCE_NS {
            return Err(Fault::Late);
        }
        match (slot.stage, is_first) {
            (Stage::First, true) if answer.msg_type != self.plan.kind.first_answer() => {
                Err(Fault::UnexpectedType)
            }
            (Stage::First, true) => self.take_first(now_ns, index, &answer),
            (Stage::Second, false) if answer.msg_type != MessageType::REPLY => {
                Err(Fault::UnexpectedType)
            }
            (Stage::Second, false) => self.take_second(now_ns, index, &answer),
            (Stage::First, false) => Err(Fault::ForeignTransaction),
            (Stage::Second | Stage::Ended, _) => Err(Fault::Duplicate),
        }
    }

    /// The first message of an exchange in the client's count; its Request is the next one.
    fn message_of(&self, index: u64) -> u32 {
        let round = match self.plan.order {
            Order::From(_) => 0,
            Order::Shuffled(order) => order.round(index),
        };
        2 * round
    }

    fn take_echo(&mut self, now_ns: u64, message: &[u8]) -> Result<Option<Outgoing>, Fault> {
        let duid = message.get(8..8 + super::client::DUID_LEN);
        let client = self.plan.numbering.client(duid.ok_or(Fault::Malformed)?);
        let index = client.and_then(|client| self.index_of(client));
        let index = index.ok_or(Fault::ForeignClient)?;
        let slot = *self.slot(index);
        if slot.index != index || now_ns - slot.intended_ns > PATIENCE_NS {
            return Err(Fault::Late);
        }
        if slot.stage == Stage::Ended {
            return Err(Fault::Duplicate);
        }
        self.tally.first_answered += 1;
        self.end(now_ns, index);
        Ok(None)
    }

    fn take_first(
        &mut self,
        now_ns: u64,
        index: u64,
        answer: &Answer<'_>,
    ) -> Result<Option<Outgoing>, Fault> {
        self.follow(now_ns, answer);
        self.check_server(answer)?;
        self.tally.first_answered += 1;
        if self.plan.kind == Kind::Release {
            // Status Success, or NoBinding for one that a lost Reply released before.
            self.book.give_back(answer.client);
            self.end(now_ns, index);
            return Ok(None);
        }
        let leases = self.check_leases(answer)?;
        if self.plan.kind != Kind::Sarr {
            self.keep(now_ns, index, answer.client, leases)?;
            return Ok(None);
        }
        let slot = self.slot(index);
        slot.stage = Stage::Second;
        slot.second_sent_ns = now_ns;
        self.tally.second_sent += 1;
        Ok(Some(Outgoing {
            client: answer.client,
            msg_type: MessageType::REQUEST,
            message: self.message_of(index) + 1,
            leases: Some(leases),
            elapsed_hundredths: 0,
        }))
    }

    fn take_second(
        &mut self,
        now_ns: u64,
        index: u64,
        answer: &Answer<'_>,
    ) -> Result<Option<Outgoing>, Fault> {
        self.check_server(answer)?;
        let leases = self.check_leases(answer)?;
        let sent_ns = self.slot(index).second_sent_ns;
        record(&mut self.tally.second_latency, now_ns - sent_ns);
        self.keep(now_ns, index, answer.client, leases)?;
        Ok(None)
    }

    fn keep(
        &mut self,
        now_ns: u64,
        index: u64,
        client: Client,
        leases: Leases,
    ) -> Result<(), Fault> {
        if self.plan.kind.needs_leases() && self.book.leases(client) != Some(leases) {
            return Err(Fault::WrongLease);
        }
        self.book.grant(client, leases);
        self.end(now_ns, index);
        Ok(())
    }

    fn end(&mut self, now_ns: u64, index: u64) {
        let slot = self.slot(index);
        slot.stage = Stage::Ended;
        let intended_ns = slot.intended_ns;
        self.waiting -= 1;
        self.tally.complete(intended_ns, now_ns);
    }

    fn follow(&mut self, now_ns: u64, answer: &Answer<'_>) {
        let is_other = !answer.server_duid.is_empty() && answer.server_duid != self.server_duid;
        if self.follows && is_other && !self.server_duid.is_empty() {
            self.tally.other_server_ns.get_or_insert(now_ns);
            self.server_duid = answer.server_duid.to_vec();
        }
    }

    fn check_server(&mut self, answer: &Answer<'_>) -> Result<(), Fault> {
        if self.server_duid.is_empty() {
            self.server_duid.extend(answer.server_duid);
        }
        let known = !answer.server_duid.is_empty() && answer.server_duid == self.server_duid;
        known.then_some(()).ok_or(Fault::OtherServer)
    }

    fn check_leases(&self, answer: &Answer<'_>) -> Result<Leases, Fault> {
        let (wants, leases) = (self.plan.wants, answer.leases);
        if !answer.success {
            return Err(Fault::WrongStatus);
        }
        let complete = (leases.address != 0 || !wants.na) && (leases.prefix != 0 || !wants.pd);
        if !complete || !Book::can_hold(leases) {
            return Err(Fault::NoLease);
        }
        Ok(leases)
    }
}

impl Load for Flow<'_> {
    fn next_due(&mut self, now_ns: u64) -> Option<Outgoing> {
        let (index, intended_ns) = self.schedule.next_due(now_ns)?;
        let client = match self.plan.order {
            Order::From(first) => Client(first + index as u32),
            Order::Shuffled(order) => order.at(index),
        };
        self.last_intended_ns = intended_ns;
        self.tally.last_late_ns = now_ns.saturating_sub(intended_ns);
        let fresh = Slot {
            intended_ns,
            second_sent_ns: 0,
            index,
            stage: Stage::First,
        };
        let before = std::mem::replace(self.slot(index), fresh);
        // The ring holds two seconds, and nothing is waited for longer than one.
        self.waiting += u64::from(before.stage == Stage::Ended);
        self.tally.begun += 1;
        let needs_leases = self.plan.kind.needs_leases();
        Some(Outgoing {
            client,
            msg_type: self.plan.kind.first(),
            message: self.message_of(index),
            leases: needs_leases.then(|| self.book.leases(client).unwrap_or_default()),
            elapsed_hundredths: 0,
        })
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
        let kind = self.plan.kind;
        let names_server = matches!(
            outgoing.msg_type,
            MessageType::REQUEST | MessageType::RENEW | MessageType::RELEASE
        );
        let content = Content {
            msg_type: outgoing.msg_type,
            message: outgoing.message,
            wants: self.plan.wants,
            leases: outgoing.leases,
            server_duid: names_server.then_some(self.server_duid.as_slice()),
            rapid_commit: kind == Kind::Rapid,
            elapsed_hundredths: outgoing.elapsed_hundredths,
        };
        write_enveloped(&self.plan, &content, outgoing.client, buffer)
    }

    fn relay(&self, outgoing: &Outgoing) -> Option<u32> {
        self.plan.numbering.relay(outgoing.client)
    }

    fn is_done(&self, now_ns: u64) -> bool {
        let over = now_ns.saturating_sub(self.last_intended_ns) > PATIENCE_NS;
        self.schedule.is_done() && (self.waiting == 0 || over)
    }

    fn tally(&mut self) -> &mut Tally {
        &mut self.tally
    }
}

/// Writes a message into its relay's envelope, if it has one; the length, 0 if there is no room.
pub fn write_enveloped(
    plan: &Plan,
    content: &Content<'_>,
    client: Client,
    buffer: &mut [u8],
) -> usize {
    let relay = plan.numbering.relay(client);
    let envelope = relay.and_then(|relay| plan.relays.envelope(relay));
    let at = envelope.map_or(0, |envelope| envelope.len());
    let Some(inner) = buffer.get_mut(at..) else {
        return 0;
    };
    let Ok(len) = content.write(inner, plan.numbering, client) else {
        return 0;
    };
    match envelope {
        Some(envelope) => envelope.seal(buffer, client, len),
        None => len,
    }
}

#[cfg(test)]
mod tests;
