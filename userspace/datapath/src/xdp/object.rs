//! The compiled XDP programs, embedded by the build script.

/// The server's program as an ELF object, or `None` if the eBPF toolchain was lacking at build time.
#[cfg(not(no_ebpf))]
pub(super) const STEER: Option<&[u8]> = Some(aya::include_bytes_aligned!(concat!(
    env!("OUT_DIR"),
    "/steer.o"
)));

/// The program of a raw port, likewise.
#[cfg(not(no_ebpf))]
pub(super) const DIVERT: Option<&[u8]> = Some(aya::include_bytes_aligned!(concat!(
    env!("OUT_DIR"),
    "/divert.o"
)));

/// The server's program: not built.
#[cfg(no_ebpf)]
pub(super) const STEER: Option<&[u8]> = None;

/// The program of a raw port: not built.
#[cfg(no_ebpf)]
pub(super) const DIVERT: Option<&[u8]> = None;
