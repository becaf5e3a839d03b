//! Kea's files, and our own there and back.

use super::*;
use crate::config::{Config, parse};

const NOW: AbsTime = AbsTime(800_000_000);

const KEA_CONFIG: &str = r#"
// A site.
{ "Dhcp6": {
    "interfaces-config": { "interfaces": [ "eth0", "eth1/2001:db8:9::1" ], "re-detect": true },
    "valid-lifetime": 4000, "preferred-lifetime": 3000, "renew-timer": 1000,
    "client-classes": [ { "name": "cpe", "test": "option[16].exists" } ],
    "option-data": [
        { "name": "dns-servers", "data": "2001:db8::53, 2001:db8::54" },
        { "code": 82, "data": "120" }
    ],
    "lease-database": { "type": "memfile" }, # comment
    "subnet6": [ {
        "id": 7, "subnet": "2001:db8:1::/64", "interface": "eth0",
        "pools": [ { "pool": "2001:db8:1::1000 - 2001:db8:1::ffff" } ],
        "pd-pools": [ { "prefix": "2001:db8:8000::", "prefix-len": 40, "delegated-len": 56,
                        "excluded-prefix": "2001:db8:8000::", "excluded-prefix-len": 64 } ],
        "reservations": [
            { "duid": "00:03:00:01:52:54:00:00:00:01", "ip-addresses": [ "2001:db8:1::10" ],
              "hostname": "one" },
            { "flex-id": "'x'", "ip-addresses": [ "2001:db8:1::11" ] }
        ]
    } ],
    "shared-networks": [ {
        "name": "bng-1", "relay": { "ip-addresses": [ "2001:db8:f::1" ] },
        "subnet6": [
            { "id": 8, "subnet": "2001:db8:2::/64", "valid-lifetime": 5000,
              "pools": [ { "pool": "2001:db8:2::/64", "client-class": "cpe" }, ] },
            /* and */
            { "id": 9, "subnet": "2001:db8:3::/64", "valid-lifetime": 5000,
              "pools": [ { "pool": "2001:db8:3::/64" } ] }
        ]
    } ]
} }
"#;

const HEADER: &str = "address,duid,valid_lifetime,expire,subnet_id,pref_lifetime,lease_type,iaid,\
                      prefix_len,fqdn_fwd,fqdn_rev,hostname,hwaddr,state,user_context,hwtype,\
                      hwaddr_source,pool_id";

fn config(state_dir: &std::path::Path) -> Config {
    let converted = convert(KEA_CONFIG, Some("00:03:00:01:02:03:04:05:06:07")).unwrap();
    let duid_line = "duid = ";
    let state = format!("state-dir = {:?}\n{duid_line}", state_dir.display());
    let toml = converted.toml.replacen(duid_line, &state, 1);
    parse("converted", &toml, &[0])
        .expect("what was converted can be served")
        .0
}

async fn run(file: &str, offline: &mut Offline) -> (Tally, String) {
    let rows = Rows::new(file.as_bytes(), None).unwrap();
    let mut out = Vec::new();
    let tally = import(rows, offline, &mut out).await.unwrap();
    (tally, String::from_utf8(out).unwrap())
}

#[test]
fn a_kea_config_is_converted_and_every_key_left_out_is_told() {
    let converted = convert(KEA_CONFIG, Some("00:03:00:01:02:03:04:05:06:07")).unwrap();
    assert_eq!(converted.taken, [2, 4, 1, 1]);
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let names: Vec<&str> = config.links.iter().map(|link| link.name.as_str()).collect();
    assert_eq!(names, ["subnet-7", "bng-1"]);
    assert_eq!(
        config.links[1].link_addresses.len(),
        3,
        "two subnets and the relay"
    );
    assert_eq!(config.links[0].pools.len(), 2);
    assert_eq!(config.links[1].lifetimes.valid.0, 5000);
    let told = converted.left_out.join("\n");
    for key in [
        "re-detect",
        "renew-timer",
        "lease-database",
        "option-data[1]",
        "excluded-prefix-len",
        "hostname",
        "reservations[1]",
    ] {
        assert!(told.contains(key), "{key} is not told: {told}");
    }
    assert!(convert("{}", None).is_err());
    assert!(convert("{\"Dhcp4\": {}}", None).is_err());
    let without = convert(KEA_CONFIG, None).unwrap();
    assert!(without.left_out[0].contains("server DUID"));
}

