//! A Kea config and 100,000 lines of Kea's lease file: imported with a report, found again after a
//! restart, and every imported client renews what it had.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use engine::{Context, Ingress, InterfaceId, Outcome, answer, parse};
use lease::{AbsTime, Shard};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::Ipv6Addr;
use twinlease::import::{Offline, Rows, convert, import};
use twinlease::state_dir::StateDir;
use twinlease::{config, recovery, run};

const ROWS: u32 = 100_000;
const NOW: AbsTime = AbsTime(800_000_000);
const SERVER: [u8; 10] = [0, 3, 0, 1, 2, 0, 0, 0, 0, 1];

const KEA_CONFIG: &str = r#"{ "Dhcp6": {
    "valid-lifetime": 4000, "preferred-lifetime": 3000,
    "interfaces-config": { "interfaces": [ "eth0" ] },
    "subnet6": [
        { "id": 1, "subnet": "2001:db8:1::/64",
          "pools": [ { "pool": "2001:db8:1::/64" } ],
          "pd-pools": [ { "prefix": "2001:db8:8000::", "prefix-len": 36, "delegated-len": 56 } ] },
        { "id": 2, "subnet": "2001:db8:2::/64",
          "pools": [ { "pool": "2001:db8:2::1:0-2001:db8:2::2:ffff" } ] }
    ] } }"#;

/// Every client has an address or a prefix; every tenth line is an older state of the next one,
/// every thousandth is none.
fn lease_file() -> (String, BTreeMap<u32, String>) {
    let mut file = "address,duid,valid_lifetime,expire,subnet_id,pref_lifetime,lease_type,iaid,\
                    prefix_len,fqdn_fwd,fqdn_rev,hostname,hwaddr,state,user_context\n"
        .to_owned();
    let mut held = BTreeMap::new();
    let ends = NOW.unix_secs() + 2000;
    for number in 0..ROWS {
        let client = if number % 10 == 0 { number + 1 } else { number };
        let ends = if number % 10 == 0 { ends - 1000 } else { ends };
        let duid = format!("00:03:00:01:{}", hex(&client.to_be_bytes()));
        if number % 1000 == 999 {
            writeln!(
                file,
                "2001:db8:1::{client:x},{duid},oops,,1,,0,1,128,0,0,,,0,"
            )
            .unwrap();
            continue;
        }
        let (lease, subnet, kind, len) = match client % 3 {
            0 => {
                let (high, low) = (1 + (client >> 16), client & 0xffff);
                let text = format!("2001:db8:1::{high:x}:{low:x}:1");
                let addr = text.parse::<Ipv6Addr>().unwrap();
                (addr.to_string(), 1, 0, 128)
            }
            1 => {
                let addr = 0x2001_0db8_8000_u128 << 80 | u128::from(client) << 72;
                (Ipv6Addr::from_bits(addr).to_string(), 1, 2, 56)
            }
            _ => {
                let text = format!("2001:db8:2::{:x}:{:x}", 1 + (client >> 16), client & 0xffff);
                let addr = text.parse::<Ipv6Addr>().unwrap();
                (addr.to_string(), 2, 0, 128)
            }
        };
        writeln!(
            file,
            "{lease},{duid},4000,{ends},{subnet},3000,{kind},7,{len},0,0,,,0,"
        )
        .unwrap();
        held.insert(client, lease);
    }
    (file, held)
}

fn hex(octets: &[u8]) -> String {
    let octets: Vec<String> = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    octets.join(":")
}

