//! Reservations by what relays say of a client.

use std::net::Ipv6Addr;

use anyhow::{Context, Result, ensure};
use lab::message::{Client, Message, code, kind};

use super::bench::{Bench, Layer, SERVER_DUID};
use super::ia::{ias, na, pd};

const VENDOR_CLASS: u16 = 16;
const BOOT_FILE: u16 = 59;
const INTERFACE_ID: u16 = 18;
const REMOTE_ID: u16 = 37;
const SUBSCRIBER_ID: u16 = 38;
const LINK_LAYER: u16 = 79;
const FAR: &str = "2001:db8:2::1";

/// What a client is given: its address, and a prefix if there is one for it.
type Given = (Option<Ipv6Addr>, Option<Ipv6Addr>);

/// What a client behind these relays is given.
fn given(bench: &Bench, layers: &[Layer], client: &Client) -> Result<Given> {
    let advertise = bench.relayed(layers, &asking(client, kind::SOLICIT))?.1;
    let mut request = client.request(&advertise)?;
    request.options.retain(|(code, _)| ![3, 25].contains(code));
    request.options.extend([na(1, &[]), pd(2, &[])]);
    let reply = bench.relayed(layers, &request)?.1;
    let ias = ias(&reply)?;
    let lease = |at: usize| {
        let lease = ias.get(at).and_then(|ia| ia.leases.first());
        lease.map(|lease| lease.address)
    };
    Ok((lease(0), lease(1)))
}

fn asking(client: &Client, kind: u8) -> Message {
    client.message(kind, vec![na(1, &[]), pd(2, &[])])
}

/// The line with this number in its reservation: whoever shows its key has the leases, and a
/// second client that shows it as well gets others; so does one whose other relay shows it.
fn is_reserved(bench: &Bench, number: u16, code: u16, data: &[u8]) -> Result<()> {
    let address: Ipv6Addr = format!("2001:db8:2::a{number}").parse()?;
    let prefix: Ipv6Addr = format!("2001:db8:a{number}00::").parse()?;
    let own = (Some(address), Some(prefix));
    let here = Layer::on(FAR)?.with(code, data);
    let elsewhere = Layer::on(FAR)?.with(code, b"\0\0\x0d\xe9elsewhere");
    let uplink = |layer: &Layer| -> Result<Layer> {
        Ok(Layer {
            hops: 1,
            link: Ipv6Addr::UNSPECIFIED,
            ..layer.clone()
        })
    };
    // Not what the relay nearest to the client says.
    let behind = [uplink(&here)?, elsewhere.clone()];
    let other = given(bench, &behind, &bench.client())?;
    ensure!(other.0 != own.0 && other.1 != own.1, "by the outer relay");
    let nearest = [uplink(&elsewhere)?, here.clone()];
    let client = bench.client();
    let got = given(bench, &nearest, &client)?;
    ensure!(got == own, "{got:?}, not {own:?}");
    let second = given(bench, &[here], &bench.client())?;
    ensure!(second.0 != own.0 && second.1 != own.1, "to a second client");
    let shown = bench.server().lease(&address.to_string())?;
    let shown = shown.context("no binding")?;
    let reserved = shown["reserved"].as_str().unwrap_or_default();
    ensure!(reserved.ends_with("on link bng-1"), "{shown}");
    Ok(())
}

pub fn rfc6939_reservation_by_link_layer_address(bench: &Bench) -> Result<()> {
    is_reserved(bench, 1, LINK_LAYER, b"\0\x01\x52\x54\0\x12\x34\x56")
}

pub fn rfc4580_reservation_by_subscriber_id(bench: &Bench) -> Result<()> {
    is_reserved(bench, 2, SUBSCRIBER_ID, b"customer 4711")
}

pub fn rfc4649_reservation_by_remote_id(bench: &Bench) -> Result<()> {
    is_reserved(bench, 3, REMOTE_ID, b"\0\0\x0d\xe9olt-3/1/7")?;
    // Of an enterprise with another number it is another line, unless none is configured.
    is_reserved(bench, 4, REMOTE_ID, b"\0\0\0\x09olt-3/1/7")
}

