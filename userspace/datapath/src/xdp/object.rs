//! The compiled XDP program, embedded by the build script.

/// The ELF object, or `None` if the eBPF toolchain was lacking at build time.
#[cfg(not(no_ebpf))]
pub(super) const OBJECT: Option<&[u8]> = Some(aya::include_bytes_aligned!(concat!(
    env!("OUT_DIR"),
    "/steer.o"
)));

/// The ELF object, or `None` if the eBPF toolchain was lacking at build time.
#[cfg(no_ebpf)]
pub(super) const OBJECT: Option<&[u8]> = None;
