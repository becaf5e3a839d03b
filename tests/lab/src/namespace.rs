//! One network namespace and what is done inside it.

use std::fs::{self, File};
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;

use crate::process::{Process, output_of};
use crate::wait::wait_until;

/// An address as `ip -6 address` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The address.
    pub address: Ipv6Addr,
    /// Its prefix length.
    pub prefix_len: u64,
    /// `global`, `link`, …
    pub scope: String,
    /// What is left of the preferred lifetime, in seconds; `u32::MAX` means for ever.
    pub preferred_secs: u64,
    /// What is left of the valid lifetime, in seconds; `u32::MAX` means for ever.
    pub valid_secs: u64,
}

/// A network namespace of the lab. The lab that made it deletes it.
#[derive(Debug, Clone)]
pub struct Namespace {
    name: String,
    role: String,
    dir: PathBuf,
}

impl Namespace {
    /// Makes the namespace with its loopback up and duplicate address detection off, which would
    /// delay every address by a second or two.
    pub(crate) fn create(name: String, role: &str, dir: &Path) -> Result<Namespace> {
        output_of(Command::new("ip").args(["netns", "add", &name]))?;
        let namespace = Namespace {
            name,
            role: role.to_owned(),
            dir: dir.to_owned(),
        };
        for scope in ["all", "default"] {
            namespace.sysctl(&format!("ipv6/conf/{scope}/accept_dad"), "0")?;
            namespace.sysctl(&format!("ipv6/conf/{scope}/dad_transmits"), "0")?;
        }
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// Finds a namespace that another run left standing on purpose.
    pub(crate) fn existing(name: String, role: &str, dir: &Path) -> Namespace {
        Namespace {
            name,
            role: role.to_owned(),
            dir: dir.to_owned(),
        }
    }

    /// The name as `ip netns` knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is in this lab: `server`, `relay`, …
    pub fn role(&self) -> &str {
        &self.role
    }

    /// The lab's scratch directory, for the files of programs inside.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A command that runs `program` inside. The program gets SIGKILL when the thread that starts
    /// it ends, so that nothing outlives a run that was killed.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "ip", "netns", "exec", &self.name]);
        command.arg(program);
        command
    }

    /// Like [`Namespace::command`], with private bind mounts `(source, target)`: `ip netns exec`
    /// gives the program a mount namespace of its own, so the machine's files stay as they are.
    pub fn command_with_mounts(&self, mounts: &[(PathBuf, &str)], program: &str) -> Command {
        let mut command = self.command("sh");
        let script = "while [ \"$1\" != -- ]; do mount --bind \"$1\" \"$2\" || exit; shift 2; done; shift; exec \"$@\"";
        command.args(["-c", script, "sh"]);
        for (source, target) in mounts {
            command.arg(source).arg(target);
        }
        command.args(["--", program]);
        command
    }

