//! Opening all interfaces for all workers, and what the control thread sees of them.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv6Addr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use wire::SHARDS;
use wire::steer::{Pass, WORKERS_MAX};

use crate::addresses::Addresses;
use crate::counters::IoCounters;
use crate::error::{DatapathError, kernel_socket_remedy};
use crate::interface::{InterfaceFacts, interface_facts};
use crate::kernel::{self, KernelReader, KernelSocket};
use crate::ladder::{Climb, Climbed, Refusal};
use crate::queue::PortFacts;
use crate::rx::{Rx, RxKernel, RxQueue, SharedAddresses};
use crate::socket::XskSocket;
use crate::spec::{InterfaceId, InterfaceSpec, IoMode, PathId, Rung, VerifyChecksums};
use crate::tx::{Buffers, Tx, TxPath};
use crate::waker::Waker;
use crate::worker_io::WorkerIo;
use crate::xdp::Steering;

/// Most interfaces; a bound on paths, which are numbered by 16 bits together with all queues.
const INTERFACES_MAX: usize = 128;

/// All interfaces, as the thread that watches over them has them. Dropping it detaches the XDP
/// programs.
pub struct Datapath {
    interfaces: Vec<Interface>,
}

struct Interface {
    facts: InterfaceFacts,
    spec: InterfaceSpec,
    rung: Rung,
    refused: Vec<Refusal>,
    steering: Option<Steering>,
    addresses: SharedAddresses,
    sockets: Vec<Arc<XskSocket>>,
    huge_pages: bool,
}

/// How an interface is served.
#[derive(Clone, Debug)]
pub struct InterfaceStatus {
    /// Its name.
    pub name: String,
    /// The rung it is on.
    pub rung: Rung,
    /// The better rungs that do not work here, best first.
    pub refused: Vec<Refusal>,
    /// Receive queues served over AF_XDP; 0 on the socket.
    pub queues: u32,
    /// Whether the frames of all queues are in huge pages.
    pub huge_pages: bool,
    /// The driver, as far as the kernel tells.
    pub driver: Option<String>,
    /// Verdicts of the XDP program since it was loaded: packets left to the kernel by reason.
    pub passed: BTreeMap<&'static str, u64>,
    /// Packets that the XDP program redirected, by worker.
    pub steered: Vec<u64>,
    /// What the kernel dropped at the sockets, by reason.
    pub kernel_drops: BTreeMap<&'static str, u64>,
}

/// Opens the interfaces for so many workers, of which `owner` names the one of every shard.
///
/// # Errors
/// An interface is not there, its UDP port cannot be had, or the rung asked for does not work.
pub fn open(
    specs: &[InterfaceSpec],
    workers: usize,
    owner: &[u8; SHARDS],
) -> Result<(Datapath, Vec<WorkerIo>), DatapathError> {
    check("workers", workers, WORKERS_MAX)?;
    check("interfaces", specs.len(), INTERFACES_MAX)?;
    let wakers: Vec<Waker> = (0..workers)
        .map(|_| Waker::new())
        .collect::<Result<_, _>>()
        .map_err(|source| DatapathError::Io {
            what: "make a waker",
            source,
        })?;
    let mut ports: Vec<Ports> = (0..workers).map(|_| Ports::default()).collect();
    let mut interfaces = Vec::with_capacity(specs.len());
    let mut umems = 0;
    for (spec, id) in specs.iter().zip(0..) {
        let opening = Opening {
            spec,
            id: InterfaceId(id),
            owner,
            wakers: &wakers,
            first_umem: umems,
        };
        let interface = opening.open(&mut ports)?;
        umems += interface.sockets.len() as u16;
        interfaces.push(interface);
    }
    let ios = ports
        .into_iter()
        .zip(wakers)
        .map(|(ports, waker)| ports.into_io(waker))
        .collect();
    Ok((Datapath { interfaces }, ios))
}

fn check(what: &'static str, given: usize, most: usize) -> Result<(), DatapathError> {
    if given > most {
        return Err(DatapathError::TooMany { what, given, most });
    }
    Ok(())
}

/// One worker's ports while they are gathered. Paths are the same in all of them.
#[derive(Default)]
struct Ports {
    rx: Vec<RxQueue>,
    kernels: Vec<RxKernel>,
    paths: Vec<TxPath>,
}

impl Ports {
    fn into_io(self, waker: Waker) -> WorkerIo {
        let counters = Arc::new(IoCounters::default());
        WorkerIo {
            rx: Rx {
                queues: self.rx,
                kernels: self.kernels,
                reader: KernelReader::new(),
                counters: Arc::clone(&counters),
                next: 0,
                kernel_in: 0,
            },
            tx: Tx {
                paths: self.paths,
                counters: Arc::clone(&counters),
                buffers: Buffers::default(),
            },
            waker,
            counters,
        }
    }
}

