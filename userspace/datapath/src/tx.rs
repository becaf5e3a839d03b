//! Answers out: into the TX rings of a worker, or to the kernel sockets.

use std::io;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::AsFd;
use std::sync::Arc;

use rtrb::{Consumer as HomeReader, Producer as HomeWriter};
use wire::ReplyPath;

use crate::counters::{IoCounters, IoDrop};
use crate::kernel::{KernelPath, KernelSocket};
use crate::reply::{Place, Reply, ReplyTo, Way};
use crate::ring::{Consumer, Producer};
use crate::socket::XskSocket;
use crate::spec::InterfaceId;
use crate::sys;
use crate::umem::{Frame, Home, Stock, Umem, address_of, number_of};
use crate::waker::Waker;

/// Octets of UDP payload that an answer by the kernel socket may have: what an IPv6 packet can
/// carry without a jumbogram.
const KERNEL_PAYLOAD_MAX: usize = 65_535 - 8;
/// Answers by kernel sockets that a worker may hold at a time: 64 MiB if all were of the longest.
const KERNEL_REPLIES_MAX: usize = 1024;
/// Descriptors that the kernel sends at one kick in copy mode.
const KICK_BATCH: u32 = 32;
/// Octets of Ethernet header, which the MTU does not count.
const ETHERNET_LEN: usize = 14;

/// The sending side of a worker's ports.
pub struct Tx {
    /// By [`PathId`](crate::PathId): a queue, or the kernel socket of an interface.
    pub(crate) paths: Vec<TxPath>,
    pub(crate) counters: Arc<IoCounters>,
    /// Buffers for answers by kernel sockets.
    pub(crate) buffers: Buffers,
}

/// What a path leads to.
pub(crate) enum TxPath {
    Queue(TxQueue),
    Kernel(Arc<KernelSocket>),
}

/// One queue's TX ring of this worker.
pub(crate) struct TxQueue {
    pub worker: usize,
    pub mtu: u32,
    pub umem: Arc<Umem>,
    pub socket: Arc<XskSocket>,
    pub tx: Producer<libc::xdp_desc>,
    pub stock: Stock,
    pub home: TxHome,
    /// Sends what the link cannot carry in one packet.
    pub kernel: Arc<KernelSocket>,
    /// Descriptors pushed since the last publish.
    pub pushed: u32,
}

/// How sent frames come back to the stock.
pub(crate) enum TxHome {
    /// This worker owns the queue's COMPLETION ring and gives the others theirs, by worker.
    Owner {
        completion: Consumer<u64>,
        guests: Vec<Option<HomeWriter<u32>>>,
    },
    /// Another worker does.
    Guest {
        completed: HomeReader<u32>,
        owner: Waker,
    },
}

/// Reusable buffers; they are made when first needed.
#[derive(Default)]
pub(crate) struct Buffers {
    idle: Vec<Box<[u8]>>,
    out: usize,
}

impl Buffers {
    fn take(&mut self) -> Option<Box<[u8]>> {
        if self.out == KERNEL_REPLIES_MAX {
            return None;
        }
        self.out += 1;
        let idle = self.idle.pop();
        Some(idle.unwrap_or_else(|| vec![0; KERNEL_PAYLOAD_MAX].into_boxed_slice()))
    }

    fn give_back(&mut self, buffer: Box<[u8]>) {
        self.out -= 1;
        self.idle.push(buffer);
    }
}

impl Tx {
    /// A place for an answer; `None` if every frame of this worker on that path is in use.
    pub fn reserve(&mut self, to: &ReplyTo) -> Option<Reply> {
        let place = match self.path(to) {
            TxPath::Queue(queue) => Place::Frame(queue.take()?),
            TxPath::Kernel(_) => Place::Buffer(self.buffers.take()?),
        };
        Some(Reply { to: *to, place })
    }

