//! A conversation over a D-Bus socket: a greeting, messages, and what comes back, within a time.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, send, socket,
};

use super::brief::ready;

/// An open connection.
pub struct Bus {
    fd: OwnedFd,
    deadline: Instant,
}

impl Bus {
    /// Connects, sends the greeting and waits for the two lines of its answer. All of the conversation must be over by `deadline`.
    ///
    /// # Errors
    /// Nobody listens, the greeting is refused, or the time is over.
    pub fn open(path: &Path, greeting: &[u8], deadline: Instant) -> io::Result<Bus> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
        connect(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
        let mut bus = Bus { fd, deadline };
        bus.send(greeting)?;
        let said = bus.receive(256, |bytes| {
            bytes.iter().filter(|b| **b == b'\n').count() >= 2
        })?;
        if !said.starts_with(b"OK") {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        Ok(bus)
    }

    /// Sends bytes, all of them.
    ///
    /// # Errors
    /// The other end is gone, or does not read in time.
    pub fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match send(self.fd.as_raw_fd(), bytes, MsgFlags::MSG_NOSIGNAL) {
                Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => self.wait(PollFlags::POLLOUT)?,
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    /// Receives until what has come is whole.
    ///
    /// # Errors
    /// The other end is gone, says more than `max` bytes, or not all of it in time.
    pub fn receive(&mut self, max: usize, is_whole: impl Fn(&[u8]) -> bool) -> io::Result<Vec<u8>> {
        let mut got = Vec::new();
        let mut chunk = [0; 64 * 1024];
        while !is_whole(&got) {
            match recv(self.fd.as_raw_fd(), &mut chunk, MsgFlags::empty()) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => got.extend_from_slice(&chunk[..n]),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => self.wait(PollFlags::POLLIN)?,
                Err(e) => return Err(e.into()),
            }
            if got.len() > max {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
        Ok(got)
    }

    fn wait(&self, flags: PollFlags) -> io::Result<()> {
        match ready(self.fd.as_fd(), flags, self.deadline) {
            true => Ok(()),
            false => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}
