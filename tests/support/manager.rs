//! A user's service manager of a test's own: a real `systemctl --user`, gone with the test.

use std::fs;
use std::io::Write;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::libc;

use super::process::{self, Output, Running};
use super::{LATER, SOON, Sandbox, get, until};

/// The script that becomes the manager.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/user-manager");

/// A sandbox with a service manager in it.
pub struct Managed {
    manager: Child,
    sandbox: Sandbox,
}

impl Deref for Managed {
    type Target = Sandbox;

    fn deref(&self) -> &Sandbox {
        &self.sandbox
    }
}

impl DerefMut for Managed {
    fn deref_mut(&mut self) -> &mut Sandbox {
        &mut self.sandbox
    }
}

impl Managed {
    /// Starts one, or says why there can be none here: the test is skipped then.
    #[track_caller]
    pub fn start(test: &str) -> Option<Managed> {
        let sandbox = Sandbox::new();
        let (file, log) = (sandbox.path("cgroup"), sandbox.path("out/manager.log"));
        let mut command = sandbox.command(SCRIPT);
        let output = fs::File::create(&log).expect("a file in the sandbox");
        let errors = output.try_clone().expect("a descriptor");
        let manager = command
            .arg(&file)
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            // What it is told, nothing of it is for the agents.
            .env_remove("MOSAIC_TMUX_SOCKET")
            .env_remove("TMUX_TMPDIR")
            .env_remove("TERM")
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .expect("tests/support/user-manager runs");
        let mut managed = Managed { manager, sandbox };
        let mut ended = None;
        until(LATER, "the service manager answers or has given up", || {
            ended = managed.manager.try_wait().expect("our child");
            ended.is_some()
                || (managed.path("run/systemd/private").exists()
                    && managed.systemctl(&["show-environment"]).code == 0)
        });
        match ended.map(process::code) {
            None => {}
            Some(125) => {
                skip(test, fs::read_to_string(&log).unwrap_or_default().trim());
                return None;
            }
            Some(code) => panic!("the service manager ended with {code}"),
        }
        // It brings the bus.
        managed.wait_active("basic.target", "active");
        Some(managed)
    }

    /// The cgroup that everything is in, and where the manager's view of the tree begins; none if it was not made.
    fn cgroups(&self) -> Option<(PathBuf, PathBuf)> {
        let file = fs::read_to_string(self.path("cgroup")).ok()?;
        let (inside, begin) = file.trim().split_once('\n')?;
        Some((inside.into(), begin.into()))
    }

    /// Runs `systemctl --user`.
    #[track_caller]
    pub fn systemctl(&self, args: &[&str]) -> Output {
        self.systemctl_within(args, LATER)
    }

    /// The same for what may take longer.
    #[track_caller]
    pub fn systemctl_within(&self, args: &[&str], within: Duration) -> Output {
        let mut command = self.sandbox.command("systemctl");
        command.arg("--user").args(args);
        Running::start(command, &self.sandbox.path("out"), b"").wait(within)
    }

    /// A `systemctl` that must work.
    #[track_caller]
    pub fn must(&self, args: &[&str]) -> Output {
        let output = self.systemctl(args);
        if output.code != 0 {
            panic!("systemctl {args:?}: {output:?}\n{}", self.log());
        }
        output
    }

    /// A property of a unit.
    #[track_caller]
    pub fn show(&self, unit: &str, property: &str) -> String {
        let shown = self.systemctl(&["show", "-p", property, "--value", unit]);
        shown.stdout.trim().to_owned()
    }

    /// The main process of a unit.
    #[track_caller]
    pub fn main_pid(&self, unit: &str) -> i32 {
        get(SOON, &format!("{unit} has a main process"), || {
            self.show(unit, "MainPID")
                .parse()
                .ok()
                .filter(|pid| *pid > 1)
        })
    }

    /// `is-active`, as it prints it.
    #[track_caller]
    pub fn is_active(&self, unit: &str) -> String {
        self.systemctl(&["is-active", unit])
            .stdout
            .trim()
            .to_owned()
    }

