//! What the kernel tells of processes, read from /proc.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::libc;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

/// One process as /proc shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Its pid.
    pub pid: i32,
    /// Its parent.
    pub parent: i32,
    /// The path of its executable.
    pub exe: String,
    /// Its arguments.
    pub argv: Vec<String>,
    /// The script an interpreter runs, links resolved.
    pub script: String,
    /// The version of the npm package the script or executable belongs to.
    pub version: String,
}

/// The fields of `/proc/PID/stat` we use: state letter, parent, start time in ticks.
fn stat(pid: i32) -> Option<(char, i32, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command name may hold blanks and brackets; what follows its last bracket does not.
    let rest = text.rsplit_once(')')?.1;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    // Field 22 of stat(5); state was field 3.
    let start = fields.nth(17)?.parse().ok()?;
    Some((state, parent, start))
}

/// Our own pid.
pub fn me() -> i32 {
    std::process::id().cast_signed()
}

/// The state letter of a process: `R`, `S`, `D`, `T`, `t`, `Z` …; none if there is no such process.
pub fn state_letter(pid: i32) -> Option<char> {
    stat(pid).map(|s| s.0)
}

/// When a process started, in clock ticks since boot: with the pid, its identity.
pub fn start_ticks(pid: i32) -> Option<u64> {
    stat(pid).map(|s| s.2)
}

/// The children of a process.
pub(super) fn children(pid: i32) -> Vec<i32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|text| {
            text.split_ascii_whitespace()
                .filter_map(|n| n.parse().ok())
                .collect::<Vec<i32>>()
        })
        .collect()
}

/// Most processes looked at: an agent's tools may start thousands.
const FAMILY_MAX: usize = 64;

/// A process and its descendants, outermost first; at most 64.
pub fn family(pid: i32) -> Vec<Process> {
    let mut queue = vec![pid];
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    let mut next = 0;
    while let Some(&pid) = queue.get(next) {
        next += 1;
        if !seen.insert(pid) || found.len() == FAMILY_MAX {
            continue;
        }
        if let Some(process) = look(pid) {
            found.push(process);
            queue.extend(children(pid));
        }
    }
    found
}

/// One process; none if it is gone.
pub fn look(pid: i32) -> Option<Process> {
    let (_, parent, _) = stat(pid)?;
    let exe = fs::read_link(format!("/proc/{pid}/exe"))
        .map(|p| p.to_string_lossy().into_owned())
        .unwrap_or_default();
    let argv = arguments(pid);
    let script = script_of(pid, &argv);
    let version = [&script, &exe]
        .into_iter()
        .find(|file| file.contains("/node_modules/"))
        .and_then(|file| package_version(Path::new(file)))
        .unwrap_or_default();
    Some(Process {
        version,
        pid,
        parent,
        exe,
        argv,
        script,
    })
}

/// The arguments of a process, empty ones left out.
pub fn arguments(pid: i32) -> Vec<String> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|b| *b == 0)
        .filter(|a| !a.is_empty())
        .map(|a| String::from_utf8_lossy(a).into_owned())
        .collect()
}

