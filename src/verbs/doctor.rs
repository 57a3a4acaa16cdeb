//! `mosaic-fleet doctor`: looks at everything an agent needs on this machine, and changes nothing.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use serde::Serialize;

use super::ask::{self, NoAnswer};
use super::place::Place;
use super::{hooks, launch, program, unit_files};
use crate::failure::{Failure, exit};
use crate::os::{files, process, pty, socket, systemd};
use crate::pure::beat::{Found, READ_MAX};
use crate::pure::doctor::{self, Answer, Check, Directory, Manager, Outcome};
use crate::pure::profile::{Profile, Profiles};
use crate::pure::reset;
use crate::pure::unit_file;
use crate::pure::wire::State;
use crate::units::{AgentName, NAME_MAX};

/// An agent that does not answer within this time is reported as one that does not.
const PATIENCE: Duration = Duration::from_secs(2);

/// More agents than anybody has on a host.
const AGENTS_MAX: usize = 4_096;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The document of `doctor --json`.
#[derive(Serialize)]
struct Document {
    schema: &'static str,
    tenant_id: String,
    host: String,
    result: Outcome,
    checks: Vec<Check>,
}

/// Looks, and tells. 1 if something fails.
///
/// # Errors
/// The environment makes no sense.
pub fn doctor(json: bool) -> Result<u8, Failure> {
    let place = Place::here()?;
    let mut checks = binaries();
    checks.extend(tmux(&place));
    checks.extend(manager());
    checks.extend(units(&place));
    checks.extend(directories(&place));
    let overrides = files::profile_files(&place.settings.profile_dir);
    let profiles = Profiles::with(&overrides);
    for warning in &profiles.warnings {
        let mend = "mend the file; until then the profile we bring along is used";
        checks.push(Check::warn("profiles", warning, mend));
    }
    for (file, text) in &overrides {
        let is_used = Profile::parse(file, text).is_ok();
        if let (true, Err(why)) = (is_used, reset::in_file(file, text)) {
            let mend = "mend the file; until then its runtime cannot be reset";
            checks.push(Check::warn("profiles", why, mend));
        }
    }
    checks.extend(runtimes(&place, &profiles));
    checks.extend(match hooks::states(&place, &profiles) {
        Ok(states) => states
            .iter()
            .map(|(runtime, state)| {
                doctor::hooks(runtime, state.as_ref().copied().map_err(String::as_str))
            })
            .collect(),
        Err(failure) => vec![Check::fail("hooks", &failure.said, failure.hint)],
    });
    checks.extend(agents(&place));
    let result = checks
        .iter()
        .map(|check| check.result)
        .max()
        .unwrap_or(Outcome::Ok);
    if json {
        let document = Document {
            schema: "mosaic.doctor/1",
            tenant_id: place.tenant().to_owned(),
            host: place.host.clone(),
            result,
            checks,
        };
        super::print(&String::from_utf8_lossy(&crate::pure::wire::line(
            &document,
        )));
    } else {
        super::print(&doctor::table(&checks));
    }
    Ok(match result {
        Outcome::Fail => exit::INTERNAL,
        _ => exit::OK,
    })
}

/// What a program prints; none if it cannot be started.
fn output_of(program: &Path, args: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .ok()?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn binaries() -> Vec<Check> {
    let exe = std::env::current_exe().unwrap_or_default();
    let version_of = |program: &str| {
        let file = exe.with_file_name(program);
        let said = file
            .is_file()
            .then(|| output_of(&file, &["--version"]).unwrap_or_default());
        said.map(|v| v.trim_start_matches(program).trim().to_owned())
    };
    let agent = exe.with_file_name("mosaic-agent");
    let (version, monitor) = (version_of("mosaic-agent"), version_of("mosaic-monitor"));
    let dir = exe.parent().unwrap_or(Path::new("/")).display().to_string();
    let path = std::env::var("PATH").unwrap_or_default();
    let on_path = pty::find_program("mosaic-agent", &path, Path::new("/")).ok();
    let is_same = on_path
        .as_ref()
        .is_some_and(|p| p.canonicalize().ok() == agent.canonicalize().ok());
    let shown = agent.display().to_string();
    let on_path = on_path.map(|p| p.display().to_string());
    let mut checks = doctor::binaries(
        version.as_deref().map(|v| (shown.as_str(), v)),
        VERSION,
        &dir,
        on_path.as_deref(),
        is_same,
    );
    checks.push(doctor::monitor(monitor.as_deref(), VERSION));
    checks
}

fn tmux(place: &Place) -> Vec<Check> {
    let found = launch::find_tmux(&place.settings).ok();
    let said = found.and_then(|tmux| output_of(&tmux.binary, &["-V"]));
    let mut checks = vec![doctor::tmux(said.as_deref())];
    if systemd::is_there()
        && let Some(why) = unit_files::taken_socket(place)
    {
        let mend = "give the fleet a socket of its own: MOSAIC_TMUX_SOCKET=mosaic in fleet.env (docs/systemd.md)";
        checks.push(Check::warn("tmux socket", why, mend));
    }
    checks
}

fn manager() -> Vec<Check> {
    let version = systemd::systemctl(&["--version"]).ok();
    let version = version.map(|o| {
        let text = String::from_utf8_lossy(&o.stdout);
        text.lines().next().unwrap_or_default().to_owned()
    });
    let bus = std::env::var_os("XDG_RUNTIME_DIR").map(|dir| Path::new(&dir).join("bus"));
    doctor::manager(&Manager {
        answers: version.is_some()
            && systemd::systemctl(&["show-environment"]).is_ok_and(|o| o.status.success()),
        version,
        has_bus: bus.is_some_and(|bus| fs::metadata(bus).is_ok_and(|m| m.file_type().is_socket())),
        linger: systemd::lingers(&process::user_name()),
        user: process::user_name(),
    })
}

fn units(place: &Place) -> Vec<Check> {
    let dir = unit_files::directory(place);
    let exe = std::env::current_exe().unwrap_or_default();
    let bin = exe.parent().and_then(Path::to_str).unwrap_or("/usr/bin");
    let standing = |unit| unit_files::standing(unit, &dir, bin);
    let checks = unit_file::ALL.iter().map(|unit| match standing(unit) {
        Ok(standing) => doctor::unit(unit.name, standing),
        Err(failure) => Check::fail(format!("unit {}", unit.name), failure.said, failure.hint),
    });
    // Where there is no manager to read them they would help nobody.
    if systemd::is_there() {
        checks.collect()
    } else {
        Vec::new()
    }
}

fn directories(place: &Place) -> Vec<Check> {
    let me = nix::unistd::geteuid().as_raw();
    let mut checks = Vec::new();
    let sockets = place.socket_dir();
    let mut look = |check: &str, path: &Path| {
        let shown = path.display().to_string();
        checks.push(doctor::directory(check, &shown, &seen(path), me));
    };
    look("run directory", &place.settings.run_dir);
    if sockets != place.settings.run_dir {
        look("socket directory", &sockets);
    }
    let shown = sockets.display().to_string();
    checks.extend(doctor::socket_room(&shown, socket::PATH_MAX, NAME_MAX));
    if std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        let said = "XDG_RUNTIME_DIR is not set: sockets are in the run directory, and systemctl --user finds nobody";
        let mend = "export XDG_RUNTIME_DIR=/run/user/$(id -u)";
        checks.push(Check::warn("runtime directory", said, mend));
    }
    checks
}

