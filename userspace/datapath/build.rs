//! Builds the XDP programs in `ebpf/` and leaves them in OUT_DIR for `src/xdp/object.rs` to embed.
//!
//! The program needs another compiler than the rest. Two ways of getting one are known: rustup's
//! pinned nightly, and Debian's `rustc-web`, `cargo-web`, `rust-web-src`. Where neither is there, or
//! bpf-linker is not, nothing is embedded (`cfg(no_ebpf)`), the server runs on the kernel's sockets,
//! and one warning says so. A program that does not compile is an error all the same.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The programs, by the names of their binaries in `ebpf/`.
const PROGRAMS: [&str; 2] = ["steer", "divert"];
/// Set to anything: do not build the programs.
const SKIP: &str = "TWINLEASE_NO_EBPF";

/// A compiler that can build the program.
enum Toolchain {
    /// This toolchain of rustup's.
    Rustup(String),
    /// The distribution's compiler, and the directory of the LLVM library it uses.
    Distribution { llvm: PathBuf },
}

fn main() {
    let manifest = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let root = manifest
        .join("../..")
        .canonicalize()
        .expect("the manifest is in the repository");
    let ebpf = root.join("ebpf");
    println!("cargo::rustc-check-cfg=cfg(no_ebpf)");
    println!("cargo::rerun-if-env-changed={SKIP}");
    for input in ["build.rs", "../wire/src/steer.rs", "../wire/src/steer"] {
        println!("cargo::rerun-if-changed={input}");
    }
    for input in [
        "src",
        "Cargo.toml",
        "Cargo.lock",
        "rust-toolchain.toml",
        ".cargo/config.toml",
    ] {
        println!("cargo::rerun-if-changed={}", ebpf.join(input).display());
    }

    if env::var_os(SKIP).is_some() {
        return embed_nothing(&format!("{SKIP} is set"));
    }
    match find_toolchain(&ebpf) {
        Ok(toolchain) => build(&toolchain, &ebpf),
        Err(lacking) => {
            watch_for_setup();
            embed_nothing(&format!("{lacking}. Remedy: cargo xtask setup"));
        }
    }
}

fn embed_nothing(reason: &str) {
    println!("cargo::rustc-cfg=no_ebpf");
    println!("cargo::warning=built without the XDP program, serves by sockets only: {reason}");
}

/// Runs the nested cargo, and copies what it made.
fn build(toolchain: &Toolchain, ebpf: &Path) {
    let out = PathBuf::from(variable("OUT_DIR"));
    // OUT_DIR is <target>/<profile>/build/<package>-<hash>/out. One directory for all profiles, so
    // that each does not build `core` again.
    let target = out
        .ancestors()
        .nth(4)
        .expect("OUT_DIR is inside a target directory")
        .join("ebpf");
    let mut cargo = toolchain.cargo();
    cargo
        .current_dir(ebpf)
        .args(["build", "--release", "--locked", "--quiet", "--target-dir"]);
    cargo.arg(&target);
    let output = cargo.output().expect("cargo was found");
    assert!(
        output.status.success(),
        "the XDP program does not build ({SKIP}=1 builds without):\n{cargo:?}\n{}",
        String::from_utf8_lossy(&output.stderr),
    );
    for program in PROGRAMS {
        let object = target.join("bpfel-unknown-none/release").join(program);
        fs::copy(&object, out.join(program).with_extension("o"))
            .unwrap_or_else(|error| panic!("cannot copy {}: {error}", object.display()));
    }
}

impl Toolchain {
    /// A command that runs its cargo, free of what the outer cargo and rustup have set.
    fn cargo(&self) -> Command {
        let mut command = match self {
            Self::Rustup(channel) => {
                let mut command = Command::new("rustup");
                command.args(["run", channel, "cargo"]);
                command
            }
            Self::Distribution { .. } => Command::new("/usr/bin/cargo"),
        };
        clear_inherited(&mut command);
        if let Self::Distribution { llvm } = self {
            command
                .env("RUSTC", "/usr/bin/rustc")
                .env("RUSTC_BOOTSTRAP", "1")
                .env("LD_LIBRARY_PATH", llvm);
        }
        command
    }
}

