//! A terminal held by the test: it types, it reads (or refuses to), it changes its size, it hangs up.

use std::fs::OpenOptions;
use std::num::NonZero;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{PtyMaster, Winsize, grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::termios::{Termios, tcgetattr};

use super::{AGENT, Sandbox, process};

nix::ioctl_write_ptr_bad!(set_size, libc::TIOCSWINSZ, Winsize);
nix::ioctl_write_int_bad!(take_terminal, libc::TIOCSCTTY);

/// What the terminal has been sent.
struct Seen {
    bytes: Vec<u8>,
    /// Shows `bytes[..shown]`; the rest is parsed when somebody looks.
    parser: vt100::Parser,
    shown: usize,
    /// Nobody holds the other side any more.
    over: bool,
}

struct Shared {
    seen: Mutex<Seen>,
    paused: AtomicBool,
    stop: AtomicBool,
}

/// A command in a terminal of its own, as the leader of a session.
pub struct Pane {
    child: Child,
    status: Option<i32>,
    /// The modes the terminal had before the command was started.
    found: Termios,
    /// None once it has hung up.
    master: Option<Arc<PtyMaster>>,
    reader: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
}

impl Pane {
    /// The size a pane starts with.
    pub const SIZE: (u16, u16) = (100, 30);

    /// `mosaic-agent run NAME -- COMMAND` in a terminal.
    #[track_caller]
    pub fn run(sandbox: &Sandbox, name: &str, command: &[&str]) -> Pane {
        let mut run = sandbox.command(AGENT);
        run.args(["run", name, "--"]).args(command);
        Pane::start(run, Pane::SIZE)
    }

    /// `mosaic-agent run sh -- /bin/sh -c SCRIPT` in a terminal: the agent's name is `sh`.
    #[track_caller]
    pub fn shell(sandbox: &Sandbox, script: &str) -> Pane {
        Pane::run(sandbox, "sh", &["/bin/sh", "-c", script])
    }

    /// Any command in a terminal of this many columns and rows.
    #[track_caller]
    pub fn start(mut command: Command, (cols, rows): (u16, u16)) -> Pane {
        // Close-on-exec from the first moment: other tests start programs at the same time.
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let master = posix_openpt(flags).expect("a pty");
        grantpt(&master).expect("grantpt");
        unlockpt(&master).expect("unlockpt");
        let slave: OwnedFd = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NOCTTY)
            .open(ptsname_r(&master).expect("a pty's name"))
            .expect("the other side of the pty")
            .into();
        let other = || Stdio::from(slave.try_clone().expect("a descriptor"));
        command.stdin(other()).stdout(other()).stderr(other());
        // SAFETY: between fork and exec the hook makes system calls only; it neither allocates nor locks.
        unsafe {
            command.pre_exec(|| {
                nix::unistd::setsid()?;
                take_terminal(0, 0)?;
                Ok(())
            });
        }
        resize(&master, cols, rows);
        let found = tcgetattr(&slave).expect("the terminal's modes");
        let child = match command.spawn() {
            Ok(child) => child,
            Err(e) => panic!("{command:?}: {e}"),
        };
        // It would hold our copies of the other side open.
        drop(command);
        drop(slave);
        let shared = Arc::new(Shared {
            seen: Mutex::new(Seen {
                bytes: Vec::new(),
                parser: vt100::Parser::new(cells(rows), cells(cols), 0),
                shown: 0,
                over: false,
            }),
            paused: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        });
        let master = Arc::new(master);
        let reader = std::thread::spawn({
            let (master, shared) = (Arc::clone(&master), Arc::clone(&shared));
            move || read_all(&master, &shared)
        });
        Pane {
            child,
            status: None,
            found,
            master: Some(master),
            reader: Some(reader),
            shared,
        }
    }

    /// The pid of the command: of the sidecar, for [`Pane::run`].
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    fn master(&self) -> &PtyMaster {
        self.master.as_deref().expect("a terminal that hung up")
    }

    /// Types bytes, all of them, however long the other side takes.
    #[track_caller]
    pub fn write(&self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match nix::unistd::write(self.master(), bytes) {
                Ok(n) => bytes = &bytes[n..],
                Err(Errno::EAGAIN) => {
                    let mut fds = [PollFd::new(self.master().as_fd(), PollFlags::POLLOUT)];
                    let ready = poll(&mut fds, PollTimeout::from(20_000u16));
                    assert_ne!(ready, Ok(0), "nobody reads what is typed");
                }
                Err(e) => panic!("typing: {e}"),
            }
        }
    }

    /// Changes the size.
    pub fn resize(&self, cols: u16, rows: u16) {
        resize(self.master(), cols, rows);
        let mut seen = self.seen();
        seen.parser.screen_mut().set_size(cells(rows), cells(cols));
    }

    /// Stops reading, as a stopped terminal does.
    pub fn pause(&self) {
        self.shared.paused.store(true, Ordering::SeqCst);
    }

    /// Reads again.
    pub fn resume(&self) {
        self.shared.paused.store(false, Ordering::SeqCst);
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.shared.seen.lock().expect("the reader did not panic")
    }

    /// Every byte so far.
    pub fn bytes(&self) -> Vec<u8> {
        self.seen().bytes.clone()
    }

    /// How many bytes so far.
    pub fn count(&self) -> usize {
        self.seen().bytes.len()
    }

    /// Every byte so far, as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen().bytes).into_owned()
    }

    /// The screen as a person sees it.
    pub fn screen(&self) -> String {
        let mut seen = self.seen();
        let Seen {
            bytes,
            parser,
            shown,
            ..
        } = &mut *seen;
        parser.process(&bytes[*shown..]);
        *shown = bytes.len();
        parser.screen().contents()
    }

    /// Waits until these bytes have come.
    #[track_caller]
    pub fn wait_text(&self, text: &str, within: Duration) {
        let what = format!("the terminal is sent {text:?}");
        super::until(within, &what, || self.text().contains(text));
    }

    /// Waits until the screen shows this.
    #[track_caller]
    pub fn wait_screen(&self, text: &str, within: Duration) {
        let what = format!("the screen shows {text:?}");
        super::until(within, &what, || self.screen().contains(text));
    }

    /// The terminal's modes, as the other side has set them.
    pub fn modes(&self) -> Termios {
        // Linux shows the slave's modes on the master, also after the slave's end.
        tcgetattr(self.master()).expect("the terminal's modes")
    }

    /// Whether the terminal is as the command found it.
    pub fn is_as_found(&self) -> bool {
        self.modes() == self.found
    }

    /// Hangs up: the terminal is gone.
    pub fn hang_up(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        self.master = None;
    }

    /// Waits for the command's end, and for all it has sent. Its exit code, or minus a signal.
    #[track_caller]
    pub fn wait_exit(&mut self, within: Duration) -> i32 {
        if self.status.is_none() {
            let child = &mut self.child;
            let status = super::get(within, "the end of the command in the pane", || {
                child.try_wait().expect("our child")
            });
            self.status = Some(process::code(status));
            if self.reader.is_some() {
                super::until(super::SOON, "the end of its output", || self.seen().over);
            }
        }
        self.status.expect("just set")
    }
}

