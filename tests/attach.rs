//! `attach`: one person at a time takes an agent over, in its tmux or through its socket, and is a person to it.

mod support;

use std::sync::atomic::{AtomicBool, Ordering};

use nix::libc::SIGTERM;
use serde_json::{Value, json};
use support::{
    Client, FLEET, LATER, Log, Output, Pane, Receipt, Running, SOON, Sandbox, kill, ms, until,
};

/// Ctrl-].
const LEAVE: &[u8] = b"\x1d";

/// A demo called `a` without a terminal.
struct Headless {
    log: Log,
    sidecar: Option<Running>,
    sandbox: Sandbox,
}

impl Headless {
    #[track_caller]
    fn ready() -> Headless {
        let sandbox = Sandbox::new();
        let log = sandbox.path("demo.log");
        let shown = log.display().to_string();
        let sidecar = sandbox.start(&["run", "a", "--", FLEET, "demo-tui", "--log", &shown]);
        until(SOON, "it is ready", || {
            sandbox
                .find_heartbeat("a")
                .is_some_and(|beat| beat["state"] == "ready")
        });
        Headless {
            log: Log::at(log),
            sidecar: Some(sidecar),
            sandbox,
        }
    }

    fn attached_pid(&self) -> Value {
        self.sandbox.status("a")["attached_pid"].clone()
    }

    /// Somebody who has taken over.
    #[track_caller]
    fn attached(&self, options: &[&str]) -> Pane {
        let pane = attach(&self.sandbox, "a", options);
        pane.wait_screen("YOU ARE TYPING, Ctrl-] leaves", SOON);
        pane
    }
}

impl Drop for Headless {
    fn drop(&mut self) {
        if let Some(sidecar) = self.sidecar.take() {
            kill(sidecar.pid(), SIGTERM);
            sidecar.wait(SOON);
        }
    }
}

/// `mosaic-fleet attach NAME` in a terminal.
#[track_caller]
fn attach(sandbox: &Sandbox, name: &str, options: &[&str]) -> Pane {
    let mut command = sandbox.command(FLEET);
    command.args(["attach", name]).args(options);
    Pane::start(command, (120, 41))
}

fn send(sandbox: &Sandbox, text: &str) -> Receipt {
    let output: Output = sandbox.agent(&[
        "send",
        "--verify",
        "--json",
        "--no-preamble",
        "a",
        "-m",
        text,
    ]);
    Receipt::of(output)
}

#[test]
fn who_is_attached_is_a_person_whose_draft_is_theirs() {
    let agent = Headless::ready();
    let mut person = agent.attached(&[]);
    person.write("a thought, h\u{e1}lf ".as_bytes());
    person.wait_screen("a thought, h\u{e1}lf", SOON);
    send(&agent.sandbox, "from a machine").must_be("occupied");
    assert_eq!(agent.sandbox.status("a")["draft"], true);
    // Cursor keys and pastes as the runtime has asked for them.
    assert!(person.text().contains("\x1b[?2004h"));
    person.write(b"done\r");
    until(SOON, "it was taken", || {
        agent.log.taken() == ["a thought, h\u{e1}lf done"]
    });
    let observed = agent
        .sandbox
        .agent(&["verify", "a", "--contains", "a thought"]);
    assert_eq!(observed.code, 0, "seen as typed by a person: {observed:?}");
    agent.sandbox.wait_state("a", "ready");
    send(&agent.sandbox, "now").must_be("accepted");
    person.write(LEAVE);
    assert_eq!(person.wait_exit(SOON), 0);
    assert!(person.is_as_found());
    let after = person.text();
    assert!(after.rfind("\x1b[?2004l") > after.rfind("\x1b[?2004h"));
    until(SOON, "nobody is attached", || {
        agent.attached_pid() == Value::Null
    });
}

