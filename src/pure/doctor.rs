//! `doctor`: what was found on this machine, weighed. Every row says what is, and what mends it.

use serde::Serialize;

use super::unit_file::Standing;
use super::wire::{State, Status};

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As it should be.
    Ok,
    /// It works, but not all of it or not always.
    Warn,
    /// Something does not work.
    Fail,
}

impl Outcome {
    /// The word in the table and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Warn => "warn",
            Outcome::Fail => "fail",
        }
    }
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at: `tmux`, `unit mosaic-agent@.service`.
    pub check: String,
    /// How it came out.
    pub result: Outcome,
    /// What was found.
    pub said: String,
    /// What mends it: a command where one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

impl Check {
    fn new(check: impl Into<String>, result: Outcome, said: impl Into<String>) -> Check {
        Check {
            check: check.into(),
            result,
            said: said.into(),
            mend: None,
        }
    }

    /// As it should be.
    pub fn ok(check: impl Into<String>, said: impl Into<String>) -> Check {
        Check::new(check, Outcome::Ok, said)
    }

    /// It works, but not all of it; and what mends that.
    pub fn warn(
        check: impl Into<String>,
        said: impl Into<String>,
        mend: impl Into<String>,
    ) -> Check {
        Check {
            mend: Some(mend.into()),
            ..Check::new(check, Outcome::Warn, said)
        }
    }

    /// It does not work; and what mends that.
    pub fn fail(
        check: impl Into<String>,
        said: impl Into<String>,
        mend: impl Into<String>,
    ) -> Check {
        Check {
            mend: Some(mend.into()),
            ..Check::new(check, Outcome::Fail, said)
        }
    }
}

const INSTALL: &str = "install all from one build: cargo install --path .";

/// `mosaic-monitor` beside us, by what it says its version is.
pub fn monitor(version: Option<&str>, ours: &str) -> Check {
    let check = "mosaic-monitor";
    match version {
        Some(version) if version == ours => Check::ok(check, format!("{version}, as mosaic-fleet")),
        Some(version) => {
            let said = format!("it is {version:?}, mosaic-fleet is {ours}");
            Check::fail(check, said, INSTALL)
        }
        None => {
            let said = "not there: mosaic-fleet does its work, in twice the memory";
            Check::warn(check, said, INSTALL)
        }
    }
}

/// `mosaic-agent` beside us, by its path and what it says its version is; `on_path` is what a shell would start.
pub fn binaries(
    agent: Option<(&str, &str)>,
    ours: &str,
    dir: &str,
    on_path: Option<&str>,
    is_same: bool,
) -> Vec<Check> {
    let Some((agent, version)) = agent else {
        let said = format!("there is no mosaic-agent beside mosaic-fleet in {dir}");
        return vec![Check::fail("mosaic-agent", said, INSTALL)];
    };
    let beside = if version == ours {
        Check::ok(
            "mosaic-agent",
            format!("{agent} {version}, as mosaic-fleet"),
        )
    } else {
        let said = format!("{agent} is {version:?}, mosaic-fleet is {ours}");
        Check::fail("mosaic-agent", said, INSTALL)
    };
    let mend = || format!("put it first on PATH: export PATH={dir}:$PATH");
    let path = match on_path {
        Some(path) if is_same => Check::ok("PATH", format!("mosaic-agent is {path}")),
        Some(other) => Check::warn(
            "PATH",
            format!("mosaic-agent is another one: {other}"),
            mend(),
        ),
        None => Check::warn("PATH", "mosaic-agent is not on it", mend()),
    };
    vec![beside, path]
}

/// The oldest tmux that is known to do all we ask of it (Debian 11).
const TMUX_OLDEST: (u32, u32) = (3, 1);

/// tmux, by what `tmux -V` printed; none if it cannot be started.
pub fn tmux(said: Option<&str>) -> Check {
    let Some(said) = said.map(str::trim) else {
        let mend = "sudo apt-get install tmux (or your system's way)";
        return Check::fail(
            "tmux",
            "it is not installed; `launch` needs it, `run` does not",
            mend,
        );
    };
    let number = said.trim_start_matches(|c: char| !c.is_ascii_digit());
    match numbers(number) {
        Some(version) if version < TMUX_OLDEST => {
            let (major, minor) = TMUX_OLDEST;
            let mend = format!("install tmux {major}.{minor} or newer");
            Check::warn("tmux", format!("{said} is older than what was tried"), mend)
        }
        Some(_) => Check::ok("tmux", said),
        // A development version names none.
        None => Check::ok("tmux", format!("{said} (no version to compare)")),
    }
}