const KEA_CLASSES: &str = r#"{ "Dhcp6": {
    "interfaces-config": { "interfaces": [ "eth0" ] },
    "client-classes": [
        { "name": "stb", "test": "substring(option[16].hex, 6, 4) == 'stb-'",
          "option-data": [ { "name": "dns-servers", "data": "2001:db8::5353", "always-send": true } ] },
        { "name": "business", "valid-lifetime": 86400, "preferred-lifetime": 43200,
          "test": "substring(relay6[0].option[37].hex, 4, 9) == 'business/'" },
        { "name": "uefi", "test": "option[61].hex == 0x0007 or option[61].hex == 0x0009" },
        { "name": "stb-tv", "test": "member('stb') and option[15].hex == 0x00027476" },
        { "name": "others", "test": "not member('stb')" },
        { "name": "by-hand" },
        { "name": "late", "test": "option[15].exists", "only-if-required": true },
        { "name": "spawned", "template-test": "substring(option[1].hex, 0, 4)" },
        { "name": "after", "test": "member('others')" }
    ],
    "subnet6": [
        { "id": 1, "subnet": "2001:db8:1::/64",
          "option-data": [ { "name": "domain-search", "data": "one.example." } ],
          "pools": [
              { "pool": "2001:db8:1::1000 - 2001:db8:1::1fff", "client-class": "stb" },
              { "pool": "2001:db8:1::2000 - 2001:db8:1::2fff", "client-class": "others",
                "option-data": [ { "name": "dns-servers", "data": "2001:db8::1" } ] },
              { "pool": "2001:db8:1::3000 - 2001:db8:1::3fff",
                "client-classes": [ "uefi", "by-hand", "business" ],
                "option-data": [ { "name": "dns-servers", "data": "2001:db8::2" } ] },
              { "pool": "2001:db8:1::4000 - 2001:db8:1::4fff", "client-class": "ALL",
                "require-client-classes": [ "stb", "late" ] }
          ],
          "reservations": [
              { "duid": "00:03:00:01:52:54:00:00:00:01",
                "ip-addresses": [ "2001:db8:1::11", "2001:db8:1::10" ], "prefixes": [ "2001:db8:7000::/48" ],
                "option-data": [ { "name": "dns-servers", "data": "2001:db8::3" } ],
                "client-classes": [ "by-hand" ] } ] },
        { "id": 2, "subnet": "2001:db8:2::/64", "client-class": "business",
          "pools": [ { "pool": "2001:db8:2::/112" },
                     { "pool": "2001:db8:2::1:0/112", "client-class": "business" } ],
          "pd-pools": [ { "prefix": "2001:db8:8000::", "prefix-len": 40, "delegated-len": 56,
                          "client-class": "stb" } ] }
    ] } }"#;

