use super::*;

/// The lines of a class with this test, `; ` between them.
fn taken(test: &str) -> Result<String, String> {
    let member = |name: &str| match name {
        "phones" => matches("substring(option[16].hex, 6, 5) == 'phone'", &|_| None).ok(),
        _ => None,
    };
    let lines: Vec<String> = matches(test, &member)?.iter().map(Match::toml).collect();
    Ok(lines.join("; "))
}

#[test]
fn what_a_table_says_as_well_is_taken_over() {
    for (test, lines) in [
        (
            "substring(option[16].hex, 6, 5) == 'phone'",
            "vendor-class = [\"phone*\"]",
        ),
        (
            "substring(option[vendor-class].hex,6,all) == 'modem 7'",
            "vendor-class = [\"modem 7\"]",
        ),
        (
            "option[16].hex == 0x0000118b00056465763a31",
            "vendor-class = [{ enterprise = 4491, text = \"dev:1\" }]",
        ),
        (
            "substring(option[16].hex,0,4) == 0x0000118b",
            "vendor-class = [4491]",
        ),
        ("vendor-class[4491].exists", "vendor-class = [4491]"),
        ("vendor-class[*].exists", "vendor-class = [\"*\"]"),
        ("vendor-class.enterprise == 4491", "vendor-class = [4491]"),
        (
            "vendor-class[4491].data[0] == 'docsis3.0'",
            "vendor-class = [{ enterprise = 4491, text = \"docsis3.0\" }]",
        ),
        (
            "vendor-class.enterprise == 9 and substring(vendor-class.data, 0, 2) == 'ab'",
            "vendor-class = [{ enterprise = 9, text = \"ab*\" }]",
        ),
        ("vendor.enterprise == 3561", "vendor-opts = [3561]"),
        ("vendor[3561].exists", "vendor-opts = [3561]"),
        ("option[15].exists", "user-class = [\"*\"]"),
        (
            "substring(option[15].hex,2,4) == 'iPXE'",
            "user-class = [\"iPXE*\"]",
        ),
        (
            "option[user-class].hex == 0x000469505845",
            "user-class = [\"iPXE\"]",
        ),
        (
            "substring(option[15].hex, -3, all) == 'XE2'",
            "user-class = [\"*XE2\"]",
        ),
        ("option[61].hex == 0x0007", "architecture = [7]"),
        (
            "option[61].hex == 0x0007 or 0x0009 == option[61].hex or (option[61].hex == 0x0007)",
            "architecture = [7, 9]",
        ),
        (
            "substring(option[1].hex,0,4) == 0x00030001",
            "duid = [\"00:03:00:01:*\"]",
        ),
        ("option[1].exists", "duid = [\"*\"]"),
        (
            "relay6[-1].option[18].hex == 'ge-0/0/1'",
            "interface-id = [\"ge-0/0/1\"]",
        ),
        (
            "substring(relay6[0].option[37].hex, 4, 9) == 'business/'",
            "remote-id = [\"business/*\"]",
        ),
        (
            "relay6[0].option[37].hex == 0x00000de96c01",
            "remote-id = [{ enterprise = 3561, hex = \"6c:01\" }]",
        ),
        (
            "substring(relay6[0].option[37].hex, 0, 4) == 0x00000de9",
            "remote-id = [3561]",
        ),
        (
            "relay6[0].option[38].hex == 'a*b'",
            "subscriber-id = [{ hex = \"61:2a:62\" }]",
        ),
        ("relay6[0].option[53].exists", "relay-id = [\"*\"]"),
        (
            "substring(relay6[0].option[79].hex, 2, 3) == 0x525400",
            "link-layer-address = [\"52:54:00:*\"]",
        ),
        (
            "relay6[0].option[79].hex == 0x0001525400123456",
            "link-layer-address = [\"52:54:00:12:34:56\"]",
        ),
        (
            "member('phones') and (option[15].hex == 0x000161 or option[15].hex == 0x000162)",
            "vendor-class = [\"phone*\"]; user-class = [\"a\", \"b\"]",
        ),
        (
            "member('ALL') and option[61].hex == 0x0007",
            "architecture = [7]",
        ),
        ("member('ALL')", ""),
    ] {
        assert_eq!(taken(test).as_deref(), Ok(lines), "{test}");
    }
}

#[test]
fn what_no_table_says_is_told_with_its_reason() {
    for (test, why) in [
        ("not option[15].exists", "`not` cannot be said"),
        (
            "member('other')",
            "class \"other\" that it looks at is not taken over",
        ),
        (
            "option[61].hex == 0x0007 or option[15].exists",
            "`or` between architecture and user-class",
        ),
        (
            "option[61].hex == 0x0007 or member('phones') and option[15].exists",
            "`or` between groups of conditions",
        ),
        (
            "substring(option[1].hex,0,2) == 0x0003 and substring(option[1].hex,-2,all) == 0x0003",
            "two conditions on duid must both hold",
        ),
        (
            "substring(option[1].hex, 4, 3) == 0x525400",
            "into the middle of an option",
        ),
        (
            "substring(option[16].hex, 7, 3) == 'tea'",
            "into the middle of an option",
        ),
        (
            "substring(option[15].hex, 2, 3) == 'iPXE'",
            "3 octets are compared with 4",
        ),
        (
            "option[15].hex == 'iPXE'",
            "several strings, or with a part",
        ),
        (
            "option[17].exists",
            "vendor options are looked at by their enterprise number",
        ),
        (
            "vendor[3561].option[1].exists",
            "classes do not look inside of options",
        ),
        ("vendor-class[9].data[1] == 'x'", "not one by its place"),
        ("option[8].exists", "option 8 of a client is not looked at"),
        ("relay6[1].option[18].exists", "not one by its place"),
        ("relay6[0].linkaddr == 2001", "only options of relays"),
        ("pkt6.msgtype == 1", "`pkt6` cannot be said"),
        ("known", "`known` cannot be said"),
        (
            "option[61].hex == 7",
            "other things than an option and a constant",
        ),
        (
            "option[61].hex == 0x000700",
            "an architecture has two octets",
        ),
        ("option[18].hex == ''", "is not looked at"),
        (
            "relay6[0].option[18].hex == ''",
            "a comparison with nothing",
        ),
        (
            "relay6[0].option[79].hex == 0x0020525400123456",
            "without hardware type",
        ),
        (
            "option[61].hex == 0x0007 option[61]",
            "stands where nothing can follow",
        ),
        ("option[61].hex", "it ends where == is expected"),
        ("option[61", "] is missing"),
        ("", "it ends in the middle"),
        ("'a", "a quote is not closed"),
        ("0xzz == option[1].hex", "0xzz is no hexadecimal constant"),
        (
            "vendor.enterprise == -1",
            "an enterprise number has 32 bits",
        ),
        ("vendor[-1].exists", "an enterprise number has 32 bits"),
        ("a ä", "'ä' is not understood"),
        (&"(".repeat(100_000), "its parentheses are too deep"),
        (
            "substring(option[1].hex, -9223372036854775808, all) == 'a'",
            "into the middle",
        ),
    ] {
        let told = taken(test).expect_err(test);
        assert!(told.contains(why), "{test}: {told}");
    }
}
