//! The ceiling: a peer that sends every datagram back as it came, over AF_XDP on the server's side
//! of the same wire and on the server's core.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use datapath::{RawPort, Rung};
use wire::{Frame, ReplyPath};

use super::ground::{Ground, SERVER_CORE};
use crate::load::pin;

/// Frames taken in one turn, as the server's workers do.
const BATCH: usize = 64;

/// Runs `work` while the echo answers.
///
/// # Errors
/// The echo's port cannot be opened, or the error of `work`.
pub fn beside<T>(ground: &Ground, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let port = ground
        .pair
        .server
        .inside(|| Ok(RawPort::open("lan0", Rung::Copy)?))?;
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let echo = scope.spawn(|| {
            pin(SERVER_CORE)?;
            answer(port, &stop);
            anyhow::Ok(())
        });
        // Also when `work` panics the echo must end, or the scope would wait for ever.
        let stopping = Stop(&stop);
        let done = work();
        drop(stopping);
        match echo.join() {
            Ok(echoed) => echoed.and(done),
            Err(_) => anyhow::bail!("the echo panicked"),
        }
    })
}

struct Stop<'s>(&'s AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn answer(mut port: RawPort, stop: &AtomicBool) {
    let own = port.mac();
    while !stop.load(Ordering::Relaxed) {
        port.respond(BATCH, &mut |request, answer| {
            turn_round(request, answer, own)
        });
        port.flush();
    }
}

/// The datagram back to its sender, from the address that it was sent to. The payload is copied
/// and the checksum computed, as a server has to; 0 for what is no datagram.
fn turn_round(request: &[u8], answer: &mut [u8], own: [u8; 6]) -> usize {
    let Ok(frame) = Frame::parse(request) else {
        return 0;
    };
    let path = ReplyPath {
        src_mac: own,
        dst_mac: frame.src_mac,
        vlan: frame.vlan,
        // A group cannot be a source; the generator looks at no address.
        src: frame.src,
        dst: frame.src,
        src_port: frame.dst_port,
        dst_port: frame.src_port,
        hop_limit: 64,
    };
    let at = path.header_len();
    let Some(payload) = answer.get_mut(at..at + frame.payload.len()) else {
        return 0;
    };
    payload.copy_from_slice(frame.payload);
    path.write(answer, frame.payload.len()).unwrap_or(0)
}
