//! `launch` and the sidecar in a real tmux, each test with a server of its own.

mod support;

use std::fs;
use std::path::Path;

use support::{FLEET, LATER, Log, Output, SOON, Sandbox, get, kill, ms, pid_is_alive, until};

/// A fleet whose runtime is the demo, called `demo`.
struct Fleet {
    sandbox: Sandbox,
    log: Log,
}

impl Fleet {
    fn new() -> Fleet {
        Fleet::with("")
    }

    /// With more options for the demo.
    fn with(options: &str) -> Fleet {
        let mut sandbox = Sandbox::new();
        let log = sandbox.path("demo.log");
        let command = format!("{FLEET} demo-tui --log {} {options}", log.display());
        sandbox
            .env("MOSAIC_AGENT_COMMAND", command)
            .env("MOSAIC_AGENT_RUNTIME", "demo");
        Fleet {
            sandbox,
            log: Log::at(log),
        }
    }

    #[track_caller]
    fn launch(&self, name: &str) -> Output {
        let output = self.sandbox.agent(&["launch", name]);
        assert_eq!(output.code, 0, "{output:?}");
        output
    }

    /// The pid of the sidecar or of the runtime (`pid`), by the heartbeat.
    #[track_caller]
    fn pid(&self, name: &str, whose: &str) -> i32 {
        self.sandbox.heartbeat(name)[whose].parse().expect("a pid")
    }
}

/// The names of all sessions.
fn sessions(sandbox: &Sandbox) -> Vec<String> {
    let output = sandbox.tmux(&["list-sessions", "-F", "#{session_name}"]);
    output.stdout.lines().map(str::to_owned).collect()
}

/// One field of an agent's pane.
#[track_caller]
fn pane(sandbox: &Sandbox, name: &str, field: &str) -> String {
    let output = sandbox.tmux(&["list-panes", "-s", "-t", &format!("={name}"), "-F", field]);
    assert_eq!(output.code, 0, "{output:?}");
    output.stdout.trim().to_owned()
}

/// The environment a runtime wrote with `env -0`.
#[track_caller]
fn environment(path: &Path) -> Vec<String> {
    let text = get(SOON, "the runtime's environment", || {
        fs::read_to_string(path)
            .ok()
            .filter(|text| text.ends_with('\0'))
    });
    text.split('\0').map(str::to_owned).collect()
}

/// A command line for a runtime that writes its environment to a file and then is the demo.
fn tells_its_environment(path: &Path) -> String {
    format!(
        "/bin/sh -c 'env -0 > {}; exec {FLEET} demo-tui'",
        path.display()
    )
}

// ---------------------------------------------------------------- launch

#[test]
fn launch_makes_a_session_in_the_right_directory_that_shows_the_runtimes_name() {
    let mut fleet = Fleet::new();
    let workdir = fleet.sandbox.path("home/not/made yet");
    let shown = workdir.display().to_string();
    fleet.sandbox.env("MOSAIC_AGENT_WORKDIR", &shown);
    let output = fleet.launch("coder0");
    let (sidecar, runtime) = (fleet.pid("coder0", "sidecar"), fleet.pid("coder0", "pid"));
    assert_eq!(
        output.stdout,
        format!("started coder0 (sidecar {sidecar}, runtime {runtime})\n")
    );
    let sandbox = &fleet.sandbox;
    assert_eq!(sessions(sandbox), ["coder0"]);
    assert_eq!(pane(sandbox, "coder0", "#{pane_pid}"), sidecar.to_string());
    assert_eq!(pane(sandbox, "coder0", "#{pane_current_command}"), "demo");
    assert_eq!(pane(sandbox, "coder0", "#{pane_current_path}"), shown);
    let cwd = fs::read_link(format!("/proc/{runtime}/cwd")).expect("its directory");
    assert_eq!(cwd, workdir);
}

