use std::net::Ipv6Addr;

use anyhow::{Context, Result, ensure};
use lab::message::{code, kind, write_options};

use super::bench::{Bench, Layer, SERVER_DUID, forward};
use super::ia::{lease, na};

const REMOTE_ID: u16 = 37;
const SUBSCRIBER_ID: u16 = 38;
const ERO: u16 = 43;
const RELAY_ID: u16 = 53;
const ERP_DOMAIN: u16 = 65;
const RSOO: u16 = 66;
const LINK_LAYER: u16 = 79;
const RELAY_PORT: u16 = 135;
const FAR: &str = "2001:db8:2::1";

/// So many layers, outermost first, each with an Interface-Id of its own.
fn layers(count: u8) -> Result<Vec<Layer>> {
    let layer = |depth: u8| -> Result<Layer> {
        Ok(Layer {
            hops: count - 1 - depth,
            // Only the innermost is on the client's link.
            link: if depth + 1 == count {
                FAR
            } else {
                "2001:db8:77::1"
            }
            .parse()?,
            peer: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, u16::from(depth) + 1),
            options: vec![(code::INTERFACE_ID, vec![b'i', depth])],
        })
    };
    (0..count).map(layer).collect()
}

fn in_far_pool(address: Ipv6Addr) -> Result<()> {
    ensure!(
        address.segments()[..4] == [0x2001, 0xdb8, 2, 0],
        "{address}"
    );
    Ok(())
}

pub fn rfc9915_19_3_eight_layers_in_reverse(bench: &Bench) -> Result<()> {
    for count in 1..=8 {
        let sent = layers(count)?;
        let (back, advertise) = bench.relayed(&sent, &bench.client().solicit())?;
        ensure!(back == sent, "{count} layers: {back:?}");
        in_far_pool(lease(&advertise)?.address)?;
    }
    Ok(())
}

pub fn rfc9915_7_6_too_many_layers(bench: &Bench) -> Result<()> {
    let octets = forward(&layers(9)?, &bench.client().solicit().encode());
    bench.is_discarded_from_relay(&octets, "relay-too-deep")
}

pub fn rfc9915_9_no_relay_message(bench: &Bench) -> Result<()> {
    let whole = forward(&[Layer::on(FAR)?], &[]);
    bench.is_discarded_from_relay(&whole[..34], "no-relay-message")
}

pub fn rfc9915_13_1_link_addresses(bench: &Bench) -> Result<()> {
    let unknown = forward(
        &[Layer::on("2001:db8:77::1")?],
        &bench.client().solicit().encode(),
    );
    bench.is_discarded_from_relay(&unknown, "no-link")?;
    // The one nearest to the client counts.
    let sent = [Layer::on("2001:db8:77::1")?, Layer::on(FAR)?];
    let (_, advertise) = bench.relayed(&sent, &bench.client().solicit())?;
    in_far_pool(lease(&advertise)?.address)
}

pub fn rfc6221_zero_link_address(bench: &Bench) -> Result<()> {
    let ldra = Layer::on("::")?.with(code::INTERFACE_ID, b"line 7");
    let sent = [
        Layer {
            hops: 1,
            ..Layer::on(FAR)?
        },
        ldra,
    ];
    let (back, advertise) = bench.relayed(&sent, &bench.client().solicit())?;
    ensure!(back == sent, "{back:?}");
    in_far_pool(lease(&advertise)?.address)
}

pub fn rfc4994_5_echo_request(bench: &Bench) -> Result<()> {
    let codes = [
        REMOTE_ID,
        code::INTERFACE_ID,
        60_001,
        code::RELAY_MESSAGE,
        60_000,
        REMOTE_ID,
    ];
    let request: Vec<u8> = codes.iter().flat_map(|code| code.to_be_bytes()).collect();
    let sent = Layer::on(FAR)?
        .with(code::INTERFACE_ID, b"port")
        .with(REMOTE_ID, b"\0\0\0\x09r")
        .with(60_000, b"unknown")
        .with(SUBSCRIBER_ID, b"not asked for")
        .with(ERO, &request);
    let (back, _) = bench.relayed(&[sent], &bench.client().solicit())?;
    let expected = Layer::on(FAR)?
        .with(code::INTERFACE_ID, b"port")
        .with(REMOTE_ID, b"\0\0\0\x09r")
        .with(60_000, b"unknown");
    ensure!(back == [expected], "{back:?}");
    Ok(())
}