#[test]
fn kea_classes_become_tables_of_matches_and_pools_stay_closed_to_others() {
    let converted = convert(KEA_CLASSES, Some("00:03:00:01:02:03:04:05:06:07")).unwrap();
    assert_eq!(converted.taken, [2, 5, 1, 4]);
    let (config, report) = parse("converted", &converted.toml, &[0])
        .unwrap_or_else(|report| panic!("{report}\n{}", converted.toml));
    let unused = report.to_string();
    assert_eq!(unused.lines().count(), 1, "{unused}");
    assert!(
        unused.contains("no pool is for class \"stb-tv\""),
        "{unused}"
    );
    let classes: Vec<_> = config
        .classes
        .iter()
        .map(|class| class.name.as_str())
        .collect();
    assert_eq!(classes, ["stb", "business", "uefi", "stb-tv"]);
    assert_eq!(config.classes[3].matches.len(), 2);
    assert!(!config.classes[0].options.is_empty());
    let lifetimes = config.classes[1].lifetimes.unwrap();
    assert_eq!(
        (lifetimes.preferred_secs, lifetimes.valid_secs),
        (43_200, 86_400)
    );
    let pools: Vec<_> = config.links.iter().map(|link| &link.pools).collect();
    let whose: Vec<_> = pools[0].iter().map(|pool| pool.classes.join(" ")).collect();
    assert_eq!(whose, ["stb", "business uefi", ""]);
    assert!(!pools[0][1].options.is_empty());
    let whose: Vec<_> = pools[1].iter().map(|pool| pool.classes.join(" ")).collect();
    assert_eq!(whose, ["business", "business"]);
    let commented = converted.toml.lines().filter(|line| line.starts_with("# "));
    let commented: Vec<_> = commented.collect();
    assert_eq!(
        commented,
        [
            "# [[link.address-pool]]",
            "# range = \"2001:db8:1::2000-2001:db8:1::2fff\"",
            "# [link.address-pool.options]",
            "# dns-servers = [\"2001:db8::1\"]",
            "# [[link.prefix-pool]]",
            "# prefix = \"2001:db8:8000::/40\"",
            "# delegated-length = 56",
        ]
    );
    let reserved: Vec<_> = config.reservations.iter().collect();
    assert_eq!(reserved.len(), 3);
    assert!(reserved.iter().all(|one| !one.terms.options.is_empty()));
    assert_eq!(
        reserved.iter().map(|one| one.rank).collect::<Vec<_>>(),
        [1, 0, 0]
    );
    assert_eq!(
        converted.left_out,
        [
            "client-classes[0].option-data, the place among others: after the options of subnets and \
             pools in Kea, before those of links and pools here",
            "client-classes[4]: class \"others\": `not` cannot be said by a table of matches",
            "client-classes[5]: class \"by-hand\": it has no test, so reservations or hooks say who is \
             in it; here messages do",
            "client-classes[6]: class \"late\": it counts only where it is asked for; classes count \
             everywhere here",
            "client-classes[7]: class \"spawned\": it makes a class of each value; there are no such \
             classes here",
            "client-classes[8]: class \"after\": class \"others\" that it looks at is not taken over",
            "subnet6[0].pools[1].client-class: class \"others\" is not taken over, so the pool is \
             commented out",
            "subnet6[0].pools[2].client-class: class \"by-hand\" is not taken over",
            "subnet6[0].pools[3].require-client-classes: class \"late\" is not taken over",
            "subnet6[0].reservations[0].client-classes: classes are told by what messages say, not by \
             reservations",
            "subnet6[1].pd-pools[0].client-class: a pool is for any of its classes, and here those of \
             the subnet and of the pool must hold: the pool is commented out",
        ]
    );
}