/// The first argument that is a file, with links resolved: what an interpreter runs.
fn script_of(pid: i32, argv: &[String]) -> String {
    let dir = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
    argv.iter()
        .skip(1)
        .find(|a| !a.starts_with('-'))
        .map(|a| dir.join(a))
        .filter(|file| file.is_file())
        .and_then(|file| fs::canonicalize(file).ok())
        .map(|file| file.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// The version in the `package.json` nearest above a file, at most five directories up.
pub fn package_version(file: &Path) -> Option<String> {
    let mut dir: Option<&Path> = file.parent();
    for _ in 0..5 {
        let here = dir?;
        let path: PathBuf = here.join("package.json");
        if let Ok(text) = fs::read(&path) {
            let package: serde_json::Value = serde_json::from_slice(&text).ok()?;
            if let Some(version) = package.get("version").and_then(|v| v.as_str()) {
                // Platform packages say 1.2.3-linux-x64 for what their users know as 1.2.3.
                let base = version.split("-linux").next().unwrap_or(version);
                return Some(base.to_owned());
            }
        }
        dir = here.parent();
    }
    None
}

/// The working directory of a process.
pub fn working_dir(pid: i32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/cwd")).ok()
}

/// The files below a directory that a process has open.
pub fn open_below(pid: i32, dir: &Path) -> Vec<PathBuf> {
    let Ok(links) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return Vec::new();
    };
    links
        .flatten()
        .filter_map(|link| fs::read_link(link.path()).ok())
        .filter(|file| file.starts_with(dir))
        .collect()
}

/// A variable of the environment a process was started with. At most 1 MiB of environment is read.
pub fn variable(pid: i32, name: &str) -> Option<String> {
    let mut environment = Vec::new();
    let file = fs::File::open(format!("/proc/{pid}/environ")).ok()?;
    file.take(1024 * 1024).read_to_end(&mut environment).ok()?;
    environment.split(|b| *b == 0).find_map(|variable| {
        let (key, value) = std::str::from_utf8(variable).ok()?.split_once('=')?;
        (key == name).then(|| value.to_owned())
    })
}

/// The environment a process was started with. At most 1 MiB of it is read.
pub fn environment(pid: i32) -> Option<Vec<(OsString, OsString)>> {
    use std::os::unix::ffi::OsStrExt;
    let mut bytes = Vec::new();
    let file = fs::File::open(format!("/proc/{pid}/environ")).ok()?;
    file.take(1024 * 1024).read_to_end(&mut bytes).ok()?;
    let pair = |variable: &[u8]| {
        let at = variable.iter().position(|b| *b == b'=')?;
        let text = |bytes: &[u8]| OsStr::from_bytes(bytes).to_owned();
        (at > 0).then(|| (text(&variable[..at]), text(&variable[at + 1..])))
    };
    Some(bytes.split(|b| *b == 0).filter_map(pair).collect())
}

/// Whether `pid` is `ancestor` or descends from it.
pub fn descends_from(pid: i32, ancestor: i32) -> bool {
    generations(pid, ancestor).is_some()
}

/// How many generations below `ancestor` a process is: 0 for `ancestor` itself, 1 for its children; none if
/// it does not descend from it.
pub fn generations(pid: i32, ancestor: i32) -> Option<usize> {
    let mut pid = pid;
    for below in 0..128 {
        if pid == ancestor {
            return Some(below);
        }
        match stat(pid) {
            Some((_, parent, _)) if parent > 1 => pid = parent,
            _ => return None,
        }
    }
    None
}

/// The processes above a process, its parent first, without init.
pub fn ancestors(pid: i32) -> Vec<i32> {
    let mut above = Vec::new();
    let mut next = pid;
    while let Some((_, parent, _)) = stat(next)
        && parent > 1
        && above.len() < 128
    {
        above.push(parent);
        next = parent;
    }
    above
}

/// The processes from a child of `ancestor` down to `pid`, outermost first; empty if `pid` does not descend
/// from it.
pub fn between(ancestor: i32, pid: i32) -> Vec<Process> {
    let Some(below) = generations(pid, ancestor) else {
        return Vec::new();
    };
    let mut line = Vec::new();
    let mut next = pid;
    while line.len() < below
        && let Some(process) = look(next)
    {
        next = process.parent;
        line.push(process);
    }
    line.reverse();
    line
}

/// Whether one of a process' ancestors is so; none if they cannot all be seen.
pub fn has_ancestor(pid: i32, is_so: impl Fn(i32) -> bool) -> Option<bool> {
    let mut pid = stat(pid)?.1;
    while pid > 1 {
        if is_so(pid) {
            return Some(true);
        }
        pid = stat(pid)?.1;
    }
    Some(false)
}

/// The path of a process' executable.
pub fn executable(pid: i32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/exe")).ok()
}

/// Whether a process runs this very file, also if that has got another name since.
pub fn runs(pid: i32, file: &Path) -> bool {
    let of = |path: &Path| fs::metadata(path).ok().map(|m| (m.dev(), m.ino()));
    let running = of(Path::new(&format!("/proc/{pid}/exe")));
    running.is_some() && running == of(file)
}

/// Sends a signal to a process group; a group that is gone is no error.
pub fn signal_group(group: i32, signal: i32) {
    if let Ok(signal) = Signal::try_from(signal)
        && group > 1
    {
        let _ = killpg(Pid::from_raw(group), signal);
    }
}

/// How a child has ended; `None` while it runs.
///
/// # Errors
/// It is not our child.
pub fn reap(pid: i32) -> io::Result<Option<Exit>> {
    match waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG)) {
        Ok(WaitStatus::Exited(_, code)) => Ok(Some(Exit::Code(code))),
        Ok(WaitStatus::Signaled(_, signal, _)) => Ok(Some(Exit::Signal(signal as i32))),
        Ok(_) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// With a code.
    Code(i32),
    /// By a signal.
    Signal(i32),
}

