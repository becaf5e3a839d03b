//! Numbers with names: message types, option codes and status codes.
//!
//! Newtypes and not enums, because a number without a name is ordinary input: it is carried,
//! compared and printed like any other.

use core::fmt;

macro_rules! named_numbers {
    (
        $(#[$type_doc:meta])*
        $type:ident($number:ty) {
            $($(#[$doc:meta])* $constant:ident = $value:literal, $name:literal;)*
        }
    ) => {
        $(#[$type_doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(pub $number);

        impl $type {
            $($(#[$doc])* pub const $constant: Self = Self($value);)*

            /// The name in the RFC that defines the number, if it is one known here.
            pub fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some($name),)*
                    _ => None,
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.name() {
                    Some(name) => f.write_str(name),
                    None => write!(f, "{}", self.0),
                }
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($type), self)
            }
        }
    };
}

named_numbers! {
    /// The `msg-type` field (RFC 9915 §7.3).
    MessageType(u8) {
        /// A client looks for servers.
        SOLICIT = 1, "SOLICIT";
        /// A server offers itself.
        ADVERTISE = 2, "ADVERTISE";
        /// A client asks one server for leases.
        REQUEST = 3, "REQUEST";
        /// A client asks whether its addresses fit the link.
        CONFIRM = 4, "CONFIRM";
        /// A client extends leases with the server that gave them.
        RENEW = 5, "RENEW";
        /// A client extends leases with any server.
        REBIND = 6, "REBIND";
        /// A server's answer.
        REPLY = 7, "REPLY";
        /// A client gives leases back.
        RELEASE = 8, "RELEASE";
        /// A client found an address in use.
        DECLINE = 9, "DECLINE";
        /// A server asks a client to come back.
        RECONFIGURE = 10, "RECONFIGURE";
        /// A client asks for configuration without leases.
        INFORMATION_REQUEST = 11, "INFORMATION-REQUEST";
        /// A relay's envelope towards the server.
        RELAY_FORW = 12, "RELAY-FORW";
        /// A server's envelope towards a relay.
        RELAY_REPL = 13, "RELAY-REPL";
        /// RFC 5007.
        LEASEQUERY = 14, "LEASEQUERY";
        /// RFC 5007.
        LEASEQUERY_REPLY = 15, "LEASEQUERY-REPLY";
        /// RFC 5460.
        LEASEQUERY_DONE = 16, "LEASEQUERY-DONE";
        /// RFC 5460.
        LEASEQUERY_DATA = 17, "LEASEQUERY-DATA";
        /// RFC 6977.
        RECONFIGURE_REQUEST = 18, "RECONFIGURE-REQUEST";
        /// RFC 6977.
        RECONFIGURE_REPLY = 19, "RECONFIGURE-REPLY";
    }
}

named_numbers! {
    /// The `option-code` field (RFC 9915 §21.1).
    OptionCode(u16) {
        /// Client Identifier (RFC 9915 §21.2).
        CLIENTID = 1, "OPTION_CLIENTID";
        /// Server Identifier (RFC 9915 §21.3).
        SERVERID = 2, "OPTION_SERVERID";
        /// Identity Association for Non-temporary Addresses (RFC 9915 §21.4).
        IA_NA = 3, "OPTION_IA_NA";
        /// Obsolete (RFC 9915 §21.5).
        IA_TA = 4, "OPTION_IA_TA";
        /// IA Address (RFC 9915 §21.6).
        IAADDR = 5, "OPTION_IAADDR";
        /// Option Request (RFC 9915 §21.7).
        ORO = 6, "OPTION_ORO";
        /// Preference (RFC 9915 §21.8).
        PREFERENCE = 7, "OPTION_PREFERENCE";
        /// Elapsed Time (RFC 9915 §21.9).
        ELAPSED_TIME = 8, "OPTION_ELAPSED_TIME";
        /// Relay Message (RFC 9915 §21.10).
        RELAY_MSG = 9, "OPTION_RELAY_MSG";
        /// Authentication (RFC 9915 §21.11).
        AUTH = 11, "OPTION_AUTH";
        /// Obsolete Server Unicast (RFC 9915 §21.12).
        UNICAST = 12, "OPTION_UNICAST";
        /// Status Code (RFC 9915 §21.13).
        STATUS_CODE = 13, "OPTION_STATUS_CODE";
        /// Rapid Commit (RFC 9915 §21.14).
        RAPID_COMMIT = 14, "OPTION_RAPID_COMMIT";
        /// User Class (RFC 9915 §21.15).
        USER_CLASS = 15, "OPTION_USER_CLASS";
        /// Vendor Class (RFC 9915 §21.16).
        VENDOR_CLASS = 16, "OPTION_VENDOR_CLASS";
        /// Vendor-specific Information (RFC 9915 §21.17).
        VENDOR_OPTS = 17, "OPTION_VENDOR_OPTS";
        /// Interface-Id (RFC 9915 §21.18).
        INTERFACE_ID = 18, "OPTION_INTERFACE_ID";
        /// Reconfigure Message (RFC 9915 §21.19).
        RECONF_MSG = 19, "OPTION_RECONF_MSG";
        /// Reconfigure Accept (RFC 9915 §21.20).
        RECONF_ACCEPT = 20, "OPTION_RECONF_ACCEPT";
        /// DNS Recursive Name Server (RFC 3646 §3).
        DNS_SERVERS = 23, "OPTION_DNS_SERVERS";
        /// Domain Search List (RFC 3646 §4).
        DOMAIN_LIST = 24, "OPTION_DOMAIN_LIST";
        /// Identity Association for Prefix Delegation (RFC 9915 §21.21).
        IA_PD = 25, "OPTION_IA_PD";
        /// IA Prefix (RFC 9915 §21.22).
        IAPREFIX = 26, "OPTION_IAPREFIX";
        /// Information Refresh Time (RFC 9915 §21.23).
        INFORMATION_REFRESH_TIME = 32, "OPTION_INFORMATION_REFRESH_TIME";
        /// Relay agent Remote-ID (RFC 4649).
        REMOTE_ID = 37, "OPTION_REMOTE_ID";
        /// Relay agent Subscriber-ID (RFC 4580).
        SUBSCRIBER_ID = 38, "OPTION_SUBSCRIBER_ID";
        /// Client FQDN (RFC 4704).
        CLIENT_FQDN = 39, "OPTION_CLIENT_FQDN";
        /// Relay agent Echo Request (RFC 4994).
        ERO = 43, "OPTION_ERO";
        /// Relay-ID (RFC 5460).
        RELAY_ID = 53, "OPTION_RELAY_ID";
        /// NTP server (RFC 5908).
        NTP_SERVER = 56, "OPTION_NTP_SERVER";
        /// AFTR name (RFC 6334).
        AFTR_NAME = 64, "OPTION_AFTR_NAME";
        /// Relay-supplied options (RFC 6422).
        RSOO = 66, "OPTION_RSOO";
        /// Prefix exclude (RFC 6603).
        PD_EXCLUDE = 67, "OPTION_PD_EXCLUDE";
        /// Client link-layer address (RFC 6939).
        CLIENT_LINKLAYER_ADDR = 79, "OPTION_CLIENT_LINKLAYER_ADDR";
        /// Link address (RFC 6977).
        LINK_ADDRESS = 80, "OPTION_LINK_ADDRESS";
        /// SOL_MAX_RT (RFC 9915 §21.24).
        SOL_MAX_RT = 82, "OPTION_SOL_MAX_RT";
        /// INF_MAX_RT (RFC 9915 §21.25).
        INF_MAX_RT = 83, "OPTION_INF_MAX_RT";
        /// Relay source port (RFC 8357).
        RELAY_PORT = 135, "OPTION_RELAY_PORT";
    }
}

named_numbers! {
    /// The `status-code` field (RFC 9915 §21.13, Table 3; RFC 5007, 5460, 7653 and 8156).
    StatusCode(u16) {
        /// All went well.
        SUCCESS = 0, "Success";
        /// A failure that no other code describes.
        UNSPEC_FAIL = 1, "UnspecFail";
        /// No address to give to the IA.
        NO_ADDRS_AVAIL = 2, "NoAddrsAvail";
        /// The binding is not known.
        NO_BINDING = 3, "NoBinding";
        /// The address does not fit the client's link.
        NOT_ON_LINK = 4, "NotOnLink";
        /// Obsolete; never sent.
        USE_MULTICAST = 5, "UseMulticast";
        /// No prefix to give to the IA_PD.
        NO_PREFIX_AVAIL = 6, "NoPrefixAvail";
        /// RFC 5007.
        UNKNOWN_QUERY_TYPE = 7, "UnknownQueryType";
        /// RFC 5007.
        MALFORMED_QUERY = 8, "MalformedQuery";
        /// RFC 5007.
        NOT_CONFIGURED = 9, "NotConfigured";
        /// RFC 5007.
        NOT_ALLOWED = 10, "NotAllowed";
        /// RFC 5460.
        QUERY_TERMINATED = 11, "QueryTerminated";
        /// RFC 7653.
        DATA_MISSING = 12, "DataMissing";
        /// RFC 7653.
        CATCH_UP_COMPLETE = 13, "CatchUpComplete";
        /// RFC 7653.
        NOT_SUPPORTED = 14, "NotSupported";
        /// RFC 7653.
        TLS_CONNECTION_REFUSED = 15, "TLSConnectionRefused";
        /// RFC 8156.
        ADDRESS_IN_USE = 16, "AddressInUse";
        /// RFC 8156.
        CONFIGURATION_CONFLICT = 17, "ConfigurationConflict";
        /// RFC 8156.
        MISSING_BINDING_INFORMATION = 18, "MissingBindingInformation";
        /// RFC 8156.
        OUTDATED_BINDING_INFORMATION = 19, "OutdatedBindingInformation";
        /// RFC 8156.
        SERVER_SHUTTING_DOWN = 20, "ServerShuttingDown";
        /// RFC 8156.
        DNS_UPDATE_NOT_SUPPORTED = 21, "DNSUpdateNotSupported";
        /// RFC 8156.
        EXCESSIVE_TIME_SKEW = 22, "ExcessiveTimeSkew";
    }
}
