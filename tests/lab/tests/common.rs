use std::net::Ipv6Addr;

use anyhow::{Context, Result, ensure};
use lab::capture::Capture;
use lab::clients::Bound;
use lab::message::Message;
use lab::server::{FAR_POOL, FAR_PREFIXES, LAN_POOL, LAN_PREFIXES};
use lab::topology::{RelaySite, Site};

/// A capture at the server's peer, judged at the end.
pub struct Judge {
    capture: Capture,
    mac: String,
}

impl Judge {
    pub fn on_lan(site: &Site) -> Result<Judge> {
        let (_, mac) = site.server.link("lan0")?;
        Ok(Judge {
            capture: Capture::start(&site.lan.switch, "srv")?,
            mac,
        })
    }

    pub fn at_relay(site: &Site, far: &RelaySite) -> Result<Judge> {
        let (_, mac) = site.server.link("up0")?;
        Ok(Judge {
            capture: Capture::start(&far.relay, "up0")?,
            mac,
        })
    }

    /// tshark finds no fault in what the server sent, and it sent at least `at_least` packets.
    pub fn judge(self, at_least: usize) -> Result<()> {
        let packets = self.capture.stop()?.judge(&self.mac)?;
        ensure!(
            packets >= at_least,
            "the capture has {packets} packets from the server"
        );
        Ok(())
    }
}

pub fn ensure_in_lan_pool(address: Ipv6Addr) -> Result<()> {
    let (first, last) = LAN_POOL;
    ensure!(
        (first..=last).contains(&address),
        "{address} is not of the LAN's pool"
    );
    Ok(())
}

pub fn ensure_in_far_pool(address: Ipv6Addr) -> Result<()> {
    let inside = u128::from(address) >> 64 == u128::from(FAR_POOL) >> 64;
    ensure!(inside, "{address} is not of the far LAN's pool");
    Ok(())
}

/// The client's prefix is aligned to /56 and inside the LAN's or the far LAN's /40.
pub fn ensure_delegated(bound: &Bound, far: bool) -> Result<()> {
    let (prefix, len) = bound.prefix.context("the client has no prefix")?;
    let pool = if far { FAR_PREFIXES } else { LAN_PREFIXES };
    let bits = u128::from(prefix);
    let inside = bits >> 88 == u128::from(pool) >> 88;
    ensure!(
        inside && len >= 56 && bits << 56 == 0,
        "{prefix}/{len} is not of {pool}/40"
    );
    Ok(())
}

/// The first address or prefix in a Reply or Advertise.
pub fn first_address(message: &Message) -> Result<Ipv6Addr> {
    let granted = message.granted()?;
    Ok(granted
        .first()
        .with_context(|| format!("nothing is granted: {message:?}"))?
        .address)
}
