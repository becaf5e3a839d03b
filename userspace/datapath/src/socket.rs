//! AF_XDP sockets of one queue: the first brings the UMEM, the others share it.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use crate::mmap::Mapping;
use crate::ring::{Consumer, Descriptor, Layout, Producer};
use crate::spec::QueueId;
use crate::sys;
use crate::umem::{FRAME_LEN, Umem, address_of};

/// A bound AF_XDP socket. It keeps the UMEM that the kernel works in alive.
#[derive(Debug)]
pub(crate) struct XskSocket {
    fd: OwnedFd,
    _umem: Arc<Umem>,
}

impl AsFd for XskSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl XskSocket {
    /// What the kernel counted at this socket since it was made.
    pub(crate) fn statistics(&self) -> io::Result<libc::xdp_statistics> {
        let zero = libc::xdp_statistics {
            rx_dropped: 0,
            rx_invalid_descs: 0,
            tx_invalid_descs: 0,
            rx_ring_full: 0,
            rx_fill_ring_empty_descs: 0,
            tx_ring_empty_descs: 0,
        };
        sys::get_option(self.as_fd(), libc::SOL_XDP, libc::XDP_STATISTICS, zero)
    }
}

/// A worker's socket on a queue with its own two rings.
pub(crate) struct Endpoint {
    pub socket: Arc<XskSocket>,
    pub rx: Consumer<libc::xdp_desc>,
    pub tx: Producer<libc::xdp_desc>,
}

/// The two rings of a queue that one worker owns for all.
pub(crate) struct Owned {
    pub fill: Producer<u64>,
    pub completion: Consumer<u64>,
}

/// Opens one socket for each worker of the UMEM's partition on a queue, the owner's first. The
/// FILL ring holds the whole receive stock before anything is bound: there are drivers that never
/// receive otherwise.
///
/// # Errors
/// What the kernel says; EOPNOTSUPP where the driver has no zero-copy.
pub(crate) fn open_queue(
    umem: &Arc<Umem>,
    ifindex: u32,
    queue: QueueId,
    zero_copy: bool,
) -> io::Result<(Owned, Vec<Endpoint>)> {
    let partition = umem.partition();
    let first = sys::xdp_socket()?;
    register(first.as_fd(), umem)?;
    let rx_places = partition.receive.next_power_of_two();
    // The kernel shows a frame in an RX ring before it gives the frame's place in the FILL ring
    // back. With a place for every frame and no more, a fast reader could find the ring full.
    let fill_places = 2 * rx_places;
    let completion_places = (partition.transmit_each * partition.workers).next_power_of_two();
    let mut fill = Producer::from_kernel(first.as_fd(), Kind::Fill, fill_places)?;
    let completion = Consumer::from_kernel(first.as_fd(), Kind::Completion, completion_places)?;
    for number in 0..partition.receive {
        fill.push(address_of(number))
            .map_err(|_| io::ErrorKind::OutOfMemory)?;
    }
    fill.publish();

    let mut endpoints: Vec<Endpoint> = Vec::with_capacity(partition.workers as usize);
    let mode = if zero_copy {
        libc::XDP_ZEROCOPY
    } else {
        libc::XDP_COPY
    };
    let mut unbound = Some(first);
    for _ in 0..partition.workers {
        let fd = unbound.take().map_or_else(sys::xdp_socket, Ok)?;
        let rx = Consumer::from_kernel(fd.as_fd(), Kind::Receive, rx_places)?;
        let tx_places = partition.transmit_each.next_power_of_two();
        let tx = Producer::from_kernel(fd.as_fd(), Kind::Transmit, tx_places)?;
        let shared = endpoints.first().map(|first| first.socket.as_fd());
        bind(fd.as_fd(), ifindex, queue, mode, shared)?;
        let socket = Arc::new(XskSocket {
            fd,
            _umem: Arc::clone(umem),
        });
        endpoints.push(Endpoint { socket, rx, tx });
    }
    Ok((Owned { fill, completion }, endpoints))
}

fn register(socket: BorrowedFd<'_>, umem: &Umem) -> io::Result<()> {
    let (addr, len) = umem.region();
    let registration = libc::xdp_umem_reg {
        addr,
        len,
        chunk_size: FRAME_LEN as u32,
        headroom: 0,
        flags: 0,
        tx_metadata_len: 0,
    };
    sys::set_option(socket, libc::SOL_XDP, libc::XDP_UMEM_REG, &registration)
}

