//! The monitor without systemd: the notification protocol, exit codes, and what it needs beside it.

mod support;

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::libc;
use support::{AGENT, FLEET, LATER, Running, SOON, Sandbox, kill, pid_is_alive, until};

/// A sandbox with a demo as the runtime.
fn sandbox(options: &str) -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.env("MOSAIC_AGENT_RUNTIME", "demo").env(
        "MOSAIC_AGENT_COMMAND",
        format!("{FLEET} demo-tui {options}"),
    );
    sandbox
}

/// The manager's side of the notification socket.
struct Manager(UnixDatagram);

impl Manager {
    fn bound_to(address: &SocketAddr) -> Manager {
        let socket = UnixDatagram::bind_addr(address).expect("a socket");
        socket.set_read_timeout(Some(SOON)).expect("a timeout");
        Manager(socket)
    }

    /// Reads until this assignment comes; returns all up to it.
    #[track_caller]
    fn wait(&self, assignment: &str) -> Vec<String> {
        let mut heard = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let Ok(n) = self.0.recv(&mut buffer) else {
                panic!("no {assignment} after {heard:?}");
            };
            let text = String::from_utf8_lossy(&buffer[..n]).into_owned();
            heard.extend(text.lines().map(str::to_owned));
            if heard.iter().any(|line| line.starts_with(assignment)) {
                return heard;
            }
        }
    }
}

