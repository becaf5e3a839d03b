use anyhow::{Result, ensure};
use lab::message::{Client, Message, Options, code, kind};

use super::bench::{Bench, SERVER_DUID, forward};
use super::ia::{na, only, pd};

const USER_CLASS: u16 = 15;
const VENDOR_CLASS: u16 = 16;
const IA_TA: u16 = 4;

fn own() -> (u16, Vec<u8>) {
    (code::SERVER_ID, SERVER_DUID.to_vec())
}

fn other() -> (u16, Vec<u8>) {
    (code::SERVER_ID, vec![0, 4, 1, 1, 1])
}

/// The message without its Client Identifier.
fn anonymous(mut message: Message) -> Vec<u8> {
    message.options.retain(|(code, _)| *code != code::CLIENT_ID);
    message.encode()
}

fn message(client: &Client, kind: u8, options: &[(u16, Vec<u8>)]) -> Message {
    let mut all: Options = options.to_vec();
    all.push(na(1, &[]));
    client.message(kind, all)
}

pub fn rfc9915_16_2_solicit(bench: &Bench) -> Result<()> {
    let client = bench.client();
    bench.is_discarded(&anonymous(client.solicit()), Some("no-client-id"))?;
    let named = message(&client, kind::SOLICIT, &[own()]);
    bench.is_discarded(&named.encode(), Some("unexpected-server-id"))
}

pub fn rfc9915_16_4_request_renew_decline_release(bench: &Bench) -> Result<()> {
    let client = bench.client();
    for kind in [kind::REQUEST, kind::RENEW, kind::DECLINE, kind::RELEASE] {
        let without = message(&client, kind, &[]);
        bench.is_discarded(&without.encode(), Some("no-server-id"))?;
        let foreign = message(&client, kind, &[other()]);
        bench.is_discarded(&foreign.encode(), Some("other-server"))?;
        let nobody = anonymous(message(&client, kind, &[own()]));
        bench.is_discarded(&nobody, Some("no-client-id"))?;
    }
    Ok(())
}

pub fn rfc9915_16_5_confirm_and_rebind(bench: &Bench) -> Result<()> {
    let client = bench.client();
    for kind in [kind::CONFIRM, kind::REBIND] {
        let nobody = anonymous(message(&client, kind, &[]));
        bench.is_discarded(&nobody, Some("no-client-id"))?;
        let named = message(&client, kind, &[own()]);
        bench.is_discarded(&named.encode(), Some("unexpected-server-id"))?;
    }
    Ok(())
}

pub fn rfc9915_16_12_information_request(bench: &Bench) -> Result<()> {
    let client = bench.client();
    let ask = |options: &[(u16, Vec<u8>)]| {
        client
            .message(kind::INFORMATION_REQUEST, options.to_vec())
            .encode()
    };
    bench.is_discarded(&ask(&[other()]), Some("other-server"))?;
    for ia in [na(1, &[]), pd(1, &[]), (IA_TA, vec![0, 0, 0, 1])] {
        bench.is_discarded(&ask(&[ia]), Some("unexpected-ia"))?;
    }
    Ok(())
}

pub fn rfc9915_16_3_messages_not_for_servers(bench: &Bench) -> Result<()> {
    let client = bench.client();
    for kind in [kind::ADVERTISE, kind::REPLY, 10] {
        let misplaced = message(&client, kind, &[own()]);
        bench.is_discarded(&misplaced.encode(), Some("not-for-servers"))?;
    }
    let mut reply = forward(
        &[super::bench::Layer::on("::1")?],
        &client.solicit().encode(),
    );
    reply[0] = kind::RELAY_REPLY;
    bench.is_discarded_from_relay(&reply, "not-for-servers")
}

pub fn rfc9915_16_unknown_types(bench: &Bench) -> Result<()> {
    let client = bench.client();
    for kind in [0, 99, 255] {
        let unknown = message(&client, kind, &[]);
        bench.is_discarded(&unknown.encode(), Some("unknown-message-type"))?;
    }
    Ok(())
}

/// Without Client-ID, for another server, and without a query.
pub fn rfc5007_4_2_1_leasequery(bench: &Bench) -> Result<()> {
    let client = bench.client();
    let query = (44, [&[1][..], &[0; 16]].concat());
    bench.is_discarded(&anonymous(client.message(14, vec![query.clone()])), None)?;
    bench.is_discarded(&client.message(14, vec![other(), query]).encode(), None)?;
    bench.is_discarded(&client.message(14, vec![]).encode(), None)
}

/// Without Client-ID, with Server-ID, with an ORO, without an address.
pub fn rfc9686_4_2_addr_reg_inform(bench: &Bench) -> Result<()> {
    let client = bench.client();
    let address = (code::IA_ADDRESS, vec![0; 24]);
    bench.is_discarded(&anonymous(client.message(36, vec![address.clone()])), None)?;
    for extra in [own(), (code::OPTION_REQUEST, vec![0, 23])] {
        let inform = client.message(36, vec![address.clone(), extra]);
        bench.is_discarded(&inform.encode(), None)?;
    }
    bench.is_discarded(&client.message(36, vec![]).encode(), None)
}

pub fn rfc9915_16_unknown_options_are_ignored(bench: &Bench) -> Result<()> {
    let client = bench.client();
    let unknown = [
        (60_000, vec![1, 2, 3]),
        (USER_CLASS, vec![0, 1, 7]),
        (VENDOR_CLASS, vec![0xff, 0xff, 0xff, 0xfe, 0, 1, 7]),
        (17, vec![0xff, 0xff, 0xff, 0xfe, 0, 1, 0, 1, 7]),
    ];
    let advertise = bench.ask(&message(&client, kind::SOLICIT, &unknown))?;
    ensure!(only(&advertise)?.leases.len() == 1);
    Ok(())
}

pub fn rfc9915_16_truncated_options(bench: &Bench) -> Result<()> {
    let whole = bench.client().solicit().encode();
    bench.is_discarded(&whole[..whole.len() - 1], Some("option-overrun"))?;
    let stray = [&whole[..], &[0, 1, 0]].concat();
    bench.is_discarded(&stray, Some("stray-octets"))?;
    bench.is_discarded(&whole[..3], Some("short-header"))?;
    let odd = message(
        &bench.client(),
        kind::SOLICIT,
        &[(code::OPTION_REQUEST, vec![0, 1, 2])],
    );
    bench.is_discarded(&odd.encode(), Some("option-length"))
}

pub fn rfc9915_16_unicast_from_a_client(bench: &Bench) -> Result<()> {
    bench.is_discarded_unicast(&bench.client().solicit().encode(), "unicast")
}

/// No answer to it, and no reason to refuse the rest (RFC 9915 §21.5).
pub fn rfc9915_21_5_ia_ta_is_ignored(bench: &Bench) -> Result<()> {
    let client = bench.client();
    let solicit = message(&client, kind::SOLICIT, &[(IA_TA, vec![0, 0, 0, 9])]);
    let advertise = bench.ask(&solicit)?;
    ensure!(only(&advertise)?.kind == code::IA_NA);
    ensure!(advertise.option(IA_TA).is_none(), "an IA_TA in the answer");
    Ok(())
}