/// One interface being opened.
struct Opening<'o> {
    spec: &'o InterfaceSpec,
    id: InterfaceId,
    owner: &'o [u8; SHARDS],
    wakers: &'o [Waker],
    first_umem: u16,
}

impl Opening<'_> {
    fn open(&self, ports: &mut [Ports]) -> Result<Interface, DatapathError> {
        let name = &self.spec.name;
        let facts = interface_facts(name).map_err(|source| self.refuse(source))?;
        let kernel = KernelSocket::open(&facts).map_err(|source| DatapathError::KernelSocket {
            interface: name.clone(),
            remedy: kernel_socket_remedy(&source),
            source,
        })?;
        let addresses = Addresses::read(name, &self.spec.addresses);
        let addresses = addresses.map_err(|source| self.refuse(source))?;
        let (rung, climbed, refused) = self.climb(&facts, &addresses)?;
        for refusal in &refused {
            tracing::info!(interface = %name, rung = %refusal.rung, reason = %refusal.reason, "rung refused");
        }
        tracing::info!(interface = %name, %rung, queues = facts.queues, "interface open");

        let addresses: SharedAddresses = Arc::new(ArcSwap::from_pointee(addresses));
        let kernel = Arc::new(kernel);
        let mut interface = Interface {
            steering: None,
            sockets: Vec::new(),
            huge_pages: false,
            spec: self.spec.clone(),
            addresses: Arc::clone(&addresses),
            facts,
            rung,
            refused,
        };
        self.share_kernel(&kernel, &addresses, ports);
        if let Some(Climbed { steering, queues }) = climbed {
            interface.steering = Some(steering);
            interface.huge_pages = queues.iter().all(|queue| queue.umem.is_huge());
            for queue in queues {
                let sockets = queue.endpoints.iter().map(|end| Arc::clone(&end.socket));
                interface.sockets.extend(sockets);
                let port_facts = self.port_facts(&interface, &kernel, ports);
                let owner = queue.id.0 as usize % ports.len();
                let shared = queue.share_out(owner, &port_facts, self.wakers);
                for (port, (rx, tx)) in ports.iter_mut().zip(shared) {
                    port.rx.push(rx);
                    port.paths.push(TxPath::Queue(tx));
                }
            }
        }
        Ok(interface)
    }

    fn climb(
        &self,
        facts: &InterfaceFacts,
        addresses: &Addresses,
    ) -> Result<(Rung, Option<Climbed>, Vec<Refusal>), DatapathError> {
        let climb = Climb {
            facts,
            workers: self.wakers.len(),
            owner: self.owner,
            served: &addresses.served(),
            steer_by: self.spec.steer_by,
            first_umem: self.first_umem,
        };
        let (rung, climbed, mut refused) = climb.up(self.spec.io);
        match (rung, self.spec.io) {
            (Some(rung), _) => Ok((rung, climbed, refused)),
            (None, IoMode::Exactly(rung)) => Err(DatapathError::Rung {
                interface: self.spec.name.clone(),
                rung,
                reason: refused
                    .pop()
                    .map_or_else(String::new, |refusal| refusal.reason),
            }),
            (None, IoMode::Auto) => Ok((Rung::Socket, None, refused)),
        }
    }

    /// One worker reads the kernel's socket, another one for each interface; all may answer by it.
    fn share_kernel(
        &self,
        kernel: &Arc<KernelSocket>,
        addresses: &SharedAddresses,
        ports: &mut [Ports],
    ) {
        let reader = usize::from(self.id.0) % ports.len();
        let path = PathId(ports[reader].paths.len() as u16);
        ports[reader].kernels.push(RxKernel {
            path,
            interface: self.id,
            addresses: Arc::clone(addresses),
            socket: Arc::clone(kernel),
        });
        for port in ports {
            port.paths.push(TxPath::Kernel(Arc::clone(kernel)));
        }
    }

    fn port_facts(
        &self,
        interface: &Interface,
        kernel: &Arc<KernelSocket>,
        ports: &[Ports],
    ) -> PortFacts {
        PortFacts {
            path: PathId(ports.first().map_or(0, |port| port.paths.len()) as u16),
            interface: self.id,
            mac: interface.facts.mac,
            mtu: interface.facts.mtu,
            verify_checksums: match self.spec.verify_checksums {
                VerifyChecksums::On => true,
                VerifyChecksums::Off => false,
                VerifyChecksums::Auto => !interface.facts.is_veth,
            },
            addresses: Arc::clone(&interface.addresses),
            kernel: Arc::clone(kernel),
        }
    }

    fn refuse(&self, source: io::Error) -> DatapathError {
        DatapathError::Interface {
            interface: self.spec.name.clone(),
            source,
        }
    }
}

