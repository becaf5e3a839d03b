//! A pool whose prefixes have several lengths: /48 to /64, and /56 for who asks for none.

use std::net::Ipv6Addr;

use anyhow::{Context, Result, ensure};
use lab::message::{Client, code, kind};

use super::bench::{Bench, SERVER_DUID};
use super::ia::{Lease, NO_PREFIX_AVAIL, lease, only, pd};

const ANY: Ipv6Addr = Ipv6Addr::UNSPECIFIED;
const LINK: &str = "2001:db8:8::1";
/// A link with a /60 to be cut into /61 to /64.
const SMALL: &str = "2001:db8:9::1";

fn asked(bench: &Bench, client: &Client, kind: u8, prefixes: &[(Ipv6Addr, u8)]) -> Result<Lease> {
    let mut options = vec![pd(1, prefixes)];
    if kind != self::kind::SOLICIT {
        options.insert(0, (code::SERVER_ID, SERVER_DUID.to_vec()));
    }
    lease(&bench.ask_behind(LINK, &client.message(kind, options))?)
}

fn overlap(a: &Lease, b: &Lease) -> bool {
    let bits = 128 - u32::from(a.len.min(b.len));
    (a.address.to_bits() ^ b.address.to_bits()) >> bits == 0
}

/// The length asked for; the longest instead of a longer one, the default instead of a shorter one.
pub fn rfc8168_3_2_lengths_of_one_pool(bench: &Bench) -> Result<()> {
    let hints = [
        (0, 56),
        (48, 48),
        (52, 52),
        (57, 57),
        (64, 64),
        (80, 64),
        (40, 56),
    ];
    let mut granted: Vec<Lease> = Vec::new();
    for (hint, len) in hints {
        let client = bench.client();
        let offered = asked(bench, &client, kind::SOLICIT, &[(ANY, hint)])?;
        ensure!(offered.len == len, "/{hint} was offered a /{}", offered.len);
        let named = [(offered.address, offered.len), (ANY, hint)];
        let given = asked(bench, &client, kind::REQUEST, &named)?;
        ensure!(
            (given.address, given.len) == (offered.address, len),
            "{given:?}"
        );
        // What it has it keeps, whatever it would like better.
        let named = [(given.address, given.len), (ANY, 50)];
        let renewed = asked(bench, &client, kind::RENEW, &named)?;
        ensure!(
            (renewed.address, renewed.len) == (given.address, len),
            "{renewed:?}"
        );
        ensure!(renewed.valid == 3600);
        if let Some(other) = granted.iter().find(|other| overlap(other, &given)) {
            anyhow::bail!("{given:?} and {other:?} overlap");
        }
        granted.push(given);
    }
    Ok(())
}

/// When no prefix as large is left a smaller one is given, and in the end none.
pub fn rfc8168_3_2_what_is_left_of_a_pool(bench: &Bench) -> Result<()> {
    let mut lens = Vec::new();
    for hint in [61, 63, 61, 61, 61, 61] {
        let options = vec![
            (code::SERVER_ID, SERVER_DUID.to_vec()),
            pd(1, &[(ANY, hint)]),
        ];
        let request = bench.client().message(kind::REQUEST, options);
        let ia = only(&bench.ask_behind(SMALL, &request)?)?;
        match &ia.leases[..] {
            [lease] => lens.push(lease.len),
            _ => ensure!(ia.status == Some(NO_PREFIX_AVAIL), "{ia:?}"),
        }
    }
    // Half of it, a quarter of the other half, and that half's rest.
    ensure!(lens == [61, 63, 62, 63], "{lens:?}");
    Ok(())
}

/// Clients that were told of prefixes of several lengths.
pub fn told(bench: &Bench) -> Result<Vec<(Client, Lease)>> {
    let hints = (48..=64).chain([56; 8]);
    hints
        .map(|hint| {
            let client = bench.client();
            let lease = asked(bench, &client, kind::REQUEST, &[(ANY, hint)])?;
            ensure!(lease.len == hint, "{lease:?}");
            Ok((client, lease))
        })
        .collect()
}

/// They still have them, and what others get is none of it.
pub fn still_have(bench: &Bench, told: &[(Client, Lease)]) -> Result<()> {
    for (client, lease) in told {
        let name = format!("{}/{}", lease.address, lease.len);
        let shown = bench.server().lease(&name)?;
        shown.with_context(|| format!("the binding of {name} is lost"))?;
        let named = [(lease.address, lease.len)];
        let renewed = asked(bench, client, kind::RENEW, &named)?;
        ensure!(
            (renewed.address, renewed.len) == named[0],
            "{name} became {renewed:?}"
        );
        ensure!(renewed.valid > 0, "{name} was not renewed");
    }
    for hint in (48..=64).rev() {
        let new = asked(bench, &bench.client(), kind::REQUEST, &[(ANY, hint)])?;
        if let Some((_, held)) = told.iter().find(|(_, held)| overlap(held, &new)) {
            anyhow::bail!("{new:?} was given inside {held:?}");
        }
    }
    Ok(())
}