/// A monitor of `coder0` that has said that it is ready.
#[track_caller]
fn ready(sandbox: &mut Sandbox) -> Running {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let n = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("mosaic-test-ready-{}-{n}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("an address");
    let manager = Manager::bound_to(&address);
    sandbox.env("NOTIFY_SOCKET", format!("@{name}"));
    let monitor = sandbox.start(&["launch", "--supervise", "coder0"]);
    manager.wait("READY=1");
    monitor
}

#[test]
fn it_speaks_the_notification_protocol_also_on_an_abstract_socket() {
    let name = format!("mosaic-test-{}", std::process::id());
    let path = format!("/tmp/{name}.notify");
    for (variable, address) in [
        (format!("@{name}"), SocketAddr::from_abstract_name(&name)),
        (path.clone(), SocketAddr::from_pathname(&path)),
    ] {
        let manager = Manager::bound_to(&address.expect("an address"));
        let mut sandbox = sandbox("");
        sandbox
            .env("NOTIFY_SOCKET", variable)
            .env("WATCHDOG_USEC", "1500000");
        let monitor = sandbox.start(&["launch", "--supervise", "coder0"]);
        let heard = manager.wait("READY=1");
        assert!(
            !heard.contains(&"WATCHDOG=1".to_owned()),
            "before READY: {heard:?}"
        );
        assert_eq!(sandbox.status("coder0")["schema"], "mosaic.status/1");
        manager.wait("WATCHDOG=1");
        manager.wait("STATUS=ready");
        kill(monitor.pid(), libc::SIGTERM);
        manager.wait("STOPPING=1");
        assert_eq!(monitor.wait(LATER).code, 0);
        assert_eq!(sandbox.heartbeat("coder0")["reason"], "terminated");
    }
    std::fs::remove_file(path).expect("the socket");
}

#[test]
fn a_watchdog_that_is_meant_for_another_process_is_none_of_its_business() {
    let name = format!("mosaic-test-other-{}", std::process::id());
    let manager = Manager::bound_to(&SocketAddr::from_abstract_name(&name).expect("an address"));
    let mut sandbox = sandbox("--exit-after-ms 2500");
    sandbox
        .env("NOTIFY_SOCKET", format!("@{name}"))
        .env("WATCHDOG_USEC", "600000")
        .env("WATCHDOG_PID", "1");
    let monitor = sandbox.start(&["launch", "--supervise", "coder0"]);
    // 0.2 s apart it would be ten; by itself it asks a beginner every second.
    let heard = manager.wait("STOPPING=1");
    let fed = heard.iter().filter(|line| *line == "WATCHDOG=1").count();
    assert!(fed <= 4, "{heard:?}");
    assert_eq!(monitor.wait(LATER).code, 0);
}

#[test]
fn it_ends_with_the_runtimes_code_and_says_why() {
    for (options, code, words) in [
        ("--exit-after-ms 700", 0, "the runtime ended (0)"),
        (
            "--exit-after-ms 700 --exit-code 3",
            3,
            "the runtime ended (3)",
        ),
    ] {
        let sandbox = sandbox(options);
        let ended = sandbox
            .start(&["launch", "--supervise", "coder0"])
            .wait(LATER);
        assert_eq!(ended.code, code, "{ended:?}");
        assert!(ended.stderr.contains(words), "{ended:?}");
    }
}

/// Before the launcher has seen it, after that, or after the monitor has: the code is the same.
#[test]
fn a_runtime_that_ends_as_soon_as_it_is_up_is_told_by_its_code() {
    for nap in ["0", "0.01", "0.02", "0.05", "0.1"] {
        let mut sandbox = sandbox("");
        let command = format!("/bin/sh -c 'stty raw; sleep {nap}; exit 5'");
        sandbox.env("MOSAIC_AGENT_COMMAND", command);
        let ended = sandbox
            .start(&["launch", "--supervise", "coder0"])
            .wait(LATER);
        assert_eq!(ended.code, 5, "{nap}: {ended:?}");
    }
}

#[test]
fn a_hang_up_is_no_clean_stop_even_if_the_runtime_ends_with_0() {
    let mut sandbox = sandbox("");
    sandbox.env(
        "MOSAIC_AGENT_COMMAND",
        "/bin/sh -c 'trap \"exit 0\" TERM HUP; stty raw; while :; do sleep 0.05; done'",
    );
    let monitor = ready(&mut sandbox);
    sandbox.tmux(&["kill-session", "-t", "=coder0"]);
    let ended = monitor.wait(LATER);
    assert_eq!(sandbox.heartbeat("coder0")["exit"], "0");
    assert_eq!(ended.code, 129, "{ended:?}");
}

#[test]
fn a_second_monitor_adopts_the_same_agent_and_either_sees_its_end() {
    let mut sandbox = sandbox("");
    let launched = sandbox.agent(&["launch", "coder0"]);
    assert_eq!(launched.code, 0, "{launched:?}");
    let sidecar: i32 = sandbox.heartbeat("coder0")["sidecar"]
        .parse()
        .expect("a pid");
    let monitors = [ready(&mut sandbox), ready(&mut sandbox)];
    kill(sidecar, libc::SIGKILL);
    for monitor in monitors {
        let ended = monitor.wait(LATER);
        assert_eq!(ended.code, 1, "{ended:?}");
        assert!(ended.stderr.contains("without a last word"), "{ended:?}");
    }
    assert!(!pid_is_alive(sidecar));
}

#[test]
fn a_monitor_that_nobody_tells_finds_out_that_its_sidecar_was_upgraded_and_follows() {
    let name = format!("mosaic-test-follows-{}", std::process::id());
    let manager = Manager::bound_to(&SocketAddr::from_abstract_name(&name).expect("an address"));
    let mut sandbox = sandbox("");
    sandbox
        .env("NOTIFY_SOCKET", format!("@{name}"))
        .env("WATCHDOG_USEC", "6000000");
    let monitor = sandbox.start(&["launch", "--supervise", "coder0"]);
    manager.wait("READY=1");
    let dir = sandbox.path("next");
    std::fs::create_dir(&dir).expect("a directory in the sandbox");
    for file in [AGENT, FLEET] {
        // Not written by us: a file that was open for writing in this process cannot be executed by its children.
        let mut cp = std::process::Command::new("cp");
        let copied = cp.args([Path::new(file), &dir]).status();
        assert!(copied.expect("cp runs").success());
    }
    let (agent, fleet) = (dir.join("mosaic-agent"), dir.join("mosaic-fleet"));
    let to = agent.display().to_string();
    let upgraded = sandbox.agent(&["upgrade", "--to", &to, "coder0"]);
    assert_eq!(upgraded.code, 0, "{upgraded:?}");
    let exe = format!("/proc/{}/exe", monitor.pid());
    until(LATER, "it is the next binary", || {
        std::fs::read_link(&exe).is_ok_and(|file| file == fleet)
    });
    kill(monitor.pid(), libc::SIGTERM);
    let heard = manager.wait("STOPPING=1");
    assert!(!heard.contains(&"READY=1".to_owned()), "{heard:?}");
    assert!(heard.contains(&"WATCHDOG=1".to_owned()), "{heard:?}");
    assert_eq!(monitor.wait(LATER).code, 0);
    assert_eq!(sandbox.heartbeat("coder0")["reason"], "terminated");
}

#[test]
fn without_mosaic_fleet_it_is_69_and_says_what_to_install() {
    let mut sandbox = Sandbox::new();
    let alone = sandbox.path("alone");
    std::fs::create_dir(&alone).expect("a directory in the sandbox");
    let agent = sandbox.copy(AGENT, "alone/mosaic-agent");
    sandbox.env("PATH", "/usr/bin:/bin");
    for args in [
        ["launch", "--supervise", "coder0"].as_slice(),
        &["units", "status"],
    ] {
        let mut command = sandbox.command(&agent);
        command.args(args);
        let output = Running::start(command, &sandbox.path("out"), b"").wait(SOON);
        assert_eq!(output.code, 69, "{output:?}");
        assert!(output.stderr.contains("install all"), "{output:?}");
    }
}
