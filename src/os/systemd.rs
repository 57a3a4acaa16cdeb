//! The user's service manager, spoken to through the programs that come with it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::files;

/// A scope that is to hold processes which run already.
pub struct Scope<'a> {
    /// The unit's name, with `.scope`.
    pub unit: &'a str,
    /// What `systemctl status` shows.
    pub description: &'a str,
    /// The process. Children that it has already stay where they are.
    pub pid: i32,
    /// `MemoryMax=` in bytes.
    pub memory_max: Option<u64>,
    /// `CPUQuotaPerSecUSec=`: microseconds of CPU time a second.
    pub cpu_us: Option<u64>,
    /// How long what is in it may take to end after SIGTERM, in microseconds.
    pub stop_us: u64,
}

/// Whether this user's manager listens: its private socket is there.
pub fn is_there() -> bool {
    private_socket().is_some()
}

/// Runs `systemctl --user`.
///
/// # Errors
/// It cannot be started.
pub fn systemctl(args: &[&str]) -> io::Result<Output> {
    Command::new("systemctl")
        .arg("--user")
        .args(args)
        .stdin(Stdio::null())
        .output()
}

/// Where this user's manager listens for whoever is this user; none where there is no manager.
pub fn private_socket() -> Option<PathBuf> {
    let dir = std::env::var_os("XDG_RUNTIME_DIR")?;
    let socket = Path::new(&dir).join("systemd/private");
    socket.exists().then_some(socket)
}

/// The units that something pulls in, by the links that `enable` makes below a directory of units.
pub fn linked(dir: &Path) -> Vec<String> {
    files::names_in(dir, LINKS_MAX)
        .into_iter()
        .filter(|name| name.ends_with(".wants") || name.ends_with(".requires"))
        .flat_map(|name| files::names_in(&dir.join(name), LINKS_MAX))
        .collect()
}

/// Most names looked at in one directory.
const LINKS_MAX: usize = 4_096;

/// The unit a process is in: the innermost part of its cgroup; empty where the kernel does not tell.
pub fn unit_of(pid: i32) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    // The unified hierarchy is the one without a number and a controller.
    let line = text.lines().find_map(|line| line.strip_prefix("0::"));
    let last = line.and_then(|path| path.rsplit('/').next());
    last.unwrap_or_default().to_owned()
}

/// Whether the manager of a user runs while nobody is logged in: logind keeps a file for that. None where logind
/// has never run.
pub fn lingers(user: &str) -> Option<bool> {
    let kept = Path::new("/var/lib/systemd/linger");
    if !kept.parent().is_some_and(Path::is_dir) {
        return None;
    }
    Some(kept.join(user).exists())
}

/// Asks the manager to make a scope. It does so soon after the answer.
///
/// # Errors
/// What it said: a scope of this name exists, a property is refused, there is no bus.
pub fn start_scope(scope: &Scope<'_>) -> io::Result<()> {
    let (pid, stop) = (scope.pid.to_string(), scope.stop_us.to_string());
    let mut properties = vec![
        vec!["Description", "s", scope.description],
        vec!["PIDs", "au", "1", &pid],
        vec!["CollectMode", "s", "inactive-or-failed"],
        vec!["TimeoutStopUSec", "t", &stop],
    ];
    let limits = [
        ("MemoryMax", scope.memory_max),
        ("CPUQuotaPerSecUSec", scope.cpu_us),
    ]
    .map(|(name, value)| (name, value.map(|v| v.to_string())));
    for (name, value) in &limits {
        properties.extend(value.as_deref().map(|v| vec![*name, "t", v]));
    }
    let output = Command::new("busctl")
        .args(["--user", "--quiet", "call", "org.freedesktop.systemd1"])
        .args([
            "/org/freedesktop/systemd1",
            "org.freedesktop.systemd1.Manager",
            "StartTransientUnit",
            "ssa(sv)a(sa(sv))",
            scope.unit,
            "fail",
            &properties.len().to_string(),
        ])
        .args(properties.concat())
        .arg("0")
        .stdin(Stdio::null())
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(said.trim().to_owned()))
}

/// Whether a process is in this unit.
pub fn holds(unit: &str, pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|text| {
        text.lines()
            .filter_map(|line| line.rsplit('/').next())
            .any(|last| last == unit)
    })
}
