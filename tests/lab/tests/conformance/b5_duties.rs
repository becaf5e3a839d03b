use std::net::Ipv6Addr;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::message::{Client, Message, code, kind};

use super::bench::{Bench, SERVER_DUID};
use super::ia::{
    NO_ADDRS_AVAIL, NO_BINDING, NO_PREFIX_AVAIL, NOT_ON_LINK, ias, lease, na, only, pd,
};

const FULL: &str = "2001:db8:3::1";
const FAR: &str = "2001:db8:2::1";
const REFRESH_TIME: u16 = 32;
const SOL_MAX_RT: u16 = 82;
const PREFERENCE: u16 = 7;

fn ip(text: &str) -> Result<Ipv6Addr> {
    Ok(text.parse()?)
}

fn oro(codes: &[u16]) -> (u16, Vec<u8>) {
    let codes = codes.iter().flat_map(|code| code.to_be_bytes());
    (code::OPTION_REQUEST, codes.collect())
}

fn own() -> (u16, Vec<u8>) {
    (code::SERVER_ID, SERVER_DUID.to_vec())
}

fn to_us(client: &Client, kind: u8, options: &[(u16, Vec<u8>)]) -> Message {
    let mut all = vec![own()];
    all.extend_from_slice(options);
    client.message(kind, all)
}

/// A client with an address on the client's link.
fn bound(bench: &Bench) -> Result<(Client, Ipv6Addr)> {
    let client = bench.client();
    let reply = bench.ask(&to_us(&client, kind::REQUEST, &[na(1, &[])]))?;
    ensure!(reply.kind == kind::REPLY);
    Ok((client, lease(&reply)?.address))
}

fn status(message: &Message) -> Result<u16> {
    let data = message
        .option(code::STATUS_CODE)
        .context("no status in the message")?;
    Ok(u16::from_be_bytes([data[0], data[1]]))
}

pub fn rfc9915_18_3_every_answer(bench: &Bench) -> Result<()> {
    let (client, address) = bound(bench)?;
    let all = [
        client.solicit(),
        to_us(&client, kind::REQUEST, &[na(1, &[])]),
        client.message(kind::CONFIRM, vec![na(1, &[address])]),
        to_us(&client, kind::RENEW, &[na(1, &[address])]),
        client.message(kind::REBIND, vec![na(1, &[address])]),
        client.message(kind::INFORMATION_REQUEST, vec![]),
        to_us(&client, kind::DECLINE, &[na(9, &[])]),
        to_us(&client, kind::RELEASE, &[na(1, &[address])]),
    ];
    for message in all {
        // The bench has compared the transaction-id and the port.
        let answer = bench.ask(&message)?;
        let expected = if message.kind == kind::SOLICIT {
            kind::ADVERTISE
        } else {
            kind::REPLY
        };
        ensure!(
            answer.kind == expected,
            "type {} for {}",
            answer.kind,
            message.kind
        );
        ensure!(
            answer.option(code::SERVER_ID) == Some(SERVER_DUID),
            "no Server-ID"
        );
        ensure!(
            answer.option(code::CLIENT_ID) == Some(&client.duid[..]),
            "no Client-ID"
        );
    }
    Ok(())
}

pub fn rfc9915_18_3_2_t1_and_t2_are_equal_in_all_ias(bench: &Bench) -> Result<()> {
    let client = bench.client();
    // The prefix of this length has a preferred lifetime of 600 s, the address one of 1800 s.
    let wanted = [
        na(1, &[]),
        na(2, &[]),
        pd(1, &[(Ipv6Addr::UNSPECIFIED, 52)]),
    ];
    let reply = bench.ask(&to_us(&client, kind::REQUEST, &wanted))?;
    let ias = ias(&reply)?;
    ensure!(
        ias.len() == 3 && ias.iter().all(|ia| ia.leases.len() == 1),
        "{ias:?}"
    );
    ensure!(ias.iter().all(|ia| (ia.t1, ia.t2) == (300, 480)), "{ias:?}");
    ensure!(ias[2].leases[0].preferred == 600 && ias[0].leases[0].preferred == 1800);
    Ok(())
}

