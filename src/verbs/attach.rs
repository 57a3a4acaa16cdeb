//! `attach NAME`: take an agent over, on purpose. In its tmux session where it has one, else through its socket.

use std::os::unix::process::CommandExt;

use super::place::Place;
use super::{launch, viewer};
use crate::failure::{Doing, Failure, exit};
use crate::os::tmux::Tmux;
use crate::os::{files, process, tty};
use crate::pure::beat::{Found, READ_MAX};
use crate::units::AgentName;

/// Takes the agent over until somebody leaves (or, inside of tmux, at once).
///
/// # Errors
/// No such agent (3), no terminal (2), somebody else is attached (75), or we may not (77).
pub fn attach(name: &AgentName, steal: bool) -> Result<u8, Failure> {
    let place = Place::here()?;
    let beat = files::read_small(&place.heartbeat(name), READ_MAX).ok();
    let beat = beat.map(|bytes| Found::parse(&bytes));
    let get = |key: &str| beat.as_ref().and_then(|beat| beat.get(key));
    match (get("tmux"), get("sidecar").and_then(|pid| pid.parse().ok())) {
        (Some(socket), Some(sidecar)) => in_tmux(&place, name, steal, socket, sidecar),
        _ => viewer::attach(&place, name, steal),
    }
}

fn in_tmux(
    place: &Place,
    name: &AgentName,
    steal: bool,
    socket: &str,
    sidecar: i32,
) -> Result<u8, Failure> {
    let tmux = Tmux {
        socket: socket.to_owned(),
        ..launch::find_tmux(&place.settings)?
    };
    let doing = || format!("attaching to {name}");
    let refuse = |code, why: String| Err(Failure::new(code, doing(), why));
    let Some(pane) = tmux
        .pane_of(|pid| pid == sidecar || process::descends_from(sidecar, pid))
        .doing(doing)?
    else {
        return refuse(
            exit::GONE,
            format!("no pane of tmux{} runs its sidecar", tmux.option()),
        );
    };
    // `TMUX` is SOCKET,SERVER,SESSION.
    let ours = std::env::var("TMUX").unwrap_or_default();
    let ours = ours
        .split(',')
        .nth(1)
        .and_then(|pid| pid.parse::<i32>().ok());
    let theirs = tmux.server().doing(doing)?;
    let inside = match ours {
        Some(server) if Some(server) == theirs => true,
        Some(_) => {
            let why = "this terminal is in another tmux, and tmux does not switch between servers";
            return Err(Failure::new(exit::USAGE, doing(), why).hint(format!(
                "detach here first, or nest them: env -u TMUX tmux{} attach -t ={}",
                tmux.option(),
                pane.session
            )));
        }
        None if !tty::is_here() => {
            return refuse(
                exit::USAGE,
                "there is no terminal on standard input and output".into(),
            );
        }
        None => false,
    };
    let there = tmux.clients(&pane.session).doing(doing)?;
    if !there.is_empty() && !steal {
        let pids: Vec<String> = there.iter().map(i32::to_string).collect();
        let why = format!("pid {} is attached already; one at a time", pids.join(", "));
        return Err(Failure::new(exit::LATER, doing(), why).hint(viewer::STEAL));
    }
    // Asked for at the sidecar in any case: it knows who may, and writes down who did.
    let lease = viewer::lease(place, name, steal)?;
    if !there.is_empty() {
        tmux.detach_all(&pane.session).doing(doing)?;
    }
    if inside {
        tmux.switch_here(&pane.id).doing(doing)?;
        return Ok(exit::OK);
    }
    // The agent is ours as long as this connection is open: it goes on in the tmux that we become.
    let _kept = lease.map(crate::os::lines::Lines::outlive_exec);
    let failed = tmux.attach_command(&pane.id).exec();
    Err(Failure::new(exit::MISSING, doing(), failed))
}
