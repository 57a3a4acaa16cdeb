//! One real runtime under the sidecar, in a tmux server, a home and directories of its own.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

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
    sandbox: Sandbox,
    /// The model it talks to.
    pub stub: Stub,
    home: Home,
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

impl Rig {
    /// Starts `runtime` and waits until the sidecar calls it ready.
    pub fn start(runtime: &str) -> Rig {
        let home = Home::new();
        let mut rig = Rig {
            sandbox: Sandbox::new(),
            stub: Stub::start(&home.0),
            home,
        };
        let start = rig.prepare(runtime);
        rig.sandbox
            .env("MOSAIC_AGENT_RUNTIME", runtime)
            .env("MOSAIC_AGENT_COMMAND", start);
        let launched = rig.sandbox.agent(&["launch", AGENT]);
        assert_eq!(launched.code, 0, "{runtime}: launch: {launched:?}");
        let ready = wait_until(Duration::from_secs(40), || rig.state() == "ready");
        assert!(ready, "{runtime} is not ready:\n{}", rig.screen());
        rig
    }

    fn prepare(&self, runtime: &str) -> String {
        let flags: &[&str] = match runtime {
            "claude" => &["--permission-mode", "default"],
            _ => &[],
        };
        let made = Command::new(super::repository().join("tests/runtimes/prepare"))
            .arg(runtime)
            .arg(self.home.0.join("rt"))
            .arg(&self.stub.port)
            .args(flags)
            .output()
            .expect("tests/runtimes/prepare runs");
        assert!(made.status.success(), "prepare {runtime}: {made:?}");
        String::from_utf8_lossy(&made.stdout).trim().to_owned()
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
        let sidecar = self.status()["sidecar"].as_i64().unwrap_or(0);
        self.sandbox.tmux(&["kill-server"]);
        // It takes the runtime with it; the sandbox and the home go after it.
        wait_until(Duration::from_secs(10), || {
            !i32::try_from(sidecar).is_ok_and(|pid| pid > 1 && crate::support::pid_is_alive(pid))
        });
    }
}
