//! A port for whole frames on every queue of an interface, for whoever is not the server: a load
//! generator, an echo. One thread owns it; it never sleeps.
//!
//! It receives the DHCPv6 packets that the program `divert` redirects, whatever their addresses,
//! and sends what it is given. The interface is otherwise the kernel's: neighbour discovery
//! goes on.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use crate::error::DatapathError;
use crate::interface::interface_facts;
use crate::probe::chain;
use crate::queue::Queue;
use crate::ring::{Consumer, Producer};
use crate::socket::XskSocket;
use crate::spec::{QueueId, Rung};
use crate::sys;
use crate::tx::kick_pending;
use crate::umem::{FRAME_LEN, Frame, Stock, Umem, address_of, number_of};
use crate::xdp::{AttachMode, Divert};

/// The port. Dropping it detaches the program.
pub struct RawPort {
    // Before the sockets: frames must not be redirected to what is being closed.
    _divert: Divert,
    queues: Vec<RawQueue>,
    mac: [u8; 6],
    rung: Rung,
    /// Where the next frame is sent from, so that all queues of the peer get some.
    next: usize,
}

/// What the kernel dropped at the sockets of a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RawDrops {
    /// Frames for which the RX ring had no place.
    pub ring_full: u64,
    /// Frames for which the FILL ring had no frame.
    pub no_frame: u64,
    /// Frames that could not be delivered for another reason.
    pub other: u64,
}

struct RawQueue {
    umem: Arc<Umem>,
    socket: Arc<XskSocket>,
    rx: Consumer<libc::xdp_desc>,
    tx: Producer<libc::xdp_desc>,
    fill: Producer<u64>,
    completion: Consumer<u64>,
    stock: Stock,
    pushed: bool,
}

impl RawPort {
    /// Opens all queues of an interface on one rung of AF_XDP.
    ///
    /// # Errors
    /// There is no such interface, or the rung does not work there.
    ///
    /// # Panics
    /// If the rung is [`Rung::Socket`], which has no frames.
    pub fn open(interface: &str, rung: Rung) -> Result<Self, DatapathError> {
        assert!(rung != Rung::Socket, "a raw port is of AF_XDP");
        let facts = interface_facts(interface).map_err(|source| DatapathError::Interface {
            interface: interface.to_owned(),
            source,
        })?;
        let refuse = |reason: String| DatapathError::Rung {
            interface: interface.to_owned(),
            rung,
            reason,
        };
        let mut queues = Vec::new();
        for (number, umem) in (0..facts.queues).zip(0..) {
            let zero_copy = rung == Rung::ZeroCopy;
            let queue = Queue::open(umem, facts.index, QueueId(number), 1, zero_copy);
            let queue = queue.map_err(|error| refuse(format!("queue {number}: {error}")))?;
            queues.push(RawQueue::new(queue));
        }
        let mode = match rung {
            Rung::Generic => AttachMode::Generic,
            _ => AttachMode::Driver,
        };
        let sockets: Vec<BorrowedFd<'_>> = queues.iter().map(|q| q.socket.as_fd()).collect();
        let divert = Divert::attach(facts.index, mode, &sockets);
        Ok(Self {
            _divert: divert.map_err(|error| refuse(chain(&error)))?,
            queues,
            mac: facts.mac,
            rung,
            next: 0,
        })
    }

    /// The interface's Ethernet address.
    pub fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// The rung it was opened on.
    pub fn rung(&self) -> Rung {
        self.rung
    }

    /// Takes up to `budget` frames of each queue and calls `f` for each; how many.
    pub fn receive(&mut self, budget: usize, f: &mut impl FnMut(&[u8])) -> usize {
        self.queues
            .iter_mut()
            .map(|queue| queue.receive(budget, f))
            .sum()
    }

    /// Has `write` put a frame in place and give its length; it leaves with the next
    /// [`flush`](Self::flush). Returns false, without calling `write`, while every frame is under
    /// way. A length of 0 sends nothing.
    ///
    /// # Panics
    /// If `write` gives a length beyond the buffer it was given.
    pub fn send(&mut self, write: impl FnOnce(&mut [u8]) -> usize) -> bool {
        let queue = self.next;
        self.next = if queue + 1 == self.queues.len() {
            0
        } else {
            queue + 1
        };
        self.queues[queue].send(write)
    }

    /// Takes up to `budget` frames of each queue; `f` writes the answer to each beside it and gives
    /// its length, 0 for none. How many were taken: those that wait while every frame of the
    /// sending side is under way stay where they are.
    ///
    /// # Panics
    /// If `f` gives a length beyond the buffer it was given.
    pub fn respond(
        &mut self,
        budget: usize,
        f: &mut impl FnMut(&[u8], &mut [u8]) -> usize,
    ) -> usize {
        self.queues
            .iter_mut()
            .map(|queue| queue.respond(budget, f))
            .sum()
    }