/// The first two numbers: `3.3a` is 3 and 3.
fn numbers(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split(|c: char| !c.is_ascii_digit());
    let major = parts.next()?.parse().ok()?;
    let minor = parts.next().and_then(|n| n.parse().ok()).unwrap_or(0);
    Some((major, minor))
}

/// What is known of the user's service manager.
#[derive(Clone, Debug, Default)]
pub struct Manager {
    /// `systemctl` is installed; what it says its version is.
    pub version: Option<String>,
    /// The manager of this user answers.
    pub answers: bool,
    /// Its bus is there: scopes are made over it.
    pub has_bus: bool,
    /// Whether it runs while nobody is logged in; none where that cannot be said.
    pub linger: Option<bool>,
    /// The user.
    pub user: String,
}

/// The oldest systemd whose units can do what ours ask (docs/systemd.md).
const SYSTEMD_OLDEST: u32 = 249;

/// The service manager, its bus, and linger.
pub fn manager(found: &Manager) -> Vec<Check> {
    let Some(version) = &found.version else {
        let said = "there is none; agents run, but nobody restarts them";
        return vec![Check::warn(
            "systemd",
            said,
            "sudo apt-get install systemd dbus-user-session",
        )];
    };
    let mut checks = Vec::new();
    let number = version
        .split(' ')
        .nth(1)
        .and_then(numbers)
        .map(|(major, _)| major);
    checks.push(match (number, found.answers) {
        (Some(n), _) if n < SYSTEMD_OLDEST => {
            let mend = format!("use systemd {SYSTEMD_OLDEST} or newer, or run agents without units");
            Check::fail("systemd", format!("{version} is too old for our units"), mend)
        }
        (_, false) => Check::warn(
            "systemd",
            "the service manager of this user does not answer",
            "log in, or: sudo systemctl start user@$(id -u); and: export XDG_RUNTIME_DIR=/run/user/$(id -u)",
        ),
        _ => Check::ok("systemd", format!("{version}; the manager of this user answers")),
    });
    if found.answers {
        checks.push(match found.has_bus {
            true => Check::ok("bus", "the user's bus is there"),
            false => Check::warn(
                "bus",
                "the user has no bus, so agents get no scope with limits",
                "sudo apt-get install dbus-user-session, and log in again",
            ),
        });
    }
    checks.extend(match found.linger {
        Some(true) => Some(Check::ok("linger", "agents stay when you log out")),
        Some(false) => Some(Check::warn(
            "linger",
            "agents end when you log out, and do not start with the machine",
            format!("loginctl enable-linger {}", found.user),
        )),
        None => None,
    });
    checks
}

/// A unit file of ours.
pub fn unit(name: &str, standing: Standing) -> Check {
    let check = format!("unit {name}");
    let install = "mosaic-agent units install";
    match standing {
        Standing::Current => Check::ok(check, "installed"),
        Standing::Missing => Check::warn(check, "not installed", install),
        Standing::Outdated => Check::warn(check, "of another version or another place", install),
        Standing::Foreign => Check::fail(
            check,
            "somebody else has written it",
            "mosaic-agent units install --force (keeps it beside)",
        ),
    }
}

/// What is known of a directory.
#[derive(Clone, Debug)]
pub enum Directory {
    /// It is not there.
    Missing,
    /// It cannot be looked at; why.
    Unseen(String),
    /// A link.
    Link,
    /// No directory.
    Other,
    /// A directory of this uid, with this mode.
    Found {
        /// Its owner.
        uid: u32,
        /// Its permission bits.
        mode: u32,
        /// Why nothing can be written there.
        unwritable: Option<String>,
    },
}

/// A directory that must be ours alone.
pub fn directory(check: &str, path: &str, found: &Directory, me: u32) -> Check {
    let mend =
        "move it out of the way, or point MOSAIC_HEARTBEAT_RUN_DIR or XDG_RUNTIME_DIR elsewhere";
    match found {
        Directory::Missing => Check::ok(check, format!("{path} is made by the first agent")),
        Directory::Unseen(why) => Check::fail(check, format!("{path}: {why}"), mend),
        Directory::Link => Check::fail(check, format!("{path} is a symbolic link"), mend),
        Directory::Other => Check::fail(check, format!("{path} is no directory"), mend),
        Directory::Found { uid, .. } if *uid != me => Check::fail(
            check,
            format!("{path} belongs to uid {uid}, and we are uid {me}"),
            mend,
        ),
        Directory::Found { mode, .. } if mode & 0o077 != 0 => {
            let said = format!("{path} is open to others (mode {mode:03o})");
            Check::fail(check, said, format!("chmod 700 {path}"))
        }
        Directory::Found {
            unwritable: Some(why),
            ..
        } => Check::fail(
            check,
            format!("{path} cannot be written to: {why}"),
            "make room there, or point MOSAIC_HEARTBEAT_RUN_DIR or XDG_RUNTIME_DIR elsewhere",
        ),
        Directory::Found { .. } => Check::ok(check, path),
    }
}

