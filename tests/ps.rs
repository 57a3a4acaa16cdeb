//! `mosaic-fleet ps`: what it finds, what it flags, and how it shows it. Real tmux, real service managers.

mod support;

use std::fs;
use std::path::Path;

use nix::libc;
use serde_json::{Value, json};
use support::{
    AGENT, FLEET, Fleet, LATER, Pane, SOON, Sandbox, flagged, get, kill, skip, unit, until,
};

/// A document is as `docs/schemas/ps.json` says, with no member that it does not name.
#[track_caller]
fn fits(document: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schemas/ps.json");
    let text = fs::read(path).expect("the schema");
    let schema: Value = serde_json::from_slice(&text).expect("a schema is JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema is a schema");
    let errors: Vec<String> = validator
        .iter_errors(document)
        .map(|e| format!("{}: {e}", e.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}\n{document:#}");
    let known = |of: &Value, value: &Value| {
        for key in value.as_object().expect("an object").keys() {
            assert!(of.get(key).is_some(), "{key} is not published");
        }
    };
    known(&schema["properties"], document);
    let row = &schema["properties"]["agents"]["items"]["properties"];
    for agent in document["agents"].as_array().expect("rows") {
        known(row, agent);
    }
}

/// A fleet in tmux without a service manager; demos unless asked otherwise.
fn sandbox() -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox
        .env("MOSAIC_AGENT_RUNTIME", "demo")
        .env("MOSAIC_AGENT_COMMAND", format!("{FLEET} demo-tui"));
    sandbox
}

#[track_caller]
fn launch(sandbox: &Sandbox, name: &str) {
    let launched = sandbox.agent(&["launch", name]);
    assert_eq!(launched.code, 0, "{launched:?}");
    sandbox.wait_state(name, "ready");
}

fn env_file(sandbox: &Sandbox, name: &str, text: &str) {
    let dir = sandbox.home().join(".config/mosaic/fleet/agents");
    fs::create_dir_all(&dir).expect("a directory in the sandbox");
    fs::write(dir.join(name), text).expect("a file in the sandbox");
}

// ---------------------------------------------------------------- what a row says

#[test]
fn a_row_joins_all_that_is_known_of_an_agent() {
    let sandbox = sandbox();
    launch(&sandbox, "coder0");
    let sent = sandbox.agent(&["send", "--verify", "coder0", "-m", "hello"]);
    assert_eq!(sent.code, 0, "{sent:?}");
    let row = sandbox.wait_row("coder0", "it is ready", |row| row["state"] == "ready");
    let beat = sandbox.heartbeat("coder0");
    assert_eq!(row["health"], "healthy", "{row:#}");
    assert_eq!(row["pid"].to_string(), beat["pid"]);
    assert_eq!(row["sidecar"].to_string(), beat["sidecar"]);
    assert_eq!(
        (&row["pane"], &row["session"]),
        (&json!("alive"), &json!("coder0"))
    );
    assert_eq!(
        (&row["runtime"], &row["asked_runtime"]),
        (&json!("demo"), &json!("demo"))
    );
    assert_eq!(row["last_receipt"]["verdict"], "accepted");
    assert_eq!(row["last_verdict"], "accepted");
    assert!(row["for_s"].is_u64() && row["idle_s"].is_u64() && row["beat_s"].is_u64());
    // Without a service manager nothing is said of units, and nothing claimed.
    assert_eq!((&row["unit"], &row["flags"]), (&json!(null), &json!([])));
    let document = sandbox.ps(&["--json"]).json();
    fits(&document);
    assert_eq!(document["manager"], false);
}

#[test]
fn panes_are_found_where_the_environment_names_no_locale() {
    let mut sandbox = sandbox();
    sandbox.unset("LANG");
    launch(&sandbox, "coder0");
    let row = sandbox.row("coder0");
    assert_eq!(
        (&row["pane"], &row["session"]),
        (&json!("alive"), &json!("coder0"))
    );
}

#[test]
fn an_agent_that_is_described_and_was_never_started_has_a_row() {
    let sandbox = sandbox();
    env_file(&sandbox, "coder1.env", "MOSAIC_AGENT_RUNTIME=claude\n");
    let row = sandbox.row("coder1");
    assert_eq!(
        (&row["health"], &row["state"]),
        (&json!("unknown"), &json!("unknown"))
    );
    assert_eq!(row["why"], "not started; described in coder1.env");
    assert_eq!(row["pane"], "none");
}

#[test]
fn a_program_without_a_profile_is_shown_by_its_name_and_is_no_drift() {
    let sandbox = Sandbox::new();
    let _agent = sandbox.start(&["run", "plain", "--", "cat"]);
    let row = sandbox.wait_row("plain", "cat runs", |row| row["runtime"] == "cat");
    assert_eq!(
        (&row["flags"], &row["asked_runtime"]),
        (&json!([]), &json!(null))
    );
    assert_eq!(row["pane"], "none", "it is headless");
}

// ---------------------------------------------------------------- flags

#[test]
fn drift_is_judged_by_the_process_that_really_runs() {
    let mut sandbox = sandbox();
    launch(&sandbox, "honest");
    sandbox.env("MOSAIC_AGENT_RUNTIME", "claude");
    launch(&sandbox, "liar");
    let row = sandbox.row("liar");
    let why = flagged(&row, "drift");
    assert_eq!(
        why.as_deref(),
        Some("asked for claude, demo runs"),
        "{row:#}"
    );
    // tmux itself shows what was asked for.
    let shown = sandbox.tmux(&[
        "list-panes",
        "-t",
        "=liar:",
        "-F",
        "#{pane_current_command}",
    ]);
    assert_eq!(shown.stdout.trim(), "claude");
    assert_eq!(flagged(&sandbox.row("honest"), "drift"), None);
    // Somebody wants another runtime now, and has not restarted the agent.
    env_file(&sandbox, "honest.env", "MOSAIC_AGENT_RUNTIME=\"codex\"\n");
    let why = flagged(&sandbox.row("honest"), "drift");
    assert_eq!(why.as_deref(), Some("asked for codex, demo runs"));
}

#[test]
fn node_that_runs_pi_is_pi() {
    let mut sandbox = Sandbox::new();
    if std::process::Command::new("node")
        .arg("--version")
        .output()
        .is_err()
    {
        return skip("node that runs pi", "node is not installed");
    }
    // What npm makes of `npm install -g`: a link to a script in the package's directory.
    let package = sandbox.path("lib/node_modules/@mariozechner/pi-coding-agent");
    let script = "process.stdin.setRawMode?.(true); setInterval(() => {}, 1000)";
    sandbox.script(
        "lib/node_modules/@mariozechner/pi-coding-agent/dist/cli.js",
        script,
    );
    fs::write(package.join("package.json"), "{\"version\":\"0.73.1\"}").expect("a file");
    fs::create_dir(sandbox.path("bin")).expect("a directory in the sandbox");
    let link = sandbox.path("bin/pi");
    std::os::unix::fs::symlink(package.join("dist/cli.js"), &link).expect("a link");
    sandbox.env("MOSAIC_AGENT_COMMAND", format!("node {}", link.display()));
    for (name, asked) in [("right", "pi"), ("wrong", "claude")] {
        sandbox.env("MOSAIC_AGENT_RUNTIME", asked);
        let launched = sandbox.agent(&["launch", name]);
        assert_eq!(launched.code, 0, "{launched:?}");
    }
    let row = sandbox.wait_row("right", "pi runs", |row| row["runtime"] == "pi");
    assert_eq!(
        (&row["flags"], &row["runtime_version"]),
        (&json!([]), &json!("0.73.1"))
    );
    let row = sandbox.wait_row("wrong", "pi runs", |row| row["runtime"] == "pi");
    let why = flagged(&row, "drift");
    assert_eq!(why.as_deref(), Some("asked for claude, pi runs"));
}

#[test]
fn a_session_that_no_agent_owns_is_flagged_and_the_holders_and_an_agents_are_not() {
    let sandbox = sandbox();
    launch(&sandbox, "coder0");
    let new = |name: &str, command: &str| {
        let made = sandbox.tmux(&["new-session", "-d", "-s", name, command]);
        assert_eq!(made.code, 0, "{made:?}");
    };
    new("_holder", "sleep 600");
    new("mine", "sleep 600");
    // By hand, from the shell of a session of another name; it stays that shell's child.
    new(
        "desk",
        &format!("{AGENT} run byhand -- {FLEET} demo-tui; true"),
    );
    sandbox.wait_state("byhand", "ready");
    let why = flagged(&sandbox.row("mine"), "unmanaged");
    assert_eq!(
        why.as_deref(),
        Some("no agent owns the session: sleep runs in it")
    );
    let row = sandbox.row("byhand");
    assert_eq!(
        (&row["session"], &row["pane"]),
        (&json!("desk"), &json!("alive"))
    );
    let names: Vec<Value> = sandbox
        .rows(&[])
        .iter()
        .map(|r| r["agent"].clone())
        .collect();
    assert_eq!(names, ["byhand", "coder0", "mine"]);
    assert_eq!(sandbox.rows(&["--flag", "unmanaged"]).len(), 1);
}

#[test]
fn two_that_claim_an_agent_are_both_named() {
    let mut sandbox = sandbox();
    launch(&sandbox, "coder0");
    let first = sandbox.heartbeat("coder0")["sidecar"].clone();
    // Another one of the same name, with other directories and so with locks of its own, beside it in tmux.
    let (run, sockets) = (sandbox.path("other-run"), sandbox.path("other"));
    fs::create_dir(&sockets).expect("a directory in the sandbox");
    let before = sandbox.var("XDG_RUNTIME_DIR").to_owned();
    let command = format!(
        "MOSAIC_HEARTBEAT_RUN_DIR={} XDG_RUNTIME_DIR={} exec {AGENT} run coder0 -- {FLEET} demo-tui",
        run.display(),
        sockets.display()
    );
    let made = sandbox.tmux(&["new-session", "-d", "-s", "second", &command]);
    assert_eq!(made.code, 0, "{made:?}");
    let row = sandbox.wait_row("coder0", "two claim it", |row| {
        flagged(row, "owner").is_some()
    });
    let why = flagged(&row, "owner").expect("it is flagged");
    assert!(
        why.contains(&format!("pid {first} holds the lock")),
        "{why}"
    );
    assert!(why.contains("sits in the session second"), "{why}");
    assert_eq!(
        (&row["session"], &row["health"]),
        (&json!("coder0"), &json!("healthy"))
    );
    // Seen from the other one's directories it is the same.
    sandbox
        .env("MOSAIC_HEARTBEAT_RUN_DIR", run.display().to_string())
        .env("XDG_RUNTIME_DIR", sockets.display().to_string());
    let row = sandbox.wait_row("coder0", "two claim it", |row| {
        flagged(row, "owner").is_some()
    });
    assert_eq!(row["session"], "second", "{row:#}");
    sandbox
        .env("XDG_RUNTIME_DIR", before)
        .unset("MOSAIC_HEARTBEAT_RUN_DIR");
}

#[test]
fn a_heartbeat_of_another_sidecar_and_a_session_of_the_agents_name_are_second_owners() {
    let sandbox = sandbox();
    launch(&sandbox, "coder0");
    let path = sandbox.heartbeat_path("coder0");
    let beat = fs::read_to_string(&path).expect("a heartbeat");
    let sidecar = sandbox.heartbeat("coder0")["sidecar"].clone();
    let forged = beat.replace(&format!("sidecar={sidecar}"), "sidecar=1");
    fs::write(&path, forged).expect("a file in the sandbox");
    let row = sandbox.row("coder0");
    let why = flagged(&row, "owner").expect("it is flagged");
    assert!(why.contains("pid 1 writes the heartbeat"), "{why}");
    assert_ne!(row["health"], "healthy", "{row:#}");
    let _headless = sandbox.start(&["run", "plain", "--", "cat"]);
    sandbox.wait_row("plain", "it runs", |row| row["runtime"] == "cat");
    let made = sandbox.tmux(&["new-session", "-d", "-s", "plain", "sleep 600"]);
    assert_eq!(made.code, 0, "{made:?}");
    let row = sandbox.row("plain");
    let why = flagged(&row, "owner").expect("it is flagged");
    assert!(why.contains("sleep runs in a session of its name"), "{why}");
    assert_eq!(row["pane"], "none", "it is nobody's pane: {row:#}");
}

// ---------------------------------------------------------------- units

#[test]
fn a_unit_is_shown_with_its_restarts_and_flagged_while_a_reboot_would_end_it() {
    let Some(fleet) = Fleet::new("ps of units") else {
        return;
    };
    let managed = &fleet.managed;
    fleet.restart_after(0);
    fleet.start("coder0", "");
    managed.wait_state("coder0", "ready");
    let row = managed.row("coder0");
    assert_eq!(row["unit"]["name"], unit("coder0"), "{row:#}");
    assert_eq!(
        (&row["unit"]["active"], &row["unit"]["enabled"]),
        (&json!("active"), &json!("disabled"))
    );
    let why = flagged(&row, "boot").expect("it is flagged");
    assert!(
        why.contains("systemctl --user enable mosaic-agent@coder0"),
        "{why}"
    );
    assert_eq!(flagged(&row, "orphan"), None);
    managed.must(&["enable", &unit("coder0")]);
    let document = managed.ps(&["--json"]).json();
    fits(&document);
    let row = managed.row("coder0");
    assert_eq!(row["unit"]["enabled"], "enabled");
    // Whether root lingers here is not ours to change: what is flagged is held against what is said of it.
    let why = flagged(&row, "boot");
    assert_eq!(why.is_some(), document["linger"] == false, "{why:?}");
    assert!(why.is_none_or(|why| why.contains("enable-linger")));
    kill(fleet.pid("coder0", "sidecar"), libc::SIGKILL);
    let row = managed.wait_row("coder0", "it was restarted and is up", |row| {
        row["unit"]["restarts"] == 1
            && row["unit"]["active"] == "active"
            && row["health"] == "healthy"
    });
    assert_eq!(flagged(&row, "orphan"), None);
    // The holder's own session is nobody's business.
    assert_eq!(managed.find_row("_holder"), None);
}

#[test]
fn an_agent_that_runs_without_its_unit_is_an_orphan() {
    let Some(fleet) = Fleet::new("ps of an orphan") else {
        return;
    };
    let managed = &fleet.managed;
    fleet.start("coder0", "");
    fleet.describe("coder1", "", "");
    let mut byhand = managed.command(AGENT);
    let (_, log) = fleet.log("coder2");
    byhand
        .args(["launch", "coder2"])
        .env("MOSAIC_AGENT_RUNTIME", "demo")
        .env(
            "MOSAIC_AGENT_COMMAND",
            format!("{FLEET} demo-tui --log {log}"),
        );
    let launched = byhand.output().expect("mosaic-agent runs");
    assert!(launched.status.success(), "{launched:?}");
    managed.wait_state("coder2", "ready");
    let why = flagged(&managed.row("coder2"), "orphan").expect("it is flagged");
    assert_eq!(why, "it runs, and mosaic-agent@coder2.service is inactive");
    assert_eq!(flagged(&managed.row("coder0"), "orphan"), None);
    let row = managed.row("coder1");
    assert_eq!(
        (&row["unit"]["active"], &row["flags"]),
        (&json!("inactive"), &json!([]))
    );
    // A runtime that is not there: the unit fails, and the row says so.
    fleet.env_file(
        "agents/coder1.env",
        "MOSAIC_AGENT_COMMAND=no-such-runtime\n",
    );
    let started = managed.systemctl(&["start", &unit("coder1")]);
    assert_ne!(started.code, 0, "{started:?}");
    let row = managed.wait_row("coder1", "its unit has failed", |row| {
        row["unit"]["active"] == "failed"
    });
    assert_eq!(row["why"], "its unit has failed (exit-code)");
    assert_eq!(managed.rows(&["--flag", "orphan"]).len(), 1);
}

// ---------------------------------------------------------------- what is shown, and how

#[test]
fn filters_sorting_and_names_choose_what_is_shown() {
    let sandbox = Sandbox::new();
    let _agents: Vec<_> = ["c10", "c2", "d1"]
        .map(|name| sandbox.start(&["run", name, "--", "cat"]))
        .into();
    for name in ["c10", "c2", "d1"] {
        sandbox.wait_row(name, "it runs", |row| row["runtime"] == "cat");
    }
    let names = |args: &[&str]| -> Vec<String> {
        let rows = sandbox.rows(args);
        let name = |row: &Value| row["agent"].as_str().unwrap_or_default().to_owned();
        rows.iter().map(name).collect()
    };
    assert_eq!(names(&[]), ["c2", "c10", "d1"]);
    assert_eq!(names(&["c*", "--sort=-name"]), ["c10", "c2"]);
    assert_eq!(names(&["--runtime", "ca?", "d1", "c10"]), ["c10", "d1"]);
    assert_eq!(names(&["--state", "ready,wedged"]), Vec::<String>::new());
    let missing = sandbox.ps(&["c2", "nobody"]);
    assert_eq!(missing.code, 3, "{missing:?}");
    assert!(missing.stdout.contains("c2") && missing.stderr.contains("no agent nobody"));
    let bare = sandbox.ps(&["--no-header", "c2"]);
    assert!(bare.code == 0 && bare.stdout.starts_with("c2 "), "{bare:?}");
    let wrong = sandbox.ps(&["--sort", "size"]);
    assert!(
        wrong.code == 2 && wrong.stderr.contains("There are name"),
        "{wrong:?}"
    );
}

/// `ps` with these arguments in a terminal of so many columns.
#[track_caller]
fn ps_in(sandbox: &Sandbox, args: &[&str], size: (u16, u16)) -> Pane {
    let mut command = sandbox.command(FLEET);
    command.arg("ps").args(args);
    Pane::start(command, size)
}

#[test]
fn on_a_narrow_terminal_no_line_wraps_and_colours_respect_no_color() {
    let mut sandbox = sandbox();
    sandbox.unset("NO_COLOR");
    launch(&sandbox, "coder0");
    for cols in [20, 40, 80, 120] {
        let mut pane = ps_in(&sandbox, &[], (cols, 30));
        assert_eq!(pane.wait_exit(SOON), 0);
        let screen = pane.screen();
        let lines: Vec<&str> = screen.lines().filter(|l| !l.is_empty()).collect();
        assert_eq!(lines.len(), 2, "{cols} columns: {screen}");
        assert!(
            lines[1].contains("coder0") && lines[1].contains("ready"),
            "{screen}"
        );
        assert!(
            pane.text().contains("\x1b[32mready\x1b[m"),
            "{cols} columns"
        );
    }
    sandbox.env("NO_COLOR", "1");
    let mut pane = ps_in(&sandbox, &[], (80, 30));
    assert_eq!(pane.wait_exit(SOON), 0);
    assert!(!pane.text().contains('\x1b'));
    // Asked for by hand it is shown, also into a pipe.
    assert!(
        sandbox
            .ps(&["--color", "always"])
            .stdout
            .contains("\x1b[32m")
    );
    assert!(!sandbox.ps(&[]).stdout.contains('\x1b'));
}

#[test]
fn watch_is_live_and_gives_the_terminal_back() {
    let sandbox = sandbox();
    launch(&sandbox, "coder0");
    for end in [b"q".as_slice(), b"\x03"] {
        let mut pane = ps_in(&sandbox, &["--watch", "0.2"], (100, 20));
        pane.wait_screen("coder0", SOON);
        assert!(
            pane.text().starts_with("\x1b[?1049h"),
            "on a screen of its own"
        );
        let before = pane.count();
        launch(&sandbox, &format!("more{}", end[0]));
        pane.wait_screen(&format!("more{}", end[0]), SOON);
        let drawn = pane.text();
        let later = String::from_utf8_lossy(&drawn.as_bytes()[before..]).into_owned();
        assert!(
            !later.contains("\x1b[2J") && later.contains("\x1b[?2026h"),
            "no flicker: {later:?}"
        );
        pane.resize(40, 6);
        until(SOON, "it is drawn anew for the new size", || {
            let screen = pane.screen();
            let widest = screen.lines().map(|l| l.chars().count()).max();
            screen.contains("coder0") && !screen.contains("TENANT") && widest <= Some(40)
        });
        pane.write(end);
        assert_eq!(pane.wait_exit(SOON), 0);
        assert!(pane.is_as_found(), "the modes");
        assert!(pane.text().ends_with("\x1b[?1049l"), "the screen");
        assert!(!pane.screen().contains("coder0"));
    }
}

#[test]
fn watch_ends_by_a_signal_with_the_terminal_sane() {
    let sandbox = sandbox();
    launch(&sandbox, "coder0");
    let mut pane = ps_in(&sandbox, &["-w"], (100, 20));
    pane.wait_screen("coder0", SOON);
    kill(pane.pid(), libc::SIGTERM);
    assert_eq!(pane.wait_exit(SOON), 128 + libc::SIGTERM);
    assert!(pane.is_as_found() && pane.text().ends_with("\x1b[?1049l"));
}

#[test]
fn watch_off_a_terminal_is_refused_and_as_json_is_one_document_a_line() {
    let sandbox = sandbox();
    launch(&sandbox, "coder0");
    let refused = sandbox.ps(&["--watch"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("--watch --json"), "{refused:?}");
    let file = sandbox.path("out/stream");
    let mut watch = sandbox
        .command(FLEET)
        .args(["ps", "--json", "--watch", "0.2"])
        .stdout(fs::File::create(&file).expect("a file in the sandbox"))
        .spawn()
        .expect("mosaic-fleet runs");
    let lines = get(LATER, "three documents", || {
        let text = fs::read_to_string(&file).ok()?;
        (text.matches('\n').count() >= 3).then_some(text)
    });
    let _ = watch.kill();
    let _ = watch.wait();
    for line in lines.lines().take(3) {
        fits(&serde_json::from_str(line).expect("a document"));
    }
    // A reader that goes away ends it.
    let mut piped = sandbox
        .command("sh")
        .args(["-c", &format!("{FLEET} ps --json --watch 0.2 | head -n 1")])
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("sh runs");
    until(LATER, "it has ended with its reader", || {
        matches!(piped.try_wait(), Ok(Some(_)))
    });
}
