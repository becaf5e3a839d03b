//! A line by the word of the relay nearest to the client, as operators name it to find its bindings
//! and its messages: whether the link has given the line the leases or not.

use engine::{Parsed, relayed_option};
use lease::BindingRecord;
use wire::{ClientKey, OptionCode, SubscriberView};

/// Octets of the enterprise number that a Remote-Id begins with (RFC 4649 §3).
const ENTERPRISE_LEN: usize = 4;

/// All lines of which a relay says this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// In which option.
    pub by: ClientKey,
    /// Its data; of a Remote-Id without the enterprise number.
    pub id: Box<[u8]>,
}

impl Line {
    /// Whether the message is from there.
    pub fn sent(&self, parsed: &Parsed<'_>) -> bool {
        let said = match self.by {
            ClientKey::Duid => None,
            ClientKey::InterfaceId => parsed.interface_id(),
            ClientKey::RemoteId => parsed.remote_id().map(|remote| remote.id),
            ClientKey::SubscriberId => parsed.subscriber_id(),
        };
        said == Some(&*self.id)
    }

    /// Whether the binding is the line's, or its client was last heard from there. A line whose leases are
    /// its own and whose relays said too much to be kept is known by its key, if that is no digest.
    pub fn has(&self, record: &BindingRecord<'_>) -> bool {
        if let Some(said) = relayed_option(record.via, OptionCode(self.by.code())) {
            return self.is(said);
        }
        let key = record.subscriber.map(|subscriber| subscriber.key);
        let key = key.and_then(SubscriberView::new);
        key.is_some_and(|key| key.by == self.by && !key.is_digest && self.is(key.identity))
    }

    fn is(&self, data: &[u8]) -> bool {
        let id = match self.by {
            ClientKey::RemoteId => data.get(ENTERPRISE_LEN..),
            _ => Some(data),
        };
        id == Some(&*self.id)
    }
}
