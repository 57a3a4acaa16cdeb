//! The demo runtime under a sidecar, and its log: the truth about what was taken.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::{FLEET, Output, Pane, Running, SOON, Sandbox};

/// The log of a demo.
#[derive(Clone)]
pub struct Log {
    path: PathBuf,
}

impl Log {
    /// The log at this path, written or not.
    pub fn at(path: PathBuf) -> Log {
        Log { path }
    }

    /// Everything that happened.
    pub fn events(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.path).unwrap_or_default();
        text.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// What happened of one kind.
    pub fn of(&self, kind: &str) -> Vec<Value> {
        let mut events = self.events();
        events.retain(|event| event["ev"] == kind);
        events
    }

    /// The messages that were taken.
    pub fn taken(&self) -> Vec<String> {
        let text = |event: &Value| event["text"].as_str().unwrap_or_default().to_owned();
        self.of("taken").iter().map(text).collect()
    }

    /// Waits for an event.
    #[track_caller]
    pub fn wait(&self, kind: &str) -> Value {
        super::get(SOON, &format!("the demo logs {kind:?}"), || {
            self.of(kind).first().cloned()
        })
    }
}

/// A demo under a sidecar called `demo`, in a terminal that the test holds.
pub struct Demo {
    /// What it truly did.
    pub log: Log,
    /// Its terminal.
    pub pane: Pane,
    /// Dropped last: it ends what is left.
    pub sandbox: Sandbox,
}

impl Demo {
    /// The agent's name.
    pub const NAME: &'static str = "demo";

    /// Starts one and waits until it is ready.
    #[track_caller]
    pub fn ready(options: &[&str]) -> Demo {
        let demo = Demo::start(Sandbox::new(), options);
        demo.wait_ready();
        demo
    }

    /// Starts one.
    #[track_caller]
    pub fn start(sandbox: Sandbox, options: &[&str]) -> Demo {
        let path = sandbox.path("demo.log");
        let shown = path.display().to_string();
        let mut command = vec![FLEET, "demo-tui", "--log", &shown];
        command.extend(options);
        let pane = Pane::run(&sandbox, Self::NAME, &command);
        Demo {
            log: Log::at(path),
            pane,
            sandbox,
        }
    }

    /// Waits until the sidecar says so.
    #[track_caller]
    pub fn wait_ready(&self) {
        self.sandbox.wait_state(Self::NAME, "ready");
    }

    /// `send --verify --json` without a preamble: what is sent is what must be taken.
    #[track_caller]
    pub fn send(&self, text: &str, options: &[&str]) -> Receipt {
        Receipt::of(self.sending(text, options).wait(super::LATER))
    }

    /// The same in the background. The body goes over standard input, however long it is.
    #[track_caller]
    pub fn sending(&self, text: &str, options: &[&str]) -> Running {
        let mut args = vec![
            "send",
            "--verify",
            "--json",
            "--no-preamble",
            Self::NAME,
            "-",
        ];
        args.extend(options);
        self.sandbox.start_with(&args, text.as_bytes())
    }

    /// A question about this agent: `verify`, `status` …
    #[track_caller]
    pub fn ask(&self, verb: &str, options: &[&str]) -> Receipt {
        let mut args = vec![verb, "--json", Self::NAME];
        args.extend(options);
        Receipt::of(self.sandbox.agent(&args))
    }

    /// The runtime's pid, as the heartbeat has it.
    #[track_caller]
    pub fn runtime(&self) -> i32 {
        let pid = self.sandbox.heartbeat(Self::NAME)["pid"].parse();
        pid.expect("a pid")
    }

    /// The composer's rows on the screen.
    pub fn composer(&self) -> String {
        composer(&self.pane.screen())
    }

    /// A person submits a line.
    #[track_caller]
    pub fn submit(&self, line: &str) {
        self.pane.write(line.as_bytes());
        self.pane.write(b"\r");
    }
}

/// The text between the last two rules, without its prompt and ghost text.
fn composer(screen: &str) -> String {
    let rows: Vec<&str> = screen.lines().collect();
    let is_rule = |row: &&str| row.chars().count() > 8 && row.chars().all(|c| c == '─');
    let rules: Vec<usize> = (0..rows.len()).filter(|at| is_rule(&rows[*at])).collect();
    let [.., top, bottom] = rules[..] else {
        return String::new();
    };
    let text: Vec<&str> = rows[top + 1..bottom]
        .iter()
        .map(|row| row.trim_start_matches('❭').trim())
        .collect();
    text.join("\n").replace("Write a message…", "")
}

/// What `send` or `verify` answered.
#[derive(Debug)]
pub struct Receipt {
    /// The exit code.
    pub code: i32,
    /// The document.
    pub json: Value,
}

impl Receipt {
    /// Reads the output of a verb called with `--json`.
    #[track_caller]
    pub fn of(output: Output) -> Receipt {
        Receipt {
            code: output.code,
            json: output.json(),
        }
    }

    /// Fails, showing all of it, unless the verdict is this one.
    #[track_caller]
    pub fn must_be(&self, verdict: &str) {
        assert_eq!(self.verdict(), verdict, "{self:#?}");
    }

    /// The verdict, which must fit the exit code.
    #[track_caller]
    pub fn verdict(&self) -> &str {
        let verdict = self.json["verdict"].as_str().unwrap_or("none");
        let code = match verdict {
            "accepted" | "queued" | "held" => 0,
            "draft" => 5,
            "unknown" => 7,
            "blocked" | "occupied" | "busy" | "unready" => 75,
            "rejected" => 6,
            "gone" => 3,
            _ => panic!("no verdict: {self:?}"),
        };
        assert_eq!(self.code, code, "{self:?}");
        let typed = matches!(verdict, "accepted" | "queued" | "draft" | "unknown");
        assert_eq!(self.json["typed"], typed, "{self:?}");
        verdict
    }
}
