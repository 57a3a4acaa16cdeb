//! `mosaic-fleet doctor`: finds what is wrong on a machine, says what mends it, and changes nothing.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::libc::{SIGCONT, SIGKILL, SIGSTOP};
use serde_json::Value;
use support::{FLEET, LATER, Managed, Output, Running, Sandbox, kill};

fn doctor(sandbox: &Sandbox, args: &[&str]) -> Output {
    let mut command = sandbox.command(FLEET);
    command.arg("doctor").args(args);
    Running::start(command, &sandbox.path("out"), b"").wait(LATER)
}

/// The document, which must be as its schema says and fit the exit code.
#[track_caller]
fn examined(sandbox: &Sandbox) -> Value {
    let output = doctor(sandbox, &["--json"]);
    let document = output.json();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/schemas/doctor.json");
    let schema = serde_json::from_slice(&fs::read(path).expect("the schema")).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    assert!(validator.is_valid(&document), "{document}");
    let fails = document["result"] == "fail";
    assert_eq!(output.code, i32::from(fails), "{document}");
    document
}

/// The row of a check.
#[track_caller]
fn row(document: &Value, check: &str) -> Value {
    let rows = document["checks"].as_array().into_iter().flatten();
    let found = rows.into_iter().find(|row| row["check"] == check);
    found
        .unwrap_or_else(|| panic!("no {check:?} in {document:#}"))
        .clone()
}

/// How a check came out, and that what is said of it, or what mends it, has this in it.
#[track_caller]
fn assert_row(document: &Value, check: &str, result: &str, says: &str) {
    let row = row(document, check);
    assert_eq!(row["result"], result, "{row}");
    assert!(row.to_string().contains(says), "{says:?} is not in {row}");
    assert_eq!(row["mend"].is_string(), result != "ok", "{row}");
}

#[test]
fn a_machine_with_nothing_on_it_yet_fails_in_nothing_and_stays_as_it_is() {
    let mut sandbox = Sandbox::new();
    let dir = Path::new(FLEET).parent().expect("a directory").display();
    let path = format!("{dir}:{}", sandbox.var("PATH"));
    sandbox.env("PATH", path);
    let document = examined(&sandbox);
    for check in ["mosaic-agent", "PATH", "tmux", "run directory"] {
        assert_row(&document, check, "ok", "");
    }
    assert_row(&document, "runtimes", "warn", "MOSAIC_RUNTIME_BIN");
    let left: Vec<_> = fs::read_dir(sandbox.home())
        .expect("the home")
        .flatten()
        .collect();
    assert!(left.is_empty(), "{left:?}");
    let table = doctor(&sandbox, &[]);
    assert_eq!(table.code, 0, "{table:?}");
    assert!(table.stdout.starts_with("ok    mosaic-agent "), "{table:?}");
    assert!(table.stdout.contains("  mend: "), "{table:?}");
}

#[test]
fn what_is_said_to_mend_a_directory_mends_it() {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.run_dir()).expect("a directory in the sandbox");
    fs::set_permissions(sandbox.run_dir(), fs::Permissions::from_mode(0o755)).expect("its mode");
    let document = examined(&sandbox);
    assert_row(&document, "run directory", "fail", "chmod 700 ");
    let mend = row(&document, "run directory")["mend"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let mut command = sandbox.command("sh");
    command.args(["-c", &mend]);
    assert_eq!(
        Running::start(command, &sandbox.path("out"), b"")
            .wait(LATER)
            .code,
        0
    );
    assert_row(&examined(&sandbox), "run directory", "ok", "");
    fs::remove_dir(sandbox.run_dir()).expect("it is empty");
    std::os::unix::fs::symlink(sandbox.path("out"), sandbox.run_dir()).expect("a link");
    assert_row(
        &examined(&sandbox),
        "run directory",
        "fail",
        "symbolic link",
    );
}

#[test]
fn programs_that_do_not_belong_together_are_found_out() {
    let mut sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("bin")).expect("a directory in the sandbox");
    let fleet = sandbox.copy(FLEET, "bin/mosaic-fleet");
    let look = |sandbox: &Sandbox| {
        let mut command = sandbox.command(&fleet);
        command.args(["doctor", "--json"]);
        Running::start(command, &sandbox.path("out"), b"")
            .wait(LATER)
            .json()
    };
    assert_row(
        &look(&sandbox),
        "mosaic-agent",
        "fail",
        "there is no mosaic-agent beside",
    );
    sandbox.script("bin/mosaic-agent", "#!/bin/sh\necho mosaic-agent 0.0.1\n");
    let document = look(&sandbox);
    assert_row(&document, "mosaic-monitor", "warn", "not there");
    sandbox.script(
        "bin/mosaic-monitor",
        "#!/bin/sh\necho mosaic-monitor 0.0.2\n",
    );
    assert_row(&look(&sandbox), "mosaic-monitor", "fail", "0.0.2");
    assert_row(&document, "mosaic-agent", "fail", "0.0.1");
    assert_row(&document, "PATH", "warn", "export PATH=");
    sandbox.script("other/mosaic-agent", "#!/bin/sh\n");
    let path = format!(
        "{}:{}",
        sandbox.path("other").display(),
        sandbox.var("PATH")
    );
    sandbox.env("PATH", path);
    assert_row(&look(&sandbox), "PATH", "warn", "another one");
}

