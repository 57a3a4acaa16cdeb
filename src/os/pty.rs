//! The inner pty and the runtime in it.
//!
//! The pair is opened and sized by `portable-pty`; a pty can also be taken over from the program before (an upgrade),
//! which the crate knows nothing of, so resizing is done on the descriptor. We spawn ourselves, on the slave side asked
//! from the master (TIOCGPTPEER), because what we promise needs a hook between fork and exec that the
//! crate has not: the parent-death signal, so that no runtime outlives its sidecar.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::sys::termios::{self, LocalFlags, SetArg, Termios};
use portable_pty::{PtySize, native_pty_system};

use crate::units::TermSize;

/// The master side of the inner pty.
pub struct Pty {
    /// Our own descriptor of the master that the crate has opened; its own is not kept. (`take_writer` of the crate
    /// is never called: dropping that writer types a line feed and ^D into the runtime.)
    fd: OwnedFd,
}

/// What to start.
#[derive(Debug, Clone)]
pub struct Program {
    /// The executable, already found.
    pub path: PathBuf,
    /// `argv[0]` and the arguments.
    pub argv: Vec<OsString>,
    /// The whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// The working directory.
    pub dir: PathBuf,
}

fn pty_size(size: TermSize) -> PtySize {
    PtySize {
        rows: size.rows,
        cols: size.cols,
        pixel_width: 0,
        pixel_height: 0,
    }
}

impl Pty {
    /// Opens a pair of this size; the slave starts with these modes, if given.
    ///
    /// # Errors
    /// No ptys or descriptors left.
    pub fn open(size: TermSize, modes: Option<&Termios>) -> io::Result<Pty> {
        let pair = native_pty_system()
            .openpty(pty_size(size))
            .map_err(|e| io::Error::other(e.to_string()))?;
        let raw = pair
            .master
            .as_raw_fd()
            .ok_or_else(|| io::Error::other("the pty has no descriptor"))?;
        // SAFETY: `raw` is the master's open descriptor, owned by `pair.master`, which outlives this borrow.
        let borrowed = unsafe { BorrowedFd::borrow_raw(raw) };
        let fd = borrowed.try_clone_to_owned()?;
        super::pump::set_nonblocking(&fd)?;
        // Setting modes wakes whoever waits on the terminal and takes its time; most panes have the defaults.
        if let Some(modes) = modes
            && termios::tcgetattr(&fd)? != *modes
        {
            termios::tcsetattr(&fd, SetArg::TCSANOW, modes)?;
        }
        Ok(Pty { fd })
    }

    /// The pty whose master the program before has left open.
    pub fn adopt(fd: OwnedFd) -> Pty {
        Pty { fd }
    }

