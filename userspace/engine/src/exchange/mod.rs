//! The exchanges of RFC 9915 §18.3: one message, one file.

mod confirm;
mod decline;
mod grant;
mod information_request;
mod rebind;
mod release;
mod renew;
mod request;
mod return_leases;
mod solicit;
#[cfg(test)]
mod tests;

use crate::drop_reason::DropReason;
use crate::failover;
use crate::ingress::Parsed;
use crate::model::{Link, Model};
use crate::subscriber::{Subscriber, key_of_client};
use lease::{AbsTime, BindingDelta, BindingId, BindingRecord, BindingStatus, Leeway, Shard};
use wire::{Duid, Ia, IaKey, MessageType, SubscriberKey};

/// What an answer depends on besides the message and the bindings.
#[derive(Clone, Copy, Debug)]
pub struct Context<'m> {
    /// What is configured.
    pub model: &'m Model,
    /// The time of this batch of messages.
    pub now: AbsTime,
    /// What each relationship lets us do, by [`Relationship::index`](crate::Relationship::index);
    /// empty without failover.
    pub leeways: &'m [Leeway],
}

impl<'m> Context<'m> {
    /// That of a server without relationships.
    pub fn alone(model: &'m Model, now: AbsTime) -> Self {
        Self {
            model,
            now,
            leeways: &[],
        }
    }

    /// Up to when bindings have ended: now, or a grace before it where there is a partner
    /// ([`EXPIRY_GRACE_SECS`](failover::EXPIRY_GRACE_SECS)).
    pub fn expires_until(&self) -> AbsTime {
        match self.model.has_relationships() {
            true => AbsTime(self.now.0.saturating_sub(failover::EXPIRY_GRACE_SECS)),
            false => self.now,
        }
    }

    /// What failover lets us do where a binding is; everything on a link that is gone.
    pub(crate) fn leeway_of(&self, record: &BindingRecord<'_>) -> &'m Leeway {
        let link = self.model.link_by_key(record.link);
        link.map_or(&Leeway::ALONE, |link| link.leeway(self.leeways))
    }
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An answer stands in the buffer.
    Reply {
        /// Octets of UDP payload.
        len: usize,
        /// Deltas were emitted: the answer may go when they are on disk and not before.
        durable: bool,
        /// The type of the message to the client: ADVERTISE or REPLY.
        kind: MessageType,
    },
    /// No answer, and nothing was changed.
    Drop(DropReason),
}

/// Answers a message: writes the UDP payload into `out`, changes `shard`, and calls `emit` for
/// every change. `shard` must be [`Parsed::shard`]'s by this model.
///
/// A lease that a [`Remove`](BindingDelta::Remove) ends stays taken in its pool until the caller
/// passes it to [`Model::release`], which it does when the record is on disk.
#[inline]
pub fn answer(
    context: &Context<'_>,
    shard: &mut Shard,
    parsed: &Parsed<'_>,
    out: &mut [u8],
    emit: &mut dyn FnMut(&BindingDelta<'_>),
) -> Outcome {
    let exchange = Exchange {
        context,
        shard,
        parsed,
        subscriber: None,
        out,
        emit,
    };
    match context.model.has_subscribers {
        false => exchange.answer(),
        true => answer_subscriber(exchange),
    }
}

/// Answers where links may tell their clients apart by subscriber. A function of its own, because
/// keys and IAs of a subscriber are large, and moving them about costs also where there are none.
#[inline(never)]
fn answer_subscriber(exchange: Exchange<'_>) -> Outcome {
    let (context, parsed) = (exchange.context, exchange.parsed);
    let key = match parsed.subscriber(context.model) {
        Err(reason) if needs_bindings(parsed.msg_type()) => return Outcome::Drop(reason),
        found => found.ok().flatten(),
    };
    let subscriber = key
        .as_ref()
        .and_then(|key| subscriber(context, exchange.shard, parsed, key));
    let exchange = Exchange {
        subscriber: subscriber.as_ref(),
        context,
        shard: exchange.shard,
        parsed,
        out: exchange.out,
        emit: exchange.emit,
    };
    exchange.answer()
}

/// Whether the answer is about bindings and not about the link alone.
fn needs_bindings(msg_type: MessageType) -> bool {
    !matches!(
        msg_type,
        MessageType::CONFIRM | MessageType::INFORMATION_REQUEST
    )
}

fn subscriber<'m>(
    context: &Context<'_>,
    shard: &Shard,
    parsed: &Parsed<'m>,
    key: &'m SubscriberKey,
) -> Option<Subscriber<'m>> {
    let link = context.model.link(parsed.link(context.model)?);
    let (key, client) = (key.duid(), parsed.client_id()?);
    let ias = &parsed.index.ias;
    Some(Subscriber::new(context, link, shard, key, client, ias))
}

