use super::super::{Config, parse};
use engine::{OptionValue, OptionValues};
use wire::OptionCode;

const HEAD: &str = "[[interface]]\nname = \"eth0\"\n\
    [[link]]\nname = \"a\"\ninterface = \"eth0\"\n\
    [[link.address-pool]]\nrange = \"2001:db8::/64\"\n";

fn taken(options: &str) -> Config {
    match parse("t.toml", &format!("{HEAD}{options}"), &[0]) {
        Ok((config, report)) if report.0.is_empty() => config,
        Ok((_, report)) | Err(report) => panic!("{options}\n{report}"),
    }
}

fn findings(options: &str) -> String {
    match parse("t.toml", &format!("{HEAD}{options}"), &[0]) {
        Ok((_, report)) | Err(report) => report.to_string(),
    }
}

fn hex(text: &str) -> Vec<u8> {
    super::super::value::parse_hex(&text.replace(' ', "")).unwrap()
}

/// One option written in TOML, its code and its data.
#[track_caller]
fn is_encoded(options: &str, code: u16, data: &[u8]) {
    let expected = OptionValues::default().with(OptionCode(code), data.to_vec());
    assert_eq!(taken(&format!("[options]\n{options}\n")).options, expected);
}

#[test]
fn every_key_has_the_form_of_its_rfc() {
    let server = hex("20010db8000000000000000000000053");
    is_encoded("dns-servers = [\"2001:db8::53\"]", 23, &server);
    is_encoded("sntp-servers = [\"2001:db8::53\"]", 31, &server);
    is_encoded(
        "domain-search = [\"a.bc\", \"d\"]",
        24,
        b"\x01a\x02bc\0\x01d\0",
    );
    let ntp = [
        &hex("0001 0010")[..],
        &server,
        &hex("0002 0010 ff050000000000000000000000000101"),
        &hex("0003 0006"),
        b"\x01t\x02ex\0",
    ];
    is_encoded(
        "ntp-servers = [\"2001:db8::53\", \"ff05::101\", \"t.ex\"]",
        56,
        &ntp.concat(),
    );
    is_encoded("information-refresh-time = \"10m\"", 32, &[0, 0, 2, 88]);
    is_encoded("sol-max-rt = \"1h\"", 82, &[0, 0, 14, 16]);
    is_encoded("inf-max-rt = \"1m\"", 83, &[0, 0, 0, 60]);
    is_encoded("aftr-name = \"aftr.ex\"", 64, b"\x04aftr\x02ex\0");
    is_encoded("boot-file-url = \"tftp://[::1]/x\"", 59, b"tftp://[::1]/x");
    is_encoded(
        "boot-file-parameters = [\"a\", \"bc\"]",
        60,
        b"\0\x01a\0\x02bc",
    );
    is_encoded("captive-portal = \"https://p\"", 103, b"https://p");
    is_encoded(
        "vendor = [{ enterprise = 4491, option = [{ code = 1, u16 = 7 }, { code = 2, hex = \"\" }] }]",
        17,
        &hex("0000118b 0001 0002 0007 0002 0000"),
    );
}

#[test]
fn raw_options_are_octets_or_typed() {
    for (data, octets) in [
        ("hex = \"00:ff\"", &[0, 255][..]),
        ("hex = \"\"", &[]),
        ("text = \"ab\"", b"ab"),
        (
            "addresses = [\"::1\"]",
            &hex("00000000000000000000000000000001"),
        ),
        ("names = [\"a\", \"b\"]", b"\x01a\0\x01b\0"),
        ("u8 = 7", &[7]),
        ("u16 = 7", &[0, 7]),
        ("u32 = 7", &[0, 0, 0, 7]),
    ] {
        is_encoded(&format!("raw = [{{ code = 250, {data} }}]"), 250, octets);
    }
}

#[test]
fn rfc7598_containers_hold_their_options() {
    let rule = "rule = [{ ipv6-prefix = \"2001:db8::/40\", ipv4-prefix = \"192.0.2.0/24\", \
        ea-length = 16, forwarding = true, psid-offset = 6, psid-length = 8, psid = 0x34 }]";
    let rule_option = hex("0059 0015 01 10 18 c0000200 28 20010db800 005d 0004 06 08 3400");
    let relay = hex("005a 0010 20010db8000000000000000000000001");
    is_encoded(
        &format!("map-e = {{ {rule}, border-relays = [\"2001:db8::1\"] }}"),
        94,
        &[&rule_option[..], &relay].concat(),
    );
    let default = hex("005b 0009 40 20010db8ffff0000");
    is_encoded(
        &format!("map-t = {{ {rule}, default-mapping-rule = \"2001:db8:ffff::/64\" }}"),
        95,
        &[&rule_option[..], &default].concat(),
    );
    let binding = hex("005c 0014 c0000207 38 20010db8000001 005d 0004 00 04 a000");
    let binding = [&relay[..], &binding].concat();
    is_encoded(
        "lw4o6 = { border-relays = [\"2001:db8::1\"], binding = [{ ipv4-address = \"192.0.2.7\", \
         ipv6-prefix = \"2001:db8:0:100::/56\", psid-length = 4, psid = 10 }] }",
        96,
        &binding.into_iter().collect::<Vec<u8>>(),
    );
}