    /// Starts a program inside, in the background. Its output goes to `<role>-<what>.log` in the
    /// scratch directory.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn spawn(&self, command: Command, what: &str) -> Result<Process> {
        let log = self.dir.join(format!("{}-{what}.log", self.role));
        Process::spawn(command, &format!("{what} in {}", self.role), &log)
    }

    /// Runs a program inside to its end and returns its standard output.
    ///
    /// # Errors
    /// It fails; with its output.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        output_of(self.command(program).args(arguments))
    }

    /// Runs `ip` on this namespace with space-separated arguments.
    ///
    /// # Errors
    /// `ip` refuses.
    pub fn ip(&self, arguments: &str) -> Result<String> {
        let mut command = Command::new("ip");
        command
            .args(["-n", &self.name])
            .args(arguments.split_whitespace());
        output_of(&mut command)
    }

    /// Sets a kernel parameter of the network, such as `ipv6/conf/all/forwarding`.
    ///
    /// # Errors
    /// There is no such parameter, or it refuses the value.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        // What stands in /proc/sys/net depends on the namespace of the thread that looks.
        let path = Path::new("/proc/sys/net").join(key);
        self.inside(|| fs::write(&path, value).with_context(|| format!("{}", path.display())))
    }

    /// Sets an interface up.
    ///
    /// # Errors
    /// There is no such interface.
    pub fn up(&self, interface: &str) -> Result<()> {
        self.ip(&format!("link set {interface} up")).map(drop)
    }

    /// Adds an address such as `2001:db8::1/64`.
    ///
    /// # Errors
    /// `ip` refuses.
    pub fn add_address(&self, interface: &str, address: &str) -> Result<()> {
        self.ip(&format!("-6 address add {address} dev {interface} nodad"))
            .map(drop)
    }

    /// Makes the kernel write whole UDP checksums into what it sends on `interface`. Needed on the
    /// peer of a veth whose packets XDP takes: they would carry partial sums otherwise.
    ///
    /// # Errors
    /// `ethtool` refuses.
    pub fn checksum_before_sending(&self, interface: &str) -> Result<()> {
        self.run("ethtool", &["-K", interface, "tx", "off"])
            .map(drop)
    }

    /// The IPv6 addresses of an interface.
    ///
    /// # Errors
    /// There is no such interface.
    pub fn addresses(&self, interface: &str) -> Result<Vec<Address>> {
        let text = self.ip(&format!("-j -6 address show dev {interface}"))?;
        let parsed: Value = serde_json::from_str(&text).context("ip -j printed no JSON")?;
        let mut addresses = Vec::new();
        for entry in parsed.as_array().into_iter().flatten() {
            for info in entry["addr_info"].as_array().into_iter().flatten() {
                let Some(local) = info["local"].as_str() else {
                    continue;
                };
                addresses.push(Address {
                    address: local
                        .parse()
                        .with_context(|| format!("no address: {local}"))?,
                    prefix_len: info["prefixlen"].as_u64().unwrap_or_default(),
                    scope: info["scope"].as_str().unwrap_or_default().to_owned(),
                    preferred_secs: info["preferred_life_time"].as_u64().unwrap_or_default(),
                    valid_secs: info["valid_life_time"].as_u64().unwrap_or_default(),
                });
            }
        }
        Ok(addresses)
    }

    /// The link-local address of an interface, waited for.
    ///
    /// # Errors
    /// None comes in two seconds.
    pub fn link_local(&self, interface: &str) -> Result<Ipv6Addr> {
        let what = format!("a link-local address on {interface} of {}", self.role);
        wait_until(&what, Duration::from_secs(2), || {
            let addresses = self.addresses(interface)?;
            Ok(addresses
                .iter()
                .find(|a| a.scope == "link")
                .map(|a| a.address))
        })
    }

    /// The index and the MAC address of an interface.
    ///
    /// # Errors
    /// There is no such interface.
    pub fn link(&self, interface: &str) -> Result<(u32, String)> {
        let text = self.ip(&format!("-j link show dev {interface}"))?;
        let parsed: Value = serde_json::from_str(&text).context("ip -j printed no JSON")?;
        let index = parsed[0]["ifindex"]
            .as_u64()
            .and_then(|index| u32::try_from(index).ok());
        let mac = parsed[0]["address"].as_str();
        match (index, mac) {
            (Some(index), Some(mac)) => Ok((index, mac.to_owned())),
            _ => bail!("ip -j link show dev {interface} gave {text}"),
        }
    }

    /// Runs `work` on a thread that has entered the namespace; a socket opened there stays in it.
    ///
    /// # Errors
    /// The namespace cannot be entered, or the error of `work`.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let path = Path::new("/run/netns").join(&self.name);
        let file = File::open(&path).with_context(|| format!("no {}", path.display()))?;
        thread::scope(|scope| {
            let entered = scope.spawn(move || {
                use std::os::fd::AsFd;
                move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
                    .context("cannot enter the namespace")?;
                work()
            });
            entered
                .join()
                .map_err(|_| anyhow!("the thread inside the namespace panicked"))?
        })
    }
}

/// Makes a veth pair between two namespaces, both ends up, with `queues` receive and as many
/// transmit queues each: AF_XDP can bind only to queues the veth was created with.
pub(crate) fn veth(a: (&Namespace, &str), b: (&Namespace, &str), queues: usize) -> Result<()> {
    let ((a, a_name), (b, b_name)) = (a, b);
    a.ip(&format!(
        "link add {a_name} numrxqueues {queues} numtxqueues {queues} type veth \
         peer name {b_name} netns {} numrxqueues {queues} numtxqueues {queues}",
        b.name()
    ))?;
    a.up(a_name)?;
    b.up(b_name)
}
