//! The XDP program: loading, attaching, filling its maps, reading its counters.
//!
//! One [`Steering`] is one loaded program with maps of its own, for one interface. It is attached
//! by a bpf_link whose file descriptor this value holds, so dropping it, or the death of the
//! process by whatever cause, detaches the program; nothing else has to be cleaned up.
//!
//! It never decides whether an interface works: that is the ladder's, which uses
//! [`Steering::inject`] to see a frame arrive.

mod divert;
mod error;
mod object;

use std::net::Ipv6Addr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use aya::maps::{Array, HashMap, MapError, PerCpuArray, XskMap};
use aya::programs::links::FdLink;
use aya::programs::xdp::{XdpLink, XdpMode};
use aya::programs::{TestRun, TestRunAttrs, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader, Pod};
use wire::steer::{ClientKey, Pass, SHARDS, WORKERS_MAX, socket_index};

pub(crate) use self::divert::Divert;
pub use self::error::XdpError;

/// Where in the interface's receive path the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachMode {
    /// In the driver, before the kernel makes a packet of the frame (native XDP).
    Driver,
    /// In the kernel's network stack, for any driver (generic XDP).
    Generic,
}

/// What the program did with packets since it was loaded, summed over processors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SteeringCounters {
    /// Packets redirected, by worker.
    pub steered: [u64; WORKERS_MAX],
    /// Packets left to the kernel, by [`Pass`] as index.
    pub passed: [u64; Pass::ALL.len()],
}

impl SteeringCounters {
    /// Packets left to the kernel for this reason.
    pub fn passed(&self, reason: Pass) -> u64 {
        self.passed[reason as usize]
    }

    /// Packets redirected to any worker.
    pub fn steered_total(&self) -> u64 {
        self.steered.iter().sum()
    }
}

/// What a run of the program outside of any interface gave; see [`Steering::run`].
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// The program redirected the frame to a socket; otherwise it left it to the kernel.
    pub redirected: bool,
    /// Mean time of one run.
    pub duration: Duration,
}

/// The loaded XDP program of one interface, with its maps.
pub struct Steering {
    ebpf: Ebpf,
    link: Option<FdLink>,
    /// Hands on what the program logged.
    flush_log: Option<Box<dyn FnMut() + Send>>,
}

/// Whether this binary carries the XDP program. It does not when the eBPF toolchain was lacking
/// at build time; then [`Steering::load`] fails with [`XdpError::NotBuilt`].
pub fn available() -> bool {
    object::STEER.is_some()
}

impl Steering {
    /// Loads the program and its maps into the kernel. All shards belong to worker 0, no socket is
    /// registered and no unicast address served. With `debug` the program logs every verdict,
    /// which [`Steering::flush_log`] hands on; without it the logging code is not even there,
    /// because the verifier takes it out. So it is with the walk to relays' options where
    /// `steer_by` is the DUID.
    ///
    /// # Errors
    ///
    /// The binary has no program, or the kernel refuses it.
    pub fn load(debug: bool, steer_by: ClientKey) -> Result<Self, XdpError> {
        let object = object::STEER.ok_or(XdpError::NotBuilt)?;
        let mut ebpf = EbpfLoader::new()
            .override_global("DEBUG", &u8::from(debug), true)
            .override_global("STEER_BY", &steer_by.code(), true)
            .load(object)?;
        let flush_log = if debug {
            Some(logger(&mut ebpf)?)
        } else {
            None
        };
        let mut steering = Self {
            ebpf,
            link: None,
            flush_log,
        };
        steering.program_mut()?.load()?;
        Ok(steering)
    }

    /// Attaches the program to the interface with this index, by bpf_link.
    ///
    /// # Errors
    ///
    /// The driver has no support for the mode, another program is attached, or the kernel is too
    /// old for a bpf_link.
    pub fn attach(&mut self, ifindex: u32, mode: AttachMode) -> Result<(), XdpError> {
        self.detach();
        self.link = Some(attach(self.program_mut()?, ifindex, mode)?);
        Ok(())
    }

    /// Detaches the program, if it is attached; its maps stay as they are.
    pub fn detach(&mut self) {
        self.link = None;
    }

    /// Sets which worker owns each shard. Packets in flight may still go by the old table.
    ///
    /// # Errors
    ///
    /// The map cannot be written.
    pub fn set_owner(&mut self, owner: &[u8; SHARDS]) -> Result<(), XdpError> {
        let mut map: Array<_, OwnerTable> = self.map_mut("SHARD_OWNER")?.try_into()?;
        Ok(map.set(0, OwnerTable(*owner), 0)?)
    }

