//! A home, a run directory, a tmux server and an environment of a test's own.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::process::{self, Output, Running};
use super::{AGENT, LATER, SOON};

/// The variable by which everything that was started in a sandbox is known.
const MARK: &str = "MOSAIC_TEST_SANDBOX";

/// A heartbeat file's keys.
pub type Heartbeat = BTreeMap<String, String>;

/// Everything a test starts lives in here, and nothing survives it.
pub struct Sandbox {
    dir: PathBuf,
    env: BTreeMap<String, String>,
}

impl Default for Sandbox {
    fn default() -> Sandbox {
        Sandbox::new()
    }
}

impl Sandbox {
    /// A new one. Its path is short: a Unix socket's has 107 bytes.
    pub fn new() -> Sandbox {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let (dir, name) = loop {
            let n = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = format!("m-{}-{n}", std::process::id());
            let dir = Path::new("/tmp").join(&name);
            // One that is there already was left by an earlier process of our pid.
            if DirBuilder::new().mode(0o700).create(&dir).is_ok() {
                break (dir, name);
            }
        };
        for sub in ["home", "run", "tmux", "out"] {
            let made = DirBuilder::new().mode(0o700).create(dir.join(sub));
            made.expect("a directory in the sandbox");
        }
        let mut sandbox = Sandbox {
            dir,
            env: BTreeMap::new(),
        };
        let path = |sub: &str| sandbox.path(sub).display().to_string();
        let (home, run, tmux) = (path("home"), path("run"), path("tmux"));
        let sandbox_dir = sandbox.dir.display().to_string();
        sandbox
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", home)
            .env("XDG_RUNTIME_DIR", run)
            .env("TMUX_TMPDIR", tmux)
            .env("MOSAIC_TMUX_SOCKET", name)
            .env("LANG", "C.UTF-8")
            .env("TERM", "xterm-256color")
            .env(MARK, sandbox_dir);
        sandbox
    }

    /// Sets a variable for everything started from now on.
    pub fn env(&mut self, key: &str, value: impl Into<String>) -> &mut Sandbox {
        self.env.insert(key.into(), value.into());
        self
    }

    /// Unsets a variable.
    pub fn unset(&mut self, key: &str) -> &mut Sandbox {
        self.env.remove(key);
        self
    }

    /// All variables.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.env.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }

    /// The value of a variable.
    pub fn var(&self, key: &str) -> &str {
        self.env.get(key).map_or("", String::as_str)
    }

    /// A path inside.
    pub fn path(&self, inside: &str) -> PathBuf {
        self.dir.join(inside)
    }

    /// The home directory.
    pub fn home(&self) -> PathBuf {
        self.path("home")
    }

    /// Where heartbeats are.
    pub fn run_dir(&self) -> PathBuf {
        match self.var("MOSAIC_HEARTBEAT_RUN_DIR") {
            "" => self.path("home/.config/mosaic/fleet/run"),
            dir => dir.into(),
        }
    }

    /// Where sockets are, while `XDG_RUNTIME_DIR` is usable.
    pub fn socket(&self, agent: &str) -> PathBuf {
        Path::new(self.var("XDG_RUNTIME_DIR")).join(format!("mosaic/{agent}.sock"))
    }

    /// Writes an executable script and returns its path.
    pub fn script(&self, inside: &str, text: &str) -> PathBuf {
        let path = self.path(inside);
        let dir = path.parent().expect("a path inside");
        fs::create_dir_all(dir).expect("a directory in the sandbox");
        written_by_another("cat >\"$0\" && chmod 755 \"$0\"", &path, text.as_bytes());
        path
    }

    /// Copies a program and returns the path of the copy.
    pub fn copy(&self, program: &str, inside: &str) -> PathBuf {
        let path = self.path(inside);
        let copy = format!("cp -- '{program}' \"$0\"");
        written_by_another(&copy, &path, b"");
        path
    }

