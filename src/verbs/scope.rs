//! An agent's own scope: its limits, and everything it has started, in one place that can be ended whole.
//!
//! Made by `mosaic-fleet` for the launcher, for the process in the pane while that waits for its environment and has no
//! children yet: what it starts later is in the scope, also what leaves its session and its parents. Where
//! tmux puts panes itself (its server's cgroup, or a `tmux-spawn` scope) makes no difference then.

use std::time::{Duration, Instant};

use super::place::Place;
use super::setup;
use crate::failure::{Doing, Failure, exit};
use crate::os::systemd::{self, Scope};
use crate::pure::limits::Limits;
use crate::units::AgentName;

/// The manager moves the process after it has answered; on a quiet machine that takes 2 ms.
const MOVED_WITHIN: Duration = Duration::from_secs(2);

/// What is left of an agent has this long to end after SIGTERM, as the runtime has.
const STOP_US: u64 = 5_000_000;

/// The name of an agent's scope.
pub fn unit(name: &AgentName) -> String {
    format!("mosaic-agent-{name}.scope")
}

/// What the environment lets an agent use of the machine.
///
/// # Errors
/// [`exit::CONFIG`] with the variable that makes no sense.
pub fn limits() -> Result<Limits, Failure> {
    let set = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
    let (memory, cpu) = (
        set("MOSAIC_AGENT_MEMORY_MAX"),
        set("MOSAIC_AGENT_CPU_QUOTA"),
    );
    Limits::read(memory.as_deref(), cpu.as_deref())
        .map_err(|e| Failure::new(exit::CONFIG, "reading the environment", e))
}

/// `enclose NAME PID`: puts the process of a pane into a scope of its own.
///
/// # Errors
/// Why there is none; the agent lives where tmux has put it then.
pub fn enclose(name: &AgentName, pid: i32) -> Result<u8, Failure> {
    let place = Place::here()?;
    let limits = limits()?;
    let unit = unit(name);
    let scope = Scope {
        unit: &unit,
        description: &format!("agent {name}"),
        pid,
        memory_max: limits.memory,
        cpu_us: limits.cpu_us,
        stop_us: STOP_US,
    };
    let doing = || format!("making {unit}");
    if let Err(e) = systemd::start_scope(&scope) {
        // Descendants of an earlier sidecar that was killed still sit in it. One that lives keeps its own.
        if setup::owner(&place, name).is_some() {
            return Err(Failure::new(exit::INTERNAL, doing(), e));
        }
        end(name);
        systemd::start_scope(&scope).doing(doing)?;
    }
    let deadline = Instant::now() + MOVED_WITHIN;
    while !systemd::holds(&unit, pid) {
        if Instant::now() >= deadline {
            return Err(Failure::new(
                exit::INTERNAL,
                doing(),
                "it did not get the process",
            ));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(exit::OK)
}

/// Ends whatever is in an agent's scope; returns when it is gone. Without a scope nothing happens.
pub fn end(name: &AgentName) {
    if systemd::is_there() {
        let _ = systemd::systemctl(&["--quiet", "stop", &unit(name)]);
    }
}