    /// The octets for the UDP payload.
    pub fn payload_mut<'a>(&'a mut self, reply: &'a mut Reply) -> &'a mut [u8] {
        let Reply { to, place } = reply;
        match (place, &self.paths[usize::from(to.path.0)], &to.way) {
            (Place::Frame(frame), TxPath::Queue(queue), Way::Queue(way)) => {
                let octets = queue.umem.octets_mut(frame);
                octets.get_mut(way.header_len()..).unwrap_or_default()
            }
            (Place::Buffer(buffer), ..) => buffer,
            _ => &mut [],
        }
    }

    /// Sends an answer whose first `len` octets of payload are written; it leaves with the next
    /// [`flush`](Self::flush).
    pub fn send(&mut self, reply: Reply, len: usize) {
        let Reply { to, place } = reply;
        match (place, &to.way) {
            (Place::Frame(frame), Way::Queue(way)) => self.send_frame(&to, way, frame, len),
            (Place::Frame(frame), Way::Kernel(_)) => self.put_back(&to, frame),
            (Place::Buffer(buffer), Way::Kernel(way)) => {
                if let TxPath::Kernel(socket) = &self.paths[usize::from(to.path.0)] {
                    let payload = buffer.get(..len).unwrap_or_default();
                    send_by_kernel(socket, payload, way, &self.counters);
                }
                self.buffers.give_back(buffer);
            }
            (Place::Buffer(buffer), Way::Queue(_)) => self.buffers.give_back(buffer),
        }
    }

    /// Sends what is no answer, from the server's port, by the kernel's socket of an interface: the
    /// kernel finds the neighbour and the source address.
    ///
    /// # Errors
    /// What the kernel says; `NotFound` for an interface that there is not.
    pub fn send_unasked(
        &self,
        interface: InterfaceId,
        peer: SocketAddrV6,
        payload: &[u8],
    ) -> io::Result<()> {
        let kernels = self.paths.iter().filter_map(|path| match path {
            TxPath::Kernel(socket) => Some(socket),
            TxPath::Queue(_) => None,
        });
        // Every interface has one, in their order.
        let mut kernels = kernels.skip(usize::from(interface.0));
        let socket = kernels.next().ok_or(io::ErrorKind::NotFound)?;
        let way = KernelPath {
            peer: *peer.ip(),
            peer_port: peer.port(),
            local: Ipv6Addr::UNSPECIFIED,
        };
        let sent = socket.send(payload, &way);
        match &sent {
            Ok(()) => self.counters.count_sent_socket(),
            Err(_) => self.counters.count_drop(IoDrop::SendFailed, 1),
        }
        sent
    }

    /// Gives up an answer.
    pub fn discard(&mut self, reply: Reply) {
        match reply.place {
            Place::Frame(frame) => self.put_back(&reply.to, frame),
            Place::Buffer(buffer) => self.buffers.give_back(buffer),
        }
    }

    /// Lets the kernel send what is queued, and takes sent frames back. Call it in every turn of
    /// the loop: a TX ring that is full needs its kick all the same.
    pub fn flush(&mut self) {
        for path in &mut self.paths {
            if let TxPath::Queue(queue) = path {
                queue.flush();
                queue.take_completed();
            }
        }
    }

    /// Whether descriptors wait for a kick.
    pub(crate) fn has_work(&mut self) -> bool {
        self.paths.iter_mut().any(|path| match path {
            TxPath::Queue(queue) => queue.tx.pending() > 0,
            TxPath::Kernel(_) => false,
        })
    }

    fn path(&mut self, to: &ReplyTo) -> &mut TxPath {
        &mut self.paths[usize::from(to.path.0)]
    }

    fn put_back(&mut self, to: &ReplyTo, frame: Frame) {
        let number = frame.into_number();
        if let TxPath::Queue(queue) = self.path(to) {
            queue.stock.push(number);
        }
    }

