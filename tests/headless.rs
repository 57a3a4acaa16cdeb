//! Agents without a terminal: started bare, as a unit, cron or `ssh` without `-t` start them. The sidecar is
//! the terminal then: it has a size and answers what a terminal is asked (`docs/operating.md`, "Headless").

mod support;
mod trials;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use nix::libc::SIGTERM;
use support::runtimes::{available, skip};
use support::{FLEET, LATER, Managed, Pane, SOON, Sandbox, code, get, kill, ms, until};
use trials::Stub;

/// Asks in a cooked terminal without echo, and tells what it was answered, up to the answer that ends with `$2`.
const ASK: &str = r#"#!/bin/bash
stty raw -echo
printf "$1"
said=
while IFS= read -rN1 -t 5 c; do said+=$c; case $said in *"$2") break ;; esac; done
printf '\r\n%q|%s|%s|%s|\r\n' "$said" "$TERM" "$COLORTERM" "${TMUX-none}"
stty size
exec sleep 1000
"#;

/// What the program that asks has printed about the answers.
fn told(sandbox: &mut Sandbox, options: &[&str], asked: &str, end: &str) -> String {
    let script = sandbox.script("ask", ASK).display().to_string();
    let args = [&["run"], options, &["a", "--", &script, asked, end]].concat();
    let running = sandbox.start(&args);
    let screen = get(SOON, "the program has told what it heard", || {
        let tail = sandbox.agent(&["tail", "a"]).stdout;
        let lines: Vec<&str> = tail.lines().filter(|l| !l.trim().is_empty()).collect();
        let last = lines.last()?.split(' ').all(|n| n.parse::<u16>().is_ok());
        (last && lines.len() > 1).then_some(tail)
    });
    kill(running.pid(), SIGTERM);
    let ended = running.wait(SOON);
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", ""));
    screen
}

#[test]
fn questions_are_answered_in_order_as_an_xterm_would() {
    let mut sandbox = Sandbox::new();
    // Left over from a tmux that the sidecar was not started in for this.
    sandbox
        .env("TMUX", "/tmp/none,1,0")
        .env("TERM", "tmux-256color");
    let asked = r"\033[>0q\033[6n\033[?2026$p\033]11;?\007\033]7501;?\007\033[c";
    let screen = told(&mut sandbox, &[], asked, "22c");
    let version = env!("CARGO_PKG_VERSION");
    let expected = format!(
        r"$'\EP>|mosaic-agent({version})\E\\\E[1;1R\E[?2026;2$y\E]11;rgb:0000/0000/0000\E\\\E]7501;?\E\\\E[?62;22c'|xterm-256color|truecolor|none|"
    );
    let one_line: String = screen.lines().collect();
    assert!(one_line.contains(&expected), "{screen}");
    assert!(screen.trim_end().ends_with("40 120"), "{screen}");
    assert!(!sandbox.heartbeat("a").contains_key("tmux"));
}

#[test]
fn the_size_is_configurable_and_the_option_stands_above_the_variable() {
    let mut sandbox = Sandbox::new();
    sandbox
        .env("MOSAIC_AGENT_SIZE", "100x30")
        .env("COLORTERM", "24bit");
    let screen = told(&mut sandbox, &[], r"\033[18t", "t");
    assert!(screen.contains("8;30;100t"), "{screen}");
    assert!(screen.contains("|24bit|"), "{screen}");
    assert!(screen.trim_end().ends_with("30 100"), "{screen}");
    let screen = told(&mut sandbox, &["--size", "90x20"], r"\033[18t", "t");
    assert!(screen.contains("8;20;90t"), "{screen}");
    assert!(screen.trim_end().ends_with("20 90"), "{screen}");
}

