//! Sentences of the contract about spellings and lengths: what a caller who knows nothing but these may try.

mod support;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::json;
use support::{AGENT, FLEET, LATER, Log, Output, Running, Sandbox, get, skip};

/// A sandbox whose agents are demos, with their log.
fn demos() -> (Sandbox, Log) {
    let mut sandbox = Sandbox::new();
    let log = sandbox.path("demo.log");
    let command = format!("{FLEET} demo-tui --log {}", log.display());
    sandbox
        .env("MOSAIC_AGENT_COMMAND", command)
        .env("MOSAIC_AGENT_RUNTIME", "demo");
    (sandbox, Log::at(log))
}

/// A demo called `coder0` without a terminal, ready.
#[track_caller]
fn headless(sandbox: &Sandbox) -> Running {
    let running = sandbox.start(&["run", "coder0"]);
    sandbox.wait_state("coder0", "ready");
    running
}

/// Runs a script of `launcher/`, by its own path or by another one.
#[track_caller]
fn script(sandbox: &Sandbox, path: &Path, args: &[&str]) -> Output {
    let mut command = sandbox.command(path);
    command.args(args);
    Running::start(command, &sandbox.path("out"), b"").wait(LATER)
}

fn launcher(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("launcher")
        .join(name)
}

// ---------------------------------------------------------------- run

#[test]
fn the_options_of_run_stand_on_either_side_of_the_name_and_never_in_its_command() {
    let mut sandbox = Sandbox::new();
    let told = sandbox.path("told");
    let tells = format!("stty size >{}; exit 7", told.display());
    for args in [
        ["run", "--size", "90x30", "coder0"].as_slice(),
        &["run", "coder0", "--size", "90x30"],
        &["run", "coder0", "--size=90x30"],
    ] {
        let args = [args, &["--", "sh", "-c", &tells]].concat();
        let ended = sandbox.agent(&args);
        assert_eq!(ended.code, 7, "{args:?}: {ended:?}");
        let size = fs::read_to_string(&told).expect("its size");
        assert_eq!(size, "30 90\n", "{args:?}");
    }
    sandbox.env("MOSAIC_AGENT_NAME", "coder1");
    let ended = sandbox.agent(&["run", "--", "sh", "-c", "exit 8"]);
    assert_eq!(ended.code, 8, "{ended:?}");
    assert_eq!(sandbox.heartbeat("coder1")["exit"], "8");
}

// ---------------------------------------------------------------- launch

#[test]
fn an_agent_whose_socket_just_fits_is_launched_and_one_byte_more_is_refused_by_name() {
    let (mut sandbox, _) = demos();
    let fill = |sandbox: &Sandbox, bytes: usize| {
        let rest = bytes - "/mosaic/c.sock".len() - sandbox.path("x").as_os_str().len();
        let dir = sandbox.path(&format!("x{}", "x".repeat(rest)));
        fs::create_dir_all(&dir).expect("a directory in the sandbox");
        dir.display().to_string()
    };
    // A Unix socket's path has 107 bytes.
    let dir = fill(&sandbox, 107);
    sandbox.env("XDG_RUNTIME_DIR", dir);
    let launched = sandbox.agent(&["launch", "c"]);
    assert_eq!(launched.code, 0, "{launched:?}");
    let socket = sandbox.heartbeat("c")["sock"].clone();
    assert_eq!(socket.len(), 107, "{socket}");
    let left = fs::read_dir(Path::new(&socket).parent().expect("its directory"));
    let mut left: Vec<_> = left.into_iter().flatten().flatten().collect();
    left.retain(|entry| !entry.file_name().to_string_lossy().starts_with("c."));
    assert!(left.is_empty(), "{left:?}");
    let dir = fill(&sandbox, 108);
    sandbox.env("XDG_RUNTIME_DIR", dir);
    let refused = sandbox.agent(&["launch", "c"]);
    assert_eq!(refused.code, 0, "it runs already: {refused:?}");
    let refused = sandbox.agent(&["launch", "d"]);
    assert_eq!(refused.code, 78, "{refused:?}");
    for words in ["/mosaic/d.sock", "108 bytes", "at most 107"] {
        assert!(refused.stderr.contains(words), "{words}: {refused:?}");
    }
}

