//! Who is measured, and how each of them is started.

use std::cell::Cell;
use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::SigSet;

use crate::procfs;
use crate::terminal::{COLUMNS, ROWS, Terminal};

/// One way for a program to be in a terminal, in the order of the table's columns.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Candidate {
    /// No wrapper.
    Direct,
    /// The bare hop, `c-raw.c`.
    CRaw,
    /// `script` of util-linux, which everybody has.
    Script,
    /// What this is all about.
    Agent,
}

impl Candidate {
    pub const ALL: [Candidate; 4] = [
        Candidate::Direct,
        Candidate::CRaw,
        Candidate::Script,
        Candidate::Agent,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Candidate::Direct => "direct",
            Candidate::CRaw => "c-raw",
            Candidate::Script => "script",
            Candidate::Agent => "mosaic-agent",
        }
    }
}

/// Set when the run is being taken down: nothing is started from then on.
pub static ENDING: AtomicBool = AtomicBool::new(false);

/// A tmux server that stays without a session.
pub struct Server {
    home: PathBuf,
    socket: String,
}

/// Programs and directories of this run.
pub struct Workshop {
    /// All that this run writes; removed at the end.
    root: PathBuf,
    sessions: Cell<usize>,
    /// This benchmark, which is the inner program too.
    me: PathBuf,
    pub c_raw: PathBuf,
    script: Option<PathBuf>,
    pub agent: Option<PathBuf>,
    tmux: Option<PathBuf>,
}

impl Workshop {
    /// Finds the programs and compiles c-raw.
    pub fn open(root: PathBuf, agent: Option<PathBuf>) -> io::Result<Workshop> {
        let me = std::env::current_exe()?;
        private_directory(&root)?;
        let c_raw = compile_c_raw(&me)?;
        Ok(Workshop {
            root,
            sessions: Cell::new(0),
            me,
            c_raw,
            script: on_path("script"),
            agent,
            tmux: on_path("tmux"),
        })
    }

    /// Those that can be measured here.
    pub fn candidates(&self) -> Vec<Candidate> {
        let here = |c: &Candidate| match c {
            Candidate::Direct | Candidate::CRaw => true,
            Candidate::Script => self.script.is_some(),
            Candidate::Agent => self.agent.is_some(),
        };
        Candidate::ALL.into_iter().filter(here).collect()
    }

    pub fn has_tmux(&self) -> bool {
        self.tmux.is_some()
    }

    /// The name of a tmux socket nobody else uses.
    fn tmux_socket(&self) -> String {
        format!("beside-{}-{}", std::process::id(), self.sessions.get())
    }

    /// Starts a candidate with an inner program (mode and size).
    pub fn start(&self, candidate: Candidate, inner: &[&str]) -> io::Result<Terminal> {
        let home = self.session()?;
        Terminal::start(
            candidate.name(),
            self.command(&home, self.argv(candidate, inner)),
        )
    }

    /// The same in the only pane of a tmux server of its own; the terminal is that of the attached client.
    pub fn start_in_pane(&self, candidate: Candidate, inner: &[&str]) -> io::Result<Terminal> {
        let home = self.session()?;
        let tmux = self.tmux.clone().unwrap_or_default();
        let socket = self.tmux_socket();
        let (rows, columns) = (ROWS.to_string(), COLUMNS.to_string());
        let options = [
            "-u",
            "-L",
            &socket,
            "-f",
            "/dev/null",
            "start-server",
            ";",
            "set",
            "-g",
            "status",
            "off",
            ";",
            "new-session",
            "-x",
            &columns,
            "-y",
            &rows,
        ];
        let mut argv = vec![tmux.into_os_string()];
        argv.extend(options.map(OsString::from));
        argv.extend(self.argv(candidate, inner));
        let mut command = self.command(&home, argv);
        command
            .env("TERM", "xterm-256color")
            .env("TMUX_TMPDIR", &home);
        Terminal::start(&format!("{} in tmux", candidate.name()), command)
    }

    /// Starts a tmux server for detached sessions.
    pub fn tmux_server(&self) -> io::Result<Server> {
        let home = self.session()?;
        let socket = self.tmux_socket();
        let server = Server { home, socket };
        let words = "-f /dev/null start-server ; set -s exit-empty off";
        let words: Vec<&str> = words.split(' ').collect();
        complete(self.tmux(&server, &words))?;
        Ok(server)
    }

    /// A tmux command for this server.
    pub fn tmux(&self, server: &Server, words: &[&str]) -> Command {
        let tmux = self.tmux.clone().unwrap_or_default();
        let mut argv = vec![tmux.into_os_string(), "-L".into(), (&server.socket).into()];
        argv.extend(words.iter().map(OsString::from));
        let mut command = self.command(&server.home, argv);
        command.env("TMUX_TMPDIR", &server.home);
        command
    }

    /// The command that makes a session with an inner program: tmux's own, or `mosaic-agent launch`.
    pub fn session_maker(
        &self,
        candidate: Candidate,
        server: &Server,
        name: &str,
        inner: &[&str],
    ) -> Command {
        let program = self.argv(Candidate::Direct, inner);
        if candidate != Candidate::Agent {
            let (rows, columns) = (ROWS.to_string(), COLUMNS.to_string());
            let words = ["new-session", "-d", "-s", name, "-x", &columns, "-y", &rows];
            let mut command = self.tmux(server, &words);
            command.arg("--").args(program);
            return command;
        }
        let agent = self.agent.clone().unwrap_or_default();
        let argv = vec![agent.into(), "launch".into(), name.into()];
        let mut command = self.command(&server.home, argv);
        command
            .env("TMUX_TMPDIR", &server.home)
            .env("MOSAIC_TMUX_BIN", self.tmux.clone().unwrap_or_default())
            .env("MOSAIC_TMUX_SOCKET", &server.socket)
            .env("MOSAIC_AGENT_COMMAND", shell_line(&program));
        command
    }