#[test]
fn a_size_that_is_none_is_refused_by_name() {
    let mut sandbox = Sandbox::new();
    let refused = sandbox.agent(&["run", "--size", "wide", "a", "--", "sleep", "1"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(
        refused.stderr.contains("\"wide\" is no size"),
        "{refused:?}"
    );
    sandbox.env("MOSAIC_AGENT_SIZE", "120x4000");
    let refused = sandbox.agent(&["run", "a", "--", "sleep", "1"]);
    assert_eq!(refused.code, 78, "{refused:?}");
    assert!(
        refused.stderr.contains("MOSAIC_AGENT_SIZE: \"120x4000\""),
        "{refused:?}"
    );
}

#[test]
fn a_program_that_echoes_its_answers_does_not_keep_the_sidecar_busy() {
    let sandbox = Sandbox::new();
    let script = "#!/bin/bash\nstty raw -echo\nprintf '\\033]7501;?\\007'\nexec cat\n";
    let script = sandbox.script("echo", script).display().to_string();
    let running = sandbox.start(&["run", "a", "--", &script]);
    let ticks = || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", running.pid())).unwrap_or_default();
        let fields: Vec<&str> = stat
            .rsplit(") ")
            .next()
            .unwrap_or_default()
            .split(' ')
            .collect();
        let number = |n: usize| {
            fields
                .get(n)
                .and_then(|f| f.parse::<u64>().ok())
                .unwrap_or(0)
        };
        number(11) + number(12)
    };
    until(SOON, "it is up", || sandbox.find_heartbeat("a").is_some());
    let (before, since) = (ticks(), Instant::now());
    support::always(ms(2_000), "it answers", || {
        sandbox.agent(&["status", "a"]).code != 1
    });
    let (used, lasted) = (ticks() - before, since.elapsed());
    // 100 ticks are a second.
    assert!(
        u128::from(used) * 10 < lasted.as_millis() / 4,
        "{used} ticks in {lasted:?}"
    );
    kill(running.pid(), SIGTERM);
    running.wait(SOON);
}

/// A directory outside of /tmp, where codex dislikes a home. Goes with the test.
struct Home(PathBuf);

impl Home {
    fn new() -> Home {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = format!("/var/tmp/mosaic-headless-{}-{n}", std::process::id());
        fs::create_dir(&path).expect("a directory can be made");
        Home(path.into())
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What starts a runtime that talks to a stub of its own; none if the runtime is not to be tested.
fn prepared(runtime: &str) -> Option<(Home, Stub, String)> {
    if let Err(why) = available(runtime) {
        skip(runtime, &why);
        return None;
    }
    let home = Home::new();
    let stub = Stub::start(&home.0);
    let prepare = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/runtimes/prepare");
    let made = Command::new(prepare)
        .arg(runtime)
        .arg(home.0.join("rt"))
        .arg(&stub.port)
        .output()
        .expect("tests/runtimes/prepare runs");
    assert!(made.status.success(), "{made:?}");
    let command = String::from_utf8_lossy(&made.stdout).trim().to_owned();
    Some((home, stub, command))
}

/// Sends, looks with every verb, and holds the receipt against what the model got.
fn all_verbs_work(sandbox: &Sandbox, stub: Option<&Stub>) {
    let text = "Are you there without a terminal?";
    let sent = sandbox.agent(&["send", "--verify", "a", "-m", text]);
    assert_eq!(sent.code, 0, "{sent:?}");
    assert!(sent.stdout.starts_with("accepted"), "{sent:?}");
    if let Some(stub) = stub {
        until(LATER, "the model has got it", || stub.got(text).is_some());
    }
    let tail = sandbox.agent(&["tail", "a"]);
    assert!(tail.stdout.contains("without a terminal?"), "{tail:?}");
    let status = sandbox.status("a");
    assert_eq!(
        (&status["cols"], &status["rows"]),
        (&120.into(), &40.into())
    );
    let explained = sandbox.agent(&["explain", "a"]);
    assert_eq!(explained.code, 0, "{explained:?}");
    let verified = sandbox.agent(&["verify", "a", "--contains", "without a terminal?"]);
    assert_eq!(verified.code, 0, "{verified:?}");
}

fn wait_ready(sandbox: &Sandbox) {
    until(LATER, "it is ready", || {
        sandbox
            .find_heartbeat("a")
            .is_some_and(|beat| beat["state"] == "ready")
    });
}

/// Starts it as a plain child without a terminal, and ends it by SIGTERM.
fn works_as_a_plain_child(runtime: &str) {
    let Some((_home, stub, command)) = prepared(runtime) else {
        return;
    };
    let sandbox = Sandbox::new();
    let out = sandbox.path("out/run");
    let file = fs::File::create(&out).expect("a file in the sandbox");
    let mut child = sandbox
        .command(support::AGENT)
        .args(["run", "a", "--", &command])
        .env_remove("TERM")
        .stdin(Stdio::null())
        .stdout(file.try_clone().expect("a descriptor"))
        .stderr(file)
        .spawn()
        .expect("mosaic-agent runs");
    let since = Instant::now();
    wait_ready(&sandbox);
    let took = since.elapsed();
    all_verbs_work(&sandbox, Some(&stub));
    eprintln!("{runtime}: ready after {} ms", took.as_millis());
    let pid = i32::try_from(child.id()).expect("a pid");
    kill(pid, SIGTERM);
    let status = get(SOON, "it has ended", || {
        child.try_wait().expect("our child")
    });
    let beat = sandbox.heartbeat("a");
    let expected = match beat["exit"].strip_prefix("signal ") {
        Some(signal) => 128 + signal.parse::<i32>().expect("a signal"),
        None => beat["exit"].parse().expect("a code"),
    };
    assert_eq!(code(status), expected, "{beat:?}");
    assert_eq!(beat["reason"], "terminated");
    sandbox.wait_empty(SOON);
    assert!(!sandbox.socket("a").exists());
    assert_eq!(fs::read_to_string(out).ok().as_deref(), Some(""));
}

#[test]
fn pi_works_as_a_plain_child() {
    works_as_a_plain_child("pi");
}

/// A person in a terminal takes a headless runtime over, writes a draft, and submits it.
fn can_be_attached_to(runtime: &str) {
    let Some((_home, stub, command)) = prepared(runtime) else {
        return;
    };
    let sandbox = Sandbox::new();
    let running = sandbox.start(&["run", "a", "--", &command]);
    wait_ready(&sandbox);
    let mut attach = sandbox.command(FLEET);
    attach.args(["attach", "a"]);
    let mut person = Pane::start(attach, (120, 41));
    person.wait_screen("Ctrl-] leaves", SOON);
    person.write("Is this h\u{e1}lf a thought.".as_bytes());
    person.wait_screen("Is this h\u{e1}lf a thought.", SOON);
    let sent = sandbox.agent(&["send", "--verify", "a", "-m", "from a machine"]);
    assert!(sent.stdout.starts_with("occupied"), "{sent:?}");
    person.write(b"\r");
    until(LATER, "the model has got it", || {
        stub.got("Is this h\u{e1}lf a thought.").is_some()
    });
    wait_ready(&sandbox);
    person.write(b"\x1d");
    assert_eq!(person.wait_exit(SOON), 0);
    assert!(person.is_as_found());
    let verified = sandbox.agent(&["verify", "a", "--contains", "lf a thought"]);
    assert_eq!(verified.code, 0, "{verified:?}");
    kill(running.pid(), SIGTERM);
    running.wait(SOON);
    sandbox.wait_empty(SOON);
}

#[test]
fn a_person_can_be_attached_to_pi() {
    can_be_attached_to("pi");
}

#[test]
fn a_person_can_be_attached_to_codex() {
    can_be_attached_to("codex");
}

#[test]
fn a_person_can_be_attached_to_claude() {
    can_be_attached_to("claude");
}

#[test]
fn a_person_can_be_attached_to_opencode() {
    can_be_attached_to("opencode");
}

#[test]
fn codex_works_as_a_plain_child() {
    works_as_a_plain_child("codex");
}

#[test]
fn claude_works_as_a_plain_child() {
    works_as_a_plain_child("claude");
}

#[test]
fn opencode_works_as_a_plain_child() {
    works_as_a_plain_child("opencode");
}

/// A unit whose main process is the sidecar itself.
fn start_unit(managed: &Managed, command: &str) {
    let dir = managed.path("home/.config/systemd/user");
    fs::create_dir_all(&dir).expect("a directory in the sandbox");
    let log = managed.path("out/units.log");
    let unit = format!(
        "[Service]\nExecStart={} run a -- {command}\nKillMode=mixed\nSuccessExitStatus=143\nStandardOutput=append:{log}\nStandardError=append:{log}\n",
        support::AGENT,
        log = log.display(),
    );
    fs::write(dir.join("bare.service"), unit).expect("a file in the sandbox");
    managed.must(&["daemon-reload"]);
    managed.must(&["start", "bare.service"]);
}

fn works_as_a_unit(runtime: &str, command: &str, stub: Option<&Stub>) {
    let Some(managed) = Managed::start(&format!("{runtime} as a unit without a terminal")) else {
        return;
    };
    start_unit(&managed, command);
    wait_ready(&managed);
    all_verbs_work(&managed, stub);
    let inside = managed.processes_in("bare.service");
    let beat = managed.heartbeat("a");
    assert!(inside.contains(&beat["pid"].parse().expect("a pid")));
    managed.must(&["stop", "bare.service"]);
    assert_eq!(
        managed.is_active("bare.service"),
        "inactive",
        "and not failed"
    );
    let beat = managed.heartbeat("a");
    assert_eq!(beat["reason"], "terminated");
    assert!(!managed.socket("a").exists());
    for pid in inside {
        until(SOON, "its processes are gone", || {
            !support::pid_is_alive(pid)
        });
    }
    let printed = fs::read_to_string(managed.path("out/units.log")).unwrap_or_default();
    assert_eq!(printed, "", "nothing of the screen is in the journal");
}

#[test]
fn the_demo_works_as_a_unit() {
    works_as_a_unit("demo", &format!("{FLEET} demo-tui"), None);
}

#[test]
fn a_unit_fails_with_the_code_of_its_runtime() {
    let Some(managed) = Managed::start("a unit without a terminal fails as its runtime does")
    else {
        return;
    };
    start_unit(&managed, "/bin/sh -c 'exit 7'");
    managed.wait_active("bare.service", "failed");
    assert_eq!(managed.show("bare.service", "ExecMainStatus"), "7");
}

#[test]
fn codex_works_as_a_unit() {
    if let Some((_home, stub, command)) = prepared("codex") {
        works_as_a_unit("codex", &command, Some(&stub));
    }
}

#[test]
fn pi_works_as_a_unit() {
    if let Some((_home, stub, command)) = prepared("pi") {
        works_as_a_unit("pi", &command, Some(&stub));
    }
}
