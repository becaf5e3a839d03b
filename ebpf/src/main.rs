#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]
//! Sends each DHCPv6 packet to the worker that owns its client, and leaves all else to the kernel.
//!
//! What is looked at, and the hash, are in `steer`, which userspace compiles too. Nothing is ever
//! dropped here: what cannot be judged goes to the kernel, under a counter for the reason.

#[path = "../../userspace/wire/src/steer.rs"]
#[expect(
    dead_code,
    reason = "userspace uses more of the file than the program does"
)]
mod steer;
mod walk;

use aya_ebpf::bindings::xdp_action;
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::{Array, HashMap, PerCpuArray, XskMap};
use aya_ebpf::programs::XdpContext;
use aya_log_ebpf::info;

use crate::steer::{ClientKey, Pass, QUEUES_MAX, SERVED_MAX, SHARDS, WORKERS_MAX};
use crate::walk::Frame;

/// Which worker owns each shard; one entry with all of them, so that a packet costs one look-up.
#[map]
static SHARD_OWNER: Array<[u8; SHARDS]> = Array::with_max_entries(1, 0);

/// Unicast addresses that are ours; the value means nothing.
#[map]
static SERVED: HashMap<[u8; 16], u8> = HashMap::with_max_entries(SERVED_MAX as u32, 0);

/// The workers' AF_XDP sockets, by `steer::socket_index`.
#[map]
static SOCKETS: XskMap = XskMap::with_max_entries((QUEUES_MAX * WORKERS_MAX) as u32, 0);

/// Packets left to the kernel, by reason.
#[map]
static PASSED: PerCpuArray<u64> = PerCpuArray::with_max_entries(Pass::ALL.len() as u32, 0);

/// Packets redirected, by worker.
#[map]
static STEERED: PerCpuArray<u64> = PerCpuArray::with_max_entries(WORKERS_MAX as u32, 0);

/// Not 0: log every verdict. The loader sets it before the verifier looks, which then takes the
/// code of the other case out.
#[unsafe(no_mangle)]
static DEBUG: u8 = 0;

/// The program.
#[xdp]
pub fn steer(context: XdpContext) -> u32 {
    match redirect(&context) {
        Ok(worker) => {
            count(&STEERED, u32::from(worker));
            if debug() {
                info!(&context, "steered to worker {}", worker);
            }
            xdp_action::XDP_REDIRECT
        }
        Err(reason) => {
            count(&PASSED, reason as u32);
            if debug() {
                info!(&context, "passed, reason {}", reason as u32);
            }
            xdp_action::XDP_PASS
        }
    }
}

/// Redirects the frame to its worker's socket on this queue.
#[inline(always)]
fn redirect(context: &XdpContext) -> Result<u8, Pass> {
    let shard = steer::shard_of_frame(&Frame::new(context), key(), |address| {
        // SAFETY: the value is not read; that the entry may go away meanwhile does not matter.
        unsafe { SERVED.get(address) }.is_some()
    })?;
    let owner = SHARD_OWNER.get(0).ok_or(Pass::NoSocket)?;
    let worker = owner[usize::from(shard.0)];
    let index = steer::socket_index(context.rx_queue_index(), worker).ok_or(Pass::NoSocket)?;
    SOCKETS.redirect(index, 0).map_err(|_| Pass::NoSocket)?;
    Ok(worker)
}

#[inline(always)]
fn count(counters: &PerCpuArray<u64>, index: u32) {
    if let Some(counter) = counters.get_ptr_mut(index) {
        // SAFETY: the entry is this processor's own, and lives as long as the map.
        unsafe { *counter += 1 };
    }
}

/// Code of the option that packets are steered by. Set as DEBUG is, so what the walk to the others
/// takes is not there either.
#[unsafe(no_mangle)]
static STEER_BY: u16 = ClientKey::Duid as u16;

#[inline(always)]
fn key() -> ClientKey {
    // SAFETY: as for DEBUG.
    let code = unsafe { core::ptr::read_volatile(&raw const STEER_BY) };
    ClientKey::from_code(code).unwrap_or_default()
}

#[inline(always)]
fn debug() -> bool {
    // SAFETY: a readable static; volatile because the loader changes it in the object.
    unsafe { core::ptr::read_volatile(&raw const DEBUG) != 0 }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: nothing in the program panics; the verifier would refuse a call that never returns.
    unsafe { core::hint::unreachable_unchecked() }
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
