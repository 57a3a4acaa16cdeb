//! Descriptors the event loop waits on, and its alarm clock.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
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

/// Tells that something was written in one of some directories.
pub struct Changes {
    inotify: Inotify,
    readable: AsyncFd<OwnedFd>,
}

impl Changes {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// `EMFILE`: this user has 128 of them already (`fs.inotify.max_user_instances`).
    pub fn new() -> io::Result<Changes> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        let readable = readable(inotify.as_fd())?;
        Ok(Changes { inotify, readable })
    }

    /// Watches a directory, or the nearest one above it that is there.
    pub fn watch(&self, dir: &Path) {
        let flags = AddWatchFlags::IN_MODIFY
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_ONLYDIR;
        let mut dir = Some(dir);
        while let Some(here) = dir
            && self.inotify.add_watch(here, flags).is_err()
        {
            dir = here.parent();
        }
    }

    /// Waits for the next change.
    pub async fn next(&self) {
        if let Ok(mut ready) = self.readable.readable().await {
            ready.clear_ready();
        }
        // What changed does not matter: everything is looked at.
        let _ = self.inotify.read_events();
    }
}

/// Tells which files come to a directory, to a thread that waits for them.
pub struct Arrivals {
    inotify: Inotify,
}

impl Arrivals {
    /// Begins to watch a directory.
    ///
    /// # Errors
    /// It is not there, or as [`Changes::new`].
    pub fn watch(dir: &Path) -> io::Result<Arrivals> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC)?;
        let flags = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_ONLYDIR;
        inotify.add_watch(dir, flags)?;
        Ok(Arrivals { inotify })
    }

    /// Waits until some have come: their names.
    ///
    /// # Errors
    /// The directory has gone, or more came than the kernel remembers: this watch is over.
    pub fn next(&self) -> io::Result<Vec<OsString>> {
        let over =
            AddWatchFlags::IN_IGNORED | AddWatchFlags::IN_MOVE_SELF | AddWatchFlags::IN_Q_OVERFLOW;
        let events = self.inotify.read_events()?;
        if events.iter().any(|event| event.mask.intersects(over)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(events.into_iter().filter_map(|event| event.name).collect())
    }
}
