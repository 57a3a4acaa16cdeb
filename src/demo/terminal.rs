//! The real terminal: raw mode, the alternate screen, output that never blocks, and the way back.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

use super::view::Size;

const ENTER: &[u8] = b"\x1b[?1049h\x1b[?2004h\x1b]0;demo\x07";
const LEAVE: &[u8] = b"\x1b[?2026l\x1b[0m\x1b[?25h\x1b[?2004l\x1b[?1049l\x1b]0;\x07";
/// How long a terminal that takes nothing may hold up the end.
const FLUSH: Duration = Duration::from_millis(500);

/// The terminal while the TUI is on it. Dropping it brings back what was before.
#[derive(Debug)]
pub struct Terminal {
    out: File,
    /// What the terminal has not taken yet, from `sent` on.
    pending: Vec<u8>,
    sent: usize,
    raw: bool,
    saved: Arc<Saved>,
}

impl Terminal {
    /// Takes the terminal over.
    pub fn enter(raw: bool) -> io::Result<Self> {
        let termios = tcgetattr(io::stdin())?;
        let out = open_output()?;
        let saved = Arc::new(Saved {
            termios: Mutex::new(Some(termios)),
            out: out.try_clone()?,
        });
        let hook_saved = Arc::clone(&saved);
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            hook_saved.restore(true);
            hook(info);
        }));
        let mut terminal = Self {
            out,
            pending: Vec::new(),
            sent: 0,
            raw,
            saved,
        };
        terminal.resume()?;
        Ok(terminal)
    }

    /// Sets everything up, at the start and again after a stop: a shell may have changed it.
    pub fn resume(&mut self) -> io::Result<()> {
        if self.raw {
            let mut termios = tcgetattr(io::stdin())?;
            cfmakeraw(&mut termios);
            tcsetattr(io::stdin(), SetArg::TCSANOW, &termios)?;
        }
        self.write(ENTER);
        Ok(())
    }

    /// Writes as much as the terminal takes, and keeps the rest.
    pub fn write(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        self.flush();
    }

    /// Writes what was kept. A terminal that is gone takes everything.
    pub fn flush(&mut self) {
        while let Some(rest) = self
            .pending
            .get(self.sent..)
            .filter(|rest| !rest.is_empty())
        {
            match self.out.write(rest) {
                Ok(count) if count > 0 => self.sent += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                _ => break,
            }
        }
        self.pending.clear();
        self.sent = 0;
    }

    /// Whether the terminal has taken everything.
    pub fn is_idle(&self) -> bool {
        self.pending.is_empty()
    }

    /// Waits until the terminal has taken everything, or for a moment.
    pub fn drain(&mut self) {
        let end = Instant::now() + FLUSH;
        while !self.is_idle() {
            let left = end.saturating_duration_since(Instant::now());
            let mut fds = [PollFd::new(self.out.as_fd(), PollFlags::POLLOUT)];
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
            if left.is_zero() || matches!(poll(&mut fds, timeout), Ok(0)) {
                return;
            }
            self.flush();
        }
    }

    /// Where to wait for room.
    pub fn output(&self) -> BorrowedFd<'_> {
        self.out.as_fd()
    }

    /// The size now.
    pub fn size(&self) -> Size {
        let (cols, rows) = crate::os::tty::window(self.out.as_fd());
        Size::new(rows, cols)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // After a panic everything is back already, and the rest of a frame would spoil it.
        if std::thread::panicking() {
            return;
        }
        self.drain();
        let idle = self.is_idle();
        self.saved.restore(idle);
    }
}

/// What it takes to bring the terminal back, once.
#[derive(Debug)]
struct Saved {
    termios: Mutex<Option<Termios>>,
    out: File,
}

impl Saved {
    fn restore(&self, screen: bool) {
        let mut termios = self.termios.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(termios) = termios.take() else {
            return;
        };
        // Nothing can be done about a terminal that is gone.
        if screen {
            let _ = (&self.out).write_all(LEAVE);
        }
        let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, &termios);
    }
}

/// The terminal, opened anew: `O_NONBLOCK` on stdout itself would hold for everyone who shares it.
fn open_output() -> io::Result<File> {
    let stdout = io::stdout();
    let reopened = nix::unistd::ttyname(&stdout).ok().and_then(|path| {
        let mut options = OpenOptions::new();
        options.write(true);
        options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
        options.open(path).ok()
    });
    match reopened {
        Some(file) => Ok(file),
        None => Ok(File::from(stdout.as_fd().try_clone_to_owned()?)),
    }
}