    fn send_frame(&mut self, to: &ReplyTo, way: &ReplyPath, mut frame: Frame, len: usize) {
        let TxPath::Queue(queue) = &mut self.paths[usize::from(to.path.0)] else {
            return self.put_back(to, frame);
        };
        let tags = way.vlan.as_slice().len() * 4;
        let packet_len = way.header_len() + len - ETHERNET_LEN - tags;
        if packet_len > queue.mtu as usize {
            let payload = queue.umem.octets(&frame).get(way.header_len()..);
            let payload = payload
                .and_then(|octets| octets.get(..len))
                .unwrap_or_default();
            if tags == 0 {
                send_by_kernel(&queue.kernel, payload, &kernel_way(way), &self.counters);
            } else {
                self.counters.count_drop(IoDrop::TooLarge, 1);
            }
            return self.put_back(to, frame);
        }
        match way.write(queue.umem.octets_mut(&mut frame), len) {
            Ok(frame_len) => {
                queue.push(frame, frame_len);
                self.counters.count_sent_xdp();
            }
            Err(_) => {
                self.counters.count_drop(IoDrop::TooLarge, 1);
                self.put_back(to, frame);
            }
        }
    }
}

fn kernel_way(way: &ReplyPath) -> KernelPath {
    KernelPath {
        peer: way.dst.into(),
        peer_port: way.dst_port,
        local: way.src.into(),
    }
}

fn send_by_kernel(socket: &KernelSocket, payload: &[u8], way: &KernelPath, counters: &IoCounters) {
    match socket.send(payload, way) {
        Ok(()) => counters.count_sent_socket(),
        Err(error) => {
            tracing::debug!(%error, peer = %way.peer, "answer not sent");
            counters.count_drop(IoDrop::SendFailed, 1);
        }
    }
}

/// Wakes the kernel until it has taken the descriptors that wait, or one kick each batch was made.
pub(crate) fn kick_pending(tx: &mut Producer<libc::xdp_desc>, socket: &XskSocket) {
    let mut kicks = tx.pending().div_ceil(KICK_BATCH);
    while kicks > 0 && tx.pending() > 0 && tx.needs_wakeup() {
        if let Err(error) = sys::kick_transmit(socket.as_fd()) {
            tracing::debug!(%error, "kick of a TX ring");
            break;
        }
        kicks -= 1;
    }
}

impl TxQueue {
    fn take(&mut self) -> Option<Frame> {
        let number = match self.stock.pop() {
            Some(number) => number,
            None => {
                self.take_completed();
                self.stock.pop()?
            }
        };
        // SAFETY: the number came out of the stock, where it was put once.
        Some(unsafe { self.umem.take(number) })
    }

    /// The TX ring has a place for every frame of the stock, so there is always one.
    fn push(&mut self, frame: Frame, len: usize) {
        let descriptor = libc::xdp_desc {
            addr: address_of(frame.into_number()),
            len: len as u32,
            options: 0,
        };
        let pushed = self.tx.push(descriptor);
        assert!(
            pushed.is_ok(),
            "the TX ring has a place for every frame of the stock"
        );
        self.pushed += 1;
    }

    fn flush(&mut self) {
        if self.pushed > 0 {
            self.tx.publish();
            self.pushed = 0;
        }
        kick_pending(&mut self.tx, &self.socket);
    }

    fn take_completed(&mut self) {
        let partition = self.umem.partition();
        match &mut self.home {
            TxHome::Owner { completion, guests } => {
                let mut any = false;
                while let Some(address) = completion.pop() {
                    any = true;
                    let number = number_of(address);
                    match partition.home(number) {
                        Some(Home::Transmit(worker)) if worker == self.worker => {
                            self.stock.push(number);
                        }
                        Some(Home::Transmit(worker)) => {
                            let guest = guests[worker].as_mut();
                            let guest = guest.expect("every other worker is a guest");
                            guest
                                .push(number)
                                .expect("the way home has a place for every frame");
                        }
                        Some(Home::Receive) | None => {
                            unreachable!("only transmit frames are sent")
                        }
                    }
                }
                if any {
                    completion.release();
                }
            }
            TxHome::Guest { completed, owner } => {
                while let Ok(number) = completed.pop() {
                    self.stock.push(number);
                }
                // A sleeping owner must not leave this worker without frames.
                if self.stock.len() < partition.transmit_each as usize / 2 {
                    owner.wake();
                }
            }
        }
    }
}
