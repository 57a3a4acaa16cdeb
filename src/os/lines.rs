//! The client's end of an ack socket for those who also listen to something else: nothing here waits.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

use super::socket::{is_us, peer};

/// Longest line taken: a screen of 1000x1000 cells of one word each is longer, and nobody has one.
const LINE_MAX: usize = 16 * 1024 * 1024;

/// What is kept of the buffer for lines once it is empty.
const KEPT: usize = 64 * 1024;

/// A connection that is asked whether there is something instead of being waited for.
pub struct Lines {
    stream: UnixStream,
    /// What has come of the next lines.
    read: Vec<u8>,
    /// How far it was searched for an end of a line.
    searched: usize,
    /// What the other end has not taken yet.
    unsent: Vec<u8>,
}

impl Lines {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens there, so many wait there that it would have to be waited for, or it is not ours.
    pub fn connect(path: &Path) -> io::Result<Lines> {
        let fd: OwnedFd = socket(
            AddressFamily::Unix,
            SockType::Stream,
            SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
            None,
        )?;
        connect(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
        if !is_us(peer(&fd)?) {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "the socket belongs to another user",
            ));
        }
        Ok(Lines {
            stream: fd.into(),
            read: Vec::new(),
            searched: 0,
            unsent: Vec::new(),
        })
    }

    /// Sends a line, now or when [`Lines::flush`] finds room for it.
    ///
    /// # Errors
    /// The other end is gone.
    pub fn send(&mut self, line: &[u8]) -> io::Result<()> {
        self.unsent.extend_from_slice(line);
        self.flush()
    }

    /// Sends on what the other end has not taken before.
    ///
    /// # Errors
    /// It is gone.
    pub fn flush(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(n) => drop(self.unsent.drain(..n)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Whether the other end has taken everything.
    pub fn is_sent(&self) -> bool {
        self.unsent.is_empty()
    }

    /// The next line, if all of it has come.
    ///
    /// # Errors
    /// The other end is gone (`UnexpectedEof`), or its line does not end.
    pub fn take(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let new = self.read.get(self.searched..).unwrap_or_default();
            if let Some(at) = new.iter().position(|b| *b == b'\n') {
                let rest = self.read.split_off(self.searched + at + 1);
                self.searched = 0;
                return Ok(Some(std::mem::replace(&mut self.read, rest)));
            }
            self.searched = self.read.len();
            if self.searched > LINE_MAX {
                return Err(io::Error::other("the answer is too long"));
            }
            if self.read.is_empty() {
                self.read.shrink_to(KEPT);
            }
            let mut chunk = [0; 16 * 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) => {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the sidecar has closed the connection",
                    ));
                }
                Ok(n) => self.read.extend_from_slice(&chunk[..n]),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Leaves the connection open for the program that this process becomes.
    ///
    /// # Errors
    /// It is not open.
    pub fn outlive_exec(self) -> io::Result<OwnedFd> {
        fcntl(&self.stream, FcntlArg::F_SETFD(FdFlag::empty()))?;
        Ok(self.stream.into())
    }
}

impl AsFd for Lines {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
