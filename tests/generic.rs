//! Runtimes that no profile knows: what a receipt says, held against what was truly taken.
//!
//! A shell and the demo (under a name that no profile matches) are always there; gemini and ipython where they
//! can be installed.

mod support;
mod trials;

use std::fs;
use std::io::Write;

use support::runtimes::{available, skip};
use support::{FLEET, LATER, Log, Pane, Receipt, SOON, Sandbox, until};
use trials::{How, Rig, Start};

/// The agent's name.
const NAME: &str = "generic";

/// A program under a sidecar.
struct Agent {
    pane: Pane,
    sandbox: Sandbox,
}

impl Agent {
    #[track_caller]
    fn start(sandbox: Sandbox, command: &[&str]) -> Agent {
        let pane = Pane::run(&sandbox, NAME, command);
        Agent { pane, sandbox }
    }

    #[track_caller]
    fn ready(sandbox: Sandbox, command: &[&str]) -> Agent {
        let agent = Agent::start(sandbox, command);
        agent.wait("ready");
        agent
    }

    /// Bash, as a person starts it.
    #[track_caller]
    fn shell() -> Agent {
        let mut sandbox = Sandbox::new();
        sandbox.env("PS1", "demo$ ");
        Agent::ready(sandbox, &["bash", "--norc", "-i"])
    }

    /// The demo where no profile finds it, and its log.
    #[track_caller]
    fn demo(options: &[&str]) -> (Agent, Log) {
        let sandbox = Sandbox::new();
        let program = sandbox.copy(FLEET, "nameless");
        let log = sandbox.path("demo.log");
        let (program, path) = (program.display().to_string(), log.display().to_string());
        let command = [&[&program, "demo-tui", "--log", &path], options].concat();
        (Agent::start(sandbox, &command), Log::at(log))
    }

    #[track_caller]
    fn wait(&self, state: &str) {
        self.sandbox.wait_state(NAME, state);
    }

    /// A person types.
    fn types(&self, keys: &str) {
        self.pane.write(keys.as_bytes());
    }

    #[track_caller]
    fn send(&self, text: &str, options: &[&str]) -> Receipt {
        let mut args = vec!["send", "--verify", "--json", "--no-preamble", NAME, "-"];
        args.extend(options);
        Receipt::of(self.sandbox.start_with(&args, text.as_bytes()).wait(LATER))
    }

    /// What commands have written to the file `taken`.
    fn took(&self, token: &str) -> bool {
        fs::read_to_string(self.sandbox.home().join("taken")).is_ok_and(|t| t.contains(token))
    }
}

/// One message: what it was sent into, what was said, and by what its fate is known in the end.
struct Said {
    scene: &'static str,
    verdict: String,
    typed: bool,
    token: String,
}

/// The table of truth.
#[derive(Default)]
struct Table(Vec<Said>);

impl Table {
    fn token(&self) -> String {
        format!("token-{}-", self.0.len())
    }

    fn add(&mut self, scene: &'static str, verdict: &str, typed: bool) {
        self.0.push(Said {
            scene,
            verdict: verdict.to_owned(),
            typed,
            token: self.token(),
        });
    }

    /// Nothing is called accepted that was not taken, nothing is taken that was not typed; and of what was
    /// sent to an idle line editor most is called accepted.
    #[track_caller]
    fn must_be_true(&self, runtime: &str, taken: impl Fn(&str) -> bool) {
        let mut lines = format!("{runtime}\n");
        let mut wrong = Vec::new();
        let (mut idle, mut found) = (0, 0);
        for said in &self.0 {
            let accepted = said.verdict == "accepted";
            // What was accepted may still be on its way to where it is looked for.
            let patience = if accepted { SOON } else { support::ms(0) };
            let taken = trials::wait_until(patience, || taken(&said.token));
            let row = format!(
                "  {:<34} {:<9} {:<9} {}\n",
                said.scene,
                if taken { "taken" } else { "not taken" },
                said.verdict,
                if said.typed { "typed" } else { "" }
            );
            if (accepted && !taken) || (taken && !said.typed) {
                wrong.push(row.clone());
            }
            if said.scene.starts_with("idle") && taken {
                idle += 1;
                found += usize::from(accepted);
            }
            lines.push_str(&row);
        }
        // Straight to stderr: it is worth reading when the test passes too.
        let _ = std::io::stderr().write_all(lines.as_bytes());
        assert!(wrong.is_empty(), "{lines}wrong:\n{}", wrong.concat());
        assert!(found * 5 > idle * 4, "{found} of {idle} found\n{lines}");
    }
}

/// A line of Python that writes this token down.
fn python(token: &str) -> String {
    format!("print(file=open('taken', 'a'), *['{token}'])")
}

/// A command that writes this token down.
fn command(token: &str) -> String {
    format!("echo {token} >> taken")
}