#[test]
fn a_launched_agent_takes_messages() {
    let fleet = Fleet::new();
    fleet.launch("coder0");
    let sent = fleet
        .sandbox
        .agent(&["send", "--verify", "--no-preamble", "coder0", "-m", "hello"]);
    assert_eq!(sent.code, 0, "{sent:?}");
    assert_eq!(fleet.log.taken(), ["hello"]);
    assert_eq!(
        fleet.sandbox.heartbeat("coder0")["tmux"],
        fleet.sandbox.var("MOSAIC_TMUX_SOCKET")
    );
}

#[test]
fn a_second_launch_finds_it_running() {
    let fleet = Fleet::new();
    fleet.launch("coder0");
    let sidecar = fleet.pid("coder0", "sidecar");
    assert_eq!(fleet.launch("coder0").stdout, "already running: coder0\n");
    assert_eq!(
        fleet.sandbox.agent(&["launch", "--quiet", "coder0"]).stdout,
        ""
    );
    assert_eq!(sessions(&fleet.sandbox), ["coder0"]);
    assert_eq!(fleet.pid("coder0", "sidecar"), sidecar);
}

#[test]
fn launches_at_the_same_time_make_one_agent() {
    let fleet = Fleet::new();
    let all: Vec<_> = (0..4)
        .map(|_| fleet.sandbox.start(&["launch", "coder0"]))
        .collect();
    let mut said = Vec::new();
    for launch in all {
        let output = launch.wait(LATER);
        assert_eq!(output.code, 0, "{output:?}");
        said.push(output.stdout);
    }
    said.sort();
    assert_eq!(said[..3], ["already running: coder0\n"; 3]);
    assert!(said[3].starts_with("started coder0"), "{said:?}");
    assert_eq!(sessions(&fleet.sandbox), ["coder0"]);
    assert_eq!(fleet.log.of("ready").len(), 1);
}

#[test]
fn the_name_may_come_from_the_environment() {
    let mut fleet = Fleet::new();
    fleet.sandbox.env("MOSAIC_AGENT_NAME", "coder7");
    let output = fleet.sandbox.agent(&["launch"]);
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(sessions(&fleet.sandbox), ["coder7"]);
}

#[test]
fn an_empty_or_absent_socket_name_means_tmuxs_default_server() {
    for empty in [true, false] {
        let mut fleet = Fleet::new();
        match empty {
            true => fleet.sandbox.env("MOSAIC_TMUX_SOCKET", ""),
            false => fleet.sandbox.unset("MOSAIC_TMUX_SOCKET"),
        };
        // As if called from inside of yet another tmux.
        fleet.sandbox.env("TMUX", "/nowhere/other,1,0");
        fleet.launch("coder0");
        let uid = nix::unistd::geteuid();
        assert!(
            fleet
                .sandbox
                .path(&format!("tmux/tmux-{uid}/default"))
                .exists()
        );
        fleet.sandbox.unset("TMUX");
        assert_eq!(sessions(&fleet.sandbox), ["coder0"]);
        assert_eq!(fleet.sandbox.heartbeat("coder0")["tmux"], "");
    }
}

#[test]
fn a_session_with_a_similar_name_is_another_session() {
    let fleet = Fleet::new();
    for other in ["coder", "coder00"] {
        let made = fleet
            .sandbox
            .tmux(&["new-session", "-d", "-s", other, "sleep 600"]);
        assert_eq!(made.code, 0, "{made:?}");
    }
    let output = fleet.launch("coder0");
    assert!(output.stdout.starts_with("started"), "{output:?}");
    assert_eq!(sessions(&fleet.sandbox), ["coder", "coder0", "coder00"]);
}

#[test]
fn a_session_of_that_name_without_a_sidecar_is_not_taken_for_an_agent() {
    let fleet = Fleet::new();
    let made = fleet
        .sandbox
        .tmux(&["new-session", "-d", "-s", "coder0", "sleep 600"]);
    assert_eq!(made.code, 0, "{made:?}");
    let output = fleet.sandbox.agent(&["launch", "coder0"]);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(
        output.stderr.contains("no sidecar answers in it"),
        "{output:?}"
    );
    assert!(
        output.stderr.contains("kill-session -t =coder0"),
        "{output:?}"
    );
}

// ---------------------------------------------------------------- the runtime's command and environment

