//! The ack socket: bound once per agent, open to this user only; and the client's end of it.

use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, getsockopt, listen,
    socket, sockopt::PeerCredentials,
};
use nix::sys::stat::{Mode, fchmod};

use super::process;
use crate::failure::{Failure, exit};

/// Longest path of a Unix socket in bytes: `sun_path` has 108, the last one is the terminating zero.
pub const PATH_MAX: usize = 107;

/// Connections that may wait to be accepted. Everything beyond waits in `connect`.
const BACKLOG: i32 = 128;

/// A bound socket; dropping it removes the path, if the path still is this socket.
pub struct Bound {
    path: PathBuf,
    inode: u64,
}

/// Whether a Unix socket can have this path.
pub fn fits(path: &Path) -> bool {
    path.as_os_str().as_bytes().len() <= PATH_MAX
}

/// Refuses a path that no Unix socket can have.
///
/// # Errors
/// [`exit::CONFIG`] with both lengths.
pub fn check_length(path: &Path) -> Result<(), Failure> {
    if fits(path) {
        return Ok(());
    }
    let length = path.as_os_str().as_bytes().len();
    Err(Failure::new(
        exit::CONFIG,
        format!("binding the ack socket {}", path.display()),
        format!("the path has {length} bytes, a Unix socket's has at most {PATH_MAX}"),
    )
    .hint("use a shorter XDG_RUNTIME_DIR, MOSAIC_HEARTBEAT_RUN_DIR or agent name"))
}

/// Binds an agent's socket. The caller holds the agent's lock, so whatever stands there is left over.
///
/// # Errors
/// [`exit::CONFIG`] for a path that is too long or taken by something that is no socket.
pub fn bind_private(path: &Path) -> Result<(UnixListener, Bound), Failure> {
    let doing = || format!("binding the ack socket {}", path.display());
    check_length(path)?;
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {
            std::fs::remove_file(path).map_err(|e| Failure::new(exit::CONFIG, doing(), e))?;
        }
        Ok(_) => {
            return Err(Failure::new(
                exit::CONFIG,
                doing(),
                "something that is no socket is there",
            )
            .hint("move it out of the way"));
        }
        Err(_) => {}
    }
    let bound = (|| -> io::Result<UnixListener> {
        let fd = socket(
            AddressFamily::Unix,
            SockType::Stream,
            SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
            None,
        )?;
        // Before bind: the file then has this mode from its first moment, whatever the umask.
        fchmod(&fd, Mode::S_IRUSR | Mode::S_IWUSR)?;
        bind(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
        listen(&fd, Backlog::new(BACKLOG)?)?;
        Ok(UnixListener::from(fd))
    })()
    .map_err(|e| Failure::new(exit::CONFIG, doing(), e))?;
    Ok((bound, Bound::at(path)))
}

impl Bound {
    /// The socket that is bound there already, by the program before in this process.
    pub fn at(path: &Path) -> Bound {
        Bound {
            path: path.to_owned(),
            inode: std::fs::symlink_metadata(path).map_or(0, |m| m.ino()),
        }
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        if std::fs::symlink_metadata(&self.path).is_ok_and(|m| m.ino() == self.inode) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its pid when it connected. It may have been recycled since.
    pub pid: i32,
    /// When that process was started, in clock ticks since boot: another process has another time. None if it had
    /// ended, or cannot be seen from here.
    pub started: Option<u64>,
    /// Its user.
    pub uid: u32,
}

/// Asks the kernel who is at the other end.
///
/// # Errors
/// The connection is gone.
pub fn peer(stream: &impl AsFd) -> io::Result<Peer> {
    let credentials = getsockopt(stream, PeerCredentials)?;
    Ok(Peer {
        pid: credentials.pid(),
        started: process::start_ticks(credentials.pid()),
        uid: credentials.uid(),
    })
}

/// Whether a peer may speak to us: the same user, nobody else, root included.
pub fn is_us(peer: Peer) -> bool {
    peer.uid == nix::unistd::geteuid().as_raw()
}

/// The client's end of an ack socket.
pub struct Client {
    reader: BufReader<UnixStream>,
}

/// Longest reply line read: a screen of 1000x1000 wide characters and some.
const REPLY_MAX: u64 = 8 * 1024 * 1024;

impl Client {
    /// Connects, and takes no longer than until `deadline`: to who has stopped accepting, a connection waits for
    /// ever once so many wait already. No later write takes longer than that, either.
    ///
    /// # Errors
    /// Nobody listens there, or it is not ours; `WouldBlock`: nobody accepts.
    pub fn connect(path: &Path, deadline: Instant) -> io::Result<Client> {
        let fd = socket(
            AddressFamily::Unix,
            SockType::Stream,
            SockFlag::SOCK_CLOEXEC,
            None,
        )?;
        let stream = UnixStream::from(fd);
        let left = deadline.saturating_duration_since(Instant::now());
        // The send timeout of a Unix socket limits its connect, too.
        stream.set_write_timeout(Some(left.max(Duration::from_millis(1))))?;
        connect(stream.as_raw_fd(), &UnixAddr::new(path)?)?;
        if !is_us(peer(&stream)?) {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "the socket belongs to another user",
            ));
        }
        Ok(Client {
            reader: BufReader::new(stream),
        })
    }

    /// Sends a line.
    ///
    /// # Errors
    /// The other end is gone.
    pub fn send(&mut self, line: &[u8]) -> io::Result<()> {
        self.reader.get_mut().write_all(line)
    }

    /// Waits for a line until `deadline`.
    ///
    /// # Errors
    /// `TimedOut`, or the other end is gone (`UnexpectedEof`).
    pub fn receive(&mut self, deadline: Instant) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time"));
            }
            let stream = self.reader.get_ref();
            stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
            let room = REPLY_MAX.saturating_sub(line.len() as u64);
            if room == 0 {
                return Err(io::Error::other("the answer is too long"));
            }
            let mut limited = io::Read::take(&mut self.reader, room);
            match limited.read_until(b'\n', &mut line) {
                Ok(_) if line.last() == Some(&b'\n') => return Ok(line),
                Ok(0) => {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the sidecar closed the connection",
                    ));
                }
                Ok(_) => {}
                Err(e)
                    if matches!(
                        e.kind(),
                        io::ErrorKind::WouldBlock
                            | io::ErrorKind::TimedOut
                            | io::ErrorKind::Interrupted
                    ) => {}
                Err(e) => return Err(e),
            }
        }
    }
}
