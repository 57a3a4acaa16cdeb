//! Processes: started with a deadline, looked at in /proc, ended by their pid.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::libc;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

/// What a program left behind.
#[derive(Debug, Clone)]
pub struct Output {
    /// Its exit code; the negative number of the signal that ended it.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Output {
    /// Its standard output as JSON.
    ///
    /// # Panics
    /// It is none.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        match serde_json::from_str(&self.stdout) {
            Ok(value) => value,
            Err(e) => panic!("no JSON ({e}): {self:?}"),
        }
    }
}

/// A program that runs in the background. Killed when dropped.
pub struct Running {
    child: Child,
    shown: String,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Running {
    /// Starts a command whose output goes to files in `dir`: a pipe that a daemon inherits would never end.
    #[track_caller]
    pub fn start(mut command: Command, dir: &Path, input: &[u8]) -> Running {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let (stdout, stderr) = (dir.join(format!("{n}.out")), dir.join(format!("{n}.err")));
        let shown = format!("{command:?}");
        let file = |path: &Path| File::create(path).expect("a file in the sandbox");
        command
            .stdin(Stdio::piped())
            .stdout(file(&stdout))
            .stderr(file(&stderr));
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(e) => panic!("{shown}: {e}"),
        };
        let mut pipe = child.stdin.take().expect("a pipe");
        let input = input.to_vec();
        // On a thread of its own: the program may not read it at all.
        std::thread::spawn(move || pipe.write_all(&input));
        Running {
            child,
            shown,
            stdout,
            stderr,
        }
    }

    /// Its pid.
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// What it has printed so far.
    pub fn printed(&self) -> String {
        let bytes = fs::read(&self.stdout).unwrap_or_default();
        let whole = bytes
            .iter()
            .rposition(|b| *b == b'\n')
            .map_or(0, |at| at + 1);
        String::from_utf8_lossy(&bytes[..whole]).into_owned()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// It did not end in time.
    #[track_caller]
    pub fn wait(mut self, within: Duration) -> Output {
        let what = format!("the end of {}", self.shown);
        let status = super::get(within, &what, || self.child.try_wait().expect("our child"));
        let text = |path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
        Output {
            code: code(status),
            stdout: text(&self.stdout),
            stderr: text(&self.stderr),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An exit code, or the negative number of a signal.
pub fn code(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => code,
        (None, signal) => -signal.unwrap_or(0),
    }
}

/// The state letter of a process: `S`, `T`, `Z` …
pub fn process_state(pid: i32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Whether a process is there and no zombie.
pub fn pid_is_alive(pid: i32) -> bool {
    process_state(pid).is_some_and(|state| !"ZX".contains(state))
}

/// `rchar` or `wchar`: the bytes a process has read or written.
pub fn io_count(pid: i32, what: &str) -> u64 {
    let io = fs::read_to_string(format!("/proc/{pid}/io")).expect("its counters");
    let mut lines = io.lines().filter_map(|line| line.split_once(": "));
    let found = lines.find(|(key, _)| *key == what).expect("that counter");
    found.1.parse().expect("a number")
}

/// Sends a signal to one process; one that is gone is fine.
pub fn kill(pid: i32, signal: i32) {
    assert!(pid > 1, "a signal to pid {pid}");
    let signal = Signal::try_from(signal).expect("a signal");
    let _ = nix::sys::signal::kill(Pid::from_raw(pid), signal);
}

/// Every living process whose environment has this entry, with its command line.
pub fn with_variable(entry: &str) -> Vec<(i32, String)> {
    let Ok(all) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let me = std::process::id() as i32;
    all.flatten()
        .filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| *pid != me && pid_is_alive(*pid))
        .filter(|pid| {
            let vars = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            vars.split(|b| *b == 0).any(|var| var == entry.as_bytes())
        })
        .map(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let words: Vec<_> = line
                .split(|b| *b == 0)
                .map(String::from_utf8_lossy)
                .collect();
            (pid, words.join(" "))
        })
        .collect()
}

/// Ends every process with this variable for good.
pub fn end_all_with(entry: &str) {
    // A process may start another one while we look.
    for _ in 0..100 {
        let left = with_variable(entry);
        if left.is_empty() {
            return;
        }
        for (pid, _) in left {
            kill(pid, libc::SIGKILL);
        }
        std::thread::sleep(super::LOOK);
    }
}