#[test]
fn the_runtime_sees_the_launchers_environment_and_not_the_tmux_servers() {
    let mut fleet = Fleet::new();
    let file = fleet.sandbox.path("env");
    let (server_home, bin) = (fleet.sandbox.path("other"), fleet.sandbox.path("rb"));
    for dir in [&server_home, &bin] {
        fs::create_dir(dir).expect("a directory in the sandbox");
    }
    let bin = bin.display().to_string();
    let mut server = fleet.sandbox.command("tmux");
    server
        .args(["-L", fleet.sandbox.var("MOSAIC_TMUX_SOCKET")])
        .args(["new-session", "-d", "-s", "other", "sleep 600"])
        .envs([("HOME", &server_home), ("XDG_RUNTIME_DIR", &server_home)])
        .envs([("MOSAIC_AGENT_MODEL", "stale"), ("ODD", "stale")])
        .envs([("MOSAIC_AGENT_RUNTIME", "stale"), ("PATH", "/usr/bin:/bin")]);
    assert!(server.status().expect("tmux").success());
    fleet
        .sandbox
        .env("MOSAIC_AGENT_COMMAND", tells_its_environment(&file))
        .env("MOSAIC_AGENT_MODEL", "sonnet")
        .env("MOSAIC_RUNTIME_BIN", &bin)
        .env("ODD", "line one\nline = two");
    fleet.launch("coder0");
    let env = environment(&file);
    let socket = fleet.sandbox.socket("coder0");
    for expected in [
        format!("HOME={}", fleet.sandbox.home().display()),
        format!("MOSAIC_AGENT_SOCK={}", socket.display()),
        "MOSAIC_AGENT_NAME=coder0".into(),
        "MOSAIC_AGENT_RUNTIME=demo".into(),
        "MOSAIC_AGENT_MODEL=sonnet".into(),
        "ODD=line one\nline = two".into(),
    ] {
        assert!(env.contains(&expected), "{expected:?} is not in {env:#?}");
    }
    let path = env.iter().find(|var| var.starts_with("PATH="));
    let path = path.expect("a PATH");
    assert!(path.starts_with(&format!("PATH={bin}:")), "{path}");
    assert!(path.contains("/usr/local/bin"), "{path}");
    // The pane's own terminal is tmux's.
    assert!(env.iter().any(|var| var.starts_with("TMUX_PANE=")));
    assert!(!env.contains(&"TERM=xterm-256color".to_owned()), "{env:#?}");
}

/// The first agent's launcher starts the tmux server, which keeps that environment for all later panes.
#[test]
fn what_only_the_tmux_servers_environment_sets_does_not_reach_another_agent() {
    let mut fleet = Fleet::new();
    fleet.sandbox.env("MOSAIC_AGENT_MODEL", "of the first");
    fleet.launch("first");
    let bin = fleet.sandbox.path("rb").display().to_string();
    let (file, log) = (fleet.sandbox.path("env"), fleet.sandbox.path("second.log"));
    fleet.sandbox.script(
        "rb/mosaic",
        &format!(
            "#!/bin/sh\nenv -0 > {}\nexec {FLEET} demo-tui --log {}\n",
            file.display(),
            log.display()
        ),
    );
    fleet
        .sandbox
        .unset("MOSAIC_AGENT_MODEL")
        .unset("MOSAIC_AGENT_COMMAND")
        .env("MOSAIC_RUNTIME_BIN", bin);
    fleet.launch("second");
    assert_eq!(
        fleet.log.of("ready").len(),
        1,
        "the first agent's command was run again"
    );
    Log::at(log).wait("ready");
    let env = environment(&file);
    assert!(env.contains(&"MOSAIC_AGENT_MODEL=".to_owned()), "{env:#?}");
}