#[tokio::test]
async fn kea_leases_are_taken_in_and_every_other_line_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let later = NOW.unix_secs() + 1000;
    let past = NOW.unix_secs() - 1;
    let lines = [
        // An address, renewed once; a prefix; a declined one.
        format!(
            "2001:db8:1::1001,00:01:02:03,4000,{},7,3000,0,1,128,0,0,,,0,,,,0",
            later - 9
        ),
        format!("2001:db8:8000:100::,00:01:02:03,4000,{later},7,3000,2,1,56,0,0,,,0,,,,0"),
        format!("2001:db8:1::1001,00:01:02:03,4000,{later},7,3000,0,1,128,1,1,host,,0,,,,0"),
        format!("2001:db8:1::1002,00:00:00,4000,{later},7,0,0,0,128,0,0,,,1,,,,0"),
        // A sparse pool: in the part of whichever shard.
        format!("2001:db8:2::77,00:01:02:04,4000,{later},8,3000,0,1,128,0,0,,,0,,,,0"),
        // Deleted later.
        format!("2001:db8:2::78,00:01:02:05,4000,{later},8,3000,0,1,128,0,0,,,0,,,,0"),
        format!("2001:db8:2::78,00:01:02:05,0,{later},8,3000,0,1,128,0,0,,,0,,,,0"),
        // Outside of the pools of its link.
        format!("2001:db8:1::5,00:01:02:06,4000,{later},7,3000,0,1,128,0,0,,,0,,,,0"),
        // Not to be taken in.
        format!("2001:db8:1::1003,00:01:02:07,4000,{past},7,3000,0,1,128,0,0,,,0,,,,0"),
        format!("2001:db8:1::1001,00:01:02:08,4000,{later},7,3000,0,1,128,0,0,,,0,,,,0"),
        format!("2001:db8:77::1,00:01:02:09,4000,{later},70,3000,0,1,128,0,0,,,0,,,,0"),
        format!("2001:db8:8001::,00:01:02:09,4000,{later},7,3000,2,1,60,0,0,,,0,,,,0"),
        format!("2001:db8:1::1004,00:01:02:0a,4000,{later},7,3000,1,1,128,0,0,,,0,,,,0"),
        "2001:db8:1::1004,zz,4000,x,7,3000,0,1,128,0,0,,,0,,,,0".to_owned(),
        "garbage".to_owned(),
    ];
    let file = format!("{HEADER}\n{}\n", lines.join("\n"));
    let config = config(dir.path());
    let mut offline = Offline::open(&config, NOW).unwrap();
    let (tally, told) = run(&file, &mut offline).await;
    offline.close().unwrap();
    let ImportAnswer {
        added,
        updated,
        outside,
        ended,
        ..
    } = tally.total;
    assert_eq!((added, updated, outside, ended), (5, 1, 1, 1), "{told}");
    assert_eq!(tally.refused(), 7, "{told}");
    for (line, word) in [
        (10, "time is over"),
        (11, "another client"),
        (12, "no configured link"),
        (13, "another length"),
        (14, "IA_TA"),
        (15, "not a number"),
        (16, "not"),
    ] {
        let found = told
            .lines()
            .find(|l| l.starts_with(&format!("line {line}:")));
        assert!(found.is_some_and(|l| l.contains(word)), "{line}: {told}");
    }
    assert_eq!(tally.left_out.values().sum::<u64>(), 1, "the hostname");

    // It is all there when the state directory is opened again, and nothing is added twice.
    let mut again = Offline::open(&config, NOW).unwrap();
    let (tally, _) = run(&file, &mut again).await;
    assert_eq!(tally.total.added, 1, "the one that was deleted, again");
    again.close().unwrap();
}

#[tokio::test]
async fn an_export_comes_back_in_both_formats() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let view = BindingView {
        lease: "2001:db8:1::1001".into(),
        kind: "address".into(),
        duid: "00:01:02:03".into(),
        iaid: 7,
        subscriber: "interface-id 65:74:68 behind 2001:db8:1::1".into(),
        subscriber_ia: 1,
        link: "subnet-7".into(),
        pool: String::new(),
        reserved: String::new(),
        status: "active".into(),
        preferred_secs: 10,
        valid_secs: u32::MAX,
        cltt: NOW.into(),
        status_since: NOW.into(),
        expires: AbsTime::NEVER.into(),
        partner: None,
        accepts_reconfigure: true,
        via: "fe:80".into(),
    };
    let csv = format!("{CSV_HEADER}\n{}\n", csv_row(&view));
    let json = serde_json::to_string(&view).unwrap() + "\n";
    for file in [csv, json] {
        let mut rows = Rows::new(file.as_bytes(), None).unwrap();
        let row = rows.next(&mut BTreeMap::new()).unwrap();
        match row {
            Some((_, Row::Lease(back))) => assert_eq!(*back, view),
            other => panic!("{other:?}"),
        }
        assert!(rows.next(&mut BTreeMap::new()).unwrap().is_none());
    }
    let quoted = BindingView {
        link: "a, \"b\"".into(),
        ..view
    };
    match text::parse_csv(&csv_row(&quoted)) {
        Row::Lease(back) => assert_eq!(*back, quoted),
        other => panic!("{other:?}"),
    }
    assert!(Rows::new("who,knows\n".as_bytes(), None).is_err());
    assert!(Rows::new("".as_bytes(), None).is_err());
    drop(config);
}
