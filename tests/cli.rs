//! What the command line answers to bad input and bad surroundings: exit codes and words that help.
//! The agents here run headless, as under systemd.

mod support;

use std::fs;
use std::os::unix::fs::symlink;

use nix::libc::{SIGCONT, SIGSTOP};
use support::{FLEET, LATER, Output, Running, SOON, Sandbox, kill, ms};

/// It failed with this code, and its complaint names this.
#[track_caller]
fn assert_refused(output: &Output, code: i32, names: &str) {
    assert_eq!(output.code, code, "{output:?}");
    assert_eq!(output.stdout, "", "{output:?}");
    assert!(
        output.stderr.contains(names),
        "{names:?} is not in {output:?}"
    );
    assert!(!output.stderr.contains("panicked"), "{output:?}");
}

/// A demo without a terminal, ready.
#[track_caller]
fn headless(sandbox: &Sandbox) -> Running {
    let running = sandbox.start(&["run", "demo", "--", FLEET, "demo-tui"]);
    sandbox.wait_state("demo", "ready");
    running
}

// ---------------------------------------------------------------- words

#[test]
fn help_and_version_go_to_standard_output() {
    let sandbox = Sandbox::new();
    for args in [
        ["--help"].as_slice(),
        &["-h"],
        &["help"],
        &["help", "--help"],
        &["help", "send"],
        &[],
        &["send", "--help"],
    ] {
        let output = sandbox.agent(args);
        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{args:?}");
        assert!(output.stdout.contains("send NAME"), "{args:?}: {output:?}");
    }
    for flag in ["--version", "-V"] {
        let output = sandbox.agent(&[flag]);
        let expected = format!("mosaic-agent {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!((output.code, output.stdout), (0, expected));
    }
}

#[test]
fn unknown_verbs_and_options_are_usage_errors_that_point_to_the_help() {
    let sandbox = Sandbox::new();
    for (args, names) in [
        (["fly"].as_slice(), "fly"),
        (&["help", "fly"], "fly"),
        (&["help", "run", "send"], "one verb at a time"),
        (&["--fly"], "--fly"),
        (&["status", "a", "--fly"], "--fly"),
        (&["status", "a", "b"], "b"),
        (&["status"], "name"),
        (&["send", "a"], "-m TEXT"),
        (&["send", "a", "-m", "x", "-"], "one message"),
        (
            &["send", "a", "-m", "x", "--when", "busy=maybe"],
            "busy=hold|type|refuse",
        ),
        (&["send", "a", "-m", "x", "--timeout", "soon"], "soon"),
        (&["send", "a", "-m", "x", "--id", "a b"], "id"),
        (&["verify", "a"], "--id"),
        (&["verify", "a", "--id", "x", "--since", "ever"], "ever"),
        (&["tail", "a", "-n", "many"], "no number of lines"),
        (
            &["explain", "--cast", "x", "--at", "noon"],
            "no number of seconds",
        ),
        (&["screen", "a", "--json", "--svg"], "--json or --svg"),
        (&["upgrade", "a", "--all"], "A NAME or --all"),
        (&["keys", "a"], "which keys"),
        (&["units", "--force", "status"], "--force goes with install"),
    ] {
        let output = sandbox.agent(args);
        assert_refused(&output, 2, names);
        let verb = args[0];
        let page = match ["fly", "--fly", "help"].contains(&verb) {
            true => "mosaic-agent --help".to_owned(),
            false => format!("mosaic-fleet {verb} --help"),
        };
        assert!(output.stderr.contains(&page), "{args:?}: {output:?}");
    }
}

#[test]
fn names_that_are_no_names_are_usage_errors_before_anything_is_made() {
    let mut sandbox = Sandbox::new();
    let long = "x".repeat(300);
    for name in [
        "a/b", "..", "a b", "a.b", "a:b", "=a", "", "a\nb", "é", &long,
    ] {
        for args in [
            ["run", name, "--", "true"].as_slice(),
            &["launch", name],
            &["status", name],
            &["send", name, "-m", "x"],
        ] {
            assert_refused(&sandbox.agent(args), 2, "agent name");
        }
    }
    sandbox.env("MOSAIC_AGENT_NAME", "a/b");
    assert_refused(&sandbox.agent(&["launch"]), 2, "MOSAIC_AGENT_NAME");
    sandbox.unset("MOSAIC_AGENT_NAME");
    assert_refused(&sandbox.agent(&["launch"]), 2, "which agent?");
    assert!(!sandbox.run_dir().exists());
}

#[test]
fn an_agent_that_is_not_there_is_gone() {
    let sandbox = Sandbox::new();
    for verb in ["status", "probe", "tail"] {
        assert_refused(&sandbox.agent(&[verb, "ghost"]), 3, "no agent ghost");
    }
    for args in [
        ["send", "ghost", "-m", "x"].as_slice(),
        &["send", "--verify", "ghost", "-m", "x"],
        &["verify", "ghost", "--id", "x"],
    ] {
        let output = sandbox.agent(args);
        assert_eq!(output.code, 3, "{output:?}");
        assert!(
            output.stdout.starts_with("gone: no agent ghost"),
            "{output:?}"
        );
        let quiet = sandbox.agent(&[args, &["--quiet"]].concat());
        assert_eq!((quiet.code, quiet.stdout.as_str()), (3, ""));
        let (code, receipt) = sandbox.agent_json(&[args, &["--json"]].concat());
        assert_eq!((code, &receipt["verdict"]), (3, &"gone".into()));
    }
}

// ---------------------------------------------------------------- surroundings

#[test]
fn a_socket_path_that_is_too_long_is_refused_with_its_length() {
    let mut sandbox = Sandbox::new();
    let deep = sandbox.path(&format!("run/{}", "d".repeat(80)));
    fs::create_dir(&deep).expect("a directory in the sandbox");
    sandbox.env("XDG_RUNTIME_DIR", deep.display().to_string());
    let output = sandbox.agent(&["run", "a-name-that-is-not-short", "--", "true"]);
    assert_refused(&output, 78, "at most 107");
    sandbox.env("MOSAIC_AGENT_COMMAND", "true");
    let output = sandbox.agent(&["launch", "a-name-that-is-not-short"]);
    assert_refused(&output, 78, "at most 107");
    assert_ne!(
        sandbox.tmux(&["list-sessions"]).code,
        0,
        "a session was made"
    );
}

#[test]
fn a_run_directory_that_is_a_link_is_refused() {
    let mut sandbox = Sandbox::new();
    let (real, link) = (sandbox.path("real"), sandbox.path("link"));
    fs::create_dir(&real).expect("a directory in the sandbox");
    symlink(&real, &link).expect("a link in the sandbox");
    sandbox.env("MOSAIC_HEARTBEAT_RUN_DIR", link.display().to_string());
    let output = sandbox.agent(&["run", "a", "--", "true"]);
    assert_refused(&output, 78, "symbolic link");
    assert_eq!(fs::read_dir(&real).expect("the directory").count(), 0);
}

#[test]
fn a_run_or_socket_directory_of_somebody_else_is_refused() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root can give a directory to somebody else");
        return;
    }
    let nobody = Some(65_534);
    let mut sandbox = Sandbox::new();
    let theirs = sandbox.path("theirs");
    fs::create_dir_all(&theirs).expect("a directory in the sandbox");
    std::os::unix::fs::chown(&theirs, nobody, nobody).expect("chown");
    sandbox.env("MOSAIC_HEARTBEAT_RUN_DIR", theirs.display().to_string());
    assert_refused(&sandbox.agent(&["run", "a", "--", "true"]), 78, "uid 65534");
    sandbox.unset("MOSAIC_HEARTBEAT_RUN_DIR");
    let sockets = sandbox.path("run/mosaic");
    fs::create_dir(&sockets).expect("a directory in the sandbox");
    std::os::unix::fs::chown(&sockets, nobody, nobody).expect("chown");
    assert_refused(&sandbox.agent(&["run", "a", "--", "true"]), 78, "uid 65534");
}

