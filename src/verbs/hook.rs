//! `hook`: what a runtime's own hook calls; and `hooks`, which `mosaic-fleet` performs.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::failure::{Failure, exit};
use crate::os::{brief, pty};
use crate::pure::hook::{self, PAYLOAD_MAX};

/// A payload takes this long at the most. Runtimes write theirs at once and close the pipe.
const READ_LASTS: Duration = Duration::from_millis(500);

/// All of it takes this long at the most, whatever is wrong: the runtime's turn waits for its hooks. It
/// takes 2 ms when nothing is.
const LASTS: Duration = Duration::from_secs(1);

/// Lines that come back: the greeting and the answer.
const ANSWERS: usize = 2;

/// Tells the sidecar of this session what its runtime says. Silent, and done in time, whatever happens: a
/// hook must never be what goes wrong in somebody's session.
pub fn hook(args: &[OsString]) -> u8 {
    let started = Instant::now();
    let words: Vec<_> = args.iter().map(|a| a.to_string_lossy()).collect();
    // codex' notify gives its payload as the last argument.
    let given = words.iter().find(|w| w.trim_start().starts_with('{'));
    let payload = match given {
        Some(json) => json.as_bytes().to_vec(),
        None if std::io::stdin().is_terminal() => Vec::new(),
        // Outside a fleet too: a runtime that finds its pipe closed may report a failed hook.
        None => brief::read_stdin(PAYLOAD_MAX, started + READ_LASTS),
    };
    let event = words.first().filter(|w| !w.trim_start().starts_with('{'));
    let socket = std::env::var_os("MOSAIC_AGENT_SOCK").filter(|path| !path.is_empty());
    if let Some(socket) = socket {
        let line = hook::line(event.map(AsRef::as_ref), &payload);
        // Nobody to tell is no failure of the runtime's.
        let _ = brief::say(Path::new(&socket), &line, ANSWERS, started + LASTS);
    }
    exit::OK
}

/// Becomes `mosaic-fleet hooks …`: the one beside us, else the one on PATH.
///
/// # Errors
/// 69: there is none.
pub fn hooks(args: &[OsString]) -> Result<u8, Failure> {
    let beside = std::env::current_exe()
        .ok()
        .map(|exe| exe.with_file_name("mosaic-fleet"))
        .filter(|file| file.is_file());
    let path = std::env::var("PATH").unwrap_or_default();
    let fleet = match beside {
        Some(file) => file,
        None => pty::find_program("mosaic-fleet", &path, Path::new("/")).map_err(|e| {
            Failure::new(
                exit::MISSING,
                "looking for mosaic-fleet, which edits configurations",
                e,
            )
            .hint("install it beside mosaic-agent")
        })?,
    };
    let failed = Command::new(&fleet).arg("hooks").args(args).exec();
    let doing = format!("starting {}", fleet.display());
    Err(Failure::new(exit::MISSING, doing, failed))
}
