//! `run --record` and `record`: what the agent's terminal has shown, in files that play by themselves.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::libc;
use serde_json::{Value, json};
use support::{
    AGENT, Client, Demo, FLEET, LATER, Output, Pane, Running, SOON, Sandbox, kill, until,
};

fn fleet(sandbox: &Sandbox, args: &[&str]) -> Output {
    let mut command = sandbox.command(FLEET);
    command.args(args);
    Running::start(command, &sandbox.path("out"), b"").wait(LATER)
}

/// Header and events of a recording; what a crash has cut off at its end does not count.
fn read(path: &Path) -> (Value, Vec<(f64, String, String)>) {
    let text = fs::read_to_string(path).unwrap_or_default();
    assert!(text.starts_with('{'), "{}: no header", path.display());
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let mut lines = whole.lines();
    let header = serde_json::from_str(lines.next().unwrap_or("null")).expect("a header");
    let events = lines.map(|line| match serde_json::from_str(line) {
        Ok(event) => event,
        Err(e) => panic!("{line}: {e}"),
    });
    (header, events.collect())
}

/// The first line of a recording that an agent has made before.
const OURS: &str = "{\"version\":3,\"term\":{\"cols\":80,\"rows\":24},\"timestamp\":1,\"mosaic\":{\"runtime\":\"sh\"}}\n";

fn of(events: &[(f64, String, String)], code: &str) -> Vec<String> {
    let these = events.iter().filter(|event| event.1 == code);
    these.map(|event| event.2.clone()).collect()
}

#[track_caller]
fn text_of(sandbox: &Sandbox, cast: &Path) -> String {
    let output = fleet(sandbox, &["tail", "--cast", cast.to_str().expect("a path")]);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{output:?}");
    output.stdout
}

/// A recorded shell that does what it is told and does not echo it.
fn shell(sandbox: &Sandbox, cast: &Path, more: &[&str]) -> Pane {
    let mut run = sandbox.command(AGENT);
    let script = "stty -echo; echo the shell; while IFS= read -r line; do eval \"$line\"; done";
    run.arg("run").arg(format!("--record={}", cast.display()));
    run.args(more).args(["sh", "--", "/bin/sh", "-c", script]);
    let pane = Pane::start(run, (60, 15));
    pane.wait_screen("the shell", SOON);
    // Bytes pass before the file is made; they wait for it in memory.
    until(SOON, "the recording has begun", || {
        fs::read(cast).is_ok_and(|begun| begun.starts_with(b"{"))
    });
    pane
}

#[test]
fn a_run_is_recorded_from_its_first_byte_to_its_exit_and_what_is_typed_is_not() {
    let sandbox = Sandbox::new();
    let cast = sandbox.path("a.cast");
    let mut pane = shell(&sandbox, &cast, &[]);
    pane.write(b"secret=hunter2; printf 'gr\xc3\xbcn \\033[31mred\\033[m\\n'\n");
    pane.wait_screen("red", SOON);
    pane.resize(50, 12);
    until(SOON, "the new size is recorded", || {
        of(&read(&cast).1, "r") == ["50x12"]
    });
    let status = sandbox.status("sh");
    assert_eq!(status["recording"]["file"], cast.display().to_string());
    assert_eq!(status["recording"]["input"], false);
    pane.write(b"exit 7\n");
    assert_eq!(pane.wait_exit(SOON), 7);
    let (header, events) = read(&cast);
    assert_eq!(header["version"], 3);
    assert_eq!(header["term"], json!({"cols": 60, "rows": 15}));
    assert!(
        header["timestamp"]
            .as_u64()
            .is_some_and(|at| at > 1_700_000_000)
    );
    assert_eq!(
        events.last().map(|e| (e.1.as_str(), e.2.as_str())),
        Some(("x", "7"))
    );
    assert_eq!(of(&events, "i"), Vec::<String>::new());
    let all = fs::read_to_string(&cast).expect("a recording");
    assert!(!all.contains("hunter2"), "{all}");
    assert_eq!(
        fs::metadata(&cast)
            .expect("it is there")
            .permissions()
            .mode()
            & 0o777,
        0o600
    );
    assert_eq!(text_of(&sandbox, &cast), "the shell\ngrün red\n");
}