    /// The master side.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Another descriptor of the same open master, for the pump.
    ///
    /// # Errors
    /// No descriptors left.
    pub fn duplicate(&self) -> io::Result<OwnedFd> {
        let fd = fcntl(&self.fd, FcntlArg::F_DUPFD_CLOEXEC(3))?;
        // SAFETY: fcntl has just returned this descriptor, nobody else has it.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    /// Opens the slave side without going through a path.
    fn slave(&self) -> io::Result<OwnedFd> {
        let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
        // SAFETY: TIOCGPTPEER takes open flags by value and returns a new descriptor or -1.
        let fd = unsafe { libc::ioctl(self.fd.as_raw_fd(), libc::TIOCGPTPEER, flags) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just returned this descriptor, nobody else has it.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    /// Starts the runtime as the leader of a session whose terminal is this pty. Returns its pid.
    ///
    /// It is killed by the kernel when the calling *thread* ends, so call this from a thread that lives
    /// as long as the process.
    ///
    /// # Errors
    /// What fork or exec say; errors of exec come back here, not on the pane.
    pub fn spawn(&self, program: &Program) -> io::Result<i32> {
        let slave = self.slave()?;
        let parent = nix::unistd::getpid();
        let mut argv = program.argv.iter();
        let mut command = Command::new(&program.path);
        if let Some(arg0) = argv.next() {
            command.arg0(arg0);
        }
        command
            .args(argv)
            .env_clear()
            .envs(program.env.iter().map(|(k, v)| (k, v)))
            .current_dir(&program.dir)
            .stdin(Stdio::from(slave.try_clone()?))
            .stdout(Stdio::from(slave.try_clone()?))
            .stderr(Stdio::from(slave));
        // SAFETY: the hook runs in the child between fork and exec; it makes system calls only and
        // neither allocates nor locks.
        unsafe {
            command.pre_exec(move || {
                nix::unistd::setsid()?;
                if libc::ioctl(0, libc::TIOCSCTTY, 0) != 0 {
                    return Err(io::Error::last_os_error());
                }
                // An ignored signal stays ignored over exec (nohup, a careless parent).
                for signal in [
                    libc::SIGHUP,
                    libc::SIGINT,
                    libc::SIGQUIT,
                    libc::SIGTERM,
                    libc::SIGTSTP,
                    libc::SIGTTIN,
                    libc::SIGTTOU,
                    libc::SIGCHLD,
                ] {
                    libc::signal(signal, libc::SIG_DFL);
                }
                if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                    return Err(io::Error::last_os_error());
                }
                // Not retroactive: the parent may have died between fork and here.
                if nix::unistd::getppid() != parent {
                    return Err(io::Error::from_raw_os_error(libc::ESRCH));
                }
                Ok(())
            });
        }
        let child = command.spawn()?;
        i32::try_from(child.id()).map_err(io::Error::other)
    }

    /// Tells the runtime its terminal has another size.
    ///
    /// # Errors
    /// The pty is gone.
    pub fn resize(&self, size: TermSize) -> io::Result<()> {
        let size = libc::winsize {
            ws_row: size.rows,
            ws_col: size.cols,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        // SAFETY: the descriptor is open and TIOCSWINSZ reads one winsize, which `size` is.
        if unsafe { libc::ioctl(self.fd.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// Whether the slave is raw: neither ICANON nor ECHO. The master shows the slave's modes.
    pub fn is_raw(&self) -> bool {
        termios::tcgetattr(&self.fd).is_ok_and(|modes| {
            !modes
                .local_flags
                .intersects(LocalFlags::ICANON | LocalFlags::ECHO)
        })
    }

    /// Whether the runtime has printed something that nobody has read yet.
    pub fn has_output(&self) -> bool {
        use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
        let mut fds = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO).is_ok()
            && fds[0]
                .revents()
                .is_some_and(|r| r.contains(PollFlags::POLLIN))
    }

    /// Bytes sent to the runtime that it has not read; the kernel never says more than 4,095.
    ///
    /// # Errors
    /// The slave cannot be opened: nobody is left on the other side.
    pub fn unread(&self) -> io::Result<usize> {
        let slave = self.slave()?;
        let mut count: libc::c_int = 0;
        // SAFETY: `slave` is open and FIONREAD writes one int, which `count` is.
        if unsafe { libc::ioctl(slave.as_raw_fd(), libc::FIONREAD, &raw mut count) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(usize::try_from(count).unwrap_or(0))
    }

    /// The foreground process group of the inner terminal.
    pub fn foreground(&self) -> Option<i32> {
        nix::unistd::tcgetpgrp(self.fd.as_fd())
            .ok()
            .map(|p| p.as_raw())
    }
}

/// Finds an executable the way a shell does.
///
/// # Errors
/// `NotFound` with the PATH that was searched, or `PermissionDenied` with the file that is not executable.
pub fn find_program(name: &str, path: &str, dir: &Path) -> io::Result<PathBuf> {
    let executable = |file: &Path| {
        nix::unistd::access(file, nix::unistd::AccessFlags::X_OK).is_ok() && file.is_file()
    };
    let candidates: Vec<PathBuf> = if name.contains('/') {
        vec![dir.join(name)]
    } else {
        path.split(':')
            .map(|d| dir.join(if d.is_empty() { "." } else { d }).join(name))
            .collect()
    };
    if let Some(found) = candidates.iter().find(|file| executable(file)) {
        return Ok(found.clone());
    }
    match candidates.iter().find(|file| file.exists()) {
        Some(file) => Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("{} is not an executable file", file.display()),
        )),
        None if name.contains('/') => Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!("there is no {name}"),
        )),
        None => Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!("there is no {name} on PATH; searched {path}"),
        )),
    }
}
