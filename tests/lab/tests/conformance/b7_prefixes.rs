use std::net::Ipv6Addr;

use anyhow::{Result, ensure};
use lab::message::{Client, Message, code, kind, write_options};

use super::bench::{Bench, SERVER_DUID};
use super::ia::{Lease, NO_BINDING, NO_PREFIX_AVAIL, lease, na, only, pd};

const PD_EXCLUDE: u16 = 67;
const ANY: Ipv6Addr = Ipv6Addr::UNSPECIFIED;

fn to_us(client: &Client, kind: u8, options: &[(u16, Vec<u8>)]) -> Message {
    let mut all = vec![(code::SERVER_ID, SERVER_DUID.to_vec())];
    all.extend_from_slice(options);
    client.message(kind, all)
}

fn solicited(bench: &Bench, client: &Client, prefixes: &[(Ipv6Addr, u8)]) -> Result<Lease> {
    lease(&bench.ask(&client.message(kind::SOLICIT, vec![pd(1, prefixes)]))?)
}

fn requested(bench: &Bench, client: &Client, prefixes: &[(Ipv6Addr, u8)]) -> Result<Lease> {
    lease(&bench.ask(&to_us(client, kind::REQUEST, &[pd(1, prefixes)]))?)
}

/// There are /56 and /52: the length asked for if there is one, else the closest shorter.
pub fn rfc8168_3_2_prefix_length_hint(bench: &Bench) -> Result<()> {
    for (hint, len) in [(0, 56), (56, 56), (52, 52), (60, 56), (54, 52), (48, 52)] {
        let given = solicited(bench, &bench.client(), &[(ANY, hint)])?;
        ensure!(given.len == len, "/{hint} gave /{}", given.len);
    }
    Ok(())
}

pub fn rfc8168_3_2_specific_prefix_first(bench: &Bench) -> Result<()> {
    let wanted: Ipv6Addr = "2001:db8:8012:3400::".parse()?;
    let named = [(wanted, 56), (ANY, 52)];
    let first = bench.client();
    ensure!(
        solicited(bench, &first, &named)?.address == wanted,
        "it was free"
    );
    requested(bench, &first, &named)?;
    // It is taken now: by the hint, which may stand before or behind it (§3.1).
    for hinted in [[(ANY, 52), (wanted, 56)], named] {
        let other = solicited(bench, &bench.client(), &hinted)?;
        ensure!(other.address != wanted && other.len == 52, "{other:?}");
    }
    Ok(())
}

/// A client that begins anew gets the length it asks for, whatever it had.
pub fn rfc8168_3_2_length_is_changed_on_solicit(bench: &Bench) -> Result<()> {
    let client = bench.client();
    let before = requested(bench, &client, &[])?;
    ensure!(before.len == 56);
    let offered = solicited(bench, &client, &[(ANY, 52)])?;
    ensure!(offered.len == 52, "{offered:?}");
    let granted = requested(bench, &client, &[(offered.address, 52)])?;
    ensure!(
        (granted.address, granted.len) == (offered.address, 52),
        "{granted:?}"
    );
    let old = bench.server().lease(&format!("{}/56", before.address));
    ensure!(old.ok().flatten().is_none(), "it has both");
    // A length that there is none of changes nothing.
    ensure!(solicited(bench, &client, &[(ANY, 60)])?.address == granted.address);
    Ok(())
}

pub fn rfc8168_3_5_renew_keeps_the_prefix(bench: &Bench) -> Result<()> {
    let client = bench.client();
    let held = requested(bench, &client, &[])?;
    let renew = to_us(
        &client,
        kind::RENEW,
        &[pd(1, &[(held.address, 56), (ANY, 52)])],
    );
    let renewed = lease(&bench.ask(&renew)?)?;
    ensure!(
        (renewed.address, renewed.len) == (held.address, 56),
        "{renewed:?}"
    );
    ensure!(renewed.valid == 3600);
    Ok(())
}

fn asking_for_excluded(client: &Client) -> Message {
    let oro = (code::OPTION_REQUEST, PD_EXCLUDE.to_be_bytes().to_vec());
    to_us(client, kind::REQUEST, &[pd(1, &[]), oro])
}

