//! What is missing, in the order in which it is to be installed.

use std::fmt;
use std::path::Path;

use super::machine::Machine;

/// The linker goes with the pinned compiler: its LLVM must not be older.
pub const LINKER_VERSION: &str = "0.10.4";

/// Programs and the Debian packages that have them. `dhcpcd-base` is dhcpcd without the service
/// that `dhcpcd5` would start on every interface at the next boot.
const PROGRAMS: [(&str, &str); 11] = [
    ("dhclient", "isc-dhcp-client"),
    ("dhcpcd", "dhcpcd-base"),
    ("dhcrelay", "isc-dhcp-relay"),
    ("tshark", "tshark"),
    ("tcpdump", "tcpdump"),
    ("ethtool", "ethtool"),
    ("ip", "iproute2"),
    ("bpftool", "bpftool"),
    ("setpriv", "util-linux"),
    ("c++", "g++"),
    ("valgrind", "valgrind"),
];

/// Components of the stable toolchain and a program that each brings.
const COMPONENTS: [(&str, &str); 2] = [("rustfmt", "cargo-fmt"), ("clippy", "cargo-clippy")];

/// One thing that is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// Debian packages, or their programs by any other way.
    Packages(Vec<String>),
    /// A component of the stable toolchain.
    Component(&'static str),
    /// A compiler for eBPF: this one of rustup's, or else the distribution's.
    Nightly(String),
    /// bpf-linker at the pinned version.
    Linker {
        /// What `bpf-linker --version` says, if it is there at another version.
        found: Option<String>,
    },
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Need::Packages(packages) => write!(f, "packages {}", packages.join(" ")),
            Need::Component(component) => write!(f, "component {component} of the toolchain"),
            Need::Nightly(channel) => write!(f, "toolchain {channel} with rust-src, for eBPF"),
            Need::Linker { found: None } => write!(f, "bpf-linker {LINKER_VERSION}"),
            Need::Linker { found: Some(found) } => {
                write!(f, "bpf-linker {LINKER_VERSION} in place of {found}")
            }
        }
    }
}

/// What is missing on `machine`.
pub fn plan(machine: &impl Machine, nightly: &str) -> Vec<Need> {
    let mut needs = Vec::new();
    let lacking = PROGRAMS
        .iter()
        .filter(|(program, _)| !machine.has_program(program));
    let packages: Vec<String> = lacking.map(|(_, package)| (*package).to_owned()).collect();
    if !packages.is_empty() {
        needs.push(Need::Packages(packages));
    }
    for (component, program) in COMPONENTS {
        // rustup puts a program of this name on the PATH even where the component is missing.
        if machine.output(program, &["--version"]).is_none() {
            needs.push(Need::Component(component));
        }
    }
    if !has_ebpf_compiler(machine, nightly) {
        needs.push(Need::Nightly(nightly.to_owned()));
    }
    let found = machine.output("bpf-linker", &["--version"]);
    let is_pinned = |found: &str| found.split_whitespace().last() == Some(LINKER_VERSION);
    if !found.as_deref().is_some_and(is_pinned) {
        needs.push(Need::Linker { found });
    }
    needs
}

/// Whether one of the two compilers is there with the sources of `core`; the same question as the
/// build script of `datapath` asks.
fn has_ebpf_compiler(machine: &impl Machine, nightly: &str) -> bool {
    let has_sources = |sysroot: Option<String>| {
        sysroot.is_some_and(|sysroot| {
            machine.has_path(&Path::new(&sysroot).join("lib/rustlib/src/rust/library/core"))
        })
    };
    has_sources(machine.output("rustup", &["run", nightly, "rustc", "--print", "sysroot"]))
        || (machine.has_path(Path::new("/usr/bin/cargo"))
            && has_sources(machine.output("/usr/bin/rustc", &["--print", "sysroot"])))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const NIGHTLY: &str = "nightly-2026-05-20";

    /// A machine that has what the test says.
    #[derive(Default, Clone)]
    struct Imagined {
        programs: BTreeSet<&'static str>,
        linker: Option<&'static str>,
        nightly: bool,
        sources: bool,
        distribution: bool,
    }

    impl Machine for Imagined {
        fn has_program(&self, name: &str) -> bool {
            self.programs.contains(name)
        }

        fn output(&self, program: &str, arguments: &[&str]) -> Option<String> {
            match program {
                "bpf-linker" => self.linker.map(str::to_owned),
                "rustup" if arguments.contains(&NIGHTLY) => {
                    self.nightly.then(|| "/rustup".to_owned())
                }
                "/usr/bin/rustc" => self.distribution.then(|| "/usr".to_owned()),
                _ => self.programs.contains(program).then(String::new),
            }
        }

        fn has_path(&self, path: &Path) -> bool {
            match path.to_str() {
                Some("/usr/bin/cargo") => self.distribution,
                Some("/rustup/lib/rustlib/src/rust/library/core") => self.sources,
                Some("/usr/lib/rustlib/src/rust/library/core") => self.distribution,
                _ => false,
            }
        }
    }

    fn complete() -> Imagined {
        let programs = PROGRAMS.iter().map(|(program, _)| *program);
        let components = COMPONENTS.iter().map(|(_, program)| *program);
        Imagined {
            programs: programs.chain(components).collect(),
            linker: Some("bpf-linker 0.10.4"),
            nightly: true,
            sources: true,
            distribution: false,
        }
    }

    #[test]
    fn a_complete_machine_needs_nothing() {
        assert_eq!(plan(&complete(), NIGHTLY), []);
    }

    #[test]
    fn a_bare_machine_needs_everything_in_order() {
        let needs = plan(&Imagined::default(), NIGHTLY);
        let Need::Packages(packages) = &needs[0] else {
            panic!("{needs:?}")
        };
        assert_eq!(packages.len(), PROGRAMS.len());
        assert_eq!(
            needs[1..],
            [
                Need::Component("rustfmt"),
                Need::Component("clippy"),
                Need::Nightly(NIGHTLY.into()),
                Need::Linker { found: None },
            ]
        );
    }

    #[test]
    fn only_the_missing_package_is_named() {
        let mut machine = complete();
        machine.programs.remove("dhcrelay");
        assert_eq!(
            plan(&machine, NIGHTLY),
            [Need::Packages(vec!["isc-dhcp-relay".into()])]
        );
    }

    #[test]
    fn another_linker_is_replaced() {
        let machine = Imagined {
            linker: Some("bpf-linker 0.11.0"),
            ..complete()
        };
        let found = Some("bpf-linker 0.11.0".into());
        assert_eq!(plan(&machine, NIGHTLY), [Need::Linker { found }]);
        let machine = Imagined {
            linker: Some("bpf-linker 10.10.4"),
            ..complete()
        };
        assert_eq!(plan(&machine, NIGHTLY).len(), 1);
    }

    #[test]
    fn a_nightly_without_sources_does_not_do_and_the_distributions_compiler_does() {
        let machine = Imagined {
            sources: false,
            ..complete()
        };
        assert_eq!(plan(&machine, NIGHTLY), [Need::Nightly(NIGHTLY.into())]);
        let machine = Imagined {
            nightly: false,
            distribution: true,
            ..complete()
        };
        assert_eq!(plan(&machine, NIGHTLY), []);
    }
}