#[test]
fn what_is_typed_is_recorded_if_that_was_asked_for_and_replays_to_the_same_verdict() {
    let sandbox = Sandbox::new();
    let cast = sandbox.path("a.cast");
    let demo = Demo::ready(&[]);
    let started = fleet(
        &demo.sandbox,
        &[
            "record",
            Demo::NAME,
            "start",
            "--input",
            "--file",
            cast.to_str().expect("a path"),
        ],
    );
    assert_eq!(started.code, 0, "{started:?}");
    assert!(started.stdout.contains("with what is typed"), "{started:?}");
    demo.send("recorded message", &["--id", "m-7"])
        .must_be("accepted");
    demo.submit("typed by hand");
    demo.pane.wait_screen("typed by hand", SOON);
    demo.wait_ready();
    let stopped = fleet(&demo.sandbox, &["record", Demo::NAME, "stop"]);
    assert_eq!(stopped.stdout, "demo: not recorded\n", "{stopped:?}");
    let (_, events) = read(&cast);
    let typed = of(&events, "i").concat();
    assert!(
        typed.contains("recorded message") && typed.contains("typed by hand"),
        "{typed:?}"
    );
    let marks = of(&events, "m");
    assert!(
        marks.starts_with(&["typing m-7".into(), "accepted m-7".into()]),
        "{marks:?}"
    );
    let replayed = fleet(
        &sandbox,
        &["replay", "--json", cast.to_str().expect("a path")],
    );
    let receipt = replayed
        .stdout
        .lines()
        .find(|line| line.contains("\"recorded message\""));
    assert!(
        receipt.is_some_and(|line| line.contains("\"verdict\":\"accepted\"")),
        "{replayed:?}"
    );
}

#[test]
fn a_recording_that_begins_later_begins_with_the_screen() {
    let sandbox = Sandbox::new();
    let demo = Demo::start(sandbox, &[]);
    demo.wait_ready();
    demo.send("before it", &[]).must_be("accepted");
    demo.wait_ready();
    let none = fleet(&demo.sandbox, &["record", Demo::NAME, "status"]);
    assert_eq!(none.stdout, "demo: not recorded\n");
    let started = fleet(&demo.sandbox, &["record", "--json", Demo::NAME, "start"]);
    let status: Value = serde_json::from_str(&started.stdout).expect("a status");
    let cast = PathBuf::from(status["recording"]["file"].as_str().expect("a file"));
    assert_eq!(
        cast.parent(),
        Some(demo.sandbox.run_dir().join("recordings").as_path())
    );
    demo.send("after it", &[]).must_be("accepted");
    until(SOON, "it is on the disk", || {
        text_of(&demo.sandbox, &cast).contains("after it")
    });
    let text = text_of(&demo.sandbox, &cast);
    assert!(text.contains("before it"), "{text}");
    // Both sides are told: the events, and what it is that is recorded.
    let events = fleet(
        &demo.sandbox,
        &["events", Demo::NAME, "--no-follow", "--kinds", "recording"],
    );
    assert_eq!(events.stdout.lines().count(), 1, "{events:?}");
}

#[test]
fn nobody_below_an_agent_records_it() {
    let sandbox = Sandbox::new();
    let cast = sandbox.path("a.cast");
    let script = format!(
        "{FLEET} record sh start --file {}; echo \"code $?\"; exec sleep 60",
        cast.display()
    );
    let pane = Pane::shell(&sandbox, &script);
    pane.wait_screen("code 77", LATER);
    assert!(!cast.exists());
}

#[test]
fn a_full_file_is_put_aside_and_each_of_them_plays_by_itself() {
    let sandbox = Sandbox::new();
    let cast = sandbox.path("a.cast");
    fs::write(&cast, OURS).expect("a recording of before");
    let mut pane = shell(&sandbox, &cast, &["--record-max=262144"]);
    for n in 0..12 {
        pane.write(format!("seq -f 'part {n} %06.0f' 1 20000; echo done {n}\n").as_bytes());
        pane.wait_screen(&format!("done {n}"), LATER);
    }
    pane.write(b"exit\n");
    pane.wait_exit(SOON);
    let numbered = |n: u32| sandbox.path(&format!("a.cast.{n}"));
    let last = text_of(&sandbox, &cast);
    assert!(last.ends_with("done 11\n"), "{last}");
    assert_eq!(of(&read(&cast).1, "x"), ["0"]);
    for n in 1..=4 {
        let file = numbered(n);
        let size = fs::metadata(&file).expect("it was put aside");
        // The smallest there is, and what one buffer may hold beyond it.
        assert!(size.len() <= 256 * 1024 + 128 * 1024, "{n}: {}", size.len());
        assert_eq!(size.permissions().mode() & 0o777, 0o600);
        let text = text_of(&sandbox, &file);
        assert!(text.contains("part "), "{n}: {text}");
        let (header, events) = read(&file);
        assert_eq!(header["version"], 3);
        assert_eq!(events[0].1, "o");
    }
    assert!(!numbered(5).exists());
}

