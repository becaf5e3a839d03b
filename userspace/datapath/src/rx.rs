//! Datagrams in: from the RX rings of a worker and from the kernel sockets it reads.

use std::net::Ipv6Addr;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use arc_swap::ArcSwap;
use arrayvec::ArrayVec;
use rtrb::{Consumer as HomeReader, Producer as HomeWriter};
use wire::relay::answer_port;

use crate::addresses::Addresses;
use crate::counters::{IoCounters, IoDrop};
use crate::kernel::{KernelDatagram, KernelPath, KernelReader, KernelSocket};
use crate::reply::{ReplyTo, Way};
use crate::ring::{Consumer, Producer};
use crate::socket::XskSocket;
use crate::spec::{InterfaceId, PathId};
use crate::sys::{self, BATCH};
use crate::umem::{Frame, Umem, address_of, number_of};
use crate::waker::Waker;

/// A received UDP datagram.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'f> {
    /// The UDP payload.
    pub payload: &'f [u8],
    /// The interface it came in on.
    pub interface: InterfaceId,
    /// Its source address.
    pub source: Ipv6Addr,
    /// Its destination address.
    pub destination: Ipv6Addr,
    /// The way back.
    pub reply_to: ReplyTo,
}

/// An interface's addresses, replaced as a whole when the kernel's change.
pub(crate) type SharedAddresses = Arc<ArcSwap<Addresses>>;

/// The receiving side of a worker's ports.
pub struct Rx {
    pub(crate) queues: Vec<RxQueue>,
    pub(crate) kernels: Vec<RxKernel>,
    pub(crate) reader: KernelReader,
    pub(crate) counters: Arc<IoCounters>,
    /// Where the next round begins, so that no queue starves the others.
    pub(crate) next: usize,
    /// Rounds until the kernel's sockets are read again.
    pub(crate) kernel_in: u32,
}

/// Rounds between two looks at the kernel's sockets while the rings are polled: a look is a system
/// call, and what comes that way is rare and slow anyhow.
const KERNEL_ROUNDS: u32 = 16;

/// One queue's RX ring of this worker.
pub(crate) struct RxQueue {
    pub path: PathId,
    pub interface: InterfaceId,
    pub mac: [u8; 6],
    pub verify_checksums: bool,
    pub addresses: SharedAddresses,
    pub umem: Arc<Umem>,
    pub socket: Arc<XskSocket>,
    pub rx: Consumer<libc::xdp_desc>,
    pub home: RxHome,
}

/// A frame from the RX ring, in hand until its datagram has been dealt with.
struct Received {
    frame: Frame,
    /// Where in it the packet stands.
    octets: Range<usize>,
}

/// How received frames go back to the FILL ring.
pub(crate) enum RxHome {
    /// This worker owns the queue; the others' frames come in by these.
    Owner {
        fill: Producer<u64>,
        returns: Vec<HomeReader<u32>>,
    },
    /// Another worker does.
    Guest {
        returns: HomeWriter<u32>,
        /// Frames returned since the owner was last woken.
        unannounced: u32,
        owner: Waker,
    },
}

/// A kernel socket that this worker reads.
pub(crate) struct RxKernel {
    pub path: PathId,
    pub interface: InterfaceId,
    pub addresses: SharedAddresses,
    pub socket: Arc<KernelSocket>,
}