#[test]
fn without_a_usable_runtime_directory_the_socket_is_beside_the_heartbeat() {
    for runtime_dir in [None, Some("/no/such/directory")] {
        let mut sandbox = Sandbox::new();
        match runtime_dir {
            Some(dir) => sandbox.env("XDG_RUNTIME_DIR", dir),
            None => sandbox.unset("XDG_RUNTIME_DIR"),
        };
        let _running = headless(&sandbox);
        assert!(sandbox.run_dir().join("demo.sock").exists());
    }
}

#[test]
fn heartbeat_and_socket_are_closed_to_others_whatever_the_umask() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = Sandbox::new();
    let script = format!(
        "umask 000; exec {} run demo -- {FLEET} demo-tui",
        support::AGENT
    );
    let mut command = sandbox.command("/bin/sh");
    command.args(["-c", &script]);
    let _running = Running::start(command, &sandbox.path("out"), b"");
    sandbox.wait_state("demo", "ready");
    let mode = |path: &std::path::Path| {
        let found = fs::metadata(path).expect("it is there");
        found.permissions().mode() & 0o7777
    };
    let socket = sandbox.socket("demo");
    assert_eq!(mode(&socket), 0o600);
    assert_eq!(mode(socket.parent().expect("its directory")), 0o700);
    assert_eq!(mode(&sandbox.heartbeat_path("demo")), 0o600);
    assert_eq!(mode(&sandbox.run_dir()), 0o700);
}

