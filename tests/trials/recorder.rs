//! A pty of the trials' own, between the sidecar and the runtime: passes every byte on and writes it down, as
//! asciicast 3 with what was printed ("o"), typed ("i") and resized ("r").
//!
//! The trial program starts itself again as the recorder ([`run_if_asked`]). It disturbs the sidecar's look as
//! little as it can: the terminal shows the runtime's own modes (raw or not), input is taken only when the
//! runtime has read all that came before, so that unread bytes stay where the sidecar counts them, and the
//! runtime stays among its descendants, where it is looked for. What differs: one chunk of input (4 KiB at most) counts as read
//! although a stopped runtime has not read it, `status.pid` is the recorder's, and every byte comes one process later.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mosaic_agent::pure::cast;
use mosaic_agent::units::TermSize;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{PtyMaster, Winsize, grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::signal::Signal;
use nix::sys::termios::{LocalFlags, SetArg, cfmakeraw, tcgetattr, tcsetattr};

nix::ioctl_read_bad!(get_size, libc::TIOCGWINSZ, Winsize);
nix::ioctl_write_ptr_bad!(set_size, libc::TIOCSWINSZ, Winsize);
nix::ioctl_write_int_bad!(take_terminal, libc::TIOCSCTTY);
nix::ioctl_read_bad!(unread, libc::FIONREAD, libc::c_int);

/// Where to record to. Set, it makes a program of the trials the recorder.
const FILE: &str = "MOSAIC_TRIALS_RECORD";
/// The one program to run.
const COMMAND: &str = "MOSAIC_TRIALS_COMMAND";
/// The runtime's name, for the recording's header.
const RUNTIME: &str = "MOSAIC_TRIALS_RUNTIME";

/// The test of this name is what `cargo test`'s own programs run to be the recorder.
pub const TEST: &str = "the_recorder_keeps_what_went_both_ways";

/// How often modes and size are compared, and the child looked at.
const LOOK: u8 = 10;

/// A shell script that becomes the recorder, which runs `command`.
pub fn script(command: &str, runtime: &str, file: &Path) -> String {
    let me = std::env::current_exe().expect("the path of this program");
    format!(
        "#!/bin/sh\n# stdout is not the terminal: the test program would greet it.\n\
         {FILE}='{}' {COMMAND}='{command}' {RUNTIME}='{runtime}' exec '{}' --exact {TEST} --nocapture >/dev/null\n",
        file.display(),
        me.display()
    )
}

/// Ends this process after having been the recorder, if that is what it was started for.
pub fn run_if_asked() {
    let Some(file) = std::env::var_os(FILE) else {
        return;
    };
    let command = std::env::var_os(COMMAND).expect("something to record");
    std::process::exit(record(Path::new(&file), &command));
}

/// Runs a program in a terminal of its own until its end. Its exit code.
fn record(file: &Path, command: &OsString) -> i32 {
    let stdin = std::io::stdin();
    let outer = stdin.as_fd();
    let size = size_of(outer);
    let mut tape = Tape::new(file, &size);
    let (master, slave) = open_pty();
    give_size(&master, &size);
    let modes = tcgetattr(outer).expect("the terminal's modes");
    tcsetattr(&slave, SetArg::TCSANOW, &modes).expect("the same modes inside");
    let mut raw = modes;
    cfmakeraw(&mut raw);
    let mut relay = Relay {
        child: start(command, &slave),
        outer: File::from(outer.try_clone_to_owned().expect("a descriptor")),
        inner: File::from(master.as_fd().try_clone_to_owned().expect("a descriptor")),
        slave,
        size,
        shown: raw.local_flags,
        raw,
    };
    let mut over: Option<(i32, Instant)> = None;
    loop {
        relay.mirror(&mut tape);
        let moved = relay.pass(&mut tape);
        if over.is_none() {
            let status = relay.child.try_wait().expect("our child");
            over = status.map(|s| (crate::support::code(s), Instant::now()));
        }
        // What it printed last is still on its way.
        if let Some((code, at)) = over
            && (!moved || at.elapsed() > Duration::from_secs(1))
        {
            return code;
        }
    }
}

struct Relay {
    child: Child,
    outer: File,
    inner: File,
    slave: OwnedFd,
    size: Winsize,
    /// What the outer terminal was last set to.
    raw: nix::sys::termios::Termios,
    shown: LocalFlags,
}

impl Relay {
    /// The outer terminal looks as raw or cooked as the inner one; the inner one is as large as the outer one.
    fn mirror(&mut self, tape: &mut Tape) {
        let look = LocalFlags::ICANON | LocalFlags::ECHO;
        if let Ok(modes) = tcgetattr(&self.slave) {
            let wanted = (self.raw.local_flags & !look) | (modes.local_flags & look);
            if wanted != self.shown {
                self.shown = wanted;
                let mut shown = self.raw.clone();
                shown.local_flags = wanted;
                let _ = tcsetattr(&self.outer, SetArg::TCSANOW, &shown);
            }
        }
        let size = size_of(self.outer.as_fd());
        if (size.ws_col, size.ws_row) != (self.size.ws_col, self.size.ws_row) {
            give_size(&self.inner, &size);
            tape.write("r", format!("{}x{}", size.ws_col, size.ws_row).as_bytes());
            self.size = size;
        }
    }

    /// Waits a little and passes on what came; whether anything did.
    fn pass(&mut self, tape: &mut Tape) -> bool {
        let mut left = 0;
        // SAFETY: the descriptor is open and the kernel writes one int.
        let _ = unsafe { unread(self.slave.as_raw_fd(), &raw mut left) };
        let ready = {
            let wants_input = if left == 0 {
                PollFlags::POLLIN
            } else {
                PollFlags::empty()
            };
            let mut fds = [
                PollFd::new(self.inner.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.outer.as_fd(), wants_input),
            ];
            let _ = poll(&mut fds, PollTimeout::from(LOOK));
            fds.map(|fd| fd.revents().is_some_and(|r| r.contains(PollFlags::POLLIN)))
        };
        let mut buffer = [0; 4096];
        if ready[0]
            && let Ok(n @ 1..) = self.inner.read(&mut buffer)
        {
            let _ = self.outer.write_all(&buffer[..n]);
            tape.write("o", &buffer[..n]);
        }
        if ready[1]
            && let Ok(n @ 1..) = self.outer.read(&mut buffer)
        {
            tape.write("i", &buffer[..n]);
            let _ = self.inner.write_all(&buffer[..n]);
        }
        ready[0] || ready[1]
    }
}

fn start(command: &OsString, slave: &OwnedFd) -> Child {
    let other = || Stdio::from(slave.try_clone().expect("a descriptor"));
    let mut child = Command::new(command);
    child.stdin(other()).stdout(other()).stderr(other());
    child.env_remove(FILE).env_remove(COMMAND);
    // SAFETY: between fork and exec the hook makes system calls only; it neither allocates nor locks.
    unsafe {
        child.pre_exec(|| {
            nix::unistd::setsid()?;
            take_terminal(0, 0)?;
            nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
            Ok(())
        });
    }
    child.spawn().expect("the program to record starts")
}

fn open_pty() -> (PtyMaster, OwnedFd) {
    let flags =
        nix::fcntl::OFlag::O_RDWR | nix::fcntl::OFlag::O_NOCTTY | nix::fcntl::OFlag::O_CLOEXEC;
    let master = posix_openpt(flags).expect("a pty");
    grantpt(&master).expect("grantpt");
    unlockpt(&master).expect("unlockpt");
    let slave = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOCTTY)
        .open(ptsname_r(&master).expect("a pty's name"))
        .expect("the other side of the pty");
    (master, slave.into())
}