#[test]
fn what_a_person_types_while_messages_arrive_is_never_fused_with_them() {
    let agent = Headless::ready();
    let mut person = Client::greeted(&agent.sandbox.socket("a"));
    person.ask(&json!({"op": "attach"}));
    let over = AtomicBool::new(false);
    let sent: Vec<String> = (0..5).map(|n| format!("message {n}")).collect();
    let verdicts: Vec<String> = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                for key in ["h", "i", "\r"] {
                    let answer = person.ask(&json!({"op": "input", "text": key}));
                    assert_eq!(answer["error"], Value::Null);
                    std::thread::sleep(ms(7));
                }
                // Longer than a turn of the demo: somebody who never pauses is waited for as long.
                std::thread::sleep(ms(1_200));
            }
        });
        let verdict = |text: &String| send(&agent.sandbox, text).verdict().to_owned();
        let verdicts = sent.iter().map(verdict).collect();
        over.store(true, Ordering::Relaxed);
        verdicts
    });
    let taken = agent.log.taken();
    assert!(taken.iter().any(|text| text == "hi"), "{taken:?}");
    for text in &taken {
        assert!(text == "hi" || sent.contains(text), "{text:?} in {taken:?}");
    }
    for (text, verdict) in sent.iter().zip(&verdicts) {
        if verdict == "accepted" {
            assert!(taken.contains(text), "{text} in {taken:?}");
        }
    }
    assert!(verdicts.iter().any(|v| v == "accepted"), "{verdicts:?}");
}

#[test]
fn one_at_a_time_and_everybody_can_see_who() {
    let mut agent = Headless::ready();
    let mut first = agent.attached(&[]);
    assert_eq!(agent.attached_pid(), first.pid());
    let status = agent.sandbox.agent(&["status", "a"]);
    let line = format!("pid {} has taken over", first.pid());
    assert!(status.stdout.contains(&line), "{status:?}");
    let mut second = attach(&agent.sandbox, "a", &[]);
    assert_eq!(second.wait_exit(SOON), 75);
    let said = second.text();
    let why = format!("pid {} is attached already", first.pid());
    assert!(said.contains(&why) && said.contains("--steal"), "{said}");
    let mut third = agent.attached(&["--steal"]);
    assert_eq!(first.wait_exit(SOON), 75);
    assert!(first.is_as_found());
    let why = format!("pid {} has taken over", third.pid());
    assert!(first.text().contains(&why), "{}", first.text());
    assert_eq!(agent.attached_pid(), third.pid());
    third.write(b"mine");
    third.wait_screen("mine", SOON);
    third.write(LEAVE);
    assert_eq!(third.wait_exit(SOON), 0);
    // Without a terminal, its log is its standard error.
    let sidecar = agent.sidecar.take().expect("it runs");
    kill(sidecar.pid(), SIGTERM);
    let log = sidecar.wait(SOON).stderr;
    let uid = nix::unistd::geteuid();
    for pid in [first.pid(), third.pid()] {
        let line = format!("attach: asked for by pid {pid} (uid {uid})");
        assert!(log.contains(&line), "{line} in {log}");
    }
}

#[test]
fn keys_are_taken_from_the_connection_that_is_attached_and_from_no_other() {
    let agent = Headless::ready();
    let socket = agent.sandbox.socket("a");
    let input = json!({"op": "input", "text": "x"});
    let mut stranger = Client::greeted(&socket);
    assert_eq!(stranger.ask(&input)["error"], "forbidden");
    let mut person = Client::greeted(&socket);
    let status = person.ask(&json!({"op": "attach"}));
    assert_eq!(status["schema"], "mosaic.status/1");
    assert_eq!(status["attached_pid"], std::process::id());
    assert_eq!(stranger.ask(&json!({"op": "attach"}))["error"], "taken");
    assert_eq!(stranger.ask(&input)["error"], "forbidden");
    assert_eq!(person.ask(&input)["schema"], "mosaic.status/1");
    until(SOON, "the draft is seen", || {
        agent.sandbox.status("a")["draft"] == true
    });
    assert_eq!(
        stranger.ask(&json!({"op": "attach", "steal": true}))["error"],
        Value::Null
    );
    assert_eq!(person.ask(&input)["error"], "forbidden");
    drop(stranger);
    until(SOON, "nobody is attached", || {
        agent.attached_pid() == Value::Null
    });
}

#[test]
fn keys_to_a_runtime_that_does_not_read_are_refused_and_not_kept_for_ever() {
    let sandbox = Sandbox::new();
    let script = "stty raw -echo; echo up; exec sleep 1000";
    let sidecar = sandbox.start(&["run", "a", "--", "/bin/sh", "-c", script]);
    until(SOON, "it is up", || {
        sandbox.agent(&["tail", "a"]).stdout.contains("up")
    });
    let mut person = Client::greeted(&sandbox.socket("a"));
    person.ask(&json!({"op": "attach"}));
    let keys = json!({"op": "input", "text": "x".repeat(16 * 1024)});
    until(SOON, "no more is taken", || {
        person.ask(&keys)["error"] == "overloaded"
    });
    kill(sidecar.pid(), SIGTERM);
    sidecar.wait(SOON);
}

