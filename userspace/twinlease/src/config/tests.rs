//! Bad files and what is said of them, and the property that no text stops the reader.

use super::value::Secs;
use super::{CONTROL_SOCKET, Config, Idle, Report, control_socket, load, parse};
use engine::{OptionValue, OptionValues};
use proptest::prelude::*;
use std::fmt::Write;
use std::net::Ipv6Addr;
use std::path::Path;
use wire::OptionCode;

mod classes;
mod failover;
mod lengths;
mod links;
mod steering;

const CORES: [usize; 2] = [0, 1];

fn findings(text: &str) -> String {
    match parse("t.toml", text, &CORES) {
        Ok((_, report)) | Err(report) => Report::to_string(&report),
    }
}

const EXAMPLE: &str = include_str!("../../etc/twinlease.toml");

/// The config of a text without faults.
fn taken(text: &str) -> Config {
    match parse("t.toml", text, &CORES) {
        Ok((config, _)) => config,
        Err(report) => panic!("{text}\n{report}"),
    }
}

/// A file without faults, to which each case adds its fault.
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
            "t.toml:3:1: error: failover[0]: tls is missing; add tls = …: \"insecure\", or a table [failover.tls]",
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
    let errors = report.lines().filter(|line| line.contains(": error: "));
    let keys: Vec<_> = errors.filter_map(|line| line.split(": ").nth(2)).collect();
    assert_eq!(
        keys,
        ["interface", "server.duid", "server.foo", "workers.idle"],
        "{report}"
    );
}

#[test]
fn two_faults_of_one_line_have_columns_of_their_own() {
    let report = findings(&format!("{GOOD}addresses = [\"ä\", \"ff02::1\", 1]\n"));
    for place in ["t.toml:3:14: ", "t.toml:3:19: ", "t.toml:3:30: "] {
        assert!(report.contains(place), "{place}\n{report}");
    }
}

#[test]
fn workers_come_in_the_order_of_the_file_and_may_share_a_core() {
    let config = taken(&format!(
        "{GOOD}[workers]\ncores = [1, 0, 1]\nidle = \"sleep\"\n"
    ));
    assert_eq!(config.cores, [1, 0, 1]);
    assert_eq!(config.idle, Idle::Sleep);
    let report = findings(&format!("{GOOD}[workers]\ncores = [1, 0, 1]\n"));
    let said = "t.toml:4:16: warning: workers.cores[2]: core 1 has two workers";
    assert!(report.contains(said), "{report}");
    assert_eq!(taken(GOOD).cores, CORES, "every core the process may use");
}

#[test]
fn the_commented_example_has_no_finding() {
    assert_eq!(findings(EXAMPLE), "");
    let config = taken(EXAMPLE);
    assert_eq!(config.state_dir, Path::new("/var/lib/twinlease"));
    assert_eq!(config.metrics, Some("[::1]:9547".parse().unwrap()));
    let dns_server: Ipv6Addr = "2001:db8::53".parse().unwrap();
    let options = OptionValues::default()
        .with(OptionCode::DNS_SERVERS, dns_server.octets().to_vec())
        .with(OptionCode::DOMAIN_LIST, b"\x07example\x03net\0".to_vec());
    assert_eq!(config.options, options);
    let link = &config.links[0];
    assert_eq!((link.name.as_str(), link.interface), ("bng-1", Some(0)));
    assert_eq!(link.pools[0].count, 1 << 64);
    assert_eq!((link.pools[1].count, link.pools[1].unit_len), (1 << 16, 56));
    let reserved = config.reservations.iter().next().expect("a reservation");
    assert_eq!(reserved.key.id()[..4], [0, 3, 0, 1]);
    assert_eq!(link.lifetimes.valid, Secs(345_600));
    config.model(&[0, 4, 1, 2], [7; 16]).unwrap();
}

#[test]
fn the_variants_that_the_example_names_are_taken() {
    let mut text = EXAMPLE.replace("00:04:…", "00:04:01:02:03").replace(
        "allocation-key = \"…\"",
        "allocation-key = \"000102030405060708090a0b0c0d0e0f\"",
    );
    for key in ["duid", "preference", "allocation-key", "addresses"] {
        text = text.replacen(&format!("# {key} = "), &format!("{key} = "), 1);
    }
    let (before, classes) = text.split_once("# [[class]]").expect("a class");
    let (class, after) = classes.split_once("\n\n").expect("what follows the class");
    let class = class.replace("\n# ", "\n");
    let text = format!("{before}[[class]]{class}\n\n{after}")
        .replace("# class = ", "class = ")
        .replace("# cores = [2, 3]", "cores = [1, 0]")
        .replace("preference = 0", "preference = 200");
    let config = taken(&text);
    assert_eq!(config.duid.as_deref(), Some(&[0, 4, 1, 2, 3][..]));
    assert_eq!(config.allocation_key.unwrap()[15], 15);
    assert_eq!((config.preference, &config.cores[..]), (200, &[1, 0][..]));
    assert_eq!(config.interfaces[0].addresses.len(), 1);
    assert_eq!(config.classes[0].matches.len(), 10);
    assert_eq!(config.links[0].pools[0].classes, ["set-top-box"]);
    assert_eq!(findings(&text), "");
}

