//! What the old launcher did, done by `launcher/start-agent-session.sh` in its place.
//!
//! The session, its command and its environment are specified in `tmux.rs`; here are the directories, the
//! PATH, and the one rule that everybody must follow: an empty socket name is tmux's default socket.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use support::{AGENT, FLEET, LATER, Output, Running, SOON, Sandbox, get, ms, until};

const SHIM: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/launcher/start-agent-session.sh"
);

/// A sandbox whose runtime is the demo, behind a script that writes its environment down.
fn fleet() -> (Sandbox, PathBuf) {
    let mut sandbox = Sandbox::new();
    let file = sandbox.path("env");
    let script = sandbox.script(
        "rt/runtime",
        &format!(
            "#!/bin/sh\nenv -0 > {}\nexec {FLEET} demo-tui\n",
            file.display()
        ),
    );
    sandbox
        .env("MOSAIC_AGENT_BIN", AGENT)
        .env("MOSAIC_AGENT_RUNTIME", "demo")
        .env("MOSAIC_AGENT_COMMAND", script.display().to_string());
    (sandbox, file)
}

/// Calls the shim as the old unit did.
#[track_caller]
fn start(sandbox: &Sandbox, name: &str) -> Output {
    let mut command = sandbox.command(SHIM);
    command.arg(name);
    let output = Running::start(command, &sandbox.path("out"), b"").wait(LATER);
    assert_eq!(output.code, 0, "{output:?}");
    output
}

/// A variable of the runtime.
#[track_caller]
fn variable(file: &Path, name: &str) -> String {
    let text = get(SOON, "the runtime's environment", || {
        fs::read_to_string(file).ok().filter(|t| t.ends_with('\0'))
    });
    let found = text
        .split('\0')
        .find_map(|v| v.strip_prefix(name)?.strip_prefix('='));
    found
        .unwrap_or_else(|| panic!("{name} is not in {text}"))
        .to_owned()
}

#[test]
fn a_unit_that_calls_the_old_script_starts_an_agent_once() {
    let (sandbox, _) = fleet();
    assert!(
        start(&sandbox, "coder0")
            .stdout
            .starts_with("started coder0")
    );
    assert_eq!(
        start(&sandbox, "coder0").stdout,
        "already running: coder0\n"
    );
}

/// npm's prefix comes from a program of that name; here one that says where.
#[test]
fn the_path_begins_with_the_four_directories_that_exist_each_once_even_if_it_had_them_already() {
    let (mut sandbox, file) = fleet();
    let dir = |sub: &str| sandbox.path(sub).display().to_string();
    let (runtime_bin, npm) = (dir("rb"), dir("npm"));
    let (global, local) = (dir("home/.npm-global/bin"), dir("home/.local/bin"));
    for made in [&runtime_bin, &local, &format!("{npm}/bin")] {
        fs::create_dir_all(made).expect("a directory in the sandbox");
    }
    sandbox.script(
        "tools/npm",
        &format!("#!/bin/sh\n[ \"$*\" = 'config get prefix' ] && echo {npm}\n"),
    );
    let tools = sandbox.path("tools").display().to_string();
    let old = format!("{tools}:/usr/bin:{local}:{runtime_bin}:/bin:/usr/bin");
    sandbox
        .env("MOSAIC_RUNTIME_BIN", &runtime_bin)
        .env("PATH", old);
    start(&sandbox, "without");
    let expected = format!("{runtime_bin}:{npm}/bin:{local}:{tools}:/usr/bin:/bin");
    assert_eq!(
        variable(&file, "PATH"),
        expected,
        "~/.npm-global/bin does not exist"
    );
    fs::create_dir_all(&global).expect("a directory in the sandbox");
    fs::remove_file(&file).expect("the file");
    start(&sandbox, "with");
    let expected = format!("{runtime_bin}:{npm}/bin:{global}:{local}:{tools}:/usr/bin:/bin");
    assert_eq!(variable(&file, "PATH"), expected);
}

#[test]
fn an_empty_socket_name_is_tmuxs_default_for_start_observe_and_stop() {
    let (mut sandbox, _) = fleet();
    sandbox
        .env("MOSAIC_TMUX_SOCKET", "")
        .env("TMUX", "/nowhere/other,1,0");
    start(&sandbox, "coder0");
    assert_eq!(
        start(&sandbox, "coder0").stdout,
        "already running: coder0\n"
    );
    let mut ps = sandbox.command(FLEET);
    ps.args(["ps", "--json"]);
    let rows = Running::start(ps, &sandbox.path("out"), b"")
        .wait(SOON)
        .json();
    assert_eq!(rows["agents"][0]["pane"], "alive", "{rows}");
    sandbox.unset("TMUX");
    let killed = sandbox.tmux(&["kill-session", "-t", "=coder0"]);
    assert_eq!(killed.code, 0, "{killed:?}");
    until(SOON, "it has ended", || {
        sandbox.heartbeat("coder0")["state"] == "exited"
    });
}

#[test]
fn the_heartbeat_is_where_and_as_often_as_it_was_asked_for() {
    let (mut sandbox, _) = fleet();
    let dir = sandbox.path("beats").display().to_string();
    sandbox
        .env("MOSAIC_HEARTBEAT_RUN_DIR", &dir)
        .env("MOSAIC_HEARTBEAT_INTERVAL", "1");
    start(&sandbox, "coder0");
    assert!(Path::new(&dir).join("coder0.hb").exists());
    sandbox.wait_state("coder0", "ready");
    let seq = |sandbox: &Sandbox| {
        sandbox.heartbeat("coder0")["seq"]
            .parse::<u64>()
            .expect("a number")
    };
    let before = seq(&sandbox);
    let took = until(SOON, "three beats", || seq(&sandbox) >= before + 3);
    assert!(took >= ms(1_900), "three beats within {took:?}");
    assert_eq!(sandbox.heartbeat("coder0")["interval"], "1");
    assert!(
        !sandbox.path("home/.config/mosaic").exists(),
        "nothing is where it was not asked for"
    );
}

#[test]
fn mosaic_home_moves_everything_that_is_kept() {
    let (mut sandbox, _) = fleet();
    let home = sandbox.path("elsewhere");
    sandbox.env("MOSAIC_HOME", home.display().to_string());
    start(&sandbox, "coder0");
    for file in ["coder0.hb", "coder0.lock", "coder0.journal"] {
        assert!(home.join("fleet/run").join(file).exists(), "{file}");
    }
    assert!(!sandbox.path("home/.config/mosaic").exists());
    assert_eq!(sandbox.status("coder0")["schema"], "mosaic.status/1");
}
