//! What comes in: a datagram, and what of it is known before any binding is looked at.

use crate::drop_reason::DropReason;
use crate::model::{LinkId, Model};
use core::net::Ipv6Addr;
use wire::{
    ChainError, Duid, Fault, Ia, Malformed, MessageIndex, MessageType, RelayChain, RelayForward,
    ShardId, shard_of,
};

/// A network interface of the configuration, by its position there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceId(pub u16);

/// A UDP datagram to port 547 as it was received.
#[derive(Clone, Copy, Debug)]
pub struct Ingress<'a> {
    /// The UDP payload.
    pub payload: &'a [u8],
    /// The interface it came in on.
    pub interface: InterfaceId,
    /// IPv6 source: the client, or the relay next to us.
    pub source: Ipv6Addr,
    /// IPv6 destination: one of our addresses, or a multicast group.
    pub destination: Ipv6Addr,
}

/// A datagram whose every option has been read once: relay layers, message, and who it is from.
#[derive(Clone, Debug)]
pub struct Parsed<'a> {
    pub(crate) ingress: Ingress<'a>,
    shard: ShardId,
    pub(crate) chain: RelayChain<'a>,
    pub(crate) index: MessageIndex<'a>,
}

/// Reads a datagram.
///
/// # Errors
/// The reason why nobody is to answer it: malformed, not for a server, or sent by a client to a
/// unicast address (RFC 9915 §16).
#[inline]
pub fn parse<'a>(ingress: &Ingress<'a>) -> Result<Parsed<'a>, DropReason> {
    let mut parsed = Parsed::unread(ingress);
    parsed.read()?;
    Ok(parsed)
}

impl<'a> Parsed<'a> {
    /// The place for a datagram that [`read`](Self::read) then reads: it is large to be moved.
    #[inline]
    pub(crate) fn unread(ingress: &Ingress<'a>) -> Self {
        Self {
            ingress: *ingress,
            shard: ShardId(0),
            chain: RelayChain::default(),
            index: MessageIndex::default(),
        }
    }

    /// Reads the datagram; see [`parse`].
    #[inline]
    pub(crate) fn read(&mut self) -> Result<(), DropReason> {
        let Ingress {
            payload,
            destination,
            ..
        } = self.ingress;
        self.chain.read(payload).map_err(chain_reason)?;
        let message = &self.chain.message;
        check_type(message.msg_type)?;
        if self.chain.relays.is_empty() && !destination.is_multicast() {
            return Err(DropReason::Unicast);
        }
        self.index.read(message).map_err(malformed_reason)?;
        self.shard = match self.index.client_id {
            Some(client) if client.is_subscriber() => return Err(DropReason::ReservedDuid),
            Some(client) => shard_of(client.octets()),
            None => shard_of(&message.transaction_id),
        };
        Ok(())
    }

    /// The shard of its client or, without a client, one by the transaction-id; that which answers
    /// is [`shard`](Self::shard).
    pub(crate) fn own_shard(&self) -> ShardId {
        self.shard
    }

    /// Who sent it, if it says so.
    pub fn client_id(&self) -> Option<Duid<'a>> {
        self.index.client_id
    }

    /// The type of the client's message.
    pub fn msg_type(&self) -> MessageType {
        self.chain.message.msg_type
    }

    /// Whether a relay forwarded it.
    pub fn is_relayed(&self) -> bool {
        !self.chain.relays.is_empty()
    }

    /// The client's link (RFC 9915 §13.1, RFC 6221): behind a relay by the link-address nearest
    /// to the client that is not zero; otherwise that of the interface.
    pub(crate) fn link(&self, model: &Model) -> Option<LinkId> {
        match self.chain.link_address() {
            Some(address) => model.link_of_address(address),
            None => model.link_of_interface(self.ingress.interface),
        }
    }

    /// The relays that it passed, the one nearest to the server first.
    pub fn relays(&self) -> &[RelayForward<'a>] {
        &self.chain.relays
    }

    /// The link-address of the relay nearest to the client that gave one (RFC 9915 §13.1).
    pub fn link_address(&self) -> Option<u128> {
        self.chain.link_address()
    }

    /// The client's IAs.
    pub fn ias(&self) -> &[Ia<'a>] {
        &self.index.ias
    }

    /// The datagram it was read from.
    pub fn ingress(&self) -> &Ingress<'a> {
        &self.ingress
    }

    /// Whether the answer may change a lease, so that the journal must have room for it.
    pub fn may_change_state(&self) -> bool {
        match self.msg_type() {
            MessageType::REQUEST
            | MessageType::RENEW
            | MessageType::REBIND
            | MessageType::RELEASE
            | MessageType::DECLINE => true,
            MessageType::SOLICIT => self.index.rapid_commit,
            _ => false,
        }
    }
}

/// Lets pass what a server answers (RFC 9915 §16).
fn check_type(msg_type: MessageType) -> Result<(), DropReason> {
    match msg_type {
        MessageType::SOLICIT
        | MessageType::REQUEST
        | MessageType::CONFIRM
        | MessageType::RENEW
        | MessageType::REBIND
        | MessageType::RELEASE
        | MessageType::DECLINE
        | MessageType::INFORMATION_REQUEST => Ok(()),
        MessageType::ADVERTISE | MessageType::REPLY | MessageType::RECONFIGURE => {
            Err(DropReason::NotForServers)
        }
        _ => Err(DropReason::UnknownMessageType),
    }
}

