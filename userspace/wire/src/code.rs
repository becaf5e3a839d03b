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
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
        /// The requestor wants TLS on this connection (RFC 7653 §5.2.1).
        STARTTLS = 23, "STARTTLS";
        /// A server tells its partner of changed leases (RFC 8156 §5.3.1).
        BNDUPD = 24, "BNDUPD";
        /// The answer to a BNDUPD (RFC 8156 §5.3.2).
        BNDREPLY = 25, "BNDREPLY";
        /// The secondary asks for a new balance of delegable prefixes (RFC 8156 §5.3.3).
        POOLREQ = 26, "POOLREQ";
        /// The answer to a POOLREQ (RFC 8156 §5.3.4).
        POOLRESP = 27, "POOLRESP";
        /// Asks for every change not yet acknowledged (RFC 8156 §5.3.5).
        UPDREQ = 28, "UPDREQ";
        /// Asks for every binding there is (RFC 8156 §5.3.6).
        UPDREQALL = 29, "UPDREQALL";
        /// All that an UPDREQ or UPDREQALL asked for is acknowledged (RFC 8156 §5.3.7).
        UPDDONE = 30, "UPDDONE";
        /// The primary sets a failover connection up (RFC 8156 §5.3.8).
        CONNECT = 31, "CONNECT";
        /// The answer to a CONNECT (RFC 8156 §5.3.9).
        CONNECTREPLY = 32, "CONNECTREPLY";
        /// A server is about to close the connection (RFC 8156 §5.3.10).
        DISCONNECT = 33, "DISCONNECT";
        /// A server tells its failover state (RFC 8156 §5.3.11).
        STATE = 34, "STATE";
        /// Nothing but a sign of life (RFC 8156 §5.3.12).
        CONTACT = 35, "CONTACT";
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
        /// SNTP servers (RFC 4075 §4).
        SNTP_SERVERS = 31, "OPTION_SNTP_SERVERS";
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
        /// One client's bindings (RFC 5007 §4.1.2.2).
        CLIENT_DATA = 45, "OPTION_CLIENT_DATA";
        /// Seconds since the client was last heard (RFC 5007 §4.1.2.3).
        CLT_TIME = 46, "OPTION_CLT_TIME";
        /// The relay layers the client was last heard through (RFC 5007 §4.1.2.4).
        LQ_RELAY_DATA = 47, "OPTION_LQ_RELAY_DATA";
        /// Relay-ID (RFC 5460).
        RELAY_ID = 53, "OPTION_RELAY_ID";
        /// NTP server (RFC 5908).
        NTP_SERVER = 56, "OPTION_NTP_SERVER";
        /// Boot file URL (RFC 5970 §3.1).
        BOOTFILE_URL = 59, "OPTION_BOOTFILE_URL";
        /// Boot file parameters (RFC 5970 §3.2).
        BOOTFILE_PARAM = 60, "OPTION_BOOTFILE_PARAM";
        /// Client System Architecture Type (RFC 5970 §3.3).
        CLIENT_ARCH_TYPE = 61, "OPTION_CLIENT_ARCH_TYPE";
        /// AFTR name (RFC 6334).
        AFTR_NAME = 64, "OPTION_AFTR_NAME";
        /// ERP local domain name (RFC 6440 §4).
        ERP_LOCAL_DOMAIN_NAME = 65, "OPTION_ERP_LOCAL_DOMAIN_NAME";
        /// Relay-supplied options (RFC 6422).
        RSOO = 66, "OPTION_RSOO";
        /// Prefix exclude (RFC 6603).
        PD_EXCLUDE = 67, "OPTION_PD_EXCLUDE";
        /// Virtual Subnet Selection (RFC 6607 §3.4).
        VSS = 68, "OPTION_VSS";
        /// Client link-layer address (RFC 6939).
        CLIENT_LINKLAYER_ADDR = 79, "OPTION_CLIENT_LINKLAYER_ADDR";
        /// Link address (RFC 6977).
        LINK_ADDRESS = 80, "OPTION_LINK_ADDRESS";
        /// SOL_MAX_RT (RFC 9915 §21.24).
        SOL_MAX_RT = 82, "OPTION_SOL_MAX_RT";
        /// INF_MAX_RT (RFC 9915 §21.25).
        INF_MAX_RT = 83, "OPTION_INF_MAX_RT";
        /// When a container was filled (RFC 7653 §6.3.1).
        LQ_BASE_TIME = 100, "OPTION_LQ_BASE_TIME";
        /// Where a lease is in its life cycle (RFC 8156 §5.5.1).
        F_BINDING_STATUS = 114, "OPTION_F_BINDING_STATUS";
        /// What the connecting server's pools are like (RFC 8156 §5.5.2).
        F_CONNECT_FLAGS = 115, "OPTION_F_CONNECT_FLAGS";
        /// What it takes to remove a name from the DNS (RFC 8156 §5.5.3).
        F_DNS_REMOVAL_INFO = 116, "OPTION_F_DNS_REMOVAL_INFO";
        /// The name that was put in the DNS (RFC 8156 §5.5.3.1).
        F_DNS_HOST_NAME = 117, "OPTION_F_DNS_HOST_NAME";
        /// The zone it was put in (RFC 8156 §5.5.3.2).
        F_DNS_ZONE_NAME = 118, "OPTION_F_DNS_ZONE_NAME";
        /// How the name came about and which zones hold it (RFC 8156 §5.5.3.3).
        F_DNS_FLAGS = 119, "OPTION_F_DNS_FLAGS";
        /// The greatest lifetime the sender has acknowledged (RFC 8156 §5.5.4).
        F_EXPIRATION_TIME = 120, "OPTION_F_EXPIRATION_TIME";
        /// BNDUPDs the sender takes without an answer (RFC 8156 §5.5.5).
        F_MAX_UNACKED_BNDUPD = 121, "OPTION_F_MAX_UNACKED_BNDUPD";
        /// Maximum Client Lead Time (RFC 8156 §5.5.6).
        F_MCLT = 122, "OPTION_F_MCLT";
        /// When the partner may reuse the lease (RFC 8156 §5.5.7).
        F_PARTNER_LIFETIME = 123, "OPTION_F_PARTNER_LIFETIME";
        /// Echo of a received PARTNER_LIFETIME (RFC 8156 §5.5.8).
        F_PARTNER_LIFETIME_SENT = 124, "OPTION_F_PARTNER_LIFETIME_SENT";
        /// When communications were lost (RFC 8156 §5.5.9).
        F_PARTNER_DOWN_TIME = 125, "OPTION_F_PARTNER_DOWN_TIME";
        /// When the other server last heard the client (RFC 8156 §5.5.10).
        F_PARTNER_RAW_CLT_TIME = 126, "OPTION_F_PARTNER_RAW_CLT_TIME";
        /// Version of the failover protocol (RFC 8156 §5.5.11).
        F_PROTOCOL_VERSION = 127, "OPTION_F_PROTOCOL_VERSION";
        /// Silence after which the sender gives the connection up (RFC 8156 §5.5.12).
        F_KEEPALIVE_TIME = 128, "OPTION_F_KEEPALIVE_TIME";
        /// The client's reconfigure key (RFC 8156 §5.5.13).
        F_RECONFIGURE_DATA = 129, "OPTION_F_RECONFIGURE_DATA";
        /// Which failover relationship is meant (RFC 8156 §5.5.14).
        F_RELATIONSHIP_NAME = 130, "OPTION_F_RELATIONSHIP_NAME";
        /// What the sender knows of its partner (RFC 8156 §5.5.15).
        F_SERVER_FLAGS = 131, "OPTION_F_SERVER_FLAGS";
        /// The sender's failover state (RFC 8156 §5.5.16).
        F_SERVER_STATE = 132, "OPTION_F_SERVER_STATE";
        /// When the state of the server or lease began (RFC 8156 §5.5.17).
        F_START_TIME_OF_STATE = 133, "OPTION_F_START_TIME_OF_STATE";
        /// When the state of the lease ends (RFC 8156 §5.5.18).
        F_STATE_EXPIRATION_TIME = 134, "OPTION_F_STATE_EXPIRATION_TIME";
        /// S46 rule (RFC 7598 §4.1).
        S46_RULE = 89, "OPTION_S46_RULE";
        /// S46 border relay (RFC 7598 §4.2).
        S46_BR = 90, "OPTION_S46_BR";
        /// S46 default mapping rule (RFC 7598 §4.3).
        S46_DMR = 91, "OPTION_S46_DMR";
        /// S46 IPv4 and IPv6 address binding (RFC 7598 §4.4).
        S46_V4V6BIND = 92, "OPTION_S46_V4V6BIND";
        /// S46 port parameters (RFC 7598 §4.5).
        S46_PORTPARAMS = 93, "OPTION_S46_PORTPARAMS";
        /// S46 MAP-E container (RFC 7598 §5.1).
        S46_CONT_MAPE = 94, "OPTION_S46_CONT_MAPE";
        /// S46 MAP-T container (RFC 7598 §5.2).
        S46_CONT_MAPT = 95, "OPTION_S46_CONT_MAPT";
        /// S46 Lightweight 4over6 container (RFC 7598 §5.3).
        S46_CONT_LW = 96, "OPTION_S46_CONT_LW";
        /// Captive portal (RFC 8910 §2.2).
        CAPTIVE_PORTAL = 103, "OPTION_V6_CAPTIVE_PORTAL";
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
