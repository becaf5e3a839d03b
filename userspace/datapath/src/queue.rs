//! One receive queue with the sockets of all workers on it, and how it is shared out to them.

use core::time::Duration;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use rtrb::RingBuffer;

use crate::kernel::KernelSocket;
use crate::rx::{RxHome, RxQueue, SharedAddresses};
use crate::socket::{Endpoint, Owned, open_queue};
use crate::spec::{InterfaceId, PathId, QueueId};
use crate::tx::{TxHome, TxQueue};
use crate::umem::{Partition, Stock, Umem};
use crate::waker::Waker;

/// Frames of a queue for receiving, and places of its FILL and RX rings: some milliseconds of a
/// million packets a second, in which a worker may be kept from its core.
const RECEIVE_FRAMES: u32 = 4096;
/// Frames for transmitting that the workers of a queue share evenly: enough for what waits for a
/// slow disk's commit of 5 ms.
const TRANSMIT_FRAMES: u32 = 8192;
/// Bounds of one worker's part.
const TRANSMIT_EACH: core::ops::RangeInclusive<u32> = 256..=4096;

/// How long the kernel may take to release a queue whose sockets were closed just now, by the rung
/// above or by a server that was killed.
const RELEASE: Duration = Duration::from_secs(1);

/// A queue that is open and not shared out yet.
pub(crate) struct Queue {
    pub id: QueueId,
    pub umem: Arc<Umem>,
    pub owned: Owned,
    pub endpoints: Vec<Endpoint>,
}

/// How the frames of a queue are shared out among so many workers.
pub(crate) fn partition(workers: usize) -> Partition {
    let each = (TRANSMIT_FRAMES / workers as u32)
        .clamp(*TRANSMIT_EACH.start(), *TRANSMIT_EACH.end())
        .next_power_of_two();
    Partition {
        receive: RECEIVE_FRAMES,
        transmit_each: each,
        workers: workers as u32,
    }
}

/// What the ports of a queue need to know of their interface.
#[derive(Clone)]
pub(crate) struct PortFacts {
    pub path: PathId,
    pub interface: InterfaceId,
    pub mac: [u8; 6],
    pub mtu: u32,
    pub verify_checksums: bool,
    pub addresses: SharedAddresses,
    pub kernel: Arc<KernelSocket>,
}

impl Queue {
    /// Opens a socket for each worker on the queue.
    pub(crate) fn open(
        umem_id: u16,
        ifindex: u32,
        id: QueueId,
        workers: usize,
        zero_copy: bool,
    ) -> io::Result<Self> {
        let umem = Arc::new(Umem::new(umem_id, partition(workers))?);
        let begin = Instant::now();
        let (owned, endpoints) = loop {
            match open_queue(&umem, ifindex, id, zero_copy) {
                Err(error)
                    if error.raw_os_error() == Some(libc::EBUSY) && begin.elapsed() < RELEASE =>
                {
                    std::thread::sleep(RELEASE / 50);
                }
                opened => break opened?,
            }
        };
        Ok(Self {
            id,
            umem,
            owned,
            endpoints,
        })
    }

    /// Gives every worker its ends; `owner` gets the rings that exist once. `wakers` are by worker.
    pub(crate) fn share_out(
        self,
        owner: usize,
        facts: &PortFacts,
        wakers: &[Waker],
    ) -> Vec<(RxQueue, TxQueue)> {
        let Self {
            umem,
            owned,
            endpoints,
            ..
        } = self;
        let partition = umem.partition();
        let mut returns_to_owner = Vec::new();
        let mut completed_to_guests = Vec::new();
        let mut guests = Vec::new();
        for worker in 0..endpoints.len() {
            if worker == owner {
                completed_to_guests.push(None);
                guests.push(None);
                continue;
            }
            let (returns_in, returns_out) = RingBuffer::new(partition.receive as usize);
            let (completed_in, completed_out) = RingBuffer::new(partition.transmit_each as usize);
            returns_to_owner.push(returns_out);
            completed_to_guests.push(Some(completed_in));
            guests.push(Some((returns_in, completed_out)));
        }
        let mut owner_ends = Some((owned, returns_to_owner, completed_to_guests));
        let mut ports = Vec::with_capacity(endpoints.len());
        for (worker, (endpoint, guest)) in endpoints.into_iter().zip(guests).enumerate() {
            let (rx_home, tx_home) = match guest {
                Some((returns, completed)) => (
                    RxHome::Guest {
                        returns,
                        unannounced: 0,
                        owner: wakers[owner].clone(),
                    },
                    TxHome::Guest {
                        completed,
                        owner: wakers[owner].clone(),
                    },
                ),
                None => {
                    let (owned, returns, guests) =
                        owner_ends.take().expect("a queue has one owner");
                    (
                        RxHome::Owner {
                            fill: owned.fill,
                            returns,
                        },
                        TxHome::Owner {
                            completion: owned.completion,
                            guests,
                        },
                    )
                }
            };
            ports.push(ports_of(worker, endpoint, &umem, facts, rx_home, tx_home));
        }
        ports
    }
}

fn ports_of(
    worker: usize,
    endpoint: Endpoint,
    umem: &Arc<Umem>,
    facts: &PortFacts,
    rx_home: RxHome,
    tx_home: TxHome,
) -> (RxQueue, TxQueue) {
    let rx = RxQueue {
        path: facts.path,
        interface: facts.interface,
        mac: facts.mac,
        verify_checksums: facts.verify_checksums,
        addresses: Arc::clone(&facts.addresses),
        umem: Arc::clone(umem),
        socket: Arc::clone(&endpoint.socket),
        rx: endpoint.rx,
        home: rx_home,
    };
    let tx = TxQueue {
        worker,
        mtu: facts.mtu,
        umem: Arc::clone(umem),
        socket: endpoint.socket,
        tx: endpoint.tx,
        stock: Stock::new(umem.partition().transmit(worker)),
        home: tx_home,
        kernel: Arc::clone(&facts.kernel),
        pushed: 0,
    };
    (rx, tx)
}