#[tokio::test]
async fn a_kea_server_moves_here_and_its_clients_renew() {
    let dir = tempfile::tempdir().unwrap();
    let converted = convert(KEA_CONFIG, Some(&hex(&SERVER))).unwrap();
    assert_eq!(converted.left_out, [""; 0]);
    let state = format!("[server]\nstate-dir = {:?}", dir.path());
    let toml = converted.toml.replacen("[server]", &state, 1);
    let (config, _) = config::parse("converted", &toml, &[0]).unwrap();

    let (file, held) = lease_file();
    let rows = Rows::new(file.as_bytes(), None).unwrap();
    let mut offline = Offline::open(&config, NOW).unwrap();
    let mut told = Vec::new();
    let tally = import(rows, &mut offline, &mut told).await.unwrap();
    offline.close().unwrap();
    let told = String::from_utf8(told).unwrap();
    assert_eq!(tally.lines, u64::from(ROWS));
    assert_eq!(
        tally.total.added,
        held.len() as u64,
        "{}",
        &told[..told.len().min(2000)]
    );
    assert_eq!(tally.refused(), u64::from(ROWS) / 1000);
    assert_eq!(told.lines().count(), ROWS as usize / 1000, "a line each");
    assert_eq!(
        tally.total.added + tally.total.updated + tally.refused(),
        u64::from(ROWS)
    );

    let state_dir = StateDir::open(dir.path()).unwrap();
    let model = run::identity(&config, &state_dir).unwrap().model;
    let journal = state_dir.path().join("journal");
    let disk = journal::Disk::open(&journal).unwrap();
    let restored = recovery::restore(disk, false, &model, &recovery::owners(1), 1).unwrap();
    assert!(restored.conflicting.is_empty());
    let mut shards: Vec<Shard> = restored.shards.into_iter().flatten().collect();
    shards.sort_by_key(Shard::id);
    let mut out = [0; 1500];
    for (client, lease) in &held {
        let renew = renew(*client, lease);
        let link = if client % 3 == 2 {
            "2001:db8:2::1"
        } else {
            "2001:db8:1::1"
        };
        let payload = relayed(link, &renew);
        let ingress = Ingress {
            payload: &payload,
            interface: InterfaceId(0),
            source: "2001:db8:f::1".parse().unwrap(),
            destination: "2001:db8:f::2".parse().unwrap(),
        };
        let parsed = parse(&ingress).unwrap();
        let context = Context::alone(&model, AbsTime(NOW.0 + 10));
        let shard = &mut shards[usize::from(parsed.shard(&model).0)];
        let outcome = answer(&context, shard, &parsed, &mut out, &mut |_| {});
        let Outcome::Reply { len, .. } = outcome else {
            panic!("client {client}: {outcome:?}");
        };
        let granted = granted(&out[..len]);
        assert_eq!(granted, [(lease.clone(), 4000)], "client {client}");
    }
}

/// A Renew as a client of Kea's sends it.
fn renew(client: u32, lease: &str) -> Vec<u8> {
    let mut message = vec![5, 1, 2, 3];
    let client_octets = client.to_be_bytes();
    option(
        &mut message,
        1,
        &[&[0, 3, 0, 1][..], &client_octets].concat(),
    );
    option(&mut message, 2, &SERVER);
    let octets = lease.parse::<Ipv6Addr>().unwrap().octets();
    let mut ia = vec![0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0];
    if client % 3 == 1 {
        option(&mut ia, 26, &[&[0; 8][..], &[56], &octets].concat());
        option(&mut message, 25, &ia);
    } else {
        option(&mut ia, 5, &[&octets[..], &[0; 8]].concat());
        option(&mut message, 3, &ia);
    }
    message
}

fn relayed(link: &str, message: &[u8]) -> Vec<u8> {
    let mut forward = vec![12, 0];
    forward.extend(link.parse::<Ipv6Addr>().unwrap().octets());
    forward.extend("fe80::1".parse::<Ipv6Addr>().unwrap().octets());
    option(&mut forward, 9, message);
    forward
}

fn option(out: &mut Vec<u8>, code: u16, data: &[u8]) {
    out.extend(code.to_be_bytes());
    out.extend((data.len() as u16).to_be_bytes());
    out.extend(data);
}

/// The leases with their valid lifetimes in a relayed Reply.
fn granted(reply: &[u8]) -> Vec<(String, u32)> {
    let find = |octets: &[u8], code: u16| -> Vec<Vec<u8>> {
        let (mut found, mut rest) = (Vec::new(), octets);
        while rest.len() >= 4 {
            let len = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
            if u16::from_be_bytes([rest[0], rest[1]]) == code {
                found.push(rest[4..4 + len].to_vec());
            }
            rest = &rest[4 + len..];
        }
        found
    };
    let inner = find(&reply[34..], 9).remove(0);
    let word = |octets: &[u8]| u32::from_be_bytes(octets[..4].try_into().unwrap());
    let address = |octets: &[u8]| {
        let octets: [u8; 16] = octets[..16].try_into().unwrap();
        Ipv6Addr::from(octets).to_string()
    };
    let mut leases = Vec::new();
    for ia in find(&inner[4..], 3) {
        let inside = find(&ia[12..], 5);
        leases.extend(inside.iter().map(|l| (address(l), word(&l[20..]))));
    }
    for ia in find(&inner[4..], 25) {
        let inside = find(&ia[12..], 26);
        leases.extend(inside.iter().map(|l| (address(&l[9..]), word(&l[4..]))));
    }
    leases
}