    /// Takes packets to this unicast address too.
    ///
    /// # Errors
    ///
    /// There are [`SERVED_MAX`](wire::steer::SERVED_MAX) already.
    pub fn serve(&mut self, address: Ipv6Addr) -> Result<(), XdpError> {
        let mut map: HashMap<_, [u8; 16], u8> = self.map_mut("SERVED")?.try_into()?;
        Ok(map.insert(address.octets(), 1, 0)?)
    }

    /// Leaves packets to this unicast address to the kernel again; no error if it was not served.
    ///
    /// # Errors
    ///
    /// The map cannot be written.
    pub fn unserve(&mut self, address: Ipv6Addr) -> Result<(), XdpError> {
        let mut map: HashMap<_, [u8; 16], u8> = self.map_mut("SERVED")?.try_into()?;
        match map.remove(&address.octets()) {
            Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes exactly these unicast addresses served.
    ///
    /// # Errors
    ///
    /// The map cannot be read or written, or there are too many.
    pub fn set_served(&mut self, addresses: &[Ipv6Addr]) -> Result<(), XdpError> {
        let map: HashMap<_, [u8; 16], u8> = self.map("SERVED")?.try_into()?;
        let served: Vec<Ipv6Addr> = map
            .keys()
            .map(|key| key.map(Ipv6Addr::from))
            .collect::<Result<_, _>>()?;
        for address in served.iter().filter(|address| !addresses.contains(address)) {
            self.unserve(*address)?;
        }
        for address in addresses.iter().filter(|address| !served.contains(address)) {
            self.serve(*address)?;
        }
        Ok(())
    }

    /// Redirects `worker`'s packets of `queue` to this AF_XDP socket. The kernel forgets the entry
    /// when the socket is closed. Delivery needs the socket to be bound to that queue.
    ///
    /// # Errors
    ///
    /// Queue or worker are out of range, or the file descriptor is not an AF_XDP socket.
    pub fn register(
        &mut self,
        queue: u32,
        worker: u8,
        socket: BorrowedFd<'_>,
    ) -> Result<(), XdpError> {
        let index = socket_index(queue, worker).ok_or(XdpError::OutOfRange { queue, worker })?;
        let mut map: XskMap<_> = self.map_mut("SOCKETS")?.try_into()?;
        Ok(map.set(index, socket.as_raw_fd(), 0)?)
    }

    /// Leaves `worker`'s packets of `queue` to the kernel.
    ///
    /// # Errors
    ///
    /// Queue or worker are out of range, or the map cannot be written.
    pub fn unregister(&mut self, queue: u32, worker: u8) -> Result<(), XdpError> {
        let index = socket_index(queue, worker).ok_or(XdpError::OutOfRange { queue, worker })?;
        let mut map: XskMap<_> = self.map_mut("SOCKETS")?.try_into()?;
        match map.unset(index) {
            Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
            Err(MapError::SyscallError(error))
                if error.io_error.kind() == std::io::ErrorKind::NotFound =>
            {
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What the program did so far.
    ///
    /// # Errors
    ///
    /// A map cannot be read.
    pub fn counters(&self) -> Result<SteeringCounters, XdpError> {
        Ok(SteeringCounters {
            steered: self.sum_counters("STEERED")?,
            passed: self.sum_counters("PASSED")?,
        })
    }

    /// Runs `frame` through the program as if `queue` of the interface had received it, with all
    /// that follows: a redirected frame arrives in the socket, a passed one in the kernel. The
    /// program need not be attached; the interface must be up, and in this network namespace.
    ///
    /// # Errors
    ///
    /// The kernel is too old (5.18 can), the interface or queue does not exist, or the frame is
    /// shorter than an Ethernet header or larger than a page.
    pub fn inject(&self, ifindex: u32, queue: u32, frame: &[u8]) -> Result<(), XdpError> {
        let context = context(ifindex, queue, frame.len());
        self.program()?
            .test_run(TestRunOptions {
                data_in: Some(frame),
                ctx_in: Some(&context),
                attrs: TestRunAttrs::new().xdp_live_frames(1),
                ..Default::default()
            })
            .map_err(|source| XdpError::Inject {
                ifindex,
                queue,
                len: frame.len(),
                source,
            })?;
        Ok(())
    }

    /// Runs `frame` through the program `repeat` times without any effect but on the counters, as
    /// if queue 0 of the loopback interface had received it.
    ///
    /// # Errors
    ///
    /// The kernel refuses: the frame is shorter than an Ethernet header or larger than a page.
    pub fn run(&self, frame: &[u8], repeat: u32) -> Result<Run, XdpError> {
        let run = self
            .program()?
            .test_run(TestRunOptions {
                data_in: Some(frame),
                repeat,
                ..Default::default()
            })
            .map_err(|source| XdpError::Inject {
                ifindex: 1,
                queue: 0,
                len: frame.len(),
                source,
            })?;
        Ok(Run {
            redirected: run.return_value == XDP_REDIRECT,
            duration: run.duration,
        })
    }

    /// Instructions that the kernel's verifier went through to accept the program; its limit is
    /// one million. `None` before Linux 5.16.
    ///
    /// # Errors
    ///
    /// The kernel does not tell.
    pub fn verified_instructions(&self) -> Result<Option<u32>, XdpError> {
        Ok(self.program()?.info()?.verified_instruction_count())
    }

    /// Hands on what the program has logged since the last call to the `log` facade, if it was
    /// loaded with `debug`.
    pub fn flush_log(&mut self) {
        if let Some(flush) = &mut self.flush_log {
            flush();
        }
    }

    fn program(&self) -> Result<&Xdp, XdpError> {
        let program = self
            .ebpf
            .program(PROGRAM)
            .ok_or(XdpError::Missing(PROGRAM))?;
        Ok(program.try_into()?)
    }

    fn program_mut(&mut self) -> Result<&mut Xdp, XdpError> {
        let program = self
            .ebpf
            .program_mut(PROGRAM)
            .ok_or(XdpError::Missing(PROGRAM))?;
        Ok(program.try_into()?)
    }

    fn map(&self, name: &'static str) -> Result<&aya::maps::Map, XdpError> {
        self.ebpf.map(name).ok_or(XdpError::Missing(name))
    }

    fn map_mut(&mut self, name: &'static str) -> Result<&mut aya::maps::Map, XdpError> {
        self.ebpf.map_mut(name).ok_or(XdpError::Missing(name))
    }

    fn sum_counters<const N: usize>(&self, name: &'static str) -> Result<[u64; N], XdpError> {
        let map: PerCpuArray<_, u64> = self.map(name)?.try_into()?;
        let mut sums = [0_u64; N];
        for (sum, index) in sums.iter_mut().zip(0..) {
            *sum = map.get(&index, 0)?.iter().sum();
        }
        Ok(sums)
    }
}

const PROGRAM: &str = "steer";

/// Attaches a loaded program by bpf_link; dropping the link detaches it.
fn attach(program: &mut Xdp, ifindex: u32, mode: AttachMode) -> Result<FdLink, XdpError> {
    let mode = match mode {
        AttachMode::Driver => XdpMode::Driver,
        AttachMode::Generic => XdpMode::Skb,
    };
    let id = program.attach_to_if_index(ifindex, mode)?;
    let link: XdpLink = program.take_link(id)?;
    // A link that is not a file descriptor is the netlink attachment aya falls back to; it
    // detaches when the conversion drops it.
    FdLink::try_from(link).map_err(|_| XdpError::NoBpfLink)
}

/// What the program returns when it redirected the frame (`enum xdp_action`).
const XDP_REDIRECT: u32 = 4;

fn logger(ebpf: &mut Ebpf) -> Result<Box<dyn FnMut() + Send>, XdpError> {
    let mut logger = aya_log::EbpfLogger::init(ebpf)?;
    Ok(Box::new(move || logger.flush()))
}

/// The value of the SHARD_OWNER map.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct OwnerTable([u8; SHARDS]);

// SAFETY: plain octets without padding or invalid values.
unsafe impl Pod for OwnerTable {}

/// A `struct xdp_md` for a frame of `len` octets: data, data_end, data_meta, ingress_ifindex,
/// rx_queue_index, egress_ifindex.
fn context(ifindex: u32, queue: u32, len: usize) -> [u8; 24] {
    let fields = [0, len as u32, 0, ifindex, queue, 0];
    let mut octets = [0; 24];
    for (chunk, field) in octets.chunks_exact_mut(4).zip(fields) {
        chunk.copy_from_slice(&field.to_ne_bytes());
    }
    octets
}