#[test]
fn nearer_lifetimes_and_options_override_each_by_itself() {
    let config = taken(
        &EXAMPLE
            .replace(
                "link-addresses = [\"2001:db8:1::/64\"]",
                "link-addresses = [\"2001:db8:1::/64\"]\n\
                 lifetimes = { valid = \"5d\" }\noptions = { dns-servers = [] }",
            )
            .replace(
                "delegated-length = 56",
                "delegated-length = 56\nlifetimes = { preferred = \"1h30m\", valid = \"infinite\" }",
            ),
    );
    let link = &config.links[0];
    assert_eq!(
        (link.lifetimes.preferred, link.lifetimes.valid),
        (Secs(259_200), Secs(432_000))
    );
    assert_eq!(link.pools[0].lifetimes, link.lifetimes);
    assert_eq!(link.pools[1].lifetimes.preferred, Secs(5_400));
    assert_eq!(link.pools[1].lifetimes.valid, Secs::INFINITE);
    assert_eq!(config.lifetimes.valid, Secs(345_600));
    let mut silent = OptionValues::default();
    silent.set(OptionCode::DNS_SERVERS, OptionValue::default());
    assert_eq!(link.options, silent);
}

/// The lab's file, with two workers on a machine of one core.
#[test]
fn a_lab_on_one_core_is_served_with_warnings() {
    let text = r#"[server]
state-dir = "/tmp/lab/state"

[workers]
cores = [0, 0]
idle = "sleep"

[[interface]]
name = "lan0"
io = "auto"

[[interface]]
name = "up0"
io = "auto"

[lifetimes]
preferred = "10s"
valid = "20s"
rapid-commit = true

[options]
dns-servers = ["2001:db8::53"]
domain-search = ["example.net"]

[[link]]
name = "lan"
interface = "lan0"

[[link.address-pool]]
range = "2001:db8:1::1000-2001:db8:1::1fff"

[[link.prefix-pool]]
prefix = "2001:db8:8000::/40"
delegated-length = 56

[[link]]
name = "bng-1"
link-addresses = ["2001:db8:2::/64"]

[[link.address-pool]]
range = "2001:db8:2::/64"

[[link.prefix-pool]]
prefix = "2001:db8:9000::/40"
delegated-length = 56

[control]
socket = "/tmp/lab/control.sock"
"#;
    let (config, report) = parse("t.toml", text, &[0]).unwrap();
    assert_eq!(
        report.0.len(),
        2,
        "one core twice, and short leases:\n{report}"
    );
    assert_eq!(config.cores, [0, 0]);
    assert_eq!(config.links[0].pools[0].count, 4_096);
    assert_eq!(config.links[1].interface, None);
    assert!(config.rapid_commit);
    assert_eq!(config.interface_specs().len(), 2);
    config.model(&[0, 4, 1, 2], [7; 16]).unwrap();
}

#[test]
fn a_file_that_cannot_be_read_is_one_fault() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("absent.toml");
    let report = load(&path, &CORES).unwrap_err().to_string();
    assert!(
        report.contains("absent.toml:1:1: error: cannot be read"),
        "{report}"
    );
    std::fs::write(&path, b"[server]\n# \xff").unwrap();
    let report = load(&path, &CORES).unwrap_err().to_string();
    assert!(
        report.contains("absent.toml:2:3: error: not UTF-8"),
        "{report}"
    );
}

#[test]
fn the_control_socket_is_found_in_a_file_with_faults() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.toml");
    std::fs::write(&path, "x = 1\n[control]\nsocket = \"/run/other.sock\"\n").unwrap();
    assert_eq!(control_socket(&path).unwrap(), Path::new("/run/other.sock"));
    std::fs::write(&path, "").unwrap();
    assert_eq!(control_socket(&path).unwrap(), Path::new(CONTROL_SOCKET));
    std::fs::write(&path, "x = \n").unwrap();
    control_socket(&path).unwrap_err();
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
        start.elapsed().as_secs() < 3,
        "{:?} in a debug build",
        start.elapsed()
    );
}

#[test]
fn no_depth_stops_the_reader() {
    let deep = 50_000;
    for (open, close) in [("[", "]"), ("{a=", "}"), ("a.", "b=1")] {
        let head = if open == "a." { "" } else { "x = " };
        let text = format!("{head}{}{}\n", open.repeat(deep), close.repeat(deep));
        assert!(findings(&text).contains("error: not TOML"), "{open}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_text_stops_the_reader(text in "\\PC{0,200}") {
        let _ = findings(&text);
    }

    #[test]
    fn no_damage_to_a_good_file_stops_the_reader(
        cuts in prop::collection::vec((0..EXAMPLE.len(), 0..40_usize), 1..4),
        put in "([\\PC\n\"\\[\\]{}=.,#0-9]{0,12}|= \\[\\[|\\[\\[link\\]\\])",
    ) {
        let mut text = EXAMPLE.to_owned();
        for (from, len) in cuts {
            let from = text.floor_char_boundary(from);
            let to = text.floor_char_boundary(from.saturating_add(len));
            text.replace_range(from..to, &put);
        }
        let (Ok((_, report)) | Err(report)) = parse("t.toml", &text, &CORES);
        let lines = text.lines().count() + 1;
        for found in &report.0 {
            prop_assert!((1..=lines).contains(&found.line), "{found}");
            prop_assert!(!found.problem.is_empty() && !found.remedy.is_empty(), "{found}");
        }
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