#[test]
fn a_shell_is_judged_truly() {
    let shell = Agent::shell();
    let mut table = Table::default();
    let mut send = |scene: &'static str, text: &dyn Fn(&str) -> String, options: &[&str]| {
        let receipt = shell.send(&text(&table.token()), options);
        table.add(scene, receipt.verdict(), receipt.json["typed"] == true);
        receipt
    };
    for _ in 0..8 {
        send("idle, a command", &command, &[]);
    }
    send(
        "idle, a command that is silent",
        &|t| format!("{}; true", command(t)),
        &[],
    );
    send(
        "idle, one that prints",
        &|t| format!("{}; cat taken", command(t)),
        &[],
    );
    send(
        "idle, three lines",
        &|t| format!("echo one\necho two\n{}", command(t)),
        &[],
    );
    send(
        "idle, sixty lines",
        &|t| format!("{}{}", "echo line\n".repeat(60), command(t)),
        &[],
    );
    send(
        "idle, unicode",
        &|t| format!("{} # äöü 漢字 👍🏽 e\u{301}", command(t)),
        &[],
    );
    send(
        "idle, a command that runs on",
        &|t| format!("{}; sleep 3", command(t)),
        &[],
    );
    send("busy, hold", &command, &[]);
    send(
        "idle, a command that runs on",
        &|t| format!("{}; sleep 6", command(t)),
        &[],
    );
    send("busy, refuse", &command, &["--when", "busy=refuse"]).must_be("busy");
    send("busy, type", &command, &["--when", "busy=type"]);

    shell.types("echo mine");
    shell.pane.wait_screen("demo$ echo mine", SOON);
    send("a person's draft", &command, &[]).must_be("occupied");
    shell.types("\x15");
    send("a person's draft, taken back", &command, &[]).must_be("occupied");
    shell.types("\r");
    send("idle, after a person", &command, &[]);

    send(
        "an unfinished command",
        &|t| format!("echo 'not done {t}"),
        &[],
    )
    .must_be("unknown");
    send("a continuation prompt", &command, &[]);
    shell.types("\x03\r");
    send("idle, after a continuation", &command, &[]);

    shell.types("read -e -p 'sure? ' x; echo \"[$x]\" >> answers\r");
    shell.pane.wait_screen("\nsure?", SOON);
    send("a question of the shell", &command, &[]);
    shell.types("no\r");
    shell.types(
        "python3 -c 'import readline; print(input(\"sure? \"), file=open(\"answers\", \"a\"))'\r",
    );
    shell.pane.wait_screen("\nsure?", SOON);
    send("a question of a program", &command, &["--timeout", "2"]).must_be("busy");
    shell.types("no\r");
    until(SOON, "both were answered by the person", || {
        fs::read_to_string(shell.sandbox.home().join("answers")).is_ok_and(|a| a == "[no]\nno\n")
    });
    send("idle, after questions", &command, &[]);
    send("history", &|t| format!("!!{t}"), &[]).must_be("rejected");
    table.must_be_true("bash", |token| shell.took(token));
}

#[test]
fn ipython_is_judged_truly() {
    let program = match available("ipython") {
        Ok(program) => program.display().to_string(),
        Err(why) => return skip("ipython", &why),
    };
    let ipython = Agent::ready(
        Sandbox::new(),
        &[&program, "--no-banner", "--no-confirm-exit"],
    );
    let mut table = Table::default();
    let mut send = |scene: &'static str, text: &dyn Fn(&str) -> String, options: &[&str]| {
        let receipt = ipython.send(&text(&table.token()), options);
        table.add(scene, receipt.verdict(), receipt.json["typed"] == true);
        receipt
    };
    for _ in 0..12 {
        send("idle, a line", &python, &[]);
    }
    send(
        "idle, one that prints",
        &|t| format!("{}; print('seen')", python(t)),
        &[],
    );
    send(
        "idle, three lines",
        &|t| format!("a = 1\nb = 2\n{}", python(t)),
        &[],
    );
    send(
        "idle, unicode",
        &|t| format!("{} # äöü 漢字 👍🏽 e\u{301}", python(t)),
        &[],
    );
    send(
        "idle, one that runs on",
        &|t| format!("{}; import time; time.sleep(3)", python(t)),
        &[],
    );
    send("busy, hold", &python, &[]);
    send(
        "idle, one that runs on",
        &|t| format!("{}; import time; time.sleep(3)", python(t)),
        &[],
    );
    send("busy, refuse", &python, &["--when", "busy=refuse"]).must_be("busy");
    send("busy, type", &python, &["--when", "busy=type"]);

    ipython.types("mine = 1");
    ipython.pane.wait_screen("mine = 1", SOON);
    send("a person's draft", &python, &[]).must_be("occupied");
    ipython.types("\x15\r");
    send("idle, after a person", &python, &[]);

    send(
        "an unfinished block",
        &|t| format!("if True:\n    pass; '{t}'"),
        &[],
    )
    .must_be("unknown");
    send("a continuation prompt", &python, &[]);
    ipython.types("\x03");
    ipython.types("\r");
    send("idle, after a continuation", &python, &[]);

    ipython.types("answer = input('sure? ')\r");
    ipython.pane.wait_screen("\nsure?", SOON);
    send("a question", &python, &["--timeout", "2"]);
    ipython.types("no\r");
    send(
        "idle, after a question",
        &|t| format!("{}; assert answer == 'no'", python(t)),
        &[],
    );
    send("a magic", &|t| format!("%time {}", python(t)), &[]).must_be("rejected");
    table.must_be_true("ipython", |token| ipython.took(token));
}

