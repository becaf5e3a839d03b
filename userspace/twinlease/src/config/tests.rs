//! Bad files and what is said of them, and the property that no text stops the reader.

use super::{Report, parse};
use proptest::prelude::*;
use std::fmt::Write;

const CORES: [usize; 2] = [0, 1];

fn findings(text: &str) -> String {
    match parse("t.toml", text, &CORES) {
        Ok((_, report)) | Err(report) => Report::to_string(&report),
    }
}

/// A file without findings, to which each case adds its fault.
const GOOD: &str = "[[interface]]\nname = \"eth0\"\n";

#[test]
fn every_fault_has_its_line_its_key_and_a_remedy() {
    let link = "[[link]]\nname = \"a\"\ninterface = \"eth0\"\n";
    let cases = [
        (
            "[server]\npreferense = 1\n",
            "t.toml:4:1: error: server.preferense: unknown key; did you mean \"preference\"?",
        ),
        (
            "[workers]\ncores = []\n",
            "t.toml:4:1: error: workers.cores: no core, so no worker; name at least one",
        ),
        (
            "[workers]\ncores = [0, 7]\n",
            "t.toml:4:13: error: workers.cores[1]: this process may not run on core 7; choose from [0, 1]",
        ),
        (
            "[lifetimes]\npreferred = \"2h\"\nvalid = \"1h\"\n",
            "t.toml:4:13: error: lifetimes.preferred: the preferred lifetime (2h) is longer than the valid lifetime (1h)",
        ),
        (
            "[lifetimes]\nvalid = 5\n",
            "t.toml:4:9: error: lifetimes.valid: an integer cannot stand here; write a duration",
        ),
        (
            "[server]\nduid = \"00:04\"\n",
            "t.toml:4:8: error: server.duid: has 2 octets; write 3 to 130 octets",
        ),
        (
            "[[failover]]\nname = \"x\"\n",
            "t.toml:3:1: error: failover[0]: failover is not in this version; remove the table",
        ),
        (
            &format!("{link}[[link.address-pool]]\nrange = \"2001:db8::9-2001:db8::1\"\n"),
            "t.toml:7:9: error: link[0].address-pool[0].range: \"2001:db8::9-2001:db8::1\" ends before it starts",
        ),
        (
            &format!(
                "{link}[[link.prefix-pool]]\nprefix = \"2001:db8::/40\"\ndelegated-length = 32\n"
            ),
            "t.toml:8:20: error: link[0].prefix-pool[0].delegated-length: a /32 does not fit into 2001:db8::/40",
        ),
        (
            &format!(
                "{link}[[link.address-pool]]\nrange = \"2001:db8::/64\"\n[[link.address-pool]]\nrange = \"2001:db8::1000-2001:db8::2000\"\n"
            ),
            "t.toml:9:9: error: link[0].address-pool[1].range: 2001:db8::1000-2001:db8::2000 overlaps 2001:db8::/64 of link \"a\"",
        ),
        (
            "[[link]]\nname = \"a\"\ninterface = \"eth1\"\n",
            "t.toml:5:13: error: link[0].interface: interface \"eth1\" has no [[interface]]",
        ),
        ("x = \n", "error: not TOML"),
    ];
    for (fault, said) in cases {
        let report = findings(&format!("{GOOD}{fault}"));
        assert!(
            report.contains(said),
            "{fault}\nis said to be:\n{report}\nnot:\n{said}"
        );
        assert!(
            parse("t.toml", &format!("{GOOD}{fault}"), &CORES).is_err(),
            "{fault}"
        );
    }
}

#[test]
fn all_faults_are_reported_in_one_go_and_in_order() {
    let report = findings("[server]\nduid = 1\nfoo = 2\n[workers]\nidle = \"no\"\n");
    let lines: Vec<_> = report
        .lines()
        .filter(|line| line.contains("error"))
        .collect();
    assert_eq!(lines.len(), 4, "no interface, duid, foo, idle:\n{report}");
}

#[test]
fn the_commented_example_has_no_finding() {
    let example = include_str!("../../etc/twinlease.toml");
    assert_eq!(findings(example), "");
}

#[test]
fn ten_thousand_links_are_compared_without_comparing_each_with_each() {
    let mut text = GOOD.to_owned();
    for link in 0..10_000 {
        let prefix = format!("2001:db8:{:x}:{:x}::/64", link / 1_000, link % 1_000);
        write!(
            text,
            "[[link]]\nname = \"l{link}\"\nlink-addresses = [\"{prefix}\"]\n"
        )
        .unwrap();
        write!(text, "[[link.address-pool]]\nrange = \"{prefix}\"\n").unwrap();
    }
    let start = std::time::Instant::now();
    let (config, _) = parse("t.toml", &text, &CORES).unwrap();
    assert_eq!(config.links.len(), 10_000);
    assert!(
        start.elapsed().as_secs() < 5,
        "{:?} in a debug build",
        start.elapsed()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_text_stops_the_reader(text in "\\PC{0,200}") {
        let _ = findings(&text);
    }

    #[test]
    fn no_value_stops_the_checks(
        key in "(server|workers|link|interface|lifetimes|control|options|failover)",
        inner in "(name|duid|cores|valid|socket|metrics|range|address-pool|interface|dns-servers)",
        value in "(\"[ -!#-\\[\\]-~]{0,40}\"|-?[0-9]{1,30}|\\[\\]|\\{\\}|true|[0-9]\\.5|\\[\\[1\\]\\])",
        twice in any::<bool>(),
    ) {
        let header = if twice { format!("[[{key}]]") } else { format!("[{key}]") };
        let _ = findings(&format!("{header}\n{inner} = {value}\n"));
    }
}
