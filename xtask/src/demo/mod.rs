//! `cargo xtask demo`: the main job, told as it happens; each line is a fact that was checked.

/// What the clients see: leases, directly and through a relay, and one relay's packets spread.
mod clients;
/// From the start of the pair to its end.
mod story;
/// The primary's death and return.
mod takeover;
/// Prints the facts.
mod teller;

use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result};
use lab::Lab;

use crate::{cargo, setup, sudo};

/// Builds, then tells the story as root.
///
/// # Errors
/// The build fails, or a fact is not so.
pub fn run() -> Result<()> {
    setup::run()?;
    println!("building …");
    let built = cargo::build("--workspace --bins", Stdio::inherit())?;
    let program = cargo::program(&built, "twinlease")?;
    if lab::is_root() {
        return tell(&program);
    }
    println!("the lab needs root, for itself alone:");
    let own = std::env::current_exe().context("this program has no path")?;
    let by_hand = format!("{} tell-demo {}", own.display(), program.display());
    sudo::run_self([OsString::from("tell-demo"), program.into()], &by_hand)
}

/// Tells the story with the server `program`; needs root.
///
/// # Errors
/// A fact is not so. The logs are printed and kept.
pub fn tell(program: &Path) -> Result<()> {
    let mut lab = Lab::new()?;
    let told = story::tell(&teller::Teller::new(), &mut lab, program);
    if told.is_err() && !lab::interrupted() {
        lab.keep_files();
        println!(
            "{}\nall files of this run: {}",
            lab.logs(),
            lab.dir().display()
        );
    }
    drop(lab);
    told.context("demo failed")?;
    println!("demo: ok");
    Ok(())
}