#[test]
fn an_agent_that_runs_elsewhere_is_running_already_and_stays_where_it_is() {
    let (mut sandbox, _) = demos();
    let _running = headless(&sandbox);
    let sidecar = sandbox.heartbeat("coder0")["sidecar"].clone();
    let launched = sandbox.agent(&["launch", "coder0"]);
    let said = (launched.code, launched.stdout.as_str());
    assert_eq!(said, (0, "already running: coder0\n"), "{launched:?}");
    assert!(launched.stderr.contains("no tmux session"), "{launched:?}");
    assert_eq!(sandbox.tmux(&["list-sessions"]).stdout, "");
    assert_eq!(sandbox.heartbeat("coder0")["sidecar"], sidecar);
    // In tmux, but on another socket.
    assert_eq!(sandbox.agent(&["launch", "coder1"]).code, 0);
    let other = format!("{}-other", sandbox.var("MOSAIC_TMUX_SOCKET"));
    sandbox.env("MOSAIC_TMUX_SOCKET", other);
    let launched = sandbox.agent(&["launch", "coder1"]);
    let said = (launched.code, launched.stdout.as_str());
    assert_eq!(said, (0, "already running: coder1\n"), "{launched:?}");
    assert_eq!(sandbox.tmux(&["list-sessions"]).stdout, "");
}