pub fn rfc9915_21_18_reservation_by_interface_id(bench: &Bench) -> Result<()> {
    is_reserved(bench, 5, INTERFACE_ID, b"\0\x01\x02")
}

/// To whoever shows the key: with a lease and without, and without a DUID.
pub fn options_of_a_reservation_come_before_all_others(bench: &Bench) -> Result<()> {
    let at_port = Layer::on(FAR)?.with(INTERFACE_ID, b"\0\x01\x02");
    let elsewhere = Layer::on(FAR)?.with(INTERFACE_ID, b"\0\x01\x03");
    let client = bench.client();
    let phone = (VENDOR_CLASS, b"\0\0\0\x09\0\x05phone".to_vec());
    let asks_for_dns = code::DNS_SERVERS.to_be_bytes().to_vec();
    let asking = |kind: u8| {
        let options = [(code::OPTION_REQUEST, asks_for_dns.clone()), phone.clone()];
        client.message(kind, options.to_vec())
    };
    let told = |layer: &Layer, message: &Message| -> Result<_> {
        let (_, answer) = bench.relayed(std::slice::from_ref(layer), message)?;
        let dns = answer.option(code::DNS_SERVERS).unwrap_or_default();
        let dns = dns.last_chunk().map_or(0, |end| u16::from_be_bytes(*end));
        Ok((dns, answer.option(BOOT_FILE).map(<[u8]>::to_vec)))
    };
    let mut solicit = asking(kind::SOLICIT);
    solicit.options.push(na(1, &[]));
    let mut nameless = asking(kind::INFORMATION_REQUEST);
    nameless
        .options
        .retain(|(code, _)| *code != code::CLIENT_ID);
    for message in [&solicit, &nameless] {
        let got = told(&at_port, message)?;
        ensure!(got == (0x56, Some(b"tftp://r".to_vec())), "{got:?}");
        let got = told(&elsewhere, message)?;
        ensure!(got == (0x55, None), "elsewhere: {got:?}");
    }
    Ok(())
}

/// All in the only IA of their kind, or one in each of two.
pub fn several_reserved_leases_come_in_order_in_one_ia_or_in_several(bench: &Bench) -> Result<()> {
    let layer = Layer::on(FAR)?.with(SUBSCRIBER_ID, b"several");
    let addresses: [Ipv6Addr; 2] = ["2001:db8:2::b2".parse()?, "2001:db8:2::b1".parse()?];
    let prefixes: [Ipv6Addr; 2] = ["2001:db8:b200::".parse()?, "2001:db8:b100::".parse()?];
    let client = bench.client();
    let given = |kind: u8, asked: Vec<(u16, Vec<u8>)>| -> Result<Vec<Vec<Ipv6Addr>>> {
        let mut message = client.message(kind, asked);
        if kind != kind::SOLICIT {
            message
                .options
                .push((code::SERVER_ID, SERVER_DUID.to_vec()));
        }
        let answer = bench.relayed(std::slice::from_ref(&layer), &message)?.1;
        let ias = ias(&answer)?.into_iter();
        let leases = ias.map(|ia| ia.leases.iter().map(|lease| lease.address).collect());
        Ok(leases.collect())
    };
    let one_each = || vec![na(1, &[]), pd(2, &[])];
    let all = [addresses.to_vec(), prefixes.to_vec()];
    let two_each = || vec![na(1, &[]), na(2, &[]), pd(3, &[]), pd(4, &[])];
    let apart = [
        &addresses[..1],
        &addresses[1..],
        &prefixes[..1],
        &prefixes[1..],
    ];
    let got = given(kind::SOLICIT, one_each())?;
    ensure!(got == all, "in one IA of a kind: {got:?}");
    let got = given(kind::SOLICIT, two_each())?;
    ensure!(got == apart, "in two IAs of a kind: {got:?}");
    for kind in [kind::REQUEST, kind::RENEW] {
        let got = given(kind, two_each())?;
        ensure!(got == apart, "bound in two IAs of a kind: {got:?}");
    }
    Ok(())
}
