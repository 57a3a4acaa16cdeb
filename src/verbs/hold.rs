//! `mosaic-fleet hold`: what the holder's unit calls. Starts the tmux server that all agents live on.

use std::os::unix::process::CommandExt;
use std::process::Command;

use super::launch::find_tmux;
use super::place::Place;
use crate::failure::{Doing, Failure, exit};

/// The session that keeps the server alive while no agent runs.
const SESSION: &str = "_holder";

/// Becomes `tmux new-session`, which returns when the server is up. The server is then a child of the service
/// manager, which takes it for the unit's main process.
///
/// # Errors
/// tmux is missing (69), or a server that is not ours has this socket (78): the unit could not own it.
pub fn hold() -> Result<u8, Failure> {
    let place = Place::here()?;
    let tmux = find_tmux(&place.settings)?;
    let doing = || "starting the tmux server of the agents".to_owned();
    if let Some(pid) = tmux.server().doing(doing)? {
        let socket = match tmux.socket.as_str() {
            "" => "tmux's default socket".to_owned(),
            name => format!("the socket {name:?}"),
        };
        return Err(Failure::new(
            exit::CONFIG,
            doing(),
            format!("a server that this unit has not started runs on {socket} (pid {pid})"),
        )
        .hint(
            "give the fleet a socket of its own (MOSAIC_TMUX_SOCKET=mosaic in ~/.config/mosaic/fleet/fleet.env), \
             or end that server",
        ));
    }
    let mut command = Command::new(&tmux.binary);
    if !tmux.socket.is_empty() {
        command.arg("-L").arg(&tmux.socket);
    }
    let failed = command
        .env_remove("TMUX")
        // Two words: tmux starts them without the user's shell, which may be `nologin`.
        .args(["new-session", "-d", "-s", SESSION, "sleep", "infinity"])
        .exec();
    Err(Failure::new(exit::MISSING, doing(), failed))
}