#[test]
fn a_run_directory_that_cannot_be_written_to_is_named_by_run_and_by_doctor() {
    let mut sandbox = Sandbox::new();
    let dir = sandbox.path("mounted");
    fs::create_dir(&dir).expect("a directory in the sandbox");
    let dir = dir.display().to_string();
    sandbox.env("MOSAIC_HEARTBEAT_RUN_DIR", &dir);
    // A mount of our own, which ends with the command; not even root writes there.
    let mounts =
        "mount -t tmpfs -o mode=700 none \"$0\" && mount -o remount,ro \"$0\" && exec \"$@\"";
    let read_only = |args: &[&str]| {
        let mut command = sandbox.command("unshare");
        command
            .args(["-rm", "sh", "-c", mounts, &dir, AGENT])
            .args(args);
        Running::start(command, &sandbox.path("out"), b"").wait(LATER)
    };
    let seen = read_only(&["doctor", "--json"]);
    if seen.stdout.is_empty() {
        return skip("a read-only directory", &seen.stderr);
    }
    let checks = seen.json()["checks"].clone();
    let mut checks = checks.as_array().into_iter().flatten();
    let found = checks.find(|check| check["check"] == "run directory");
    let found = found.expect("a row for it");
    assert_eq!(found["result"], "fail", "{found}");
    assert!(
        found["said"].to_string().contains("cannot be written to"),
        "{found}"
    );
    let refused = read_only(&["run", "coder0", "--", "true"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    for words in ["coder0.lock", "Read-only", "mosaic-agent doctor"] {
        assert!(refused.stderr.contains(words), "{words}: {refused:?}");
    }
}

// ---------------------------------------------------------------- words

#[test]
fn a_dash_is_standard_input_wherever_a_file_may_be() {
    let (sandbox, log) = demos();
    let _running = headless(&sandbox);
    let send = ["send", "--verify", "--no-preamble", "coder0"];
    for (args, text) in [(["-f", "-"].as_slice(), "one\n"), (&["-"], "two\n")] {
        let args = [&send, args].concat();
        let sent = sandbox.start_with(&args, text.as_bytes()).wait(LATER);
        assert_eq!(sent.code, 0, "{args:?}: {sent:?}");
    }
    assert_eq!(log.taken(), ["one", "two"]);
    let cast = "tests/recordings/claude-queued.cast";
    let cast = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(cast)).expect("a recording");
    for args in [
        ["replay", "--json", "-"].as_slice(),
        &["explain", "--json", "--cast", "-"],
        &["tail", "--json", "--cast=-"],
    ] {
        let told = sandbox.start_with(args, &cast).wait(LATER);
        assert_eq!(told.code, 0, "{args:?}: {told:?}");
        assert!(told.stdout.contains("\"schema\":\"mosaic."), "{told:?}");
    }
}

#[test]
fn a_text_that_is_not_utf_8_is_rejected_wherever_it_comes_from() {
    let (sandbox, _) = demos();
    let _running = headless(&sandbox);
    let file = sandbox.path("text");
    fs::write(&file, b"a\xffb").expect("a file in the sandbox");
    for given in [
        OsStr::from_bytes(b"-ma\xffb"),
        OsStr::from_bytes(&[b"-f", file.as_os_str().as_bytes()].concat()),
    ] {
        let mut command = sandbox.command(AGENT);
        command.args(["send", "--json", "coder0"]).arg(given);
        let sent = Running::start(command, &sandbox.path("out"), b"").wait(LATER);
        let receipt = sent.json();
        let verdict = (sent.code, &receipt["verdict"], &receipt["typed"]);
        assert_eq!(verdict, (6, &json!("rejected"), &json!(false)), "{sent:?}");
        assert!(receipt["reason"].to_string().contains("UTF-8"), "{sent:?}");
    }
}

#[test]
fn quiet_prints_nothing_and_leaves_the_exit_code() {
    let (sandbox, _) = demos();
    let _running = headless(&sandbox);
    for args in [
        ["status", "--quiet", "coder0"].as_slice(),
        &["probe", "-q", "coder0"],
        &["reset", "-q", "--wait", "20", "coder0"],
        &["stop", "--now", "-q", "coder0"],
    ] {
        let done = sandbox.agent(args);
        let said = (done.code, done.stdout.as_str(), done.stderr.as_str());
        assert_eq!(said, (0, "", ""), "{args:?}");
    }
    let gone = sandbox.agent(&["status", "--quiet", "coder0"]);
    assert_eq!((gone.code, gone.stdout.as_str()), (3, ""));
    assert!(gone.stderr.contains("coder0"), "{gone:?}");
}

#[test]
fn a_verb_shows_its_page_and_the_schema_of_its_document_however_it_is_asked() {
    let sandbox = Sandbox::new();
    for verb in ["send", "run", "stop"] {
        let page = sandbox.agent(&[verb, "--help"]);
        assert_eq!(sandbox.agent(&["help", verb]).stdout, page.stdout);
    }
    assert_eq!(sandbox.agent(&["help", "fly"]).code, 2);
    let schema = sandbox.agent(&["--schema", "status"]);
    assert_eq!(schema.code, 0, "{schema:?}");
    for args in [
        ["status", "--schema"].as_slice(),
        &["probe", "coder0", "--schema"],
    ] {
        assert_eq!(sandbox.agent(args).stdout, schema.stdout, "{args:?}");
    }
}

#[test]
fn hooks_for_nobody_are_not_installed_without_a_word() {
    let sandbox = Sandbox::new();
    let done = sandbox.agent(&["hooks", "install"]);
    assert_eq!((done.code, done.stdout.as_str()), (0, ""));
    assert!(done.stderr.contains("hooks install claude"), "{done:?}");
}

#[test]
fn who_writes_is_the_session_the_sender_stands_in_unless_it_is_an_agent_or_says_so() {
    let (sandbox, log) = demos();
    let launched = sandbox.agent(&["launch", "coder0"]);
    assert_eq!(launched.code, 0, "{launched:?}");
    let done = sandbox.path("done");
    for (n, (how, sender)) in [
        ("", "boss"),
        ("MOSAIC_AGENT_NAME=coder7 ", "coder7"),
        ("env -u TMUX ", &*user()),
    ]
    .into_iter()
    .enumerate()
    {
        let line = format!(
            "{how}{AGENT} send --verify coder0 -m {n}; echo $? >{}.{n}; exec sleep 60",
            done.display()
        );
        let session = format!("boss{}", "x".repeat(n));
        let made = sandbox.tmux(&["new-session", "-d", "-s", &session, &line]);
        assert_eq!(made.code, 0, "{made:?}");
        let code = get(LATER, "the message is sent", || {
            let code = fs::read_to_string(format!("{}.{n}", done.display())).ok()?;
            code.ends_with('\n').then_some(code)
        });
        assert_eq!(code, "0\n");
        let taken = log.taken();
        let last = taken.last().expect("a message");
        assert!(last.contains(&format!(":{sender} -> ")), "{n}: {last}");
    }
}

/// The name of the user who runs the tests.
fn user() -> String {
    let me = nix::unistd::geteuid();
    let user = nix::unistd::User::from_uid(me).ok().flatten();
    user.map_or_else(|| me.to_string(), |user| user.name)
}

#[test]
fn who_writes_is_somebody_or_is_left_out() {
    let sandbox = Sandbox::new();
    let sent = sandbox.agent(&["send", "coder0", "-m", "hi", "--from", " "]);
    assert_eq!(sent.code, 2, "{sent:?}");
    assert!(sent.stderr.contains("--no-preamble"), "{sent:?}");
}

#[test]
fn an_output_that_takes_nothing_changes_no_exit_code() {
    let (sandbox, _) = demos();
    for (line, code) in [
        ("\"$0\" launch coder0 >/dev/full", 0),
        ("\"$0\" launch coder0 >/dev/full", 0),
        ("\"$0\" status coder0 >/dev/full", 0),
        ("\"$0\" status ghost 2>/dev/full", 3),
        ("\"$0\" fly 2>/dev/full", 2),
        ("\"$0\" run ghost -- /nowhere 2>/dev/full", 127),
    ] {
        let mut command = sandbox.command("/bin/sh");
        command.args(["-c", line, AGENT]);
        let done = Running::start(command, &sandbox.path("out"), b"").wait(LATER);
        assert_eq!(done.code, code, "{line}: {done:?}");
    }
}

// ---------------------------------------------------------------- the old names

#[test]
fn the_old_names_work_through_a_link_and_with_values_behind_their_flags() {
    let (mut sandbox, log) = demos();
    sandbox.env("MOSAIC_AGENT_BIN", AGENT);
    let linked = |name: &str| {
        let link = sandbox.path("home").join(name);
        symlink(launcher(name), &link).expect("a link in the sandbox");
        link
    };
    let [start, send, message] =
        ["start-agent-session.sh", "agent-send.sh", "send-message.sh"].map(linked);
    let launched = script(&sandbox, &start, &["coder0"]);
    assert_eq!(launched.code, 0, "{launched:?}");
    let again = script(&sandbox, &start, &["coder0"]);
    assert_eq!(
        (again.code, again.stdout.as_str()),
        (0, "already running: coder0\n")
    );
    let socket = format!("-L{}", sandbox.var("MOSAIC_TMUX_SOCKET"));
    for (name, text) in [(&send, "-mmore"), (&message, "-m-t x")] {
        let sent = script(
            &sandbox,
            name,
            &[&socket, "-tcoder0", "-Sbox:me", text, "--verify"],
        );
        assert_eq!(sent.code, 0, "{sent:?}");
    }
    let taken = log.taken();
    assert!(
        matches!(&taken[..], [a, b] if a.starts_with("[box:me -> ") && a.ends_with("] more") && b.ends_with("] -t x")),
        "{taken:?}"
    );
}