#[test]
fn values_are_always_sent_or_silenced_where_that_is_said() {
    let config = taken(
        "options = { dns-servers = [], off = [\"aftr-name\", 250] }\n\
         [options]\ncaptive-portal = \"https://p\"\nalways = [\"captive-portal\"]\n",
    );
    let mut global = OptionValues::default();
    let value = OptionValue {
        instances: vec![b"https://p".to_vec()],
        always: true,
    };
    global.set(OptionCode::CAPTIVE_PORTAL, value);
    assert_eq!(config.options, global);
    let mut pool = OptionValues::default();
    for code in [23, 64, 250] {
        pool.set(OptionCode(code), OptionValue::default());
    }
    assert_eq!(config.links[0].pools[0].options, pool);
    config.model(&[0, 4, 1, 2], [7; 16]).unwrap();
}

#[test]
fn every_fault_of_an_option_has_its_line_its_key_and_a_remedy() {
    for (options, said) in [
        (
            "dns-servers = [\"ff02::1\"]",
            "t.toml:9:16: error: options.dns-servers[0]: ff02::1 cannot be a server; write a",
        ),
        (
            "sol-max-rt = \"5s\"",
            "t.toml:9:14: error: options.sol-max-rt: is out of range; write a duration from \"60s\"",
        ),
        (
            "information-refresh-time = \"1m\"",
            "t.toml:9:28: error: options.information-refresh-time: is too short; write at least",
        ),
        (
            "raw = [{ code = 23, u8 = 1 }]",
            "options.raw[0].code: OPTION_DNS_SERVERS has a key of its own; write dns-servers = …",
        ),
        (
            "raw = [{ code = 13, u8 = 1 }]",
            "options.raw[0].code: OPTION_STATUS_CODE is written by rules of its own",
        ),
        (
            "raw = [{ code = 250, u8 = 1, text = \"a\" }]",
            "options.raw[0]: has data in several forms; write one of hex, text",
        ),
        (
            "raw = [{ code = 250 }]",
            "options.raw[0]: has no data; write one of",
        ),
        (
            "raw = [{ code = 250, hex = \"0g\" }]",
            "options.raw[0].hex: \"0g\" is not hexadecimal",
        ),
        (
            "always = [\"dns-server\"]",
            "options.always[0]: names no option; write a number, or one of: dns-servers, domain",
        ),
        (
            "always = [\"aftr-name\"]",
            "options.always: OPTION_AFTR_NAME has no value in this table; give it one",
        ),
        (
            "sol-max-rt = \"1h\"\nalways = [\"sol-max-rt\"]",
            "options.always: OPTION_SOL_MAX_RT may be sent only to clients that ask for it",
        ),
        (
            "aftr-name = \"a\"\noff = [64]",
            "options.off: OPTION_AFTR_NAME has a value in this table; remove the one or",
        ),
        (
            "map-e = { border-relays = [\"2001:db8::1\"] }",
            "options.map-e: has no rule; add rule = [{ ipv6-prefix",
        ),
        (
            "map-t = { rule = [{ ipv6-prefix = \"2001:db8::/40\", ipv4-prefix = \"192.0.2.0/24\", \
             ea-length = 49 }], default-mapping-rule = \"2001:db8::/64\" }",
            "options.map-t.rule[0].ea-length: 49 is out of range; write a number from 0 to 48",
        ),
        (
            "lw4o6 = { border-relays = [\"2001:db8::1\"], binding = [{ ipv4-address = \"192.0.2.7\", \
             ipv6-prefix = \"2001:db8::/56\", psid-length = 4, psid = 16 }] }",
            "options.lw4o6.binding[0].psid: does not fit into 4 bits; raise psid-length",
        ),
    ] {
        let report = findings(&format!("[options]\n{options}\n"));
        assert!(report.contains(said), "{options}: {report}");
        assert_eq!(report.matches(": error: ").count(), 1, "{report}");
    }
    let many = ["\"2001:db8::1\""; 9].join(", ");
    let report = findings(&format!("[options]\ndns-servers = [{many}]\n"));
    assert!(
        report.contains("9 items are too many for one packet; keep the first 8"),
        "{report}"
    );
    let long = "x".repeat(900);
    let report = findings(&format!("[options]\ncaptive-portal = \"https://{long}\"\n"));
    assert!(
        report.contains("warning: options: 912 octets of options may not fit"),
        "{report}"
    );
}
