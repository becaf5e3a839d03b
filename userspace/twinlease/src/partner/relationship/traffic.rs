//! What goes over a relationship's connections, in messages and octets.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use wire::MessageType;
use wire::failover::Frames;

/// The octets of a size field, which belong to no message.
const SIZE_LEN: u64 = 2;

/// Messages by type and their octets, one way, TLS not counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct OneWay {
    /// Octets of frames, size fields included.
    pub octets: u64,
    /// Messages by the name of their type.
    pub messages: BTreeMap<String, u64>,
}

impl OneWay {
    /// How many messages of each type, by its name.
    pub fn by_type(&self) -> impl Iterator<Item = (&str, u64)> {
        let messages = self.messages.iter();
        messages.map(|(name, count)| (name.as_str(), *count))
    }
}

/// Both ways since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TrafficReport {
    /// Connections that this server made or took.
    pub connections: u64,
    /// To the partner.
    pub sent: OneWay,
    /// From the partner.
    pub received: OneWay,
}

/// Messages by type code.
#[derive(Debug, Default)]
struct Counted {
    octets: u64,
    messages: BTreeMap<u8, u64>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Traffic {
    connections: u64,
    sent: Counted,
    received: Counted,
}

impl Traffic {
    /// A connection was made, or one of the partner's was taken.
    pub fn connected(&mut self) {
        self.connections += 1;
    }

    /// Frames go to the partner.
    pub fn sent(&mut self, frames: &[u8]) {
        for message in Frames::new(frames).map_while(Result::ok) {
            self.sent.count(message);
        }
    }

    /// A message came from the partner.
    pub fn received(&mut self, message: &[u8]) {
        self.received.count(message);
    }

    /// For the operator.
    pub fn report(&self) -> TrafficReport {
        TrafficReport {
            connections: self.connections,
            sent: self.sent.report(),
            received: self.received.report(),
        }
    }
}

impl Counted {
    fn count(&mut self, message: &[u8]) {
        let code = message.first().copied().unwrap_or(0);
        self.octets += SIZE_LEN + message.len() as u64;
        *self.messages.entry(code).or_insert(0) += 1;
    }

    /// Types without a name are one: what a partner sends must not make ever more series.
    fn report(&self) -> OneWay {
        let mut messages = BTreeMap::new();
        for (code, count) in &self.messages {
            let name = MessageType(*code).name().unwrap_or("other");
            *messages.entry(name.to_owned()).or_insert(0) += count;
        }
        OneWay {
            octets: self.octets,
            messages,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_by_type_and_octets_with_their_sizes() {
        let frame = |code| [0, 8, code, 0, 0, 1, 0, 0, 0, 0];
        let contact = MessageType::CONTACT.0;
        let mut traffic = Traffic::default();
        traffic.connected();
        traffic.sent(&[frame(contact), frame(contact)].concat());
        for unknown in [200, 201] {
            traffic.received(&frame(unknown)[2..]);
        }
        let report = traffic.report();
        assert_eq!((report.connections, report.sent.octets), (1, 20));
        let name = MessageType::CONTACT.name().unwrap().to_owned();
        assert_eq!(report.sent.messages, BTreeMap::from([(name, 2)]));
        assert_eq!(report.received.messages["other"], 2);
    }
}