fn size_of(terminal: BorrowedFd<'_>) -> Winsize {
    let mut size = Winsize {
        ws_row: 0,
        ws_col: 0,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the descriptor is open and the kernel writes one structure.
    let _ = unsafe { get_size(terminal.as_raw_fd(), &raw mut size) };
    size
}

fn give_size(terminal: &impl AsRawFd, size: &Winsize) {
    // SAFETY: the descriptor is open and the kernel reads one structure.
    let _ = unsafe { set_size(terminal.as_raw_fd(), size) };
}

/// The recording.
struct Tape {
    file: File,
    tape: cast::Tape,
}

impl Tape {
    fn new(path: &Path, size: &Winsize) -> Tape {
        let size = TermSize::clamped(size.ws_col, size.ws_row);
        let runtime = std::env::var(RUNTIME).unwrap_or_default();
        let mut file = File::create(path).expect("the recording can be made");
        file.write_all(cast::header_line(size, &runtime, 0).as_bytes())
            .expect("the recording can be written");
        Tape {
            file,
            tape: cast::Tape::new(Instant::now()),
        }
    }

    fn write(&mut self, code: &str, bytes: &[u8]) {
        let mut lines = Vec::new();
        self.tape.add(&mut lines, Instant::now(), code, bytes);
        // One write: whoever reads meanwhile sees whole lines.
        let _ = self.file.write_all(&lines);
    }
}

/// A recording that is being made, as the trials read it.
#[derive(Clone, Debug)]
pub struct Recording(pub PathBuf);

impl Recording {
    /// Everything that was given to the runtime so far.
    pub fn typed(&self) -> String {
        let all = std::fs::read_to_string(&self.0).unwrap_or_default();
        let mut typed = String::new();
        for line in all.lines().skip(1) {
            if let Ok((_, code, data)) = serde_json::from_str::<(f64, String, String)>(line)
                && code == "i"
            {
                typed.push_str(&data);
            }
        }
        typed
    }
}
