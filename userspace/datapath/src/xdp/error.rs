//! Why the XDP program could not be used.

use aya::EbpfError;
use aya::maps::MapError;
use aya::programs::ProgramError;

/// Why the XDP program could not be loaded, attached, set up or run.
#[derive(Debug, thiserror::Error)]
pub enum XdpError {
    /// The eBPF toolchain was lacking when this binary was built.
    #[error("this binary was built without the XDP program (run `cargo xtask setup`, rebuild)")]
    NotBuilt,
    /// The object does not hold what the loader expects: a broken build.
    #[error("the embedded XDP object has no {0}")]
    Missing(&'static str),
    /// The kernel refused the object or one of its maps.
    #[error("cannot load the XDP program")]
    Load(#[from] EbpfError),
    /// The kernel refused the program, or to attach it; the verifier's log is in the source.
    #[error("the kernel refused the XDP program")]
    Program(#[from] ProgramError),
    /// A map could not be read or written.
    #[error("cannot access a map of the XDP program")]
    Map(#[from] MapError),
    /// The kernel attached by the old way, which outlives the process; this was undone.
    #[error("the kernel cannot attach XDP by bpf_link (Linux 5.9 can)")]
    NoBpfLink,
    /// The queue or worker is beyond what the program's socket map holds.
    #[error("no room in the socket map for queue {queue}, worker {worker}")]
    OutOfRange {
        /// Receive queue.
        queue: u32,
        /// Worker.
        worker: u8,
    },
    /// The kernel would not run a frame through the program.
    #[error(
        "cannot run a frame of {len} octets through the XDP program as if received on interface {ifindex}, queue {queue}"
    )]
    Inject {
        /// Interface index.
        ifindex: u32,
        /// Receive queue.
        queue: u32,
        /// Length of the frame.
        len: usize,
        /// The system call's error.
        #[source]
        source: ProgramError,
    },
    /// The program's log could not be opened.
    #[error("cannot open the log of the XDP program")]
    Log(#[from] aya_log::Error),
}
