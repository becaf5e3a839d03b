//! The memory that a queue's frames live in, and the frames in hand.
//!
//! Frames are numbered. The first part of them is the receive stock, which the owner of the queue
//! hands to the kernel; behind it lies one transmit stock for each worker. A frame is, at any time,
//! in exactly one place: with the kernel, in a [`Stock`], on its way home in a ring, or in hand.
//! In hand it is a [`Frame`], which cannot be copied and which must be put back somewhere: the drop
//! of a frame in hand is counted, and a debug assertion.

use core::mem;
use core::sync::atomic::{AtomicU64, Ordering};
use std::io;

use wire::steer::STEERED_LEN_MAX;

use crate::mmap::Mapping;

/// Octets of a frame. A DHCPv6 datagram that fits an Ethernet MTU fits with the kernel's headroom;
/// the XDP program leaves longer ones to the kernel's socket.
pub(crate) const FRAME_LEN: usize = 2048;
/// Octets before the frame's own that the kernel keeps free when it hands one to AF_XDP
/// (`XDP_PACKET_HEADROOM`).
const HEADROOM: usize = 256;

const _: () = assert!(STEERED_LEN_MAX == FRAME_LEN - HEADROOM);

/// Frames in hand that were dropped instead of put back, in this process. Anything but 0 is a bug.
static LOST: AtomicU64 = AtomicU64::new(0);

/// How many frames were dropped in hand since the process began; not 0 means a bug here.
pub fn lost_frames() -> u64 {
    LOST.load(Ordering::Relaxed)
}

/// How the frames of a UMEM are shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Partition {
    /// Frames for receiving; those are numbered from 0.
    pub receive: u32,
    /// Frames of each worker for transmitting.
    pub transmit_each: u32,
    /// Workers.
    pub workers: u32,
}

/// Whose frame it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// The receive stock.
    Receive,
    /// The transmit stock of this worker.
    Transmit(usize),
}

impl Partition {
    /// Frames in all.
    pub(crate) fn frames(self) -> u32 {
        self.receive + self.transmit_each * self.workers
    }

    /// Where the frame with this number belongs; `None` if there is no such frame.
    pub(crate) fn home(self, number: u32) -> Option<Home> {
        if number < self.receive {
            return Some(Home::Receive);
        }
        let worker = (number - self.receive) / self.transmit_each;
        (worker < self.workers).then_some(Home::Transmit(worker as usize))
    }

    /// The numbers of a worker's transmit stock.
    pub(crate) fn transmit(self, worker: usize) -> core::ops::Range<u32> {
        let first = self.receive + self.transmit_each * worker as u32;
        first..first + self.transmit_each
    }
}

/// A frame in hand: whoever has it may read and write its octets.
#[derive(Debug)]
#[must_use = "a frame in hand must be put back"]
pub(crate) struct Frame {
    number: u32,
    umem: u16,
}

impl Frame {
    /// Puts the frame out of hand; the number has to reach the kernel, a stock, or its home.
    pub(crate) fn into_number(self) -> u32 {
        let number = self.number;
        mem::forget(self);
        number
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        LOST.fetch_add(1, Ordering::Relaxed);
        debug_assert!(
            std::thread::panicking(),
            "frame {} dropped in hand",
            self.number
        );
    }
}

/// The frames' memory.
#[derive(Debug)]
pub(crate) struct Umem {
    mapping: Mapping,
    huge: bool,
    partition: Partition,
    id: u16,
}

impl Umem {
    /// Memory for the partition's frames, in huge pages when there are some.
    ///
    /// `id` tells the UMEMs of a process apart, so that no frame is looked up in another's memory.
    pub(crate) fn new(id: u16, partition: Partition) -> io::Result<Self> {
        let len = partition.frames() as usize * FRAME_LEN;
        let (mapping, huge) = Mapping::huge_if_any(len)?;
        Ok(Self {
            mapping,
            huge,
            partition,
            id,
        })
    }

    /// The registered memory: address and octets.
    pub(crate) fn region(&self) -> (u64, u64) {
        let len = self.partition.frames() as usize * FRAME_LEN;
        (self.mapping.base().as_ptr() as u64, len as u64)
    }

    /// Whether the memory is in huge pages.
    pub(crate) fn is_huge(&self) -> bool {
        self.huge
    }

    pub(crate) fn partition(&self) -> Partition {
        self.partition
    }

    /// Takes the frame with this number in hand.
    ///
    /// # Safety
    /// The number came out of exactly one place (the kernel's ring, a stock, a ring of returns)
    /// and is not in hand already.
    ///
    /// # Panics
    /// If there is no such frame.
    pub(crate) unsafe fn take(&self, number: u32) -> Frame {
        assert!(number < self.partition.frames(), "no frame {number}");
        Frame {
            number,
            umem: self.id,
        }
    }