pub fn rfc9915_18_3_1_solicit_is_advertised(bench: &Bench) -> Result<()> {
    let client = bench.client();
    let advertise = bench.ask(&client.solicit())?;
    ensure!(advertise.kind == kind::ADVERTISE);
    ensure!(advertise.option(PREFERENCE) == Some(&[7]), "no preference");
    let offered = lease(&advertise)?;
    ensure!(
        (offered.preferred, offered.valid) == (1800, 3600),
        "{offered:?}"
    );
    let shown = bench.server().lease(&offered.address.to_string());
    ensure!(
        shown.ok().flatten().is_none(),
        "an Advertise made a binding"
    );
    let reply = bench.ask(&client.request(&advertise)?)?;
    ensure!(
        lease(&reply)?.address == offered.address,
        "advertised and granted differ"
    );
    Ok(())
}

pub fn rfc9915_18_3_1_rapid_commit(bench: &Bench) -> Result<()> {
    let client = bench.client();
    let solicit = client.message(
        kind::SOLICIT,
        vec![(code::RAPID_COMMIT, vec![]), na(1, &[])],
    );
    let reply = bench.ask(&solicit)?;
    ensure!(reply.kind == kind::REPLY && reply.option(code::RAPID_COMMIT) == Some(&[]));
    let address = lease(&reply)?.address;
    ensure!(
        bench.server().lease(&address.to_string())?.is_some(),
        "not bound"
    );
    ensure!(
        lease(&bench.ask(&solicit)?)?.address == address,
        "another one for the same"
    );
    Ok(())
}

pub fn rfc9915_18_3_9_hints(bench: &Bench) -> Result<()> {
    let hint = ip("2001:db8:1::1abc")?;
    let solicit = |client: &Client, address| client.message(kind::SOLICIT, vec![na(1, &[address])]);
    let first = bench.client();
    let advertise = bench.ask(&solicit(&first, hint))?;
    ensure!(
        lease(&advertise)?.address == hint,
        "a free hint was not followed"
    );
    bench.ask(&first.request(&advertise)?)?;
    for impossible in [hint, ip("2001:db8:77::1")?] {
        let other = lease(&bench.ask(&solicit(&bench.client(), impossible))?)?.address;
        ensure!(other != impossible, "{impossible} was echoed");
    }
    Ok(())
}

/// The only address and the only prefix of the link are somebody's.
fn fill(bench: &Bench) -> Result<()> {
    let first = Client::new(0xffff_0001);
    let taken = bench.ask_behind(
        FULL,
        &to_us(&first, kind::REQUEST, &[na(1, &[]), pd(1, &[])]),
    )?;
    ensure!(
        ias(&taken)?.iter().all(|ia| ia.leases.len() == 1),
        "the first got nothing"
    );
    Ok(())
}

pub fn rfc9915_18_3_9_nothing_to_advertise(bench: &Bench) -> Result<()> {
    fill(bench)?;
    let wanted = vec![na(1, &[]), pd(1, &[]), oro(&[SOL_MAX_RT])];
    let advertise = bench.ask_behind(FULL, &bench.client().message(kind::SOLICIT, wanted))?;
    let statuses: Vec<_> = ias(&advertise)?.into_iter().map(|ia| ia.status).collect();
    ensure!(
        statuses == [Some(NO_ADDRS_AVAIL), Some(NO_PREFIX_AVAIL)],
        "{statuses:?}"
    );
    ensure!(
        advertise.option(code::STATUS_CODE).is_none(),
        "a status of the message"
    );
    ensure!(advertise.option(SOL_MAX_RT) == Some(&7200_u32.to_be_bytes()[..]));
    Ok(())
}

pub fn rfc9915_18_3_2_request(bench: &Bench) -> Result<()> {
    let client = bench.client();
    let wanted = [na(1, &[]), na(2, &[]), pd(3, &[]), pd(4, &[])];
    let reply = bench.ask(&to_us(&client, kind::REQUEST, &wanted))?;
    let ias = ias(&reply)?;
    let keys: Vec<_> = ias.iter().map(|ia| (ia.kind, ia.iaid)).collect();
    ensure!(keys == [(3, 1), (3, 2), (25, 3), (25, 4)], "{keys:?}");
    let leases: std::collections::BTreeSet<_> = ias
        .iter()
        .flat_map(|ia| &ia.leases)
        .map(|l| (l.address, l.len))
        .collect();
    ensure!(leases.len() == 4, "not one of its own for each: {leases:?}");
    Ok(())
}

pub fn rfc9915_18_3_2_not_on_link(bench: &Bench) -> Result<()> {
    let client = bench.client();
    let wanted = [na(1, &[ip("2001:db8:77::1")?]), na(2, &[])];
    let reply = bench.ask_behind(FAR, &to_us(&client, kind::REQUEST, &wanted))?;
    let ias = ias(&reply)?;
    ensure!(
        ias[0].status == Some(NOT_ON_LINK) && ias[0].leases.is_empty(),
        "{ias:?}"
    );
    ensure!(
        ias[1].status.is_none() && ias[1].leases.len() == 1,
        "{ias:?}"
    );
    Ok(())
}