    /// The ack socket of the agent started last.
    pub fn ack_socket(&self) -> PathBuf {
        let home = self.root.join(self.sessions.get().to_string());
        home.join("runtime/mosaic/bench.sock")
    }

    /// A viewer of the agent started last, in a terminal of its own.
    pub fn start_viewer(&self) -> io::Result<Terminal> {
        unless_ending()?;
        let fleet = self.agent.clone().unwrap_or_default();
        let fleet = fleet.with_file_name("mosaic-fleet");
        let home = self.root.join(self.sessions.get().to_string());
        let argv = vec![fleet.into(), "watch".into(), "bench".into()];
        Terminal::start("watch", self.command(&home, argv))
    }

    /// A path for a file of this run.
    pub fn file(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The wrapper's processes: all but the inner program.
    pub fn wrapper(&self, terminal: &Terminal) -> Vec<i32> {
        procfs::tree(terminal.pid(), Some(&self.me))
    }

    /// Removes what the run wrote.
    pub fn close(&self) {
        let _ = fs::remove_dir_all(&self.root);
    }

    fn argv(&self, candidate: Candidate, inner: &[&str]) -> Vec<OsString> {
        let mut program = vec![self.me.clone().into_os_string(), "--inner".into()];
        program.extend(inner.iter().map(OsString::from));
        let wrapper: Vec<OsString> = match candidate {
            Candidate::Direct => vec![],
            Candidate::CRaw => vec![self.c_raw.clone().into()],
            Candidate::Script => return self.script_argv(&program),
            Candidate::Agent => {
                let agent = self.agent.clone().unwrap_or_default();
                vec![agent.into(), "run".into(), "bench".into(), "--".into()]
            }
        };
        wrapper.into_iter().chain(program).collect()
    }

    /// script takes a shell's line; the shell gives way to the program.
    fn script_argv(&self, program: &[OsString]) -> Vec<OsString> {
        let line = format!("exec {}", shell_line(program));
        let script = self.script.clone().unwrap_or_default();
        vec![
            script.into(),
            "-qfc".into(),
            line.into(),
            "/dev/null".into(),
        ]
    }

    /// The whole environment is private to this start: nothing a user or an earlier run left counts, nor
    /// which signals we block.
    fn command(&self, home: &Path, argv: Vec<OsString>) -> Command {
        let mut words = argv.into_iter();
        let mut command = Command::new(words.next().unwrap_or_default());
        command
            .args(words)
            .current_dir(home)
            .env_clear()
            .env("HOME", home)
            .env("XDG_RUNTIME_DIR", home.join("runtime"))
            .env("MOSAIC_HEARTBEAT_RUN_DIR", home.join("run"));
        // SAFETY: between fork and exec the hook makes a system call only; it neither allocates nor locks.
        unsafe { command.pre_exec(|| Ok(SigSet::empty().thread_set_mask()?)) };
        command
    }

    fn session(&self) -> io::Result<PathBuf> {
        unless_ending()?;
        let number = self.sessions.get() + 1;
        self.sessions.set(number);
        let home = self.root.join(number.to_string());
        private_directory(&home)?;
        private_directory(&home.join("runtime"))?;
        private_directory(&home.join("run"))?;
        Ok(home)
    }
}

fn unless_ending() -> io::Result<()> {
    match ENDING.load(Ordering::SeqCst) {
        true => Err(io::Error::other("not started, the run is being ended")),
        false => Ok(()),
    }
}

/// Runs a command to its end; an error with what it printed if it fails.
pub fn complete(mut command: Command) -> io::Result<()> {
    unless_ending()?;
    let output = command.stdin(Stdio::null()).output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(io::Error::other(format!(
            "{command:?}: {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        ))),
    }
}

/// The words as a shell would take them apart again.
fn shell_line(words: &[OsString]) -> String {
    let quoted = |word: &OsString| {
        let word = word.to_string_lossy().replace('\'', r"'\''");
        format!("'{word}'")
    };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

fn private_directory(path: &Path) -> io::Result<()> {
    let made = DirBuilder::new().mode(0o700).create(path);
    made.map_err(|e| io::Error::new(e.kind(), format!("cannot make {}: {e}", path.display())))
}

/// Like a shell's `command -v`.
pub fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|d| d.join(name))
        .find(|file| file.is_file())
}

/// `cc -O2` into `target/beside/`.
fn compile_c_raw(me: &Path) -> io::Result<PathBuf> {
    let target = me.ancestors().nth(3).unwrap_or(Path::new("/tmp"));
    let directory = target.join("beside");
    fs::create_dir_all(&directory)?;
    let program = directory.join("c-raw");
    let mut cc = Command::new("cc")
        .args(["-O2", "-Wall", "-s", "-x", "c", "-o"])
        .arg(&program)
        .arg("-")
        .stdin(Stdio::piped())
        .spawn()
        .map_err(|e| io::Error::other(format!("c-raw needs a C compiler named cc: {e}")))?;
    if let Some(mut stdin) = cc.stdin.take() {
        stdin.write_all(include_bytes!("c-raw.c"))?;
    }
    match cc.wait()?.success() {
        true => Ok(program),
        false => Err(io::Error::other("cc could not compile c-raw.c")),
    }
}