impl Rx {
    /// Takes up to `budget` datagrams and calls `f` with as many at a time as there are, up to a
    /// few dozen, so that it can look ahead over them; how many. The payloads are only there
    /// during the call.
    pub fn poll(&mut self, budget: usize, f: &mut impl FnMut(&[Datagram<'_>])) -> usize {
        let queues = self.queues.len();
        let mut taken = 0;
        for offset in 0..queues {
            let queue = &mut self.queues[(self.next + offset) % queues];
            taken += queue.poll(budget - taken, &self.counters, f);
            if taken == budget {
                break;
            }
        }
        self.next = self.next.wrapping_add(1) % queues.max(1);
        if queues == 0 || self.kernel_in == 0 {
            self.kernel_in = KERNEL_ROUNDS;
            // Also when the rings have used the budget up: they must not starve the sockets.
            taken += self.poll_kernels((budget - taken).max(1), f);
        }
        self.kernel_in -= 1;
        taken
    }

    /// Has the next round read the kernel's sockets, whose readiness may be what ended a sleep.
    pub(crate) fn read_kernels_next(&mut self) {
        self.kernel_in = 0;
    }

    /// Does what a queue's owner owes the others: takes their frames back to the FILL ring.
    pub(crate) fn bring_home(&mut self) {
        for queue in &mut self.queues {
            queue.bring_home();
        }
    }

    pub(crate) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let queues = self.queues.iter().map(|queue| queue.socket.as_fd());
        queues.chain(self.kernels.iter().map(|kernel| kernel.socket.as_fd()))
    }

    /// Whether a ring has something that poll(2) would report only late.
    pub(crate) fn has_work(&mut self) -> bool {
        self.queues.iter_mut().any(|queue| !queue.rx.is_empty())
    }

    fn poll_kernels(&mut self, budget: usize, f: &mut impl FnMut(&[Datagram<'_>])) -> usize {
        let mut taken = 0;
        for kernel in &self.kernels {
            let addresses = kernel.addresses.load();
            let counters = &self.counters;
            let deliver = &mut |received: &[KernelDatagram<'_>]| {
                let mut datagrams = ArrayVec::<_, BATCH>::new();
                for received in received {
                    match addresses.reply_source(received.destination, received.source) {
                        Some(local) => datagrams.push(kernel.datagram(received, local)),
                        None => counters.count_drop(IoDrop::NoSourceAddress, 1),
                    }
                }
                f(&datagrams);
            };
            let truncated_before = self.reader.truncated;
            match self.reader.receive(&kernel.socket, budget - taken, deliver) {
                Ok(received) => taken += received,
                // An error of a datagram socket is that of an earlier send, such as an ICMP
                // message; the next call reads on.
                Err(error) => tracing::debug!(%error, "kernel socket"),
            }
            let truncated = self.reader.truncated - truncated_before;
            self.counters.count_drop(IoDrop::Truncated, truncated);
        }
        taken
    }
}

impl RxKernel {
    fn datagram<'f>(&self, received: &KernelDatagram<'f>, local: Ipv6Addr) -> Datagram<'f> {
        let way = KernelPath {
            peer: received.source,
            peer_port: answer_port(received.payload, received.source_port),
            local,
        };
        Datagram {
            payload: received.payload,
            interface: self.interface,
            source: received.source,
            destination: received.destination,
            reply_to: ReplyTo {
                path: self.path,
                way: Way::Kernel(way),
            },
        }
    }
}

impl RxQueue {
    fn poll(
        &mut self,
        budget: usize,
        counters: &IoCounters,
        f: &mut impl FnMut(&[Datagram<'_>]),
    ) -> usize {
        self.bring_home();
        let mut taken = 0;
        while taken < budget {
            let frames = self.take(budget - taken);
            if frames.is_empty() {
                break;
            }
            taken += frames.len();
            self.deliver(&frames, counters, f);
            for received in frames {
                self.send_home(received.frame.into_number());
            }
        }
        if taken > 0 {
            self.rx.release();
            self.publish_returns();
        }
        taken
    }

    /// Frames from the RX ring, up to `most` of them.
    fn take(&mut self, most: usize) -> ArrayVec<Received, BATCH> {
        let mut frames = ArrayVec::new();
        while frames.len() < most.min(BATCH)
            && let Some(descriptor) = self.rx.pop()
        {
            let number = number_of(descriptor.addr);
            let start = (descriptor.addr - address_of(number)) as usize;
            frames.push(Received {
                // SAFETY: the kernel put the frame into this RX ring, which gave it up by `pop`.
                frame: unsafe { self.umem.take(number) },
                octets: start..start + descriptor.len as usize,
            });
        }
        frames
    }

    fn deliver(
        &self,
        frames: &[Received],
        counters: &IoCounters,
        f: &mut impl FnMut(&[Datagram<'_>]),
    ) {
        let addresses = self.addresses.load();
        let mut datagrams = ArrayVec::<_, BATCH>::new();
        for Received { frame, octets } in frames {
            let octets = self.umem.octets(frame).get(octets.clone());
            match self.datagram(octets.unwrap_or_default(), &addresses) {
                Ok(datagram) => datagrams.push(datagram),
                Err(reason) => counters.count_drop(reason, 1),
            }
        }
        f(&datagrams);
    }

    fn datagram<'f>(
        &self,
        octets: &'f [u8],
        addresses: &Addresses,
    ) -> Result<Datagram<'f>, IoDrop> {
        let frame = wire::Frame::parse(octets)?;
        if self.verify_checksums {
            frame.verify_checksum()?;
        }
        let source = Ipv6Addr::from_bits(frame.src);
        let destination = Ipv6Addr::from_bits(frame.dst);
        let own = addresses
            .reply_source(destination, source)
            .ok_or(IoDrop::NoSourceAddress)?;
        Ok(Datagram {
            payload: frame.payload,
            interface: self.interface,
            source,
            destination,
            reply_to: ReplyTo {
                path: self.path,
                way: Way::Queue(frame.reply_path(self.mac, own.to_bits())),
            },
        })
    }

    fn send_home(&mut self, number: u32) {
        match &mut self.home {
            RxHome::Owner { fill, .. } => push_fill(fill, number),
            RxHome::Guest {
                returns,
                unannounced,
                ..
            } => {
                returns
                    .push(number)
                    .expect("the way home has a place for every frame");
                *unannounced += 1;
            }
        }
    }

    fn bring_home(&mut self) {
        let RxHome::Owner { fill, returns } = &mut self.home else {
            return;
        };
        let mut moved = false;
        for guest in returns {
            while let Ok(number) = guest.pop() {
                push_fill(fill, number);
                moved = true;
            }
        }
        if moved {
            self.publish_returns();
        }
    }

    fn publish_returns(&mut self) {
        match &mut self.home {
            RxHome::Owner { fill, .. } => {
                fill.publish();
                if fill.needs_wakeup() {
                    // What a kick cannot do now, the next one or poll(2) does.
                    let _ = sys::kick_receive(self.socket.as_fd());
                }
            }
            RxHome::Guest {
                unannounced, owner, ..
            } => {
                // A sleeping owner must not leave the FILL ring to run dry.
                if *unannounced >= self.umem.partition().receive / 4 {
                    *unannounced = 0;
                    owner.wake();
                }
            }
        }
    }
}

fn push_fill(fill: &mut Producer<u64>, number: u32) {
    fill.push(address_of(number))
        .expect("the FILL ring has a place for every frame");
}
