use super::super::{Report, parse};
use crate::config::Config;
use engine::{Lifetimes, OptionValues, ReservationKey, ReservationTerms, ReservedLease};
use lease::Lease;
use std::fmt::Write as _;
use std::net::Ipv6Addr;
use wire::OptionCode;

/// A link with pools behind relays, and one with neither pools nor reservations.
const CONFIG: &str = r#"[[interface]]
name = "eth0"
[[link]]
name = "a"
link-addresses = ["2001:db8:a::/64"]
[[link.address-pool]]
range = "2001:db8:a::1000-2001:db8:a::1fff"
[[link.prefix-pool]]
prefix = "2001:db8:8000::/40"
delegated-length = 56
[[link]]
name = "b"
link-addresses = ["2001:db8:b::/64"]
[[link.address-pool]]
range = "2001:db8:b::/64"
"#;

/// The config with these reservations of its own, and these lines in the file it names.
fn read(tables: &str, lines: &str) -> (Result<Config, Report>, String) {
    let (read, name) = read_with_report(tables, lines);
    (read.map(|(config, _)| config), name)
}

fn read_with_report(tables: &str, lines: &str) -> (Result<(Config, Report), Report>, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), lines).unwrap();
    let name = file.path().display().to_string();
    // The tables belong to the first link.
    let (first, second) = CONFIG.split_once("[[link]]\nname = \"b\"").unwrap();
    let text =
        format!("{first}{tables}[[link]]\nname = \"b\"{second}[reservations]\nfile = \"{name}\"\n");
    (parse("t.toml", &text, &[0]), name)
}

fn taken(tables: &str, lines: &str) -> Config {
    read(tables, lines)
        .0
        .unwrap_or_else(|report| panic!("{report}"))
}

/// What is said of the file, its name left out.
fn told(tables: &str, lines: &str) -> Vec<String> {
    let (config, name) = read(tables, lines);
    let report = config.expect_err("a fault").to_string();
    report
        .lines()
        .map(|line| line.replace(&name, "F"))
        .collect()
}

fn table(key: &str) -> String {
    format!("[[link.reservation]]\n{key}\naddress = \"2001:db8:a::1001\"\n")
}

fn lease(text: &str, len: u8) -> Lease {
    Lease {
        addr: text.parse::<Ipv6Addr>().unwrap().to_bits(),
        len,
    }
}

#[test]
fn every_key_reads_the_same_in_the_config_and_in_the_file() {
    let enterprise = Some(3_561);
    for (keys, key) in [
        (
            &[("duid", "\"00:03:00:01:ab\"")][..],
            ReservationKey::Duid(&[0, 3, 0, 1, 0xab]),
        ),
        (
            &[("link-layer-address", "\"52:54:00:12:34:56\"")],
            ReservationKey::LinkLayerAddress(&[0x52, 0x54, 0, 0x12, 0x34, 0x56]),
        ),
        (
            &[("remote-id", "\"line 7\"")],
            ReservationKey::RemoteId {
                enterprise: None,
                id: b"line 7",
            },
        ),
        (
            &[("remote-id", "\"0x00ff\""), ("enterprise-number", "3561")],
            ReservationKey::RemoteId {
                enterprise,
                id: &[0, 0xff],
            },
        ),
        (
            &[("interface-id", "\"eth 1/1:100.7\"")],
            ReservationKey::InterfaceId(b"eth 1/1:100.7"),
        ),
        (
            &[("subscriber-id", "\"M\u{fc}ller\"")],
            ReservationKey::SubscriberId("M\u{fc}ller".as_bytes()),
        ),
    ] {
        let (mut toml, mut json) = (String::new(), String::new());
        for (name, value) in keys {
            writeln!(toml, "{name} = {value}").unwrap();
            write!(json, ",\"{name}\":{value}").unwrap();
        }
        let line = format!("{{\"link\":\"a\",\"address\":\"2001:db8:a::1001\"{json}}}");
        let expected = ReservedLease {
            link: "a",
            key,
            lease: lease("2001:db8:a::1001", 128),
            rank: 0,
            terms: &ReservationTerms::NONE,
        };
        for config in [taken(&table(&toml), ""), taken("", &line)] {
            let found: Vec<_> = config.reservations.iter().collect();
            assert_eq!(found, [expected], "{toml}");
            config.model(&[0, 4, 1, 2], [7; 16]).unwrap();
        }
    }
}