/// Sharers must not give flags of their own: they take the first socket's.
fn bind(
    socket: BorrowedFd<'_>,
    ifindex: u32,
    queue: QueueId,
    mode: u16,
    shared: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let (flags, shared_fd) = match shared {
        None => (mode | libc::XDP_USE_NEED_WAKEUP, 0),
        Some(first) => (libc::XDP_SHARED_UMEM, first.as_raw_fd() as u32),
    };
    let address = libc::sockaddr_xdp {
        sxdp_family: libc::AF_XDP as u16,
        sxdp_flags: flags,
        sxdp_ifindex: ifindex,
        sxdp_queue_id: queue.0,
        sxdp_shared_umem_fd: shared_fd,
    };
    sys::bind_xdp(socket, &address)
}

/// Which of the four rings.
#[derive(Clone, Copy)]
enum Kind {
    Fill,
    Completion,
    Receive,
    Transmit,
}

impl<T: Descriptor> Consumer<T> {
    fn from_kernel(socket: BorrowedFd<'_>, kind: Kind, places: u32) -> io::Result<Self> {
        let (mapping, layout) = map_ring(socket, kind, places, size_of::<T>())?;
        Ok(Self::new(mapping, layout, places))
    }
}

impl<T: Descriptor> Producer<T> {
    fn from_kernel(socket: BorrowedFd<'_>, kind: Kind, places: u32) -> io::Result<Self> {
        let (mapping, layout) = map_ring(socket, kind, places, size_of::<T>())?;
        Ok(Self::new(mapping, layout, places))
    }
}

/// Makes a ring of so many places at a socket and maps it.
fn map_ring(
    socket: BorrowedFd<'_>,
    kind: Kind,
    places: u32,
    descriptor_len: usize,
) -> io::Result<(Arc<Mapping>, Layout)> {
    let (option, page_offset) = match kind {
        Kind::Fill => (
            libc::XDP_UMEM_FILL_RING,
            libc::XDP_UMEM_PGOFF_FILL_RING as i64,
        ),
        Kind::Completion => (
            libc::XDP_UMEM_COMPLETION_RING,
            libc::XDP_UMEM_PGOFF_COMPLETION_RING as i64,
        ),
        Kind::Receive => (libc::XDP_RX_RING, libc::XDP_PGOFF_RX_RING),
        Kind::Transmit => (libc::XDP_TX_RING, libc::XDP_PGOFF_TX_RING),
    };
    sys::set_option(socket, libc::SOL_XDP, option, &(places as i32))?;
    let none = libc::xdp_ring_offset {
        producer: 0,
        consumer: 0,
        desc: 0,
        flags: 0,
    };
    let zero = libc::xdp_mmap_offsets {
        rx: none,
        tx: none,
        fr: none,
        cr: none,
    };
    let offsets = sys::get_option(socket, libc::SOL_XDP, libc::XDP_MMAP_OFFSETS, zero)?;
    let offset = match kind {
        Kind::Fill => offsets.fr,
        Kind::Completion => offsets.cr,
        Kind::Receive => offsets.rx,
        Kind::Transmit => offsets.tx,
    };
    let layout = Layout {
        producer: offset.producer as usize,
        consumer: offset.consumer as usize,
        flags: offset.flags as usize,
        descriptors: offset.desc as usize,
    };
    let len = layout.descriptors + places as usize * descriptor_len;
    Ok((Arc::new(Mapping::ring(socket, page_offset, len)?), layout))
}

#[cfg(test)]
mod tests {
    use super::open_queue;
    use crate::spec::QueueId;
    use crate::umem::{Partition, Umem};
    use std::sync::Arc;

    /// Loopback has one queue that an AF_XDP socket can be bound to in generic copy mode, and
    /// nothing redirects to it here; this is about set-up and sharing alone.
    #[test]
    fn three_workers_share_a_queue_and_a_queue_beyond_the_last_is_refused() {
        if !rustix::process::geteuid().is_root() {
            println!("skipping: needs root");
            return;
        }
        let partition = Partition {
            receive: 64,
            transmit_each: 16,
            workers: 3,
        };
        let umem = Arc::new(Umem::new(100, partition).unwrap());
        let (mut owned, endpoints) = open_queue(&umem, 1, QueueId(0), false).unwrap();
        assert_eq!(endpoints.len(), 3);
        assert!(owned.completion.is_empty());
        assert_eq!(
            owned.fill.pending(),
            64,
            "the fill ring is populated before bind"
        );
        for endpoint in &endpoints {
            assert_eq!(endpoint.socket.statistics().unwrap().rx_dropped, 0);
        }
        let umem = Arc::new(Umem::new(101, partition).unwrap());
        assert!(open_queue(&umem, 1, QueueId(4096), false).is_err());
    }
}
