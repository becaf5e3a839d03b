//! The self-test of a rung: a frame through the program into every worker's ring, and one out.
//!
//! A driver may accept everything and deliver nothing, so that only a frame that arrived counts.
//! Receiving is tested by running a Solicit of a made-up client through the program as if the
//! first queue had received it; sending, on every queue, by a frame to our own MAC address, of an EtherType that nobody
//! answers, coming back on the COMPLETION ring.

use core::time::Duration;
use std::net::Ipv6Addr;
use std::os::fd::AsFd;
use std::time::Instant;

use wire::steer::shard_of;
use wire::udp::{CLIENT_PORT, SERVER_PORT};
use wire::{HEADROOM_MAX, MessageType, OptionCode, ReplyPath, ReplyWriter, SHARDS, VlanTags};

use crate::queue::Queue;
use crate::sys;
use crate::umem::{FRAME_LEN, address_of, number_of};
use crate::xdp::Steering;

/// How long a frame may take. Links that come up for XDP need a moment on some NICs.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often a frame is injected again meanwhile: rings of some drivers drop the first ones.
const AGAIN: Duration = Duration::from_millis(200);
/// IEEE Std 802, local experimental.
const ETHERTYPE_EXPERIMENTAL: [u8; 2] = [0x88, 0xb5];
/// Octets of the frame sent: the least that Ethernet has.
const SENT_LEN: usize = 60;
/// DUID-EN (RFC 9915 §11.3) of the reserved enterprise 0, which no client has.
const PROBE_DUID: [u8; 6] = [0, 2, 0, 0, 0, 0];

/// What is probed.
pub(crate) struct Probe<'p> {
    pub steering: &'p Steering,
    pub ifindex: u32,
    pub mac: [u8; 6],
    pub owner: &'p [u8; SHARDS],
}

impl Probe<'_> {
    /// Tests one queue with the sockets of all workers.
    ///
    /// # Errors
    /// Says in words what did not come through.
    pub(crate) fn run(&self, queue: &mut Queue) -> Result<(), String> {
        for worker in 0..queue.endpoints.len() {
            // The kernel runs injected frames as if queue 0 had received them, whichever is named.
            if queue.id.0 == 0
                && let Some(duid) = self.duid_of(worker)
            {
                self.receive(queue, worker, &duid)?;
            }
            self.transmit(queue, worker)?;
        }
        Ok(())
    }

    /// A client that belongs to the worker; none if the worker owns no shard.
    fn duid_of(&self, worker: usize) -> Option<[u8; 14]> {
        (0..=u16::MAX).find_map(|salt| {
            let mut duid = [0; 14];
            duid[..6].copy_from_slice(&PROBE_DUID);
            duid[12..].copy_from_slice(&salt.to_be_bytes());
            let shard = shard_of(&duid);
            (usize::from(self.owner[usize::from(shard.0)]) == worker).then_some(duid)
        })
    }

    fn receive(&self, queue: &mut Queue, worker: usize, duid: &[u8]) -> Result<(), String> {
        let solicit = self.solicit(duid);
        let begin = Instant::now();
        let mut injected: Option<Instant> = None;
        while begin.elapsed() < PATIENCE {
            if injected.is_none_or(|at| at.elapsed() >= AGAIN) {
                let run = self.steering.inject(self.ifindex, queue.id.0, &solicit);
                run.map_err(|error| chain(&error))?;
                injected = Some(Instant::now());
            }
            if arrived(queue, worker, &solicit) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        Err(format!(
            "a frame for worker {worker} put into queue {} did not arrive in its ring",
            queue.id.0
        ))
    }

    /// A frame with a Solicit from the client to All_DHCP_Relay_Agents_and_Servers.
    fn solicit(&self, duid: &[u8]) -> Vec<u8> {
        let path = ReplyPath {
            src_mac: self.mac,
            dst_mac: [0x33, 0x33, 0, 1, 0, 2],
            vlan: VlanTags::default(),
            src: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x547).to_bits(),
            dst: Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2).to_bits(),
            src_port: CLIENT_PORT,
            dst_port: SERVER_PORT,
            hop_limit: 1,
        };
        let mut frame = vec![0; HEADROOM_MAX + 64];
        let payload = &mut frame[path.header_len()..];
        let written = ReplyWriter::begin(payload, MessageType::SOLICIT, [0, 0, 0])
            .and_then(|mut writer| {
                writer.option(OptionCode::CLIENTID, duid)?;
                writer.finish()
            })
            .expect("a Solicit of 22 octets fits");
        let len = path
            .write(&mut frame, written)
            .expect("the frame has room for the headers");
        frame.truncate(len);
        frame
    }

    fn transmit(&self, queue: &mut Queue, worker: usize) -> Result<(), String> {
        let number = queue.umem.partition().transmit(worker).start;
        // SAFETY: before the ports are made, no stock and no ring has the transmit frames.
        let mut frame = unsafe { queue.umem.take(number) };
        let octets = queue.umem.octets_mut(&mut frame);
        octets[..SENT_LEN].fill(0);
        octets[..6].copy_from_slice(&self.mac);
        octets[6..12].copy_from_slice(&self.mac);
        octets[12..14].copy_from_slice(&ETHERTYPE_EXPERIMENTAL);
        let descriptor = libc::xdp_desc {
            addr: address_of(frame.into_number()),
            len: SENT_LEN as u32,
            options: 0,
        };
        let endpoint = &mut queue.endpoints[worker];
        let pushed = endpoint.tx.push(descriptor);
        assert!(pushed.is_ok(), "a new ring has room");
        endpoint.tx.publish();
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            sys::kick_transmit(endpoint.socket.as_fd())
                .map_err(|error| format!("a frame cannot be sent: {error}"))?;
            if let Some(address) = queue.owned.completion.pop() {
                queue.owned.completion.release();
                if number_of(address) == number {
                    return Ok(());
                }
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        Err(format!(
            "a frame sent by queue {} was not reported as sent",
            queue.id.0
        ))
    }
}

/// Empties the worker's ring back into the FILL ring; whether `probe` was in it. Frames of real
/// clients that arrive during the test are lost, and clients ask again.
fn arrived(queue: &mut Queue, worker: usize, probe: &[u8]) -> bool {
    let endpoint = &mut queue.endpoints[worker];
    let mut found = false;
    while let Some(descriptor) = endpoint.rx.pop() {
        let number = number_of(descriptor.addr);
        let start = descriptor.addr as usize % FRAME_LEN;
        // SAFETY: the kernel put the frame into this ring, which gave it up by `pop`.
        let frame = unsafe { queue.umem.take(number) };
        let octets = &queue.umem.octets(&frame)[start..];
        found |= octets.get(..descriptor.len as usize) == Some(probe);
        let pushed = queue.owned.fill.push(address_of(frame.into_number()));
        assert!(pushed.is_ok(), "the FILL ring has a place for every frame");
    }
    endpoint.rx.release();
    queue.owned.fill.publish();
    if queue.owned.fill.needs_wakeup() {
        // Asked again in a moment.
        let _ = sys::kick_receive(endpoint.socket.as_fd());
    }
    found
}

/// An error with its causes, in one line, and the remedy if a right is missing.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = Some(error);
    let mut denied = false;
    while let Some(cause) = source {
        let io = cause.downcast_ref::<std::io::Error>();
        denied |= io.is_some_and(|io| io.kind() == std::io::ErrorKind::PermissionDenied);
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    if denied {
        text.push_str("; run as root, or give it CAP_BPF, CAP_NET_ADMIN and CAP_NET_RAW");
    }
    text
}
