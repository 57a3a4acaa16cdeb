//! How soon a unit is up, what its monitor weighs, and how long a runtime outlives its killed sidecar.
//!
//! ```text
//! cargo bench --bench fates -- --kills 1000 --starts 30 --agents 20 --upgrades 300
//! ```
//!
//! The runtime is the demo; every second one that is killed ignores SIGHUP and SIGTERM. Starting and PSS want
//! a service manager of their own (`tests/support`), killing wants tmux only.

#[path = "../support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use mosaic_agent::os::pidfd::PidFd;
use nix::libc;
use support::{AGENT, FLEET, LATER, Log, Managed, Pane, SOON, Sandbox, get, kill, until};

const USAGE: &str = "\
usage: cargo bench --bench fates [-- OPTION…]
  --kills N    sidecars killed (default 200; 1000 for the record)
  --upgrades N upgrades in place, idle and under a flood (default 50)
  --starts N   units started (default 20)
  --agents N   monitors at once for the memory of many (default 10)";

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    let number = |name: &str, default: usize| {
        let at = arguments.iter().position(|a| a == name);
        at.and_then(|at| arguments.get(at + 1)?.parse().ok())
            .unwrap_or(default)
    };
    // `cargo test --all-targets` starts benchmarks without an argument; that is not the time for it.
    if arguments.is_empty() || arguments.iter().any(|a| a == "--help") {
        println!("{USAGE}");
        return;
    }
    upgrades(number("--upgrades", 50));
    starts(number("--starts", 20), number("--agents", 10));
    kills(number("--kills", 200));
}

/// Milliseconds, sorted, as one line.
fn print(what: &str, mut ms: Vec<f64>) {
    ms.sort_by(f64::total_cmp);
    let at = |part: f64| ms[((ms.len() - 1) as f64 * part).round() as usize];
    println!(
        "{what}: n={} p50={:.1} p90={:.1} p99={:.1} max={:.1}",
        ms.len(),
        at(0.5),
        at(0.9),
        at(0.99),
        at(1.0)
    );
}

fn ms_since(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1_000.0
}

/// How long no byte passes, as the new binary tells it.
fn upgrades(count: usize) {
    for (what, script) in [
        ("idle", "exec sleep 100000"),
        (
            "under a flood",
            "while :; do seq -f '%09g of a flood' 1 100000; done",
        ),
    ] {
        let sandbox = Sandbox::new();
        let other = sandbox.copy(AGENT, "mosaic-agent-other");
        let other = other.display().to_string();
        let pane = Pane::run(&sandbox, "a", &["sh", "-c", &format!("stty raw; {script}")]);
        until(SOON, "it answers", || {
            sandbox.agent(&["status", "a"]).code == 0
        });
        let paused = (0..count).map(|n| {
            let to = if n % 2 == 0 { &other } else { AGENT };
            let (code, told) = sandbox.agent_json(&["upgrade", "--json", "--to", to, "a"]);
            assert_eq!(code, 0, "{told}");
            told["paused_us"].as_f64().expect("a number") / 1_000.0
        });
        print(
            &format!("upgrade {what}, bytes paused, ms"),
            paused.collect(),
        );
        drop(pane);
    }
}

fn kills(count: usize) {
    let mut sandbox = Sandbox::new();
    sandbox.env("MOSAIC_AGENT_RUNTIME", "demo");
    let mut took = Vec::new();
    for n in 0..count {
        let stubborn = if n % 2 == 0 {
            "--ignore-hup --ignore-term"
        } else {
            ""
        };
        sandbox.env(
            "MOSAIC_AGENT_COMMAND",
            format!("{FLEET} demo-tui {stubborn}"),
        );
        let launched = sandbox.agent(&["launch", "victim"]);
        assert_eq!(launched.code, 0, "{launched:?}");
        let beat = sandbox.heartbeat("victim");
        let pid = |key: &str| beat[key].parse::<i32>().expect("a pid");
        let runtime = PidFd::open(pid("pid")).expect("the runtime runs");
        let start = Instant::now();
        kill(pid("sidecar"), libc::SIGKILL);
        assert!(
            runtime.ends_within(Duration::from_secs(10)),
            "the runtime lives on"
        );
        took.push(ms_since(start));
        until(SOON, "the session is gone", || {
            sandbox.tmux(&["has-session", "-t", "=victim"]).code != 0
        });
    }
    print("SIGKILL of the sidecar until the runtime is gone, ms", took);
}

fn starts(count: usize, agents: usize) {
    let Some(managed) = Managed::start("bench fates") else {
        return;
    };
    assert_eq!(managed.agent(&["units", "install"]).code, 0);
    let fleet = managed.path("home/.config/mosaic/fleet");
    std::fs::create_dir_all(&fleet).expect("a directory in the sandbox");
    let log = managed.path("demo.log");
    let command = format!("{FLEET} demo-tui --log {}", log.display());
    let text = format!(
        "TMUX_TMPDIR={}\nMOSAIC_TMUX_SOCKET={}\nMOSAIC_AGENT_RUNTIME=demo\nMOSAIC_AGENT_COMMAND={command}\n",
        managed.var("TMUX_TMPDIR"),
        managed.var("MOSAIC_TMUX_SOCKET"),
    );
    std::fs::write(fleet.join("fleet.env"), &text).expect("a file in the sandbox");
    managed.drop_in("mosaic-agent@.service", "[Unit]\nStartLimitBurst=0\n");
    managed.must(&["start", "mosaic-tmux-holder.service"]);
    let (mut units, mut bare) = (Vec::new(), Vec::new());
    let unit = "mosaic-agent@timed.service";
    for _ in 0..count {
        let start = Instant::now();
        managed.must(&["start", unit]);
        units.push(ms_since(start));
        managed.must(&["stop", unit]);
        let _ = std::fs::remove_file(&log);
        // The runtime's own start: the same demo in the same tmux, until it is ready.
        let start = Instant::now();
        managed.tmux(&["new-session", "-d", "-s", "bare", &command]);
        get(LATER, "the demo is ready", || {
            (!Log::at(log.clone()).of("ready").is_empty()).then_some(())
        });
        bare.push(ms_since(start));
        managed.tmux(&["kill-session", "-t", "=bare"]);
    }
    print("systemctl start until READY, ms", units);
    print("the runtime's own start in tmux, ms", bare);
    // Not the demo: it is the monitor's own executable and would share its pages.
    let other = text.replace(&command, "/bin/sh -c 'stty raw; exec sleep 100000'");
    std::fs::write(fleet.join("fleet.env"), other).expect("a file in the sandbox");
    let pss = |name: &str| pss_kib(managed.main_pid(&format!("mosaic-agent@{name}.service")));
    managed.must(&["start", unit]);
    // Beyond its first questions.
    std::thread::sleep(Duration::from_secs(3));
    println!("monitor, alone: PSS {} KiB", pss("timed"));
    let names: Vec<String> = (0..agents).map(|n| format!("a{n}")).collect();
    for name in &names {
        managed.must(&["start", &format!("mosaic-agent@{name}.service")]);
    }
    std::thread::sleep(Duration::from_secs(3));
    let sum: u64 = names.iter().map(|name| pss(name)).sum();
    println!(
        "monitor, each of {agents}: PSS {} KiB",
        sum / agents.max(1) as u64
    );
}

fn pss_kib(pid: i32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find(|l| l.starts_with("Pss:"));
    line.and_then(|l| l.split_whitespace().nth(1)?.parse().ok())
        .unwrap_or(0)
}