/// Takes away the variables by which the outer build would steer the nested one: flags, wrappers,
/// profiles, the toolchain, and the library path where bpf-linker would find the wrong LLVM.
fn clear_inherited(command: &mut Command) {
    const KEPT: [&str; 9] = [
        "CARGO_HOME",
        "CARGO_HTTP_",
        "CARGO_NET_",
        "CARGO_REGISTR",
        "CARGO_SOURCE_",
        "RUSTUP_DIST_",
        "RUSTUP_HOME",
        "RUSTUP_UPDATE_",
        "RUST_BACKTRACE",
    ];
    let inherited = |name: &OsStr| {
        let name = name.to_string_lossy();
        let ours = ["CARGO", "RUST", "__CARGO", "LD_LIBRARY_PATH", "DYLD_"];
        ours.iter().any(|start| name.starts_with(start))
            && !KEPT.iter().any(|start| name.starts_with(start))
    };
    for (name, _) in env::vars_os().filter(|(name, _)| inherited(name)) {
        command.env_remove(name);
    }
    // Build scripts and macros of the nested build must not take these for their own.
    for name in [
        "DEBUG",
        "HOST",
        "NUM_JOBS",
        "OPT_LEVEL",
        "OUT_DIR",
        "PROFILE",
        "TARGET",
    ] {
        command.env_remove(name);
    }
}

/// The first toolchain that is complete, or what is lacking.
fn find_toolchain(ebpf: &Path) -> Result<Toolchain, String> {
    if !succeeds(Command::new("bpf-linker").arg("--version")) {
        return Err("bpf-linker is not installed".into());
    }
    let channel = pinned_channel(&ebpf.join("rust-toolchain.toml"))?;
    let rustup = Toolchain::Rustup(channel.clone());
    if let Toolchain::Rustup(channel) = &rustup {
        let mut sysroot = Command::new("rustup");
        sysroot.args(["run", channel, "rustc", "--print", "sysroot"]);
        clear_inherited(&mut sysroot);
        if has_core_sources(&mut sysroot) {
            return Ok(rustup);
        }
    }
    let mut sysroot = Command::new("/usr/bin/rustc");
    sysroot.args(["--print", "sysroot"]);
    clear_inherited(&mut sysroot);
    match distribution_llvm() {
        Some(llvm) if Path::new("/usr/bin/cargo").exists() && has_core_sources(&mut sysroot) => {
            Ok(Toolchain::Distribution { llvm })
        }
        _ => Err(format!(
            "neither rustup's {channel} with rust-src nor the distribution's rustc, cargo and \
             Rust sources are installed"
        )),
    }
}

/// The channel named in a rust-toolchain.toml.
fn pinned_channel(file: &Path) -> Result<String, String> {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    text.lines()
        .find_map(|line| line.strip_prefix("channel = \"")?.strip_suffix('"'))
        .map(str::to_owned)
        .ok_or_else(|| format!("{} names no channel", file.display()))
}

/// Whether the compiler whose sysroot `command` prints is there, with the sources of `core`.
fn has_core_sources(command: &mut Command) -> bool {
    let Ok(output) = command.output() else {
        return false;
    };
    let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    output.status.success() && sysroot.join("lib/rustlib/src/rust/library/core").exists()
}

/// The directory of the newest LLVM library that a distribution's rustc may be linked with.
fn distribution_llvm() -> Option<PathBuf> {
    let is_llvm = |name: OsString| name.to_string_lossy().starts_with("libLLVM");
    let holds_llvm = |directory: &PathBuf| {
        fs::read_dir(directory)
            .is_ok_and(|entries| entries.flatten().any(|entry| is_llvm(entry.file_name())))
    };
    let multiarch = PathBuf::from(format!("/usr/lib/{}-linux-gnu", env::consts::ARCH));
    let versions = (18..30)
        .rev()
        .map(|version| format!("/usr/lib/llvm-{version}/lib").into());
    versions
        .chain([multiarch, "/usr/lib64".into(), "/usr/lib".into()])
        .find(holds_llvm)
}

/// Runs this script again when what was lacking may have been installed: bpf-linker is put into
/// the first directory, a toolchain leaves a file in the second.
fn watch_for_setup() {
    let home = PathBuf::from(env::var_os("HOME").unwrap_or_default());
    let directory = |name: &str, default: &str| {
        env::var_os(name).map_or_else(|| home.join(default), PathBuf::from)
    };
    let watched = [
        directory("CARGO_HOME", ".cargo").join("bin"),
        directory("RUSTUP_HOME", ".rustup").join("update-hashes"),
    ];
    for directory in watched.iter().filter(|directory| directory.exists()) {
        println!("cargo::rerun-if-changed={}", directory.display());
    }
}

fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

fn variable(name: &str) -> OsString {
    env::var_os(name).unwrap_or_else(|| panic!("cargo sets {name}"))
}
