//! The server's identity in `state-dir`: made once, kept for ever.
//!
//! Clients remember the server DUID (RFC 9915 §11), and the allocation key decides who gets which
//! lease; so a file that is there but damaged is an error, never a reason to make a new one.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::config::value::parse_hex;
use engine::reconfigure::SECRET_LEN_MIN;
use wire::Duid;

/// DUID-UUID (RFC 6355 §4).
const DUID_TYPE_UUID: [u8; 2] = [0x00, 0x04];

/// The file of the replay detection values that have been reserved.
const REPLAY: &str = "reconfigure-replay";

/// Why the identity cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// A file or directory cannot be made, read or written.
    #[error("{path}: {error}; make sure that the server's user may write there")]
    Io {
        /// What could not be used.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file does not hold what was once written into it.
    #[error(
        "{0} is damaged; restore it from a backup: with a new one clients would lose their leases"
    )]
    Damaged(PathBuf),
    /// The file of replay detection values does not hold what was once written into it.
    #[error(
        "{0} is damaged; remove it if the clock has not been set back since it was written: with \
         smaller values than before clients would discard what they are sent"
    )]
    Replay(PathBuf),
}

/// A state directory that exists.
#[derive(Clone, Debug)]
pub struct StateDir(PathBuf);

impl StateDir {
    /// Opens the directory and makes it, with mode 0750, if it is not there.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn open(path: &Path) -> Result<Self, StateDirError> {
        let made = DirBuilder::new().recursive(true).mode(0o750).create(path);
        made.map_err(|error| StateDirError::Io {
            path: path.into(),
            error,
        })?;
        Ok(Self(path.into()))
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The server's DUID; a DUID-UUID (RFC 6355) is made at the first call.
    ///
    /// # Errors
    /// The file cannot be read or written, or is damaged.
    pub fn server_duid(&self) -> Result<Box<[u8]>, StateDirError> {
        let (octets, path) = self.kept("server-duid", 0o644, |random| {
            let mut uuid = random;
            uuid[6] = uuid[6] & 0x0f | 0x40;
            uuid[8] = uuid[8] & 0x3f | 0x80;
            [&DUID_TYPE_UUID[..], &uuid].concat()
        })?;
        match Duid::new(&octets) {
            Some(_) => Ok(octets.into()),
            None => Err(StateDirError::Damaged(path)),
        }
    }

    /// The key that decides who gets which lease; made at the first call, readable by the owner only.
    ///
    /// # Errors
    /// The file cannot be read or written, or is damaged.
    pub fn allocation_key(&self) -> Result<[u8; 16], StateDirError> {
        let (octets, path) = self.kept("allocation-key", 0o600, |random| random.to_vec())?;
        octets.try_into().map_err(|_| StateDirError::Damaged(path))
    }

    /// What clients' reconfigure keys are made of; made at the first call, readable by the owner
    /// only.
    ///
    /// # Errors
    /// The file cannot be read or written, or is damaged.
    pub fn reconfigure_secret(&self) -> Result<Box<[u8]>, StateDirError> {
        let (octets, path) = self.kept("reconfigure-secret", 0o600, |random| random.to_vec())?;
        match octets.len() {
            SECRET_LEN_MIN.. => Ok(octets.into()),
            _ => Err(StateDirError::Damaged(path)),
        }
    }

    /// The limit of replay detection values (RFC 9915 §20.3) that was retained last; 0 at first.
    ///
    /// # Errors
    /// The file cannot be read, or is damaged.
    pub fn replay_limit(&self) -> Result<u64, StateDirError> {
        let path = self.0.join(REPLAY);
        let octets = match fs::read_to_string(&path) {
            Ok(text) => parse_hex(text.trim_end()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => None,
            Err(error) => return Err(StateDirError::Io { path, error }),
        };
        let octets = octets.and_then(|octets| octets.try_into().ok());
        octets
            .map(u64::from_be_bytes)
            .ok_or(StateDirError::Replay(path))
    }

    /// Retains a limit of replay detection values.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn retain_replay_limit(&self, limit: u64) -> Result<(), StateDirError> {
        let path = self.0.join(REPLAY);
        let written = self.write_once(&path, 0o644, &limit.to_be_bytes());
        written.map_err(|error| StateDirError::Io { path, error })
    }

    fn kept(
        &self,
        name: &str,
        mode: u32,
        make: impl FnOnce([u8; 16]) -> Vec<u8>,
    ) -> Result<(Vec<u8>, PathBuf), StateDirError> {
        let path = self.0.join(name);
        let read_or_make = || match fs::read_to_string(&path) {
            Ok(text) => Ok(parse_hex(text.trim_end())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let octets = make(random()?);
                self.write_once(&path, mode, &octets)?;
                Ok(Some(octets))
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
            Err(error) => Err(error),
        };
        match read_or_make() {
            Ok(Some(octets)) => Ok((octets, path)),
            Ok(None) => Err(StateDirError::Damaged(path)),
            Err(error) => Err(StateDirError::Io { path, error }),
        }
    }

    /// Whole or not at all, also through a power cut: written aside, flushed, renamed, flushed.
    fn write_once(&self, path: &Path, mode: u32, octets: &[u8]) -> io::Result<()> {
        let aside = path.with_extension("new");
        match fs::remove_file(&aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let text: Vec<_> = octets.iter().map(|octet| format!("{octet:02x}")).collect();
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&aside)?;
        writeln!(file, "{}", text.join(":"))?;
        file.sync_all()?;
        fs::rename(&aside, path)?;
        File::open(&self.0)?.sync_all()
    }
}

fn random() -> io::Result<[u8; 16]> {
    let mut octets = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut octets)?;
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_identity_is_made_once_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(&dir.path().join("a/b")).unwrap();
        let (duid, key) = (
            state.server_duid().unwrap(),
            state.allocation_key().unwrap(),
        );
        assert_eq!((duid.len(), &duid[..2]), (18, &DUID_TYPE_UUID[..]));
        assert_eq!(
            (duid[8] >> 4, duid[10] >> 6),
            (4, 2),
            "RFC 4122 version and variant"
        );
        let again = StateDir::open(state.path()).unwrap();
        assert_eq!(again.server_duid().unwrap(), duid);
        assert_eq!(again.allocation_key().unwrap(), key);
        let mode = fs::metadata(state.path().join("allocation-key"))
            .unwrap()
            .permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
    }

    #[test]
    fn a_replay_limit_is_retained_and_a_damaged_one_is_not_taken_for_none() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        assert_eq!(state.replay_limit().unwrap(), 0);
        for limit in [7, u64::MAX] {
            state.retain_replay_limit(limit).unwrap();
            assert_eq!(state.replay_limit().unwrap(), limit);
        }
        fs::write(dir.path().join(REPLAY), "00:01").unwrap();
        assert!(matches!(
            state.replay_limit(),
            Err(StateDirError::Replay(_))
        ));
    }

    #[test]
    fn a_damaged_file_is_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        for damage in [&b""[..], b"00", b"\xff\xff", b"hello"] {
            for name in ["server-duid", "allocation-key"] {
                fs::write(dir.path().join(name), damage).unwrap();
            }
            assert!(matches!(
                state.server_duid(),
                Err(StateDirError::Damaged(_))
            ));
            assert!(matches!(
                state.allocation_key(),
                Err(StateDirError::Damaged(_))
            ));
        }
    }
}