pub fn rfc9915_18_3_2_nothing_to_give(bench: &Bench) -> Result<()> {
    fill(bench)?;
    let wanted = [na(1, &[]), pd(1, &[])];
    let reply = bench.ask_behind(FULL, &to_us(&bench.client(), kind::REQUEST, &wanted))?;
    let ias = ias(&reply)?;
    ensure!(ias.iter().all(|ia| ia.leases.is_empty()), "{ias:?}");
    let statuses: Vec<_> = ias.iter().map(|ia| ia.status).collect();
    ensure!(
        statuses == [Some(NO_ADDRS_AVAIL), Some(NO_PREFIX_AVAIL)],
        "{statuses:?}"
    );
    Ok(())
}

pub fn rfc9915_18_3_2_retransmission(bench: &Bench) -> Result<()> {
    let request = to_us(&bench.client(), kind::REQUEST, &[na(1, &[]), pd(1, &[])]);
    let first = bench.ask(&request)?;
    let again = bench.ask(&request)?;
    ensure!(
        first.options == again.options,
        "another answer to the same Request"
    );
    Ok(())
}

pub fn rfc9915_18_3_3_confirm(bench: &Bench) -> Result<()> {
    let client = bench.client();
    let confirm = |addresses: &[Ipv6Addr]| client.message(kind::CONFIRM, vec![na(1, addresses)]);
    let (right, wrong) = (ip("2001:db8:2::77")?, ip("2001:db8:77::1")?);
    let on_link = bench.ask_behind(FAR, &confirm(&[right]))?;
    ensure!(
        status(&on_link)? == 0 && ias(&on_link)?.is_empty(),
        "not Success"
    );
    let off_link = bench.ask_behind(FAR, &confirm(&[right, wrong]))?;
    ensure!(status(&off_link)? == NOT_ON_LINK, "not NotOnLink");
    bench.is_discarded(&confirm(&[]).encode(), Some("nothing-to-confirm"))?;
    let prefix = client.message(kind::CONFIRM, vec![pd(1, &[(ip("2001:db8:8000::")?, 56)])]);
    bench.is_discarded(&prefix.encode(), Some("nothing-to-confirm"))?;
    let nothing = bench.server().lease(&right.to_string());
    ensure!(nothing.ok().flatten().is_none(), "a Confirm made a binding");
    Ok(())
}

pub fn rfc9915_18_3_4_renew(bench: &Bench) -> Result<()> {
    let (client, address) = bound(bench)?;
    // Leases end in whole seconds.
    thread::sleep(Duration::from_millis(1100));
    let ends = |bench: &Bench| -> Result<String> {
        let shown = bench
            .server()
            .lease(&address.to_string())?
            .context("no binding")?;
        Ok(shown["expires"].to_string())
    };
    let before = ends(bench)?;
    let reply = bench.ask(&to_us(&client, kind::RENEW, &[na(1, &[address])]))?;
    let renewed = lease(&reply)?;
    ensure!(renewed.address == address);
    ensure!(
        (renewed.preferred, renewed.valid) == (1800, 3600),
        "{renewed:?}"
    );
    ensure!(ends(bench)? != before, "the binding ends as before");
    Ok(())
}

pub fn rfc9915_18_3_4_renew_of_what_is_not_known(bench: &Bench) -> Result<()> {
    let (client, address) = bound(bench)?;
    let stranger = ip("2001:db8:1::1abd")?;
    let wanted = [na(1, &[address]), na(8, &[stranger]), pd(8, &[])];
    let reply = bench.ask(&to_us(&client, kind::RENEW, &wanted))?;
    let ias = ias(&reply)?;
    ensure!(
        ias[0].leases.len() == 1 && ias[0].status.is_none(),
        "{ias:?}"
    );
    ensure!(
        ias[1..].iter().all(|ia| ia.status == Some(NO_BINDING)),
        "{ias:?}"
    );
    // An address that the IA does not have is ended beside the one that it has.
    let reply = bench.ask(&to_us(&client, kind::RENEW, &[na(1, &[address, stranger])]))?;
    let times: Vec<_> = only(&reply)?
        .leases
        .iter()
        .map(|l| (l.address, l.valid))
        .collect();
    ensure!(times == [(address, 3600), (stranger, 0)], "{times:?}");
    Ok(())
}