#[test]
fn the_default_command_is_mosaic_yolo_with_the_runtime_and_its_model() {
    let mut sandbox = Sandbox::new();
    let argv = sandbox.path("argv");
    sandbox.script(
        "rb/mosaic",
        &format!(
            "#!/bin/sh\nprintf '%s\\n' \"$@\" > {}\nexec {FLEET} demo-tui\n",
            argv.display()
        ),
    );
    let bin = sandbox.path("rb").display().to_string();
    sandbox.env("MOSAIC_RUNTIME_BIN", bin);
    for (name, model, expected) in [
        ("plain", "", "yolo\npi\n"),
        ("modelled", "a b'c", "yolo\npi\n--model\na b'c\n"),
    ] {
        sandbox.env("MOSAIC_AGENT_MODEL", model);
        let output = sandbox.agent(&["launch", name]);
        assert_eq!(output.code, 0, "{output:?}");
        assert_eq!(fs::read_to_string(&argv).expect("its arguments"), expected);
        assert_eq!(pane(&sandbox, name, "#{pane_current_command}"), "pi");
    }
}

#[test]
fn a_command_with_quotes_blanks_and_shell_words_arrives_intact() {
    let mut sandbox = Sandbox::new();
    let argv = sandbox.path("argv");
    let script = sandbox.script(
        "rt/runtime",
        &format!(
            "#!/bin/sh\nprintf '%s|' \"$@\" > {}\nexec {FLEET} demo-tui\n",
            argv.display()
        ),
    );
    let script = script.display();
    sandbox.env("ODD", "from the launcher");
    for (name, arguments, expected) in [
        (
            "words",
            r#"'two  words' "it's" a\ b --x="y z" '' '$ODD;' "#,
            "two  words|it's|a b|--x=y z||$ODD;|",
        ),
        (
            "shell",
            r#""$ODD" 'a  b' && exit 0"#,
            "from the launcher|a  b|",
        ),
    ] {
        sandbox.env("MOSAIC_AGENT_COMMAND", format!("{script} {arguments}"));
        let output = sandbox.agent(&["launch", name]);
        assert_eq!(output.code, 0, "{output:?}");
        assert_eq!(
            fs::read_to_string(&argv).expect("its arguments"),
            expected,
            "{name}"
        );
    }
}

// ---------------------------------------------------------------- launches that fail

#[test]
fn a_missing_runtime_is_127_with_the_path_and_leaves_nothing_behind() {
    let mut sandbox = Sandbox::new();
    sandbox.env("MOSAIC_AGENT_COMMAND", "no-such-runtime --fast");
    let output = sandbox.agent(&["launch", "coder0"]);
    assert_eq!(output.code, 127, "{output:?}");
    assert!(output.stderr.contains("no-such-runtime"), "{output:?}");
    assert!(output.stderr.contains("searched /usr"), "{output:?}");
    assert_eq!(sessions(&sandbox), [""; 0]);
    sandbox.wait_empty(SOON);
}

#[test]
fn a_runtime_that_dies_at_once_is_told_with_its_last_words() {
    let mut sandbox = Sandbox::new();
    for (code, expected) in [(9, 9), (0, 1)] {
        let command = format!("/bin/sh -c 'echo I have no key; exit {code}'");
        sandbox.env("MOSAIC_AGENT_COMMAND", command);
        let output = sandbox.agent(&["launch", "coder0"]);
        assert_eq!(output.code, expected, "{output:?}");
        assert!(output.stderr.contains("I have no key"), "{output:?}");
        until(SOON, "no session", || sessions(&sandbox).is_empty());
    }
    sandbox.wait_empty(SOON);
    let left: Vec<_> = fs::read_dir(sandbox.path("run/mosaic"))
        .expect("the socket directory")
        .flatten()
        .map(|e| e.file_name().into_string().expect("a name"))
        .filter(|name| !name.ends_with(".lock"))
        .collect();
    assert_eq!(left, [""; 0]);
}

#[test]
fn a_missing_tmux_is_69_with_what_to_install() {
    let mut fleet = Fleet::new();
    let empty = fleet.sandbox.path("out").display().to_string();
    fleet.sandbox.env("PATH", empty);
    let output = fleet.sandbox.agent(&["launch", "coder0"]);
    assert_eq!(output.code, 69, "{output:?}");
    assert!(output.stderr.contains("install"), "{output:?}");
}

// ---------------------------------------------------------------- ends

