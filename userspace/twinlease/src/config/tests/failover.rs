//! Relationships: what is taken, and what is said of those that are not.

use super::{GOOD, findings, taken};
use crate::config::value::Secs;
use crate::config::{Role, WithoutPartner};
use std::fmt::Write;

const LINKS: &str = "[[link]]\nname = \"a\"\ninterface = \"eth0\"\n\
    [[link.address-pool]]\nrange = \"2001:db8:1::/64\"\n\
    [[link]]\nname = \"b\"\nlink-addresses = [\"2001:db8:2::/64\"]\n\
    [[link.prefix-pool]]\nprefix = \"2001:db8:8000::/40\"\ndelegated-length = 56\n";

/// The first line of a relationship written by [`relationship`].
const FIRST_LINE: usize = 14;

/// A file with one relationship, to which lines are added.
fn relationship(lines: &str) -> String {
    format!(
        "{GOOD}{LINKS}{}",
        table(
            "edge-a",
            &format!("links = [\"a\"]\ntls = \"insecure\"\n{lines}")
        )
    )
}

fn table(name: &str, lines: &str) -> String {
    format!(
        "[[failover]]\nname = \"{name}\"\nrole = \"secondary\"\n\
         local = \"[2001:db8:ffff::1]:647\"\npartner = \"[2001:db8:ffff::2]:647\"\n{lines}"
    )
}

/// What is said of a second relationship besides its own faults.
const ONE_ONLY: &str = "failover[1]: a server has one relationship at most; put all links";

fn errors(text: &str) -> Vec<String> {
    let findings = findings(text);
    let errors = findings.lines().filter(|line| line.contains(": error: "));
    errors.map(str::to_owned).collect()
}

#[test]
fn what_is_left_out_has_the_defaults_of_the_rfc() {
    let config = taken(&relationship(""));
    let [failover] = &config.failover[..] else {
        panic!("{:?}", config.failover)
    };
    assert_eq!(
        (failover.name.as_str(), failover.role),
        ("edge-a", Role::Secondary)
    );
    assert_eq!(failover.local.port(), 647);
    assert_eq!(failover.links, [0]);
    assert_eq!((failover.mclt, failover.keepalive), (Secs(3600), Secs(60)));
    assert_eq!(
        (failover.startup, failover.connect_retry),
        (Secs(10), Secs(5))
    );
    assert_eq!(failover.auto_partner_down, None);
    assert_eq!(failover.without_partner, WithoutPartner::Wait);
    assert_eq!(failover.prefix_share, 0.5);
    assert_eq!(failover.tls, None);
}

#[test]
fn what_is_written_counts() {
    let config = taken(&relationship(
        "mclt = \"2h\"\nkeepalive = \"30s\"\nauto-partner-down = \"1h\"\nstartup = \"20s\"\n\
         without-partner = \"serve\"\nprefix-share = 0.25\nconnect-retry = \"9s\"\n",
    ));
    let failover = &config.failover[0];
    assert_eq!((failover.mclt, failover.keepalive), (Secs(7200), Secs(30)));
    assert_eq!(
        (failover.startup, failover.connect_retry),
        (Secs(20), Secs(9))
    );
    assert_eq!(failover.auto_partner_down, Some(Secs(3600)));
    assert_eq!(failover.without_partner, WithoutPartner::Serve);
    assert_eq!(failover.prefix_share, 0.25);
}

#[test]
fn every_fault_of_a_relationship_has_its_line_its_key_and_a_remedy() {
    for (line, said) in [
        (
            "mclt = \"0s\"",
            "failover[0].mclt: 0 seconds is no time; write at least 5m",
        ),
        (
            "mclt = \"infinite\"",
            "failover[0].mclt: never ends; write a time that does",
        ),
        (
            "keepalive = \"0s\"",
            "failover[0].keepalive: 0 seconds is no time; write at least 10s",
        ),
        (
            "startup = \"0s\"",
            "failover[0].startup: 0 seconds is no time; write at least 5s",
        ),
        (
            "auto-partner-down = \"0s\"",
            "failover[0].auto-partner-down: 0 seconds is no time",
        ),
        (
            "auto-partner-down = \"never\"",
            "failover[0].auto-partner-down: \"never\" is not a duration",
        ),
        (
            "prefix-share = 1.5",
            "failover[0].prefix-share: is out of range; write a number from 0.0 to 1.0",
        ),
        (
            "without-partner = \"go\"",
            "failover[0].without-partner: \"go\"",
        ),
    ] {
        let errors = errors(&relationship(line));
        assert_eq!(errors.len(), 1, "{line}: {errors:?}");
        assert!(
            errors[0].starts_with(&format!("t.toml:{}:", FIRST_LINE + 7)),
            "{errors:?}"
        );
        assert!(errors[0].contains(said), "{line} is said to be {errors:?}");
    }
}

