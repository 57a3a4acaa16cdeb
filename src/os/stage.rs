//! A viewer's terminal: the other screen of it, raw, drawn without ever waiting, and given back as it was.

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::tty::{self, Outer};
use crate::units::TermSize;

/// The other screen, cleared; lines that are too long end at the edge.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[2J\x1b[?7l";

/// Everything back that [`ENTER`], a frame or a mode may have changed.
const LEAVE: &[u8] = b"\x1b[?2026l\x1b[m\x1b[?7h\x1b[?1l\x1b[?2004l\x1b[?25h\x1b[?1049l";

/// How long a terminal that takes nothing may hold up the end.
const FLUSH: Duration = Duration::from_millis(500);

/// The terminal while a picture is on it. Dropping it brings back what was before.
pub struct Stage {
    _outer: Outer,
    tty: OwnedFd,
    /// What the terminal has not taken yet.
    pending: Vec<u8>,
}

impl Stage {
    /// Takes the terminal over, if there is one. From now on a panic gives it back before it is told.
    ///
    /// # Errors
    /// The terminal is there and cannot be opened or set.
    pub fn enter() -> io::Result<Option<Stage>> {
        let Some(outer) = Outer::take()? else {
            return Ok(None);
        };
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let _ = io::stdout()
                .write_all(LEAVE)
                .and_then(|()| io::stdout().flush());
            tty::restore_after_panic();
            report(info);
        }));
        let tty = outer.duplicate()?;
        let mut stage = Stage {
            _outer: outer,
            tty,
            pending: Vec::new(),
        };
        stage.write(ENTER);
        Ok(Some(stage))
    }

    /// The size.
    pub fn size(&self) -> TermSize {
        let (cols, rows) = tty::window(self.tty.as_fd());
        match (cols, rows) {
            // A terminal that does not know its size.
            (0, _) | (_, 0) => TermSize { cols: 80, rows: 24 },
            (cols, rows) => TermSize { cols, rows },
        }
    }

    /// Draws as much as the terminal takes, and keeps the rest.
    pub fn write(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        self.flush();
    }

    /// Draws what was kept. A terminal that is gone takes everything; its reading side says so.
    pub fn flush(&mut self) {
        while !self.pending.is_empty() {
            match nix::unistd::write(&self.tty, &self.pending) {
                Ok(n) => drop(self.pending.drain(..n)),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return,
                Err(_) => self.pending.clear(),
            }
        }
    }

    /// Whether the terminal has taken everything.
    pub fn is_drawn(&self) -> bool {
        self.pending.is_empty()
    }

    /// What was typed, if something was.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn typed(&self) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = [0; 4096];
        match nix::unistd::read(&self.tty, &mut bytes) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => Ok(Some(bytes[..n].to_vec())),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }
}

impl AsFd for Stage {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.tty.as_fd()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // After a panic everything is back already.
        if std::thread::panicking() {
            return;
        }
        self.pending.extend_from_slice(LEAVE);
        let end = Instant::now() + FLUSH;
        self.flush();
        while !self.is_drawn() && Instant::now() < end {
            wait(&[], Some(self.tty.as_fd()), FLUSH / 10);
            self.flush();
        }
    }
}

/// Sleeps until one of `read` has something or `write` has room, at most that long.
pub fn wait(read: &[BorrowedFd<'_>], write: Option<BorrowedFd<'_>>, at_most: Duration) {
    let mut fds: Vec<PollFd<'_>> = read
        .iter()
        .map(|fd| PollFd::new(*fd, PollFlags::POLLIN))
        .collect();
    fds.extend(write.map(|fd| PollFd::new(fd, PollFlags::POLLOUT)));
    let ms = i32::try_from(at_most.as_micros().div_ceil(1_000)).unwrap_or(i32::MAX);
    let _ = poll(
        &mut fds,
        PollTimeout::try_from(ms).unwrap_or(PollTimeout::MAX),
    );
}