#[test]
fn a_line_reserves_an_address_and_a_prefix_with_lifetimes_of_their_own() {
    let config = taken(
        "",
        "\n{\"link\":\"a\",\"interface-id\":\"p\",\"address\":\"2001:db8:a::1\",\
         \"prefix\":\"2001:db8:7000::/48\",\"lifetimes\":{\"valid\":\"10d\"}}\r\n  \n\
         {\"link\":\"b\",\"interface-id\":\"p\",\"address\":\"2001:db8:b::2\"}",
    );
    let lifetimes = Some(Lifetimes {
        preferred_secs: 259_200,
        valid_secs: 864_000,
    });
    let found: Vec<_> = config.reservations.iter().collect();
    let found: Vec<_> = found
        .iter()
        .map(|r| (r.link, r.lease, r.terms.lifetimes))
        .collect();
    assert_eq!(
        found,
        [
            ("a", lease("2001:db8:a::1", 128), lifetimes),
            ("b", lease("2001:db8:b::2", 128), None),
            ("a", lease("2001:db8:7000::", 48), lifetimes),
        ]
    );
}

#[test]
fn lists_of_leases_read_the_same_in_the_config_and_in_the_file() {
    let toml = "[[link.reservation]]\nsubscriber-id = \"s\"\n\
                address = [\"2001:db8:a::1009\", \"2001:db8:a::1002\"]\n\
                prefix = [\"2001:db8:7000::/48\"]\n";
    let line = r#"{"link":"a","subscriber-id":"s","address":["2001:db8:a::1009","2001:db8:a::1002"],
        "prefix":["2001:db8:7000::/48"]}"#;
    for config in [taken(toml, ""), taken("", &line.replace('\n', ""))] {
        let found: Vec<_> = config.reservations.iter().collect();
        let found: Vec<_> = found.iter().map(|r| (r.lease, r.rank)).collect();
        let expected = [
            (lease("2001:db8:a::1002", 128), 1),
            (lease("2001:db8:a::1009", 128), 0),
            (lease("2001:db8:7000::", 48), 0),
        ];
        assert_eq!(found, expected);
    }
    let swapped = taken(
        &toml.replace("1009\", \"2001:db8:a::1002", "1002\", \"2001:db8:a::1009"),
        "",
    );
    assert_ne!(*swapped.reservations, *taken(toml, "").reservations);
}

#[test]
fn of_a_list_the_item_at_fault_is_told() {
    let tables = "[[link.reservation]]\nsubscriber-id = \"s\"\n\
                  address = [\"2001:db8:a::1009\", \"2001:db8:b::2\", \"x\"]\n\
                  [[link.reservation]]\nsubscriber-id = \"t\"\naddress = []\n\
                  [[link.reservation]]\nsubscriber-id = \"u\"\naddress = \"2001:db8:a::1010\"\n\
                  prefix = [\"2001:db8:7000::/48\", \"2001:db8:7001::/128\"]\n";
    let expected = [
        "t.toml:13:32: error: link[0].reservation[0].address[1]: lies in pool 2001:db8:b::/64",
        "t.toml:13:49: error: link[0].reservation[0].address[2]: \"x\" is not an IPv6 address",
        "t.toml:14:1: error: link[0].reservation[1]: reserves nothing; add address = … or prefix",
        "t.toml:20:33: error: link[0].reservation[2].prefix[1]: a /128 cannot be delegated;",
    ];
    let found = told(tables, "");
    for (told, expected) in found.iter().zip(expected) {
        assert!(told.starts_with(expected), "{told}\nnot\n{expected}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    let twice = "[[link.reservation]]\nsubscriber-id = \"s\"\n\
                 address = [\"2001:db8:a::1009\", \"2001:db8:a::1009\"]\n";
    assert_eq!(
        told(twice, ""),
        [
            "t.toml:13:32: error: link[0].reservation[0].address[1]: 2001:db8:a::1009 is already \
             reserved by link[0].reservation[0].address[1]; reserve a lease for one client only"
        ]
    );
    let many: Vec<_> = (0..9).map(|n| format!("\"2001:db8:a::100{n}\"")).collect();
    let line = format!(
        r#"{{"link":"a","duid":"000301","address":[{}]}}"#,
        many.join(",")
    );
    assert_eq!(
        told("", &line),
        [
            "F:1:1: error: address: one reservation keeps at most 8 addresses and 8 prefixes; a client \
             with more needs a pool of its own"
        ]
    );
    let line = r#"{"link":"a","duid":"000301","address":[1]}"#;
    assert!(told("", line)[0].contains("invalid type: integer `1`, expected a string"));
}

#[test]
fn options_read_the_same_in_the_config_and_in_the_file() {
    let mut options = OptionValues::default();
    let server: Ipv6Addr = "2001:db8::53".parse().unwrap();
    options = options.with(OptionCode::DNS_SERVERS, server.octets().to_vec());
    let vendor = vec![0, 0, 0x0d, 0xe9, 0, 1, 0, 1, b'x'];
    options = options.with(OptionCode::VENDOR_OPTS, vendor);
    options.set(OptionCode::SNTP_SERVERS, Default::default());
    let toml = "duid = \"00:03:01\"\noptions = { dns-servers = [\"2001:db8::53\"], off = [\"sntp-servers\"], \
                vendor = [{ enterprise = 3561, option = [{ code = 1, text = \"x\" }] }] }";
    let line = |number: u8| {
        format!(
            r#"{{"link":"a","subscriber-id":"{number}","prefix":"2001:db8:700{number}::/48",
            "options":{{"vendor":[{{"enterprise":3561,"option":[{{"text":"x","code":1}}]}}],
            "off":["sntp-servers"],"dns-servers":["2001:db8::53"]}}}}"#
        )
        .replace('\n', "")
    };
    let config = taken(&table(toml), &[line(1), line(2)].join("\n"));
    let found: Vec<_> = config.reservations.iter().collect();
    assert_eq!(found.len(), 3);
    for reserved in found {
        assert_eq!(reserved.terms.options, options, "{reserved:?}");
    }
}