    /// The octets of a frame in hand.
    pub(crate) fn octets<'f>(&'f self, frame: &'f Frame) -> &'f [u8; FRAME_LEN] {
        let start = self.start(frame);
        // SAFETY: `start` points to a whole frame inside the mapping, which outlives the borrow;
        // a frame in hand exists once and is borrowed shared, so nobody writes it.
        unsafe { start.cast().as_ref() }
    }

    /// The octets of a frame in hand, for writing.
    pub(crate) fn octets_mut<'f>(&'f self, frame: &'f mut Frame) -> &'f mut [u8; FRAME_LEN] {
        let start = self.start(frame);
        // SAFETY: as in `octets`, and the frame, which exists once, is borrowed exclusively.
        unsafe { start.cast().as_mut() }
    }

    fn start(&self, frame: &Frame) -> core::ptr::NonNull<u8> {
        assert_eq!(frame.umem, self.id, "a frame of another UMEM");
        // SAFETY: `take` checked the number against the frames that the mapping holds.
        unsafe { self.mapping.base().add(frame.number as usize * FRAME_LEN) }
    }
}

/// The number of the frame that a ring's address lies in.
pub(crate) fn number_of(address: u64) -> u32 {
    (address / FRAME_LEN as u64) as u32
}

/// The address of a frame's first octet, as rings have it.
pub(crate) fn address_of(number: u32) -> u64 {
    u64::from(number) * FRAME_LEN as u64
}

/// Frames at rest in userspace, last in first out so that the warm one is used again.
#[derive(Debug)]
pub(crate) struct Stock {
    numbers: Vec<u32>,
}

impl Stock {
    /// A stock of exactly these frames; it never allocates again.
    pub(crate) fn new(numbers: core::ops::Range<u32>) -> Self {
        Self {
            numbers: numbers.rev().collect(),
        }
    }

    pub(crate) fn pop(&mut self) -> Option<u32> {
        self.numbers.pop()
    }

    /// # Panics
    /// If more come back than there were: some frame is in two places.
    pub(crate) fn push(&mut self, number: u32) {
        assert!(
            self.numbers.len() < self.numbers.capacity(),
            "frame {number} came back twice"
        );
        self.numbers.push(number);
    }

    pub(crate) fn len(&self) -> usize {
        self.numbers.len()
    }
}

#[cfg(test)]
mod tests {
    use super::{Home, Partition, Stock, Umem, address_of, number_of};

    const PARTITION: Partition = Partition {
        receive: 8,
        transmit_each: 4,
        workers: 3,
    };

    #[test]
    fn every_frame_has_one_home() {
        assert_eq!(PARTITION.frames(), 20);
        assert_eq!(PARTITION.home(7), Some(Home::Receive));
        for worker in 0..3 {
            for number in PARTITION.transmit(worker) {
                assert_eq!(PARTITION.home(number), Some(Home::Transmit(worker)));
            }
        }
        assert_eq!(PARTITION.home(20), None);
        assert_eq!(number_of(address_of(19) + 300), 19);
    }

    #[test]
    fn a_frame_keeps_its_octets_and_goes_back() {
        let umem = Umem::new(1, PARTITION).unwrap();
        let mut stock = Stock::new(PARTITION.transmit(2));
        let number = stock.pop().unwrap();
        // SAFETY: the number came out of the stock.
        let mut frame = unsafe { umem.take(number) };
        umem.octets_mut(&mut frame)[2047] = 7;
        assert_eq!(umem.octets(&frame)[2047], 7);
        stock.push(frame.into_number());
        assert_eq!(stock.len(), 4);
    }

    #[test]
    #[should_panic(expected = "came back twice")]
    fn a_frame_that_comes_back_twice_is_noticed() {
        let mut stock = Stock::new(0..4);
        stock.push(0);
    }

    #[test]
    #[should_panic(expected = "dropped in hand")]
    #[cfg(debug_assertions)]
    fn a_frame_dropped_in_hand_is_noticed() {
        let umem = Umem::new(2, PARTITION).unwrap();
        // SAFETY: nothing else has this frame.
        drop(unsafe { umem.take(0) });
    }

    #[test]
    #[should_panic(expected = "another UMEM")]
    fn a_frame_of_another_umem_is_refused() {
        let (one, other) = (
            Umem::new(3, PARTITION).unwrap(),
            Umem::new(4, PARTITION).unwrap(),
        );
        // SAFETY: nothing else has this frame.
        let frame = core::mem::ManuallyDrop::new(unsafe { one.take(0) });
        other.octets(&frame);
    }
}