#[test]
fn tls_is_said_in_so_many_words_or_asked_for() {
    let silent = relationship("").replace("tls = \"insecure\"\n", "");
    let said = "failover[0]: tls is missing; add tls = …: \"insecure\", or a table [failover.tls]";
    assert!(errors(&silent)[0].contains(said), "{:?}", errors(&silent));
    let loud = findings(&relationship(""));
    assert!(
        loud.contains("warning: failover[0].tls: whoever can speak"),
        "{loud}"
    );
}

#[test]
fn links_exist_and_are_in_one_relationship() {
    let unknown = relationship("").replace("[\"a\"]", "[\"a\", \"c\"]");
    let said = "failover[0].links[1]: link \"c\" has no [[link]]; add one, or choose from: a, b";
    assert!(errors(&unknown)[0].contains(said), "{:?}", errors(&unknown));

    let none = relationship("").replace("[\"a\"]", "[]");
    assert!(errors(&none)[0].contains("failover[0].links: no link, so nothing is shared"));

    let mut twice = relationship("");
    twice += &table("edge-b", "links = [\"b\", \"a\"]\ntls = \"insecure\"\n");
    let said = "failover[1].links[1]: link \"a\" is already failover[0].links[0]; leave it in one";
    assert!(errors(&twice)[0].contains(ONE_ONLY), "{:?}", errors(&twice));
    assert!(errors(&twice)[1].contains(said), "{:?}", errors(&twice));
    assert_eq!(errors(&twice).len(), 2);
}

#[test]
fn names_and_addresses_tell_relationships_and_servers_apart() {
    let mut twice = relationship("");
    twice += &table("edge-a", "links = [\"b\"]\ntls = \"insecure\"\n");
    assert!(errors(&twice)[1].contains("relationship \"edge-a\" is already failover[0].name"));
    for (partner, said) in [
        (
            "[2001:db8:ffff::1]:647",
            "failover[0].partner: is the same as local",
        ),
        (
            "[::]:647",
            "failover[0].partner: no server can be connected to at ::",
        ),
        (
            "192.0.2.1:647",
            "failover[0].partner: 192.0.2.1 cannot be one end of a relationship",
        ),
        (
            "[ff02::1]:647",
            "failover[0].partner: ff02::1 cannot be one end of a relationship",
        ),
    ] {
        let text = relationship("").replace("[2001:db8:ffff::2]:647", partner);
        assert!(errors(&text)[0].contains(said), "{:?}", errors(&text));
    }
}

#[test]
fn links_of_a_relationship_have_leases_that_can_be_shared() {
    let with = |lifetimes: &str| relationship("").replacen("[[link]]\n", lifetimes, 1);
    let infinite = with("[lifetimes]\nvalid = \"infinite\"\n[[link]]\n");
    let said =
        "failover[0].links[0]: pool 2001:db8:1::/64 of link \"a\" has an infinite valid lifetime";
    assert!(
        errors(&infinite)[0].contains(said),
        "{:?}",
        errors(&infinite)
    );
    let short = with("[lifetimes]\nvalid = \"20s\"\npreferred = \"10s\"\n[[link]]\n");
    let said = "has a valid lifetime of 20s; use at least 30s outside of labs";
    assert_eq!(errors(&short), Vec::<String>::new());
    assert!(findings(&short).contains(said), "{}", findings(&short));
    // Only links of the relationship are asked.
    let mut reservation = relationship("").replacen(
        "[[failover]]",
        "[[link.reservation]]\n\
        duid = \"00:04:01\"\naddress = \"2001:db8:2::1\"\nlifetimes = { valid = \"infinite\" }\n\
        [[failover]]",
        1,
    );
    assert_eq!(errors(&reservation), Vec::<String>::new());
    reservation = reservation.replace("links = [\"a\"]", "links = [\"b\"]");
    assert!(errors(&reservation)[0].contains("a reservation of link \"b\" has an infinite"));
}

#[test]
fn prefix_pools_of_a_relationship_are_not_too_large() {
    let with = |len: u8| {
        let text = relationship("").replace("[\"a\"]", "[\"b\"]");
        text.replace(
            "delegated-length = 56",
            &format!("delegated-length = {len}"),
        )
        .replace("2001:db8:8000::/40", "2001:db8:8000::/36")
    };
    assert_eq!(errors(&with(62)), Vec::<String>::new());
    let said = "failover[0].links[0]: pool 2001:db8:8000::/36 of link \"b\" has more than 67108864 \
        prefixes, too many to share; split it into prefix pools of /37 or longer";
    assert!(
        errors(&with(63))[0].contains(said),
        "{:?}",
        errors(&with(63))
    );
}