#[test]
fn options_of_a_line_are_at_fault_by_their_own_keys_and_warned_of_once() {
    let line = |number: usize, options: &str| {
        let prefix = format!("2001:db8:700{number}::/48");
        format!(
            r#"{{"link":"a","subscriber-id":"{number}","prefix":"{prefix}","options":{options}}}"#
        )
    };
    let lines = [
        line(1, r#"{"dns-servers":["ff02::1"]}"#),
        line(2, r#"{"dns-server":["2001:db8::53"]}"#),
        line(3, r#"{"always":["dns-servers"]}"#),
        line(4, r#"{"boot-file-url":null}"#),
        line(5, r#"["dns-servers"]"#),
        line(6, r#"{"raw":[{"code":13,"hex":"00"}]}"#),
        line(7, r#"{}"#),
    ];
    let expected = [
        "F:1:1: error: options.dns-servers[0]: ff02::1 cannot be a server; write a unicast",
        "F:2:1: error: options.dns-server: unknown key; did you mean \"dns-servers\"?",
        "F:3:1: error: options.always: ",
        "F:4:1: error: options: ",
        "F:5:72: error: not a reservation in JSON: ",
        "F:6:1: error: options.raw[0].code: ",
    ];
    let found = told("", &lines.join("\n"));
    for (told, expected) in found.iter().zip(expected) {
        assert!(told.starts_with(expected), "{told}\nnot\n{expected}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    let url = "x".repeat(1_000);
    let large = format!(r#"{{"boot-file-url":"tftp://{url}"}}"#);
    let (config, name) = read_with_report("", &[line(1, &large), line(2, &large)].join("\n"));
    let report = config.unwrap().1.to_string();
    assert_eq!(
        report.replace(&name, "F"),
        "F:1:1: warning: options: 1011 octets of options may not fit into one packet; a reply that \
         does not fit is not sent: give fewer values\n"
    );
}

#[test]
fn the_sample_beside_the_commented_example_is_taken() {
    const EXAMPLE: &str = include_str!("../../../etc/twinlease.toml");
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/etc/reservations.jsonl");
    let text = EXAMPLE
        .replace("# [reservations]", "[reservations]")
        .replace(
            "# file = \"/etc/twinlease/reservations.jsonl\"",
            &format!("file = {sample:?}"),
        );
    let (config, report) = parse("t.toml", &text, &[0, 1, 2, 3]).expect("no fault");
    assert_eq!(report.to_string(), "");
    assert_eq!(config.reservations.len(), 2 + 8);
}

#[test]
fn a_reservation_has_one_key() {
    let refused = |keys: &str| told(&table(keys), "").join("\n");
    for (keys, said) in [
        (
            "",
            "t.toml:11:1: error: link[0].reservation[0]: does not say whose it is; add duid, ",
        ),
        (
            "duid = \"00:03:01\"\nremote-id = \"r\"",
            "link[0].reservation[0]: is keyed by duid and by remote-id; keep one of them",
        ),
        (
            "duid = \"00:03:01\"\nenterprise-number = 1",
            "numbers the remote-id, and there is none; remove it",
        ),
        (
            "remote-id = \"0xabc\"",
            "\"0xabc\" is not hexadecimal behind 0x",
        ),
        (
            "interface-id = \"\"",
            "is empty; write text in quotes, or octets",
        ),
        ("link-layer-address = \"x\"", "\"x\" is not hexadecimal"),
    ] {
        let told = refused(keys);
        assert!(told.contains(said), "{keys}: {told}");
        assert_eq!(told.lines().count(), 1, "{keys}: {told}");
    }
    let long = format!("interface-id = \"{}\"", "x".repeat(256));
    assert!(refused(&long).contains("has 256 octets; write 1 to 255"));
}

#[test]
fn faults_of_the_file_are_told_with_line_and_remedy() {
    let lines = [
        r#"{"link":"a","remote-id":"1","address":"2001:db8:a::1001"}"#,
        r#"{"link":"c","remote-id":"2","address":"2001:db8:a::1002"}"#,
        r#"{"link":"a","remote-id":"3","address":"2001:db8:b::1"}"#,
        r#"{"link":"a","remote-id":"4","address":"2001:db8:c::1"}"#,
        r#"{"link":"a","remote-id":"5","prefix":"2001:db8:8000::/60"}"#,
        r#"{"link":"a","remote-id":"6"}"#,
        r#"{"link":"a","address":"2001:db8:a::1001","remote":"7"}"#,
        r#"{"link":"a","remote-id":"8","address":"2001:db8:a::1001"}"#,
        r#"{"link":"a","remote-id":"1","address":"2001:db8:a::1009"}"#,
        r#"{"link":"a","remote-id":"10","address":"2001:db8:a::1x"}"#,
        r#"{"link":"a","remote-id":"11","prefix":"2001:db8:7000::/48","lifetimes":{"valid":"1d"}}"#,
        r#"{"link":"a","duid":"00","remote-id":"12","prefix":"2001:db8:7001::/48"}"#,
        r#"not JSON"#,
    ];
    let told = told(
        &table("duid = \"00:03:01\"").replace("1001", "1008"),
        &lines.join("\n"),
    );
    let expected = [
        "F:2:1: error: link: no link has the name \"c\"; name one of the config's links",
        "F:3:1: error: address: lies in pool 2001:db8:b::/64 of link \"b\"; reserve it in",
        "F:4:1: error: address: 2001:db8:c::1 is not on link \"a\"; choose one inside",
        "F:5:1: error: prefix: lies in pool 2001:db8:8000::/40 but is no /56; reserve one",
        "F:6:1: error: reserves nothing; add \"address\" or \"prefix\"",
        "F:7:49: error: not a reservation in JSON: unknown field `remote`, expected one of `link`,",
        "F:8:1: error: address: 2001:db8:a::1001 is already reserved by line 1; reserve a lease",
        "F:9:1: error: address: this client already has line 1 on this link; list all addresses",
        "F:10:1: error: address: \"2001:db8:a::1x\" is not an IPv6 address; write",
        "F:11:1: error: lifetimes: a preferred lifetime of 3d and a valid one of 1d cannot be;",
        "F:12:1: error: remote-id: is keyed by duid and by remote-id; keep one of them",
        "F:13:2: error: not a reservation in JSON: expected ident; write one object a line,",
    ];
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "{told}\nnot\n{expected}");
    }
    assert_eq!(told.len(), expected.len(), "{told:#?}");
}

#[test]
fn what_the_config_reserves_already_is_the_fault_of_the_file() {
    let own = table("duid = \"00:03:01\"");
    assert_eq!(
        told(
            &own,
            r#"{"link":"a","remote-id":"1","address":"2001:db8:a::1001"}"#
        ),
        [
            "F:1:1: error: address: 2001:db8:a::1001 is already reserved by \
          link[0].reservation[0].address; reserve a lease for one client only"
        ]
    );
    assert_eq!(
        told(
            &own,
            r#"{"link":"a","duid":"00:03:01","address":"2001:db8:a::1002"}"#
        ),
        [
            "F:1:1: error: address: this client already has link[0].reservation[0].address on this \
          link; list all addresses and all prefixes of a client in one reservation"
        ]
    );
}

#[test]
fn of_very_many_faults_some_are_told_and_the_others_counted() {
    let told = told("", &"{}\n".repeat(1_000));
    assert_eq!(told.len(), 101);
    assert!(told[0].starts_with("F:1:2: error: not a reservation in JSON: missing field `link`"));
    assert_eq!(
        told[100],
        "F:100:1: error: 900 more faults; correct those above first"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_a_fault_of_the_key() {
    let text = format!("{CONFIG}[reservations]\nfile = \"/nowhere/at.all\"\n");
    let told = parse("t.toml", &text, &[0])
        .expect_err("no such file")
        .to_string();
    let said = "t.toml:17:8: error: reservations.file: /nowhere/at.all cannot be read: ";
    assert!(told.starts_with(said), "{told}");
    let long = format!("{{\"link\":\"{}\"}}", "x".repeat(70_000));
    assert!(self::told("", &long)[0].starts_with("F:1:1: error: is longer than 65536 octets"));
}