impl Drop for Pane {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the pane's screen\n{}", self.screen());
        }
        if self.status.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        self.hang_up();
    }
}

fn resize(master: &PtyMaster, cols: u16, rows: u16) {
    let size = Winsize {
        ws_row: rows,
        ws_col: cols,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the descriptor is open and the kernel only reads the structure.
    unsafe { set_size(master.as_raw_fd(), &size) }.expect("another size");
}

/// A size as the model of the screen takes it.
fn cells(n: u16) -> NonZero<u16> {
    NonZero::new(n.clamp(2, 1000)).expect("at least 2")
}

fn read_all(master: &PtyMaster, shared: &Shared) {
    let mut buffer = [0; 64 * 1024];
    while !shared.stop.load(Ordering::SeqCst) {
        if shared.paused.load(Ordering::SeqCst) {
            std::thread::sleep(super::LOOK);
            continue;
        }
        let mut fds = [PollFd::new(master.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut fds, PollTimeout::from(5u8));
        match nix::unistd::read(master, &mut buffer) {
            Ok(n @ 1..) => {
                let mut seen = shared.seen.lock().expect("nobody panicked");
                seen.bytes.extend_from_slice(&buffer[..n]);
            }
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Ok(0) | Err(_) => {
                shared.seen.lock().expect("nobody panicked").over = true;
                return;
            }
        }
    }
}