pub fn rfc6603_4_2_excluded_prefix(bench: &Bench) -> Result<()> {
    let with = lease(&bench.ask(&asking_for_excluded(&bench.client()))?)?;
    // The first /64 of a /56: one octet of subnet-id, all zero.
    ensure!(with.options == [(PD_EXCLUDE, vec![64, 0])], "{with:?}");
    let without = requested(bench, &bench.client(), &[])?;
    ensure!(
        without.options.is_empty(),
        "to a client that does not know it: {without:?}"
    );
    Ok(())
}

pub fn rfc6603_6_2_release_with_another_excluded_prefix(bench: &Bench) -> Result<()> {
    let client = bench.client();
    let held = lease(&bench.ask(&asking_for_excluded(&client))?)?;
    let release = |subnet: u8| {
        let mut prefix = [&[0; 8][..], &[56], &held.address.octets()].concat();
        write_options(&[(PD_EXCLUDE, vec![64, subnet])], &mut prefix);
        let mut ia = [1_u32, 0, 0].map(u32::to_be_bytes).concat();
        write_options(&[(code::IA_PREFIX, prefix)], &mut ia);
        to_us(&client, kind::RELEASE, &[(code::IA_PD, ia)])
    };
    let name = format!("{}/56", held.address);
    ensure!(only(&bench.ask(&release(1))?)?.status == Some(NO_BINDING));
    ensure!(
        bench.server().lease(&name)?.is_some(),
        "it was released all the same"
    );
    bench.ask(&release(0))?;
    ensure!(
        bench.server().lease(&name).ok().flatten().is_none(),
        "not released"
    );
    Ok(())
}

pub fn rfc7550_status_inside_the_ia(bench: &Bench) -> Result<()> {
    // A link without prefixes.
    let client = bench.client();
    let solicit = client.message(kind::SOLICIT, vec![pd(1, &[])]);
    let advertise = bench.ask_behind("2001:db8:2::1", &solicit)?;
    ensure!(only(&advertise)?.status == Some(NO_PREFIX_AVAIL));
    ensure!(
        advertise.option(code::STATUS_CODE).is_none(),
        "a status of the message"
    );
    Ok(())
}

pub fn rfc9915_6_6_same_prefix_again(bench: &Bench) -> Result<()> {
    let client = bench.client();
    let first = requested(bench, &client, &[])?.address;
    ensure!(requested(bench, &client, &[])?.address == first);
    ensure!(solicited(bench, &client, &[])?.address == first);
    bench.ask(&to_us(&client, kind::RELEASE, &[pd(1, &[(first, 56)])]))?;
    ensure!(
        requested(bench, &client, &[])?.address == first,
        "another one after a Release"
    );
    Ok(())
}

pub fn shared_network_draws_on_all_its_links(bench: &Bench) -> Result<()> {
    let request = |client: &Client| to_us(client, kind::REQUEST, &[na(1, &[])]);
    let on = |client: &Client| -> Result<u16> {
        let reply = bench.ask_behind("2001:db8:4::1", &request(client))?;
        Ok(lease(&reply)?.address.segments()[2])
    };
    let (first, second) = (bench.client(), bench.client());
    ensure!(on(&first)? == 4, "its own link first");
    ensure!(on(&second)? == 5, "then the other");
    // What the other link gave is right for this one, and for itself.
    for link in ["2001:db8:4::1", "2001:db8:5::1"] {
        let confirm = second.message(kind::CONFIRM, vec![na(1, &["2001:db8:5::1001".parse()?])]);
        ensure!(bench.ask_behind(link, &confirm)?.status()? == 0, "{link}");
        let reply = bench.ask_behind(link, &request(&second))?;
        ensure!(lease(&reply)?.address.segments()[2] == 5, "{link}");
    }
    Ok(())
}

pub fn rfc9915_21_4_an_address_of_each_group(bench: &Bench) -> Result<()> {
    let client = bench.client();
    let ia = only(&bench.ask_behind(
        "2001:db8:6::1",
        &to_us(&client, kind::REQUEST, &[na(1, &[])]),
    )?)?;
    let first: Vec<u16> = ia
        .leases
        .iter()
        .map(|lease| lease.address.segments()[0])
        .collect();
    ensure!(first == [0x2001, 0xfd00], "{ia:?}");
    let addresses: Vec<_> = ia.leases.iter().map(|lease| lease.address).collect();
    let renew = to_us(&client, kind::RENEW, &[na(1, &addresses)]);
    let renewed = only(&bench.ask_behind("2001:db8:6::1", &renew)?)?;
    ensure!(renewed.leases.len() == 2 && renewed.leases.iter().all(|l| l.valid == 3600));
    Ok(())
}