#[test]
fn gemini_is_judged_truly() {
    if let Err(why) = available("gemini") {
        return skip("gemini", &why);
    }
    let rig = Rig::start("gemini", &Start::default());
    let mut table = Table::default();
    let mut send = |scene: &'static str, text: &dyn Fn(&str) -> String, how: &How| {
        let receipt = rig.send(&text(&table.token()), how);
        table.add(scene, &receipt.verdict, receipt.typed);
        if receipt.verdict == "draft" {
            // A gemini that has no time takes Enter for a new line of the paste. The next scene begins without it.
            rig.press(&["C-c"]);
        }
        receipt
    };
    let plain = How::default();
    let line = |t: &str| format!("please do this: {t}");
    let refuse = |busy| How {
        busy: Some(busy),
        ..How::default()
    };
    for _ in 0..12 {
        send("idle, a line", &line, &plain);
    }
    send(
        "idle, three lines",
        &|t| format!("one\ntwo\nthree {t}"),
        &plain,
    );
    send(
        "idle, forty lines",
        &|t| format!("{}{t}", "line\n".repeat(40)),
        &plain,
    );
    send(
        "idle, unicode",
        &|t| format!("äöü 漢字 👍🏽 e\u{301} {t}"),
        &plain,
    );
    send("idle, a long turn", &|t| format!("slow=4 {t}"), &plain);
    send("busy, hold", &line, &plain);
    send("idle, a long turn", &|t| format!("slow=4 {t}"), &plain);
    send("busy, refuse", &line, &refuse("refuse"));
    send("busy, type", &line, &refuse("type"));

    rig.type_text("my own words");
    let shown = trials::wait_until(SOON, || rig.shows("> my own words"));
    assert!(shown, "{}", rig.screen());
    let receipt = send("a person's draft", &line, &plain);
    assert_eq!(receipt.verdict, "occupied", "{receipt:?}");
    rig.press(&["C-u", "Enter"]);
    send("idle, after a person", &line, &plain);

    let mark = rig.project().join("approved");
    let tool = |t: &str| format!("tool=touch_{} {t}", mark.display());
    send("idle, a turn that asks", &tool, &plain);
    let asks = trials::wait_until(LATER, || rig.shows("Allow execution"));
    assert!(asks, "{}", rig.screen());
    for _ in 0..3 {
        send(
            "an approval dialog",
            &line,
            &How {
                timeout: "3",
                ..How::default()
            },
        );
    }
    assert!(rig.shows("Allow execution"), "{}", rig.screen());
    assert!(!mark.exists(), "a message has approved a command");
    rig.press(&["Escape"]);
    assert!(trials::wait_until(SOON, || !rig.shows("Allow execution")));
    rig.press(&["Enter"]);
    send("idle, after a dialog", &line, &plain);

    rig.type_text("/model");
    assert!(trials::wait_until(SOON, || rig.shows("> /model")));
    assert!(
        trials::wait_until(SOON, || {
            rig.press(&["Enter"]);
            trials::wait_until(support::ms(1_000), || rig.shows("Select Model"))
        }),
        "{}",
        rig.screen()
    );
    send(
        "a menu",
        &line,
        &How {
            timeout: "3",
            ..How::default()
        },
    );
    assert!(rig.shows("Select Model"), "{}", rig.screen());
    rig.press(&["Escape"]);
    assert!(trials::wait_until(SOON, || !rig.shows("Select Model")));
    rig.press(&["Enter"]);
    send("idle, after a menu", &line, &plain);

    send("a failing model", &|t| format!("fail=400 {t}"), &plain);
    let how = How {
        preamble: false,
        ..How::default()
    };
    send("a command", &|t| format!("/chat {t}"), &how);
    table.must_be_true("gemini", |token| rig.stub.got(token).is_some());
}