#[test]
fn settings_that_make_no_sense_are_named() {
    for (key, value, names) in [
        (
            "MOSAIC_HEARTBEAT_INTERVAL",
            "soon",
            "MOSAIC_HEARTBEAT_INTERVAL",
        ),
        (
            "MOSAIC_HEARTBEAT_INTERVAL",
            "0",
            "MOSAIC_HEARTBEAT_INTERVAL",
        ),
        ("MOSAIC_AGENT_COMMAND", "pi 'open", "MOSAIC_AGENT_COMMAND"),
    ] {
        let mut sandbox = Sandbox::new();
        sandbox.env(key, value);
        assert_refused(&sandbox.agent(&["run", "a"]), 78, names);
        assert_refused(&sandbox.agent(&["launch", "a"]), 78, names);
    }
}

#[test]
fn a_sidecar_that_is_stopped_is_not_waited_for() {
    let sandbox = Sandbox::new();
    let running = headless(&sandbox);
    kill(running.pid(), SIGSTOP);
    let asked = std::time::Instant::now();
    let output = sandbox.agent(&["status", "demo"]);
    assert_refused(&output, 75, "does not answer");
    assert!(asked.elapsed() < ms(4_000), "{:?}", asked.elapsed());
    kill(running.pid(), SIGCONT);
    assert_eq!(sandbox.agent(&["status", "demo"]).code, 0);
}

// ---------------------------------------------------------------- bodies

#[test]
fn bodies_that_may_not_be_typed_are_rejected_with_the_reason() {
    let sandbox = Sandbox::new();
    let _running = headless(&sandbox);
    let long = "x".repeat(300 * 1024);
    for (body, names) in [
        (b"".as_slice(), "empty"),
        (b" \n\t\n", "empty"),
        (b"a\x1b[201~\rb", "U+001B at byte 1"),
        (b"a\0b", "U+0000 at byte 1"),
        (b"a\r\nb", "U+000D at byte 1"),
        (b"a\xff", "not UTF-8 (byte 1)"),
        (long.as_bytes(), "at most 262144"),
    ] {
        let shown = body[..body.len().min(12)].escape_ascii();
        let running = sandbox.start_with(&["send", "--verify", "demo", "-"], body);
        let output = running.wait(LATER);
        assert_eq!(output.code, 6, "{shown}: {output:?}");
        assert!(
            output.stdout.starts_with("rejected: "),
            "{shown}: {output:?}"
        );
        assert!(output.stdout.contains(names), "{shown}: {output:?}");
    }
    let output = sandbox.agent(&["send", "--no-preamble", "demo", "-m", "!ls"]);
    assert_eq!(output.code, 6, "{output:?}");
}

/// Three bytes a character: wherever such a body is cut, the rest is no UTF-8.
#[test]
fn a_long_body_of_wide_characters_is_rejected_for_its_length() {
    let sandbox = Sandbox::new();
    let _running = headless(&sandbox);
    let body = "日".repeat(100 * 1024);
    let running = sandbox.start_with(&["send", "--verify", "demo", "-"], body.as_bytes());
    let output = running.wait(LATER);
    assert_eq!(output.code, 6, "{output:?}");
    assert!(output.stdout.contains("at most 262144"), "{output:?}");
}

#[test]
fn a_body_file_that_is_not_there_is_named() {
    let sandbox = Sandbox::new();
    let output = sandbox.agent(&["send", "ghost", "-f", "/no/such/file"]);
    assert_refused(&output, 2, "/no/such/file");
}

// ---------------------------------------------------------------- headless

#[test]
fn an_agent_without_a_terminal_has_a_screen_and_takes_messages() {
    let sandbox = Sandbox::new();
    let running = headless(&sandbox);
    let status = sandbox.status("demo");
    assert_eq!(
        (&status["cols"], &status["rows"]),
        (&120.into(), &40.into())
    );
    let sent = sandbox.agent(&["send", "--verify", "demo", "-m", "hello there"]);
    assert_eq!(sent.code, 0, "{sent:?}");
    let tail = sandbox.agent(&["tail", "demo"]);
    assert!(tail.stdout.contains("hello there"), "{tail:?}");
    let (_, screen) = sandbox.agent_json(&["screen", "--json", "demo"]);
    assert_eq!(screen["schema"], "mosaic.screen/1");
    kill(running.pid(), nix::libc::SIGTERM);
    assert_eq!(running.wait(SOON).code, 143);
}
