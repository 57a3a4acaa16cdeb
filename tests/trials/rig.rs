//! One real runtime under the sidecar, in a tmux server, a home and directories of its own.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use super::recorder::{self, Recording};
use super::stub::Stub;
use crate::support::{Output, Sandbox};

/// The agent's name.
const AGENT: &str = "trial";

/// Who sends. As long as names are in a fleet: all its messages begin alike for more than a line's head.
const SENDER: &str = "build-host-01.example:planner7";

/// Longer than any send may take: its timeout and the procedure after it.
const RECEIPT: Duration = Duration::from_secs(100);

/// Waits until `done` says so; false if it did not within the time.
pub fn wait_until(within: Duration, mut done: impl FnMut() -> bool) -> bool {
    /// How often it is looked at.
    const LOOK: Duration = Duration::from_millis(25);
    let deadline = Instant::now() + within;
    loop {
        if done() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(LOOK);
    }
}

/// The time in Unix milliseconds.
pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |t| u64::try_from(t.as_millis()).unwrap_or(u64::MAX))
}

/// A text without blanks and line ends, which runtimes change at will, and with the one decomposed
/// letter of the trials' texts composed, as claude does.
pub fn squeezed(text: &str) -> String {
    let visible: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    visible.replace("e\u{301}", "é")
}

/// What `send --json` said.
#[derive(Clone, Debug, Default)]
pub struct Receipt {
    /// The verdict's word.
    pub verdict: String,
    /// Whether anything was typed, as it says.
    pub typed: bool,
    /// Its fate does not show yet: asked again, it may say more.
    pub open: bool,
    /// After the request, in ms.
    pub enter_ms: Option<u64>,
    /// After the request, in ms.
    pub verdict_ms: Option<u64>,
    /// When the sidecar got the request, in Unix milliseconds.
    pub at_ms: Option<u64>,
    /// All of it.
    pub json: String,
}

impl Receipt {
    fn read(output: &Output) -> Receipt {
        let json = output.stdout.trim().to_owned();
        let Ok(value) = serde_json::from_str::<Value>(&json) else {
            return Receipt {
                verdict: format!("no receipt ({})", output.code),
                json: output.stderr.trim().to_owned(),
                ..Receipt::default()
            };
        };
        let timing = |what: &str| value["timing"][what].as_u64();
        Receipt {
            verdict: value["verdict"].as_str().unwrap_or("none").to_owned(),
            typed: value["typed"].as_bool().unwrap_or(true),
            open: value["open"].as_bool().unwrap_or(false),
            enter_ms: timing("enter_ms"),
            verdict_ms: timing("verdict_ms"),
            at_ms: value["at_ms"].as_u64(),
            json,
        }
    }
}

/// How a message is sent.
#[derive(Clone, Debug)]
pub struct How {
    /// To whom, if not to the agent of the rig.
    pub to: Option<&'static str>,
    /// With the preamble that names sender and receiver.
    pub preamble: bool,
    /// `--when busy=…`
    pub busy: Option<&'static str>,
    /// `--timeout`, in seconds.
    pub timeout: &'static str,
}

impl Default for How {
    fn default() -> How {
        How {
            to: None,
            preamble: true,
            busy: None,
            timeout: "30",
        }
    }
}

/// See the module's first line. Everything goes when it is dropped.
pub struct Rig {
    /// Where it all happens.
    pub sandbox: Sandbox,
    /// The model it talks to.
    pub stub: Stub,
    home: Home,
    /// What starts the runtime.
    command: String,
    recording: Option<Recording>,
}

/// The directory of the runtime and the stub. Not under /tmp: codex warns about a home there.
struct Home(PathBuf);

impl Home {
    fn new() -> Home {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = format!("/var/tmp/mosaic-trial-{}-{number}", std::process::id());
        // One that is there already was left by an earlier process of our pid.
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir(&dir).expect("a directory can be made");
        Home(dir.into())
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // Processes that were killed may still be ending, and writing.
        wait_until(Duration::from_secs(5), || {
            std::fs::remove_dir_all(&self.0).is_ok() || !self.0.exists()
        });
    }
}

/// How a runtime is started.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// Columns and rows; the usual size if None.
    pub size: Option<(u16, u16)>,
    /// With the recorder between sidecar and runtime.
    pub recorded: bool,
    /// In a directory that the runtime trusts.
    pub trusted: bool,
    /// Wait until the sidecar calls it ready.
    pub wait: bool,
}

impl Default for Start {
    fn default() -> Start {
        Start {
            size: None,
            recorded: false,
            trusted: true,
            wait: true,
        }
    }
}

impl Rig {
    /// Starts `runtime`.
    pub fn start(runtime: &str, start: &Start) -> Rig {
        let mut rig = Rig::new();
        rig.command = rig.prepare_as(runtime, start);
        if start.recorded {
            let file = rig.home.0.join("rec.cast");
            let script = recorder::script(&rig.command, runtime, &file);
            rig.command = rig.script("record", &script);
            rig.recording = Some(Recording(file));
        }
        rig.launch_as(runtime, start);
        rig
    }

