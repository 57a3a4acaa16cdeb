//! The monitor replaced by the binary beside the one its sidecar has become: same process, so that its unit notices
//! nothing, and the same hold on the sidecar, so that no end of it is missed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Monitor, Sidecar};
use crate::cli::supervise::{Held, Options};
use crate::failure::{Failure, exit};
use crate::os::pidfd::PidFd;
use crate::os::{process, replace};
use crate::units::AgentName;
use crate::verbs::ask;
use crate::verbs::place::Place;

/// The program that does nothing but watch over an agent.
const MONITOR: &str = "mosaic-monitor";

/// The program that can do that, too.
const FLEET: &str = "mosaic-fleet";

/// The next binary says within this time whether it can. It asks the sidecar one question.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// The program that watches over the agents of this sidecar's binary: `mosaic-monitor` beside it, which is small, or
/// else `mosaic-fleet`, which can do it, too.
pub(in crate::verbs) fn monitor_beside(agent: &Path) -> PathBuf {
    let small = agent.with_file_name(MONITOR);
    match small.is_file() {
        true => small,
        false => agent.with_file_name(FLEET),
    }
}

/// Whether a program is one that watches over agents, by its file's name.
pub(in crate::verbs) fn is_monitor(program: &Path) -> bool {
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with(MONITOR) || name.starts_with(FLEET)
}

/// Becomes `mosaic-monitor` if that lies beside us. Returns if not: then we do its work.
pub fn become_monitor(options: &Options) {
    let Ok(me) = std::env::current_exe() else {
        return;
    };
    let next = monitor_beside(&me);
    if next.ends_with(MONITOR) {
        let mut argv = vec![next.as_os_str().to_owned()];
        argv.extend(options.words());
        let failed = replace::become_program(&next, &argv);
        crate::verbs::complain(format_args!(
            "mosaic-fleet: becoming {}: {failed}",
            next.display()
        ));
    }
}

/// Asks a monitor's program whether it could go on as the monitor of this agent.
///
/// # Errors
/// Why not, in its own words where it has any.
pub(in crate::verbs) fn ask_whether_it_can(
    next: &Path,
    name: &AgentName,
    within: Duration,
) -> Result<(), String> {
    let nothing = replace::document(b"").map_err(|e| e.to_string())?;
    let question = ["supervise", name.as_str(), "--can-take-over"];
    replace::ask_program(next, &question, nothing, within.min(ANSWERS_WITHIN)).map(drop)
}

/// `supervise NAME --can-take-over`: does what a monitor does, once.
///
/// # Errors
/// The settings make no sense, or the sidecar and this binary do not understand each other.
pub fn can_take_over(name: &AgentName) -> Result<u8, Failure> {
    let place = Place::here()?;
    ask::status(&place, name, ANSWERS_WITHIN).map_err(|e| {
        Failure::new(
            exit::LATER,
            format!("asking the sidecar of {name}"),
            format!("{e:?}"),
        )
    })?;
    crate::verbs::print(concat!(env!("CARGO_PKG_VERSION"), "\n"));
    Ok(exit::OK)
}

/// The sidecar that the binary before has left to us.
pub(super) fn left(held: Held) -> Option<Sidecar> {
    let fd = PidFd::from(replace::adopt(held.fd).ok()?);
    Some(Sidecar { pid: held.pid, fd })
}

/// The monitor that belongs to what the sidecar is now, unless that is what we are.
fn next_of(sidecar: i32) -> Option<PathBuf> {
    let next = monitor_beside(&process::executable(sidecar)?);
    (next.is_file() && !process::runs(process::me(), &next)).then_some(next)
}

impl Monitor<'_> {
    /// Becomes the binary that belongs to the sidecar's. Returns if there is none or it cannot: then we go on.
    pub(super) fn become_next(&mut self, sidecar: &Sidecar) {
        let Some(next) = next_of(sidecar.pid) else {
            return;
        };
        let failed = match ask_whether_it_can(&next, self.name, self.pace.within) {
            Err(why) => Some(why),
            Ok(()) => self.hand_over(&next, sidecar),
        };
        if let Some(why) = failed {
            let (name, next) = (self.name, next.display());
            // The journal may be gone, and the monitor may not go with it.
            crate::verbs::complain(format_args!(
                "mosaic-agent: the monitor of {name} does not become {next}: {why}"
            ));
        }
    }

    /// Returns why it failed; nothing if there is something else to do first.
    fn hand_over(&mut self, next: &Path, sidecar: &Sidecar) -> Option<String> {
        // One that comes from here on is the next binary's.
        replace::hold_signals();
        self.take_signals();
        let mut failed = None;
        if !self.asked_to_stop {
            let fd = replace::number(&sidecar.fd);
            let pid = sidecar.pid;
            let options = Options::TakeOver(self.name.clone(), Held { pid, fd });
            let mut argv = vec![next.as_os_str().to_owned()];
            argv.extend(options.words());
            let error = match replace::stays_open(&sidecar.fd, true) {
                Ok(()) => replace::become_program(next, &argv),
                Err(e) => e,
            };
            let _ = replace::stays_open(&sidecar.fd, false);
            failed = Some(error.to_string());
        }
        replace::release_signals();
        failed
    }
}
