//! The outer terminal: the benchmark plays the terminal emulator for one candidate.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::inner;
use crate::procfs;

nix::ioctl_write_int_bad!(take_terminal, libc::TIOCSCTTY);

pub const ROWS: u16 = 40;
pub const COLUMNS: u16 = 120;

/// How long a candidate may take to end after its inner program has ended.
const END_WITHIN: Duration = Duration::from_secs(3);

/// A candidate in its terminal. Dropped, it takes the candidate and all below it along.
pub struct Terminal {
    name: String,
    master: OwnedFd,
    child: Child,
    ended: bool,
    /// The last bytes shown: a marker can begin in one read and end in the next.
    tail: Vec<u8>,
}

impl Terminal {
    /// Starts a command as the leader of a session on a new terminal.
    pub fn start(name: &str, mut command: Command) -> io::Result<Terminal> {
        let pair = openpty(&size(), None)?;
        fcntl(&pair.master, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        fcntl(&pair.slave, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        fcntl(&pair.master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        command
            .stdin(Stdio::from(pair.slave.try_clone()?))
            .stdout(Stdio::from(pair.slave.try_clone()?))
            .stderr(Stdio::from(pair.slave));
        // SAFETY: between fork and exec the hook makes system calls only; it neither allocates nor locks.
        unsafe {
            command.pre_exec(|| {
                nix::unistd::setsid()?;
                take_terminal(0, 0)?;
                Ok(())
            });
        }
        let child = command.spawn().map_err(|e| {
            io::Error::other(format!(
                "{name}: cannot start {:?}: {e}",
                command.get_program()
            ))
        })?;
        Ok(Terminal {
            name: name.to_owned(),
            master: pair.master,
            child,
            ended: false,
            tail: Vec::new(),
        })
    }

    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Types bytes.
    pub fn send(&self, bytes: &[u8]) -> io::Result<()> {
        match nix::unistd::write(&self.master, bytes) {
            Ok(put) if put == bytes.len() => Ok(()),
            Ok(_) => Err(self.failed("its terminal takes no more input")),
            Err(e) => Err(self.failed(&format!("its terminal takes no input: {e}"))),
        }
    }

    /// Reads until `marker` has been shown; returns the moment of that read.
    pub fn wait_for(&mut self, marker: &[u8], within: Duration) -> io::Result<Instant> {
        let deadline = Instant::now() + within;
        let mut buffer = [0; 64 * 1024];
        loop {
            if !self.readable_until(deadline)? {
                return Err(self.waited(marker, within));
            }
            // As long as there is something, no poll in between: this is how a fast terminal reads.
            while let Some(got) = self.read(&mut buffer, marker)? {
                let now = Instant::now();
                if self.shows(&buffer[..got], marker) {
                    return Ok(now);
                }
                if now > deadline {
                    return Err(self.waited(marker, within));
                }
            }
        }
    }

    /// Throws away what is there to be read. False: nobody is left on the other side.
    pub fn drain(&self) -> bool {
        let mut buffer = [0; 16 * 1024];
        loop {
            match nix::unistd::read(&self.master, &mut buffer) {
                Ok(1..) => {}
                Err(Errno::EAGAIN | Errno::EINTR) => return true,
                _ => return false,
            }
        }
    }

    /// Ends the inner program and waits for the candidate to end by itself.
    pub fn end(mut self) -> io::Result<()> {
        self.send(&[inner::QUIT])?;
        let deadline = Instant::now() + END_WITHIN;
        while Instant::now() < deadline {
            let alive = self.drain();
            if self.child.try_wait()?.is_some() {
                self.ended = true;
                return Ok(());
            }
            // A hang-up is readable for ever: no poll on it while the candidate winds up.
            match alive {
                true => wait_readable_any(std::slice::from_ref(&self), Duration::from_millis(2)),
                false => std::thread::sleep(Duration::from_millis(2)),
            }
        }
        Err(self.failed(&format!(
            "did not end within {END_WITHIN:?} after its inner program"
        )))
    }

    /// False: nothing came before the deadline.
    fn readable_until(&self, deadline: Instant) -> io::Result<bool> {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let mut ends = [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)];
        match poll(&mut ends, timeout) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::EINTR) => Ok(true),
            Err(e) => Err(e.into()),
        }
    }

    /// One read; nothing if there is nothing now.
    fn read(&self, buffer: &mut [u8], marker: &[u8]) -> io::Result<Option<usize>> {
        match nix::unistd::read(&self.master, buffer) {
            Ok(got) if got > 0 => Ok(Some(got)),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(None),
            Ok(_) | Err(Errno::EIO) => {
                let what = format!(
                    "ended before it showed {:?}",
                    String::from_utf8_lossy(marker)
                );
                Err(self.failed(&what))
            }
            Err(e) => Err(e.into()),
        }
    }

    /// Whether `marker` is complete with these bytes. Its first byte occurs nowhere else, so that a flood
    /// is looked through at the speed of one `memchr`.
    fn shows(&mut self, bytes: &[u8], marker: &[u8]) -> bool {
        let keep = 200;
        if self.tail.len() > 64 * 1024 {
            self.tail.drain(..self.tail.len() - keep);
        }
        let seam = self.tail.len().saturating_sub(marker.len() - 1);
        let clean = !self.tail[seam..].contains(&marker[0]) && !bytes.contains(&marker[0]);
        self.tail.extend_from_slice(bytes);
        let found = !clean && self.tail[seam..].windows(marker.len()).any(|w| w == marker);
        if found {
            self.tail.clear();
        }
        found
    }

    fn waited(&self, marker: &[u8], within: Duration) -> io::Error {
        let marker = String::from_utf8_lossy(marker);
        self.failed(&format!("did not show {marker:?} within {within:.1?}"))
    }

    fn failed(&self, what: &str) -> io::Error {
        let last = &self.tail[self.tail.len().saturating_sub(200)..];
        let shown = match last {
            [] => String::new(),
            _ => format!("; the last it showed: \"{}\"", last.escape_ascii()),
        };
        io::Error::other(format!("{} {what}{shown}", self.name))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if !self.ended {
            end_all(&procfs::tree(self.pid(), None));
            let _ = self.child.wait();
        }
    }
}

/// Kills these processes, all of which are ours.
pub fn end_all(pids: &[i32]) {
    for pid in pids {
        let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
    }
}

/// Plays the terminal for all of them for a while: whatever they print is read and thrown away.
pub fn watch(terminals: &[Terminal], during: Duration) -> io::Result<()> {
    let end = Instant::now() + during;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        wait_readable_any(terminals, left);
        if let Some(dead) = terminals.iter().find(|t| !t.drain()) {
            return Err(dead.failed("ended while it should have been idle"));
        }
    }
}

fn wait_readable_any(terminals: &[Terminal], at_most: Duration) {
    let mut ends: Vec<PollFd> = terminals
        .iter()
        .map(|t| PollFd::new(t.master.as_fd(), PollFlags::POLLIN))
        .collect();
    // Rounded up to a millisecond, or the last one would be spun away.
    let timeout =
        PollTimeout::try_from(at_most + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
    let _ = poll(&mut ends, timeout);
}

fn size() -> Winsize {
    Winsize {
        ws_row: ROWS,
        ws_col: COLUMNS,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}
