//! The socket file: made so that it is never open to more than it should be, and never taken from a
//! server that lives.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Owner and group may connect: who may is decided by the group of the process.
const SOCKET_MODE: u32 = 0o660;
/// Everyone may look for the socket; its own mode decides who may connect.
const DIRECTORY_MODE: u32 = 0o755;

/// Why there can be no control socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// A server is there.
    #[error("another server answers on {0}; stop it, or give this one its own control.socket")]
    InUse(PathBuf),
    /// Something else has the name.
    #[error("{0} is there and no socket; remove it, or change control.socket")]
    NotASocket(PathBuf),
    /// The directory or the socket cannot be made.
    #[error("control socket {path}: {error}; make sure that the server's user may write there")]
    Io {
        /// The socket.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// A control socket on which nobody is answered yet; connections wait until
/// [`serve`](super::serve).
#[derive(Debug)]
pub struct ControlListener {
    listener: UnixListener,
    path: PathBuf,
}

impl ControlListener {
    /// Makes the socket with mode 0660, and its directory if there is none. Replaces a socket that
    /// nobody answers on.
    ///
    /// # Errors
    /// A server answers there, something that is no socket stands there, or it cannot be made.
    pub fn bind(path: &Path) -> Result<Self, SocketError> {
        let io = |error| SocketError::Io {
            path: path.into(),
            error,
        };
        match fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(SocketError::NotASocket(path.into()));
            }
            Ok(_) => match UnixStream::connect(path) {
                Ok(_) => return Err(SocketError::InUse(path.into())),
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(error) => return Err(io(error)),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(io(error)),
        }
        let listener = make(path).map_err(io)?;
        Ok(Self {
            listener,
            path: path.into(),
        })
    }

    /// The socket file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn into_parts(self) -> (UnixListener, PathBuf) {
        (self.listener, self.path)
    }
}

/// Binds aside and renames, so that under its name the socket has its mode from the first moment.
fn make(path: &Path) -> io::Result<UnixListener> {
    let mut directories = DirBuilder::new();
    if let Some(parent) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        directories
            .recursive(true)
            .mode(DIRECTORY_MODE)
            .create(parent)?;
    }
    let mut aside = path.as_os_str().to_owned();
    aside.push(".new");
    match fs::remove_file(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&aside)?;
    fs::set_permissions(&aside, Permissions::from_mode(SOCKET_MODE))?;
    fs::rename(&aside, path)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