#[test]
fn a_missing_or_an_old_tmux_is_named() {
    let mut sandbox = Sandbox::new();
    sandbox.env("MOSAIC_TMUX_BIN", "no-such-tmux");
    assert_row(&examined(&sandbox), "tmux", "fail", "apt-get install tmux");
    let old = sandbox
        .script("old/tmux", "#!/bin/sh\necho tmux 2.8\n")
        .display()
        .to_string();
    sandbox.env("MOSAIC_TMUX_BIN", old);
    assert_row(&examined(&sandbox), "tmux", "warn", "2.8");
}

#[test]
fn agents_are_asked_and_those_that_do_not_answer_are_told_apart() {
    let sandbox = Sandbox::new();
    let start = |name| {
        let running = sandbox.start(&["run", name, "--", FLEET, "demo-tui"]);
        sandbox.wait_state(name, "ready");
        running
    };
    let (_well, stopped, dead) = (start("well"), start("stopped"), start("dead"));
    let ended = start("ended");
    assert_eq!(sandbox.agent(&["stop", "--now", "ended"]).code, 0);
    drop(ended);
    kill(stopped.pid(), SIGSTOP);
    kill(dead.pid(), SIGKILL);
    dead.wait(LATER);
    let document = examined(&sandbox);
    assert_row(&document, "agent well", "ok", "ready");
    assert_row(&document, "agent ended", "ok", "ended");
    assert_row(&document, "agent dead", "warn", "mosaic-agent launch dead");
    assert_row(
        &document,
        "agent stopped",
        "fail",
        "mosaic-agent restart stopped",
    );
    kill(stopped.pid(), SIGCONT);
    assert_row(&examined(&sandbox), "agent stopped", "ok", "");
    let socket = sandbox.socket("well");
    fs::set_permissions(socket, fs::Permissions::from_mode(0o666)).expect("its mode");
    assert_row(
        &examined(&sandbox),
        "agent well",
        "fail",
        "open to others (mode 666)",
    );
}

#[test]
fn runtimes_are_held_against_the_versions_their_profiles_were_tried_with() {
    let mut sandbox = Sandbox::new();
    let install = |sandbox: &Sandbox, version: &str| {
        let package = "npm/lib/node_modules/@openai/codex";
        sandbox.script(&format!("{package}/bin/codex.js"), "#!/bin/sh\n");
        let json = format!(r#"{{"name":"@openai/codex","version":"{version}"}}"#);
        fs::write(sandbox.path(package).join("package.json"), json).expect("a file");
        fs::create_dir_all(sandbox.path("npm/bin")).expect("a directory");
        let link = sandbox.path("npm/bin/codex");
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(sandbox.path(package).join("bin/codex.js"), link)
            .expect("a link");
    };
    let bin = sandbox.path("npm/bin").display().to_string();
    sandbox.env("MOSAIC_RUNTIME_BIN", bin);
    install(&sandbox, "0.169.0");
    assert_row(&examined(&sandbox), "runtime codex", "ok", "verified");
    install(&sandbox, "99.0.0");
    assert_row(
        &examined(&sandbox),
        "runtime codex",
        "warn",
        "npm install -g @openai/codex@",
    );
}

#[test]
fn hooks_are_looked_at_where_a_runtime_was_used() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("home/.claude")).expect("a directory in the sandbox");
    assert_row(&examined(&sandbox), "hooks claude", "ok", "not installed");
    assert_eq!(sandbox.agent(&["hooks", "install", "claude"]).code, 0);
    assert_row(&examined(&sandbox), "hooks claude", "ok", "installed");
    let file = sandbox.path("home/.claude/settings.json");
    let settings = fs::read_to_string(&file).expect("the settings");
    fs::write(
        &file,
        settings.replace("/mosaic-agent", "/elsewhere/mosaic-agent"),
    )
    .expect("the settings");
    assert_row(
        &examined(&sandbox),
        "hooks claude",
        "warn",
        "mosaic-agent hooks install claude",
    );
    fs::write(&file, "{ not JSON").expect("the settings");
    assert_row(&examined(&sandbox), "hooks claude", "fail", "settings.json");
}

#[test]
fn units_and_their_manager_are_looked_at() {
    let Some(managed) = Managed::start("doctor and units") else {
        return;
    };
    let document = examined(&managed);
    assert_row(
        &document,
        "systemd",
        "ok",
        "the manager of this user answers",
    );
    assert_row(
        &document,
        "unit mosaic-agent@.service",
        "warn",
        "mosaic-agent units install",
    );
    assert_eq!(managed.agent(&["units", "install"]).code, 0);
    assert_row(
        &examined(&managed),
        "unit mosaic-agent@.service",
        "ok",
        "installed",
    );
    let file = managed.path("home/.config/systemd/user/mosaic-agent@.service");
    let unit = fs::read_to_string(&file).expect("the unit");
    fs::write(&file, unit.replace("WatchdogSec=30", "WatchdogSec=31")).expect("the unit");
    assert_row(
        &examined(&managed),
        "unit mosaic-agent@.service",
        "warn",
        "another version",
    );
    fs::write(&file, "[Unit]\n").expect("the unit");
    assert_row(
        &examined(&managed),
        "unit mosaic-agent@.service",
        "fail",
        "--force",
    );
}
