use anyhow::{Result, ensure};
use lab::message::{Client, Message, code, kind};

use super::bench::{Bench, Layer, SERVER_DUID};
use super::ia::{NO_ADDRS_AVAIL, ias, lease, na};

const VENDOR_CLASS: u16 = 16;
const REMOTE_ID: u16 = 37;
const CLASSED: &str = "2001:db8:7::1";

/// A message of one IA_NA that asks for DNS servers, with a Vendor Class of enterprise 9 unless
/// that is empty.
fn asking(client: &Client, kind: u8, vendor_class: &str) -> Message {
    let mut options = vec![
        na(1, &[]),
        (
            code::OPTION_REQUEST,
            code::DNS_SERVERS.to_be_bytes().to_vec(),
        ),
    ];
    if kind != kind::SOLICIT {
        options.push((code::SERVER_ID, SERVER_DUID.to_vec()));
    }
    if !vendor_class.is_empty() {
        let len = vendor_class.len() as u16;
        let data = [
            &[0, 0, 0, 9][..],
            &len.to_be_bytes(),
            vendor_class.as_bytes(),
        ];
        options.push((VENDOR_CLASS, data.concat()));
    }
    client.message(kind, options)
}

/// Its answer behind a relay that calls the line so.
fn answer(bench: &Bench, remote_id: &str, message: &Message) -> Result<Message> {
    let data = [&[0, 0, 0, 9], remote_id.as_bytes()].concat();
    let layer = Layer::on(CLASSED)?.with(REMOTE_ID, &data);
    Ok(bench.relayed(&[layer], message)?.1)
}

/// The last group of the address that was given, and of the DNS server told.
fn given(answer: &Message) -> Result<(u16, u16)> {
    let dns = answer.option(code::DNS_SERVERS).unwrap_or_default();
    let dns = dns.last_chunk().map_or(0, |end| u16::from_be_bytes(*end));
    Ok((lease(answer)?.address.segments()[7], dns))
}

/// By what the client says, by what its relay says, and by neither.
pub fn a_class_chooses_pool_and_options(bench: &Bench) -> Result<()> {
    let solicit = |remote_id: &str, vendor_class: &str| {
        let message = asking(&bench.client(), kind::SOLICIT, vendor_class);
        answer(bench, remote_id, &message)
    };
    let phone = given(&solicit("line", "phone/7")?)?;
    ensure!(phone == (0x10, 0x55), "a phone got {phone:x?}");
    let business = given(&solicit("business/1", "modem")?)?;
    ensure!(business == (0x20, 0x53), "a business got {business:x?}");
    let nobody = ias(&solicit("line", "modem")?)?;
    ensure!(nobody[0].status == Some(NO_ADDRS_AVAIL), "{nobody:?}");
    Ok(())
}

/// Silence keeps a lease, another vendor class does not.
pub fn a_lease_is_kept_until_its_class_is_refuted(bench: &Bench) -> Result<()> {
    let client = bench.client();
    let ask = |kind: u8, vendor_class: &str| {
        answer(bench, "business/2", &asking(&client, kind, vendor_class))
    };
    let held = given(&ask(kind::REQUEST, "phone/7")?)?.0;
    ensure!(held == 0x10, "{held:x}");
    let silent = given(&ask(kind::RENEW, "")?)?.0;
    ensure!(silent == held, "a silent Renew got {silent:x}");
    let refuted = given(&ask(kind::RENEW, "modem")?)?.0;
    ensure!(refuted == 0x20, "another class got {refuted:x}");
    let old = bench.server().lease("2001:db8:7::10")?;
    ensure!(old.is_some(), "the former lease ended at once");
    Ok(())
}