impl Datapath {
    /// How each interface is served, in the order they were given.
    pub fn status(&self) -> Vec<InterfaceStatus> {
        self.interfaces.iter().map(Interface::status).collect()
    }

    /// Follows the kernel's addresses: what the XDP program takes and what answers come from.
    /// Call it every few seconds. What fails is logged; the addresses known before stay.
    pub fn refresh_addresses(&mut self) {
        for interface in &mut self.interfaces {
            if let Err(reason) = interface.refresh_addresses() {
                let interface = &interface.facts.name;
                tracing::warn!(%interface, %reason, "addresses not refreshed");
            }
        }
    }

    /// The interface by which the kernel reaches a relay: the one that has the source address that
    /// the kernel would send from or, if that is on none of them, the first with a route.
    pub fn interface_towards(&self, peer: Ipv6Addr) -> Option<InterfaceId> {
        let source = kernel::source_towards(peer, None).ok();
        let has_source = |interface: &Interface| {
            let addresses = interface.addresses.load();
            source.is_some_and(|source| addresses.is_on_interface(source))
        };
        let has_route = |interface: &Interface| {
            kernel::source_towards(peer, Some(interface.facts.index)).is_ok()
        };
        let position = |found: &dyn Fn(&Interface) -> bool| self.interfaces.iter().position(found);
        let place = position(&has_source).or_else(|| position(&has_route))?;
        u16::try_from(place).ok().map(InterfaceId)
    }

    /// Whether no interface can carry a packet: each is down, without carrier, or gone.
    pub fn is_cut_off(&self) -> bool {
        let mut interfaces = self.interfaces.iter();
        interfaces
            .all(|interface| !crate::interface::is_running(&interface.facts.name).unwrap_or(false))
    }

    /// Hands on what the XDP programs logged, if they were loaded to log.
    pub fn flush_xdp_log(&mut self) {
        for steering in self
            .interfaces
            .iter_mut()
            .filter_map(|i| i.steering.as_mut())
        {
            steering.flush_log();
        }
    }
}

impl Interface {
    fn refresh_addresses(&mut self) -> Result<(), String> {
        let addresses = Addresses::read(&self.facts.name, &self.spec.addresses)
            .map_err(|error| error.to_string())?;
        if addresses == **self.addresses.load() {
            return Ok(());
        }
        if let Some(steering) = &mut self.steering {
            let served = addresses.served();
            steering
                .set_served(&served)
                .map_err(|error| crate::probe::chain(&error))?;
        }
        self.addresses.store(Arc::new(addresses));
        Ok(())
    }

    fn status(&self) -> InterfaceStatus {
        let counters = self
            .steering
            .as_ref()
            .and_then(|steering| steering.counters().ok());
        let (passed, steered) = counters.map_or_else(Default::default, |counters| {
            let passed = Pass::ALL
                .iter()
                .map(|pass| (pass.label(), counters.passed(*pass)));
            (passed.collect(), counters.steered.to_vec())
        });
        InterfaceStatus {
            name: self.facts.name.clone(),
            rung: self.rung,
            refused: self.refused.clone(),
            queues: match self.rung {
                Rung::Socket => 0,
                _ => self.facts.queues,
            },
            huge_pages: self.huge_pages,
            driver: self.facts.driver.clone(),
            passed,
            steered,
            kernel_drops: self.kernel_drops(),
        }
    }

    fn kernel_drops(&self) -> BTreeMap<&'static str, u64> {
        let mut drops = BTreeMap::new();
        for socket in &self.sockets {
            let Ok(statistics) = socket.statistics() else {
                continue;
            };
            for (reason, count) in [
                ("rx-dropped", statistics.rx_dropped),
                ("rx-ring-full", statistics.rx_ring_full),
                ("fill-ring-empty", statistics.rx_fill_ring_empty_descs),
                ("rx-invalid", statistics.rx_invalid_descs),
                ("tx-invalid", statistics.tx_invalid_descs),
            ] {
                *drops.entry(reason).or_insert(0) += count;
            }
        }
        drops
    }
}

// The control thread has the value and the workers have the ports.
const _: fn() = || {
    fn is_send<T: Send>() {}
    is_send::<Datapath>();
    is_send::<WorkerIo>();
};