/// One message being answered.
struct Exchange<'x> {
    context: &'x Context<'x>,
    shard: &'x mut Shard,
    parsed: &'x Parsed<'x>,
    /// Whose the bindings are, unless they are the client's own.
    subscriber: Option<&'x Subscriber<'x>>,
    out: &'x mut [u8],
    emit: &'x mut dyn FnMut(&BindingDelta<'_>),
}

impl<'x> Exchange<'x> {
    fn answer(mut self) -> Outcome {
        if let Err(reason) = self.check_answers() {
            return Outcome::Drop(reason);
        }
        let outcome = match self.parsed.msg_type() {
            MessageType::SOLICIT => solicit::answer(&mut self),
            MessageType::REQUEST => request::answer(&mut self),
            MessageType::CONFIRM => confirm::answer(&mut self),
            MessageType::RENEW => renew::answer(&mut self),
            MessageType::REBIND => rebind::answer(&mut self),
            MessageType::RELEASE => release::answer(&mut self),
            MessageType::DECLINE => decline::answer(&mut self),
            MessageType::INFORMATION_REQUEST => information_request::answer(&mut self),
            _ => Err(DropReason::UnknownMessageType),
        };
        outcome.unwrap_or_else(Outcome::Drop)
    }

    /// The client, of a message that must say who it is from.
    fn client(&self) -> Result<Duid<'x>, DropReason> {
        self.parsed.client_id().ok_or(DropReason::NoClientId)
    }

    /// What the bindings that the client has for an IA of the message are keyed by.
    fn own_key(&self, client: Duid<'x>, ia: &Ia<'_>) -> IaKey<'x> {
        match self.subscriber {
            Some(subscriber) => subscriber.own_key_of(ia.kind, ia.iaid),
            None => key_of_client(client, ia),
        }
    }

    /// Whether the client's link has a relationship whose state does not let us answer.
    fn check_answers(&self) -> Result<(), DropReason> {
        if self.context.leeways.is_empty() && !self.context.model.has_relationships() {
            return Ok(());
        }
        // A message of no known link is dropped for that, if at all.
        let Ok(link) = self.link() else {
            return Ok(());
        };
        let answers = link.leeway(self.context.leeways).answers;
        failover::check_answers(answers, self.parsed.msg_type(), &self.parsed.index)
    }

    /// The client has given a lease back. Where a partner has to hear of that, it stays on record
    /// until then.
    fn end(&mut self, id: BindingId) {
        let Some(record) = self.shard.get(id) else {
            return;
        };
        if !self.context.leeway_of(&record).partnered {
            return failover::remove(self.shard, id, self.emit);
        }
        let now = self.context.now;
        let state = failover::ended(&record, BindingStatus::Released, now, now);
        failover::amend(self.shard, id, &state, self.emit);
    }

    /// For messages to one server: that must be this one (RFC 9915 §16.4, §16.6, §16.8, §16.9).
    fn check_is_for_us(&self) -> Result<(), DropReason> {
        match self.parsed.index.server_id {
            None => Err(DropReason::NoServerId),
            Some(server) if server.octets() != self.context.model.server_duid() => {
                Err(DropReason::OtherServer)
            }
            Some(_) => Ok(()),
        }
    }

    /// For messages to any server: none must be named (RFC 9915 §16.2, §16.5, §16.7).
    fn check_is_for_all(&self) -> Result<(), DropReason> {
        match self.parsed.index.server_id {
            None => Ok(()),
            Some(_) => Err(DropReason::UnexpectedServerId),
        }
    }

    /// A message with more IAs than are looked at would be answered in part, so it is not at all.
    fn check_ias_are_complete(&self) -> Result<(), DropReason> {
        match self.parsed.index.more_ias {
            true => Err(DropReason::TooManyLeases),
            false => Ok(()),
        }
    }

    /// The client's link.
    fn link(&self) -> Result<&'x Link, DropReason> {
        let model = self.context.model;
        let id = self.parsed.link(model).ok_or(DropReason::NoLink)?;
        Ok(model.link(id))
    }
}
