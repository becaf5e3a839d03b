//! Prefix pools with a range of delegated lengths.

use super::{findings, taken};
use lease::Lengths;

/// A link with one prefix pool of these keys.
fn pool(prefix: &str, keys: &str) -> String {
    format!(
        "[[interface]]\nname = \"eth0\"\n[[link]]\nname = \"a\"\ninterface = \"eth0\"\n\
         prefix-pool = [{{ prefix = \"{prefix}\", {keys} }}]\n"
    )
}

#[test]
fn a_range_is_taken_with_its_default() {
    let of = |keys: &str| {
        let text = pool("2001:db8::/40", keys);
        let config = taken(&text);
        config.model(&[0, 4, 1, 2], [7; 16]).unwrap();
        let pool = &config.links[0].pools[0];
        (pool.unit_len, pool.count, pool.lengths)
    };
    let lengths = |shortest, default| Some(Lengths { shortest, default });
    let keys = "delegated-length = \"48-64\", default-length = 56";
    assert_eq!(findings(&pool("2001:db8::/40", keys)), "");
    assert_eq!(of(keys), (64, 1 << 24, lengths(48, 56)));
    // The longest, unless it is said.
    assert_eq!(
        of("delegated-length = \"48 - 60\""),
        (60, 1 << 20, lengths(48, 60))
    );
    assert_eq!(
        of("delegated-length = 56, default-length = 56"),
        (56, 1 << 16, None)
    );
    let warned = findings(&pool("2001:db8::/40", "delegated-length = \"48-64\""));
    let said = "warning: link[0].prefix-pool[0].delegated-length: clients that ask for no length get \
        a /64, which is a single subnet; write default-length = 56, or what your clients expect";
    assert!(warned.contains(said), "{warned}");
}

#[test]
fn what_cannot_be_served_is_a_fault_with_its_remedy() {
    for (prefix, keys, said) in [
        (
            "2001:db8::/40",
            "delegated-length = \"64-48\"",
            "delegated-length: \"64-48\" is not from a shorter to a longer length; write the shorter \
             length, which is the larger prefix, first",
        ),
        (
            "2001:db8::/40",
            "delegated-length = \"48\"",
            "delegated-length: \"48\" is no range of lengths; write a length such as 56, or a range \
             of them such as \"48-64\", from 1 to 127",
        ),
        (
            "2001:db8::/40",
            "delegated-length = \"48-128\"",
            "delegated-length: \"48-128\" is no range of lengths",
        ),
        (
            "2001:db8::/52",
            "delegated-length = \"48-64\"",
            "delegated-length: a /48 does not fit into 2001:db8::/52; begin the range with a length \
             from 52 to 126",
        ),
        (
            "2001:db8::/40",
            "delegated-length = \"44-64\"",
            "delegated-length: /44 to /64 are too many lengths for one pool; let them be at most 16 \
             bits apart",
        ),
        (
            "2001:d00::/32",
            "delegated-length = \"48-64\", default-length = 56",
            "prefix: has more than 268435456 prefixes of length 64; divide it into pools of /36 or \
             longer, or let the range end with 60 or less",
        ),
        (
            "2001:db8::/40",
            "delegated-length = \"48-60\", default-length = 64",
            "default-length: the pool has no /64, but /48 to /60; write a length from 48 to 60",
        ),
        (
            "2001:db8::/40",
            "delegated-length = 56, default-length = 60",
            "default-length: the pool has no /60, but /56; remove it",
        ),
        (
            "2001:db8::/40",
            "delegated-length = \"48-60\", excluded-length = 60",
            "excluded-length: a /60 cannot be excluded from a /60; write a length from 61 to 128",
        ),
    ] {
        let report = findings(&pool(prefix, keys));
        let said = format!(": error: link[0].prefix-pool[0].{said}");
        assert!(report.contains(&said), "{keys}: {report}");
        assert_eq!(report.matches(": error: ").count(), 1, "{keys}: {report}");
    }
}

#[test]
fn a_reservation_in_the_pool_has_one_of_its_lengths() {
    let with = |lease: &str| {
        let pool = pool(
            "2001:db8::/40",
            "delegated-length = \"48-60\", default-length = 56",
        );
        findings(&format!(
            "{pool}reservation = [{{ duid = \"00:04:01:02\", prefix = \"{lease}\" }}]\n"
        ))
    };
    for lease in ["2001:db8::/48", "2001:db8:1:10::/60"] {
        assert_eq!(with(lease), "", "{lease}");
    }
    let said = "lies in pool 2001:db8::/40 but is none of /48 to /60";
    assert!(
        with("2001:db8::/64").contains(said),
        "{}",
        with("2001:db8::/64")
    );
}

#[test]
fn it_is_not_shared_with_a_partner() {
    let keys = "delegated-length = \"48-64\", default-length = 56";
    let failover = "[[failover]]\nname = \"x\"\nrole = \"primary\"\n\
        local = \"[2001:db8:f::1]:647\"\npartner = \"[2001:db8:f::2]:647\"\nlinks = [\"a\"]\n\
        tls = \"insecure\"\n";
    let report = findings(&format!("{}{failover}", pool("2001:db8::/40", keys)));
    let said = "error: failover[0].links[0]: pool 2001:db8::/40 of link \"a\" has prefixes of /48 to \
        /64, and what two servers share is of one length; give each length a pool of its own";
    assert!(report.contains(said), "{report}");
    assert_eq!(report.matches(": error: ").count(), 1, "{report}");
}
