//! Which processes are sidecars, and of whom: by their executable and their command line.

use std::ffi::OsString;

use crate::cli::agent::{self, Verb};
use crate::os::process;

/// What a sidecar was started with.
pub struct Run {
    /// Its agent.
    pub agent: Option<String>,
    /// The command it was given after `--`.
    pub command: Vec<String>,
}

/// Reads a process; none if it is no `mosaic-agent run`.
pub fn read(pid: i32) -> Option<Run> {
    let exe = process::executable(pid)?;
    let name = exe.file_name()?.to_string_lossy();
    // A file that was replaced since is shown with ` (deleted)` behind its name.
    if !name.starts_with("mosaic-agent") {
        return None;
    }
    let arguments = process::arguments(pid).into_iter().map(OsString::from);
    let Ok(Verb::Run(options)) = agent::parse(arguments) else {
        return None;
    };
    Some(Run {
        agent: options
            .name
            .map(|name| name.to_string())
            .or_else(|| process::variable(pid, "MOSAIC_AGENT_NAME")),
        command: options
            .command
            .into_iter()
            .map(|word| word.to_string_lossy().into_owned())
            .collect(),
    })
}