    /// Lets the kernel send what is queued and takes sent frames back. A TX ring that is full needs
    /// this as well.
    pub fn flush(&mut self) {
        for queue in &mut self.queues {
            queue.flush();
        }
    }

    /// What the kernel dropped on the way in since the port was opened.
    pub fn drops(&self) -> RawDrops {
        let mut drops = RawDrops::default();
        for statistics in self
            .queues
            .iter()
            .filter_map(|q| q.socket.statistics().ok())
        {
            drops.ring_full += statistics.rx_ring_full;
            drops.no_frame += statistics.rx_fill_ring_empty_descs;
            drops.other += statistics.rx_dropped;
        }
        drops
    }
}

impl RawQueue {
    fn new(queue: Queue) -> Self {
        let Queue {
            umem,
            owned,
            endpoints,
            ..
        } = queue;
        let mut endpoints = endpoints;
        let endpoint = endpoints.pop().expect("a queue is opened for one worker");
        Self {
            stock: Stock::new(umem.partition().transmit(0)),
            umem,
            socket: endpoint.socket,
            rx: endpoint.rx,
            tx: endpoint.tx,
            fill: owned.fill,
            completion: owned.completion,
            pushed: false,
        }
    }

    fn receive(&mut self, budget: usize, f: &mut impl FnMut(&[u8])) -> usize {
        let mut taken = 0;
        while taken < budget
            && let Some((frame, descriptor)) = self.pop()
        {
            taken += 1;
            f(octets_of(&self.umem, &frame, &descriptor));
            self.refill(frame);
        }
        self.finish_receiving(taken);
        taken
    }

    fn respond(&mut self, budget: usize, f: &mut impl FnMut(&[u8], &mut [u8]) -> usize) -> usize {
        let mut taken = 0;
        while taken < budget
            && !self.rx.is_empty()
            && let Some(mut answer) = self.take_frame()
        {
            let Some((frame, descriptor)) = self.pop() else {
                self.stock.push(answer.into_number());
                break;
            };
            taken += 1;
            let request = octets_of(&self.umem, &frame, &descriptor);
            let len = f(request, self.umem.octets_mut(&mut answer));
            self.push(answer, len);
            self.refill(frame);
        }
        self.finish_receiving(taken);
        taken
    }

    fn pop(&mut self) -> Option<(Frame, libc::xdp_desc)> {
        let descriptor = self.rx.pop()?;
        // SAFETY: the kernel put the frame into this RX ring, which gave it up by `pop`.
        let frame = unsafe { self.umem.take(number_of(descriptor.addr)) };
        Some((frame, descriptor))
    }

    fn refill(&mut self, frame: Frame) {
        let back = self.fill.push(address_of(frame.into_number()));
        back.expect("the FILL ring has a place for every frame");
    }

    fn finish_receiving(&mut self, taken: usize) {
        if taken == 0 {
            return;
        }
        self.rx.release();
        self.fill.publish();
        if self.fill.needs_wakeup() {
            // What a kick cannot do now, the next one does.
            let _ = sys::kick_receive(self.socket.as_fd());
        }
    }

    fn send(&mut self, write: impl FnOnce(&mut [u8]) -> usize) -> bool {
        let Some(mut frame) = self.take_frame() else {
            return false;
        };
        let len = write(self.umem.octets_mut(&mut frame));
        self.push(frame, len);
        true
    }

    fn push(&mut self, frame: Frame, len: usize) {
        let number = frame.into_number();
        assert!(len <= FRAME_LEN, "a frame of {len} octets");
        if len == 0 {
            return self.stock.push(number);
        }
        let descriptor = libc::xdp_desc {
            addr: address_of(number),
            len: len as u32,
            options: 0,
        };
        let pushed = self.tx.push(descriptor);
        assert!(
            pushed.is_ok(),
            "the TX ring has a place for every frame of the stock"
        );
        self.pushed = true;
    }

    fn take_frame(&mut self) -> Option<Frame> {
        if self.stock.len() == 0 {
            self.take_completed();
        }
        let number = self.stock.pop()?;
        // SAFETY: the number came out of the stock, where it was put once.
        Some(unsafe { self.umem.take(number) })
    }

    fn take_completed(&mut self) {
        let mut any = false;
        while let Some(address) = self.completion.pop() {
            any = true;
            self.stock.push(number_of(address));
        }
        if any {
            self.completion.release();
        }
    }

    fn flush(&mut self) {
        if std::mem::take(&mut self.pushed) {
            self.tx.publish();
        }
        kick_pending(&mut self.tx, &self.socket);
        self.take_completed();
    }
}

fn octets_of<'f>(umem: &'f Umem, frame: &'f Frame, descriptor: &libc::xdp_desc) -> &'f [u8] {
    let start = descriptor.addr as usize % FRAME_LEN;
    let octets = umem.octets(frame);
    octets
        .get(start..start + descriptor.len as usize)
        .unwrap_or_default()
}
