//! A disk in memory whose writes can be made to fail.

use crate::{File, OpenFor, Storage};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Eio,
    Full,
    /// Half is written and the caller is told so.
    Short,
}

#[derive(Default)]
struct State {
    names: BTreeMap<String, Arc<Mutex<Vec<u8>>>>,
    fault: Option<Fault>,
    /// Changes of names after which nothing works until the restart.
    steps_left: Option<u32>,
}

impl State {
    /// Before a name is changed or the directory flushed.
    fn step(&mut self) -> io::Result<()> {
        match &mut self.steps_left {
            None => Ok(()),
            Some(0) => Err(io::Error::from_raw_os_error(5)),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }

    fn crashed(&self) -> bool {
        self.steps_left == Some(0)
    }
}

#[derive(Clone, Default)]
pub(super) struct MemoryDisk(Arc<Mutex<State>>);

struct MemoryFile {
    octets: Arc<Mutex<Vec<u8>>>,
    disk: MemoryDisk,
}

impl MemoryDisk {
    pub fn fail(&self, fault: Option<Fault>) {
        self.state().fault = fault;
    }

    /// After so many more changes of names nothing works, as after a crash.
    pub fn crash_after(&self, steps: u32) {
        self.state().steps_left = Some(steps);
    }

    pub fn restart(&self) {
        self.state().steps_left = None;
    }

    pub fn names(&self) -> Vec<String> {
        self.state().names.keys().cloned().collect()
    }

    pub fn octets(&self, name: &str) -> Vec<u8> {
        self.state().names[name]
            .lock()
            .expect("not poisoned")
            .clone()
    }

    pub fn set(&self, name: &str, octets: Vec<u8>) {
        let file = Arc::new(Mutex::new(octets));
        self.state().names.insert(name.to_owned(), file);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("not poisoned")
    }
}

impl Storage for MemoryDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.state().names.keys().cloned().collect())
    }

    fn open(&self, name: &str, what_for: OpenFor) -> io::Result<Box<dyn File>> {
        let mut state = self.state();
        if state.crashed() {
            return Err(io::Error::from_raw_os_error(5));
        }
        if what_for == OpenFor::Create {
            state.names.insert(name.to_owned(), Arc::default());
        }
        let octets = state.names.get(name).cloned();
        Ok(Box::new(MemoryFile {
            octets: octets.ok_or(io::ErrorKind::NotFound)?,
            disk: self.clone(),
        }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        let file = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        let removed = state.names.remove(name);
        removed.map(drop).ok_or(io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.state().step()
    }

    fn path(&self) -> &Path {
        Path::new("/memory")
    }
}

impl File for MemoryFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.octets.lock().expect("not poisoned").len() as u64)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let octets = self.octets.lock().expect("not poisoned");
        let rest = octets.get(offset as usize..).unwrap_or_default();
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        assert!(buf.as_ptr().addr().is_multiple_of(4096) && buf.len().is_multiple_of(4096));
        let state = self.disk.state();
        let fault = if state.crashed() {
            Some(Fault::Eio)
        } else {
            state.fault
        };
        drop(state);
        let len = match fault {
            Some(Fault::Eio) => return Err(io::Error::from_raw_os_error(5)),
            Some(Fault::Full) => return Err(io::Error::from_raw_os_error(28)),
            Some(Fault::Short) => buf.len() / 2,
            None => buf.len(),
        };
        let mut octets = self.octets.lock().expect("not poisoned");
        let end = offset as usize + len;
        if octets.len() < end {
            octets.resize(end, 0);
        }
        octets[offset as usize..end].copy_from_slice(&buf[..len]);
        Ok(len)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
