//! The outer terminal: the pane's own pty, as tmux (or an emulator) made it.

use std::fs::OpenOptions;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Mutex;

use nix::libc;
use nix::sys::termios::{self, SetArg, Termios};

use crate::units::TermSize;

/// The outer terminal in raw mode. Dropping it puts the saved modes back.
pub struct Outer {
    tty: OwnedFd,
    saved: Termios,
}

/// The modes to put back if the process panics; the descriptor is opened anew then.
static SAVED: Mutex<Option<Termios>> = Mutex::new(None);

/// Opens a terminal of our own behind `fd`: an open file of its own, so that making it non-blocking
/// does not change the terminal of the shell that shares `fd` with us.
fn reopen(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let path = nix::unistd::ttyname(fd)?;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(path)?;
    Ok(file.into())
}

/// Whether somebody else's terminal is on standard input and output.
pub fn is_here() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

impl Outer {
    /// Takes the terminal on standard input, if there is one, into raw mode.
    ///
    /// # Errors
    /// The terminal is there and cannot be opened or set.
    pub fn take() -> io::Result<Option<Outer>> {
        if !is_here() {
            return Ok(None);
        }
        let tty = reopen(io::stdin().as_fd())?;
        let saved = termios::tcgetattr(&tty)?;
        if let Ok(mut slot) = SAVED.lock() {
            *slot = Some(saved.clone());
        }
        let mut raw = saved.clone();
        termios::cfmakeraw(&mut raw);
        termios::tcsetattr(&tty, SetArg::TCSANOW, &raw)?;
        Ok(Some(Outer { tty, saved }))
    }

    /// Takes the terminal over from the program before, which has left it raw: these are the modes it had.
    ///
    /// # Errors
    /// The terminal is gone, or the numbers are no modes.
    pub fn take_over(modes: &[u64]) -> io::Result<Outer> {
        let tty = reopen(io::stdin().as_fd())?;
        let mut saved: libc::termios = termios::tcgetattr(&tty)?.into();
        let odd = |_| io::Error::from(io::ErrorKind::InvalidData);
        let number = |at: usize| u32::try_from(modes.get(at).copied().unwrap_or(0)).map_err(odd);
        saved.c_iflag = number(0)?;
        saved.c_oflag = number(1)?;
        saved.c_cflag = number(2)?;
        saved.c_lflag = number(3)?;
        for (key, mode) in saved.c_cc.iter_mut().zip(modes.iter().skip(4)) {
            *key = u8::try_from(*mode).map_err(odd)?;
        }
        let saved = Termios::from(saved);
        if let Ok(mut slot) = SAVED.lock() {
            *slot = Some(saved.clone());
        }
        Ok(Outer { tty, saved })
    }

    /// The modes to put back, as numbers: what [`Outer::take_over`] takes.
    pub fn saved(&self) -> Vec<u64> {
        let modes: libc::termios = self.saved.clone().into();
        let flags = [modes.c_iflag, modes.c_oflag, modes.c_cflag, modes.c_lflag];
        let keys = modes.c_cc.iter().map(|key| u64::from(*key));
        flags.into_iter().map(u64::from).chain(keys).collect()
    }

    /// The modes the terminal had, for the inner pty to start with.
    pub fn modes(&self) -> &Termios {
        &self.saved
    }

    /// A second descriptor of the same open file, for the pump.
    ///
    /// # Errors
    /// No descriptors left.
    pub fn duplicate(&self) -> io::Result<OwnedFd> {
        self.tty.try_clone()
    }

    /// The terminal's size, clamped.
    pub fn size(&self) -> TermSize {
        let (cols, rows) = window(self.tty.as_fd());
        TermSize::clamped(cols, rows)
    }
}

impl Drop for Outer {
    fn drop(&mut self) {
        // TCSANOW, not DRAIN: a stopped tmux would let us wait for ever.
        if let Err(e) = termios::tcsetattr(&self.tty, SetArg::TCSANOW, &self.saved) {
            tracing::debug!("the outer terminal's modes could not be put back: {e}");
        }
        if let Ok(mut slot) = SAVED.lock() {
            *slot = None;
        }
    }
}

/// The columns and rows a terminal reports, as it reports them; zeros if it does not.
pub fn window(fd: BorrowedFd<'_>) -> (u16, u16) {
    let mut size = libc::winsize {
        ws_row: 0,
        ws_col: 0,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: `fd` is open for the call and TIOCGWINSZ writes one winsize, which `size` is.
    if unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) } == 0 {
        (size.ws_col, size.ws_row)
    } else {
        (0, 0)
    }
}

/// Puts the outer terminal back from a panic hook, where no [`Outer`] is at hand.
pub fn restore_after_panic() {
    // `try_lock`: the panic may have happened while the lock was held.
    let saved = SAVED.try_lock().ok().and_then(|mut slot| slot.take());
    if let Some(saved) = saved {
        let _ = termios::tcsetattr(io::stdin().as_fd(), SetArg::TCSANOW, &saved);
    }
}
