//! A fleet of demos under a service manager of its own: units in place, environment files, agents.

use std::fs;

use super::{FLEET, Log, Managed};

/// The unit of the tmux server.
pub const HOLDER: &str = "mosaic-tmux-holder.service";

/// A fleet of demos under a service manager.
pub struct Fleet {
    /// The manager and the sandbox around it.
    pub managed: Managed,
}

/// The unit of an agent.
pub fn unit(name: &str) -> String {
    format!("mosaic-agent@{name}.service")
}

/// The scope of an agent.
pub fn scope(name: &str) -> String {
    format!("mosaic-agent-{name}.scope")
}

impl Fleet {
    /// Units in place, the demo as everybody's runtime. None: skipped.
    pub fn new(test: &str) -> Option<Fleet> {
        let managed = Managed::start(test)?;
        let installed = managed.agent(&["units", "install"]);
        assert_eq!(installed.code, 0, "{installed:?}");
        let fleet = Fleet { managed };
        fleet.env_file(
            "fleet.env",
            &format!(
                "TMUX_TMPDIR={}\nMOSAIC_TMUX_SOCKET={}\nMOSAIC_AGENT_RUNTIME=demo\n",
                fleet.managed.var("TMUX_TMPDIR"),
                fleet.managed.var("MOSAIC_TMUX_SOCKET"),
            ),
        );
        let log = fleet.managed.path("out/units.log");
        for unit in [HOLDER, "mosaic-agent@.service", "mosaic-agent-end@.service"] {
            fleet.managed.drop_in(
                unit,
                &format!(
                    "[Service]\nStandardOutput=append:{0}\nStandardError=append:{0}\n",
                    log.display()
                ),
            );
        }
        Some(fleet)
    }

    /// Writes an environment file below `~/.config/mosaic/fleet`.
    #[track_caller]
    pub fn env_file(&self, name: &str, text: &str) {
        let path = self
            .managed
            .path(&format!("home/.config/mosaic/fleet/{name}"));
        fs::create_dir_all(path.parent().expect("a directory"))
            .expect("a directory in the sandbox");
        fs::write(path, text).expect("a file in the sandbox");
    }

    /// Describes an agent: a demo with these options, and more lines for its env file.
    pub fn describe(&self, name: &str, options: &str, more: &str) {
        let log = self.log(name).1;
        self.env_file(
            &format!("agents/{name}.env"),
            &format!("MOSAIC_AGENT_COMMAND={FLEET} demo-tui --log {log} {options}\n{more}"),
        );
    }

    /// The log of an agent's demo, and its path.
    pub fn log(&self, name: &str) -> (Log, String) {
        let path = self.managed.path(&format!("{name}.log"));
        (Log::at(path.clone()), path.display().to_string())
    }

    /// Describes an agent and starts its unit.
    #[track_caller]
    pub fn start(&self, name: &str, options: &str) {
        self.describe(name, options, "");
        self.managed.must(&["start", &unit(name)]);
    }

    /// How long the watchdog waits, in seconds.
    pub fn watchdog(&self, seconds: u32) {
        self.managed.drop_in(
            "mosaic-agent@.service",
            &format!("[Service]\nWatchdogSec={seconds}\nRestartSec=200ms\n"),
        );
    }

    /// How long a failed unit waits, in seconds.
    pub fn restart_after(&self, seconds: u32) {
        self.managed.drop_in(
            "mosaic-agent@.service",
            &format!("[Service]\nRestartSec={seconds}\n"),
        );
    }

    /// `is-active` of an agent's unit.
    #[track_caller]
    pub fn is_active(&self, name: &str) -> String {
        self.managed.is_active(&unit(name))
    }

    /// A message that must be accepted.
    #[track_caller]
    pub fn send(&self, name: &str, text: &str, id: &str) {
        let sent = self.managed.agent(&[
            "send",
            "--verify",
            "--no-preamble",
            "--id",
            id,
            name,
            "-m",
            text,
        ]);
        assert_eq!(sent.code, 0, "{sent:?}");
        assert!(self.log(name).0.taken().contains(&text.to_owned()));
    }

    /// The pid of the sidecar or of the runtime (`pid`), by the heartbeat.
    #[track_caller]
    pub fn pid(&self, name: &str, whose: &str) -> i32 {
        self.managed.heartbeat(name)[whose].parse().expect("a pid")
    }

    /// Sidecar and runtime.
    #[track_caller]
    pub fn pids(&self, name: &str) -> (i32, i32) {
        (self.pid(name, "sidecar"), self.pid(name, "pid"))
    }
}