pub fn rfc9915_18_3_4_renew_on_another_link(bench: &Bench) -> Result<()> {
    let (client, address) = bound(bench)?;
    let renew = to_us(&client, kind::RENEW, &[na(1, &[address])]);
    let ia = only(&bench.ask_behind(FAR, &renew)?)?;
    let wrong = ia.leases.iter().find(|lease| lease.address == address);
    let wrong = wrong.context("the address of the other link is not named")?;
    ensure!((wrong.preferred, wrong.valid) == (0, 0), "{ia:?}");
    let right = ia.leases.iter().find(|lease| lease.valid > 0);
    ensure!(right.is_some(), "nothing in its place: {ia:?}");
    Ok(())
}

pub fn rfc9915_18_3_5_rebind(bench: &Bench) -> Result<()> {
    let (client, address) = bound(bench)?;
    let reply = bench.ask(&client.message(kind::REBIND, vec![na(1, &[address])]))?;
    let rebound = lease(&reply)?;
    ensure!(
        rebound.address == address && rebound.valid == 3600,
        "{rebound:?}"
    );
    Ok(())
}

pub fn rfc9915_18_3_5_rebind_is_silent(bench: &Bench) -> Result<()> {
    let rebind = bench
        .client()
        .message(kind::REBIND, vec![na(1, &[ip("2001:db8:1::1abe")?])]);
    bench.is_discarded(&rebind.encode(), Some("nothing-to-rebind"))
}

pub fn rfc9915_18_3_5_rebind_of_what_is_off_link(bench: &Bench) -> Result<()> {
    let wrong = ip("2001:db8:77::1")?;
    let rebind = bench.client().message(kind::REBIND, vec![na(1, &[wrong])]);
    let told = lease(&bench.ask_behind(FAR, &rebind)?)?;
    ensure!(
        told.address == wrong && (told.preferred, told.valid) == (0, 0),
        "{told:?}"
    );
    Ok(())
}

pub fn rfc9915_18_3_4_renew_makes_a_binding(bench: &Bench) -> Result<()> {
    let wanted = ip("2001:db8:1::1abf")?;
    let renew = to_us(&bench.client(), kind::RENEW, &[na(1, &[wanted])]);
    let made = lease(&bench.ask(&renew)?)?;
    ensure!(made.address == wanted && made.valid == 3600, "{made:?}");
    let full = to_us(&bench.client(), kind::RENEW, &[na(1, &[]), pd(1, &[])]);
    fill(bench)?;
    let statuses: Vec<_> = ias(&bench.ask_behind(FULL, &full)?)?
        .into_iter()
        .map(|ia| ia.status)
        .collect();
    ensure!(
        statuses == [Some(NO_ADDRS_AVAIL), Some(NO_PREFIX_AVAIL)],
        "{statuses:?}"
    );
    Ok(())
}

pub fn rfc9915_18_3_5_rebind_makes_a_binding(bench: &Bench) -> Result<()> {
    let wanted = ip("2001:db8:1::1ac0")?;
    let rebind = bench.client().message(kind::REBIND, vec![na(1, &[wanted])]);
    let made = lease(&bench.ask(&rebind)?)?;
    ensure!(made.address == wanted && made.valid == 3600, "{made:?}");
    Ok(())
}

pub fn rfc9915_18_3_6_information_request(bench: &Bench) -> Result<()> {
    let client = bench.client();
    let mut ask = client.message(kind::INFORMATION_REQUEST, vec![oro(&[23, REFRESH_TIME])]);
    let named = bench.ask(&ask)?;
    ensure!(named.option(code::CLIENT_ID).is_some());
    ensure!(
        named.option(REFRESH_TIME) == Some(&3600_u32.to_be_bytes()[..]),
        "no refresh time"
    );
    ensure!(named.option(code::DNS_SERVERS).is_some());
    ask.options.retain(|(code, _)| *code != code::CLIENT_ID);
    let anonymous = bench.ask(&ask)?;
    ensure!(
        anonymous.option(code::CLIENT_ID).is_none(),
        "a Client-ID out of nothing"
    );
    ensure!(anonymous.option(code::DNS_SERVERS).is_some());
    // Nowhere else (RFC 9915 §21.23).
    let solicit = client.message(kind::SOLICIT, vec![na(1, &[]), oro(&[REFRESH_TIME])]);
    ensure!(bench.ask(&solicit)?.option(REFRESH_TIME).is_none());
    Ok(())
}