    /// A rig in which nothing runs yet but the model.
    pub fn new() -> Rig {
        let home = Home::new();
        Rig {
            sandbox: Sandbox::new(),
            stub: Stub::start(&home.0),
            home,
            command: String::new(),
            recording: None,
        }
    }

    /// Starts `command` under a sidecar and waits until that calls it ready.
    pub fn launch(&mut self, runtime: &str, command: &str) {
        self.command = command.to_owned();
        self.launch_as(runtime, &Start::default());
    }

    /// Starts `command` in the same tmux session with no sidecar at all.
    pub fn start_bare(&self, command: &str) {
        let size = ["-x", "120", "-y", "40"];
        let made = self
            .sandbox
            .tmux(&[&["new-session", "-d", "-s", AGENT][..], &size, &[command]].concat());
        assert_eq!(made.code, 0, "{made:?}");
    }

    /// The runtime's home directory.
    pub fn runtime_home(&self) -> PathBuf {
        self.home.0.join("rt")
    }

    /// Makes the runtime's home; returns the command that starts it.
    pub fn prepare(&self, runtime: &str) -> String {
        self.prepare_as(runtime, &Start::default())
    }

    /// Ends the runtime and starts it again in the same home, with more arguments.
    pub fn restart(&mut self, runtime: &str, args: &str) {
        self.end();
        let script = format!("#!/bin/sh\nexec {} {args}\n", self.command);
        self.command = self.script("again", &script);
        self.recording = None;
        self.launch_as(runtime, &Start::default());
    }

    fn script(&self, name: &str, text: &str) -> String {
        let path = self.home.0.join(name);
        std::fs::write(&path, text).expect("a script");
        std::fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("its mode");
        path.display().to_string()
    }

    fn launch_as(&mut self, runtime: &str, start: &Start) {
        self.sandbox
            .env("MOSAIC_AGENT_RUNTIME", runtime)
            .env("MOSAIC_AGENT_COMMAND", self.command.as_str());
        match start.size {
            None => {
                let launched = self.sandbox.agent(&["launch", AGENT]);
                assert_eq!(launched.code, 0, "{runtime}: launch: {launched:?}");
            }
            Some((cols, rows)) => self.run_in_pane(cols, rows),
        }
        if start.wait {
            let ready = wait_until(Duration::from_secs(40), || self.state() == "ready");
            assert!(ready, "{runtime} is not ready:\n{}", self.screen());
        }
    }

    /// The sidecar in a pane of this size; tmux makes none without a size, but a pane's program can.
    fn run_in_pane(&self, cols: u16, rows: u16) {
        let mut run = format!("exec {} run {AGENT}", crate::support::AGENT);
        let mut args = vec![
            "new-session".to_owned(),
            "-d".into(),
            "-s".into(),
            AGENT.into(),
        ];
        if cols == 0 {
            run = format!("stty cols 0 rows 0; {run}");
        } else {
            args.extend(["-x".into(), cols.to_string(), "-y".into(), rows.to_string()]);
        }
        args.push(run);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let made = self.sandbox.tmux(&args);
        assert_eq!(made.code, 0, "{made:?}");
    }

    fn prepare_as(&self, runtime: &str, start: &Start) -> String {
        let flags: &[&str] = match runtime {
            "claude" => &["--permission-mode", "default"],
            _ => &[],
        };
        let made = Command::new(super::repository().join("tests/runtimes/prepare"))
            .args((!start.trusted).then_some("--untrusted"))
            .arg(runtime)
            .arg(self.home.0.join("rt"))
            .arg(&self.stub.port)
            .args(flags)
            .output()
            .expect("tests/runtimes/prepare runs");
        assert!(made.status.success(), "prepare {runtime}: {made:?}");
        String::from_utf8_lossy(&made.stdout).trim().to_owned()
    }

    /// Everything that was given to the runtime, if it is recorded.
    pub fn given(&self) -> Option<String> {
        self.recording.as_ref().map(Recording::typed)
    }

    /// Keeps the recording.
    pub fn copy_recording(&self, to: &Path) {
        let Recording(from) = self.recording.as_ref().expect("a recorded runtime");
        std::fs::copy(from, to).expect("the recording can be copied");
    }

    /// What `verify --contains` says of a message.
    pub fn verify(&self, part: &str) -> Receipt {
        Receipt::read(
            &self
                .sandbox
                .agent(&["verify", "--json", "--contains", part, AGENT]),
        )
    }