    /// Waits until `is-active` prints this.
    #[track_caller]
    pub fn wait_active(&self, unit: &str, state: &str) -> Duration {
        let since = Instant::now();
        let mut last = String::new();
        while since.elapsed() < LATER {
            last = self.is_active(unit);
            if last == state {
                return since.elapsed();
            }
        }
        panic!("{unit} is {last}, not {state}\n{}", self.log());
    }

    /// The cgroup of a unit.
    #[track_caller]
    pub fn cgroup_of(&self, unit: &str) -> PathBuf {
        let inside = self.show(unit, "ControlGroup");
        let (_, begin) = self.cgroups().expect("a cgroup");
        begin.join(inside.trim_start_matches('/'))
    }

    /// The processes in a unit.
    #[track_caller]
    pub fn processes_in(&self, unit: &str) -> Vec<i32> {
        let file = self.cgroup_of(unit).join("cgroup.procs");
        let text = fs::read_to_string(file).unwrap_or_default();
        let mut pids: Vec<i32> = text.lines().filter_map(|l| l.parse().ok()).collect();
        pids.sort_unstable();
        pids
    }

    /// Adds a drop-in to a unit.
    #[track_caller]
    pub fn drop_in(&self, unit: &str, text: &str) {
        let dir = self.path(&format!("home/.config/systemd/user/{unit}.d"));
        fs::create_dir_all(&dir).expect("a directory in the sandbox");
        let count = fs::read_dir(&dir).expect("the directory").count();
        fs::write(dir.join(format!("{count}.conf")), text).expect("a file in the sandbox");
        self.must(&["daemon-reload"]);
    }

    /// What the units have printed, where a drop-in sends it (see [`Managed::path`] `out/units.log`).
    pub fn log(&self) -> String {
        let read = |file: &str| fs::read_to_string(self.path(file)).unwrap_or_default();
        format!(
            "--- units\n{}--- manager\n{}",
            read("out/units.log"),
            read("out/manager.log")
        )
    }
}

impl Drop for Managed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
        let pid = self.manager.id() as i32;
        // It stops all units first, as at a log-out.
        process::kill(pid, libc::SIGTERM);
        let deadline = Instant::now() + Duration::from_secs(10);
        while matches!(self.manager.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(super::LOOK);
        }
        let cgroup = self.cgroups().map(|(inside, _)| inside);
        if let Some(cgroup) = &cgroup {
            let _ = fs::write(cgroup.join("cgroup.kill"), "1");
        }
        let _ = self.manager.kill();
        let _ = self.manager.wait();
        let deadline = Instant::now() + Duration::from_secs(5);
        while let Some(cgroup) = cgroup.as_ref().filter(|dir| dir.exists())
            && Instant::now() < deadline
        {
            remove_tree(cgroup);
            std::thread::sleep(super::LOOK);
        }
        // It leaves directories that not even their owner may open.
        for closed in ["inaccessible", "inaccessible/dir"] {
            let closed = self.path(&format!("run/systemd/{closed}"));
            let _ = fs::set_permissions(closed, fs::Permissions::from_mode(0o700));
        }
    }
}

/// Removes a cgroup and those in it; one that is still in use stays.
fn remove_tree(cgroup: &Path) {
    for entry in fs::read_dir(cgroup).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            remove_tree(&entry.path());
        }
    }
    let _ = fs::remove_dir(cgroup);
}

/// Says loudly, and in the file that `tests/run` counts, that a test was not done.
pub fn skip(what: &str, why: &str) {
    let line = format!("SKIPPED {what}: {why}\n");
    // Straight to stderr: the test harness would keep it to itself.
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(path) = std::env::var_os("MOSAIC_TEST_SKIPS") {
        let file = fs::File::options().create(true).append(true).open(path);
        let mut file = file.expect("the file of MOSAIC_TEST_SKIPS can be written");
        file.write_all(line.as_bytes())
            .expect("the skip is counted");
    }
}