#[test]
fn times_for_labs_are_warned_of() {
    for (line, said) in [
        (
            "mclt = \"30s\"",
            "mclt: 30s is for labs: in an outage every client renews twice",
        ),
        ("mclt = \"2w\"", "mclt: 2w is long"),
        ("keepalive = \"3s\"", "keepalive: 3s is for labs"),
        ("startup = \"1s\"", "startup: 1s is for labs"),
        (
            "auto-partner-down = \"10s\"",
            "auto-partner-down: 10s is for labs",
        ),
        ("connect-retry = \"10m\"", "connect-retry: 10m is long"),
        (
            "prefix-share = 0",
            "prefix-share: one of the servers gets no prefix",
        ),
    ] {
        let report = findings(&relationship(line));
        assert!(
            report.contains(&format!("warning: failover[0].{said}")),
            "{line}: {report}"
        );
        assert_eq!(errors(&relationship(line)), Vec::<String>::new());
    }
}

/// Writes a certificate, its key and (itself) its CA, and gives the table that names them.
fn tls_table(dir: &std::path::Path) -> String {
    let made = rcgen::generate_simple_self_signed(["2001:db8:ffff::1".to_owned()]).unwrap();
    let mut table = "[failover.tls]\n".to_owned();
    for (key, pem) in [
        ("certificate", made.cert.pem()),
        ("key", made.signing_key.serialize_pem()),
        ("ca", made.cert.pem()),
    ] {
        let path = dir.join(key);
        std::fs::write(&path, pem).unwrap();
        writeln!(table, "{key} = \"{}\"", path.display()).unwrap();
    }
    table
}

#[test]
fn certificates_are_read_and_those_at_fault_named() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let tls = tls_table(dir.path());
    let text = relationship("").replace("tls = \"insecure\"\n", &tls);
    let report = findings(&text);
    assert!(
        report.contains("warning: failover[0].tls.key: others may read or change"),
        "{report}"
    );
    let key = dir.path().join("key");
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
    assert_eq!(findings(&text), "");
    assert_eq!(taken(&text).failover[0].tls.as_ref().unwrap().key, key);

    let missing = text.replace("/key\"", "/kex\"");
    let said = "failover[0].tls.key: ";
    assert!(errors(&missing)[0].contains(said), "{:?}", errors(&missing));
    assert!(errors(&missing)[0].contains("; name a PEM file that the server may read"));
    let swapped = text.replace("/ca\"", "/key\"");
    assert!(
        errors(&swapped)[0].contains("failover[0].tls.ca: "),
        "{:?}",
        errors(&swapped)
    );
    let without = text.lines().filter(|line| !line.starts_with("ca = "));
    let without: String = without.flat_map(|line| [line, "\n"]).collect();
    assert!(errors(&without)[0].contains("failover[0].tls: ca is missing"));
}

#[test]
fn relationships_with_the_same_addresses_are_protected_alike() {
    let dir = tempfile::tempdir().unwrap();
    let mut text = relationship("");
    let tls = format!("links = [\"b\"]\n{}", tls_table(dir.path()));
    text += &table("edge-b", &tls);
    let said = "failover[1].tls: differs from tls of \"edge-a\", which has the same addresses";
    assert!(errors(&text)[1].contains(said), "{:?}", errors(&text));
    let apart = text.replacen("::1]:647", "::1]:1647", 1);
    assert_eq!(errors(&apart).len(), 1, "{:?}", errors(&apart));
    assert!(errors(&apart)[0].contains(ONE_ONLY), "{:?}", errors(&apart));
}

#[test]
fn partners_that_give_clients_keys_have_a_secret_in_common() {
    let alone = format!("{GOOD}[reconfigure]\nenabled = true\n");
    let config = taken(&alone);
    assert!(config.reconfigure && config.reconfigure_secret.is_none());
    let pair = |lines: &str| format!("{}[reconfigure]\n{lines}", relationship(""));
    let said = errors(&pair("enabled = true\n")).join("\n");
    assert!(
        said.contains("reconfigure.enabled: the failover partner"),
        "{said}"
    );
    let secret = "secret = \"000102030405060708090a0b0c0d0e0f\"\n";
    assert_eq!(errors(&pair(&format!("enabled = true\n{secret}"))), [""; 0]);
    assert_eq!(errors(&pair("enabled = false\n")), [""; 0]);
    let said = errors(&pair("secret = \"0001\"\n")).join("\n");
    assert!(said.contains("reconfigure.secret"), "{said}");
}
