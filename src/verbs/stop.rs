//! `stop` and `restart`, performed by `mosaic-fleet`: an agent ended in order, with its unit, and started again.

use std::ffi::OsString;
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;

use super::ask::{self, NoAnswer};
use super::place::Place;
use super::{beside, setup};
use crate::cli::tell::Tell;
use crate::failure::{Doing, Failure, exit};
use crate::os::pidfd::PidFd;
use crate::os::{process, systemd};
use crate::pure::wire::Request;
use crate::units::AgentName;

/// After the turn, what may still take time: the runtime's own way to quit (4 s), its grace after SIGTERM (5 s),
/// what it has left behind (3 s), and a machine that is busy.
const END_WITHIN: Duration = Duration::from_secs(30);

/// The sidecar ends within this time of its answer.
const GONE_WITHIN: Duration = Duration::from_secs(10);

/// What the sidecar tells of a stop.
#[derive(Deserialize)]
struct Told {
    exit: String,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    step: String,
    ms: u64,
    result: String,
}

/// The unit of an agent, if the service manager has it up or on its way.
fn unit_of(name: &AgentName) -> Option<String> {
    if !systemd::is_there() {
        return None;
    }
    let unit = format!("mosaic-agent@{name}.service");
    let shown = systemd::systemctl(&["show", "-p", "ActiveState", "--value", &unit]).ok()?;
    let state = String::from_utf8_lossy(&shown.stdout).trim().to_owned();
    (!matches!(state.as_str(), "" | "inactive" | "failed")).then_some(unit)
}

fn systemctl(verb: &str, unit: &str) -> Result<(), Failure> {
    let doing = || format!("systemctl --user {verb} {unit}");
    let output = systemd::systemctl(&[verb, unit]).doing(doing)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Failure::new(exit::INTERNAL, doing(), said)
        .hint(format!("systemctl --user status {unit} says more")))
}

/// Ends an agent. `turn` is how long a running turn may go on.
///
/// # Errors
/// No such agent (3), not permitted (77), or its sidecar does not answer (75).
pub fn stop(name: &AgentName, turn: Option<Duration>, tell: Tell) -> Result<u8, Failure> {
    let place = Place::here()?;
    let unit = unit_of(name);
    end(&place, name, turn, tell, unit.is_some())?;
    if let Some(unit) = unit {
        systemctl("stop", &unit)?;
    }
    Ok(exit::OK)
}

/// Ends an agent and starts it again: by its unit, or by `launch` with the environment it was launched with.
///
/// # Errors
/// As [`stop`]; or it was started by hand in a terminal, and nothing is ended then.
pub fn restart(name: &AgentName, turn: Option<Duration>, tell: Tell) -> Result<u8, Failure> {
    let place = Place::here()?;
    if let Some(unit) = unit_of(name) {
        end(&place, name, turn, tell, true)?;
        systemctl("restart", &unit)?;
        restarted(name, tell);
        return Ok(exit::OK);
    }
    let doing = || format!("restarting {name}");
    let sidecar = setup::owner(&place, name);
    let environment = sidecar.and_then(launched_with);
    if sidecar.is_some() && environment.is_none() {
        return Err(Failure::new(
            exit::INTERNAL,
            doing(),
            "it was started by `run`, in a terminal of its own; only a person can do that again",
        )
        .hint(format!(
            "mosaic-agent stop {name}, then the same `mosaic-agent run {name} ...` in that terminal"
        )));
    }
    end(&place, name, turn, tell, false)?;
    let agent = beside::find("mosaic-agent")?;
    let status = Command::new(&agent)
        .args(["launch", "--quiet", name.as_str()])
        .env_clear()
        .envs(environment.unwrap_or_default())
        .status()
        .doing(doing)?;
    if status.success() {
        restarted(name, tell);
    }
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(exit::INTERNAL))
}

/// Tells a person that it is there again; the document is all that a program gets.
fn restarted(name: &AgentName, tell: Tell) {
    if tell == Tell::Words {
        super::print(&format!("started {name} again\n"));
    }
}

/// The environment that `launch` has handed to a sidecar: its runtime was started with it. None if the sidecar
/// was not started by `launch`.
fn launched_with(sidecar: i32) -> Option<Vec<(OsString, OsString)>> {
    let family = process::family(sidecar);
    let (me, runtime) = (family.first()?, family.get(1)?);
    let by_launch = me.argv.iter().any(|arg| arg == "--handoff");
    (by_launch && runtime.parent == sidecar).then(|| process::environment(runtime.pid))?
}

/// Has the sidecar end the agent, shows what it tells, and waits until it is gone.
fn end(
    place: &Place,
    name: &AgentName,
    turn: Option<Duration>,
    tell: Tell,
    has_unit: bool,
) -> Result<(), Failure> {
    let sidecar = setup::owner(place, name).and_then(|pid| PidFd::open(pid).ok());
    let request = Request {
        op: "stop".into(),
        timeout_ms: turn.map(|t| u64::try_from(t.as_millis()).unwrap_or(u64::MAX)),
        ..Request::default()
    };
    let within = turn.unwrap_or(crate::pure::quit::TURN) + END_WITHIN;
    let doing = || format!("stopping {name}");
    let answer = match ask::ask(place, name, &request, within) {
        Ok(answer) => answer,
        // Its unit may be waiting to start it again, which is to be ended too.
        Err(NoAnswer::Gone(_)) if has_unit => return Ok(()),
        Err(NoAnswer::Gone(why)) => {
            return Err(Failure::new(exit::GONE, "", why)
                .hint("`mosaic-fleet ps` shows the agents there are"));
        }
        Err(NoAnswer::Silent(why)) => {
            let lock = place.settings.run_dir.join(format!("{name}.lock"));
            return Err(Failure::new(exit::LATER, doing(), why).hint(format!(
                "its pid is the first line of {}; SIGKILL ends it and its runtime",
                lock.display()
            )));
        }
        Err(NoAnswer::Refused(_, why, code)) => return Err(Failure::new(code, doing(), why)),
        Err(NoAnswer::Broken(why)) => return Err(Failure::new(exit::INTERNAL, doing(), why)),
    };
    match tell {
        Tell::Json => super::print(&String::from_utf8_lossy(&answer)),
        Tell::Nothing => {}
        Tell::Words => {
            let told: Told = serde_json::from_slice(&answer).doing(doing)?;
            let mut text = String::new();
            for Step { step, ms, result } in told.steps {
                text.push_str(&format!("{ms:>8} ms  {step:<6} {result}\n"));
            }
            super::print(&format!("{text}stopped {name} ({})\n", told.exit));
        }
    }
    let gone = sidecar.is_none_or(|fd| fd.ends_within(GONE_WITHIN));
    match gone {
        true => Ok(()),
        false => Err(Failure::new(
            exit::INTERNAL,
            doing(),
            "its runtime has ended, and its sidecar has not",
        )),
    }
}