#[test]
fn what_runs_below_an_agent_may_not_take_one_over() {
    let sandbox = Sandbox::new();
    let script = format!("{FLEET} attach sh; echo code=$?; exec sleep 1000");
    let pane = Pane::shell(&sandbox, &script);
    // Without tmux the way is the socket, and the sidecar refuses.
    pane.wait_screen("code=77", LATER);
    assert!(
        pane.screen().contains("no agent may control an agent"),
        "{}",
        pane.screen()
    );
}

#[test]
fn an_attached_person_is_back_after_a_restart_of_the_sidecar() {
    let mut agent = Headless::ready();
    let mut person = agent.attached(&[]);
    let sidecar = agent.sidecar.take().expect("it runs");
    kill(sidecar.pid(), SIGTERM);
    sidecar.wait(SOON);
    person.wait_screen("trying again", SOON);
    let next = agent.sandbox.start(&["run", "a", "--", FLEET, "demo-tui"]);
    agent.sidecar = Some(next);
    person.wait_screen("ready", SOON);
    until(SOON, "it is attached", || {
        agent.attached_pid() == person.pid()
    });
    person.write(b"still here");
    person.wait_screen("still here", SOON);
    person.write(LEAVE);
    assert_eq!(person.wait_exit(SOON), 0);
}

#[test]
fn an_attached_person_notices_nothing_of_an_upgrade() {
    let agent = Headless::ready();
    let person = agent.attached(&[]);
    person.write(b"half a ");
    person.wait_screen("half a", SOON);
    let upgraded = agent.sandbox.agent(&["upgrade", "a"]);
    assert_eq!(upgraded.code, 0, "{upgraded:?}");
    assert_eq!(agent.attached_pid(), person.pid());
    send(&agent.sandbox, "from a machine").must_be("occupied");
    person.write(b"thought");
    person.wait_screen("half a thought", SOON);
    assert!(!person.text().contains("trying again"));
}

/// A demo called `a` in tmux.
fn in_tmux() -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox
        .env("MOSAIC_AGENT_COMMAND", format!("{FLEET} demo-tui"))
        .env("MOSAIC_AGENT_RUNTIME", "demo");
    let launched = sandbox.agent(&["launch", "a"]);
    assert_eq!(launched.code, 0, "{launched:?}");
    sandbox
}

fn clients(sandbox: &Sandbox, session: &str) -> Vec<String> {
    let target = format!("={session}");
    let listed = sandbox.tmux(&["list-clients", "-t", &target, "-F", "#{client_pid}"]);
    listed.stdout.lines().map(str::to_owned).collect()
}

#[test]
fn an_agent_in_tmux_is_attached_to_by_tmux_one_at_a_time() {
    let sandbox = in_tmux();
    let mut first = attach(&sandbox, "a", &[]);
    first.wait_screen("Write a message", SOON);
    let pid = first.pid().to_string();
    assert_eq!(
        clients(&sandbox, "a"),
        std::slice::from_ref(&pid),
        "this process is tmux now"
    );
    assert_eq!(sandbox.status("a")["attached_pid"], first.pid());
    first.write(b"typed");
    first.wait_screen("typed", SOON);
    let mut second = attach(&sandbox, "a", &[]);
    assert_eq!(second.wait_exit(SOON), 75);
    let why = format!("pid {pid} is attached already");
    assert!(second.text().contains(&why), "{}", second.text());
    let mut third = attach(&sandbox, "a", &["--steal"]);
    third.wait_screen("typed", SOON);
    first.wait_exit(SOON);
    assert_eq!(clients(&sandbox, "a"), [third.pid().to_string()]);
    assert_eq!(sandbox.status("a")["attached_pid"], third.pid());
    // tmux's own way to leave.
    third.write(b"\x02d");
    assert_eq!(third.wait_exit(SOON), 0);
    until(SOON, "nobody is attached", || {
        sandbox.status("a")["attached_pid"] == Value::Null
    });
    assert_eq!(
        sandbox.agent(&["status", "a"]).code,
        0,
        "the agent lives on"
    );
}

