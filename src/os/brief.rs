//! Reading and saying something within a time, whatever the other end does: for a process in whose way
//! somebody waits.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, send, socket,
};

use super::socket::{is_us, peer};

/// Waits until a descriptor is ready; false when the time is over.
pub(super) fn ready(fd: BorrowedFd<'_>, flags: PollFlags, deadline: Instant) -> bool {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        // Whole milliseconds, rounded up: rounded down, the last one would be spent spinning.
        let wait = u16::try_from(left.as_micros().div_ceil(1_000)).unwrap_or(u16::MAX);
        match poll(&mut [PollFd::new(fd, flags)], PollTimeout::from(wait)) {
            Ok(n) if n > 0 => return true,
            Err(Errno::EINTR) => {}
            _ if Instant::now() < deadline => {}
            _ => return false,
        }
    }
}

/// Everything from standard input, up to its end, to `max` bytes or to the deadline. What is beyond `max`
/// is read too and dropped: a writer must not find the pipe closed.
pub fn read_stdin(max: usize, deadline: Instant) -> Vec<u8> {
    let stdin = io::stdin();
    let mut bytes = Vec::new();
    let mut chunk = [0; 16 * 1024];
    while ready(stdin.as_fd(), PollFlags::POLLIN, deadline) {
        match nix::unistd::read(&stdin, &mut chunk) {
            Ok(0) => break,
            Ok(n) => {
                let room = max - bytes.len();
                bytes.extend_from_slice(&chunk[..n.min(room)]);
            }
            Err(Errno::EINTR) => {}
            Err(_) => break,
        }
    }
    bytes
}

/// Connects to a socket of our own user, sends one line, and waits for the end of the `answers`th line that
/// comes back: whoever listens can then still see who we are.
///
/// # Errors
/// Nobody listens, somebody else does, or the time is over.
pub fn say(path: &Path, line: &[u8], answers: usize, deadline: Instant) -> io::Result<()> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd: OwnedFd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    if !is_us(peer(&fd)?) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let mut rest = line;
    while !rest.is_empty() {
        match send(fd.as_raw_fd(), rest, MsgFlags::MSG_NOSIGNAL) {
            Ok(n) => rest = rest.get(n..).unwrap_or_default(),
            Err(Errno::EAGAIN | Errno::EINTR) => {
                if !ready(fd.as_fd(), PollFlags::POLLOUT, deadline) {
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
            Err(e) => return Err(e.into()),
        }
    }
    let mut lines = 0;
    let mut chunk = [0; 1_024];
    while lines < answers && ready(fd.as_fd(), PollFlags::POLLIN, deadline) {
        match recv(fd.as_raw_fd(), &mut chunk, MsgFlags::empty()) {
            Ok(0) => break,
            Ok(n) => lines += chunk[..n].iter().filter(|b| **b == b'\n').count(),
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}