pub fn rfc8357_5_2_relay_source_port(bench: &Bench) -> Result<()> {
    let plain = [Layer::on(FAR)?];
    let asking = [Layer::on(FAR)?.with(RELAY_PORT, &[0, 0])];
    let behind = [Layer::on(FAR)?, Layer::on(FAR)?.with(RELAY_PORT, &[3, 232])];
    ensure!(
        !bench.answered_at_odd_port(&plain, &bench.client().solicit())?,
        "unasked"
    );
    ensure!(
        bench.answered_at_odd_port(&asking, &bench.client().solicit())?,
        "at 547"
    );
    let (back, _) = bench.relayed(&behind, &bench.client().solicit())?;
    ensure!(back == behind, "not copied: {back:?}");
    Ok(())
}

pub fn rfc6422_6_relay_supplied_options(bench: &Bench) -> Result<()> {
    let supply = |options: &[(u16, Vec<u8>)]| {
        let mut octets = Vec::new();
        write_options(options, &mut octets);
        octets
    };
    let inner = supply(&[
        (ERP_DOMAIN, b"\x05inner\0".to_vec()),
        (code::DNS_SERVERS, vec![1; 16]),
        (66_u16 + 1_000, b"not enabled".to_vec()),
    ]);
    let outer = supply(&[(ERP_DOMAIN, b"\x05outer\0".to_vec())]);
    let sent = [
        Layer {
            hops: 1,
            ..Layer::on(FAR)?
        }
        .with(RSOO, &outer),
        Layer::on(FAR)?.with(RSOO, &inner),
    ];
    let client = bench.client();
    let codes = [ERP_DOMAIN, code::DNS_SERVERS, 1_066]
        .map(u16::to_be_bytes)
        .concat();
    let asking = client.message(
        kind::SOLICIT,
        vec![na(1, &[]), (code::OPTION_REQUEST, codes)],
    );
    let (_, advertise) = bench.relayed(&sent, &asking)?;
    ensure!(
        advertise.option(ERP_DOMAIN) == Some(&b"\x05inner\0"[..]),
        "not the innermost value"
    );
    let domains = advertise
        .options
        .iter()
        .filter(|(code, _)| *code == ERP_DOMAIN);
    ensure!(domains.count() == 1, "both values");
    let own = "2001:db8::54".parse::<Ipv6Addr>()?.octets();
    ensure!(
        advertise.option(code::DNS_SERVERS) == Some(&own[..]),
        "not the server's own value"
    );
    ensure!(
        advertise.option(1_066).is_none(),
        "an option that is not enabled"
    );
    Ok(())
}

/// Interface-Id, Remote-Id, Subscriber-Id, Relay-Id and the client's link-layer address.
pub fn rfc5007_4_1_2_4_relay_data_is_kept(bench: &Bench) -> Result<()> {
    let sent = Layer::on(FAR)?
        .with(code::INTERFACE_ID, b"keep-port")
        .with(REMOTE_ID, b"\0\0\0\x09keep-remote")
        .with(SUBSCRIBER_ID, b"keep-subscriber")
        .with(RELAY_ID, b"\0\x04keep-relay")
        .with(LINK_LAYER, &[0, 1, 2, 3, 4, 5, 6, 7]);
    let client = bench.client();
    let own = (code::SERVER_ID, SERVER_DUID.to_vec());
    let request = client.message(kind::REQUEST, vec![own, na(1, &[])]);
    let (_, reply) = bench.relayed(std::slice::from_ref(&sent), &request)?;
    let address = lease(&reply)?.address;
    let shown = bench
        .server()
        .lease(&address.to_string())?
        .context("no binding")?;
    let via = shown["via"]
        .as_str()
        .context("no via shown")?
        .replace(':', "");
    for (_, data) in &sent.options {
        let hex: String = data.iter().map(|octet| format!("{octet:02x}")).collect();
        ensure!(via.contains(&hex), "{hex} is not in {via}");
    }
    Ok(())
}