/// Makes orphans of this process's descendants its own children, so that they can be seen and ended.
pub fn adopt_orphans() {
    // SAFETY: prctl with integers; failure (a very old kernel) leaves things as they are.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
}

/// Reaps ended orphans we have adopted, but never `keep`, whose exit status somebody else wants.
pub fn reap_orphans(keep: i32) {
    for pid in children(me()) {
        if pid != keep && state_letter(pid) == Some('Z') {
            let _ = waitid(
                Id::Pid(Pid::from_raw(pid)),
                WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG,
            );
        }
    }
}

/// Tells the C library's allocator to give memory back: buffers that a flood has filled would otherwise
/// stay with us, times the number of agents. 64 KiB is a quarter of the largest buffer of the pump.
pub fn keep_memory_small() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt takes two integers and is called before there is a second thread.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, 64 * 1024);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 64 * 1024);
    }
}

/// Makes `vars` our own environment, but for the variables that `keep` names: they stay as they are.
///
/// Call it while this process has one thread only.
pub fn replace_environment(vars: Vec<(OsString, OsString)>, keep: impl Fn(&OsStr) -> bool) {
    let given = |key: &OsStr| vars.iter().any(|(k, _)| k == key);
    let strange: Vec<OsString> = std::env::vars_os()
        .map(|(key, _)| key)
        .filter(|key| !keep(key) && !given(key))
        .collect();
    for key in strange {
        // SAFETY: the caller has not started any thread yet, so nobody reads the environment meanwhile.
        unsafe { std::env::remove_var(key) };
    }
    for (key, value) in vars {
        // SAFETY: as above.
        unsafe { std::env::set_var(key, value) };
    }
}

/// The kernel's id of this boot.
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|s| s.trim().to_owned())
        .unwrap_or_default()
}

/// Seconds on the boot clock, suspend included.
pub fn boot_seconds() -> u64 {
    use nix::time::{ClockId, clock_gettime};
    clock_gettime(ClockId::CLOCK_BOOTTIME)
        .ok()
        .and_then(|t| u64::try_from(t.tv_sec()).ok())
        .unwrap_or(0)
}

/// Microseconds on the monotonic clock, which does not start anew with a program.
pub fn mono_micros() -> u64 {
    use nix::time::{ClockId, clock_gettime};
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(std::time::Duration::from);
    now.ok()
        .and_then(|now| u64::try_from(now.as_micros()).ok())
        .unwrap_or(0)
}

/// The name of this host.
pub fn host_name() -> String {
    nix::unistd::gethostname()
        .map(|h| h.to_string_lossy().into_owned())
        .unwrap_or_else(|_| "localhost".into())
}

/// The name of the user, by the password file.
pub fn user_name() -> String {
    nix::unistd::User::from_uid(nix::unistd::getuid())
        .ok()
        .flatten()
        .map_or_else(|| nix::unistd::getuid().to_string(), |u| u.name)
}

/// The home directory of the user, by the password file.
pub fn home_of_user() -> Option<PathBuf> {
    nix::unistd::User::from_uid(nix::unistd::getuid())
        .ok()
        .flatten()
        .map(|u| u.dir)
}
