//! `upgrade`, performed by `mosaic-fleet`: running sidecars replaced by another binary, their runtimes untouched.

mod monitor;

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::ask::{self, NoAnswer};
use super::beside;
use super::place::Place;
use crate::cli::upgrade::{Options, Whom};
use crate::failure::{Doing, Failure, exit};
use crate::pure::wire::{Request, UpgradeLine};
use crate::units::AgentName;
use monitor::Monitor;

/// After the wait for a good moment, what still takes time: the new binary is asked (2 s), and a busy machine.
const MORE: Duration = Duration::from_secs(10);

/// How long a good moment is waited for unless the caller says otherwise: as long as most messages take.
const WITHIN: Duration = Duration::from_secs(30);

/// Upgrades one agent's sidecar, or all there are, one after the other.
///
/// # Errors
/// No such agent (3), not permitted (77), no good moment (75), or the new binary cannot take over (78): the old one
/// goes on then. With `--all` each is told on a line of its own, and the worst code is returned.
pub fn upgrade(options: &Options) -> Result<u8, Failure> {
    let place = Place::here()?;
    let program = program(options.to.as_deref())?;
    let names = match &options.whom {
        Whom::One(name) => {
            one(&place, name, &program, options)?;
            return Ok(exit::OK);
        }
        Whom::All => agents(&place),
    };
    if names.is_empty() {
        let dir = place.settings.run_dir.display();
        super::complain(format_args!(
            "mosaic-fleet: no agents: there are no heartbeats in {dir}"
        ));
    }
    let mut worst = exit::OK;
    for name in names {
        match one(&place, &name, &program, options) {
            Ok(()) => {}
            // A heartbeat that was left behind is nobody to upgrade.
            Err(failure) if failure.exit == exit::GONE => {}
            Err(failure) => {
                super::complain(format_args!("mosaic-fleet: {name}: {failure}"));
                worst = worst.max(failure.exit);
            }
        }
    }
    Ok(worst)
}

/// Every agent that has a heartbeat, by name.
fn agents(place: &Place) -> Vec<AgentName> {
    let entries = std::fs::read_dir(&place.settings.run_dir);
    let files = entries.into_iter().flatten().flatten();
    let mut names: Vec<AgentName> = files
        .filter_map(|file| {
            let file = file.file_name().to_string_lossy().into_owned();
            AgentName::new(file.strip_suffix(".hb")?).ok()
        })
        .collect();
    names.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    names
}

/// Prints the sidecar's answer, and what became of the monitor of its unit.
fn show(line: &[u8], monitor: Option<&Monitor>, json: bool) -> Result<(), Failure> {
    let doing = || "reading the answer to the upgrade".to_owned();
    if json {
        let line = String::from_utf8_lossy(line);
        let monitor = monitor.map(serde_json::to_string).transpose();
        super::print(
            &match (monitor.doing(doing)?, line.trim_end().strip_suffix('}')) {
                (Some(monitor), Some(fields)) => format!("{fields},\"monitor\":{monitor}}}\n"),
                _ => line.into_owned(),
            },
        );
        return Ok(());
    }
    let told: UpgradeLine = serde_json::from_slice(line).doing(doing)?;
    let (whole, rest) = (told.paused_us / 1_000, told.paused_us % 1_000 / 100);
    super::print(&format!(
        "upgraded {} from {} to {}: its bytes paused for {whole}.{rest} ms\n{}",
        told.agent,
        told.from,
        told.version,
        monitor.map(Monitor::line).unwrap_or_default()
    ));
    Ok(())
}

/// The binary to upgrade to: what was named, else the mosaic-agent beside us.
fn program(to: Option<&Path>) -> Result<PathBuf, Failure> {
    let path = match to {
        Some(path) => path.to_owned(),
        None => beside::find("mosaic-agent")?,
    };
    // The sidecar has another working directory.
    std::path::absolute(&path)
        .and_then(|path| path.metadata().map(|_| path))
        .map_err(|e| {
            Failure::new(exit::USAGE, format!("finding {}", path.display()), e)
                .hint("--to takes the path of a mosaic-agent binary")
        })
}

/// Upgrades one sidecar, then the monitor of its unit, and tells of both.
fn one(place: &Place, name: &AgentName, program: &Path, options: &Options) -> Result<(), Failure> {
    let monitor = monitor::hold(name, program);
    let line = sidecar(place, name, program, options)?;
    let monitor = monitor.map(|held| held.follow(name));
    show(&line, monitor.as_ref(), options.json)
}

fn sidecar(
    place: &Place,
    name: &AgentName,
    program: &Path,
    options: &Options,
) -> Result<Vec<u8>, Failure> {
    let within = options.timeout.unwrap_or(WITHIN);
    let request = Request {
        op: "upgrade".into(),
        path: Some(program.display().to_string()),
        timeout_ms: Some(u64::try_from(within.as_millis()).unwrap_or(u64::MAX)),
        ..Request::default()
    };
    let doing = || format!("upgrading {name}");
    ask::ask(place, name, &request, within + MORE).map_err(|e| match e {
        NoAnswer::Gone(why) => ask::gone(why),
        NoAnswer::Silent(why) => Failure::new(exit::LATER, doing(), why).hint(format!(
            "`mosaic-agent status {name}` says which version serves"
        )),
        NoAnswer::Refused(word, why, _) if word == "unknown_op" => Failure::new(
            exit::CONFIG,
            doing(),
            format!("{why}: it is too old to be upgraded in place"),
        )
        .hint(format!("`mosaic-agent restart {name}` starts it anew")),
        NoAnswer::Refused(_, why, code) => {
            Failure::new(code, doing(), why).hint("the sidecar goes on as it was; nothing was lost")
        }
        NoAnswer::Broken(why) => Failure::new(exit::INTERNAL, doing(), why),
    })
}