#[test]
fn after_a_crash_all_but_the_last_second_is_there() {
    let sandbox = Sandbox::new();
    let cast = sandbox.path("a.cast");
    let pane = shell(&sandbox, &cast, &[]);
    pane.write(b"echo on the tape\n");
    until(SOON, "it is on the disk", || {
        of(&read(&cast).1, "o").concat().contains("on the tape")
    });
    kill(pane.pid(), libc::SIGKILL);
    assert!(text_of(&sandbox, &cast).ends_with("on the tape\n"));
}

#[test]
fn a_recording_that_cannot_go_on_ends_and_the_agent_does_not() {
    let sandbox = Sandbox::new();
    let dir = sandbox.path("tapes");
    fs::create_dir(&dir).expect("a directory");
    let pane = shell(&sandbox, &dir.join("a.cast"), &["--record-max=262144"]);
    fs::remove_dir_all(&dir).expect("it is removed");
    pane.write(b"seq 1 50000; echo still here\n");
    pane.wait_screen("still here", LATER);
    let status = sandbox.status("sh");
    assert!(status.get("recording").is_none(), "{status}");
    let warned = status["warnings"].as_array().expect("warnings");
    let is_told = |w: &Value| {
        w.as_str()
            .is_some_and(|w| w.contains("the recording has ended"))
    };
    assert!(warned.iter().any(is_told), "{status}");
    let refused = fleet(
        &sandbox,
        &["record", "sh", "start", "--file", "/proc/nowhere/a.cast"],
    );
    assert_eq!(refused.code, 78, "{refused:?}");
    let mut client = Client::greeted(&sandbox.socket("sh"));
    assert_eq!(client.ask(&json!({"op": "status"}))["state"], "starting");
}

#[test]
fn it_goes_on_over_an_upgrade() {
    let demo = Demo::ready(&[]);
    let cast = demo.sandbox.path("a.cast");
    let path = cast.display().to_string();
    let started = fleet(
        &demo.sandbox,
        &["record", Demo::NAME, "start", "--file", &path],
    );
    assert_eq!(started.code, 0, "{started:?}");
    demo.send("before", &[]).must_be("accepted");
    demo.wait_ready();
    let upgraded = fleet(&demo.sandbox, &["upgrade", Demo::NAME]);
    assert_eq!(upgraded.code, 0, "{upgraded:?}");
    demo.send("after", &[]).must_be("accepted");
    until(SOON, "it goes on", || {
        text_of(&demo.sandbox, &cast).contains("after")
    });
    let first = demo.sandbox.path("a.cast.1");
    assert!(text_of(&demo.sandbox, &first).contains("before"));
    assert_eq!(demo.sandbox.status(Demo::NAME)["recording"]["file"], path);
}

/// Where that file is put aside to.
fn numbered(file: &Path, n: &str) -> PathBuf {
    PathBuf::from(format!("{}.{n}", file.display()))
}

