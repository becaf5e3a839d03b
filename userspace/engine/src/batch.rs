//! Messages that came in together, and the look ahead over all of them.

use crate::drop_reason::DropReason;
use crate::ingress::{Ingress, Parsed};
use crate::model::Model;
use crate::policy::named;
use arrayvec::ArrayVec;
use lease::Shard;
use wire::{Ia, IaKey, Iaid, ShardId};

/// Messages in a batch: enough that their cache misses fill the processor's queues, few enough
/// that what they bring in stays in the first cache until it is used.
pub const BATCH_MAX: usize = 16;

/// IAs of a message that are looked at ahead: a home gateway has an IA_NA and an IA_PD.
const IAS_AHEAD: usize = 2;

/// Messages that are answered one after the other, each as if it had come alone.
///
/// ```text
/// push … push ─▶ look_ahead ─▶ answer(first) … answer(last)
/// ```
#[derive(Debug, Default)]
pub struct Batch<'a> {
    messages: ArrayVec<Parsed<'a>, BATCH_MAX>,
}

impl<'a> Batch<'a> {
    /// Reads a datagram and keeps it.
    ///
    /// # Errors
    /// As [`parse`](crate::parse); then nothing is kept.
    ///
    /// # Panics
    /// If the batch [is full](Self::is_full).
    #[inline]
    pub fn push(&mut self, ingress: &Ingress<'a>) -> Result<&Parsed<'a>, DropReason> {
        let at = self.messages.len();
        self.messages.push(Parsed::unread(ingress));
        if let Err(reason) = self.messages[at].read() {
            self.pop();
            return Err(reason);
        }
        Ok(&self.messages[at])
    }

    /// Forgets the message pushed last: somebody else answers it.
    pub fn pop(&mut self) {
        self.messages.pop();
    }

    /// The messages, in the order in which they came.
    pub fn messages(&self) -> &[Parsed<'a>] {
        &self.messages
    }

    /// Whether it holds [`BATCH_MAX`] messages.
    pub fn is_full(&self) -> bool {
        self.messages.is_full()
    }

    /// Asks the memory for what the answers to all messages will look at, stage by stage: see
    /// [`Shard::look_ahead`]. `shard` gives the shards that answer; of others nothing is asked.
    pub fn look_ahead<'s>(&self, model: &Model, shard: impl Fn(ShardId) -> Option<&'s Shard>) {
        let mut seen = ArrayVec::<_, { BATCH_MAX * IAS_AHEAD }>::new();
        for message in &self.messages {
            let Some((duid, shard)) = message.client_id().zip(shard(message.shard(model))) else {
                continue;
            };
            let subscriber = message.subscriber(model).ok().flatten();
            for ia in message.index.ias.iter().take(IAS_AHEAD) {
                let (duid, iaid) = match &subscriber {
                    // The first of its kind, which is the only one most of the time.
                    Some(subscriber) => (subscriber.duid(), Iaid(0)),
                    None => (duid, ia.iaid),
                };
                let key = IaKey {
                    duid,
                    kind: ia.kind,
                    iaid,
                };
                let lease = named(ia).next();
                seen.push((shard, shard.look_ahead(&key, lease)));
                if let Some(pool) = first_pool(model, message, ia) {
                    pool.look_ahead(&key, lease);
                }
            }
        }
        for (shard, ahead) in &mut seen {
            shard.look_at_bindings(ahead);
        }
        for (shard, ahead) in &seen {
            shard.look_at_neighbours(ahead);
        }
    }
}

/// The pool that is tried first for an IA.
fn first_pool<'m>(model: &'m Model, message: &Parsed<'_>, ia: &Ia<'_>) -> Option<&'m lease::Pool> {
    let link = model.link(message.link(model)?);
    let id = link.pools(ia.kind).first()?;
    Some(model.pool(*id).pool())
}
