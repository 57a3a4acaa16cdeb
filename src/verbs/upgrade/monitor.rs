//! What becomes of the monitor of an agent's unit when its sidecar was upgraded.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::libc;
use serde::Serialize;

use crate::os::pidfd::PidFd;
use crate::os::{process, systemd};
use crate::units::AgentName;
use crate::verbs::supervise;

/// A monitor becomes the next binary within this time. It asks that one for at most 2 s; its sidecar has just answered
/// us, so it waits for no answer of that.
const BECOMES_WITHIN: Duration = Duration::from_secs(4);

/// How often that is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How long the next binary may take to say whether it can.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// The monitor, and what it is now.
#[derive(Debug, Serialize)]
pub(super) struct Monitor {
    pid: i32,
    /// `upgraded`, `same` (it was that file already) or `kept`.
    fate: &'static str,
    /// Why it was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

impl Monitor {
    /// The same for people.
    pub fn line(&self) -> String {
        let pid = self.pid;
        match (&self.why, self.fate) {
            (Some(why), _) => format!("  its monitor (pid {pid}) goes on as it was: {why}\n"),
            (None, "same") => format!("  its monitor (pid {pid}) is the new one already\n"),
            (None, _) => format!("  its monitor (pid {pid}) was upgraded, too\n"),
        }
    }
}

/// The monitor of an agent's unit, held while its sidecar is upgraded.
pub(super) struct Held {
    unit: String,
    pid: i32,
    fd: PidFd,
    next: PathBuf,
    /// It was the next binary before.
    was_next: bool,
}

/// The monitor of this agent's unit, if there is one, and what it is to become: the one beside the sidecar's next
/// binary.
pub(super) fn hold(name: &AgentName, program: &Path) -> Option<Held> {
    let unit = format!("mosaic-agent@{name}.service");
    let pid = main_pid(&unit)?;
    let fd = PidFd::open(pid).ok()?;
    // The pid is still that of the unit's process, and that process is a monitor.
    if !supervise::is_monitor(&process::executable(pid)?) || fd.has_ended() {
        return None;
    }
    // The sidecar's file is the one behind all links.
    let next = supervise::monitor_beside(&program.canonicalize().ok()?);
    Some(Held {
        unit,
        pid,
        fd,
        was_next: process::runs(pid, &next),
        next,
    })
}

impl Held {
    /// Tells it that its sidecar has become another binary, and waits for what comes of that.
    pub fn follow(self, name: &AgentName) -> Monitor {
        let (fate, why) = match self.becomes_next(name) {
            Ok(()) if self.was_next => ("same", None),
            Ok(()) => ("upgraded", None),
            Err(why) => ("kept", Some(why)),
        };
        Monitor {
            pid: self.pid,
            fate,
            why,
        }
    }

    fn becomes_next(&self, name: &AgentName) -> Result<(), String> {
        let next = self.next.display();
        if !self.next.is_file() {
            return Err(format!("there is no {next}"));
        }
        if process::runs(self.pid, &self.next) {
            return Ok(());
        }
        supervise::ask_whether_it_can(&self.next, name, ANSWERS_WITHIN)
            .map_err(|why| format!("{next} cannot take over: {why}"))?;
        // By the binary it is: what cannot take over does not hand over either, and is not waited for.
        let is = PathBuf::from(format!("/proc/{}/exe", self.pid));
        supervise::ask_whether_it_can(&is, name, ANSWERS_WITHIN).map_err(|why| {
            format!("it is too old to follow, its unit's next start brings {next}: {why}")
        })?;
        let _ = self.fd.signal(libc::SIGHUP);
        let deadline = Instant::now() + BECOMES_WITHIN;
        while Instant::now() < deadline && !self.fd.ends_within(LOOK_EVERY) {
            if process::runs(self.pid, &self.next) {
                return Ok(());
            }
        }
        let unit = &self.unit;
        Err(format!(
            "it has not become {next}; `journalctl --user -u {unit}` says why"
        ))
    }
}

/// The main process of a unit that runs.
fn main_pid(unit: &str) -> Option<i32> {
    if !systemd::is_there() {
        return None;
    }
    let shown = systemd::systemctl(&["show", "-p", "MainPID", "--value", unit]).ok()?;
    let pid = String::from_utf8_lossy(&shown.stdout).trim().parse().ok()?;
    (pid > 0).then_some(pid)
}
