use std::net::Ipv6Addr;

use anyhow::{Result, ensure};
use lab::capture::Capture;
use lab::server::{FAR_POOL, FAR_PREFIXES, LAN_POOL, LAN_PREFIXES};
use lab::topology::{RelaySite, Site};

/// A capture at the server's peer on the LAN, judged at the end.
pub struct LanJudge {
    capture: Capture,
    mac: String,
}

impl LanJudge {
    pub fn start(site: &Site) -> Result<LanJudge> {
        let (_, mac) = site.server.link("lan0")?;
        Ok(LanJudge {
            capture: Capture::start(&site.lan.switch, "srv")?,
            mac,
        })
    }

    pub fn start_at_relay(site: &Site, far: &RelaySite) -> Result<LanJudge> {
        let (_, mac) = site.server.link("up0")?;
        Ok(LanJudge {
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

/// `prefix` is aligned to /56 and inside the LAN's or the far LAN's /40.
pub fn ensure_delegated(prefix: (Ipv6Addr, u8), far: bool) -> Result<()> {
    let pool = if far { FAR_PREFIXES } else { LAN_PREFIXES };
    let (address, len) = (u128::from(prefix.0), prefix.1);
    let inside = address >> 88 == u128::from(pool) >> 88;
    ensure!(
        inside && len >= 56 && address << 56 == 0,
        "{prefix:?} is not delegated from {pool}/40"
    );
    Ok(())
}
