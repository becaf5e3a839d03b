//! Whole frames over AF_XDP.

use std::net::Ipv6Addr;

use anyhow::Context;
use datapath::{RawPort, Rung};
use wire::udp::{CLIENT_PORT, SERVER_PORT};
use wire::{Frame, ReplyPath, VlanTags};

use super::{Addresses, Port, destination_mac};

/// A port of AF_XDP.
pub struct XdpPort {
    raw: RawPort,
    client: ReplyPath,
    relays: Vec<ReplyPath>,
    not_udp: u64,
    bad_checksums: u64,
}

impl XdpPort {
    /// Opens the interface on the best rung that works.
    ///
    /// # Errors
    /// No rung works, or the server is a host of unknown Ethernet address.
    pub fn open(addresses: &Addresses) -> anyhow::Result<Self> {
        let mut raw = RawPort::open(&addresses.interface, Rung::ZeroCopy);
        for rung in [Rung::Copy, Rung::Generic] {
            raw = raw.or_else(|_| RawPort::open(&addresses.interface, rung));
        }
        let raw = raw?;
        let dst_mac = destination_mac(addresses).with_context(|| {
            let server = addresses.server;
            format!("the Ethernet address of {server} is not known: name it with --server-mac")
        })?;
        let path = |source: Ipv6Addr, port: u16| ReplyPath {
            src_mac: raw.mac(),
            dst_mac,
            vlan: VlanTags::default(),
            src: source.to_bits(),
            dst: addresses.server.to_bits(),
            src_port: port,
            dst_port: SERVER_PORT,
            hop_limit: 64,
        };
        let relays = addresses.relays.iter();
        Ok(Self {
            client: path(addresses.client, CLIENT_PORT),
            relays: relays.map(|relay| path(*relay, SERVER_PORT)).collect(),
            raw,
            not_udp: 0,
            bad_checksums: 0,
        })
    }
}

impl Port for XdpPort {
    fn receive(&mut self, budget: usize, f: &mut dyn FnMut(&[u8])) {
        let Self {
            raw,
            not_udp,
            bad_checksums,
            ..
        } = self;
        raw.receive(budget, &mut |octets| match Frame::parse(octets) {
            Ok(frame) if frame.verify_checksum().is_ok() => f(frame.payload),
            Ok(_) => *bad_checksums += 1,
            Err(_) => *not_udp += 1,
        });
    }

    fn send(&mut self, relay: Option<u32>, write: &mut dyn FnMut(&mut [u8]) -> usize) -> bool {
        let path = match relay {
            Some(relay) => &self.relays[relay as usize % self.relays.len()],
            None => &self.client,
        };
        self.raw.send(|frame| {
            let Some(payload) = frame.get_mut(path.header_len()..) else {
                return 0;
            };
            match write(payload) {
                0 => 0,
                len => path.write(frame, len).unwrap_or(0),
            }
        })
    }

    fn flush(&mut self) {
        self.raw.flush();
    }

    fn drops(&self) -> Vec<(&'static str, u64)> {
        let drops = self.raw.drops();
        vec![
            ("ring-full", drops.ring_full),
            ("no-frame", drops.no_frame),
            ("rx-dropped", drops.other),
            ("not-udp", self.not_udp),
            ("bad-checksum", self.bad_checksums),
        ]
    }
}