    /// Pastes into the pane as tmux does it: in one write, bracketed or not.
    pub fn paste(&self, text: &str, bracketed: bool) {
        self.sandbox
            .tmux(&["set-buffer", "-b", "trial", "--", text]);
        let brackets = if bracketed { "-p" } else { "-r" };
        self.sandbox.tmux(&[
            "paste-buffer",
            brackets,
            "-r",
            "-d",
            "-b",
            "trial",
            "-t",
            AGENT,
        ]);
    }

    /// What a look at the agent shows after a send. `token`: of the message, if it may stand in the composer.
    pub fn aftermath(&self, token: Option<&String>) -> &'static str {
        let (status, screen) = (self.status(), squeezed(&self.screen()));
        let ours = token.is_some_and(|t| screen.contains(t));
        match status["state"].as_str() {
            None => "no agent",
            Some("starting") => "still starting",
            Some("wedged") => "stopped",
            Some("blocked") => "dialog or other screen",
            _ if status["draft"] == true && ours => "our text in the composer",
            _ if status["draft"] == true => "a person's draft",
            Some("busy") => "composer empty, a turn runs",
            _ => "composer empty",
        }
    }

    /// Sends a message and waits for its receipt.
    pub fn send(&self, text: &str, how: &How) -> Receipt {
        let mut args = vec!["send", "--verify", "--json", "--timeout", how.timeout];
        args.extend(match how.preamble {
            true => &["--from", SENDER][..],
            false => &["--no-preamble"],
        });
        let when = how.busy.map(|busy| format!("busy={busy}"));
        if let Some(when) = &when {
            args.extend(["--when", when]);
        }
        args.extend([how.to.unwrap_or(AGENT), "-"]);
        Receipt::read(
            &self
                .sandbox
                .start_with(&args, text.as_bytes())
                .wait(RECEIPT),
        )
    }

    /// Has the sidecar replaced by another binary, which must work.
    pub fn upgrade(&self) {
        let upgraded = self.sandbox.agent(&["upgrade", AGENT]);
        assert_eq!(upgraded.code, 0, "{upgraded:?}");
    }

    /// The sidecar's status document; null where nobody answers.
    pub fn status(&self) -> Value {
        let output = self.sandbox.agent(&["status", "--json", AGENT]);
        serde_json::from_str(&output.stdout).unwrap_or(Value::Null)
    }

    /// The agent's state; empty where nobody answers.
    pub fn state(&self) -> String {
        self.status()["state"].as_str().unwrap_or("").to_owned()
    }

    /// Whether the composer holds something.
    pub fn holds_draft(&self) -> bool {
        self.status()["draft"] == true
    }

    /// The screen as tmux shows it: a witness that is not the product.
    pub fn screen(&self) -> String {
        self.sandbox
            .tmux(&["capture-pane", "-p", "-t", AGENT])
            .stdout
    }

    /// The same with colours and attributes.
    pub fn painted(&self) -> String {
        self.sandbox
            .tmux(&["capture-pane", "-e", "-p", "-t", AGENT])
            .stdout
    }

    /// Whether the screen shows this, wherever it wraps.
    pub fn shows(&self, text: &str) -> bool {
        squeezed(&self.screen()).contains(&squeezed(text))
    }

    /// Types text as a person would, without Enter.
    pub fn type_text(&self, text: &str) {
        self.sandbox.tmux(&["send-keys", "-t", AGENT, "-l", text]);
    }

    /// Presses keys by tmux's names.
    pub fn press(&self, keys: &[&str]) {
        self.sandbox
            .tmux(&[&["send-keys", "-t", AGENT], keys].concat());
    }

    /// Gives the terminal another size.
    pub fn resize(&self, cols: u16, rows: u16) {
        let (cols, rows) = (cols.to_string(), rows.to_string());
        self.sandbox
            .tmux(&["resize-window", "-t", AGENT, "-x", &cols, "-y", &rows]);
    }

    /// Signals the runtime itself.
    pub fn signal(&self, signal: i32) {
        let pid = self.status()["pid"].as_i64().unwrap_or(0);
        assert!(pid > 1, "the runtime has no pid: {}", self.status());
        crate::support::kill(i32::try_from(pid).expect("a pid"), signal);
    }

    /// The runtime's working directory.
    pub fn project(&self) -> PathBuf {
        self.home.0.join("rt/project")
    }

    /// Ends the tmux server and with it the sidecar, which takes the runtime along.
    fn end(&self) {
        let sidecar = self.status()["sidecar"].as_i64().unwrap_or(0);
        self.sandbox.tmux(&["kill-server"]);
        wait_until(Duration::from_secs(10), || {
            !i32::try_from(sidecar).is_ok_and(|pid| pid > 1 && crate::support::pid_is_alive(pid))
        });
    }

    /// Empties the composer with Ctrl-U: one press for each line and one to join it with the next.
    pub fn clear_composer(&self) -> bool {
        wait_until(Duration::from_secs(15), || {
            let holds = self.holds_draft();
            if holds {
                self.press(&["-N", "8", "C-u"]);
            }
            !holds
        })
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.end();
    }
}