    /// A command with this sandbox's environment and no other, in its home.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(&self.env).current_dir(self.home());
        command
    }

    /// Starts `mosaic-agent` in the background.
    #[track_caller]
    pub fn start(&self, args: &[&str]) -> Running {
        self.start_with(args, b"")
    }

    /// Starts `mosaic-agent` in the background with something on its standard input.
    #[track_caller]
    pub fn start_with(&self, args: &[&str], input: &[u8]) -> Running {
        let mut command = self.command(AGENT);
        command.args(args);
        Running::start(command, &self.path("out"), input)
    }

    /// Runs `mosaic-agent` to its end.
    #[track_caller]
    pub fn agent(&self, args: &[&str]) -> Output {
        self.start(args).wait(LATER)
    }

    /// Runs `mosaic-agent` and reads its JSON.
    #[track_caller]
    pub fn agent_json(&self, args: &[&str]) -> (i32, serde_json::Value) {
        let output = self.agent(args);
        (output.code, output.json())
    }

    /// `status --json`.
    #[track_caller]
    pub fn status(&self, agent: &str) -> serde_json::Value {
        self.agent_json(&["status", "--json", agent]).1
    }

    /// Waits for a state, asked from the sidecar.
    #[track_caller]
    pub fn wait_state(&self, agent: &str, state: &str) {
        let mut last = String::new();
        let wanted = |output: &Output| {
            serde_json::from_str::<serde_json::Value>(&output.stdout)
                .is_ok_and(|status| status["state"] == state)
        };
        let deadline = std::time::Instant::now() + SOON;
        while std::time::Instant::now() < deadline {
            let output = self.agent(&["status", "--json", agent]);
            if wanted(&output) {
                return;
            }
            last = format!("{}{}", output.stdout, output.stderr);
        }
        panic!("{agent} is not {state} within {SOON:?}: {last}");
    }

    /// Runs a tmux command against this sandbox's server.
    #[track_caller]
    pub fn tmux(&self, args: &[&str]) -> Output {
        let mut command = self.command("tmux");
        match self.var("MOSAIC_TMUX_SOCKET") {
            "" => {}
            name => _ = command.args(["-L", name]),
        }
        command.args(args);
        Running::start(command, &self.path("out"), b"").wait(SOON)
    }

    /// The heartbeat's path.
    pub fn heartbeat_path(&self, agent: &str) -> PathBuf {
        self.run_dir().join(format!("{agent}.hb"))
    }

    /// The heartbeat, if there is one.
    pub fn find_heartbeat(&self, agent: &str) -> Option<Heartbeat> {
        let text = fs::read_to_string(self.heartbeat_path(agent)).ok()?;
        let pair = |line: &str| {
            let (key, value) = line.split_once('=')?;
            Some((key.to_owned(), value.to_owned()))
        };
        Some(text.lines().filter_map(pair).collect())
    }

    /// The heartbeat.
    #[track_caller]
    pub fn heartbeat(&self, agent: &str) -> Heartbeat {
        super::get(SOON, &format!("a heartbeat of {agent}"), || {
            self.find_heartbeat(agent)
        })
    }

    /// Every living process that was started in here, by its environment.
    pub fn processes(&self) -> Vec<(i32, String)> {
        process::with_variable(&self.mark())
    }

    /// Waits until nothing that was started in here runs any more.
    #[track_caller]
    pub fn wait_empty(&self, within: Duration) -> Duration {
        let since = std::time::Instant::now();
        let mut left = Vec::new();
        while since.elapsed() < within {
            left = self.processes();
            if left.is_empty() {
                return since.elapsed();
            }
            std::thread::sleep(super::LOOK);
        }
        panic!("still there after {within:?}: {left:?}");
    }

    /// What is in the environment of everything in here and of nothing else.
    fn mark(&self) -> String {
        format!("{MARK}={}", self.dir.display())
    }

    /// What helps to understand a failure.
    fn report(&self) {
        eprintln!("--- sandbox {}", self.dir.display());
        for (pid, line) in self.processes() {
            eprintln!("process {pid}: {line}");
        }
        let files = fs::read_dir(self.run_dir()).into_iter().flatten().flatten();
        for path in files.map(|entry| entry.path()) {
            let kind = path.extension().unwrap_or_default();
            // A test may have put a pipe or a device in the place of one.
            let is_small = |m: fs::Metadata| m.is_file() && m.len() < 256 * 1024;
            let is_text = fs::symlink_metadata(&path).is_ok_and(is_small);
            if is_text && (kind == "hb" || kind == "log") {
                let text = fs::read_to_string(&path).unwrap_or_default();
                eprintln!("--- {}\n{text}", path.display());
            }
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.report();
        }
        process::end_all_with(&self.mark());
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Has a shell write a file that is to be executed. Were it written by this process, a test beside this one that
/// forks in that moment would hold our descriptor, and the file were busy (`ETXTBSY`).
fn written_by_another(script: &str, path: &Path, input: &[u8]) {
    let mut shell = Command::new("sh")
        .args(["-c", script])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .expect("sh runs");
    let mut stdin = shell.stdin.take().expect("a pipe");
    stdin.write_all(input).expect("it reads");
    drop(stdin);
    assert!(shell.wait().expect("sh ends").success());
}