pub fn rfc9915_18_3_7_release(bench: &Bench) -> Result<()> {
    let (client, address) = bound(bench)?;
    let (_, foreign) = bound(bench)?;
    let release = to_us(
        &client,
        kind::RELEASE,
        &[na(1, &[address, foreign]), na(8, &[])],
    );
    let reply = bench.ask(&release)?;
    ensure!(status(&reply)? == 0, "not Success");
    let unknown = only(&reply)?;
    ensure!(
        (unknown.iaid, unknown.status) == (8, Some(NO_BINDING)),
        "{unknown:?}"
    );
    ensure!(unknown.leases.is_empty());
    ensure!(
        bench.server().lease(&foreign.to_string())?.is_some(),
        "another's lease went"
    );
    let gone = bench.server().lease(&address.to_string());
    ensure!(gone.ok().flatten().is_none(), "still bound");
    // A retransmission finds nothing and ends the exchange as well.
    let again = bench.ask(&release)?;
    ensure!(status(&again)? == 0);
    ensure!(ias(&again)?.iter().all(|ia| ia.status == Some(NO_BINDING)));
    Ok(())
}

pub fn rfc9915_18_3_8_decline(bench: &Bench) -> Result<()> {
    let (client, address) = bound(bench)?;
    let decline = to_us(&client, kind::DECLINE, &[na(1, &[address]), na(8, &[])]);
    let reply = bench.ask(&decline)?;
    ensure!(status(&reply)? == 0, "not Success");
    ensure!(only(&reply)?.status == Some(NO_BINDING));
    let shown = bench
        .server()
        .lease(&address.to_string())?
        .context("not in quarantine")?;
    ensure!(shown.to_string().contains("abandoned"), "{shown}");
    let (_, other) = bound(bench)?;
    ensure!(other != address, "given although in quarantine");
    let wanted = bench
        .client()
        .message(kind::SOLICIT, vec![na(1, &[address])]);
    ensure!(
        lease(&bench.ask(&wanted)?)?.address != address,
        "offered although in quarantine"
    );
    let again = bench.ask(&decline)?;
    ensure!(ias(&again)?.iter().all(|ia| ia.status == Some(NO_BINDING)));
    // A prefix cannot be declined.
    let reply = bench.ask(&to_us(&client, kind::DECLINE, &[pd(1, &[])]))?;
    ensure!(status(&reply)? == 0 && ias(&reply)?.is_empty());
    Ok(())
}

/// Two at a time, whatever its IAs are called; what it declines beyond that is free at once.
pub fn rfc9915_18_3_8_decline_budget(bench: &Bench) -> Result<()> {
    let client = bench.client();
    let mut quarantined = 0;
    for iaid in 1..=4 {
        let reply = bench.ask(&to_us(&client, kind::REQUEST, &[na(iaid, &[])]))?;
        let address = lease(&reply)?.address;
        bench.ask(&to_us(&client, kind::DECLINE, &[na(iaid, &[address])]))?;
        let shown = bench.server().lease(&address.to_string());
        quarantined += u32::from(shown.ok().flatten().is_some());
    }
    ensure!(
        quarantined == 2,
        "{quarantined} of one client in quarantine"
    );
    Ok(())
}

pub fn rfc9915_18_3_10_committed_before_told(bench: &Bench) -> Result<()> {
    // Whatever was told is on record; that the record outlives `kill -9` is the restart tests'.
    for _ in 0..20 {
        let (_, address) = bound(bench)?;
        ensure!(
            bench.server().lease(&address.to_string())?.is_some(),
            "{address} is not bound"
        );
    }
    Ok(())
}

pub fn rfc9915_21_7_options_on_request(bench: &Bench) -> Result<()> {
    let client = bench.client();
    let ask = |codes: &[u16]| client.message(kind::SOLICIT, vec![na(1, &[]), oro(codes)]);
    let none = bench.ask(&ask(&[]))?;
    ensure!(none.option(code::DNS_SERVERS).is_none() && none.option(250).is_none());
    ensure!(
        none.option(251) == Some(&b"always"[..]),
        "what is always sent was not"
    );
    let some = bench.ask(&ask(&[23, 250]))?;
    ensure!(some.option(250) == Some(&b"asked"[..]));
    ensure!(some.option(code::DNS_SERVERS) == Some(&ip("2001:db8::53")?.octets()[..]));
    // A pool's own value wins.
    let far = bench.ask_behind(FAR, &ask(&[23]))?;
    ensure!(far.option(code::DNS_SERVERS) == Some(&ip("2001:db8::54")?.octets()[..]));
    Ok(())
}