/// The row of `a`, and what `ps` prints.
fn row(sandbox: &Sandbox) -> (Value, String) {
    let fleet = |args: &[&str]| {
        let mut command = sandbox.command(FLEET);
        command.args(args);
        Running::start(command, &sandbox.path("out"), b"").wait(LATER)
    };
    let all = fleet(&["ps", "--json", "a"]).json();
    (all["agents"][0].clone(), fleet(&["ps", "a"]).stdout)
}

#[test]
fn whoever_has_the_session_of_an_agent_on_a_terminal_is_shown_by_ps() {
    let sandbox = in_tmux();
    let socket = sandbox.var("MOSAIC_TMUX_SOCKET").to_owned();
    let tmux = |args: &[&str]| {
        let mut command = sandbox.command("tmux");
        command.args(["-L", &socket]).args(args);
        Pane::start(command, (120, 40))
    };
    let (alone, table) = row(&sandbox);
    assert_eq!(alone["tmux_clients"], json!([]), "{alone}");
    assert!(!table.contains("pid "), "{table}");
    // By `attach` from inside of tmux, which leaves no process of ours.
    let inside = tmux(&["new-session", "-s", "desk", "/bin/sh"]);
    until(SOON, "somebody works there", || {
        clients(&sandbox, "desk").len() == 1
    });
    inside.write(format!("{FLEET} attach a\r").as_bytes());
    inside.wait_screen("Write a message", SOON);
    let reader = tmux(&["attach-session", "-r", "-t", "=a"]);
    reader.wait_screen("Write a message", SOON);
    let (watched, table) = row(&sandbox);
    let mut seen = [(inside.pid(), false), (reader.pid(), true)];
    seen.sort_unstable();
    let seen = seen.map(|(pid, readonly)| json!({"pid": pid, "readonly": readonly}));
    assert_eq!(watched["tmux_clients"], json!(seen), "{watched}");
    assert_eq!(watched["attached_pid"], Value::Null, "{watched}");
    for said in [
        format!("pid {} is attached by tmux", inside.pid()),
        format!("pid {} looks on by tmux", reader.pid()),
    ] {
        assert!(table.contains(&said), "{said}: {table}");
    }
    drop((inside, reader));
    until(SOON, "they have left", || clients(&sandbox, "a").is_empty());
    // From a terminal: `attach` is tmux then, one and the same process.
    let outside = attach(&sandbox, "a", &[]);
    outside.wait_screen("Write a message", SOON);
    let (taken, table) = row(&sandbox);
    let pid = outside.pid();
    assert_eq!(taken["attached_pid"], pid, "{taken}");
    let client = json!([{"pid": pid, "readonly": false}]);
    assert_eq!(taken["tmux_clients"], client, "{taken}");
    assert!(table.contains(&format!("pid {pid} is attached")), "{table}");
    assert!(!table.contains("by tmux"), "{table}");
}

#[test]
fn from_inside_the_same_tmux_the_client_is_switched_and_from_another_one_it_is_said_how() {
    let sandbox = in_tmux();
    let start = |options: &[&str]| {
        let mut command = sandbox.command("tmux");
        command
            .args(options)
            .args(["new-session", "-s", "desk", "/bin/sh"]);
        Pane::start(command, (120, 40))
    };
    let socket = sandbox.var("MOSAIC_TMUX_SOCKET").to_owned();
    let inside = start(&["-L", &socket]);
    until(SOON, "somebody works there", || {
        clients(&sandbox, "desk").len() == 1
    });
    inside.write(format!("{FLEET} attach a; echo code=$?\r").as_bytes());
    inside.wait_screen("Write a message", SOON);
    assert_eq!(clients(&sandbox, "a"), [inside.pid().to_string()]);
    let another = start(&["-L", &format!("{socket}-2")]);
    another.write(format!("{FLEET} attach a; echo code=$?\r").as_bytes());
    another.wait_screen("code=2", SOON);
    assert!(
        another
            .screen()
            .contains("this terminal is in another tmux"),
        "{}",
        another.screen()
    );
    let end = ["-L", &format!("{socket}-2"), "kill-server"];
    let ended = sandbox
        .command("tmux")
        .args(end)
        .status()
        .expect("tmux runs");
    assert!(ended.success());
}