#[test]
fn a_file_that_is_no_recording_is_left_alone_and_the_recording_that_is_being_made_goes_on() {
    let demo = Demo::ready(&[]);
    let sandbox = &demo.sandbox;
    let start = |file: &Path| {
        let file = file.to_str().expect("a path");
        fleet(sandbox, &["record", Demo::NAME, "start", "--file", file])
    };
    let running = sandbox.path("running.cast");
    assert_eq!(start(&running).code, 0);
    let notes = sandbox.path("notes");
    fs::write(&notes, "what was there").expect("a file");
    let theirs = sandbox.path("theirs.cast");
    let other = "{\"version\": 2, \"width\": 80, \"height\": 24}\n";
    fs::write(&theirs, other).expect("a file");
    let link = sandbox.path("link");
    std::os::unix::fs::symlink(&notes, &link).expect("a link");
    for file in [&notes, &theirs, &link] {
        let refused = start(file);
        assert_eq!(refused.code, 78, "{refused:?}");
        let said = format!("{} is left as it is", file.display());
        assert!(refused.stderr.contains(&said), "{refused:?}");
        assert!(refused.stderr.contains("another file"), "{refused:?}");
        assert!(!numbered(file, "1").exists());
    }
    // Those that would be overwritten by the next ones count as well.
    let free = sandbox.path("free.cast");
    let fourth = numbered(&free, "4");
    fs::write(&fourth, "mine").expect("a file");
    let refused = start(&free);
    assert_eq!(refused.code, 78, "{refused:?}");
    assert!(
        refused.stderr.contains("free.cast.4 is left"),
        "{refused:?}"
    );
    assert!(!free.exists());
    let text = |file: &Path| fs::read_to_string(file).expect("it is there");
    assert_eq!(
        [&notes, &theirs, &link, &fourth].map(|file| text(file)),
        ["what was there", other, "what was there", "mine"]
    );
    let status = sandbox.status(Demo::NAME);
    assert_eq!(status["recording"]["file"], running.display().to_string());
    assert_eq!(status["warnings"], json!([]), "{status}");
    demo.send("still recorded", &[]).must_be("accepted");
    until(SOON, "the recording goes on", || {
        text_of(sandbox, &running).contains("still recorded")
    });
    // An empty file holds nothing of anybody's, and a recording of ours is put aside.
    fs::write(&notes, "").expect("a file");
    fs::write(&theirs, OURS).expect("a file");
    for file in [&notes, &theirs] {
        let started = start(file);
        assert_eq!(started.code, 0, "{started:?}");
        assert!(text(file).starts_with("{\"version\":3,"));
    }
    assert_eq!(text(&numbered(&notes, "1")), "");
    assert_eq!(text(&numbered(&theirs, "1")), OURS);
}

#[test]
fn a_size_below_the_least_is_refused_with_the_least_named() {
    let demo = Demo::ready(&[]);
    let file = demo.sandbox.path("a.cast");
    let path = file.to_str().expect("a path");
    let start = ["record", Demo::NAME, "start", "--file", path, "--max-size"];
    for size in ["1K", "0", "262143", "255K"] {
        let refused = fleet(&demo.sandbox, &[&start[..], &[size]].concat());
        assert_eq!(refused.code, 2, "{refused:?}");
        assert!(refused.stderr.contains("at least 262144"), "{refused:?}");
    }
    let run = ["run", "--record-max", "262143", "sh", "--", "/bin/true"];
    let refused = demo.sandbox.agent(&run);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("at least 262144"), "{refused:?}");
    // The sidecar believes no caller.
    let mut client = Client::greeted(&demo.sandbox.socket(Demo::NAME));
    let answer = client.ask(&json!({"op": "record", "path": path, "max_bytes": 262_143}));
    assert_eq!(answer["error"], "bad_field", "{answer}");
    assert_eq!(answer["exit"], 2, "{answer}");
    let answer = client.ask(&json!({"op": "record", "path": "a.cast"}));
    assert_eq!(answer["error"], "bad_field", "where is that? {answer}");
    assert!(!file.exists());
    let started = fleet(&demo.sandbox, &[&start[..], &["256K"]].concat());
    assert_eq!(started.code, 0, "{started:?}");
}

#[test]
fn a_run_that_cannot_be_recorded_runs_and_warns() {
    let sandbox = Sandbox::new();
    let notes = sandbox.path("notes");
    fs::write(&notes, "what was there").expect("a file");
    let mut run = sandbox.command(AGENT);
    run.arg("run").arg(format!("--record={}", notes.display()));
    run.args(["sh", "--", "/bin/sh", "-c", "echo the shell; sleep 60"]);
    let pane = Pane::start(run, (60, 15));
    pane.wait_screen("the shell", SOON);
    let status = sandbox.status("sh");
    assert!(status.get("recording").is_none(), "{status}");
    let warned = status["warnings"][0].as_str().unwrap_or_default();
    assert!(
        warned.contains("nothing is recorded") && warned.contains("notes is left as it is"),
        "{status}"
    );
    let left = fs::read_to_string(&notes).expect("it is there");
    assert_eq!(left, "what was there");
    assert!(!sandbox.path("notes.1").exists());
}

#[test]
fn what_is_no_file_is_not_put_aside() {
    let demo = Demo::ready(&[]);
    let device = demo.sandbox.path("device");
    let made = std::process::Command::new("mkfifo").arg(&device).status();
    assert!(made.expect("mkfifo runs").success());
    let path = device.display().to_string();
    let output = fleet(
        &demo.sandbox,
        &["record", Demo::NAME, "start", "--file", &path],
    );
    assert_eq!(output.code, 78, "{output:?}");
    assert!(device.exists() && !demo.sandbox.path("device.1").exists());
}