/// The runtime, the sidecar and the socket are gone; the heartbeat says why.
#[track_caller]
fn assert_hung_up(fleet: &Fleet, runtime: i32, sidecar: i32) {
    until(ms(6_000), "runtime and sidecar are gone", || {
        !pid_is_alive(runtime) && !pid_is_alive(sidecar)
    });
    let beat = fleet.sandbox.heartbeat("coder0");
    assert_eq!(beat["state"], "exited", "{beat:?}");
    assert_eq!(beat["reason"], "hangup", "{beat:?}");
    assert!(!fleet.sandbox.socket("coder0").exists());
}

#[test]
fn a_killed_pane_session_or_server_ends_the_agent_as_a_hang_up() {
    for command in [
        ["kill-pane", "-t", "=coder0:"].as_slice(),
        &["kill-session", "-t", "=coder0"],
        &["kill-server"],
    ] {
        let fleet = Fleet::new();
        fleet.launch("coder0");
        let (runtime, sidecar) = (fleet.pid("coder0", "pid"), fleet.pid("coder0", "sidecar"));
        let output = fleet.sandbox.tmux(command);
        assert_eq!(output.code, 0, "{output:?}");
        assert_hung_up(&fleet, runtime, sidecar);
        fleet.sandbox.wait_empty(ms(1_000));
    }
}

#[test]
fn a_launch_behind_a_killed_session_waits_for_the_end_of_the_agent_before() {
    let fleet = Fleet::with("--ignore-hup --ignore-term");
    fleet.launch("coder0");
    let runtime = fleet.pid("coder0", "pid");
    let killed = fleet.sandbox.tmux(&["kill-session", "-t", "=coder0"]);
    assert_eq!(killed.code, 0, "{killed:?}");
    let again = fleet.launch("coder0");
    assert!(again.stdout.starts_with("started"), "{again:?}");
    assert!(again.stderr.contains("waiting for the last"), "{again:?}");
    assert!(!pid_is_alive(runtime));
}

#[test]
fn a_tmux_server_that_is_killed_hard_takes_no_runtime_into_the_dark() {
    let fleet = Fleet::with("--ignore-hup");
    fleet.launch("coder0");
    let (runtime, sidecar) = (fleet.pid("coder0", "pid"), fleet.pid("coder0", "sidecar"));
    let server = fleet.sandbox.tmux(&["display-message", "-p", "#{pid}"]);
    kill(
        server.stdout.trim().parse().expect("a pid"),
        nix::libc::SIGKILL,
    );
    assert_hung_up(&fleet, runtime, sidecar);
}

#[test]
fn a_pane_that_tmux_has_kept_after_its_end_is_no_agent_and_no_obstacle() {
    let fleet = Fleet::new();
    fleet.launch("coder0");
    let set = fleet
        .sandbox
        .tmux(&["set-option", "-g", "remain-on-exit", "on"]);
    assert_eq!(set.code, 0, "{set:?}");
    let sidecar = fleet.pid("coder0", "sidecar");
    kill(sidecar, nix::libc::SIGTERM);
    until(SOON, "the pane is dead", || {
        pane(&fleet.sandbox, "coder0", "#{pane_dead}") == "1"
    });
    assert!(fleet.launch("coder0").stdout.starts_with("started"));
    assert_ne!(fleet.pid("coder0", "sidecar"), sidecar);
}

#[test]
fn an_agent_that_has_ended_can_be_launched_again() {
    let fleet = Fleet::new();
    fleet.launch("coder0");
    let runtime = fleet.pid("coder0", "pid");
    let typed = fleet
        .sandbox
        .tmux(&["send-keys", "-t", "=coder0:", "/exit 3", "Enter"]);
    assert_eq!(typed.code, 0, "{typed:?}");
    until(SOON, "its session is gone", || {
        sessions(&fleet.sandbox).is_empty()
    });
    assert_eq!(fleet.sandbox.heartbeat("coder0")["exit"], "3");
    assert!(fleet.launch("coder0").stdout.starts_with("started"));
    assert_ne!(fleet.pid("coder0", "pid"), runtime);
}