#[test]
fn the_demo_is_judged_truly_under_a_name_that_no_profile_knows() {
    /// What it is started with, and what may be said of a line that is sent to it.
    const CASES: [(&str, &[&str], &[&str]); 9] = [
        ("idle", &[], &["accepted"]),
        (
            "an Enter is swallowed",
            &["--swallow-enter", "1"],
            &["accepted"],
        ),
        (
            "every Enter is swallowed",
            &["--swallow-enter", "9"],
            &["draft", "unknown"],
        ),
        (
            "an Enter becomes a new line",
            &["--newline-window-ms", "600"],
            &["unknown"],
        ),
        ("the message is lost", &["--lose", "1"], &["unknown"]),
        ("pastes are ignored", &["--drop-pastes"], &["unknown"]),
        (
            "a dialog opens on the paste",
            &["--dialog-on-paste"],
            &["unknown"],
        ),
        (
            "turns look like nothing",
            &["--no-busy-sign"],
            &["unknown", "accepted"],
        ),
        (
            "a dialog is there already",
            &["--dialog-after-ms", "0"],
            &["blocked", "unknown"],
        ),
    ];
    let mut all = String::new();
    for (case, options, allowed) in CASES {
        let (agent, log) = Agent::demo(options);
        agent.wait("ready");
        let receipt = agent.send("please do token-0-", &[]);
        let verdict = receipt.verdict().to_owned();
        let taken = log.taken();
        all.push_str(&format!(
            "  {case:<30} {taken:?} {verdict} {}\n",
            receipt.json["reason"]
        ));
        assert!(allowed.contains(&verdict.as_str()), "{all}{receipt:#?}");
        let was = taken == ["please do token-0-"];
        assert!(was || verdict != "accepted", "{all}");
        assert!(taken.len() <= 1 && log.of("answer").is_empty(), "{all}");
    }
    let _ = std::io::stderr().write_all(all.as_bytes());
}

#[test]
fn a_shell_behind_a_runtime_that_has_ended_gets_nothing() {
    let sandbox = Sandbox::new();
    let script = sandbox.script(
        "agent",
        "#!/bin/bash\nbind 'set enable-bracketed-paste on'\nread -e -p 'In [1]: '\nexport PS1='In [1]: '\nexec bash --norc -i\n",
    );
    let agent = Agent::ready(sandbox, &[&script.display().to_string()]);
    agent.types("bye\r");
    agent.pane.wait_screen("In [1]: bye\nIn [1]:", SOON);
    let receipt = agent.send("echo token-0- >> taken", &["--timeout", "3"]);
    receipt.must_be("unready");
    assert!(!agent.took("token-0-"));
}

#[test]
fn a_runtime_that_a_profile_knew_leaves_no_generic_one_behind() {
    let mut sandbox = Sandbox::new();
    sandbox.env("PS1", "demo$ ");
    let agent = Agent::ready(sandbox, &["bash", "--norc", "-i"]);
    agent
        .send("echo token-0- >> taken", &[])
        .must_be("accepted");
    agent.types(&format!("{FLEET} demo-tui\r"));
    until(SOON, "the demo's profile is in force", || {
        agent.sandbox.status(NAME)["runtime"] == "demo"
    });
    agent.wait("ready");
    agent.types("\x04");
    until(SOON, "the demo is known to have ended", || {
        agent
            .send("echo token-1- >> taken", &["--timeout", "1"])
            .verdict()
            == "unready"
    });
    assert!(!agent.took("token-1-"));
}

#[test]
fn status_and_explain_say_that_generic_rules_are_in_force() {
    let shell = Agent::shell();
    let status = shell.sandbox.status(NAME);
    let warnings = status["warnings"].to_string();
    assert!(warnings.contains("no profile fits bash"), "{status}");
    let explained = shell.sandbox.agent(&["explain", NAME]).stdout;
    assert!(
        explained.contains("the cursor rested  behind \"demo$\""),
        "{explained}"
    );
    shell.types("sleep 2\r");
    shell.wait("busy");
    shell.wait("ready");
}

#[test]
fn what_somebody_typed_before_the_rules_were_in_force_is_a_draft_and_not_a_prompt() {
    let mut sandbox = Sandbox::new();
    sandbox.env("PS1", "demo$ ");
    let agent = Agent::start(sandbox, &["bash", "--norc", "-i"]);
    agent.pane.wait_screen("demo$", SOON);
    agent.types("echo half");
    agent.wait("ready");
    // It waits for the person to rest, and finds the draft then.
    agent.send("echo taken", &[]).must_be("occupied");
    agent.pane.wait_screen("demo$ echo half", SOON);
}

#[test]
fn a_runtime_that_never_went_raw_is_left_in_peace_when_it_has_ended() {
    let sandbox = Sandbox::new();
    let script = "printf '\\033[?2004hhello'; sleep 2";
    let mut agent = Agent::start(sandbox, &["sh", "-c", script]);
    agent.pane.wait_exit(LATER);
}