fn seen(path: &Path) -> Directory {
    match fs::symlink_metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Directory::Missing,
        Err(e) => Directory::Unseen(e.to_string()),
        Ok(found) if found.file_type().is_symlink() => Directory::Link,
        Ok(found) if !found.is_dir() => Directory::Other,
        Ok(found) => Directory::Found {
            uid: found.uid(),
            mode: found.mode() & 0o777,
            unwritable: files::why_unwritable(path),
        },
    }
}

/// The runtimes that a profile knows and that an agent's PATH has.
fn runtimes(place: &Place, profiles: &Profiles) -> Vec<Check> {
    let path = program::path_for_runtime(&place.settings);
    let me = std::env::current_exe().ok();
    let mut checks = Vec::new();
    for profile in profiles.all() {
        let names = profile.identity.exe.iter().chain(&profile.identity.argv);
        let mut found =
            names.filter_map(|name| pty::find_program(name, &path, Path::new("/")).ok());
        let Some(file) = found.next() else { continue };
        let real = file.canonicalize().unwrap_or_else(|_| file.clone());
        // The demo is in this very program.
        if me.as_ref() == Some(&real) {
            continue;
        }
        let version = process::package_version(&real).unwrap_or_default();
        let shown = file.display().to_string();
        let package = profile.identity.path.first().map(String::as_str);
        checks.push(doctor::runtime(
            &profile.name,
            &shown,
            &version,
            &profile.verified,
            package,
        ));
    }
    if checks.is_empty() {
        let said = "none of those we have a profile for is on an agent's PATH";
        let mend =
            "set MOSAIC_RUNTIME_BIN to where yours is; to try without one: mosaic-fleet demo-tui";
        checks.push(Check::warn("runtimes", said, mend));
    }
    checks
}

/// Every agent that has a heartbeat or a socket, asked at once.
fn agents(place: &Place) -> Vec<Check> {
    let names_in = |dir: PathBuf, end: &str| {
        let names = files::names_in(&dir, AGENTS_MAX).into_iter();
        names
            .filter_map(|name| AgentName::new(name.strip_suffix(end)?).ok())
            .collect::<Vec<_>>()
    };
    let mut names = names_in(place.settings.run_dir.clone(), ".hb");
    names.extend(names_in(place.socket_dir(), ".sock"));
    names.sort();
    names.dedup();
    thread::scope(|scope| {
        let asked: Vec<_> = names
            .iter()
            .map(|name| scope.spawn(move || agent(place, name)))
            .collect();
        asked
            .into_iter()
            .filter_map(|thread| thread.join().ok())
            .collect()
    })
}

fn agent(place: &Place, name: &AgentName) -> Check {
    let beat = files::read_small(&place.heartbeat(name), READ_MAX).ok();
    let beat = beat.map(|bytes| Found::parse(&bytes));
    let has_ended = beat.as_ref().and_then(Found::state) == Some(State::Exited);
    let named = beat.as_ref().and_then(|b| b.get("sock")).map(PathBuf::from);
    let path = named.unwrap_or_else(|| place.socket(name));
    let mode = fs::symlink_metadata(path).ok().map(|m| m.mode() & 0o777);
    let answer = match ask::status(place, name, PATIENCE) {
        Ok(status) => Answer::Status(Box::new(status)),
        Err(NoAnswer::Gone(_)) if has_ended => Answer::Ended,
        Err(NoAnswer::Gone(why)) => Answer::Gone(why),
        Err(NoAnswer::Silent(why)) => Answer::Silent(why),
        Err(NoAnswer::Refused(_, why, _) | NoAnswer::Broken(why)) => Answer::Broken(why),
    };
    doctor::agent(name.as_str(), mode, &answer, VERSION)
}
