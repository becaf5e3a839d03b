//! Debian packages, without starting the services that some of them bring.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::sudo;

/// Asked by packages whether they may start a service.
const POLICY: &str = "/usr/sbin/policy-rc.d";
/// "Action forbidden by policy".
const FORBID: &str = "#!/bin/sh\nexit 101\n";
/// Packages whose service is to stay off at the next boot too; of the others none has one.
const SERVICES: [&str; 2] = ["isc-dhcp-relay", "kea-dhcp6-server"];

/// Installs packages, as root or by sudo.
///
/// # Errors
/// There is no apt or no way to root (the message says what to run by hand), or apt fails.
pub fn get(packages: &[String]) -> Result<()> {
    let by_hand = format!(
        "apt-get install --no-install-recommends {}",
        packages.join(" ")
    );
    if !Path::new("/usr/bin/apt-get").exists() {
        bail!(
            "there is no apt here. Install what Debian calls {} in this system's way, \
             and run `cargo xtask setup` again",
            packages.join(", ")
        );
    }
    if lab::is_root() {
        return install(packages);
    }
    let arguments = std::iter::once("install-packages").chain(packages.iter().map(String::as_str));
    sudo::run_self(arguments, &by_hand)
}

/// Installs packages; needs root.
///
/// # Errors
/// apt fails.
pub fn install(packages: &[String]) -> Result<()> {
    let _policy = NoServices::begin(Path::new(POLICY))?;
    apt(&["update".to_owned()])?;
    let install = ["install", "--no-install-recommends"].map(str::to_owned);
    apt(&[install.as_slice(), packages].concat())?;
    for service in SERVICES
        .iter()
        .filter(|service| packages.iter().any(|p| p == *service))
    {
        // On a system without such services there is none to switch off.
        let _off = Command::new("update-rc.d")
            .args([service, "disable"])
            .status();
    }
    Ok(())
}

fn apt(arguments: &[String]) -> Result<()> {
    let line = format!("apt-get -y -q {}", arguments.join(" "));
    println!("setup: {line}");
    let mut command = Command::new("apt-get");
    command
        .args(["-y", "-q"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive");
    let status = command.status().context("cannot start apt-get")?;
    if !status.success() {
        bail!("`{line}` ended with {status}: see above; is the network there?");
    }
    Ok(())
}

/// While it lives, packages start no services. A policy of the administrator's is left alone.
struct NoServices {
    made: Option<PathBuf>,
}

impl NoServices {
    fn begin(path: &Path) -> Result<NoServices> {
        if path.exists() {
            println!(
                "setup: {} is there already and decides about services",
                path.display()
            );
            return Ok(NoServices { made: None });
        }
        let file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o755)
            .open(path);
        let mut file = file.with_context(|| format!("cannot write {}", path.display()))?;
        let made = NoServices {
            made: Some(path.to_owned()),
        };
        std::io::Write::write_all(&mut file, FORBID.as_bytes())?;
        Ok(made)
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if let Some(path) = &self.made
            && let Err(error) = fs::remove_file(path)
        {
            eprintln!("setup: remove {} by hand: {error}", path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_goes_with_its_guard() {
        let path = std::env::temp_dir().join(format!("policy-{}-new", std::process::id()));
        let guard = NoServices::begin(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), FORBID);
        let status = Command::new(&path).status().unwrap();
        assert_eq!(status.code(), Some(101));
        drop(guard);
        assert!(!path.exists());
    }

    #[test]
    fn an_existing_policy_stays_as_it_is() {
        let path = std::env::temp_dir().join(format!("policy-{}-old", std::process::id()));
        fs::write(&path, "mine").unwrap();
        drop(NoServices::begin(&path).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
        fs::remove_file(&path).unwrap();
    }
}
