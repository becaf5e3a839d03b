//! Keys of Kea's config that are not taken over.

/// Why a key is not taken over, if more can be said than that nothing here corresponds to it.
pub(super) const REASONS: &[(&str, &str)] = &[
    (
        "control-socket",
        "the control socket is control.socket here",
    ),
    (
        "control-sockets",
        "the control socket is control.socket here",
    ),
    (
        "lease-database",
        "leases are in state-dir; bring them with `twinlease leases import`",
    ),
    ("hosts-database", "reservations come from the config"),
    ("hosts-databases", "reservations come from the config"),
    ("loggers", "logs go to stderr"),
    (
        "hooks-libraries",
        "there are no hooks; configure by hand what they did",
    ),
    ("multi-threading", "one worker for each of workers.cores"),
    (
        "expired-leases-processing",
        "expired leases are free at once",
    ),
    ("dhcp-ddns", "there are no DNS updates"),
    (
        "renew-timer",
        "T1 is half of the shortest preferred lifetime",
    ),
    (
        "rebind-timer",
        "T2 is 0.8 of the shortest preferred lifetime",
    ),
    (
        "calculate-tee-times",
        "T1 and T2 are 0.5 and 0.8 of the shortest preferred lifetime",
    ),
    (
        "t1-percent",
        "T1 is half of the shortest preferred lifetime",
    ),
    ("t2-percent", "T2 is 0.8 of the shortest preferred lifetime"),
    ("min-valid-lifetime", "clients cannot choose lifetimes"),
    ("max-valid-lifetime", "clients cannot choose lifetimes"),
    ("min-preferred-lifetime", "clients cannot choose lifetimes"),
    ("max-preferred-lifetime", "clients cannot choose lifetimes"),
    (
        "server-id",
        "give the DUID that clients know by --server-duid",
    ),
    (
        "client-classes",
        "classes are told by what messages say, not by reservations",
    ),
    (
        "interface-id",
        "links are told apart by link-addresses or interface",
    ),
    ("hostname", "there are no DNS updates"),
    (
        "allocator",
        "leases are chosen by a keyed hash, the same again for the same client",
    ),
    (
        "pd-allocator",
        "leases are chosen by a keyed hash, the same again for the same client",
    ),
    ("store-extended-info", "relay data is always kept"),
    ("cache-threshold", "every renewal is recorded"),
    ("cache-max-age", "every renewal is recorded"),
    ("user-context", "comments are not read"),
    ("comment", "comments are not read"),
    (
        "excluded-prefix",
        "write excluded-length: the first prefix of that length is excluded",
    ),
    (
        "sanity-checks",
        "a binding outside of all pools is kept until it ends",
    ),
    ("server-tag", "there is one server"),
];