/// Whether sockets fit into their directory: a Unix socket's path has at most so many bytes, and an agent's
/// name so many.
pub fn socket_room(dir: &str, path_max: usize, name_max: usize) -> Option<Check> {
    let room = path_max.saturating_sub(dir.len() + "/.sock".len());
    (room < name_max).then(|| {
        let said = format!("{dir} is so long that agents' names may have only {room} bytes");
        let mend = "use a shorter XDG_RUNTIME_DIR or MOSAIC_HEARTBEAT_RUN_DIR";
        // Few names are longer than that.
        match room {
            0..8 => Check::fail("socket paths", said, mend),
            _ => Check::warn("socket paths", said, mend),
        }
    })
}

/// An agent's answer, or why there is none.
#[derive(Clone, Debug)]
pub enum Answer {
    /// It answered.
    Status(Box<Status>),
    /// Its runtime has ended, and its heartbeat says so.
    Ended,
    /// Nobody is there, and nobody has said goodbye.
    Gone(String),
    /// Somebody is there and does not answer.
    Silent(String),
    /// Anything else.
    Broken(String),
}

/// An agent's ack socket: its permission bits, if it is there, and who answers.
pub fn agent(name: &str, mode: Option<u32>, answer: &Answer, ours: &str) -> Check {
    let check = format!("agent {name}");
    let restart = format!("mosaic-agent restart {name}");
    if let Some(mode) = mode.filter(|mode| mode & 0o077 != 0) {
        let said = format!("its socket is open to others (mode {mode:03o})");
        return Check::fail(check, said, restart);
    }
    match answer {
        Answer::Ended => Check::ok(check, "ended"),
        Answer::Gone(why) => Check::warn(check, why, format!("mosaic-agent launch {name}")),
        Answer::Silent(why) | Answer::Broken(why) => Check::fail(check, why, restart),
        Answer::Status(status) if status.state == State::Wedged => {
            Check::fail(check, format!("wedged: {}", status.why), restart)
        }
        Answer::Status(status) if status.version != ours => {
            let said = format!("its sidecar is {}, we are {ours}", status.version);
            Check::warn(check, said, restart)
        }
        Answer::Status(status) => {
            let mut said = status.state.word().to_owned();
            for warning in &status.warnings {
                said.push_str("; ");
                said.push_str(warning);
            }
            Check::ok(check, said)
        }
    }
}

/// What the hooks of a runtime are: the word of `hooks status`, or what is wrong with its configuration.
pub fn hooks(runtime: &str, state: Result<HookState, &str>) -> Check {
    let check = format!("hooks {runtime}");
    let mend = format!("mosaic-agent hooks install {runtime}");
    match state {
        Ok(HookState::Installed) => Check::ok(check, "installed"),
        // Verdicts do not need them.
        Ok(HookState::Absent) => {
            Check::ok(check, format!("not installed (if you want them: {mend})"))
        }
        Ok(HookState::Outdated) => {
            Check::warn(check, "incomplete, or they call another mosaic-agent", mend)
        }
        Err(why) => Check::fail(
            check,
            why,
            "mend the file by hand; we change nothing that we cannot read",
        ),
    }
}

/// See [`hooks`].
pub use super::hookfile::State as HookState;

/// A runtime that was found: its version, empty if it cannot be read; the versions its profile was held
/// against, and what it is called on npm.
pub fn runtime(
    name: &str,
    path: &str,
    version: &str,
    verified: &[String],
    package: Option<&str>,
) -> Check {
    let check = format!("runtime {name}");
    if verified.is_empty() {
        return Check::ok(
            check,
            format!("{version} at {path}").trim_start().to_owned(),
        );
    }
    let known = verified.join(", ");
    if version.is_empty() {
        return Check::ok(
            check,
            format!("{path}; its version cannot be read (verified: {known})"),
        );
    }
    if verified.iter().any(|v| v == version) {
        return Check::ok(check, format!("{version} at {path}, verified"));
    }
    let said = format!("{version} at {path} was never tried with its profile, only {known}");
    let newest = verified.last().map_or("", String::as_str);
    let mend = match package {
        Some(package) => format!("npm install -g {package}@{newest}; or watch its verdicts"),
        None => format!("install {newest}; or watch its verdicts"),
    };
    Check::warn(check, said, mend)
}

