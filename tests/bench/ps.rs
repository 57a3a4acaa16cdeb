//! What a look at the whole fleet costs, with and without somebody in it who does not answer.
//!
//! ```text
//! cargo bench --bench ps -- --agents 100          for the record
//! cargo bench --bench ps -- --agents 100 --units  every agent in tmux, under a unit of its own, in a real user manager
//! ```
//!
//! Agents are real sidecars around `cat`. `quiet`: all of them answer. `dead`: one more has a fresh heartbeat and a
//! socket on which nobody listens. `hung`: one more has a socket that takes connections and never says a word. The
//! three are measured in turn, round by round, so that what else the machine does hits all of them.

#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use support::{FLEET, LATER, Managed, Running, Sandbox, until};

const USAGE: &str = "\
usage: cargo bench --bench ps [-- OPTION…]
  --agents N   live agents (default 20; 100 for the record)
  --rounds N   looks of each kind (default 30)
  --units      as units of a user manager, in tmux, instead of headless";

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
    let (agents, rounds) = (number("--agents", 20), number("--rounds", 30));
    if arguments.iter().any(|a| a == "--units") {
        if let Some(managed) = under_units(agents) {
            measure(&managed, agents, rounds);
        }
    } else {
        let sandbox = Sandbox::new();
        let _agents = headless(&sandbox, agents);
        measure(&sandbox, agents, rounds);
    }
}

fn headless(sandbox: &Sandbox, agents: usize) -> Vec<Running> {
    let running = (0..agents)
        .map(|n| sandbox.start(&["run", &format!("a{n}"), "--", "cat"]))
        .collect();
    until(LATER, "every agent has a heartbeat", || {
        (0..agents).all(|n| sandbox.find_heartbeat(&format!("a{n}")).is_some())
    });
    running
}

fn under_units(agents: usize) -> Option<Managed> {
    let managed = Managed::start("bench ps")?;
    assert_eq!(managed.agent(&["units", "install"]).code, 0);
    let fleet = managed.path("home/.config/mosaic/fleet");
    fs::create_dir_all(&fleet).expect("a directory in the sandbox");
    let text = format!(
        "TMUX_TMPDIR={}\nMOSAIC_TMUX_SOCKET={}\nMOSAIC_AGENT_RUNTIME=cat\nMOSAIC_AGENT_COMMAND=\"sh -c 'stty raw; exec cat'\"\n",
        managed.var("TMUX_TMPDIR"),
        managed.var("MOSAIC_TMUX_SOCKET"),
    );
    fs::write(fleet.join("fleet.env"), text).expect("a file in the sandbox");
    // All at once: the manager starts them side by side.
    let units: Vec<String> = (0..agents)
        .map(|n| format!("mosaic-agent@a{n}.service"))
        .collect();
    let start: Vec<&str> = std::iter::once("start")
        .chain(units.iter().map(String::as_str))
        .collect();
    let started = managed.systemctl_within(&start, Duration::from_secs(300));
    assert_eq!(started.code, 0, "{started:?}");
    Some(managed)
}

/// A heartbeat like that of the first agent, with a socket of its own.
fn heartbeat_of(sandbox: &Sandbox, name: &str) -> std::path::PathBuf {
    let socket = sandbox.socket(name);
    let text = fs::read_to_string(sandbox.heartbeat_path("a0")).expect("a heartbeat");
    let text: Vec<String> = text
        .lines()
        .filter(|line| !line.starts_with("tmux="))
        .map(|line| match line.split_once('=') {
            Some(("sock", _)) => format!("sock={}", socket.display()),
            _ => line.to_owned(),
        })
        .collect();
    fs::write(sandbox.heartbeat_path(name), text.join("\n")).expect("a file in the sandbox");
    socket
}

fn remove(sandbox: &Sandbox, name: &str) {
    let _ = fs::remove_file(sandbox.heartbeat_path(name));
    let _ = fs::remove_file(sandbox.socket(name));
}

fn measure(sandbox: &Sandbox, agents: usize, rounds: usize) {
    // Beyond the start, the first beats and what the compiler has left.
    std::thread::sleep(Duration::from_secs(3));
    let mut took = [Vec::new(), Vec::new(), Vec::new()];
    for round in 0..=rounds {
        for (kind, took) in took.iter_mut().enumerate() {
            let dead = (kind >= 1).then(|| {
                let path = heartbeat_of(sandbox, "dead");
                drop(UnixListener::bind(path).expect("a socket in the sandbox"));
            });
            let hung = (kind == 2).then(|| {
                let path = heartbeat_of(sandbox, "hung");
                UnixListener::bind(path).expect("a socket in the sandbox")
            });
            // A sidecar that was asked looks at its runtime afresh; that is not to be paid for by the next look.
            std::thread::sleep(Duration::from_millis(200));
            let (ms, healthy) = look(sandbox);
            assert_eq!(healthy, agents, "round {round}, kind {kind}");
            // The first is for the caches.
            if round > 0 {
                took.push(ms);
            }
            drop((dead, hung));
            remove(sandbox, "dead");
            remove(sandbox, "hung");
        }
    }
    for (kind, took) in ["all answer", "one dead socket", "one dead, one hung"]
        .iter()
        .zip(took)
    {
        print(&format!("ps of {agents} agents, {kind}, ms"), took);
    }
}

/// Milliseconds of one look, and how many agents it found in good health.
fn look(sandbox: &Sandbox) -> (f64, usize) {
    let mut command = sandbox.command(FLEET);
    command.args(["ps", "--json"]);
    let start = Instant::now();
    let output = command.output().expect("mosaic-fleet runs");
    let ms = start.elapsed().as_secs_f64() * 1_000.0;
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let rows = document["agents"].as_array().expect("rows");
    let healthy = rows.iter().filter(|row| row["health"] == "healthy").count();
    (ms, healthy)
}

fn print(what: &str, mut ms: Vec<f64>) {
    ms.sort_by(f64::total_cmp);
    let at = |part: f64| ms[((ms.len() - 1) as f64 * part).round() as usize];
    println!(
        "{what}: n={} p50={:.1} p90={:.1} max={:.1}",
        ms.len(),
        at(0.5),
        at(0.9),
        at(1.0)
    );
}
