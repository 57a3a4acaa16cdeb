//! Processes held by descriptor: a recycled pid is never signalled or waited for by mistake.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::libc;

/// A descriptor of one process; readable once that process has ended.
pub struct PidFd(OwnedFd);

impl PidFd {
    /// Opens a process. For a child that is not reaped yet the pid cannot have been recycled.
    ///
    /// # Errors
    /// `ESRCH`: no such process.
    pub fn open(pid: i32) -> io::Result<PidFd> {
        // SAFETY: pidfd_open takes two integers and returns a new descriptor or -1.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        let fd = i32::try_from(fd).map_err(io::Error::other)?;
        // SAFETY: the kernel has just returned this descriptor, nobody else has it.
        Ok(PidFd(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Whether the process has ended (it may still be a zombie).
    pub fn has_ended(&self) -> bool {
        self.ends_within(Duration::ZERO)
    }

    /// Waits for the process to end; false if it has not within that time.
    pub fn ends_within(&self, time: Duration) -> bool {
        use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
        let deadline = Instant::now() + time;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, left) {
                Ok(n) if n > 0 => return true,
                // A signal of ours cuts the sleep short.
                Err(nix::errno::Errno::EINTR) => {}
                _ => return false,
            }
        }
    }

    /// Sends a signal to this process and no other.
    ///
    /// # Errors
    /// `ESRCH`: it has ended and was reaped.
    pub fn signal(&self, signal: libc::c_int) -> io::Result<()> {
        // SAFETY: integers and a null siginfo, as pidfd_send_signal(2) allows.
        let done = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.0.as_raw_fd(),
                signal,
                std::ptr::null::<libc::siginfo_t>(),
                0,
            )
        };
        if done < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }
}

/// One that was opened by the program before in this process.
impl From<OwnedFd> for PidFd {
    fn from(fd: OwnedFd) -> PidFd {
        PidFd(fd)
    }
}

impl AsFd for PidFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for PidFd {
    fn as_raw_fd(&self) -> i32 {
        self.0.as_raw_fd()
    }
}
