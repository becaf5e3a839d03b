#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]
//! Gives each DHCPv6 packet of a receive queue, to whatever port of the protocol, to the AF_XDP
//! socket of that queue, and leaves all else to the kernel.
//!
//! The receiving side of whoever is not the server: a load generator, an echo. Unlike `steer` it
//! looks at no address and no DUID.

#[path = "../../userspace/wire/src/steer.rs"]
#[expect(
    dead_code,
    reason = "the walk over the frame is shared with the server's program"
)]
mod steer;
mod walk;

use aya_ebpf::bindings::xdp_action;
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::XskMap;
use aya_ebpf::programs::XdpContext;

use crate::steer::{Octets, QUEUES_MAX};
use crate::walk::Frame;

/// Octets of Ethernet, IPv6 and UDP headers.
const HEADERS_LEN: usize = 62;
/// The ports of clients, and of servers and relays (RFC 9915 §7.2).
const PORTS: [u16; 2] = [546, 547];
const NEXT_HEADER_UDP: u8 = 17;

/// The AF_XDP sockets, by queue.
#[map]
static SOCKETS: XskMap = XskMap::with_max_entries(QUEUES_MAX as u32, 0);

/// The program.
#[xdp]
pub fn divert(context: XdpContext) -> u32 {
    if is_dhcpv6(&context) && SOCKETS.redirect(context.rx_queue_index(), 0).is_ok() {
        return xdp_action::XDP_REDIRECT;
    }
    xdp_action::XDP_PASS
}

#[inline(always)]
fn is_dhcpv6(context: &XdpContext) -> bool {
    let frame = Frame::new(context);
    let Some(headers) = frame.load::<HEADERS_LEN>(0) else {
        return false;
    };
    let port = u16::from_be_bytes([headers[56], headers[57]]);
    headers[12..14] == [0x86, 0xdd] && headers[20] == NEXT_HEADER_UDP && PORTS.contains(&port)
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: nothing in the program panics; the verifier would refuse a call that never returns.
    unsafe { core::hint::unreachable_unchecked() }
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
