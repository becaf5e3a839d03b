//! Why a datagram was not answered: one variant a reason, its name the metric's label.

use core::fmt;

macro_rules! drop_reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $label:literal,)+) => {
        /// Why a datagram was not answered.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum DropReason {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl DropReason {
            /// Every reason, in the order of [`index`](Self::index).
            pub const ALL: [Self; [$($label),+].len()] = [$(Self::$variant),+];

            /// The reason's name in metrics, status and logs. It does not change between versions.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $label,)+
                }
            }

            /// What it means, in a sentence for the operator.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($doc),+),)+
                }
            }
        }
    };
}

drop_reasons! {
    /// Too short for the fixed fields of a message.
    ShortHeader = "short-header",
    /// One to three octets where an option should begin.
    StrayOctets = "stray-octets",
    /// An option that passes the end of what holds it.
    OptionOverrun = "option-overrun",
    /// An option of a length that it cannot have.
    OptionLength = "option-length",
    /// A DUID of a length that no DUID has (RFC 9915 §11.1).
    DuidLength = "duid-length",
    /// A prefix length above 128 (RFC 9915 §21.22).
    PrefixLength = "prefix-length",
    /// More relay layers than HOP_COUNT_LIMIT (RFC 9915 §7.6).
    RelayTooDeep = "relay-too-deep",
    /// A Relay-forward without a Relay Message option (RFC 9915 §9).
    NoRelayMessage = "no-relay-message",
    /// A Relay-forward with two Relay Message options: nobody knows which is meant.
    RepeatedRelayMessage = "repeated-relay-message",
    /// A message type that nobody has defined, or that this server has no answer for (RFC 9915 §16).
    UnknownMessageType = "unknown-message-type",
    /// Advertise, Reply, Reconfigure or Relay-reply: not for servers (RFC 9915 §16.3, §16.10, §16.11, §16.14).
    NotForServers = "not-for-servers",
    /// A client sent it to a unicast address (RFC 9915 §16).
    Unicast = "unicast",
    /// No Client Identifier where one is needed (RFC 9915 §16.2, §16.4–§16.9).
    NoClientId = "no-client-id",
    /// A Client Identifier of type 65535, which no client may use: it stands for subscribers here.
    ReservedDuid = "reserved-duid",
    /// The link tells its clients apart by an option of the relays, and no relay has added it.
    NoClientKey = "no-client-key",
    /// Another client of the same subscriber has the leases and was heard a moment ago.
    SubscriberHeld = "subscriber-held",
    /// No Server Identifier where one is needed (RFC 9915 §16.4, §16.6, §16.8, §16.9).
    NoServerId = "no-server-id",
    /// A Server Identifier where none may be (RFC 9915 §16.2, §16.5, §16.7).
    UnexpectedServerId = "unexpected-server-id",
    /// The Server Identifier of another server (RFC 9915 §16.4, §16.6, §16.8, §16.9, §16.12).
    OtherServer = "other-server",
    /// An IA option in an Information-request (RFC 9915 §16.12).
    UnexpectedIa = "unexpected-ia",
    /// More IAs in one message, or leases in them, than a server is ready to judge.
    TooManyLeases = "too-many-leases",
    /// The client's link is not configured.
    NoLink = "no-link",
    /// A Confirm without addresses, or on a link whose prefixes are not known (RFC 9915 §18.3.3).
    NothingToConfirm = "nothing-to-confirm",
    /// A Rebind that another server has to answer: none of its IAs is known (RFC 9915 §18.3.5).
    NothingToRebind = "nothing-to-rebind",
    /// The failover endpoint is in a state in which this server answers nobody (RFC 8156 §8).
    FailoverNotServing = "failover-not-serving",
    /// The primary answers what does not name this server, a secondary in NORMAL (RFC 8156 §8.8).
    FailoverPartnerAnswers = "failover-partner-answers",
    /// In RECOVER-DONE only leases on record are extended or ended (RFC 8156 §8.7).
    FailoverRenewOnly = "failover-renew-only",
    /// The answer would not fit into one packet; nothing was changed.
    ReplyTooLong = "reply-too-long",
}

impl DropReason {
    /// Position in [`ALL`](Self::ALL), for an array of counters.
    pub fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_is_the_position_in_all_and_labels_differ() {
        for (index, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), index);
            let same = DropReason::ALL
                .into_iter()
                .filter(|other| other.as_str() == reason.as_str());
            assert_eq!(same.count(), 1, "{reason}");
        }
    }
}