/// All rows as a table for people.
pub fn table(checks: &[Check]) -> String {
    let width = checks
        .iter()
        .map(|c| c.check.chars().count())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for check in checks {
        let row = format!(
            "{:<4}  {:<width$}  {}",
            check.result.word(),
            check.check,
            check.said
        );
        text.push_str(row.trim_end());
        text.push('\n');
        if let Some(mend) = &check.mend {
            text.push_str(&format!("{:indent$}mend: {mend}\n", "", indent = width + 8));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_programs_must_be_of_one_version_and_the_first_on_the_path() {
        let at = |agent, on_path, same| {
            let checks = binaries(agent, "1.0", "/b", on_path, same);
            checks.iter().map(|c| c.result).collect::<Vec<_>>()
        };
        use Outcome::{Fail, Ok, Warn};
        assert_eq!(at(Some(("/b/a", "1.0")), Some("/b/a"), true), [Ok, Ok]);
        assert_eq!(at(Some(("/b/a", "0.9")), Some("/b/a"), true), [Fail, Ok]);
        assert_eq!(at(Some(("/b/a", "1.0")), Some("/c/a"), false), [Ok, Warn]);
        assert_eq!(at(Some(("/b/a", "1.0")), None, false), [Ok, Warn]);
        assert_eq!(at(None, Some("/c/a"), false), [Fail]);
    }

    #[test]
    fn tmux_is_judged_by_its_version_where_it_names_one() {
        for (said, result) in [
            (Some("tmux 3.3a\n"), Outcome::Ok),
            (Some("tmux next-3.6"), Outcome::Ok),
            (Some("tmux openbsd-7.4"), Outcome::Ok),
            (Some("tmux master"), Outcome::Ok),
            (Some("tmux 2.8"), Outcome::Warn),
            (None, Outcome::Fail),
        ] {
            assert_eq!(tmux(said).result, result, "{said:?}");
        }
    }

    #[test]
    fn a_manager_that_is_missing_old_or_silent_is_told_with_what_mends_it() {
        let good = Manager {
            version: Some("systemd 252 (252.1)".into()),
            answers: true,
            has_bus: true,
            linger: Some(true),
            user: "ann".into(),
        };
        let worst = |found: &Manager| manager(found).iter().map(|c| c.result).max();
        assert_eq!(worst(&good), Some(Outcome::Ok));
        for bad in [
            Manager {
                version: None,
                ..good.clone()
            },
            Manager {
                answers: false,
                ..good.clone()
            },
            Manager {
                has_bus: false,
                ..good.clone()
            },
            Manager {
                linger: Some(false),
                ..good.clone()
            },
        ] {
            assert_eq!(worst(&bad), Some(Outcome::Warn), "{bad:?}");
        }
        let old = Manager {
            version: Some("systemd 247 (247.3)".into()),
            ..good
        };
        assert_eq!(worst(&old), Some(Outcome::Fail));
    }

    #[test]
    fn a_directory_that_others_can_enter_fails_with_the_command_that_closes_it() {
        let found = Directory::Found {
            uid: 7,
            mode: 0o755,
            unwritable: None,
        };
        let check = directory("run directory", "/r", &found, 7);
        assert_eq!(
            (check.result, check.mend.as_deref()),
            (Outcome::Fail, Some("chmod 700 /r"))
        );
        assert_eq!(directory("d", "/r", &found, 8).result, Outcome::Fail);
        let closed = Directory::Found {
            uid: 7,
            mode: 0o700,
            unwritable: None,
        };
        assert_eq!(directory("d", "/r", &closed, 7).result, Outcome::Ok);
        let full = Directory::Found {
            uid: 7,
            mode: 0o700,
            unwritable: Some("it is full".into()),
        };
        let check = directory("d", "/r", &full, 7);
        assert_eq!(check.result, Outcome::Fail);
        assert!(check.said.contains("it is full"), "{}", check.said);
        assert_eq!(
            directory("d", "/r", &Directory::Missing, 7).result,
            Outcome::Ok
        );
    }

    #[test]
    fn a_directory_too_deep_for_sockets_says_how_long_names_may_be() {
        assert_eq!(socket_room("/run/user/1000/mosaic", 107, 64), None);
        let long = "d".repeat(80);
        let check = socket_room(&long, 107, 64).expect("a row");
        assert!(check.said.contains("21 bytes"), "{check:?}");
    }

    #[test]
    fn a_version_nobody_has_tried_is_a_warning() {
        let verified = ["1.0".to_owned(), "1.1".to_owned()];
        let at = |version| runtime("x", "/x", version, &verified, Some("@x/x"));
        assert_eq!(at("1.0").result, Outcome::Ok);
        let new = at("2.0");
        assert_eq!(new.result, Outcome::Warn);
        assert!(new.mend.is_some_and(|m| m.contains("@x/x@1.1")));
    }
}
