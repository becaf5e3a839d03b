//! Files: the [`Storage`] the journal needs, and [`Disk`], which is a directory.

use crate::error::JournalError;
use crate::segment::BLOCK_LEN;
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;
use std::fs;
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenFor {
    /// Reading what is there.
    Read,
    /// Making it anew, empty; durable after [`File::sync`].
    Create,
    /// Writing over what is there; every write is durable when it returns.
    Write,
}

/// An open file.
pub trait File: Send {
    /// Length in octets.
    ///
    /// # Errors
    ///
    /// As the operating system says.
    fn len(&self) -> io::Result<u64>;
    /// Whether it has no octets.
    ///
    /// # Errors
    ///
    /// As [`Self::len`].
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Reads at `offset`; fewer octets than asked for only at the end of the file.
    ///
    /// # Errors
    ///
    /// As the operating system says.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes whole blocks from an aligned buffer at a block's boundary; may write fewer.
    ///
    /// # Errors
    ///
    /// As the operating system says.
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize>;
    /// Makes everything written durable.
    ///
    /// # Errors
    ///
    /// As the operating system says.
    fn sync(&self) -> io::Result<()>;
}

/// A directory of files: what the journal asks of the operating system, so that tests can fail it.
pub trait Storage: Send + Sync {
    /// Names of all files.
    ///
    /// # Errors
    ///
    /// As the operating system says.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Opens a file.
    ///
    /// # Errors
    ///
    /// As the operating system says.
    fn open(&self, name: &str, what_for: OpenFor) -> io::Result<Box<dyn File>>;
    /// Renames a file, over another if there is one.
    ///
    /// # Errors
    ///
    /// As the operating system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    ///
    /// # Errors
    ///
    /// As the operating system says.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes renames and removals durable.
    ///
    /// # Errors
    ///
    /// As the operating system says.
    fn sync_dir(&self) -> io::Result<()>;
    /// The directory, for messages.
    fn path(&self) -> &Path;
}

/// Writes all of `buf`. A short write is an error: what it left is judged by recovery alone.
pub(crate) fn write_whole(file: &dyn File, buf: &[u8], offset: u64) -> io::Result<()> {
    let written = file.write_at(buf, offset)?;
    if written == buf.len() {
        return Ok(());
    }
    let message = format!("only {written} of {} octets were written", buf.len());
    Err(io::Error::new(io::ErrorKind::WriteZero, message))
}

#[derive(Clone, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(4096))]
struct Block([u8; BLOCK_LEN]);

/// Octets at an address that O_DIRECT takes.
pub(crate) struct AlignedBuf(Vec<Block>);

impl AlignedBuf {
    /// `len` zeros; `len` is a multiple of the block.
    pub fn zeroed(len: usize) -> Self {
        assert!(len.is_multiple_of(BLOCK_LEN), "whole blocks only");
        Self(
            Block::new_vec_zeroed(len / BLOCK_LEN)
                .unwrap_or_else(|_| panic!("no memory for a buffer of {len} octets")),
        )
    }

    pub fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.0.as_mut_slice().as_mut_bytes()
    }
}

/// A directory on a disk, held against other servers by a lock on its file `lock`.
#[derive(Debug)]
pub struct Disk {
    path: PathBuf,
    dir: fs::File,
    _lock: fs::File,
}

impl Disk {
    /// Makes the directory if it is missing, and locks it.
    ///
    /// # Errors
    ///
    /// [`JournalError::Locked`] if another server has it, else [`JournalError::Io`].
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let failed = |what, path: &Path| {
            let path = path.to_owned();
            move |source| JournalError::Io { what, path, source }
        };
        fs::create_dir_all(path).map_err(failed("make the directory", path))?;
        let dir = fs::File::open(path).map_err(failed("open the directory", path))?;
        let lock_path = path.join("lock");
        let mut lock = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock_path)
            .map_err(failed("open", &lock_path))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let mut pid = String::new();
                // Without a number the message still says what is wrong.
                let _ = lock.read_to_string(&mut pid);
                let pid = match pid.trim() {
                    "" => "unknown".to_owned(),
                    pid => pid.to_owned(),
                };
                return Err(JournalError::Locked {
                    path: lock_path,
                    pid,
                });
            }
            Err(errno) => return Err(failed("lock", &lock_path)(errno.into())),
        }
        lock.set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| writeln!(lock, "{}", std::process::id()))
            .map_err(failed("write", &lock_path))?;
        Ok(Self {
            path: path.to_owned(),
            dir,
            _lock: lock,
        })
    }

    fn open_unbuffered(&self, name: &str, flags: OFlags) -> io::Result<fs::File> {
        let open = |flags| {
            let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP;
            rustix::fs::openat(&self.dir, name, flags | OFlags::CLOEXEC, mode)
        };
        // A file system without O_DIRECT (tmpfs, some FUSE) refuses it with EINVAL.
        let fd = match open(flags | OFlags::DIRECT) {
            Err(Errno::INVAL) => open(flags)?,
            other => other?,
        };
        Ok(fs::File::from(fd))
    }
}

impl Storage for Disk {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn open(&self, name: &str, what_for: OpenFor) -> io::Result<Box<dyn File>> {
        let file = match what_for {
            OpenFor::Read => fs::File::open(self.path.join(name))?,
            OpenFor::Create => {
                let flags = OFlags::RDWR | OFlags::CREATE | OFlags::TRUNC;
                self.open_unbuffered(name, flags)?
            }
            OpenFor::Write => self.open_unbuffered(name, OFlags::RDWR | OFlags::DSYNC)?,
        };
        Ok(Box::new(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.dir.sync_all()
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

impl File for fs::File {
    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buf.len() {
            match FileExt::read_at(self, &mut buf[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(self, buf, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
