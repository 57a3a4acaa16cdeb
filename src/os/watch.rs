//! Descriptors the event loop waits on, and its alarm clock.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::sys::time::TimeSpec;
use nix::sys::timer::TimerSetTimeFlags;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Waits for a descriptor to become readable, by a duplicate of it: whoever owns the original goes on
/// using it.
///
/// # Errors
/// No descriptors left, or nothing that can be waited for.
pub fn readable(fd: BorrowedFd<'_>) -> io::Result<AsyncFd<OwnedFd>> {
    let fd = fd.try_clone_to_owned()?;
    // SAFETY: an OwnedFd gives the same open descriptor until it is dropped, and the AsyncFd owns it.
    Ok(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?)
}

/// A timer of the kernel: one wake-up at the time that was set. (The wheel of tokio's timer wakes several
/// times on the way to a moment 15 s away; with one agent per pane that is most of what an idle fleet does.)
pub struct Alarm {
    timer: TimerFd,
    set_for: Option<Instant>,
}

impl Alarm {
    /// A timer that is not set.
    ///
    /// # Errors
    /// No descriptors left.
    pub fn new() -> io::Result<Alarm> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        Ok(Alarm {
            timer: TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?,
            set_for: None,
        })
    }

    /// Becomes readable at the time that was set.
    pub fn readable(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }

    /// Sets it, unless it is set for that moment already.
    ///
    /// # Errors
    /// The kernel refuses, which it has no reason to.
    pub fn set(&mut self, at: Instant) -> io::Result<()> {
        if self.set_for == Some(at) {
            return Ok(());
        }
        self.set_for = Some(at);
        // A time of zero would switch it off.
        let left = at
            .saturating_duration_since(Instant::now())
            .max(Duration::from_nanos(1));
        self.timer.set(
            Expiration::OneShot(TimeSpec::from_duration(left)),
            TimerSetTimeFlags::empty(),
        )?;
        Ok(())
    }

    /// It has rung: the next [`Alarm::set`] counts again.
    pub fn rang(&mut self) {
        self.set_for = None;
        let mut count = [0; 8];
        let _ = nix::unistd::read(&self.timer, &mut count);
    }
}