fn chain_reason(error: ChainError) -> DropReason {
    match error {
        ChainError::Malformed(malformed) => malformed_reason(malformed),
        ChainError::TooDeep { .. } => DropReason::RelayTooDeep,
        ChainError::NoRelayMessage { .. } => DropReason::NoRelayMessage,
        ChainError::RepeatedRelayMessage { .. } => DropReason::RepeatedRelayMessage,
        ChainError::RelayReply { .. } => DropReason::NotForServers,
    }
}

fn malformed_reason(malformed: Malformed) -> DropReason {
    match malformed.why {
        Fault::ShortHeader => DropReason::ShortHeader,
        Fault::StrayOctets => DropReason::StrayOctets,
        Fault::Overrun => DropReason::OptionOverrun,
        Fault::Duid => DropReason::DuidLength,
        Fault::PrefixLength => DropReason::PrefixLength,
        Fault::Length | Fault::DomainName | Fault::Value | Fault::Repeated => {
            DropReason::OptionLength
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(payload: &[u8]) -> Ingress<'_> {
        Ingress {
            payload,
            interface: InterfaceId(0),
            source: "fe80::1".parse().unwrap(),
            destination: "ff02::1:2".parse().unwrap(),
        }
    }

    fn reason(payload: &[u8]) -> DropReason {
        parse(&datagram(payload)).unwrap_err()
    }

    #[test]
    fn rfc9915_16_what_is_not_for_servers_is_discarded() {
        for (msg_type, expected) in [
            (0, DropReason::UnknownMessageType),
            (2, DropReason::NotForServers),
            (7, DropReason::NotForServers),
            (10, DropReason::NotForServers),
            (14, DropReason::UnknownMessageType),
            (37, DropReason::UnknownMessageType),
            (255, DropReason::UnknownMessageType),
        ] {
            assert_eq!(reason(&[msg_type, 1, 2, 3]), expected, "{msg_type}");
        }
        assert_eq!(reason(&[13; 40]), DropReason::NotForServers);
    }

    #[test]
    fn what_is_malformed_is_discarded_by_its_fault() {
        assert_eq!(reason(&[]), DropReason::ShortHeader);
        assert_eq!(reason(&[1, 1, 2]), DropReason::ShortHeader);
        assert_eq!(reason(&[1, 1, 2, 3, 0]), DropReason::StrayOctets);
        assert_eq!(
            reason(&[1, 1, 2, 3, 0, 1, 0, 9, 0]),
            DropReason::OptionOverrun
        );
        assert_eq!(
            reason(&[1, 1, 2, 3, 0, 1, 0, 2, 0, 1]),
            DropReason::DuidLength
        );
        assert_eq!(
            reason(&[1, 1, 2, 3, 0, 6, 0, 1, 0]),
            DropReason::OptionLength
        );
        assert_eq!(reason(&[12; 34]), DropReason::NoRelayMessage);
        assert_eq!(
            reason(&[1, 1, 2, 3, 0, 1, 0, 4, 0xff, 0xff, 37, 1]),
            DropReason::ReservedDuid
        );
    }

    #[test]
    fn rfc9915_16_a_client_may_not_unicast_but_a_relay_may() {
        let unicast = "2001:db8::1".parse().unwrap();
        let solicit = [1, 1, 2, 3];
        let mut direct = datagram(&solicit);
        direct.destination = unicast;
        assert_eq!(parse(&direct).unwrap_err(), DropReason::Unicast);
        let mut forward = vec![12; 34];
        forward.extend([0, 9, 0, 4, 1, 1, 2, 3]);
        let mut relayed = datagram(&forward);
        relayed.destination = unicast;
        assert!(parse(&relayed).unwrap().is_relayed());
    }

    #[test]
    fn the_shard_is_the_clients_and_without_one_by_transaction_id() {
        let anonymous = parse(&datagram(&[11, 1, 2, 3])).unwrap().own_shard();
        assert_eq!(anonymous, shard_of(&[1, 2, 3]));
        let named = parse(&datagram(&[1, 1, 2, 3, 0, 1, 0, 3, 7, 8, 9]))
            .unwrap()
            .own_shard();
        assert_eq!(named, shard_of(&[7, 8, 9]));
    }

    #[test]
    fn only_what_grants_or_ends_leases_may_change_state() {
        let changing = [3, 5, 6, 8, 9];
        for msg_type in [1, 3, 4, 5, 6, 8, 9, 11] {
            let payload = [msg_type, 1, 2, 3];
            let parsed = parse(&datagram(&payload)).unwrap();
            assert_eq!(
                parsed.may_change_state(),
                changing.contains(&msg_type),
                "{msg_type}"
            );
        }
        let rapid = [1, 1, 2, 3, 0, 14, 0, 0];
        assert!(parse(&datagram(&rapid)).unwrap().may_change_state());
    }
}
